from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from core.comparison.compare import compare
from core.comparison.export import to_csv, trec_runs
from core.comparison.imported import (
    read_csv_run,
    read_json_run,
    read_query_texts,
    read_runs,
)
from core.comparison.records import to_json
from core.errors import DatasetError
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
    run = read_runs(written(tmp_path, "x.trec", TREC))[0]
    assert run.name == "mine"
    assert [(hit.passage_id, hit.score, hit.rank) for hit in run.rankings["q1"].hits] == [
        ("p2", 0.9, 1),
        ("p1", 0.4, 2),
    ]


def test_scores_decide_then_the_rank_then_the_id(tmp_path: Path) -> None:
    text = "q Q0 b 1 0.5 x\nq Q0 a 2 0.5 x\nq Q0 c 3 0.9 x\n"
    run = read_runs(written(tmp_path, "x", text))[0]
    assert run.rankings["q"].passage_ids == ("c", "b", "a")
    table = "query,passage_id,score,rank\nq,z9,0.5,1\nq,m5,0.5,2\nq,a1,0.5,3\n"
    assert read_csv_run(written(tmp_path, "x.csv", table)).rankings["q"].passage_ids == (
        "z9",
        "m5",
        "a1",
    )
    same = read_json_run(written(tmp_path, "x.json", '{"q": {"b": 0.5, "a": 0.5}}'))
    assert same.rankings["q"].passage_ids == ("a", "b")


def test_columns_end_at_blanks_and_tabs_and_a_seventh_is_ignored(tmp_path: Path) -> None:
    text = "q1 Q0\td1\u3000x 1 2.5 t extra\n"
    run = read_runs(written(tmp_path, "x.trec", text))[0]
    assert run.name == "t"
    assert run.rankings["q1"].passage_ids == ("d1\u3000x",)  # a wide space belongs to the id


def test_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    queries = written(tmp_path, "q.jsonl", '{"_id": "q1", "text": "dry\u2028pump"}\r\n')
    assert read_query_texts(queries) == {"q1": "dry\u2028pump"}
    run = read_runs(written(tmp_path, "x.trec", "q1 Q0 d\u20281 1 2.5 t\r\n"))[0]
    assert run.rankings["q1"].passage_ids == ("d\u20281",)
    table = read_csv_run(written(tmp_path, "x.csv", "query,passage_id,score\na\u2028b,p1,1\n"))
    assert list(table.rankings) == ["a\u2028b"]


def test_several_chunks_of_a_page_are_one_place(tmp_path: Path) -> None:
    text = "query,document,page,score\npump,r.pdf,3,0.8\npump,r.pdf,3,0.9\npump,r.pdf,4,0.1\n"
    run = read_csv_run(written(tmp_path, "x.csv", text))
    assert [(hit.passage_id, hit.score) for hit in run.rankings["pump"].hits] == [
        ("r.pdf#page=3", 0.9),
        ("r.pdf#page=4", 0.1),
    ]
    assert run.notes == ("1 hit names again what stands higher already.",)


def test_a_page_0_means_that_pages_count_from_0(tmp_path: Path) -> None:
    text = "query,source,page,score\npump,/data/report.pdf,0,0.9\npump,/data/report.pdf,1,0.8\n"
    run = read_csv_run(written(tmp_path, "x.csv", text))
    assert run.rankings["pump"].passage_ids == (
        "/data/report.pdf#page=1",
        "/data/report.pdf#page=2",
    )
    assert run.notes == ("Its pages count from 0; 1 was added to each.",)
    # a label that is a number is what people see
    both = "query,source,page,page_label,score\npump,r.pdf,1,2,0.9\n"
    labelled = read_csv_run(written(tmp_path, "y.csv", both))
    assert labelled.rankings["pump"].passage_ids == ("r.pdf#page=2",)
    assert labelled.notes == ()
    roman = "query,source,page,page_label,score\npump,r.pdf,0,iv,0.9\n"
    assert read_csv_run(written(tmp_path, "z.csv", roman)).rankings["pump"].passage_ids == (
        "r.pdf#page=1",
    )


TABLE = {"q1": {"p1": 0.4, "p2": 0.9}, "q2": {"p1": 1}}


@pytest.mark.parametrize(
    "content",
    [TABLE, {"default": {"test": TABLE}, "mteb_model_meta": {"name": "x", "revision": None}}],
    ids=["plain", "mteb predictions"],
)
def test_json_runs(tmp_path: Path, content: object) -> None:
    run = read_json_run(written(tmp_path, "scores.json", json.dumps(content)))
    assert run.rankings["q1"].passage_ids == ("p2", "p1")
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
    assert run.rankings["q1"].passage_ids == ("p2", "p1")


def test_the_form_is_told_by_the_name(tmp_path: Path) -> None:
    as_json = written(tmp_path, "a.JSON", json.dumps(TABLE))
    as_csv = written(tmp_path, "a.csv", "qid,docid,score\nq1,p2,2\nq1,p1,1\n")
    as_trec = written(tmp_path, "a.txt", TREC)
    for path in (as_json, as_csv, as_trec):
        assert read_runs(path)[0].rankings["q1"].passage_ids == ("p2", "p1")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.trec", "q1 Q0 p1 1 0.5\n", r"x.trec, line 1: expected qid .* found 5 column"),
        ("x.trec", "q1 Q0 p1 1 0.5 t\nq1 Q0 p2 2 high t\n", r"line 2: the score 'high' is not a num"),
        ("x.trec", "q1 Q0 p1 1 nan t\n", r"line 1: the score 'nan' is not finite"),
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
        read_runs(written(tmp_path, name, text))[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.trec cannot be read"):
        read_runs(tmp_path / "nowhere.trec")[0]
    (tmp_path / "bytes.trec").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(DatasetError, match="is not UTF-8"):
        read_runs(tmp_path / "bytes.trec")[0]


def test_each_tag_of_a_trec_file_is_a_run(tmp_path: Path) -> None:
    text = "q Q0 a 1 0.9 one\nq Q0 a 1 0.2 two\nq Q0 b 2 0.1 two\n"
    path = written(tmp_path, "both.run", text)
    one, two = read_runs(path)
    assert (one.name, two.name) == ("one", "two")
    assert two.rankings["q"].passage_ids == ("a", "b")


def test_what_bifocal_exports_can_be_read_back(tmp_path: Path) -> None:
    """A comparison as TREC, CSV and JSON: the same runs each time."""
    comparison = compare(
        QUERY,
        [
            listed("diff", ["p1", "p2"], family=Family.DIFFUSION),
            listed("auto", ["p2", "p3"], family=Family.AUTOREGRESSIVE),
        ],
        {},
        k=2,
        passages=passages(["p1", "p2", "p3"]),
        document_names=DOCUMENT_NAMES,
    )
    for name, text in (
        ("x.run", "".join(trec_runs(comparison).values())),
        ("x.csv", "\ufeff" + to_csv(comparison)),
        ("x.json", to_json(comparison)),
    ):
        first, second = read_runs(written(tmp_path, name, text))
        for run, ids in ((first, ("p1", "p2")), (second, ("p2", "p3"))):
            found = run.answer(QUERY.text, [QUERY.query_id])
            assert found is not None, name
            assert found.passage_ids == ids, name


def test_a_document_and_a_page_stand_for_a_missing_passage_id(tmp_path: Path) -> None:
    text = "query,source,page,similarity\nWhy?,a b.pdf,3,0.5\nWhy?,c.pdf,,0.4\n"
    (run,) = read_runs(written(tmp_path, "other.csv", text))
    found = run.answer("why?")
    assert found is not None
    assert found.passage_ids == ("a b.pdf#page=3", "c.pdf")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "queries.jsonl",
            '{"_id": "q1", "text": "Why  did it fail?"}\n\n{"id": "q2", "text": "x"}',
        ),
        ("queries.tsv", "q1\tWhy  did it fail?\nq2\tx\n"),
    ],
)
def test_a_query_is_found_by_its_words(tmp_path: Path, name: str, text: str) -> None:
    (run,) = read_runs(written(tmp_path, "x.trec", TREC), queries=written(tmp_path, name, text))
    found = run.answer(" why did it\nFAIL? ")
    assert found is not None
    assert found.passage_ids == ("p2", "p1")
    assert run.answer("anything else") is None
    assert run.answer("anything else", ["q9", "q2"]) is not None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.tsv", "q1 no tab\n", r"q.tsv, line 1: expected a query id, a tab"),
        ("q.jsonl", '{"_id": "q"}\n', r'line 1: expected {"_id"'),
        ("q.jsonl", "[" * 100_000, r"line 1: expected"),
        ("q.tsv", "", r"holds no queries"),
    ],
)
def test_query_files_that_are_none(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_query_texts(written(tmp_path, name, text))


def test_files_that_are_too_large_or_hold_too_much_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "x.trec", TREC)
    with pytest.raises(DatasetError, match=r"x\.trec has 0 MiB; up to 0 MiB are read"):
        read_runs(path, most_bytes=10)
    many = "".join(f"q Q0 p 1 1 tag{number}\n" for number in range(9))
    with pytest.raises(DatasetError, match=r"holds 9 runs .*keep 8 at most"):
        read_runs(written(tmp_path, "many.trec", many))


def test_an_mteb_result_is_no_ranking(tmp_path: Path) -> None:
    text = json.dumps({"task_name": "LEMBPasskeyRetrieval", "scores": {"test": []}})
    with pytest.raises(DatasetError, match=r"figures, not a ranking\. Add it to the benchmark"):
        read_runs(written(tmp_path, "LEMBPasskeyRetrieval.json", text))


def test_a_folder_of_mteb_predictions(tmp_path: Path) -> None:
    for name in ("model_a", "model_b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        table = {"default": {"test": TABLE}, "mteb_model_meta": {"name": name}}
        written(tmp_path / "p" / name, f"{name}_predictions.json", json.dumps(table))
    runs = read_runs(tmp_path / "p")
    assert [run.name for run in runs] == ["model_a_predictions", "model_b_predictions"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no predictions"):
        read_runs(tmp_path / "empty")
