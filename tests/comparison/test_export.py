from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from core.comparison.compare import compare
from core.comparison.export import (
    quepid_ratings,
    quepid_snapshot,
    query_id_of,
    safe_cell,
    to_csv,
    to_trec_qrels,
    to_trec_run,
    trec_id,
    trec_runs,
)
from core.comparison.imported import read_csv_run, read_runs
from core.records import Family, Hit, Query, Ranking
from tests.comparison.worlds import (
    background,
    listed,
    passage,
    passages,
    random_scores,
    ranking,
    two_encoders,
)

if TYPE_CHECKING:
    from pathlib import Path

    from core.comparison.records import Comparison

IDS = [f"p{number:02d}" for number in range(20)]
HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =HYPERLINK(0)",
    "\tplain",  # spreadsheets that trim a leading tab are told apart from none
    "\x00=1",
    "\uff1d1+1",
    "=cmd|' /C calc'!A0",
]


@pytest.fixture
def comparison() -> Comparison:
    return two_encoders(
        ids=IDS,
        scores_a=random_scores(IDS, seed=1),
        scores_b=random_scores(IDS, seed=2),
        backgrounds={"diff": background(seed=3)},
        lexical=["p03", "p04"],
    )


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# -- CSV -----------------------------------------------------------------------------------


def test_csv_has_a_line_per_passage_and_four_columns_a_system(comparison: Comparison) -> None:
    rows = rows_of(to_csv(comparison))
    assert [row["passage_id"] for row in rows] == [one.passage_id for one in comparison.passages]
    first = comparison.passages[0]
    standing = first.standing("diff")
    assert rows[0]["document"] == "sluice.pdf"
    assert rows[0]["page_first"] == str(first.page_first)
    assert rows[0]["text"] == first.text
    assert float(rows[0]["diff score"]) == standing.score
    assert int(rows[0]["diff rank"]) == standing.rank
    assert float(rows[0]["diff z"]) == standing.z
    assert rows[0]["ar z"] == ""
    assert rows[0]["bm25 percentile"] == ""


@pytest.mark.parametrize("text", HOSTILE)
def test_formula_leading_cells_are_neutralised(text: str) -> None:
    hostile = passage("p1", text=text)
    comparison = compare(
        Query(query_id="q", text=text),
        [listed("a", ["p1"]), listed("b", ["p1"])],
        {},
        k=1,
        passages={"p1": hostile},
        document_names={"d1": text},
    )
    (row,) = rows_of(to_csv(comparison))
    for name in ("query", "document", "text"):
        assert row[name].startswith("'"), row[name]
        assert row[name][1:] == text.replace("\x00", "")


@pytest.mark.parametrize("text", ["plain", "a = b", "3-4", "", "Zeile\nzwei", "ärger", "🦊"])
def test_harmless_cells_stay_as_they_are(text: str) -> None:
    assert safe_cell(text) == text


@given(st.text(max_size=20))
def test_no_cell_starts_a_formula_whatever_the_text(text: str) -> None:
    cell = safe_cell(text)
    assert cell.lstrip()[:1] not in tuple("=+-@\uff1d\uff0b\uff0d\uff20") or not cell.lstrip()
    cell.encode("utf-8")


def test_negative_numbers_stay_numbers() -> None:
    comparison = two_encoders(
        ids=["p1"], scores_a={"p1": -0.25}, scores_b={"p1": -0.5}, backgrounds={}
    )
    (row,) = rows_of(to_csv(comparison))
    assert row["diff score"] == "-0.25"


# -- TREC ----------------------------------------------------------------------------------


def test_a_trec_line(comparison: Comparison) -> None:
    run = to_trec_run([ranking("bm25", ["p03", "p04"])], tag="bm25")
    assert run.splitlines()[0] == "q1 Q0 p03 1 1.0 bm25"
    assert set(trec_runs(comparison)) == {"diff", "ar", "bm25"}


def test_ids_hold_no_white_space_and_stay_apart() -> None:
    assert trec_id("a b") == "a%20b"
    assert trec_id("a%20b") == "a%2520b"
    assert trec_id("") == "%00"
    assert trec_id("über:1-2") == "über:1-2"
    assert trec_id("a\u00a0b\u2028") == "a%C2%A0b%E2%80%A8"


@given(st.text(max_size=12), st.text(max_size=12))
def test_different_ids_stay_different_and_are_one_word(first: str, second: str) -> None:
    assert len(trec_id(first).split()) == 1
    assert (trec_id(first) == trec_id(second)) == (first == second or {first, second} == {"", "\0"})


scores_strategy = st.lists(
    st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.5, 0.5000000001, 0.0, -0.0]),
    min_size=1,
    max_size=30,
).map(lambda scores: sorted(scores, reverse=True))


@given(scores_strategy)
def test_ranks_survive_trec_eval_sorting_by_score(scores: list[float]) -> None:
    hits = tuple(
        Hit(passage_id=f"p{rank:02d}", score=score, rank=rank)
        for rank, score in enumerate(scores, start=1)
    )
    run = to_trec_run([Ranking(query_id="q", system_id="x", hits=hits)], tag="x")
    written = np.array([line.split()[4] for line in run.splitlines()], dtype=np.float32)
    assert (np.diff(written) < 0).all()  # strictly, in single precision


def test_round_trip_and_pytrec_eval_agree_on_ties(tmp_path: Path) -> None:
    # All scores equal: trec_eval alone would order by id descending.
    hits = tuple(Hit(passage_id=one, score=0.5, rank=rank) for rank, one in enumerate(IDS, 1))
    ranked = Ranking(query_id="q", system_id="x", hits=hits)
    path = tmp_path / "x.trec"
    path.write_text(to_trec_run([ranked], tag="x"), encoding="utf-8")
    assert read_runs(path)[0].rankings["q"].passage_ids == ranked.passage_ids
    with path.open(encoding="utf-8") as file:
        parsed = pytrec_eval.parse_run(file)
    for place, relevant in enumerate(IDS, start=1):
        evaluator = pytrec_eval.RelevanceEvaluator({"q": {relevant: 1}}, {"recip_rank"})
        assert evaluator.evaluate(parsed)["q"]["recip_rank"] == pytest.approx(1 / place)


def test_qrels_are_written_and_read_by_pytrec_eval() -> None:
    text = to_trec_qrels([("q 1", "p1", 3), ("q 1", "p2", 0)])
    assert pytrec_eval.parse_qrel(io.StringIO(text)) == {"q%201": {"p1": 3, "p2": 0}}


# -- Quepid --------------------------------------------------------------------------------


def test_quepid_snapshot_opens_as_runs(comparison: Comparison, tmp_path: Path) -> None:
    text = quepid_snapshot(comparison, time="2026-01-02T03:04:05Z", case_id=7)
    rows = rows_of(text)
    assert list(rows[0]) == [
        "Snapshot Name",
        "Snapshot Time",
        "Case ID",
        "Query Text",
        "Doc ID",
        "Doc Position",
    ]
    assert [row["Doc ID"] for row in rows if row["Snapshot Name"] == "Bm25"] == ["p03", "p04"]
    only = [row for row in rows if row["Snapshot Name"] == "Diff"]
    assert [row["Doc Position"] for row in only] == [str(place) for place in range(1, 11)]
    path = tmp_path / "bm25.csv"
    lines = text.splitlines()
    path.write_text("\n".join([lines[0], *(line for line in lines if "Bm25" in line)]))
    assert read_csv_run(path).rankings[comparison.query.text].passage_ids == ("p03", "p04")


def test_quepid_ratings() -> None:
    assert quepid_ratings([("=q", "p1", 3)]) == "query,docid,rating\n'=q,p1,3\n"


def test_equal_queries_get_equal_ids() -> None:
    assert query_id_of("where?") == query_id_of("where?") != query_id_of("who?")
    assert trec_id(query_id_of("a b\ud800")) == query_id_of("a b\ud800")


def test_families_of_the_example_are_what_they_seem(comparison: Comparison) -> None:
    assert [column.info.family for column in comparison.columns] == [
        Family.DIFFUSION,
        Family.AUTOREGRESSIVE,
        Family.LEXICAL,
    ]
    assert len(passages(IDS)) == 20
