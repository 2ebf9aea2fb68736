"""Jaccard index: shared passages over all passages near the top."""

from __future__ import annotations

from collections.abc import Sequence

from core.comparison.measures.measure import Measure


def jaccard_at_k(a: Sequence[str], b: Sequence[str], *, k: int) -> float:
    """Shared top-k passages over all passages in either top k; 0.0 when either is empty."""
    union = set(a[:k]) | set(b[:k])
    return len(set(a[:k]) & set(b[:k])) / len(union) if union else 0.0


MEASURE = Measure(
    name="jaccard",
    label="Jaccard@{k}",
    meaning="Shared passages over all passages in either list; stricter than overlap.",
    how="Shared passages divided by the number of different passages in both top {k} together.",
    compute=lambda a, b, k: {"jaccard": jaccard_at_k(a, b, k=k)},
    order=20,
)
