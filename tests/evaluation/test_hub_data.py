"""Collections of the hub over plain HTTP: a stand-in serves Parquet as the hub lays it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest

from core.errors import DatasetError, UsageError
from core.evaluation.beir import read_beir
from core.evaluation.hub_data import hub_collection
from tests.encoders.hub import COMMIT, LocalHub, serving

DOCUMENTS = [("d1", "Locks", "A lock lifts a barge."), ("d2", None, "Owls hunt at night.")]
QUERIES = [("q1", "What lifts a barge?"), ("q2", "Which bird hunts at night?")]
JUDGMENTS = [("q1", "d1", 1), ("q2", "d2", 1)]


def write(path: Path, columns: str, rows: Sequence[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns.split()).to_parquet(path)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with serving() as made:
        folder = tmp_path / "repositories"
        write(folder / "texts" / "corpus" / "corpus" / "0000.parquet", "_id title text", DOCUMENTS)
        write(folder / "texts" / "queries" / "queries" / "0000.parquet", "_id text", QUERIES)
        for split, rows in (("test", JUDGMENTS), ("train", JUDGMENTS[:1])):
            path = folder / "qrels" / "default" / split / "0000.parquet"
            write(path, "query-id corpus-id score", rows)
        made.repositories |= {
            "BeIR/tiny": folder / "texts",
            "BeIR/tiny-qrels": folder / "qrels",
            "BeIR/empty": tmp_path / "nothing",
        }
        (tmp_path / "nothing").mkdir()
        yield made


def fetched(hub: LocalHub, tmp_path: Path, name: str, *, offline: bool = False) -> tuple[Path, str]:
    return hub_collection(
        name,
        cache=tmp_path / "cache",
        offline=offline,
        endpoint=hub.endpoint,
        hub_cache=tmp_path / "hub",
    )


def test_a_collection_is_fetched_once_and_read_offline_after(hub: LocalHub, tmp_path: Path) -> None:
    folder, split = fetched(hub, tmp_path, "BeIR/tiny")
    assert (split, folder.name) == ("test", f"BeIR--tiny-{COMMIT[:12]}-{COMMIT[:12]}")
    whole = read_beir(folder).whole
    assert whole.documents == {"d1": "Locks A lock lifts a barge.", "d2": "Owls hunt at night."}
    assert whole.queries == dict(QUERIES)
    assert whole.qrels == {"q1": {"d1": 1}, "q2": {"d2": 1}}
    asked = len(hub.requests)
    assert fetched(hub, tmp_path, "BeIR/tiny", offline=True)[0] == folder
    assert len(hub.requests) == asked
    folder, split = fetched(hub, tmp_path, "BeIR/tiny:train")
    assert split == "train"
    assert read_beir(folder, split="train").whole.qrels == {"q1": {"d1": 1}}
    assert len(read_beir(folder).whole.qrels) == 2  # the first split is still there


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("scifact", UsageError, "owner/name"),
        ("BeIR/gone", DatasetError, "could not be fetched"),
        ("BeIR/empty", DatasetError, "no Parquet"),
        ("BeIR/tiny:dev", DatasetError, "no judgments of a split 'dev'"),
    ],
)
def test_what_is_not_there_is_named(
    name: str, error: type[Exception], words: str, hub: LocalHub, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        fetched(hub, tmp_path, name)


def test_offline_asks_nobody(hub: LocalHub, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not on this machine"):
        fetched(hub, tmp_path, "BeIR/tiny", offline=True)
