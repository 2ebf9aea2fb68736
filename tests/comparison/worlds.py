"""Small worlds for comparison tests: passages, systems and scores anyone can check by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.comparison.compare import compare
from core.records import Family, Hit, Passage, Query, Ranking, SystemInfo, Unit
from core.search.answer import MemoryAnswer
from core.search.background import Background

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.comparison.records import Comparison

QUERY = Query(query_id="q1", text="where does the water go?")
DOCUMENT_NAMES = {"d1": "sluice.pdf", "d2": "report.pdf"}


def passage(passage_id: str, *, text: str = "", doc_id: str = "d1", page: int = 1) -> Passage:
    text = text or f"Text of {passage_id}."
    return Passage(
        passage_id=passage_id,
        doc_id=doc_id,
        start=0,
        end=len(text),
        text=text,
        page_first=page,
        page_last=page,
        unit=Unit.PASSAGE,
    )


def passages(ids: Sequence[str]) -> dict[str, Passage]:
    """Passages p0, p1, ... on pages 1, 2, ... of sluice.pdf."""
    return {
        passage_id: passage(passage_id, page=page) for page, passage_id in enumerate(ids, start=1)
    }


def ranking(system_id: str, ids: Sequence[str]) -> Ranking:
    """Hits in the order given, with scores 1.0, 0.9, ..."""
    hits = tuple(
        Hit(passage_id=passage_id, score=1.0 - 0.1 * (rank - 1), rank=rank)
        for rank, passage_id in enumerate(ids, start=1)
    )
    return Ranking(query_id="q1", system_id=system_id, hits=hits)


def listed(
    system_id: str, ids: Sequence[str], *, family: Family = Family.REFERENCE
) -> MemoryAnswer:
    """A system of which only the list is known."""
    return MemoryAnswer(
        info=SystemInfo(system_id=system_id, family=family, label=system_id.title()),
        ranking=ranking(system_id, ids),
    )


def scored(
    system_id: str,
    scores: Mapping[str, float],
    *,
    family: Family,
    depth: int = 50,
    max_tokens: int = 0,
) -> MemoryAnswer:
    """A system with a score for every passage; its ranking by score, ties by id."""
    order = sorted(scores, key=lambda passage_id: (-scores[passage_id], passage_id))
    hits = tuple(
        Hit(passage_id=passage_id, score=scores[passage_id], rank=rank)
        for rank, passage_id in enumerate(order[:depth], start=1)
    )
    return MemoryAnswer(
        info=SystemInfo(system_id=system_id, family=family, label=system_id.title()),
        ranking=Ranking(query_id="q1", system_id=system_id, hits=hits),
        places={passage_id: place for place, passage_id in enumerate(scores)},
        scores=np.array(list(scores.values()), np.float64),
        max_tokens=max_tokens,
    )


def random_scores(ids: Sequence[str], *, seed: int, spread: float = 0.2) -> dict[str, float]:
    values = np.random.default_rng(seed).normal(0.5, spread, len(ids))
    return dict(zip(ids, values.tolist(), strict=True))


def background(*, seed: int = 0, mean: float = 0.5, spread: float = 0.2) -> Background:
    return Background.from_scores(np.random.default_rng(seed).normal(mean, spread, 1000))


def two_encoders(
    *,
    ids: Sequence[str],
    scores_a: Mapping[str, float],
    scores_b: Mapping[str, float],
    k: int = 10,
    depth: int = 50,
    backgrounds: Mapping[str, Background] | None = None,
    lexical: Sequence[str] | None = None,
) -> Comparison:
    systems = [
        scored("diff", scores_a, family=Family.DIFFUSION, depth=depth),
        scored("ar", scores_b, family=Family.AUTOREGRESSIVE, depth=depth),
    ]
    if lexical is not None:
        systems.append(listed("bm25", lexical, family=Family.LEXICAL))
    return compare(
        QUERY,
        systems,
        backgrounds or {},
        k=k,
        passages=passages(ids),
        document_names=DOCUMENT_NAMES,
    )
