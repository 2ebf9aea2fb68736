from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from core.comparison.compare import compare
from core.comparison.imported import (
    imported_column,
    read_csv_run,
    read_json_run,
    read_run,
    read_trec_run,
)
from core.errors import DatasetError, UnknownNameError
from core.records import Family
from tests.comparison.worlds import DOCUMENT_NAMES, QUERY, listed, passages

if TYPE_CHECKING:
    from pathlib import Path

TREC = "q1 Q0 p2 1 0.9 mine\nq1 Q0 p1 2 0.4 mine\n\nq2 Q0 p1 1 0.1 mine\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_trec_run(tmp_path: Path) -> None:
    run = read_trec_run(written(tmp_path, "x.trec", TREC))
    assert run.name == "mine"
    assert [(hit.passage_id, hit.score, hit.rank) for hit in run.ranking("q1").hits] == [
        ("p2", 0.9, 1),
        ("p1", 0.4, 2),
    ]


def test_scores_decide_and_ties_go_by_id(tmp_path: Path) -> None:
    text = "q Q0 b 1 0.5 x\nq Q0 a 2 0.5 x\nq Q0 c 3 0.9 x\n"
    run = read_trec_run(written(tmp_path, "x", text))
    assert run.ranking("q").passage_ids == ("c", "a", "b")


TABLE = {"q1": {"p1": 0.4, "p2": 0.9}, "q2": {"p1": 1}}


@pytest.mark.parametrize(
    "content",
    [TABLE, {"default": {"test": TABLE}, "mteb_model_meta": {"name": "x", "revision": None}}],
    ids=["plain", "mteb predictions"],
)
def test_json_runs(tmp_path: Path, content: object) -> None:
    run = read_json_run(written(tmp_path, "scores.json", json.dumps(content)))
    assert run.ranking("q1").passage_ids == ("p2", "p1")
    assert run.name == "scores"


@pytest.mark.parametrize(
    "text",
    [
        "query_id,passage_id,score\nq1,p1,0.4\nq1,p2,0.9\n",
        "rank,docid,qid\n2,p1,q1\n1,p2,q1\n",
        "\ufeffQuery Text,Doc ID,Doc Position\r\nq1,p1,2\r\nq1,p2,1\r\n",
    ],
    ids=["scores", "ranks", "quepid with a byte order mark"],
)
def test_csv_runs(tmp_path: Path, text: str) -> None:
    run = read_csv_run(written(tmp_path, "run.csv", text))
    assert run.ranking("q1").passage_ids == ("p2", "p1")


def test_the_form_is_told_by_the_name(tmp_path: Path) -> None:
    as_json = written(tmp_path, "a.JSON", json.dumps(TABLE))
    as_csv = written(tmp_path, "a.csv", "qid,docid,score\nq1,p2,2\nq1,p1,1\n")
    as_trec = written(tmp_path, "a.txt", TREC)
    for path in (as_json, as_csv, as_trec):
        assert read_run(path).ranking("q1").passage_ids == ("p2", "p1")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.trec", "q1 Q0 p1 1 0.5\n", r"x.trec, line 1: expected qid .* found 5 column"),
        ("x.trec", "q1 Q0 p1 1 0.5 t\nq1 Q0 p2 2 high t\n", r"line 2: the score 'high' is not a num"),
        ("x.trec", "q1 Q0 p1 1 nan t\n", r"line 1: the score 'nan' is not finite"),
        ("x.trec", "q1 Q0 p1 1 1 t\nq1 Q0 p1 2 0 t\n", r"line 2: 'p1' comes twice"),
        ("x.trec", "\n", r"holds no rankings"),
        ("x.json", "{", r"this is not JSON"),
        ("x.json", "[" * 200_000, r"this is not JSON"),
        ("x.json", "[]", r"expected query id, then passage id"),
        ("x.json", '{"q1": 3}', r"expected query id"),
        ("x.json", '{"q1": {"p1": "high"}}', r"query 'q1': the score 'high'"),
        ("x.json", '{"q1": {"p1": true}}', r"query 'q1': the score True"),
        ("x.json", '{"a": {"test": {"q": {"p": 1}}}, "b": {"test": {}}}', r"several runs .*a, b"),
        ("x.csv", "", r"is empty"),
        ("x.csv", "a,b\n1,2\n", r"line 1: expected columns query_id"),
        ("x.csv", "qid,docid,score\nq1,p1\n", r"line 2: found 2 column"),
        ("x.csv", "qid,docid,score\nq1,,1\n", r"line 2: an id is empty"),
    ],
)  # fmt: skip
def test_errors_name_the_file_and_the_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_run(written(tmp_path, name, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.trec cannot be read"):
        read_run(tmp_path / "nowhere.trec")
    (tmp_path / "bytes.trec").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(DatasetError, match="is not UTF-8"):
        read_run(tmp_path / "bytes.trec")


def test_a_run_becomes_a_column_of_a_comparison(tmp_path: Path) -> None:
    run = read_trec_run(written(tmp_path, "x", TREC))
    column, dropped = imported_column(run, query_id="q1", known={"p1", "p2"})
    assert dropped == 0
    comparison = compare(
        QUERY,
        [listed("diff", ["p1", "p2"], family=Family.DIFFUSION), column],
        {},
        k=2,
        passages=passages(["p1", "p2"]),
        document_names=DOCUMENT_NAMES,
    )
    assert comparison.column("run-mine").info.family is Family.IMPORTED
    assert comparison.passage("p2").standing("run-mine").rank == 1


def test_unknown_passages_are_dropped_and_counted(tmp_path: Path) -> None:
    run = read_trec_run(written(tmp_path, "x", TREC))
    column, dropped = imported_column(run, query_id="q1", known={"p1"}, system_id="s", label="S")
    assert dropped == 1
    assert [(hit.passage_id, hit.rank) for hit in column.ranking.hits] == [("p1", 1)]
    assert (column.info.system_id, column.info.label) == ("s", "S")


def test_a_run_of_another_library_is_refused(tmp_path: Path) -> None:
    run = read_trec_run(written(tmp_path, "x", TREC))
    with pytest.raises(UnknownNameError, match="none of which this library holds"):
        imported_column(run, query_id="q1", known={"other"})
    with pytest.raises(UnknownNameError, match="no query 'q9'; it has q1, q2"):
        imported_column(run, query_id="q9", known={"p1"})
