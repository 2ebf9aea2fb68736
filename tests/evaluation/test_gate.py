from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from core.errors import DatasetError, UnknownNameError, UsageError
from core.evaluation.gate import Outcome, Policy, gate, read_policy, to_junit, to_markdown
from core.evaluation.runs import KeptRun, identity_parts, read_kept_run, run_to_json

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ALIKE = {"documents": "d", "queries": "q", "judgments": "j"}
POLICY = Policy(measures={"nDCG@10": 0.02})


def kept(values: NDArray[np.float64], *, name: str = "run", **identity: str) -> KeptRun:
    return KeptRun(
        name=name,
        made="2026-01-01T00:00:00+00:00",
        identity=ALIKE | identity,
        query_ids=tuple(f"q{number}" for number in range(len(values))),
        clusters=tuple(range(len(values))),
        figures={"enc": {"nDCG@10": tuple(values.tolist())}},
    )


def shifted(by: float, *, queries: int = 200, noise: float = 0.05) -> tuple[KeptRun, KeptRun]:
    generator = np.random.default_rng(0)
    before = generator.uniform(0.3, 0.7, queries)
    change = generator.normal(0, noise, queries)
    return kept(before, name="base"), kept(before + change - change.mean() + by)


@pytest.mark.parametrize(
    ("by", "queries", "outcome"),
    [
        pytest.param(0.0, 200, Outcome.PASS, id="as good"),
        pytest.param(0.1, 200, Outcome.PASS, id="better"),
        pytest.param(-0.1, 200, Outcome.BLOCK, id="worse by far more than .02"),
        pytest.param(-0.021, 200, Outcome.HOLD, id="about at the threshold"),
        pytest.param(0.0, 10, Outcome.HOLD, id="too few queries"),
    ],
)
def test_what_the_gate_says(by: float, queries: int, outcome: Outcome) -> None:
    base, run = shifted(by, queries=queries)
    report = gate(base, run, POLICY)
    assert report.outcome is outcome
    assert f"## Gate: {outcome.name}" in to_markdown(report)
    if outcome is Outcome.HOLD:
        (check,) = report.checks
        assert check.more_queries is not None
        assert f"about {check.more_queries:,} more queries" in to_markdown(report)


def test_the_same_run_again_passes() -> None:
    base, _ = shifted(0.0)
    assert gate(base, replace(base, name="again"), POLICY).outcome is Outcome.PASS


def test_a_comparison_that_is_not_valid_fails_with_its_reason() -> None:
    base, run = shifted(0.0)
    other = replace(run, identity={**run.identity, "judgments": "others"})
    report = gate(base, other, POLICY)
    assert (report.outcome, report.reasons) == (Outcome.FAIL, ("The judgments differ.",))
    assert "- judgments: j -> others" in to_markdown(report)
    unknown = replace(run, identity={"documents": "d", "queries": "q"})
    assert gate(base, unknown, POLICY).reasons == ("The judgments are unknown in one run.",)
    renamed = replace(run, query_ids=tuple(f"x{n}" for n in range(200)))
    assert gate(base, renamed, POLICY).reasons == ("The runs have no query in common.",)
    wanted = Policy(measures={"MRR@10": 0.1})
    assert gate(base, run, wanted).reasons[0] == "base has no MRR@10 of enc."
    moved = replace(run, identity={**run.identity, "documents": "new"})
    allowed = Policy(measures={"nDCG@10": 0.02}, may_differ=("documents",))
    assert gate(base, moved, allowed).outcome is Outcome.PASS


def test_what_differs_stands_first_and_a_missing_part_is_unknown() -> None:
    one, two = kept(np.zeros(1), unit="document"), kept(np.zeros(1), enc="f2", bifocal="1")
    two = replace(two, identity={**two.identity, "queries": "others"})
    states = [(name, part[0]) for name, part in identity_parts(one, two).items()]
    assert states == [
        ("queries", "differs"),
        ("unit", "unknown"),
        ("enc", "unknown"),
        ("bifocal", "unknown"),
        ("documents", "same"),
        ("judgments", "same"),
    ]


def test_many_measures_do_not_make_a_false_block_likely() -> None:
    # 100 releases at the very threshold, ten measures each: false answers in about 1 of 20
    generator = np.random.default_rng(1)
    policy = Policy(measures={f"m{n}": 0.02 for n in range(10)})
    blocked = passed = 0
    for _ in range(100):
        before = generator.uniform(0.3, 0.7, (10, 40))
        after = before - 0.02 + generator.normal(0, 0.05, (10, 40))
        old, new = (
            replace(
                kept(rows[0]),
                figures={"enc": {f"m{n}": tuple(row.tolist()) for n, row in enumerate(rows)}},
            )
            for rows in (before, after)
        )
        outcomes = [check.outcome for check in gate(old, new, policy).checks]
        blocked += Outcome.BLOCK in outcomes
        passed += Outcome.PASS in outcomes
    assert blocked <= 8
    assert passed <= 8


def test_junit_has_a_case_a_check() -> None:
    base, worse = shifted(-0.1)
    suite = ET.fromstring(to_junit(gate(base, worse, POLICY)))  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "BLOCK"
    base, run = shifted(0.0)
    failed = to_junit(gate(base, replace(run, identity={}), POLICY))
    assert ET.fromstring(failed).get("errors") == "1"  # noqa: S314 - our own


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "is not TOML"),
        ("alpha = 0.05", "policy.toml: measures: Field required"),
        ('[measures]\n"nDCG@10" = 2', "a loss from 0 to below 1"),
        ('colour = 1\n[measures]\n"nDCG@10" = 0.02', "policy.toml: colour: Unexpected keyword"),
        ('alpha = 7\n[measures]\n"nDCG@10" = 0.02', "alpha is 7"),
        ('may_differ = ["moon"]\n[measures]\nx = 0.1', "documents, queries, judgments only"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_policy(path)


def test_a_file_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="evaluate --keep gone"):
        read_kept_run(tmp_path / "gone.json")
    path = tmp_path / "x.json"
    for text in ("[]", "{", '{"name": "x"}'):
        path.write_text(text)
        with pytest.raises(DatasetError, match=r"x\.json is no kept run"):
            read_kept_run(path)
    base = kept(np.array([0.5, 0.5]))
    path.write_text(run_to_json(base).replace("0.5,0.5", "0.5,NaN"))
    with pytest.raises(DatasetError):
        read_kept_run(path)
    path.write_text(run_to_json(base).replace("0.5,0.5", "0.5,7.5"))
    with pytest.raises(DatasetError, match="not a number from 0 to 1 a query"):
        read_kept_run(path)
