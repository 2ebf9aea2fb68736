"""The check of a Space's tree: this tree passes, and every fault is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools import space_check
from tests.tools.lock import ROOT
from tests.tools.space_check import (
    header,
    header_problems,
    main,
    requirement_problems,
    size_problems,
    tracked,
    write_tree,
    zero_gpu_notes,
)

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="sizes are of tracked files")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    for name in ("README.md", "requirements.txt", "pyproject.toml", "app.py"):
        shutil.copy(ROOT / name, folder / name)
    for arguments in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    return folder


def change(tree: Path, name: str, old: str, new: str) -> None:
    path = tree / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_this_tree_is_fit_to_be_pushed() -> None:
    said: list[str] = []
    assert main([], say=said.append) == 0, said
    assert said[-1] == "Fit to be pushed."


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: Bifocal", "name: Bifocal", "title is missing"),
        ("sdk: gradio", "sdk: streamlit", "sdk must be gradio"),
        ("sdk_version: 6", "sdk_version: 5", "requirements.txt has gradio=="),
        ('python_version: "3.11"', "python_version: 3.11", "python_version is 3.11"),
        ('python_version: "3.11"', 'python_version: "3.10"', "python_version is not one"),
        ('python_version: "3.11"', 'python_version: "3.99"', "python_version is not one"),
        ("app_file: app.py", "app_file: main.py", "main.py does not exist"),
        ("short_description: ", "short_description: " + "long " * 12, "longer than 60"),
        ("colorFrom: blue", "colorFrom: vermilion", "colorFrom must be one of"),
        ("license: apache-2.0", "license: Apache 2", "license must be"),
        ("models:\n", "models:\n  - no-owner\n", "'no-owner' is not owner/name"),
        ("tags:\n", "tags:\n  - 3\n", "tags must be a list of texts"),
        ("tags:\n", "suggested_storage: small\ntags:\n", "suggested_storage is no field"),
        ("tags:\n", "preload_from_hub:\n  - a/b x.json main\ntags:\n", "preload_from_hub"),
        ("tags:\n", "startup_duration_timeout: soon\ntags:\n", "startup_duration_timeout"),
    ],
)
def test_faults_of_the_header_are_named(tree: Path, old: str, new: str, said: str) -> None:
    assert header_problems(tree) == []
    change(tree, "README.md", old, new)
    assert any(said in problem for problem in header_problems(tree)), header_problems(tree)
    assert main(["--tree", str(tree)], say=lambda _line: None) == 1


def test_preload_lines_of_the_hosting_guide_are_good(tree: Path) -> None:
    line = "Qwen/Qwen3-Embedding-0.6B config.json,model.safetensors " + "0" * 40
    change(tree, "README.md", "tags:\n", f"preload_from_hub:\n  - {line}\n  - a/b\ntags:\n")
    assert header_problems(tree) == []


@pytest.mark.parametrize("line", ["numpy>=2", "numpy", "numpy==2.*", "a b c", "x @ https://e.x/x"])
def test_requirements_must_be_pinned(tree: Path, line: str) -> None:
    assert requirement_problems(tree) == []
    with (tree / "requirements.txt").open("a") as stream:
        stream.write(line + "\n")
    assert len(requirement_problems(tree)) == 1


def test_sizes() -> None:
    mb = space_check.MEGABYTE
    assert size_problems({Path("a"): 95 * mb, Path("b"): 55 * mb}) == []
    assert "a has 96 MB" in size_problems({Path("a"): 96 * mb})[0]
    assert "150 MB in all" not in str(size_problems({Path("a"): 90 * mb}))
    (whole,) = size_problems({Path("a"): 90 * mb, Path("b"): 61 * mb})
    assert "151 MB in all" in whole


def test_only_tracked_files_are_counted_and_written(tree: Path, tmp_path: Path) -> None:
    (tree / "secret.env").write_text("x")
    assert Path("secret.env") not in tracked(tree)
    assert write_tree(tree, tmp_path / "out") == 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "app.py",
        "pyproject.toml",
        "requirements.txt",
    ]
    with pytest.raises(FileExistsError, match="not empty"):
        write_tree(tree, tmp_path / "out")


def test_the_zero_gpu_tree_differs_in_two_lines(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert len(zero_gpu_notes(tree)) == 2
    assert main(["--tree", str(tree), "--write", str(out), "--zero-gpu"], say=print) == 0
    assert zero_gpu_notes(out) == []
    assert header_problems(out) == []
    assert header(out)["python_version"] == "3.12.12"
    for name, lines in (("README.md", 1), ("requirements.txt", 1), ("app.py", 0)):
        before = (tree / name).read_text(encoding="utf-8").splitlines()
        after = (out / name).read_text(encoding="utf-8").splitlines()
        assert sum(one != other for one, other in zip(before, after, strict=True)) == lines


def fake_app(tree: Path, program: str) -> None:
    (tree / "app.py").write_text(program, encoding="utf-8")


SERVER = """
import http.server, os, sys
assert os.environ["SPACE_ID"], "not told that it is a Space"
assert len(os.sched_getaffinity(0)) <= 2
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(f"x is at http://0.0.0.0:{server.server_port}", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(EXIT)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="CPU affinity and limits as on a Space")
def test_starting_is_watched_and_ended(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_app(tree, SERVER.replace("EXIT", "0"))
    started = space_check.start(tree, limit_seconds=60, settle_seconds=0)
    assert (started.exit_code, started.seconds < 60, started.peak_bytes > 0) == (0, True, True)
    fake_app(tree, SERVER.replace("EXIT", "4"))
    monkeypatch.setattr(space_check, "SETTLE_SECONDS", 0.0)
    said: list[str] = []
    assert main(["--tree", str(tree), "--start"], say=said.append) == 1
    assert "did not end cleanly" in said[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="CPU affinity and limits as on a Space")
@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise SystemExit('no weights here')", "no weights here"),
        ("bytearray(17 * 2**30)", "MemoryError"),
    ],
)
def test_an_app_that_does_not_start_is_told_with_its_words(
    tree: Path, program: str, said: str
) -> None:
    fake_app(tree, program)
    with pytest.raises(TimeoutError, match=said):
        space_check.start(tree, limit_seconds=60, settle_seconds=0)


def _pip(code: int, words: str) -> Callable[..., object]:
    return lambda *_a, **_k: subprocess.CompletedProcess([], code, "", words)


def test_what_pip_does_not_find_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", _pip(1, "ERROR: No matching distribution for x==9"))
    (problem,) = space_check.install_problems(tree)
    assert "No matching distribution" in problem
    monkeypatch.setattr(subprocess, "run", _pip(0, ""))
    assert space_check.install_problems(tree) == []
