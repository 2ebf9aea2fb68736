"""The gate: may this run replace the baseline?"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from core.errors import UsageError
from core.evaluation.render import interval_text
from core.evaluation.runs import KeptRun, differing, identity_parts, paired
from core.evaluation.significance import ALPHA, Difference, paired_difference, queries_needed

NEEDED_ALIKE = ("documents", "queries", "judgments")


class Outcome(IntEnum):
    """The gate's answers; the number is the exit code."""

    PASS = 0  # no measure is worse by as much as the policy forbids
    HOLD = 1  # too little evidence
    BLOCK = 2  # a measure is worse by more
    FAIL = 3  # the comparison is not valid


@dataclass(frozen=True, slots=True)
class Policy:
    """The losses that a release may have."""

    # largest loss that does not matter, by name of measure: ``"nDCG@10" = 0.02``
    measures: Mapping[str, float]
    systems: tuple[str, ...] = ()  # systems that are judged; empty for all that both runs have
    # share of false answers, over all measures and systems (Benjamini-Hochberg)
    alpha: float = ALPHA
    # of documents, queries and judgments, those that may: ["documents"] lets a run over changed
    # documents through
    may_differ: tuple[str, ...] = ()

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Check:
    """One measure of one system."""

    system_id: str  # whose
    measure: str  # which
    outcome: Outcome  # PASS, HOLD or BLOCK
    difference: Difference  # run minus baseline, query by query
    loss: float  # what the policy lets it lose
    # about how many more would settle it, where it holds; None without a number
    more_queries: int | None


@dataclass(frozen=True, slots=True)
class GateReport:
    """The gate's answer."""

    outcome: Outcome  # the worst of all checks; FAIL where the runs cannot be compared
    reasons: tuple[str, ...]  # why it fails, each a sentence
    parts: Mapping[str, tuple[str, str, str]]  # as `identity_parts` gives them
    checks: tuple[Check, ...] = field(default=())  # by system and measure
    queries: int = 0  # how many both runs have


def read_policy(path: Path) -> Policy:
    """Read a policy in TOML.

    Raises:
        UsageError: If it cannot be read, has unknown keys, or numbers that cannot be.
    """
    try:
        policy = TypeAdapter(Policy).validate_python(tomllib.loads(path.read_text("utf-8")))
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror}.") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path.name} is not TOML: {exc}.") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        wrong = ".".join(map(str, first["loc"])) or "it"
        raise UsageError(f"{path.name}: {wrong}: {first['msg']}.") from exc
    if not policy.measures or not all(0 <= loss < 1 for loss in policy.measures.values()):
        raise UsageError(f"{path.name}: [measures] needs names with a loss from 0 to below 1.")
    if not 0 < policy.alpha < 1:
        raise UsageError(f"{path.name}: alpha is {policy.alpha}; choose a share between 0 and 1.")
    unknown = [name for name in policy.may_differ if name not in NEEDED_ALIKE]
    if unknown:
        raise UsageError(f"{path.name}: may_differ knows {', '.join(NEEDED_ALIKE)} only.")
    return policy


def gate(baseline: KeptRun, run: KeptRun, policy: Policy, *, seed: int = 0) -> GateReport:
    """Compare a run with its baseline, paired by query and clustered.

    Each measure is tested against the loss that the policy allows: better than that is PASS, worse
    is BLOCK, neither is HOLD. P-values are adjusted for the number of checks
    (Benjamini-Hochberg).
    """
    from scipy.stats import false_discovery_control  # scipy costs every command half a second

    parts = identity_parts(baseline, run)
    shared, theirs, clusters = paired(baseline, run)
    systems = policy.systems or tuple(name for name in baseline.figures if name in run.figures)
    reasons = _reasons(baseline, run, policy, parts=parts, systems=systems)
    if not shared:
        reasons.append("The runs have no query in common.")
    if reasons:
        return GateReport(Outcome.FAIL, tuple(reasons), parts)
    differences, p_values, wanted = [], [], []
    for system_id in systems:
        for measure, loss in policy.measures.items():
            new = np.array(run.figures[system_id][measure])[theirs]
            old = np.array(baseline.figures[system_id][measure])[shared]
            differences.append(paired_difference(new, old, clusters, seed=seed))
            p_values.append(paired_difference(new + loss, old, clusters, seed=seed).p_value)
            more = queries_needed(new - old + loss, clusters, alpha=policy.alpha)
            wanted.append((system_id, measure, loss, None if more is None else more - len(shared)))
    adjusted = false_discovery_control(p_values)
    checks = []
    for (system_id, measure, loss, more), found, p_value in zip(
        wanted, differences, adjusted, strict=True
    ):
        settled = p_value < policy.alpha
        better = found.value + loss > 0
        outcome = Outcome.HOLD if not settled else Outcome.PASS if better else Outcome.BLOCK
        checks.append(Check(system_id, measure, outcome, found, loss, None if settled else more))
    return GateReport(max(check.outcome for check in checks), (), parts, tuple(checks), len(shared))


def to_markdown(report: GateReport) -> str:
    """Return the answer as Markdown: differences of identity first, then every check."""
    lines = [f"## Gate: {report.outcome.name}", "", *(f"- {reason}" for reason in report.reasons)]
    changed = [f"- {line}" for line in differing(report.parts)]
    lines += changed
    if report.checks:
        lines += [
            *([""] if changed else []),
            f"{report.queries:,} queries in both runs.",
            "",
            "| system | measure | run minus baseline | may lose | answer |",
            "|---|---|---|---|---|",
            *(
                f"| {one.system_id} | {one.measure} | {interval_text(one.difference, signed=True)} "
                f"| {one.loss:.3f} | {_answer(one)} |"
                for one in report.checks
            ),
        ]
    return "\n".join(lines) + "\n"


def to_junit(report: GateReport) -> str:
    """Return the answer as JUnit XML: a test case a check; HOLD is a failure of its own type."""
    bad = [check for check in report.checks if check.outcome is not Outcome.PASS]
    suite = ET.Element(
        "testsuite",
        name="bifocal gate",
        tests=str(max(1, len(report.checks))),
        failures=str(len(bad)),
        errors=str(int(bool(report.reasons))),
    )
    for check in report.checks:
        case = ET.SubElement(suite, "testcase", classname=check.system_id, name=check.measure)
        if check in bad:
            said = f"{interval_text(check.difference, signed=True)}: {_answer(check)}"
            ET.SubElement(case, "failure", type=check.outcome.name, message=said)
    if report.reasons:
        case = ET.SubElement(suite, "testcase", classname="gate", name="comparison")
        ET.SubElement(case, "error", type="FAIL", message=" ".join(report.reasons))
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _reasons(
    baseline: KeptRun,
    run: KeptRun,
    policy: Policy,
    *,
    parts: Mapping[str, tuple[str, str, str]],
    systems: Sequence[str],
) -> list[str]:
    """Return why two runs cannot be compared, each a sentence."""
    reasons = [
        f"The {name} {'differ' if parts.get(name, [''])[0] == 'differs' else 'are unknown in one run'}."
        for name in NEEDED_ALIKE
        if parts.get(name, [""])[0] != "same" and name not in policy.may_differ
    ]
    if not systems:
        reasons.append("The runs have no system in common.")
    reasons += [
        f"{one.name} has no {measure} of {system_id}."
        for system_id in systems
        for measure in policy.measures
        for one in (baseline, run)
        if measure not in one.figures.get(system_id, {})
    ]
    return reasons


def _answer(check: Check) -> str:
    if check.outcome is not Outcome.HOLD or not check.more_queries:
        return check.outcome.name
    return f"{check.outcome.name}: about {check.more_queries:,} more queries"
