from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.comparison.calibration import (
    MIN_SAMPLES,
    PASSAGE_PASSAGE,
    Background,
    expected_by_chance,
    is_weak_match,
    sample_background,
)
from core.errors import IndexMismatchError


def units(count: int, *, seed: int, dim: int = 8) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


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


def test_all_pairs_are_taken_when_there_are_few() -> None:
    queries, passages = units(5, seed=1), units(7, seed=2)
    background = sample_background(queries, passages, samples=1000)
    np.testing.assert_allclose(
        background.scores, np.sort((queries @ passages.T).ravel()), atol=1e-6
    )


def test_passages_are_never_paired_with_themselves() -> None:
    rows = np.eye(8, dtype=np.float32)  # only a row with itself scores 1
    background = sample_background(rows, rows, pairs=PASSAGE_PASSAGE, samples=1000)
    assert background.samples == 56
    assert background.scores.max() == 0.0


def test_pairs_inside_one_document_are_left_out() -> None:
    # Rows of one document are equal, rows of different documents orthogonal.
    rows = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    groups = [f"d{position // 3}" for position in range(12)]
    background = sample_background(
        rows, rows, pairs=PASSAGE_PASSAGE, query_groups=groups, passage_groups=groups
    )
    assert background.scores.max() == 0.0
    assert background.samples == 12 * 9


def test_one_document_keeps_its_related_pairs_rather_than_none() -> None:
    rows = units(12, seed=3)
    background = sample_background(
        rows, rows, pairs=PASSAGE_PASSAGE, query_groups=["d"] * 12, passage_groups=["d"] * 12
    )
    assert background.samples == 12 * 11


def test_one_passage_has_no_background() -> None:
    row = units(1, seed=0)
    assert sample_background(row, row, pairs=PASSAGE_PASSAGE).samples == 0
    nothing = np.empty((0, 8), dtype=np.float32)
    assert sample_background(nothing, nothing).samples == 0


@pytest.mark.parametrize("samples", [50, 1000], ids=["sampled", "listed"])
def test_both_arms_draw_the_same_pairs_and_the_seed_decides(samples: int) -> None:
    # Dimension differs between the arms: rows hold their own number, so scores tell the pairs.
    def numbered(dim: int) -> tuple[np.ndarray, np.ndarray]:
        queries = np.zeros((30, dim), dtype=np.float32)
        passages = np.zeros((40, dim), dtype=np.float32)
        queries[:, 0], queries[:, 1] = 100 * np.arange(30), 1
        passages[:, 0], passages[:, 1] = 1, np.arange(40)
        return queries, passages

    first = sample_background(*numbered(2), samples=samples, seed=4)
    second = sample_background(*numbered(9), samples=samples, seed=4)
    other = sample_background(*numbered(2), samples=samples, seed=5)
    np.testing.assert_array_equal(first.scores, second.scores)
    assert np.unique(first.scores).size == first.samples  # no pair twice
    assert first.samples == samples
    assert not np.array_equal(first.scores, other.scores)


def test_dimensions_must_agree() -> None:
    with pytest.raises(IndexMismatchError, match="8 dimensions and passages 4"):
        sample_background(units(3, seed=0), units(3, seed=0, dim=4))


def test_a_hit_is_weak_when_chance_would_match_it() -> None:
    # Among 400 random passages one is expected above the 99.75th percentile.
    assert expected_by_chance(99.0, corpus_size=400) == pytest.approx(4.0)
    assert is_weak_match(99.75, corpus_size=400)
    assert not is_weak_match(99.8, corpus_size=400)
