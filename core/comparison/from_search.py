"""From what search answered to what is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.comparison.calibration import Background
from core.comparison.compare import RANKING_DEPTH, CorpusScores, SystemResult
from core.encoders.spec import TextKind
from core.records import Ranking
from core.search.background import PairKind
from core.search.searcher import SystemFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.encoders.protocol import Encoder
    from core.search.background import ScoreBackground
    from core.search.searcher import SearchResults


def search_depth(k: int) -> int:
    """Return how many hits to ask search for, so that RBO sees below the top k."""
    return max(k, RANKING_DEPTH)


def system_results(
    results: SearchResults, encoders: Mapping[str, Encoder]
) -> tuple[SystemResult, ...]:
    """Return every system's answer, or failure, with the conditions it was asked under.

    Args:
        results: Of a search at `search_depth`.
        encoders: By system id, for the systems that are encoders.
    """
    converted = []
    for system_id, outcome in results.outcomes.items():
        encoder = encoders.get(system_id)
        failed = isinstance(outcome, SystemFailure)
        nothing = Ranking(query_id=results.query.query_id, system_id=system_id, hits=())
        scores = None
        if not isinstance(outcome, SystemFailure) and outcome.scores is not None:
            scores = CorpusScores(results.passage_ids, outcome.scores, ranks=outcome.ranks)
        received = None
        if encoder is not None and not failed:
            (received,) = encoder.received([results.query.text], kind=TextKind.QUERY)
        converted.append(
            SystemResult(
                info=outcome.info,
                ranking=nothing if isinstance(outcome, SystemFailure) else outcome.ranking,
                scores=scores,
                fingerprint="" if encoder is None else encoder.fingerprint,
                max_tokens=0 if encoder is None else encoder.spec.max_tokens,
                received=received,
                seconds=None
                if isinstance(outcome, SystemFailure)
                else outcome.encode_seconds + outcome.search_seconds,
                failure=outcome.reason if isinstance(outcome, SystemFailure) else "",
            )
        )
    return tuple(converted)


def background_of(
    sampled: ScoreBackground, *, pairs: PairKind = PairKind.QUERY_PASSAGE
) -> Background:
    """Return an encoder's background on this corpus as comparison uses it."""
    return Background.from_scores(sampled.sample(pairs), pairs=pairs)
