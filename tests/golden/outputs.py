"""Answers of Bifocal through its command line, kept as golden files.

``python -m tests.golden.outputs`` writes them anew. A difference is either a fault or is named in
the commit that makes it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from core.cli import cli
from tests.evaluation.folders import write_folder
from tests.pdfs import plain_pdf

FOLDER = Path(__file__).parent
LIBRARIES = ("sample", "three-pdfs")
QUERY = {
    "sample": "How long may a sluice gate stay closed?",
    "three-pdfs": "Who hears mice under the snow?",
}
PDFS = {
    "locks.pdf": [
        "The lock keeper opened the upper gate at dawn. Two barges waited below, loaded with "
        "gravel. The crew did not know that the lower sill was damaged. Dr. Reyes measured the "
        "leak at 3.5 litres per second. The keeper wrote the figure into the log.",
        "A lock lifts a barge with water alone. The paddles are opened and the chamber fills. No "
        "pump is needed, because the river brings the water. In a dry summer the lock stays shut "
        "from noon to evening, and the barges wait in a row along the towpath.",
    ],
    "owls.pdf": [
        "The barn owl hunts at night. It hears mice under the snow. Its wings make no sound. When "
        "voles are rare the owls do not breed.",
        "Owls swallow small animals whole. Bones and fur come up again as a pellet.",
    ],
    "tides.pdf": [
        "Spring tides follow the full moon by about a day. The harbour floods when a spring tide "
        "meets a storm. The gate is then closed for six hours.",
    ],
}
# By BEIR id: a document each, and the questions that it answers.
QUESTIONS = {
    "q1": ("Who opened the gate at dawn?", {"locks-1": 1}),
    "q2": ("How does a lock lift a barge?", {"locks-2": 2, "locks-1": 1}),
    "q3": ("Which bird hunts at night?", {"owls-1": 1}),
    "q4": ("What do owls leave of small animals?", {"owls-2": 1}),
    "q5": ("When does the harbour flood?", {"tides-1": 1}),
}
PROBES = ("hidden-key", "attention", "last-sentence", "growing", "context")
ASKS_A_QUERY = ("attention", "growing", "context")
# Times and addresses: different on every run.
VOLATILE = re.compile(r"seconds|milliseconds|created|^report$|^path$|^file$|version$")
LONG_CHARS = 120
_FIGURE = re.compile(r"(?<![\w.])[-+−]?\d+\.\d+")  # noqa: RUF001 - the minus that is printed
_TAGS = re.compile(r"<(script|style|svg)\b.*?</\1>|<[^>]+>|data:[^\"')]+", re.DOTALL)


class Terminal:
    """The command line in this process."""

    def __call__(self, *arguments: object) -> Any:
        """Return what a command prints with ``--json``."""
        result = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
        if result.exit_code:
            raise AssertionError(f"{arguments}: {result.output}") from result.exception
        return json.loads(result.stdout)


def make_library(name: str, folder: Path) -> Path:
    """Make one of the two libraries in a folder; returns its workspace."""
    workspace = folder / name
    if name == "sample":
        Terminal()("sample", "--workspace", workspace)
        return workspace
    papers = folder / "papers"
    papers.mkdir()
    for file, pages in PDFS.items():
        (papers / file).write_bytes(plain_pdf(pages))
    Terminal()("index", papers, "-w", workspace, "--chunk-tokens", 32, "--overlap-tokens", 0)
    return workspace


def quick_outputs(name: str, folder: Path) -> dict[str, Any]:
    """Make a library and return what the quicker verbs answer about it."""
    ask = Terminal()
    library = ("-w", make_library(name, folder))
    html = folder / f"{name}.html"
    found = {"compare": ask("compare", QUERY[name], *library, "--html", html)}
    found["report"] = {"figures": figures(html.read_text(encoding="utf-8"))}
    found["disagree"] = ask("disagree", *library, "--drafts", 24)
    if name != "sample":
        found["evaluate"] = evaluated(folder)
    return found


def slow_outputs(name: str, folder: Path) -> dict[str, Any]:
    """Return what the verbs answer that embed many texts, of a library made before."""
    ask = Terminal()
    library = ("-w", folder / name)
    found = {"explain": ask("explain", QUERY[name], *library)}
    if name == "sample":
        return found
    found["explain-clauses"] = ask("explain", QUERY[name], *library, "--clauses")
    found["explain-fairness"] = ask("explain", QUERY[name], *library, "--fairness")
    for probe in PROBES:
        query = ("--query", QUERY[name]) if probe in ASKS_A_QUERY else ()
        found[f"probe-{probe}"] = ask("probe", probe, *library, *query)
    return found


def evaluated(folder: Path) -> Any:
    """Return what ``evaluate`` writes about the three PDFs' pages as documents of their own."""
    pages = {
        f"{Path(file).stem}-{number}": ("", page)
        for file, texts in PDFS.items()
        for number, page in enumerate(texts, start=1)
    }
    beir = write_folder(
        folder / "beir",
        documents=pages,
        queries={name: text for name, (text, _right) in QUESTIONS.items()},
        qrels={name: right for name, (_text, right) in QUESTIONS.items()},
    )
    target = folder / "evaluation.json"
    cache_folder = folder / "vectors"
    result = CliRunner().invoke(
        cli, ["evaluate", *map(str, ("--beir", beir, "--json", target, "--cache", cache_folder))]
    )
    assert result.exit_code == 0, result.output
    return json.loads(target.read_text())


def figures(html: str) -> list[str]:
    """Return the decimal figures that a report shows, each once, in order of size and sign."""
    return sorted(set(_FIGURE.findall(_TAGS.sub(" ", html))))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a JSON document by path: long texts by hash, floats to six decimals."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if not VOLATILE.search(str(name)):
                yield from leaves(part, f"{path}/{name}")
    elif isinstance(value, list) and value and all(isinstance(x, (int, float)) for x in value):
        yield path, [_short(x) for x in value]
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from leaves(part, f"{path}/{place}")
    else:
        yield path, _short(value)


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, str) and len(value) > LONG_CHARS:
        return "sha256:" + hashlib.sha256(value.encode()).hexdigest()[:12]
    return value


def golden_file(name: str) -> Path:
    """Return where a library's golden outputs are kept."""
    return FOLDER / f"{name}.json"


@cache
def golden(name: str) -> dict[str, dict[str, Any]]:
    """Return a library's golden outputs: by verb, then by path."""
    found: dict[str, dict[str, Any]] = json.loads(golden_file(name).read_text(encoding="utf-8"))
    return found


def write_all() -> None:
    """Write the golden files anew."""
    for name in LIBRARIES:
        with tempfile.TemporaryDirectory() as scratch:
            made = {**quick_outputs(name, Path(scratch)), **slow_outputs(name, Path(scratch))}
        verbs = [
            f" {json.dumps(verb)}: {json.dumps(dict(leaves(value)), separators=(',', ':'))}"
            for verb, value in made.items()
        ]
        golden_file(name).write_text("{\n" + ",\n".join(verbs) + "\n}\n", encoding="utf-8")
        sys.stdout.write(f"{golden_file(name).name}: {golden_file(name).stat().st_size:,} bytes\n")


if __name__ == "__main__":
    write_all()
