"""How many passages two rankings share near the top, order aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import InvalidDepthError

if TYPE_CHECKING:
    from collections.abc import Sequence


def require_depth(k: int) -> None:
    """Raise `InvalidDepthError` when a depth is below 1."""
    if k < 1:
        raise InvalidDepthError(f"k is {k}; choose a whole number from 1 up.")


def shared_at_k(a: Sequence[str], b: Sequence[str], *, k: int) -> int:
    """Count the passages that two rankings have in common in their top k.

    Raises:
        InvalidDepthError: If k is below 1.
    """
    require_depth(k)
    return len(set(a[:k]) & set(b[:k]))


def overlap_at_k(a: Sequence[str], b: Sequence[str], *, k: int) -> float:
    """Share of the top-k passages that two rankings have in common.

    Args:
        a: Passage ids of system A, best first.
        b: Passage ids of system B, for the same query.
        k: Depth. Where both rankings are shorter than k, the longer one's length counts instead.

    Returns:
        A value in [0, 1]; 1.0 when both top-k sets are equal, 0.0 when either is empty.

    Raises:
        InvalidDepthError: If k is below 1.
    """
    shared = shared_at_k(a, b, k=k)
    depth = min(k, max(len(a), len(b)))
    return shared / depth if depth else 0.0


def jaccard_at_k(a: Sequence[str], b: Sequence[str], *, k: int) -> float:
    """Shared top-k passages over all passages in either top k (Jaccard index).

    Returns:
        A value in [0, 1]; 0.0 when either ranking is empty.

    Raises:
        InvalidDepthError: If k is below 1.
    """
    shared = shared_at_k(a, b, k=k)
    union = len(set(a[:k]) | set(b[:k]))
    return shared / union if union else 0.0
