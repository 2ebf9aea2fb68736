"""A comparison of two encoders that count words, for what is drawn of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.comparison.compare import compare
from core.comparison.records import Comparison
from core.encoders.spec import TextKind
from core.experiments.context import Context
from core.records import Family, Query, Ranking, SystemInfo
from core.search.answer import MemoryAnswer
from core.search.background import Background
from core.search.order import best_positions, make_ranking


def compared(bench: Context, query: str, *, k: int = 3) -> Comparison:
    """Ask both encoders and BM25."""
    ids = [passage.passage_id for passage in bench.corpus.passages]
    systems = []
    backgrounds = {}
    for side in bench.encoders:
        scores = side.vectors @ side.encoder.encode([query], kind=TextKind.QUERY)[0]
        positions = best_positions(scores, k=50)
        (received,) = side.encoder.received([query], kind=TextKind.QUERY)
        systems.append(
            MemoryAnswer(
                info=SystemInfo(side.system_id, side.family, side.label),
                ranking=make_ranking(
                    ids, scores, positions, query_id="q", system_id=side.system_id
                ),
                places={name: place for place, name in enumerate(ids)},
                scores=scores,
                fingerprint=side.encoder.fingerprint,
                max_tokens=side.encoder.spec.max_tokens,
                received=received,
                seconds=0.012,
            )
        )
        backgrounds[side.system_id] = Background.from_scores(np.linspace(-0.2, 0.4, 200))
    assert bench.lexical is not None
    (ranking,) = bench.lexical.search([query], k=50, query_ids=["q"])
    systems.append(MemoryAnswer(SystemInfo("bm25", Family.LEXICAL, "BM25"), ranking))
    return compare(
        Query("q", query),
        systems,
        backgrounds,
        k=k,
        passages={passage.passage_id: passage for passage in bench.corpus.passages},
        document_names=bench.corpus.names,
    )


def failed(comparison: Comparison, problem: str) -> Comparison:
    """Return the comparison as it is when its second encoder failed."""
    broken = replace(
        comparison.columns[1],
        ranking=Ranking("q", comparison.encoder_b, ()),
        failure=problem,
        background=None,
        received=None,
        seconds=None,
    )
    passages = tuple(
        replace(
            passage,
            standings=tuple(
                replace(one, rank=None, score=None, z=None, percentile=None)
                if one.system_id == comparison.encoder_b
                else one
                for one in passage.standings
            ),
        )
        for passage in comparison.passages
    )
    columns = (comparison.columns[0], broken, comparison.columns[2])
    return replace(
        comparison, columns=columns, passages=passages, agreements=(), cloud=(), summary=(problem,)
    )
