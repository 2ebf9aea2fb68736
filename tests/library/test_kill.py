"""kill -9 at any moment leaves the old or the new state, and the next start goes on from there.

Two ways of dying: at random moments, and in the middle of a chosen write, rename or sync. After
each, the workspace is opened, checked, worked to the end and compared with one never disturbed.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.documents import document_from_bytes
from core.encoders.spec import TextKind
from core.library.library import Library
from core.store import embedding
from core.store.workspace import Workspace
from tests.library import victim

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and forkserver")

RANDOM_KILLS = 25
STEPS_TRIED = 20
STEP = 7


def some_slow(count: int) -> list[Any]:
    """Return numbers for a test; every third runs with every change, the others with ``-m slow``."""
    return [
        pytest.param(number, marks=[pytest.mark.slow] if number % 3 else [])
        for number in range(count)
    ]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only processes die here, not the machine: what they wrote is there, synced or not."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(embedding, "FIRST_BLOCK_TEXTS", 4)


@pytest.fixture(scope="module")
def context() -> multiprocessing.context.ForkServerContext:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["__main__", "tests.library.victim"])  # imports once for all
    return server


@pytest.fixture(scope="module")
def undisturbed(
    context: multiprocessing.context.ForkServerContext, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, float]:
    """A workspace worked to the end, and the seconds that took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    start(context, folder).join()  # warms the server up
    again = tmp_path_factory.mktemp("timed")
    started = time.perf_counter()
    start(context, again).join()
    return folder / "w", time.perf_counter() - started


def start(
    context: multiprocessing.context.ForkServerContext, folder: Path, *, die_at_step: int = 0
) -> multiprocessing.process.BaseProcess:
    process = context.Process(
        target=victim.run, args=(str(folder / "w"), str(folder / "journal"), die_at_step)
    )
    process.start()
    return process


def contents(folder: Path) -> dict[str, object]:
    """Everything a user would notice."""
    with Workspace.open(folder) as workspace:
        library = victim.open_library(workspace)
        return {
            "documents": library.documents(),
            "passages": library.passages(),
            "settings": library.settings,
            "embedded": {
                name: workspace.vector_count(encoder.passage_fingerprint)
                for name, encoder in victim.encoders().items()
            },
        }


def assert_old_or_new(folder: Path, journal: Path) -> None:
    """What is there is whole, and what was told to be finished is there."""
    told = journal.read_text().splitlines() if journal.exists() else []
    expected = {file.name: file.data for file in victim.source_files()}
    with Workspace.open(folder) as workspace:
        library = victim.open_library(workspace)
        assert workspace.damage() == ()
        names = [report.name for report in library.documents()]
        assert len(names) == len(set(names))
        for report in library.documents():
            source = workspace.document_source(report.doc_id)
            assert source == expected[report.name]
            document = document_from_bytes(workspace.document_record(report.doc_id))
            assert document.text.encode() == source
        passages = library.passages()  # cuts what was not cut yet
        by_document = {passage.doc_id for passage in passages}
        assert by_document == {report.doc_id for report in library.documents()}
        assert_vectors_are_right(library)
        assert not list(folder.glob("documents/.*"))
        assert not list(folder.glob("vectors/*/.tmp*"))
        if "rechunked" in told:
            assert library.settings.chunking == victim.SECOND_CHUNKING
        for line in told:
            if line.startswith("added"):
                must = {f"doc-{number}.txt" for number in range(int(line.split()[1]))}
                gone = set() if "removed" not in told else {victim.REMOVED}
                # "removed" may have happened without being told
                assert must - {victim.REMOVED} <= set(names)
                assert victim.REMOVED not in names or not gone


def assert_vectors_are_right(library: Library) -> None:
    texts = sorted({passage.text for passage in library.passages()})
    for encoder in victim.encoders().values():
        missing = set(library.workspace.missing(encoder.passage_fingerprint, texts))
        there = [text for position, text in enumerate(texts) if position not in missing]
        stored = library.workspace.vectors(encoder.passage_fingerprint, there)
        if there:
            assert np.array_equal(stored, encoder.encode(there, kind=TextKind.PASSAGE))


def check(folder: Path, undisturbed: Path) -> None:
    assert_old_or_new(folder / "w", folder / "journal")
    victim.work(folder / "w", lambda line: None)
    assert contents(folder / "w") == contents(undisturbed)


@pytest.mark.parametrize("seed", some_slow(RANDOM_KILLS))
def test_killed_at_a_random_moment(
    context: multiprocessing.context.ForkServerContext,
    undisturbed: tuple[Path, float],
    tmp_path: Path,
    seed: int,
) -> None:
    expected, seconds = undisturbed
    process = start(context, tmp_path)
    time.sleep(random.Random(seed).uniform(0.1, 1.0) * seconds)
    process.kill()
    process.join()
    check(tmp_path, expected)


@pytest.mark.parametrize("number", some_slow(STEPS_TRIED))
def test_killed_in_the_middle_of_writing(
    context: multiprocessing.context.ForkServerContext,
    undisturbed: tuple[Path, float],
    tmp_path: Path,
    number: int,
) -> None:
    step = 1 + number * STEP  # spread over the whole work, which takes over 140 such steps
    process = start(context, tmp_path, die_at_step=step)
    process.join()
    assert process.exitcode == -9, "the premise: the process died at this step"
    check(tmp_path, undisturbed[0])
