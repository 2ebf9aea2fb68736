"""A library of two tiny encoders, and a monitor that can press Stop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.library.library import Library
from core.monitor import Progress
from core.records import Family
from core.settings import ChunkingSettings, WorkspaceSettings
from core.store.workspace import Workspace
from tests.library.tiny import TinyEncoder, make_library

CHUNKING = ChunkingSettings(chunk_tokens=32, overlap_tokens=0)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests end processes, not machines."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@dataclass
class StoppingMonitor:
    """Presses Stop when a progress report fits."""

    when: Callable[[Progress], bool] = lambda progress: False
    seen: list[Progress] = field(default_factory=list)
    stopped: bool = False

    def report(self, progress: Progress) -> None:
        self.seen.append(progress)
        self.stopped = self.stopped or self.when(progress)

    def stop_requested(self) -> bool:
        return self.stopped


@dataclass
class Tiny:
    """A library with its workspace and encoders."""

    workspace: Workspace
    library: Library
    d: TinyEncoder
    a: TinyEncoder


def open_tiny(folder: Path) -> Tiny:
    workspace = Workspace.open(folder)
    if workspace.fact("settings") is None:
        workspace.put_settings(WorkspaceSettings(chunking=CHUNKING))
    d, a = TinyEncoder("tiny-d"), TinyEncoder("tiny-a", Family.AUTOREGRESSIVE)
    return Tiny(workspace, make_library(workspace, d, a), d, a)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    opened = open_tiny(tmp_path / "w")
    with opened.workspace:
        yield opened
