"""From answers of a search to values that are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from core.comparison.compare import RANKING_DEPTH, CorpusScores, SystemResult, is_ascending
from core.encoders.spec import TextKind
from core.records import Ranking
from core.search.searcher import SystemFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.encoders.protocol import Encoder
    from core.search.searcher import SearchResults, SystemAnswer


def search_depth(k: int) -> int:
    """Return how many hits to ask search for, so that RBO sees below the top k."""
    return max(k, RANKING_DEPTH)


def system_results(
    results: SearchResults, encoders: Mapping[str, Encoder]
) -> tuple[SystemResult, ...]:
    """Return every system's answer, or failure, with the conditions it was asked under.

    Args:
        results: Of a search at `search_depth`.
        encoders: By system id, for the systems that are encoders; a failed one may be missing.
    """
    ascending = is_ascending(results.passage_ids)
    return tuple(
        _failed(outcome, results.query.query_id)
        if isinstance(outcome, SystemFailure)
        else _answered(outcome, results, encoders.get(system_id), ascending=ascending)
        for system_id, outcome in results.outcomes.items()
    )


def _failed(outcome: SystemFailure, query_id: str) -> SystemResult:
    nothing = Ranking(query_id=query_id, system_id=outcome.info.system_id, hits=())
    return SystemResult(info=outcome.info, ranking=nothing, failure=outcome.reason)


def _answered(
    outcome: SystemAnswer, results: SearchResults, encoder: Encoder | None, *, ascending: bool
) -> SystemResult:
    scores = None
    if outcome.scores is not None:
        scores = CorpusScores(
            results.passage_ids, outcome.scores, ranks=outcome.ranks, ascending=ascending
        )
    result = SystemResult(
        info=outcome.info,
        ranking=outcome.ranking,
        scores=scores,
        seconds=outcome.encode_seconds + outcome.search_seconds,
    )
    if encoder is None:
        return result
    return replace(
        result,
        fingerprint=encoder.fingerprint,
        # A loaded encoder may run at a lower limit than its spec's.
        max_tokens=getattr(encoder, "max_tokens", encoder.spec.max_tokens),
        received=encoder.received([results.query.text], kind=TextKind.QUERY)[0],
    )
