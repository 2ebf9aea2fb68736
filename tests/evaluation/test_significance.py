from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.errors import UsageError
from core.evaluation.significance import (
    Difference,
    confidence_sequence,
    holm,
    mean_interval,
    more_to_tell,
    paired_difference,
    queries_needed,
    query_clusters,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def alone(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Every query is a cluster of its own."""
    return np.arange(len(values))


def difference(
    values: NDArray[np.float64], clusters: NDArray[np.int64] | None = None, *, seed: int = 0
) -> Difference:
    """The paired difference of two systems that differ by these values."""
    where = alone(values) if clusters is None else clusters
    return paired_difference(values.clip(min=0), (-values).clip(min=0), where, seed=seed)


# -- queries that share a relevant document --------------------------------------------------


def test_queries_that_share_a_relevant_document_are_one_cluster() -> None:
    qrels = {
        "q1": {"d1": 1},
        "q2": {"d2": 1, "d9": 0},  # d9 is judged, not relevant: it joins nothing
        "q3": {"d1": 2, "d3": 1},  # shares d1 with q1
        "q4": {"d9": 1},
        "q5": {"d3": 1},  # shares d3 with q3, and so stands with q1 too
        "q6": {"d7": 0},
    }
    assert query_clusters(qrels).tolist() == [0, 1, 0, 2, 0, 3]
    assert query_clusters({}).tolist() == []


def test_copies_of_a_query_add_no_certainty() -> None:
    # Twenty answers asked four times over in the same words: 80 queries that say what 20 say.
    values = np.random.default_rng(8).uniform(0, 1, 20)
    copies, clusters = np.repeat(values, 4), np.repeat(np.arange(20), 4)
    once, copied = mean_interval(values, alone(values)), mean_interval(copies, clusters)
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert difference(copies - 0.4, clusters) == difference(values - 0.4)
    # z-rule: where 20 clusters need n queries, each asked four times they need 4 n
    needed = queries_needed(values - 0.4, alone(values))
    assert needed is not None
    assert queries_needed(copies - 0.4, clusters) == pytest.approx(4 * needed, abs=4)


def test_one_big_cluster_counts_as_one_voice() -> None:
    # 20 queries by themselves do not differ, 20 that share a document all gain 1
    values = np.array([0.0] * 20 + [1.0] * 20)
    together = np.array([*range(20), *[20] * 20])
    assert difference(values).p_value < 0.001
    shared = difference(values, together)
    assert (shared.low, shared.p_value) == (None, 1.0)  # + or -: both as extreme
    assert shared.withheld == "too few of the 21 clusters of queries differ from the others"


# -- intervals -------------------------------------------------------------------------------


def test_the_interval_of_many_values_is_the_normal_one() -> None:
    values = np.random.default_rng(1).uniform(0, 1, 2000)
    interval = mean_interval(values, alone(values))
    assert interval.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(values.size)
    assert interval.low == pytest.approx(interval.value - half, abs=0.1 * half)
    assert interval.high == pytest.approx(interval.value + half, abs=0.1 * half)


def test_few_queries_are_covered_as_often_as_stated() -> None:
    # what percentiles cover 88 times in 100: 20 differences, more gains than losses
    generator = np.random.default_rng(2)
    truth, held = 0.3 * 1 / 3 - 0.1 * 1 / 5, []
    for seed in range(400):
        where = generator.random(20)
        values = np.where(where < 0.3, generator.beta(1, 2, 20), 0.0)
        values = np.where(where > 0.9, -generator.beta(1, 4, 20), values)
        found = paired_difference(
            values.clip(min=0), (-values).clip(min=0), np.arange(20), seed=seed, resamples=400
        )
        if found.low is not None and found.high is not None:
            held.append(found.low <= truth <= found.high)
    assert len(held) > 360
    assert 0.93 <= np.mean(held) <= 0.985


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param([1.0], "one query cannot have one", id="one query"),
        pytest.param([0.1, 0.2, 0.3, 0.4, 0.5], "5 queries cannot have one", id="five queries"),
        pytest.param([1.0] * 20, "all 20 queries say the same", id="all alike"),
        pytest.param(
            [1.0] * 19 + [0.0],
            "too few of the 20 queries differ from the others",
            id="nearly all alike",
        ),
    ],
)
def test_an_interval_that_would_not_hold_is_withheld(values: list[float], reason: str) -> None:
    interval = mean_interval(np.array(values), np.arange(len(values)))
    assert (interval.low, interval.high, interval.withheld) == (None, None, reason)
    assert interval.value == pytest.approx(np.mean(values))


def test_no_interval_leaves_the_range_of_its_measure() -> None:
    values = np.array([1.0] * 16 + [0.0, 0.3, 0.5, 0.7])
    assert mean_interval(values, alone(values)).high == 1.0


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.3, 1.0]), min_size=1, max_size=40))
@settings(deadline=None, max_examples=60)
def test_interval_and_p_value_never_contradict_one_another(values: list[float]) -> None:
    found = difference(np.array(values))
    if found.low is not None and found.high is not None:
        assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)
    watched = confidence_sequence(np.array(values), np.arange(len(values)), low=-1.0)
    assert watched.low is not None
    assert watched.high is not None
    assert (watched.p_value < 0.05) == (not watched.low <= 0 <= watched.high)


def test_without_an_interval_signs_are_counted_exactly() -> None:
    # Differences 1, 1, 1: of 8 sign patterns only +++ and --- are as extreme -> 2/8
    assert difference(np.array([1.0, 1.0, 1.0])).p_value == 0.25
    # 1, .3: |sum| >= 1.3 for ++ and --; 1, -.3: |sum| >= .7 for all four
    assert difference(np.array([1.0, 0.3])).p_value == 0.5
    assert difference(np.array([1.0, -0.3])).p_value == 1.0
    assert difference(np.array([1.0, 0.0, 1.0, 0.0, 1.0])).p_value == 0.25
    assert difference(np.full(30, 0.5)).p_value < 0.001


def test_p_values_agree_with_the_paired_t_test() -> None:
    values = np.random.default_rng(3).normal(0.05, 0.2, 60).clip(-1, 1)
    expected = stats.ttest_1samp(values, 0).pvalue
    assert difference(values).p_value == pytest.approx(expected, abs=0.015)


def test_false_alarms_come_as_often_as_stated() -> None:
    generator = np.random.default_rng(4)
    alarms = [
        difference(generator.normal(0, 0.2, 40).clip(-1, 1), seed=seed).p_value < 0.05
        for seed in range(300)
    ]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.035)


def test_a_clear_difference_is_found_and_mirrored() -> None:
    generator = np.random.default_rng(5)
    values = (0.1 + generator.normal(0, 0.05, 200)).clip(-1, 1)
    forth, back = difference(values), difference(-values)
    assert forth.low is not None
    assert forth.high is not None
    assert forth.low > 0
    assert forth.p_value < 0.001
    assert (back.value, back.low, back.high, back.p_value) == pytest.approx(
        (-forth.value, -forth.high, -forth.low, forth.p_value)
    )


def test_the_same_system_twice_does_not_differ() -> None:
    values = np.random.default_rng(6).uniform(0, 1, 50)
    found = paired_difference(values, values, alone(values))
    assert (found.value, found.low, found.high, found.p_value) == (0, None, None, 1)
    assert found.withheld == "all 50 queries say the same"


def test_equal_inputs_give_equal_figures_and_another_seed_others() -> None:
    values = np.random.default_rng(7).uniform(0, 1, 50)
    first = mean_interval(values, alone(values), seed=1)
    assert first == mean_interval(values, alone(values), seed=1)
    assert first != mean_interval(values, alone(values), seed=2)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(UsageError, match="no query"):
        mean_interval(np.empty(0), np.arange(0))
    with pytest.raises(UsageError, match="no query"):
        confidence_sequence(np.empty(0), np.arange(0))
    with pytest.raises(UsageError, match="3 values cannot be paired with 2"):
        paired_difference(np.zeros(3), np.zeros(2), np.arange(3))


# -- intervals that are watched --------------------------------------------------------------


def test_a_watched_interval_holds_at_every_look() -> None:
    # Looked at after each of 60 queries, the ordinary interval leaves a true 0 out now and then
    # in about 3 of 10 evaluations; this one in 1 of 20 at most.
    generator = np.random.default_rng(9)
    missed = 0
    for _ in range(200):
        values = generator.choice([-0.4, 0.0, 0.4], 60)
        missed += confidence_sequence(values, alone(values), low=-1.0).p_value < 0.05
    assert missed / 200 <= 0.05


def test_a_watched_interval_by_hand() -> None:
    # One query that gained all: a bet of the whole stake on gains doubles it, no more.
    one = confidence_sequence(np.array([1.0]), np.arange(1), low=-1.0)
    assert one.value == 1.0
    assert one.p_value == pytest.approx(1.0)  # half of it was on losses
    # Each further one multiplies what was bet on gains by up to 1.98: 1.98^n / 24 > 20 from n = 10
    tenth = confidence_sequence(np.ones(10), np.arange(10), low=-1.0)
    assert tenth.low is not None
    assert tenth.low > 0
    assert tenth.high == 1.0
    # Copies of one query are one query
    copies = confidence_sequence(np.ones(10), np.zeros(10, dtype=np.int64), low=-1.0)
    assert copies == one


def test_how_many_more_would_tell_by_hand() -> None:
    # All gain 1: the best bet grows by ln 1.98 = .683 a query, and ln(24 / .05) = 6.17 is needed
    assert more_to_tell(np.ones(3), np.arange(3)) == 10 - 3
    assert more_to_tell(np.ones(30), np.arange(30)) == 1
    assert more_to_tell(np.zeros(9), np.arange(9)) is None


# -- several measures, and how many queries --------------------------------------------------


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 times 3 2 1: .03 .04 .03, and never below the one before: .03 .04 .04
    adjusted = holm({"b": 0.02, "a": 0.01, "c": 0.03})
    assert adjusted == pytest.approx({"b": 0.04, "a": 0.03, "c": 0.04})
    assert list(adjusted) == ["b", "a", "c"]


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=6))
def test_holm_only_raises_and_keeps_the_order(p_values: dict[str, float]) -> None:
    adjusted = holm(p_values)
    for name, one in p_values.items():
        assert one <= adjusted[name] <= 1.0
        for other, other_value in p_values.items():
            if one < other_value:
                assert adjusted[name] <= adjusted[other]


def needed(values: NDArray[np.float64]) -> int | None:
    return queries_needed(values, alone(values))


def test_queries_needed_by_hand() -> None:
    # Mean .1, deviation (n - 1) .2: (1.95996 + .84162)^2 * 4 = 31.4 -> 32
    differences = np.array([0.1 + 0.2 * sign for sign in (1, -1)] * 8)
    differences = (differences - differences.mean()) / differences.std(ddof=1) * 0.2 + 0.1
    assert needed(differences) == 32
    assert needed(np.tile(differences, 10)) == 160  # enough already
    assert needed(np.array([0.1])) is None
    assert needed(np.array([0.1, -0.1])) is None
