"""Overlap: how many passages two rankings share near the top, order aside."""

from __future__ import annotations

from collections.abc import Sequence

from core.comparison.measures.measure import Measure


def overlap_at_k(a: Sequence[str], b: Sequence[str], *, k: int) -> float:
    """Share of the top-k passages that two rankings have in common.

    Returns:
        A value in [0, 1]; 1.0 when both top-k sets are equal, 0.0 when either is empty. Where both
        rankings are shorter than k, the longer one's length counts instead.
    """
    shared = len(set(a[:k]) & set(b[:k]))
    depth = min(k, max(len(a), len(b)))
    return shared / depth if depth else 0.0


MEASURE = Measure(
    name="overlap",
    label="Overlap@{k}",
    meaning="Of the top {k}, the share both lists hold. Order does not count.",
    how="Number of passages in both top {k}, divided by {k} (or by the longer list where both "
    "hold fewer): {shared} of {depth}.",
    compute=lambda a, b, k: {"overlap": overlap_at_k(a, b, k=k)},
    order=10,
)
