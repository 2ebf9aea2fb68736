from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.comparison.calibration import (
    MIN_SAMPLES,
    Background,
    expected_by_chance,
    is_weak_match,
)


def test_percentile_and_z_of_a_known_sample() -> None:
    # 0, 1, ..., 99: mean 49.5; 75 scores lie below 75 and one ties -> (75 + 76) / 2
    background = Background.from_scores(np.arange(100.0)[::-1])
    assert background.percentile(75.0) == 75.5
    assert background.percentile(74.5) == 75.0
    assert background.percentile(-1.0) == 0.0
    assert background.percentile(1000.0) == 100.0
    assert background.z(49.5) == 0.0
    assert background.z(49.5 + background.deviation) == pytest.approx(1.0)
    assert background.quantile(50) == 49.5


def test_too_few_pairs_place_nothing() -> None:
    few = Background.from_scores(np.linspace(0, 1, MIN_SAMPLES - 1))
    assert few.z(0.5) is None
    assert few.percentile(0.5) is None
    assert np.isnan(few.z_scores([0.5])).all()
    assert Background.from_scores(np.linspace(0, 1, MIN_SAMPLES)).z(0.5) is not None


def test_equal_scores_place_nothing() -> None:
    assert Background.from_scores([0.7] * 100).z(0.9) is None


def test_no_scores_at_all() -> None:
    summary = Background.from_scores([]).summary()
    assert summary.samples == 0
    assert summary.quantiles == ()


def test_values_that_are_not_finite_are_left_out() -> None:
    assert Background.from_scores([0.1, float("nan"), float("inf"), 0.2]).samples == 2


def test_summary_has_every_percentile() -> None:
    summary = Background.from_scores(np.arange(101.0)).summary()
    assert summary.quantiles == pytest.approx(tuple(range(101)))


@given(st.lists(st.floats(-1, 1), min_size=40, max_size=80), st.floats(-1, 1), st.floats(-1, 1))
def test_percentile_and_z_keep_the_order_of_scores(
    sample: list[float], first: float, second: float
) -> None:
    background = Background.from_scores(sample)
    if not background.places_scores:
        return
    low, high = sorted((first, second))
    assert background.percentile(low) <= background.percentile(high)  # type: ignore[operator]
    assert background.z(low) <= background.z(high)  # type: ignore[operator]


def test_scale_and_offset_of_an_encoder_cancel() -> None:
    # The point of calibration: scores 0.8 + 0.1 x place like scores x.
    scores = np.random.default_rng(0).normal(size=500)
    plain, squeezed = Background.from_scores(scores), Background.from_scores(0.8 + 0.1 * scores)
    assert squeezed.z(0.8 + 0.1 * 1.7) == pytest.approx(plain.z(1.7))
    assert squeezed.percentile(0.8 + 0.1 * 1.7) == plain.percentile(1.7)


def test_a_hit_is_weak_when_chance_would_match_it() -> None:
    # Among 400 random passages one is expected above the 99.75th percentile.
    assert expected_by_chance(99.0, corpus_size=400) == pytest.approx(4.0)
    assert is_weak_match(99.75, corpus_size=400)
    assert not is_weak_match(99.8, corpus_size=400)
