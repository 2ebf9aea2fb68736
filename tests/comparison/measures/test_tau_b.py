from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from core.comparison.measures.tau_b import kendall_tau_b

rankings = st.permutations(list("abcdefghij")).map(list)


def test_only_shared_passages_are_counted() -> None:
    # Shared in the top 4: b c a; A orders them a b c, B orders them b c a.
    # Pairs: ab reversed, ac reversed, bc kept -> (1 - 2) / 3
    result = kendall_tau_b(["a", "b", "x", "c"], ["b", "y", "c", "a"], k=4)
    assert result["tau_b"] == pytest.approx(-1 / 3)
    assert result["tau_items"] == 3


@pytest.mark.parametrize(
    ("a", "b", "items"), [("", "", 0), ("ab", "xy", 0), ("ab", "ax", 1)], ids=["none", "0", "1"]
)
def test_no_order_without_two_shared(a: str, b: str, items: int) -> None:
    result = kendall_tau_b(a, b, k=10)
    assert result["tau_b"] is None
    assert result["tau_items"] == items


@given(rankings, rankings, st.integers(2, 10))
def test_equals_scipy_and_mirrors(a: list[str], b: list[str], k: int) -> None:
    result = kendall_tau_b(a, b, k=k)
    shared = [item for item in a[:k] if item in b[:k]]
    if len(shared) >= 2:
        expected = kendalltau(range(len(shared)), [b.index(item) for item in shared]).statistic
        assert result["tau_b"] == pytest.approx(expected)
    assert result == kendall_tau_b(b, a, k=k)


def test_same_and_reversed_order() -> None:
    assert kendall_tau_b("abcd", "abcd", k=4)["tau_b"] == 1.0
    assert kendall_tau_b("abcd", "dcba", k=4)["tau_b"] == -1.0
