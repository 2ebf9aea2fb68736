"""Reciprocal-rank fusion: one ranking out of several, by ranks alone.

Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
Learning Methods", SIGIR 2009, section 2: score(d) = sum over rankings of 1 / (60 + rank(d)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.errors import UsageError
from core.records import Ranking
from core.search.order import best_positions, make_ranking, require_depth

RRF_CONSTANT = 60


def reciprocal_rank_fusion(
    rankings: Sequence[Ranking], *, k: int, constant: int = RRF_CONSTANT, system_id: str = "rrf"
) -> Ranking:
    """Fuse rankings of the same query; a passage missing from one gets nothing from it.

    Args:
        rankings: At least one, all for one query.
        k: Hits to return.
        constant: The paper's k; 60 there.
        system_id: Of the fused ranking.

    Raises:
        InvalidDepthError: If k is below 1.
        UsageError: If there is no ranking, or they answer different queries.
    """
    require_depth(k)
    query_ids = {ranking.query_id for ranking in rankings}
    if len(query_ids) != 1:
        raise UsageError(
            f"Fusion needs rankings of one query; got {len(query_ids)} different queries."
        )
    fused: dict[str, float] = {}
    # Passages in id order and sums in rank order: no rounding depends on who is listed first.
    contributions: dict[str, list[int]] = {}
    for ranking in rankings:
        for hit in ranking.hits:
            contributions.setdefault(hit.passage_id, []).append(hit.rank)
    for passage_id in sorted(contributions):
        fused[passage_id] = sum(1 / (constant + rank) for rank in sorted(contributions[passage_id]))
    passage_ids = list(fused)
    scores = np.array(list(fused.values()), np.float64)
    positions = best_positions(scores, k=k)
    return make_ranking(
        passage_ids, scores, positions, query_id=query_ids.pop(), system_id=system_id
    )
