"""A page over the real rooms, with encoders that count letters or words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.encoders.spec import Attention
from core.records import Family
from core.settings import OWN_ID, ChunkingSettings
from demo.handlers import Handlers
from tests.demo.world import STORIES, World, copied, make_world, upload, write_sample
from tests.encoders.fake import FakeEncoder, fake_spec

__all__ = ["upload"]

CHUNKING = ChunkingSettings(chunk_tokens=32, overlap_tokens=0)  # seven passages of three stories


def last(stream: Any) -> Any:
    return list(stream)[-1]


@pytest.fixture(scope="session")
def made_ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Assets, and a data folder of each kind whose sample library is read and embedded."""
    folder = tmp_path_factory.mktemp("made")
    assets = write_sample(folder / "assets")
    for name, hosted in (("local", False), ("hosted", True)):
        world = make_world(folder / name, assets=assets, hosted=hosted)
        world.visitors.prepare()
        if not hosted:
            with world.visitors.library("local", "sample") as library:
                library.change_settings(replace(library.settings, chunking=CHUNKING))
        world.visitors.complete()
        world.visitors.close()
    return folder


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, made_ready: Path) -> Iterator[World]:
    """One visitor's, with the sample library and an empty one of their own."""
    data = copied(made_ready / "local", tmp_path_factory.mktemp("world") / "data")
    made = make_world(data, assets=made_ready / "assets")
    yield made
    made.visitors.close()


@pytest.fixture
def hosted(tmp_path_factory: pytest.TempPathFactory, made_ready: Path) -> Iterator[World]:
    data = copied(made_ready / "hosted", tmp_path_factory.mktemp("world") / "data")
    made = make_world(data, assets=made_ready / "assets", hosted=True)
    yield made
    made.visitors.close()


@pytest.fixture
def handlers(world: World) -> Handlers:
    return world.handlers()


@pytest.fixture
def comparison(world: World) -> Any:
    return world.library("sample").ask("sluice gate built of oak", k=5)


def word_encoders() -> dict[str, FakeEncoder]:
    """Two counting encoders, one for each family."""
    even = fake_spec(encoder_id="count-dif", query_prompt="query: ")
    late = fake_spec(
        encoder_id="count-aut",
        family=Family.AUTOREGRESSIVE,
        attention=Attention.CAUSAL,
        query_prompt="query: ",
    )
    specs = (dataclasses.replace(even, label="Even"), dataclasses.replace(late, label="Late"))
    return {spec.encoder_id: FakeEncoder(spec) for spec in specs}


def _word_world(data: Path, made_ready: Path) -> World:
    return make_world(
        data,
        assets=made_ready / "assets",
        encoders=word_encoders(),
        default_library_id=OWN_ID,
    )


@pytest.fixture(scope="session")
def made_words(tmp_path_factory: pytest.TempPathFactory, made_ready: Path) -> Path:
    """A data folder with three files read and embedded in ``my-documents``."""
    folder = tmp_path_factory.mktemp("words")
    made = _word_world(folder / "data", made_ready)
    (folder / "uploads").mkdir()
    paths = [
        upload(folder / "uploads", f"{name}.txt", (text.replace("\n\n", "\n") * 3).encode())
        for name, text in STORIES.items()
    ]
    job = made.handlers().indexing.upload("local", OWN_ID, paths)[1]
    assert job is not None
    job.outcome()
    made.visitors.close()
    return folder / "data"


@pytest.fixture
def word_world(tmp_path: Path, made_words: Path, made_ready: Path) -> Iterator[World]:
    """A library of three files in ``my-documents``, by encoders that count words."""
    made = _word_world(copied(made_words, tmp_path / "data"), made_ready)
    yield made
    made.visitors.close()


@pytest.fixture
def real(word_world: World) -> Handlers:
    return word_world.handlers()
