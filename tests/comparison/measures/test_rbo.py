from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.comparison.measures.rbo import rank_biased_overlap
from core.errors import InvalidSettingError

rankings = st.lists(st.sampled_from("abcdefghijkl"), unique=True, min_size=1, max_size=10)
persistence = st.sampled_from([0.5, 0.8, 0.9, 0.98])
FAR = 4000  # 0.98 ** 4000 < 1e-35


def bounds(a: list[str], b: list[str], p: float) -> tuple[float, float]:
    """RBO_min and RBO_max by the definition: lists continued by the least and the most luck."""
    length_a, length_b = len(a), len(b)
    lowest = highest = 0.0
    shared_all = len(set(a) & set(b))
    for depth in range(1, FAR):
        seen = len(set(a[:depth]) & set(b[:depth]))
        # At best every place beyond a list's end holds something the other list has by then.
        only_a = len(set(a[:depth]) - set(b[:depth]))
        only_b = len(set(b[:depth]) - set(a[:depth]))
        free_a = max(0, depth - length_a)
        free_b = max(0, depth - length_b)
        matched_a = min(free_a, only_b)
        matched_b = min(free_b, only_a)
        both_new = min(free_a - matched_a, free_b - matched_b)
        lowest += seen / depth * p ** (depth - 1)
        highest += (seen + matched_a + matched_b + both_new) / depth * p ** (depth - 1)
    assert shared_all == len(set(a[:FAR]) & set(b[:FAR]))
    return (1 - p) * lowest, (1 - p) * highest


def test_figure_5_of_the_paper() -> None:
    # Webber et al. 2010, figure 5: S = <a b c d e f g>, T = <z c a v w x y>.
    # X_d = 0 0 2 2 2 2 2, so for p = 0.9 equation 23 gives, term by term,
    # 0.1/0.9 (2/3 .9^3 + 2/4 .9^4 + 2/5 .9^5 + 2/6 .9^6 + 2/7 .9^7) + 2/7 .9^7
    terms = 0.729 * 2 / 3 + 0.6561 / 2 + 0.59049 * 2 / 5 + 0.531441 / 3 + 0.4782969 * 2 / 7
    expected = terms / 9 + 0.4782969 * 2 / 7
    assert rank_biased_overlap("abcdefg", "zcavwxy", p=0.9)["rbo"] == pytest.approx(expected)
    assert expected == pytest.approx(0.2882, abs=5e-5)


@pytest.mark.parametrize(
    ("a", "b", "p", "expected"),
    [
        # Values published with an independent implementation (the example in the README of
        # the Scala library rankmeasures, after R. Agrawal's Python).
        pytest.param("12345", "23415", 0.9, 0.828, id="rotated"),
        pytest.param("abcde", "bcdae", 0.9, 0.828, id="rotated letters"),
        # The PyPI package rbo 0.1.3 on its own test cases.
        pytest.param("abcdefg", "zcavwxy", 0.9, 0.288217, id="figure 5"),
        pytest.param("abcde", "bacde", 0.9, 0.9, id="swapped first"),
        pytest.param("abcde", "abced", 0.9, 0.981775, id="swapped last"),
        pytest.param("abcdefghijklmnopqrstuvwxyz", "abcdefg", 0.9, 1.0, id="prefix"),
    ],
)
def test_published_values(a: str, b: str, p: float, expected: float) -> None:
    assert rank_biased_overlap(a, b, p=p)["rbo"] == pytest.approx(expected, abs=5e-4)


def test_first_ten_ranks_carry_86_percent_at_p_09() -> None:
    # The paper on choosing p: with p = 0.9 the first 10 ranks have 86 % of the weight.
    # Two equal lists of ten leave exactly the other 14 % open.
    equal = rank_biased_overlap("abcdefghij", "abcdefghij", p=0.9)
    assert equal["rbo_residual"] == pytest.approx(0.14, abs=0.005)


@given(rankings, rankings, persistence)
def test_residual_is_the_gap_between_worst_and_best_continuation(
    a: list[str], b: list[str], p: float
) -> None:
    lowest, highest = bounds(a, b, p)
    rbo = rank_biased_overlap(a, b, p=p)
    assert rbo["rbo_residual"] == pytest.approx(highest - lowest, abs=1e-9)
    assert lowest - 1e-9 <= rbo["rbo"] <= highest + 1e-9


@given(rankings, rankings, persistence)
def test_extrapolation_goes_on_with_the_agreement_seen(
    a: list[str], b: list[str], p: float
) -> None:
    # Oracle: agreement of each depth by the paper's assumptions, summed far out.
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    at_short = len(set(longer[: len(shorter)]) & set(shorter))
    at_long = len(set(longer) & set(shorter))
    total = 0.0
    for depth in range(1, FAR):
        if depth <= len(longer):
            overlap = float(len(set(longer[:depth]) & set(shorter[:depth])))
            overlap += at_short / len(shorter) * max(0, depth - len(shorter))
            agreement = overlap / depth
        else:
            agreement = (at_long + at_short / len(shorter) * (len(longer) - len(shorter))) / len(
                longer
            )
        total += (1 - p) * agreement * p ** (depth - 1)
    assert rank_biased_overlap(a, b, p=p)["rbo"] == pytest.approx(total, abs=1e-9)


@given(rankings, rankings, persistence)
def test_identity_symmetry_and_bounds(a: list[str], b: list[str], p: float) -> None:
    assert rank_biased_overlap(a, a, p=p)["rbo"] == pytest.approx(1.0)
    assert rank_biased_overlap(a, b, p=p) == rank_biased_overlap(b, a, p=p)
    assert 0.0 <= rank_biased_overlap(a, b, p=p)["rbo"] <= 1.0


def test_disjoint_rankings_have_none() -> None:
    assert rank_biased_overlap("abc", "xyz")["rbo"] == 0.0


def test_swap_at_the_top_costs_more_than_at_the_bottom() -> None:
    at_top = rank_biased_overlap("abcdef", "bacdef")["rbo"]
    at_bottom = rank_biased_overlap("abcdef", "abcdfe")["rbo"]
    assert at_top < at_bottom < 1.0


def test_an_empty_ranking_leaves_everything_open() -> None:
    rbo = rank_biased_overlap([], ["a", "b"])
    assert (rbo["rbo"], rbo["rbo_residual"], rbo["rbo_depth"]) == (0.0, 1.0, 2)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_persistence_outside_zero_and_one_is_refused(p: float) -> None:
    with pytest.raises(InvalidSettingError, match="between 0 and 1"):
        rank_biased_overlap("ab", "ab", p=p)
