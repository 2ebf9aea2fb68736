"""The tie rule, against plain Python sorting."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidDepthError
from core.search.order import best_positions, id_order

# Few different values, so that nearly every example has ties at the cut.
few_scores = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]), min_size=0, max_size=40)


def oracle(scores: list[float], ids: list[str]) -> list[int]:
    """Positions, best first: score descending, id ascending."""
    return sorted(range(len(scores)), key=lambda i: (-scores[i], ids[i]))


def test_equal_scores_are_ordered_by_id() -> None:
    # p1 and p3 tie for first; p1 comes first
    scores = np.array([0.9, 0.1, 0.9], np.float32)
    assert best_positions(scores, k=2).tolist() == [0, 2]


def test_a_tie_at_the_cut_takes_the_smallest_id() -> None:
    # c, a, b all score 1: the single hit is a, at position 1
    order = id_order(["c", "a", "b"])
    assert best_positions(np.ones(3, np.float32), k=1, id_order=order).tolist() == [1]


@given(scores=few_scores, k=st.integers(1, 50), shuffle=st.randoms(use_true_random=False))
def test_best_positions_equal_sorting(scores: list[float], k: int, shuffle: Random) -> None:
    ids = [f"p{i:03d}" for i in range(len(scores))]
    shuffle.shuffle(ids)
    expected = oracle(scores, ids)
    array, order = np.array(scores, np.float32), id_order(ids)
    assert best_positions(array, k=k, id_order=order).tolist() == expected[:k]


def test_sorted_ids_need_no_order() -> None:
    assert id_order(["a", "b", "c"]) is None
    assert id_order([]) is None
    assert id_order(["b", "c", "a"]).tolist() == [1, 2, 0]  # type: ignore[union-attr]


@pytest.mark.parametrize("k", [0, -3])
def test_a_depth_below_one_is_refused(k: int) -> None:
    with pytest.raises(InvalidDepthError, match="at least one"):
        best_positions(np.ones(3, np.float32), k=k)
