"""Runs from elsewhere, kept with a library and shown as columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.comparison.compare import compare
from core.comparison.imported import ImportedRun
from core.comparison.matching import PassageMatcher
from core.comparison.runs import (
    RUNS_KEPT,
    forget_run,
    keep_run,
    kept_runs,
    matched_runs,
    run_columns,
)
from core.errors import UnknownNameError, UsageError
from core.records import Family, Hit, Ranking
from core.store.workspace import Workspace
from tests.comparison.worlds import DOCUMENT_NAMES, QUERY, listed, passages

HELD = passages(["p1", "p2"])
MATCHER = PassageMatcher(HELD.values(), DOCUMENT_NAMES)


def a_run(name: str = "Their <b>run</b>", *ids: str, query: str = QUERY.query_id) -> ImportedRun:
    hits = tuple(
        Hit(passage_id, 1.0 / rank, rank) for rank, passage_id in enumerate(ids or ("p2", "p1"), 1)
    )
    return ImportedRun(name, {query: Ranking(query, name, hits)}, {"other": "Another question?"})


def test_a_run_becomes_a_column_of_a_comparison() -> None:
    (column,) = run_columns([a_run()], QUERY, matcher=MATCHER)
    assert (column.failure, column.note) == ("", "")
    comparison = compare(
        QUERY,
        [
            listed("diff", ["p1", "p2"], family=Family.DIFFUSION),
            listed("auto", ["p1", "p2"], family=Family.AUTOREGRESSIVE),
            column,
        ],
        {},
        k=2,
        passages=HELD,
        document_names=DOCUMENT_NAMES,
    )
    shown = comparison.column("run-their-b-run-b")
    assert shown.info.family is Family.IMPORTED
    assert shown.info.label == "Their <b>run</b>"  # the page escapes it
    assert comparison.passage("p2").standing("run-their-b-run-b").rank == 1


def test_what_is_not_of_this_library_is_told_in_the_column() -> None:
    (column,) = run_columns([a_run("x", "p2", "zz", "p1")], QUERY, matcher=MATCHER)
    assert column.ranking.passage_ids == ("p2", "p1")
    assert column.note.startswith("2 of 3 hits are of this library")
    assert '"zz"' in column.note


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (a_run("x", query="q77"), r"was not asked this query. It has 1: \"q77\""),
        (a_run("x", "zz"), "Nothing to show: 0 of 1 hits are of this library"),
    ],
)
def test_an_empty_column_says_why(run: ImportedRun, words: str) -> None:
    (column,) = run_columns([run], QUERY, matcher=MATCHER)
    assert column.ranking.hits == ()
    assert words.replace("\\", "") in column.failure


def test_two_runs_of_one_name_are_two_systems() -> None:
    made = run_columns(
        [a_run("x"), a_run("X")], QUERY, matcher=MATCHER,
        taken=["run-x-2"],
    )  # fmt: skip
    assert [column.info.system_id for column in made] == ["run-x", "run-x-3"]


def test_runs_are_kept_with_the_library(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "w") as workspace:
        run_id = keep_run(workspace, a_run())
        other = keep_run(workspace, a_run("second", "p1", "nothing"))
    with Workspace.open(tmp_path / "w") as workspace:
        assert list(kept_runs(workspace)) == [run_id, other]
        assert kept_runs(workspace)[run_id].rankings[QUERY.query_id].passage_ids == ("p2", "p1")
        assert kept_runs(workspace)[run_id].queries == {"other": "Another question?"}
        reports = matched_runs(kept_runs(workspace), MATCHER)
        assert [(kept.matched.matched, kept.matched.hits) for kept in reports] == [(2, 2), (1, 2)]
        forget_run(workspace, run_id)
        assert list(kept_runs(workspace)) == [other]
        with pytest.raises(UnknownNameError):
            forget_run(workspace, run_id)


def test_a_library_keeps_only_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workspace.open(tmp_path / "w") as workspace:
        monkeypatch.setattr("core.comparison.runs.MAX_KEPT_CHARS", 10)
        with pytest.raises(UsageError, match="more than a library keeps"):
            keep_run(workspace, a_run())
        monkeypatch.undo()
        for number in range(RUNS_KEPT):
            keep_run(workspace, a_run(str(number)))
        with pytest.raises(UsageError, match=f"{RUNS_KEPT} runs in this library already"):
            keep_run(workspace, a_run("one more"))
