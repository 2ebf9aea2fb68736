from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.errors import UsageError
from core.evaluation.significance import (
    Interval,
    bootstrap_means,
    holm,
    paired_difference,
    queries_needed,
    query_clusters,
    randomisation_p_value,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def alone(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Every query is a cluster of its own."""
    return np.arange(len(values))


def bootstrap_mean(
    values: NDArray[np.float64], *, seed: int = 0, resamples: int = 5_000
) -> Interval:
    return bootstrap_means(values[:, None], alone(values), seed=seed, resamples=resamples)[0]


def p_value(values: NDArray[np.float64], *, seed: int = 0, resamples: int = 5_000) -> float:
    return randomisation_p_value(values, alone(values), seed=seed, resamples=resamples)


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
    once = bootstrap_means(values[:, None], np.arange(20))[0]
    copied = bootstrap_means(np.repeat(values, 4)[:, None], np.repeat(np.arange(20), 4))[0]
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert randomisation_p_value(
        np.repeat(values - 0.4, 4), np.repeat(np.arange(20), 4)
    ) == p_value(values - 0.4)
    # z-rule: 20 clusters need n queries, each asked four times 4 n
    needed = queries_needed(values - 0.4, np.arange(20))
    assert needed is not None
    times_four = queries_needed(np.repeat(values - 0.4, 4), np.repeat(np.arange(20), 4))
    assert times_four == pytest.approx(4 * needed, abs=4)


def test_one_big_cluster_counts_as_one_voice() -> None:
    # 20 queries by themselves score 0, 20 that share a document 1: it may be missing from a resample
    values = np.array([0.0] * 20 + [1.0] * 20)
    together = np.array([*range(20), *[20] * 20])
    assert bootstrap_mean(values).low > 0.3
    assert bootstrap_means(values[:, None], together)[0].low == 0.0
    assert randomisation_p_value(values, together) == 1.0  # + or -: both as extreme


def test_the_interval_of_many_values_is_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(0.4, 0.2, 2000)
    interval = bootstrap_mean(values)
    assert interval.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(values.size)
    assert interval.high - interval.value == pytest.approx(half, rel=0.1)
    assert interval.value - interval.low == pytest.approx(half, rel=0.1)


def test_intervals_cover_the_truth_about_95_times_in_100() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for seed in range(300):
        interval = bootstrap_mean(generator.uniform(0, 1, 60), seed=seed, resamples=400)
        covered += interval.low <= 0.5 <= interval.high
    assert 0.90 <= covered / 300 <= 0.98


def test_equal_values_leave_no_doubt() -> None:
    interval = bootstrap_mean(np.full(20, 0.3))
    assert (interval.low, interval.value, interval.high) == pytest.approx((0.3, 0.3, 0.3))


def test_small_samples_are_tested_exactly() -> None:
    # Differences 1, 1, 1: of 8 sign patterns only +++ and --- are as extreme -> 2/8
    assert p_value(np.array([1.0, 1.0, 1.0])) == 0.25
    # 3, 1: |sum| >= 4 for ++ and --; 3, -1: |sum| >= 2 for all four
    assert p_value(np.array([3.0, 1.0])) == 0.5
    assert p_value(np.array([3.0, -1.0])) == 1.0


def test_queries_without_a_difference_change_nothing() -> None:
    assert p_value(np.array([1.0, 0.0, 1.0, 0.0, 1.0])) == 0.25
    assert p_value(np.zeros(50)) == 1.0


def test_sampling_agrees_with_the_exact_test_and_scipy() -> None:
    differences = np.random.default_rng(3).normal(0.05, 0.2, 60)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1
    ).pvalue
    assert p_value(differences, resamples=20_000) == pytest.approx(expected, abs=0.01)


def test_false_alarms_come_as_often_as_stated() -> None:
    generator = np.random.default_rng(4)
    p_values = [
        p_value(generator.normal(0, 1, 40), seed=seed, resamples=499) for seed in range(300)
    ]
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.035)


def test_a_clear_difference_is_found_and_mirrored() -> None:
    generator = np.random.default_rng(5)
    first = generator.uniform(0.4, 0.9, 200)
    second = first - 0.1 + generator.normal(0, 0.05, 200)
    forth, back = (
        paired_difference(first, second, alone(first)),
        paired_difference(second, first, alone(first)),
    )
    assert forth.value == pytest.approx(0.1, abs=0.02)
    assert forth.low > 0
    assert forth.p_value < 0.001
    assert back.value == pytest.approx(-forth.value)
    assert back.low == pytest.approx(-forth.high)
    assert back.high == pytest.approx(-forth.low)
    assert back.p_value == forth.p_value


def test_the_same_system_twice_does_not_differ() -> None:
    values = np.random.default_rng(6).uniform(0, 1, 50)
    difference = paired_difference(values, values, alone(values))
    assert (difference.value, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)


def test_equal_inputs_give_equal_figures_and_another_seed_others() -> None:
    values = np.random.default_rng(7).uniform(0, 1, 50)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(UsageError, match="no query"):
        bootstrap_mean(np.empty(0))
    with pytest.raises(UsageError, match="3 values cannot be paired with 2"):
        paired_difference(np.zeros(3), np.zeros(2), np.arange(3))


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
