from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from core.errors import CoreError, UsageError
from core.evaluation.evaluate import evaluate_beir
from core.evaluation.runs import (
    RUNS_FOLDER,
    KeptRun,
    compare_runs,
    compared_text,
    keep,
    kept_run,
    list_runs,
    read_kept_run,
    run_path,
    runs_text,
)
from tests.evaluation.folders import ANSWERS, fake_pair, write_folder

if TYPE_CHECKING:
    from pathlib import Path

ALIKE = {"documents": "d", "queries": "q", "judgments": "j"}
HOSTILE = "<script>alert(1)</script>\u202e../../x"


def run_of(*values: float, name: str = "", **changes: object) -> KeptRun:
    made = KeptRun(
        name=name,
        made="2026-01-01T00:00:00+00:00",
        identity=ALIKE,
        query_ids=tuple(f"q{number}" for number in range(1, len(values) + 1)),
        clusters=tuple(range(len(values))),
        figures={"enc": {"nDCG@10": values}},
        named=bool(name),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # by name


ONE = run_of(0.2, 0.5, 1.0, name="one")
TWO = run_of(0.7, 0.5, 0.4, name="two")


def test_two_runs_side_by_side() -> None:
    # second minus first: q1 +.5, q2 0, q3 -.6; the mean is -.1 / 3
    found = compare_runs(ONE, TWO)
    assert (found.queries, found.warnings) == (3, ())
    (system,) = found.systems
    assert [system.first, system.second] == pytest.approx([1.7 / 3, 1.6 / 3])
    assert system.difference.value == pytest.approx(-0.1 / 3)
    assert system.difference.withheld == "3 queries cannot have one"
    # the largest change first, none that is no change
    assert [(one.query_id, one.first, one.second) for one in found.deciding] == [
        ("q3", 1.0, 0.4),
        ("q1", 0.2, 0.7),
    ]
    lines = compared_text(found)
    assert lines[1] == "  Nothing differs between their identities."
    assert "enc     0.567  0.533  -0.033 [withheld]" in lines


def test_a_missing_identity_is_unknown_and_never_equal() -> None:
    before = replace(ONE, identity={**ALIKE, "enc": "f1"})
    after = replace(TWO, identity={"documents": "d2", "queries": "q"})
    found = compare_runs(before, after)
    states = {name: part[0] for name, part in found.parts.items()}
    assert states == {
        "documents": "differs",
        "judgments": "unknown",
        "enc": "unknown",
        "queries": "same",
    }
    lines = compared_text(found)
    assert lines[1:4] == [
        "  documents: d -> d2",
        "  judgments: j -> unknown",
        "  enc: f1 -> unknown",
    ]
    nothing = replace(ONE, identity={})
    assert "judgments of both runs are unknown" in " ".join(compare_runs(nothing, nothing).warnings)


@pytest.mark.parametrize(
    ("judgments", "said"),
    [
        pytest.param({"judgments": "others"}, "The judgments differ: a passage that", id="differ"),
        pytest.param(
            {"judgments": ""}, "The judgments of one run are unknown and may", id="unknown"
        ),
    ],
)
def test_figures_of_other_judgments_stand_below_a_sentence(
    judgments: dict[str, str], said: str
) -> None:
    found = compare_runs(ONE, replace(TWO, identity={**ALIKE, **judgments}))
    lines = compared_text(found)
    place = next(number for number, line in enumerate(lines) if line.startswith(said))
    assert place < lines.index("nDCG@10 over 3 queries in both runs")


def test_only_the_same_queries_are_paired() -> None:
    # q3 has another text in the second run, q4 is in the second alone
    first = replace(ONE, texts=("a", "b", "c"))
    second = run_of(0.7, 0.5, 0.4, 0.9, name="two", texts=("a", "b", "changed", "d"))
    found = compare_runs(first, second)
    assert found.queries == 2
    assert [one.text for one in found.deciding] == ["a"]
    strangers = compare_runs(ONE, replace(TWO, query_ids=("x", "y", "z")))
    assert (strangers.systems, strangers.deciding) == ((), ())
    assert strangers.warnings == (
        "The runs have no query in common, so there is nothing to compare.",
    )


def test_systems_of_one_run_alone_and_measures_of_none_are_said() -> None:
    other = replace(TWO, figures={"new": TWO.figures["enc"]})
    assert compare_runs(ONE, other).warnings == (
        "Only one has enc.",
        "Only two has new.",
        "The runs have no system in common, so there is nothing to compare.",
    )
    assert compare_runs(ONE, TWO, measure="ndcg@10").measure == "nDCG@10"
    with pytest.raises(UsageError, match=r"no MRR@10 in common; choose one of nDCG@10\."):
        compare_runs(ONE, TWO, measure="MRR@10")


def test_an_evaluation_is_kept_once_under_a_name_of_its_own(tmp_path: Path) -> None:
    evaluation = evaluate_beir(write_folder(tmp_path / "ani mals"), fake_pair())
    whole, identity = evaluation.whole, evaluation.identity
    run = kept_run(whole, identity, pair=evaluation.pair, queries=evaluation.queries)
    assert set(run.identity) >= {"documents", "queries", "judgments", "unit", "fake-causal"}
    name = keep(run, tmp_path)
    assert name == f"ani-mals-{run.made[:10]}-1"
    assert read_kept_run(run_path(name, tmp_path)) == replace(run, name=name)
    assert keep(replace(run, made="2030-01-01"), tmp_path) == name  # the same again
    other = evaluate_beir(
        write_folder(tmp_path / "ani mals", qrels={**ANSWERS, "q1": {"eel": 1}}), fake_pair()
    )
    assert keep(kept_run(other.whole, other.identity), tmp_path).endswith("-2")
    assert keep(kept_run(whole, identity, name="base"), tmp_path) == "base"
    lines, problems = list_runs(tmp_path)
    assert ({line.name.rpartition("-")[2] for line in lines}, problems) == ({"1", "2", "base"}, ())
    line = next(line for line in lines if line.name == name)
    assert (line.dataset, line.queries) == ("ani mals", 3)
    assert line.encoders == ("fake-diffusion", "fake-causal")
    assert evaluation.whole.difference["nDCG@10"].value == pytest.approx(line.difference)
    assert runs_text(lines)[0].startswith("name")


def test_the_oldest_runs_without_a_users_name_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.evaluation.runs.UNNAMED_KEPT", 2)
    keep(run_of(0.0, name="mine", made="2020-01-01"), tmp_path)
    for day in (1, 2, 3, 4):
        keep(run_of(day / 10, made=f"2026-01-0{day}"), tmp_path)
    names = [line.name for line in list_runs(tmp_path)[0]]
    assert names == ["run-2026-01-04-1", "run-2026-01-03-1", "mine"]


def test_a_damaged_file_is_named_and_the_others_are_listed(tmp_path: Path) -> None:
    keep(ONE, tmp_path)
    folder = tmp_path / RUNS_FOLDER
    (folder / "broken.json").write_text("{")
    (folder / "no name.json").write_text("{}")
    (folder / ".tmp-half.json").write_text("{")
    lines, problems = list_runs(tmp_path, tmp_path / "none")
    assert [line.name for line in lines] == ["one"]
    assert len(problems) == 2
    assert problems[0].startswith("A kept run is left out: broken.json is no kept run")
    assert "'no name' is not" in problems[1]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "", ".hidden", "a/b", "a\0b", HOSTILE])
def test_a_hostile_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="letters, digits, dots and dashes"):
        run_path(name, tmp_path)


def test_a_hostile_data_set_gives_a_harmless_name(tmp_path: Path) -> None:
    run = run_of(0.5, dataset=HOSTILE, texts=(HOSTILE,))
    name = keep(run, tmp_path)
    assert name == "script-alert-1-script-..-..-x-2026-01-01-1"
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / RUNS_FOLDER]
    assert run_path("ci/base.json", tmp_path).as_posix() == "ci/base.json"


def test_texts_and_clusters_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for wrong in ({"texts": ("a",)}, {"clusters": (0,)}):
        keep(run_of(0.1, 0.2, name="x", **wrong), tmp_path)
        with pytest.raises(CoreError, match="each query needs its"):
            read_kept_run(run_path("x", tmp_path))
