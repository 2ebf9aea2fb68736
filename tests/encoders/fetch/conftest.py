"""A hub on this machine with one tiny checkpoint, and a way to be stopped half-way."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.encoders import hub as hub_module
from core.encoders.hub import Hub
from core.errors import StoppedError
from tests.encoders.hub import LocalHub, serving
from tests.monitors import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.encoders.spec import EncoderSpec
    from tests.encoders.checkpoints import Checkpoint

REPOSITORY = "tiny/qwen3"


@pytest.fixture
def hub(tmp_path: Path, checkpoint_of: Callable[[str], Checkpoint]) -> Iterator[LocalHub]:
    folder = shutil.copytree(checkpoint_of("qwen3").folder, tmp_path / "published")
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "README.md").write_text("# tiny")
    with serving() as running:
        running.repositories[REPOSITORY] = folder
        yield running


@pytest.fixture
def spec(checkpoint_of: Callable[[str], Checkpoint]) -> EncoderSpec:
    return replace(checkpoint_of("qwen3").spec, checkpoint=REPOSITORY, revision="main")


def stopped_halfway(
    hub: LocalHub, spec: EncoderSpec, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Fetch some of the weights, and return the file that holds them until the rest is there."""
    monkeypatch.setattr(hub_module, "_CHUNK_BYTES", 8192)
    with pytest.raises(StoppedError):
        Hub(cache, endpoint=hub.endpoint).fetch(spec, monitor=Watcher(stop_after=6))
    (part,) = cache.rglob("*.part")
    return part
