"""Join the rankings of several systems into one `Comparison`. Pure: values in, values out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from core.comparison.measures import figures
from core.comparison.records import (
    Agreement,
    CloudPoint,
    Column,
    ComparedPassage,
    Comparison,
    Move,
    MoveKind,
    Standing,
)
from core.comparison.summary import summarise
from core.errors import UnknownNameError, UsageError
from core.records import Family, Passage, Query, SystemInfo, Unit
from core.search.answer import Answer
from core.search.background import Background
from core.search.order import require_depth

RANKING_DEPTH = 50  # a column holds at least this many hits, so that RBO sees below the top k
CLOUD_POINTS = 400
_NEITHER_ENCODER = (Family.LEXICAL, Family.FUSION)


def search_depth(k: int) -> int:
    """Return how many hits to ask search for, so that RBO sees below the top k."""
    return max(k, RANKING_DEPTH)


def compare(
    query: Query,
    systems: Sequence[Answer],
    backgrounds: Mapping[str, Background],
    *,
    k: int,
    passages: Mapping[str, Passage],
    document_names: Mapping[str, str],
    corpus_size: int | None = None,
    encoders: tuple[str, str] | None = None,
    unit: Unit = Unit.PASSAGE,
    pair_id: str = "",
    waiting: int = 0,
) -> Comparison:
    """Compare several systems' answers to one query.

    Args:
        query: What was asked.
        systems: Two or more, their ids all different, in the order of the columns.
        backgrounds: By system id; systems without one get no z and no percentile.
        k: Depth of the columns.
        passages: At least every passage of every ranking, by id.
        document_names: By document id.
        corpus_size: Passages searched; ``len(passages)`` if not given.
        encoders: System ids of the two encoders. If not given: the first diffusion and the first
            autoregressive system, else the first two encoders, else the first two systems.
        unit: What was retrieved.
        pair_id: Of the registry, "" for none.
        waiting: Passages of the library that were not searched: an encoder has not embedded them.

    Raises:
        UsageError: With fewer than two systems or an id that comes twice.
        InvalidDepthError: If k is below 1.
        UnknownNameError: If an encoder or a passage is not among those given.
    """
    require_depth(k)
    encoder_a, encoder_b = _require_encoders(systems, encoders)
    union = {hit.passage_id for system in systems for hit in system.ranking.hits}
    standings = [_standings(system, union, backgrounds) for system in systems]
    ordered = sorted(union, key=lambda passage_id: _place(passage_id, standings))
    compared = tuple(
        _compared(passage_id, passages, document_names, standings) for passage_id in ordered
    )
    comparison = Comparison(
        query=query,
        k=k,
        unit=unit,
        corpus_size=len(passages) if corpus_size is None else corpus_size,
        columns=tuple(_column(system, backgrounds) for system in systems),
        encoder_a=encoder_a,
        encoder_b=encoder_b,
        passages=compared,
        agreements=tuple(
            _agreement(first, second, compared, k=k)
            for first, second in combinations(systems, 2)
            if not (first.failure or second.failure)
        ),
        cloud=_cloud(encoder_a, encoder_b, systems, backgrounds, shown=union),
        pair_id=pair_id,
        equal_limits=_equal_limits(encoder_a, encoder_b, systems),
        waiting=waiting,
    )
    return replace(comparison, summary=summarise(comparison))


# -- parts ---------------------------------------------------------------------------------


def _standings(
    system: Answer, union: set[str], backgrounds: Mapping[str, Background]
) -> dict[str, Standing]:
    """Return where every passage of the union stands in one system."""
    name, background = system.info.system_id, backgrounds.get(system.info.system_id)
    scores, ranks = system.scores_of(union), system.ranks_of(union)
    return {
        passage_id: Standing(
            system_id=name,
            rank=ranks.get(passage_id),
            score=scores.get(passage_id),
            **_placed(scores.get(passage_id), background),
        )
        for passage_id in union
    }


def _placed(score: float | None, background: Background | None) -> dict[str, float | None]:
    if score is None or background is None:
        return {}
    return {"z": background.z(score), "percentile": background.percentile(score)}


def _place(passage_id: str, standings: Iterable[Mapping[str, Standing]]) -> tuple[int, str]:
    ranks = [standing[passage_id].rank for standing in standings]
    return min(rank for rank in ranks if rank is not None), passage_id


def _compared(
    passage_id: str,
    passages: Mapping[str, Passage],
    document_names: Mapping[str, str],
    standings: Sequence[Mapping[str, Standing]],
) -> ComparedPassage:
    passage = passages.get(passage_id)
    if passage is None:
        raise UnknownNameError(
            f"A system returned passage {passage_id!r}, which this library does not hold."
        )
    return ComparedPassage(
        passage_id=passage_id,
        doc_id=passage.doc_id,
        document=document_names.get(passage.doc_id, passage.doc_id),
        page_first=passage.page_first,
        page_last=passage.page_last,
        start=passage.start,
        end=passage.end,
        text=passage.text,
        standings=tuple(standing[passage_id] for standing in standings),
    )


def _column(system: Answer, backgrounds: Mapping[str, Background]) -> Column:
    background = backgrounds.get(system.info.system_id)
    return Column(
        info=system.info,
        ranking=system.ranking,
        background=None if background is None else background.thinned(),
        fingerprint=system.fingerprint,
        max_tokens=system.max_tokens,
        received=system.received,
        seconds=system.seconds,
        failure=system.failure,
        note=system.note,
    )


def _agreement(
    first: Answer, second: Answer, compared: Sequence[ComparedPassage], *, k: int
) -> Agreement:
    ids_a, ids_b = first.ranking.passage_ids, second.ranking.passage_ids
    return Agreement(
        system_a=first.info.system_id,
        system_b=second.info.system_id,
        k=k,
        shared=len(set(ids_a[:k]) & set(ids_b[:k])),
        figures=figures(ids_a, ids_b, k=k),
        moves=rank_moves(
            _known_ranks(first.info.system_id, compared),
            _known_ranks(second.info.system_id, compared),
            k=k,
        ),
    )


def _known_ranks(system_id: str, compared: Sequence[ComparedPassage]) -> dict[str, int]:
    ranks = {passage.passage_id: passage.standing(system_id).rank for passage in compared}
    return {passage_id: rank for passage_id, rank in ranks.items() if rank is not None}


def _cloud(
    encoder_a: str,
    encoder_b: str,
    systems: Sequence[Answer],
    backgrounds: Mapping[str, Background],
    *,
    shown: set[str],
) -> tuple[CloudPoint, ...]:
    by_id = {system.info.system_id: system for system in systems}
    background_a, background_b = backgrounds.get(encoder_a), backgrounds.get(encoder_b)
    if background_a is None or background_b is None:
        return ()
    if not (background_a.places_scores and background_b.places_scores):
        return ()
    scores_a = by_id[encoder_a].sample(CLOUD_POINTS)
    scores_b = by_id[encoder_b].scores_of(scores_a)
    points = []
    for passage_id, score in scores_a.items():
        if passage_id in shown or passage_id not in scores_b:
            continue
        z_a, z_b = background_a.z(score), background_b.z(scores_b[passage_id])
        if z_a is not None and z_b is not None and math.isfinite(z_a) and math.isfinite(z_b):
            points.append(CloudPoint(passage_id=passage_id, z_a=z_a, z_b=z_b))
    return tuple(points)


def _equal_limits(encoder_a: str, encoder_b: str, systems: Sequence[Answer]) -> bool | None:
    limits = {system.info.system_id: system.max_tokens for system in systems}
    if not (limits[encoder_a] and limits[encoder_b]):
        return None
    return limits[encoder_a] == limits[encoder_b]


def _require_encoders(
    systems: Sequence[Answer], encoders: tuple[str, str] | None
) -> tuple[str, str]:
    ids = [system.info.system_id for system in systems]
    if len(ids) <= 1:
        raise UsageError("A comparison needs at least two systems.")
    twice = {system_id for system_id in ids if ids.count(system_id) > 1}
    if twice:
        raise UsageError(f"Two systems are called {min(twice)!r}; give each its own id.")
    if encoders is None:
        return _default_encoders([system.info for system in systems])
    for encoder in encoders:
        if encoder not in ids:
            raise UnknownNameError(
                f"The encoder {encoder!r} is not among the systems {', '.join(ids)}."
            )
    if encoders[0] == encoders[1]:
        raise UsageError(f"Both encoders are {encoders[0]!r}; choose two systems.")
    return encoders


def _default_encoders(infos: Sequence[SystemInfo]) -> tuple[str, str]:
    diffusion = next((info for info in infos if info.family is Family.DIFFUSION), None)
    causal = next((info for info in infos if info.family is Family.AUTOREGRESSIVE), None)
    if diffusion is not None and causal is not None:
        return diffusion.system_id, causal.system_id
    encoders = [info for info in infos if info.family not in _NEITHER_ENCODER]
    others = [info for info in infos if info.family in _NEITHER_ENCODER]
    first, second = (*encoders, *others)[:2]
    return first.system_id, second.system_id


# -- moves ---------------------------------------------------------------------------------


def rank_moves(
    ranks_a: Mapping[str, int], ranks_b: Mapping[str, int], *, k: int
) -> tuple[Move, ...]:
    """Return a move for every passage in either top k, best place first, ties by passage id.

    Args:
        ranks_a: Rank in A of every passage A ranks; also those below k, where they are known.
        ranks_b: The same for B.
        k: Depth that decides who is "only here".

    Raises:
        InvalidDepthError: If k is below 1.
    """
    require_depth(k)
    best: dict[str, int] = {}
    for ranks in (ranks_a, ranks_b):
        for passage_id, rank in ranks.items():
            if rank <= k:
                best[passage_id] = min(rank, best.get(passage_id, rank))
    ordered = sorted(best, key=lambda passage_id: (best[passage_id], passage_id))
    return tuple(
        _move(passage_id, ranks_a.get(passage_id), ranks_b.get(passage_id), k=k)
        for passage_id in ordered
    )


def _move(passage_id: str, rank_a: int | None, rank_b: int | None, *, k: int) -> Move:
    if rank_b is None or rank_b > k:
        kind = MoveKind.ONLY_A
    elif rank_a is None or rank_a > k:
        kind = MoveKind.ONLY_B
    elif rank_a == rank_b:
        kind = MoveKind.SAME
    else:
        kind = MoveKind.UP if rank_b < rank_a else MoveKind.DOWN
    return Move(passage_id=passage_id, rank_a=rank_a, rank_b=rank_b, kind=kind)
