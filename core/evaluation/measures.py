"""nDCG, recall, reciprocal rank and average precision per query, by ir-measures (trec_eval underneath).

nDCG has linear gain and a log2 discount, as in trec_eval and BEIR. Every query of the qrels
counts; one without a single hit scores 0. Unjudged passages count as not relevant, as trec_eval
has it; `unjudged_share` tells how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ir_measures
import numpy as np
from ir_measures import AP, RR, R, Success, nDCG
from numpy.typing import NDArray

from core.records import Ranking

MEASURES = ("nDCG@10", "Recall@10", "Recall@100", "MRR@10", "AP@100")
ACCURACY = "Accuracy@1"  # whether the first hit is relevant; what LongEmbed reports by length
DEPTH = 100  # hits a run needs for them
_IR_MEASURES = dict(zip(MEASURES, (nDCG @ 10, R @ 10, R @ 100, RR @ 10, AP @ 100), strict=True))


def per_query(
    qrels: Mapping[str, Mapping[str, int]], rankings: Sequence[Ranking], *, accuracy: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Measure one system's run against grades by query id and passage id.

    Queries without judgments are ignored; with ``accuracy`` `ACCURACY` comes before the others.

    Returns:
        By name of measure: ``(queries,)`` in the order of ``qrels``, in [0, 1].
    """
    judgments = [
        ir_measures.Qrel(query_id, passage_id, grade)
        for query_id, grades in qrels.items()
        for passage_id, grade in grades.items()
    ]
    # trec_eval sorts by score and breaks ties its own way; minus the rank keeps ours.
    scored = [
        ir_measures.ScoredDoc(ranking.query_id, hit.passage_id, float(-hit.rank))
        for ranking in rankings
        for hit in ranking.hits
        if ranking.query_id in qrels
    ]
    places = {query_id: place for place, query_id in enumerate(qrels)}
    wanted = ({ACCURACY: Success @ 1} if accuracy else {}) | _IR_MEASURES
    values = {name: np.zeros(len(places)) for name in wanted}
    names = {measure: name for name, measure in wanted.items()}
    if scored:
        for found in ir_measures.iter_calc(list(names), judgments, scored):
            values[names[found.measure]][places[found.query_id]] = found.value
    return values


def unjudged_share(
    qrels: Mapping[str, Mapping[str, int]], rankings: Sequence[Ranking], *, k: int
) -> float:
    """Share of the top-k hits, over judged queries, that have no judgment; 0.0 without hits."""
    hits = [
        hit.passage_id in qrels[ranking.query_id]
        for ranking in rankings
        if ranking.query_id in qrels
        for hit in ranking.hits[:k]
    ]
    return 1.0 - sum(hits) / len(hits) if hits else 0.0
