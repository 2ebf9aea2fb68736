"""The one tie rule: higher score first, equal scores by passage id ascending. Nowhere else.

Everything here works on positions. ``id_order`` gives each position's place among the sorted
passage ids; None says that the ids are sorted already, so position order is id order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidDepthError
from core.records import Hit, Ranking

Scores = NDArray[np.float32] | NDArray[np.float64]


def require_depth(k: int) -> None:
    """Raise `InvalidDepthError` unless k is at least 1."""
    if k < 1:
        raise InvalidDepthError(f"k is {k}; ask for at least one hit.")


def id_order(passage_ids: Sequence[str]) -> NDArray[np.int64] | None:
    """Return each position's place among the sorted ids, ``(n,)``; None when they are sorted."""
    if all(a < b for a, b in pairwise(passage_ids)):
        return None
    places = np.empty(len(passage_ids), np.int64)
    places[sorted(range(len(passage_ids)), key=passage_ids.__getitem__)] = np.arange(
        len(passage_ids)
    )
    return places


def best_positions(
    scores: Scores, *, k: int, id_order: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return positions of the k best, best first; exact also where a tie straddles the cut.

    Args:
        scores: ``(n,)``.
        k: At least 1; more than n gives n positions.
        id_order: See the module.

    Raises:
        InvalidDepthError: If k is below 1.
    """
    require_depth(k)
    n = len(scores)
    if k < n:
        # Every score equal to the k-th best is a candidate, so no tie is cut by chance.
        threshold = np.partition(scores, n - k)[n - k]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(n)
    ties = candidates if id_order is None else id_order[candidates]
    return candidates[np.lexsort((ties, -scores[candidates]))][:k]


def make_ranking(
    passage_ids: Sequence[str],
    scores: Scores,
    positions: NDArray[np.int64],
    *,
    query_id: str,
    system_id: str,
) -> Ranking:
    """Return the ranking of these positions, in the order given."""
    hits = tuple(
        Hit(passage_id=passage_ids[position], score=float(scores[position]), rank=rank)
        for rank, position in enumerate(positions.tolist(), start=1)
    )
    return Ranking(query_id=query_id, system_id=system_id, hits=hits)
