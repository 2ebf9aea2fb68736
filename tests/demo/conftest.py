"""A page over a workbench in memory, and one over the real rooms with a counting encoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from core.encoders.pool import EncoderPool
from core.encoders.registry import Registry
from core.encoders.spec import Attention, Pair
from core.records import Family
from core.settings import DEFAULT_PAIR
from core.shelf import Shelves
from demo.handlers import Handlers
from demo.services import LibraryEntry, Services
from tests.demo.fakes import STORIES, FakeLibraries
from tests.encoders.fake import FakeEncoder, fake_spec


def last(stream: Any) -> Any:
    return list(stream)[-1]


def upload(folder: Any, name: Any, data: Any = b"The tide turns twice a day. Boats wait.") -> Any:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.fixture
def libraries() -> Any:
    made = FakeLibraries()
    made.new_visitor()
    return made


@pytest.fixture
def handlers(libraries: Any) -> Any:
    return Handlers(libraries.services())


@pytest.fixture
def hosted() -> Any:
    return FakeLibraries(hosted=True)


@pytest.fixture
def comparison(libraries: Any) -> Any:
    return libraries.open_library("local", "sample").ask("sluice gate built of oak", k=5)


def counting(spec: Any, **_options: Any) -> Any:
    return FakeEncoder(spec)


def counting_pool(tmp_path: Any) -> Any:
    """Two counting encoders under the default pair's id, one for each family."""
    specs = (
        dataclasses.replace(
            fake_spec(encoder_id="count-dif", query_prompt="query: "), label="Even"
        ),
        dataclasses.replace(
            fake_spec(
                encoder_id="count-aut",
                family=Family.AUTOREGRESSIVE,
                attention=Attention.CAUSAL,
                query_prompt="query: ",
            ),
            label="Late",
        ),
    )
    registry = Registry(
        {spec.encoder_id: spec for spec in specs},
        {
            DEFAULT_PAIR: Pair(
                DEFAULT_PAIR, "Counters", "count-dif", "count-aut", matched="all", unmatched=""
            )
        },
    )
    return EncoderPool(assets=tmp_path, registry=registry, load=counting)


@pytest.fixture
def real(tmp_path: Any) -> Iterator[Any]:
    """The real rooms in a temporary folder; uploads go to ``my-documents``."""
    shelves = Shelves(
        tmp_path / "data",
        pool=counting_pool(tmp_path),
        count_tokens=lambda texts: [len(text.split()) for text in texts],
        assets=tmp_path,
    )

    def listed(visitor_id: Any) -> Any:
        shelf = shelves.shelf(visitor_id)
        bench = shelf.open("my-documents")
        return (
            LibraryEntry("my-documents", "Mine", len(bench.documents()), bench.passage_count()),
        )

    services = Services(
        open_library=lambda visitor_id, library_id: shelves.shelf(visitor_id).open(library_id),
        libraries=listed,
        create_library=lambda *_: LibraryEntry("x", "x"),
        pairs=lambda: tuple(shelves.pool.registry.pairs.values()),
        new_visitor=shelves.new_visitor,
        known_visitor=shelves.known_visitor,
        upload_library_id=lambda _: "my-documents",
        default_library_id="my-documents",
    )
    made = Handlers(services)
    visitor = made.libraries.arrive("")[0]
    folder = tmp_path / "uploads"
    folder.mkdir()
    paths = []
    for name, text in STORIES.items():
        path = folder / name.replace("<b>", "").replace("</b>", "")
        path.write_text(text * 3, "utf-8")
        paths.append(path)
    _, job, _ = made.indexing.upload(visitor, "my-documents", paths)
    assert job is not None
    job.outcome()
    yield made
    shelves.close()
