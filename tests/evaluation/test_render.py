from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from core.comparison.imported import read_runs
from core.errors import DatasetError
from core.evaluation.evaluate import evaluate_beir
from core.evaluation.render import to_text, write_results
from tests.evaluation.folders import fake_pair, write_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lengths(tmp_path: Path) -> Path:
    documents = {
        f"key_{length}_{name}": ("", name) for length in (8, 16) for name in ("ann", "bob")
    }
    qrels = {f"q{length}": {f"key_{length}_bob": 1} for length in (8, 16)}
    return write_folder(
        tmp_path / "keys",
        documents=documents,
        queries=dict.fromkeys(qrels, "bob"),
        qrels=qrels,
        lengths={length: {f"q{length}": qrels[f"q{length}"]} for length in (8, 16)},
    )


def test_some_lengths_alone_with_accuracy(lengths: Path) -> None:
    evaluation = evaluate_beir(lengths, fake_pair(), lengths=[8])
    (part,) = evaluation.lengths
    assert (part.length, part.queries, part.passages) == (8, 1, 2)
    assert (evaluation.whole.queries, evaluation.whole.passages) == (1, 2)
    for system in part.systems:
        assert system.measures["Accuracy@1"].value == system.measures["MRR@10"].value == 1.0
    assert part.difference["Accuracy@1"].value == 0.0
    assert "Accuracy@1" not in evaluation.whole.systems[0].measures
    table = to_text(evaluation)
    assert table.count("Accuracy@1") == 1


def test_lengths_are_in_the_json_and_in_the_table(lengths: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    evaluation = evaluate_beir(lengths, fake_pair())
    write_results(evaluation, json_path=path)
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert [part["length"] for part in fields["lengths"]] == [8, 16]
    for part in fields["lengths"]:
        assert (part["queries"], part["passages"]) == (1, 2)
        assert part["systems"][0]["measures"]["nDCG@10"]["value"] == 1.0
    text = to_text(evaluation)
    assert "length 8: 1 queries, 2 documents" in text
    assert "length 16: 1 queries, 2 documents" in text


def test_runs_can_be_loaded_again_as_columns(lengths: Path, tmp_path: Path) -> None:
    evaluation = evaluate_beir(lengths, fake_pair())
    write_results(evaluation, runs_folder=tmp_path / "runs")
    for system in evaluation.whole.systems:
        run = read_runs(tmp_path / "runs" / f"{system.system_id}.trec")[0]
        assert run.name == system.system_id
        for ranking in system.rankings:
            assert run.rankings[ranking.query_id].passage_ids == ranking.passage_ids


def test_a_place_that_cannot_be_written_is_named(lengths: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(DatasetError, match="taken cannot be written"):
        write_results(evaluate_beir(lengths, []), json_path=taken)
