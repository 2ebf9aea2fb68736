"""Whether two rankings put the passages they share in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from core.comparison.overlap import require_depth

if TYPE_CHECKING:
    from collections.abc import Sequence

_FEWEST_ITEMS = 2  # one passage has no order


@dataclass(frozen=True, slots=True)
class Correlation:
    """Kendall's tau-b and over how many passages it was computed; None with fewer than two."""

    tau_b: float | None
    items: int


def kendall_tau_b(a: Sequence[str], b: Sequence[str], *, k: int) -> Correlation:
    """Kendall's tau-b over the passages in both top k, by their ranks.

    Passages in only one top k are left out: they say something about overlap, not about order.
    Ranks hold no ties, so tau-b is plainly (pairs in the same order - pairs in the other) / pairs.
    Counted here over at most 50 passages; importing scipy.stats would cost the page half a second.

    Returns:
        tau_b in [-1, 1]: 1.0 same order, -1.0 reversed; None where fewer than two are shared.

    Raises:
        InvalidDepthError: If k is below 1.
    """
    require_depth(k)
    rank_b = {passage_id: rank for rank, passage_id in enumerate(b[:k], start=1)}
    ranks = [rank_b[passage_id] for passage_id in a[:k] if passage_id in rank_b]
    if len(ranks) < _FEWEST_ITEMS:
        return Correlation(tau_b=None, items=len(ranks))
    signs = [1 if first < second else -1 for first, second in combinations(ranks, 2)]
    return Correlation(tau_b=sum(signs) / len(signs), items=len(ranks))
