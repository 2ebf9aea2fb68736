from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.comparison.measures.jaccard import jaccard_at_k
from core.comparison.measures.overlap import overlap_at_k

rankings = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10)


def test_overlap_counts_shared_passages_of_the_top_k() -> None:
    # A: p1 p2 p3   B: p2 p4 p1   top-2 share p2 -> 1/2; three passages in either -> 1/3
    a, b = ["p1", "p2", "p3"], ["p2", "p4", "p1"]
    assert overlap_at_k(a, b, k=2) == 0.5
    assert jaccard_at_k(a, b, k=2) == pytest.approx(1 / 3)


def test_short_lists_are_measured_over_the_longer_one() -> None:
    # Both hold fewer than 10; A holds 2, B holds 4, they share 2 -> 2/4
    assert overlap_at_k(["a", "b"], ["b", "a", "c", "d"], k=10) == 0.5


@pytest.mark.parametrize(("a", "b"), [([], []), ([], ["a"]), (["a"], [])])
def test_an_empty_ranking_shares_nothing(a: list[str], b: list[str]) -> None:
    assert overlap_at_k(a, b, k=3) == 0.0
    assert jaccard_at_k(a, b, k=3) == 0.0


@given(rankings, rankings, st.integers(1, 12))
def test_symmetry_identity_and_bounds(a: list[str], b: list[str], k: int) -> None:
    for measure in (overlap_at_k, jaccard_at_k):
        assert measure(a, b, k=k) == measure(b, a, k=k)
        assert 0.0 <= measure(a, b, k=k) <= 1.0
        assert measure(a, a, k=k) == (1.0 if a else 0.0)
    assert jaccard_at_k(a, b, k=k) <= overlap_at_k(a, b, k=k)
