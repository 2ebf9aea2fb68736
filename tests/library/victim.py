"""A process that works on a workspace until it is killed. Started by ``test_kill``."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.library.ingest import SourceFile
from core.library.library import Library
from core.records import Family
from core.settings import ChunkingSettings, WorkspaceSettings
from core.store import embedding, files
from core.store.workspace import Workspace
from tests.library.tiny import TinyEncoder, make_library

FIRST_CHUNKING = ChunkingSettings(chunk_tokens=32, overlap_tokens=8)
SECOND_CHUNKING = ChunkingSettings(chunk_tokens=40, overlap_tokens=0)
REMOVED = "doc-1.txt"


def encoders() -> dict[str, TinyEncoder]:
    """Both encoders of the tiny pair."""
    both = (TinyEncoder("tiny-d"), TinyEncoder("tiny-a", Family.AUTOREGRESSIVE))
    return {encoder.encoder_id: encoder for encoder in both}


def source_files() -> list[SourceFile]:
    """Five documents of a few passages each; some sentences occur in all of them."""
    return [
        SourceFile(
            f"doc-{number}.txt",
            " ".join(
                f"Sentence {i} of document {number if i % 3 else 'any'} says something of its own."
                for i in range(20)
            ).encode(),
        )
        for number in range(5)
    ]


def open_library(workspace: Workspace) -> Library:
    """A library with the tiny encoders."""
    return make_library(workspace, *encoders().values())


def work(folder: Path, finished: Callable[[str], None]) -> None:
    """Add, embed, remove, re-chunk; every step that is over is told."""
    sources = source_files()
    with Workspace.open(folder) as workspace:
        if workspace.fact("settings") is None:
            workspace.put_settings(WorkspaceSettings(chunking=FIRST_CHUNKING))
        library = open_library(workspace)
        for number in range(0, len(sources), 2):
            library.add(sources[number : number + 2])
            finished(f"added {min(number + 2, len(sources))}")
        for stored in library.documents():
            if stored.name == REMOVED:
                library.remove(stored.doc_id)
        finished("removed")
        library.change_settings(replace(library.settings, chunking=SECOND_CHUNKING))
        finished("rechunked")


def run(folder: str, journal: str, die_at_step: int) -> None:
    """Work; with ``die_at_step`` above 0, kill -9 oneself at that step of writing."""
    embedding.FIRST_BLOCK_TEXTS = 4
    os.fsync = lambda descriptor: None  # type: ignore[assignment] # as in `test_kill`
    if die_at_step:
        _die_at(die_at_step)
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    work(Path(folder), lambda line: _tell(descriptor, line))


def _tell(descriptor: int, line: str) -> None:
    os.write(descriptor, f"{line}\n".encode())


def _die_at(step: int) -> None:
    """Count every write, rename, replace and sync; at the given one, die in its middle."""
    counter = itertools.count(1)
    write = files.write_bytes

    def dying_write(descriptor: int, block: memoryview) -> None:
        if next(counter) == step:
            write(descriptor, block[: len(block) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(descriptor, block)

    def dying(operation: Callable[..., Any]) -> Callable[..., Any]:
        def die_or_do(*arguments: Any) -> Any:
            if next(counter) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return operation(*arguments)

        return die_or_do

    files.write_bytes = dying_write
    Path.rename = dying(Path.rename)  # type: ignore[method-assign]
    Path.replace = dying(Path.replace)  # type: ignore[method-assign]
    os.fsync = dying(os.fsync)
