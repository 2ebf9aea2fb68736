"""Join the rankings of several systems into one `Comparison`. Pure: values in, values out."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import combinations, islice, pairwise
from operator import lt
from typing import TYPE_CHECKING

import numpy as np

from core.comparison.measures import figures
from core.comparison.moves import rank_moves
from core.comparison.records import (
    Agreement,
    CloudPoint,
    Column,
    ComparedPassage,
    Comparison,
    Standing,
)
from core.comparison.summary import summarise
from core.errors import IndexMismatchError, UnknownNameError, UsageError
from core.records import Family, Unit
from core.search.order import full_ranks, id_order, require_depth

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from core.records import Passage, Query, Ranking, ReceivedText, SystemInfo
    from core.search.background import Background

RANKING_DEPTH = 50  # a column holds at least this many hits, so that RBO sees below the top k
CLOUD_POINTS = 400
_NEITHER_ENCODER = (Family.LEXICAL, Family.FUSION)


class CorpusScores:
    """One system's score and rank for every passage of the corpus.

    Args:
        passage_ids: ``n`` ids. Ascending is quickest; any other order gives the same answers.
        scores: ``(n,)`` in that order, finite.
        ranks: ``(n,)`` from 1, 0 for what the system does not rank, as search has computed
            them; None to rank here.
        ascending: The ids are known to be ascending, so they are not looked at again.
        positive_only: When ranking here: a score of 0 or less means "not found" (BM25 without a
            shared word) and so no rank.

    Raises:
        IndexMismatchError: If lengths differ or an id comes twice.
    """

    def __init__(
        self,
        passage_ids: Sequence[str],
        scores: ArrayLike,
        *,
        ranks: NDArray[np.int64] | None = None,
        ascending: bool = False,
        positive_only: bool = False,
    ) -> None:
        array = np.asarray(scores)
        if array.shape != (len(passage_ids),) or (ranks is not None and ranks.shape != array.shape):
            msg = f"{len(passage_ids)} passages cannot have scores of shape {array.shape}."
            raise IndexMismatchError(msg)
        if not (ascending or is_ascending(passage_ids)):
            places = id_order(passage_ids)
            order = np.arange(len(passage_ids)) if places is None else np.argsort(places)
            passage_ids = [passage_ids[position] for position in order.tolist()]
            if any(first == second for first, second in pairwise(passage_ids)):
                raise IndexMismatchError("A passage id comes twice in the scores.")
            array = array[order]
            ranks = None if ranks is None else ranks[order]
        if ranks is None:
            ranks = full_ranks(array)
            if positive_only:
                ranks[array <= 0] = 0
        self.passage_ids: Sequence[str] = passage_ids
        self.scores = array
        self.ranks: NDArray[np.int64] = ranks

    def __len__(self) -> int:
        return len(self.passage_ids)

    def score(self, passage_id: str) -> float | None:
        """Return a passage's score; None where the system has none for it."""
        position = self._position(passage_id)
        return None if position is None else float(self.scores[position])

    def rank(self, passage_id: str) -> int | None:
        """Return a passage's rank over the corpus; None where the system does not rank it."""
        position = self._position(passage_id)
        return None if position is None else int(self.ranks[position]) or None

    def _position(self, passage_id: str) -> int | None:
        position = bisect_left(self.passage_ids, passage_id)
        if position < len(self) and self.passage_ids[position] == passage_id:
            return position
        return None


def is_ascending(passage_ids: Sequence[str]) -> bool:
    """Whether ids come in ascending order, none twice; at C speed, for a hundred thousand."""
    return all(map(lt, passage_ids, islice(passage_ids, 1, None)))


@dataclass(frozen=True, slots=True, eq=False)
class SystemResult:
    """Answer of one system to one query.

    Attributes:
        info: The system.
        ranking: Its best ``max(k, RANKING_DEPTH)`` hits, or as many as it has.
        scores: Its scores over the whole corpus; None where it cannot give them.
        fingerprint: Of the encoder; "" for other systems.
        max_tokens: The encoder's limit in force; 0 for other systems.
        received: Exactly what the encoder got for the query.
        seconds: Time it took.
        failure: Why it has no ranking, in a sentence: shown in its column, never as "no hits".
        note: What to know about it besides, in a sentence or two.
    """

    info: SystemInfo
    ranking: Ranking
    scores: CorpusScores | None = None
    fingerprint: str = ""
    max_tokens: int = 0
    received: ReceivedText | None = None
    seconds: float | None = None
    failure: str = ""
    note: str = ""


def compare(
    query: Query,
    systems: Sequence[SystemResult],
    backgrounds: Mapping[str, Background],
    *,
    k: int,
    passages: Mapping[str, Passage],
    document_names: Mapping[str, str],
    corpus_size: int | None = None,
    arms: tuple[str, str] | None = None,
    unit: Unit = Unit.PASSAGE,
    pair_id: str = "",
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
        arms: System ids of the two arms. If not given: the first diffusion and the first
            autoregressive system, else the first two encoders, else the first two systems.
        unit: What was retrieved.
        pair_id: Of the registry, "" for none.

    Raises:
        UsageError: With fewer than two systems or an id that comes twice.
        InvalidDepthError: If k is below 1.
        UnknownNameError: If an arm or a passage is not among those given.
    """
    require_depth(k)
    arm_a, arm_b = _require_arms(systems, arms)
    standings = {system.info.system_id: _Standings(system, backgrounds) for system in systems}
    union = sorted(
        {hit.passage_id for system in systems for hit in system.ranking.hits},
        key=lambda passage_id: _place(passage_id, standings.values()),
    )
    compared = tuple(
        _compared(passage_id, passages, document_names, list(standings.values()))
        for passage_id in union
    )
    comparison = Comparison(
        query=query,
        k=k,
        unit=unit,
        corpus_size=len(passages) if corpus_size is None else corpus_size,
        columns=tuple(_column(system, backgrounds) for system in systems),
        arm_a=arm_a,
        arm_b=arm_b,
        passages=compared,
        agreements=tuple(
            _agreement(first, second, compared, k=k)
            for first, second in combinations(systems, 2)
            if not (first.failure or second.failure)
        ),
        cloud=_cloud(arm_a, arm_b, systems, backgrounds, shown=set(union)),
        pair_id=pair_id,
        equal_limits=_equal_limits(arm_a, arm_b, systems),
    )
    return replace(comparison, summary=summarise(comparison))


# -- parts ---------------------------------------------------------------------------------


class _Standings:
    """Where passages stand in one system, hits first and the whole corpus after them."""

    def __init__(self, system: SystemResult, backgrounds: Mapping[str, Background]) -> None:
        self.system_id = system.info.system_id
        self._hits = {hit.passage_id: hit for hit in system.ranking.hits}
        self._scores = system.scores
        self._background = backgrounds.get(self.system_id)

    def of(self, passage_id: str) -> Standing:
        hit = self._hits.get(passage_id)
        if hit is not None:
            return self._standing(hit.rank, hit.score)
        score = self._scores.score(passage_id) if self._scores else None
        rank = self._scores.rank(passage_id) if self._scores else None
        if rank is not None:
            # Scores computed on another path may differ in the last bit from the ranking's.
            rank = max(rank, len(self._hits) + 1)
        return self._standing(rank, score)

    def _standing(self, rank: int | None, score: float | None) -> Standing:
        if score is None or self._background is None:
            return Standing(system_id=self.system_id, rank=rank, score=score)
        return Standing(
            system_id=self.system_id,
            rank=rank,
            score=score,
            z=self._background.z(score),
            percentile=self._background.percentile(score),
        )


def _place(passage_id: str, standings: Iterable[_Standings]) -> tuple[int, str]:
    ranks = [standing.of(passage_id).rank for standing in standings]
    return min(rank for rank in ranks if rank is not None), passage_id


def _compared(
    passage_id: str,
    passages: Mapping[str, Passage],
    document_names: Mapping[str, str],
    standings: Sequence[_Standings],
) -> ComparedPassage:
    passage = passages.get(passage_id)
    if passage is None:
        msg = f"A system returned passage {passage_id!r}, which this library does not hold."
        raise UnknownNameError(msg)
    return ComparedPassage(
        passage_id=passage_id,
        doc_id=passage.doc_id,
        document=document_names.get(passage.doc_id, passage.doc_id),
        page_first=passage.page_first,
        page_last=passage.page_last,
        start=passage.start,
        end=passage.end,
        text=passage.text,
        standings=tuple(standing.of(passage_id) for standing in standings),
    )


def _column(system: SystemResult, backgrounds: Mapping[str, Background]) -> Column:
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
    first: SystemResult,
    second: SystemResult,
    compared: Sequence[ComparedPassage],
    *,
    k: int,
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
    arm_a: str,
    arm_b: str,
    systems: Sequence[SystemResult],
    backgrounds: Mapping[str, Background],
    *,
    shown: set[str],
) -> tuple[CloudPoint, ...]:
    by_id = {system.info.system_id: system for system in systems}
    scores_a, scores_b = by_id[arm_a].scores, by_id[arm_b].scores
    background_a, background_b = backgrounds.get(arm_a), backgrounds.get(arm_b)
    if scores_a is None or scores_b is None or background_a is None or background_b is None:
        return ()
    if not (background_a.places_scores and background_b.places_scores):
        return ()
    picked = np.unique(np.linspace(0, len(scores_a) - 1, CLOUD_POINTS).round().astype(int))
    points = []
    for position in picked[: len(scores_a)]:
        passage_id = scores_a.passage_ids[position]
        score_b = scores_b.score(passage_id)
        z_a = background_a.z(float(scores_a.scores[position]))
        z_b = None if score_b is None else background_b.z(score_b)
        if passage_id in shown or z_a is None or z_b is None:
            continue
        if math.isfinite(z_a) and math.isfinite(z_b):
            points.append(CloudPoint(passage_id=passage_id, z_a=z_a, z_b=z_b))
    return tuple(points)


def _equal_limits(arm_a: str, arm_b: str, systems: Sequence[SystemResult]) -> bool | None:
    limits = {system.info.system_id: system.max_tokens for system in systems}
    if not (limits[arm_a] and limits[arm_b]):
        return None
    return limits[arm_a] == limits[arm_b]


def _require_arms(systems: Sequence[SystemResult], arms: tuple[str, str] | None) -> tuple[str, str]:
    ids = [system.info.system_id for system in systems]
    if len(ids) <= 1:
        raise UsageError("A comparison needs at least two systems.")
    twice = {system_id for system_id in ids if ids.count(system_id) > 1}
    if twice:
        msg = f"Two systems are called {min(twice)!r}; give each its own id."
        raise UsageError(msg)
    if arms is None:
        return _default_arms([system.info for system in systems])
    for arm in arms:
        if arm not in ids:
            msg = f"The arm {arm!r} is not among the systems {', '.join(ids)}."
            raise UnknownNameError(msg)
    if arms[0] == arms[1]:
        raise UsageError(f"Both arms are {arms[0]!r}; choose two systems.")
    return arms


def _default_arms(infos: Sequence[SystemInfo]) -> tuple[str, str]:
    diffusion = next((info for info in infos if info.family is Family.DIFFUSION), None)
    causal = next((info for info in infos if info.family is Family.AUTOREGRESSIVE), None)
    if diffusion is not None and causal is not None:
        return diffusion.system_id, causal.system_id
    encoders = [info for info in infos if info.family not in _NEITHER_ENCODER]
    others = [info for info in infos if info.family in _NEITHER_ENCODER]
    first, second = (*encoders, *others)[:2]
    return first.system_id, second.system_id
