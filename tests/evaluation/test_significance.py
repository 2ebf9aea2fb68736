from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from core.errors import UsageError
from core.evaluation.significance import (
    bootstrap_mean,
    holm,
    paired_difference,
    queries_needed,
    randomisation_p_value,
)


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
    assert randomisation_p_value(np.array([1.0, 1.0, 1.0])) == 0.25
    # 3, 1: |sum| >= 4 for ++ and --; 3, -1: |sum| >= 2 for all four
    assert randomisation_p_value(np.array([3.0, 1.0])) == 0.5
    assert randomisation_p_value(np.array([3.0, -1.0])) == 1.0


def test_queries_without_a_difference_change_nothing() -> None:
    assert randomisation_p_value(np.array([1.0, 0.0, 1.0, 0.0, 1.0])) == 0.25
    assert randomisation_p_value(np.zeros(50)) == 1.0


def test_sampling_agrees_with_the_exact_test_and_scipy() -> None:
    differences = np.random.default_rng(3).normal(0.05, 0.2, 60)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1
    ).pvalue
    assert randomisation_p_value(differences, resamples=20_000) == pytest.approx(expected, abs=0.01)


def test_false_alarms_come_as_often_as_stated() -> None:
    generator = np.random.default_rng(4)
    p_values = [
        randomisation_p_value(generator.normal(0, 1, 40), seed=seed, resamples=499)
        for seed in range(300)
    ]
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.035)


def test_a_clear_difference_is_found_and_mirrored() -> None:
    generator = np.random.default_rng(5)
    first = generator.uniform(0.4, 0.9, 200)
    second = first - 0.1 + generator.normal(0, 0.05, 200)
    forth, back = paired_difference(first, second), paired_difference(second, first)
    assert forth.value == pytest.approx(0.1, abs=0.02)
    assert forth.low > 0
    assert forth.p_value < 0.001
    assert back.value == pytest.approx(-forth.value)
    assert back.low == pytest.approx(-forth.high)
    assert back.high == pytest.approx(-forth.low)
    assert back.p_value == forth.p_value


def test_the_same_system_twice_does_not_differ() -> None:
    values = np.random.default_rng(6).uniform(0, 1, 50)
    difference = paired_difference(values, values)
    assert (difference.value, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)


def test_equal_inputs_give_equal_figures_and_another_seed_others() -> None:
    values = np.random.default_rng(7).uniform(0, 1, 50)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(UsageError, match="no query"):
        bootstrap_mean(np.empty(0))
    with pytest.raises(UsageError, match="3 values cannot be paired with 2"):
        paired_difference(np.zeros(3), np.zeros(2))


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 times 3 2 1: .03 .04 .03, and never below the one before: .03 .04 .04
    adjusted = holm({"b": 0.02, "a": 0.01, "c": 0.03})
    assert adjusted == pytest.approx({"b": 0.04, "a": 0.03, "c": 0.04})
    assert list(adjusted) == ["b", "a", "c"]


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=6))
def test_holm_only_raises_and_keeps_the_order(p_values: dict[str, float]) -> None:
    adjusted = holm(p_values)
    for name, p_value in p_values.items():
        assert p_value <= adjusted[name] <= 1.0
        for other, other_value in p_values.items():
            if p_value < other_value:
                assert adjusted[name] <= adjusted[other]


def test_queries_needed_by_hand() -> None:
    # Mean .1, deviation (n - 1) .2: (1.95996 + .84162)^2 * 4 = 31.4 -> 32
    differences = np.array([0.1 + 0.2 * sign for sign in (1, -1)] * 8)
    differences = (differences - differences.mean()) / differences.std(ddof=1) * 0.2 + 0.1
    assert queries_needed(differences) == 32
    assert queries_needed(np.tile(differences, 10)) == 160  # enough already
    assert queries_needed(np.array([0.1])) is None
    assert queries_needed(np.array([0.1, -0.1])) is None
