"""How often 95 % intervals hold the truth: simulated queries, of measures shaped as real ones are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.evaluation.gate import NEEDED_ALIKE, Outcome, Policy, gate
from core.evaluation.runs import KeptRun
from core.evaluation.significance import confidence_sequence, mean_interval, paired_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from core.evaluation.significance import Interval

    Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

TRIALS = 1_000
RESAMPLES = 400
LOOKS = 100  # queries after each of which a confidence sequence is looked at
_TRUTH_DRAWS = 2_000_000
_SHARED = 0.5  # chance that a query scores as the others on its document do


def _mixed(zeros: float, ones: float, a: float, b: float) -> Draw:
    """Draws that are 0 or 1 with the chances given, else beta(a, b)."""

    def draw(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
        where = generator.random(count)
        between = generator.beta(a, b, count)
        return np.where(where < zeros, 0.0, np.where(where < zeros + ones, 1.0, between))

    return draw


def _signed(zeros: float, gains: float, a: float, b: float) -> Draw:
    """Differences that are 0, gains or losses with the chances given, of size beta(a, b)."""

    def draw(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
        where = generator.random(count)
        sign = np.where(where < zeros, 0.0, np.where(where < zeros + gains, 1.0, -1.0))
        return sign * generator.beta(a, b, count)

    return draw


MEASURES: dict[str, Draw] = {
    "nDCG@10, .58 on average": _mixed(0.2, 0.3, 2.5, 1.8),
    "nDCG@10, .18 on average": _mixed(0.7, 0.1, 1.5, 2.5),
    "recall of one document, .5": _mixed(0.5, 0.5, 1, 1),
    "recall of one document, .8": _mixed(0.2, 0.8, 1, 1),
    "recall of one document, .95": _mixed(0.05, 0.95, 1, 1),
}
DIFFERENCES: dict[str, Draw] = {
    "difference, none": _signed(0.5, 0.25, 1.2, 3),
    "difference, more gains": _signed(0.6, 0.3, 1, 2),
    "difference, rare gains": _signed(0.9, 0.1, 2, 2),
}


def coverage(trials: int = TRIALS) -> list[dict[str, Any]]:
    """Return for each measure and number of queries how often its interval is given and holds.

    Half the rows have about 2.3 queries a document, as theoremqa has, that tend to score alike.
    ``contradicted`` counts p-values below .05 beside an interval that holds 0, and the reverse.
    """
    rows = []
    generator = np.random.default_rng(0)
    for name, draw in (MEASURES | DIFFERENCES).items():
        truth = float(draw(np.random.default_rng(1), _TRUTH_DRAWS).mean())
        for alike in (1.0, 2.3):
            for queries in (20, 50, 300):
                held, contradicted = [], 0
                one: Interval
                for trial in range(trials):
                    values, clusters = _queries(generator, draw, queries, alike)
                    if name in DIFFERENCES:
                        gains, losses = values.clip(min=0), (-values).clip(min=0)
                        one = gap = paired_difference(
                            gains, losses, clusters, seed=trial, resamples=RESAMPLES
                        )
                        if gap.low is not None and gap.high is not None:
                            contradicted += (gap.p_value < 0.05) == (gap.low <= 0 <= gap.high)
                    else:
                        one = mean_interval(values, clusters, seed=trial, resamples=RESAMPLES)
                    if one.low is not None and one.high is not None:
                        held.append(one.low <= truth <= one.high)
                given = len(held) / trials
                rows.append(
                    {
                        "measure": name,
                        "queries": queries,
                        "queries_a_document": alike,
                        "given": round(given, 3),
                        "holds_where_given": round(float(np.mean(held)), 3) if held else "",
                        "given_and_wrong": round(given - sum(held) / trials, 3),
                        "contradicted": contradicted if name in DIFFERENCES else "",
                    }
                )
    return rows


def looks(trials: int = 300) -> list[dict[str, Any]]:
    """Return how often a confidence sequence ever misses the truth in 100 looks."""
    rows = []
    generator = np.random.default_rng(0)
    for name, draw in (MEASURES | DIFFERENCES).items():
        truth = float(draw(np.random.default_rng(1), _TRUTH_DRAWS).mean())
        low = -1.0 if name in DIFFERENCES else 0.0
        missed, widths = 0, []
        for _ in range(trials):
            values, clusters = _queries(generator, draw, LOOKS, 1.0)
            # the last interval is the part that all looks had in common
            one = confidence_sequence(values, clusters, low=low)
            if one.low is not None and one.high is not None:
                missed += not one.low <= truth <= one.high
                widths.append(one.high - one.low)
        rows.append(
            {
                "measure": name,
                "looks": LOOKS,
                "ever_missed": round(missed / trials, 3),
                "mean_width": round(float(np.mean(widths)), 3),
            }
        )
    return rows


def releases(count: int = 2_000) -> list[dict[str, Any]]:
    """Return how the gate answers simulated releases that lose exactly what the policy forbids.

    There PASS and BLOCK are both false, each at its nominal rate of 2.5 % (a two-sided 5 %); a
    release that loses nothing, or twice as much, is for the gate's power. Every release has two
    measures that rise and fall together, and 100 or 300 queries.
    """
    generator, rows = np.random.default_rng(0), []
    policy = Policy({"nDCG@10": 0.05, "Recall@10": 0.05})
    for queries in (100, 300):
        for loss in (0.05, 0.0, 0.10):
            answers = []
            for number in range(count if loss == policy.measures["nDCG@10"] else count // 10):
                level = generator.beta(3, 2, queries)
                old = (0.15 + 0.7 * level, 0.15 + 0.7 * generator.beta(3, 2, queries))
                change = generator.normal(-loss, 0.12, queries).clip(-0.15 - loss, 0.15 - loss)
                new = [(one + change).clip(0, 1) for one in old]
                answers.append(
                    gate(_kept("old", old), _kept("new", new), policy, seed=number).outcome
                )
            rows.append(
                {
                    "loses": loss,
                    "may_lose": 0.05,
                    "queries": queries,
                    "releases": len(answers),
                    **{one.name: round(answers.count(one) / len(answers), 4) for one in Outcome},
                }
            )
    return rows


def _kept(name: str, figures: Sequence[NDArray[np.float64]]) -> KeptRun:
    count = len(figures[0])
    measures = zip(("nDCG@10", "Recall@10"), figures, strict=True)
    return KeptRun(
        name=name,
        made="",
        identity=dict.fromkeys(NEEDED_ALIKE, "the same"),
        query_ids=tuple(map(str, range(count))),
        clusters=tuple(range(count)),
        figures={"encoder": {measure: tuple(values.tolist()) for measure, values in measures}},
    )


def _queries(
    generator: np.random.Generator, draw: Draw, count: int, alike: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return values of queries and their clusters, ``alike`` queries a document on average."""
    if alike == 1:
        return draw(generator, count), np.arange(count)
    sizes: list[int] = []
    while sum(sizes) < count:
        sizes.append(min(int(generator.geometric(1 / alike)), count - sum(sizes)))
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    together = draw(generator, len(sizes))[clusters]
    return np.where(generator.random(count) < _SHARED, together, draw(generator, count)), clusters
