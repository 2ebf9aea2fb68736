"""Kendall's tau-b: whether two rankings put the passages they share in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from core.comparison.measures.measure import Figures, Measure

_FEWEST_ITEMS = 2  # one passage has no order


def kendall_tau_b(a: Sequence[str], b: Sequence[str], *, k: int) -> Figures:
    """Kendall's tau-b over the passages in both top k, by their ranks.

    Passages in only one top k are left out: they say something about overlap, not about order.
    Ranks hold no ties, so tau-b is plainly (pairs in the same order - pairs in the other) / pairs.
    Counted here over at most 50 passages; importing scipy.stats would cost the page half a second.

    Returns:
        tau_b in [-1, 1]: 1.0 same order, -1.0 reversed; None where fewer than two are shared.
        tau_items: Passages it was computed over.
    """
    rank_b = {passage_id: rank for rank, passage_id in enumerate(b[:k], start=1)}
    ranks = [rank_b[passage_id] for passage_id in a[:k] if passage_id in rank_b]
    if len(ranks) < _FEWEST_ITEMS:
        return {"tau_b": None, "tau_items": len(ranks)}
    signs = [1 if first < second else -1 for first, second in combinations(ranks, 2)]
    return {"tau_b": sum(signs) / len(signs), "tau_items": len(ranks)}


MEASURE = Measure(
    name="tau_b",
    label="Kendall \u03c4-b",
    meaning="Whether passages that both found stand in the same order: 1 same, 0 unrelated, "
    "\u22121 reversed.",
    how="Kendall's tau-b over the {tau_items} passages in both top {k}, by rank.",
    compute=lambda a, b, k: kendall_tau_b(a, b, k=k),
    order=40,
    missing="Here it needs two shared passages.",
)
