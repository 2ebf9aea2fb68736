"""Check the tree before it is pushed as a Hugging Face Space; optionally write what to push.

    python -m tests.tools.space_check                      quick: header, requirements, sizes
    python -m tests.tools.space_check --install            and can pip find every requirement
    python -m tests.tools.space_check --start              and does it start on a Space's hardware
    python -m tests.tools.space_check --write DIR          write the tracked files to DIR
    python -m tests.tools.space_check --write DIR --zero-gpu   the same, fit for ZeroGPU

Exit code 0: fit to be pushed; 1: not, and why.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from huggingface_hub import metadata_load
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.tools.lock import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MEGABYTE = 10**6
LARGEST_FILE_BYTES = 95 * MEGABYTE
ALL_FILES_BYTES = 150 * MEGABYTE
SPACE_CPUS = 2
SPACE_MEMORY_BYTES = 16 * 2**30
START_SECONDS = 300.0  # the host allows 30 minutes; installing and fetching take their part of it
SETTLE_SECONDS = 30.0
SHORT_DESCRIPTION_CHARS = 60
# As the hub's documentation lists them ("Spaces Configuration Reference", "Using ZeroGPU Spaces").
COLOURS = frozenset({"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"})
PYTHONS = frozenset({"3.10", "3.11", "3.12", "3.13"})
ZERO_GPU_PYTHONS = ("3.12.12", "3.10.13")
ZERO_GPU_TORCH = SpecifierSet(">=2.8,<2.12")
ZERO_GPU_TORCH_PIN = "2.11.0"
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "title": str,
    "emoji": str,
    "colorFrom": str,
    "colorTo": str,
    "sdk": str,
    "sdk_version": str,
    "python_version": str,
    "app_file": str,
    "app_port": int,
    "pinned": bool,
    "license": str,
    "short_description": str,
    "suggested_hardware": str,
    "startup_duration_timeout": str,
    "models": list,
    "datasets": list,
    "tags": list,
    "preload_from_hub": list,
    "hf_oauth": bool,
    "disable_embedding": bool,
    "fullWidth": bool,
    "header": str,
    "thumbnail": str,
}
_REQUIRED = ("title", "sdk", "sdk_version", "app_file", "license", "python_version")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PIN = re.compile(r"^torch==\S+$", re.MULTILINE)
_PYTHON_LINE = re.compile(r"^python_version:.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Started:
    """How a start on a Space's hardware went."""

    seconds: float
    peak_bytes: int
    exit_code: int


def header(tree: Path) -> dict[str, Any]:
    """Return the README's front matter; empty when there is none."""
    return dict(metadata_load(tree / "README.md") or {})


def header_problems(tree: Path) -> list[str]:
    """Return what is wrong with the front matter, a sentence each."""
    fields = header(tree)
    if not fields:
        return ["README.md has no front matter."]
    found = [f"{name} is missing." for name in _REQUIRED if name not in fields]
    for name, value in fields.items():
        kind = _FIELDS.get(name)
        if kind is None:
            found.append(f"{name} is no field of a Space.")
        elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            found.append(f"{name} is {value!r}; quote it, or give what the hub expects.")
        elif isinstance(value, list) and not all(isinstance(item, str) for item in value):
            found.append(f"{name} must be a list of texts.")
    if found:
        return found
    pinned = {line.name.lower(): line for line in requirements(tree)}
    gradio = pinned.get("gradio")
    checks: list[tuple[bool, str]] = [
        (fields["sdk"] == "gradio", "sdk must be gradio."),
        (
            gradio is not None and str(gradio.specifier) == f"=={fields['sdk_version']}",
            f"sdk_version is {fields['sdk_version']}, requirements.txt has {gradio}.",
        ),
        ((tree / fields["app_file"]).is_file(), f"app_file {fields['app_file']} does not exist."),
        (
            len(fields.get("short_description", "")) <= SHORT_DESCRIPTION_CHARS,
            f"short_description is longer than {SHORT_DESCRIPTION_CHARS} characters.",
        ),
        (_python_fits(tree, fields["python_version"]), "python_version is not one that fits."),
        (bool(re.fullmatch(r"[a-z0-9.-]+", fields["license"])), "license must be a hub's id."),
    ]
    checks += [
        (fields.get(name, "red") in COLOURS, f"{name} must be one of {', '.join(sorted(COLOURS))}.")
        for name in ("colorFrom", "colorTo")
    ]
    checks += [
        (bool(_REPOSITORY.fullmatch(item)), f"{name}: {item!r} is not owner/name.")
        for name in ("models", "datasets")
        for item in fields.get(name, [])
    ]
    checks += [
        (_preload_fits(line), f"preload_from_hub: {line!r} is not 'repo [files] [commit]'.")
        for line in fields.get("preload_from_hub", [])
    ]
    timeout = fields.get("startup_duration_timeout", "30m")
    checks.append(
        (bool(re.fullmatch(r"\d+[smh]", timeout)), "startup_duration_timeout is no time.")
    )
    return [sentence for good, sentence in checks if not good]


def requirements(tree: Path) -> list[Requirement]:
    """Return the lines of requirements.txt.

    Raises:
        InvalidRequirement: A line that pip does not understand.
    """
    lines = (tree / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def requirement_problems(tree: Path) -> list[str]:
    """Return what is wrong with requirements.txt: every line must pin one version."""
    try:
        lines = requirements(tree)
    except InvalidRequirement as error:
        return [f"requirements.txt: {error}"]
    return [
        f"requirements.txt: {line} must pin one version (name==version)."
        for line in lines
        if not re.fullmatch(r"==[^*,]+", str(line.specifier)) or line.url
    ]


def size_problems(files: dict[Path, int]) -> list[str]:
    """Return what is too large for a repository on the hub.

    Args:
        files: Sizes in bytes.
    """
    found = [
        f"{path} has {size / MEGABYTE:.0f} MB; files up to {LARGEST_FILE_BYTES // MEGABYTE} MB."
        for path, size in files.items()
        if size > LARGEST_FILE_BYTES
    ]
    total = sum(files.values())
    if total > ALL_FILES_BYTES:
        most = ALL_FILES_BYTES // MEGABYTE
        found.append(f"The tree has {total / MEGABYTE:.0f} MB in all; up to {most} MB.")
    return found


def zero_gpu_notes(tree: Path) -> list[str]:
    """Return what ZeroGPU hardware needs otherwise than the tree has it; see `write_tree`."""
    fields = header(tree)
    notes = []
    if fields.get("python_version") not in ZERO_GPU_PYTHONS:
        notes.append(
            f"ZeroGPU runs Python {' or '.join(ZERO_GPU_PYTHONS)}, the header says "
            f"{fields.get('python_version')}."
        )
    torch = next((line for line in requirements(tree) if line.name == "torch"), None)
    version = str(torch.specifier).removeprefix("==") if torch is not None else "0"
    if not ZERO_GPU_TORCH.contains(version):
        notes.append(f"ZeroGPU takes torch {ZERO_GPU_TORCH}, requirements.txt has {version}.")
    return notes


def tracked(tree: Path) -> dict[Path, int]:
    """Return the size in bytes of every file that git tracks."""
    git = shutil.which("git") or "git"
    listed = subprocess.run(
        [git, "-C", str(tree), "ls-files", "-z"], capture_output=True, check=True
    ).stdout.split(b"\0")
    paths = [Path(os.fsdecode(name)) for name in listed if name]
    return {path: (tree / path).stat().st_size for path in paths if (tree / path).is_file()}


def write_tree(tree: Path, target: Path, *, zero_gpu: bool = False) -> int:
    """Copy the tracked files to a new folder; returns how many.

    Args:
        tree: The checkout.
        target: Where to; must not hold anything.
        zero_gpu: Change the two lines that ZeroGPU hardware needs otherwise.

    Raises:
        FileExistsError: If there is something at the target.
    """
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"{target} is not empty; name a new folder.")
    files = tracked(tree)
    for path in files:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tree / path, target / path)
    if zero_gpu:
        _replace(target / "README.md", _PYTHON_LINE, f'python_version: "{ZERO_GPU_PYTHONS[0]}"')
        _replace(target / "requirements.txt", _PIN, f"torch=={ZERO_GPU_TORCH_PIN}")
    return len(files)


def install_problems(tree: Path) -> list[str]:
    """Ask pip, without installing, whether a Space's Python finds every requirement."""
    python = ".".join(str(header(tree)["python_version"]).split(".")[:2])
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [
                sys.executable,
                *("-m", "pip", "install", "--dry-run", "--quiet", "--only-binary", ":all:"),
                *("--python-version", python, "--target", scratch),
                *("-r", str(tree / "requirements.txt")),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return []
    last = [line for line in done.stderr.splitlines() if line.strip()][-3:]
    return [f"pip finds no set of packages for Python {python}: {' '.join(last)}"]


def start(
    tree: Path, *, limit_seconds: float = START_SECONDS, settle_seconds: float = SETTLE_SECONDS
) -> Started:
    """Start the app as a Space does, on its two CPUs and 16 GiB, fetch the page, end it.

    Args:
        tree: What to start.
        limit_seconds: Most until the page.
        settle_seconds: How long memory is watched after it, while the encoders load behind it.

    Raises:
        TimeoutError: If no page is served in time; the message has what the app said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        log = Path(scratch) / "log"
        with log.open("wb") as stream:
            app = subprocess.Popen(
                [sys.executable, "app.py", "--port", "0", "--data", f"{scratch}/data"],
                cwd=tree,
                env={**os.environ, "SPACE_ID": "someone/bifocal"},
                stdout=stream,
                stderr=subprocess.STDOUT,
                preexec_fn=_as_in_a_space,  # noqa: PLW1509  no thread of this check runs yet
            )

        def said() -> str:
            return log.read_text(encoding="utf-8", errors="replace")

        peak = 0
        try:
            while not _serves(said()):
                if app.poll() is not None or time.monotonic() - began > limit_seconds:
                    raise TimeoutError(f"No page after {limit_seconds:.0f} s: {said()}")
                peak = max(peak, _memory(app.pid))
                time.sleep(0.25)
            seconds = time.monotonic() - began
            settled = time.monotonic() + settle_seconds
            while True:
                peak = max(peak, _memory(app.pid))
                if time.monotonic() >= settled:
                    break
                time.sleep(0.25)
            app.send_signal(signal.SIGINT)
            return Started(seconds, peak, app.wait(60))
        finally:
            if app.poll() is None:
                app.kill()
                app.wait()


def main(arguments: Sequence[str] | None = None, *, say: Callable[[str], None] = print) -> int:
    """Run what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--install", action="store_true", help="ask pip for every requirement")
    parser.add_argument("--start", action="store_true", help="start it on 2 CPUs and 16 GiB")
    parser.add_argument("--write", type=Path, help="write the tracked files to a new folder")
    parser.add_argument("--zero-gpu", action="store_true", help="fit for ZeroGPU hardware")
    parser.add_argument("--tree", type=Path, default=ROOT, help="what to check")
    options = parser.parse_args(arguments)
    problems = _checked(options, say)
    for problem in problems:
        say(f"BAD  {problem}")
    if not problems:
        say("Fit to be pushed.")
    return 1 if problems else 0


def _checked(options: argparse.Namespace, say: Callable[[str], None]) -> list[str]:
    """Check one thing after the other; what comes later needs what came before."""
    tree: Path = options.tree
    files = tracked(tree)
    say(f"{len(files)} files, {sum(files.values()) / MEGABYTE:.1f} MB")
    problems = requirement_problems(tree) or header_problems(tree)
    problems += size_problems(files)
    if problems:
        return problems
    if options.write:
        try:
            count = write_tree(tree, options.write, zero_gpu=options.zero_gpu)
        except FileExistsError as error:
            return [str(error)]
        say(f"{count} files written to {options.write}")
        tree = options.write
    for note in zero_gpu_notes(tree):
        say(f"note: {note} (--write DIR --zero-gpu changes it)")
    if options.install:
        problems += install_problems(tree)
    if options.start and not problems:
        problems += _start_problems(tree, say)
    return problems


def _start_problems(tree: Path, say: Callable[[str], None]) -> list[str]:
    try:
        started = start(tree, settle_seconds=SETTLE_SECONDS)
    except TimeoutError as error:
        return [str(error)]
    say(
        f"page after {started.seconds:.1f} s, {started.peak_bytes / 2**20:,.0f} MiB at most, "
        f"ended with {started.exit_code}"
    )
    return ["The app did not end cleanly."] if started.exit_code else []


def _python_fits(tree: Path, version: str) -> bool:
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    short = ".".join(version.split(".")[:2])
    return short in PYTHONS and SpecifierSet(project["requires-python"]).contains(Version(version))


def _preload_fits(line: str) -> bool:
    parts = line.split()
    return (
        1 <= len(parts) <= 3
        and bool(_REPOSITORY.fullmatch(parts[0]))
        and (len(parts) < 3 or bool(_COMMIT.fullmatch(parts[2])))
    )


def _replace(path: Path, pattern: re.Pattern[str], line: str) -> None:
    text, count = pattern.subn(line, path.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{path} has {count} lines like {pattern.pattern!r} instead of one.")
    path.write_text(text, encoding="utf-8")


def _as_in_a_space() -> None:
    """In the child: two CPUs, 16 GiB of address space."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored below a script run in the background
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:SPACE_CPUS])
    resource.setrlimit(resource.RLIMIT_AS, (SPACE_MEMORY_BYTES, SPACE_MEMORY_BYTES))


def _serves(said: str) -> bool:
    port = re.search(r" is at https?://[^:]+:(\d+)", said)
    if port is None:
        return False
    connection = http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _memory(pid: int) -> int:
    """Resident bytes of a process and everything it started."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total


if __name__ == "__main__":
    sys.exit(main())
