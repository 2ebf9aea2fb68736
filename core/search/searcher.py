"""Ask every system the same query in one call, over the same passages."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from core.encoders.spec import TextKind
from core.errors import (
    CoreError,
    EmptyLibraryError,
    EncoderUnavailableError,
    IndexMismatchError,
    InvalidQueryError,
    StoppedError,
    UnknownNameError,
)
from core.search.fusion import reciprocal_rank_fusion
from core.search.order import require_depth
from core.settings import MAX_QUERY_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from core.encoders.protocol import Encoder
    from core.monitor import Monitor
    from core.records import Query, Ranking, SystemInfo
    from core.search.dense import DenseIndex
    from core.search.lexical import LexicalIndex

FUSION_DEPTH = 100  # hits of each member that fusion looks at
PARALLEL_FROM_PASSAGES = 5_000  # below this, starting threads costs more than it saves


@dataclass(frozen=True, slots=True, eq=False)
class DenseSystem:
    """An encoder with the index of its embeddings."""

    info: SystemInfo
    encoder: Encoder
    index: DenseIndex


@dataclass(frozen=True, slots=True, eq=False)
class LexicalSystem:
    """BM25 with its index."""

    info: SystemInfo
    index: LexicalIndex


@dataclass(frozen=True, slots=True)
class FusedSystem:
    """Reciprocal-rank fusion of other systems, by their system ids."""

    info: SystemInfo
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnavailableSystem:
    """A system that cannot be asked at all; its failure stands in its place in every answer."""

    info: SystemInfo
    reason: str


System = DenseSystem | LexicalSystem | FusedSystem | UnavailableSystem


@dataclass(frozen=True, slots=True, eq=False)
class SystemAnswer:
    """Answer of one system.

    Attributes:
        info: Which system.
        ranking: Its k best.
        scores: ``(n,)`` float32 in corpus order, for every passage; None for fusion.
        ranks: ``(n,)`` int64: every passage's rank from 1; 0 where a lexical system matches
            nothing; None for fusion.
        encode_seconds: Spent in the encoder; 0.0 when the query was embedded before.
        search_seconds: Spent scoring and ranking.
        query_embedding: ``(dim,)`` float32; None for systems without one.
    """

    info: SystemInfo
    ranking: Ranking
    scores: NDArray[np.float32] | None = None
    ranks: NDArray[np.int64] | None = None
    encode_seconds: float = 0.0
    search_seconds: float = 0.0
    query_embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class SystemFailure:
    """A system that could not answer, and why, in a sentence. Not the same as no hits."""

    info: SystemInfo
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class SearchResults:
    """Every system's answer to one query, over the same passages.

    Attributes:
        query: What was asked.
        passage_ids: The corpus, in the order of all ``scores`` and ``ranks``.
        outcomes: Answer or failure of each system, in the order of the systems.
    """

    query: Query
    passage_ids: tuple[str, ...]
    outcomes: Mapping[str, SystemAnswer | SystemFailure]
    _position_of: Mapping[str, int] = field(repr=False)

    @property
    def answers(self) -> dict[str, SystemAnswer]:
        """The systems that answered."""
        return {s: o for s, o in self.outcomes.items() if isinstance(o, SystemAnswer)}

    @property
    def failures(self) -> dict[str, SystemFailure]:
        """The systems that did not."""
        return {s: o for s, o in self.outcomes.items() if isinstance(o, SystemFailure)}

    def position(self, passage_id: str) -> int:
        """Return the place of a passage in the corpus.

        Raises:
            UnknownNameError: If it is not in this corpus.
        """
        try:
            return self._position_of[passage_id]
        except KeyError:
            msg = f"Passage {passage_id[:60]!r} is not among the passages searched."
            raise UnknownNameError(msg) from None

    def rank_of(self, system_id: str, passage_id: str) -> int | None:
        """Return a passage's rank in the whole corpus; None when the system does not rank it."""
        answer = self._answer(system_id)
        if answer.ranks is None:
            for hit in answer.ranking.hits:
                if hit.passage_id == passage_id:
                    return hit.rank
            return None
        return int(answer.ranks[self.position(passage_id)]) or None

    def score_of(self, system_id: str, passage_id: str) -> float | None:
        """Return a passage's score, in the k best or not; None when there is none."""
        answer = self._answer(system_id)
        if answer.scores is None:
            for hit in answer.ranking.hits:
                if hit.passage_id == passage_id:
                    return hit.score
            return None
        return float(answer.scores[self.position(passage_id)])

    def _answer(self, system_id: str) -> SystemAnswer:
        outcome = self.outcomes.get(system_id)
        if not isinstance(outcome, SystemAnswer):
            raise UnknownNameError(f"There is no answer from a system {system_id[:40]!r}.")
        return outcome


class QueryEmbeddings:
    """The last query embeddings, so that another k or a reload does not encode again."""

    def __init__(self, *, capacity: int = 256) -> None:
        """Remember up to ``capacity`` queries."""
        self._capacity = capacity
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()

    def get(self, encoder: Encoder, text: str) -> tuple[NDArray[np.float32], float]:
        """Return ``(dim,)`` and the seconds the encoder took; 0.0 when it was remembered."""
        key = (encoder.fingerprint, text)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key], 0.0
        started = time.perf_counter()
        embedding = encoder.encode([text], kind=TextKind.QUERY)[0]
        seconds = time.perf_counter() - started
        with self._lock:
            self._kept[key] = embedding
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return embedding, seconds


class Searcher:
    """Several systems over one corpus. Immutable, safe between threads.

    Args:
        systems: In the order of the columns; fused systems may name any of the others.
        query_embeddings: Shared memory of query embeddings.

    Raises:
        IndexMismatchError: If the systems do not search the same passages in the same order.
        UnknownNameError: If a fused system names one that is not there.
        EmptyLibraryError: If there is no passage at all.
    """

    def __init__(
        self, systems: Sequence[System], *, query_embeddings: QueryEmbeddings | None = None
    ) -> None:
        corpora = [
            system.index.passage_ids
            for system in systems
            if isinstance(system, DenseSystem | LexicalSystem)
        ]
        if not corpora or not corpora[0]:
            msg = "Nothing has been indexed yet. Add documents first."
            raise EmptyLibraryError(msg)
        if any(ids != corpora[0] for ids in corpora[1:]):
            msg = "The systems do not search the same passages; embed what is missing."
            raise IndexMismatchError(msg)
        names = {s.info.system_id for s in systems if not isinstance(s, FusedSystem)}
        for system in systems:
            if isinstance(system, FusedSystem) and not names.issuperset(system.members):
                raise UnknownNameError(f"Fusion of {system.members}: not all of them are here.")
        self.systems = tuple(systems)
        self.passage_ids = corpora[0]
        self._position_of = {passage_id: i for i, passage_id in enumerate(self.passage_ids)}
        self._query_embeddings = query_embeddings or QueryEmbeddings()

    def search(self, query: Query, *, k: int) -> SearchResults:
        """Ask every system; one that fails is reported in its place and the others answer.

        Raises:
            InvalidQueryError: Empty, or over `MAX_QUERY_CHARS`.
            InvalidDepthError: If k is below 1.
        """
        require_depth(k)
        require_query(query.text)
        depth = k
        if any(isinstance(system, FusedSystem) for system in self.systems):
            depth = max(k, FUSION_DEPTH)
        jobs = [
            _Job(system, query, depth, self._query_embeddings)
            for system in self.systems
            if isinstance(system, DenseSystem | LexicalSystem)
        ]
        for job in jobs:  # one after the other: each encoder's time is its own
            job.encode()
        if len(self.passage_ids) >= PARALLEL_FROM_PASSAGES and len(jobs) > 1:
            with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
                answered = list(pool.map(_Job.answer, jobs))
        else:
            answered = [job.answer() for job in jobs]
        deep: dict[str, SystemAnswer | SystemFailure] = {
            system.info.system_id: SystemFailure(system.info, system.reason)
            for system in self.systems
            if isinstance(system, UnavailableSystem)
        }
        deep.update({outcome.info.system_id: outcome for outcome in answered})
        outcomes: dict[str, SystemAnswer | SystemFailure] = {}
        for system in self.systems:
            if isinstance(system, FusedSystem):
                outcomes[system.info.system_id] = _fuse(system, deep, k=k)
            else:
                outcomes[system.info.system_id] = _cut(deep[system.info.system_id], k=k)
        return SearchResults(query, self.passage_ids, outcomes, self._position_of)

    def run(
        self, queries: Sequence[Query], *, k: int, monitor: Monitor | None = None
    ) -> dict[str, tuple[Ranking, ...]]:
        """Return every system's rankings for many queries: a run per system id.

        Unlike `search` a failing system raises: a measurement with a hole in it is none.

        Raises:
            InvalidQueryError: If a query is empty or too long.
            InvalidDepthError: If k is below 1.
            EncoderError: If an encoder fails or is not available.
            StoppedError: If the monitor asks to stop.
        """
        require_depth(k)
        for query in queries:
            require_query(query.text)
        texts = [query.text for query in queries]
        ids = [query.query_id for query in queries]
        fused = any(isinstance(system, FusedSystem) for system in self.systems)
        depth = max(k, FUSION_DEPTH) if fused else k
        runs: dict[str, tuple[Ranking, ...]] = {}
        for system in self.systems:
            name = system.info.system_id
            if isinstance(system, DenseSystem):
                embedded = system.encoder.encode(texts, kind=TextKind.QUERY, monitor=monitor)
                runs[name] = system.index.search(embedded, k=depth, query_ids=ids, system_id=name)
            elif isinstance(system, LexicalSystem):
                runs[name] = system.index.search(texts, k=depth, query_ids=ids, system_id=name)
            elif isinstance(system, UnavailableSystem):
                raise EncoderUnavailableError(system.reason)
        for system in self.systems:
            if isinstance(system, FusedSystem):
                members = [runs[member] for member in system.members]
                runs[system.info.system_id] = tuple(
                    reciprocal_rank_fusion(rankings, k=k, system_id=system.info.system_id)
                    for rankings in zip(*members, strict=True)
                )
        return {name: tuple(_shortened(ranking, k=k) for ranking in runs[name]) for name in runs}


def require_query(text: str) -> None:
    """Raise `InvalidQueryError` for a query that is empty or too long."""
    if not text.strip():
        raise InvalidQueryError("The query is empty. Type a question or some words.")
    if len(text) > MAX_QUERY_CHARS:
        msg = (
            f"The query has {len(text):,} characters; up to {MAX_QUERY_CHARS:,} are accepted. "
            "Shorten it."
        )
        raise InvalidQueryError(msg)


class _Job:
    """One system's part in one search; a failure in either step becomes its outcome."""

    def __init__(
        self,
        system: DenseSystem | LexicalSystem,
        query: Query,
        k: int,
        query_embeddings: QueryEmbeddings,
    ) -> None:
        self._system = system
        self._query = query
        self._k = k
        self._query_embeddings = query_embeddings
        self._embedding: NDArray[np.float32] | None = None
        self._encode_seconds = 0.0
        self._failure: SystemFailure | None = None

    def encode(self) -> None:
        """Embed the query, where the system needs that."""
        if isinstance(self._system, DenseSystem):
            try:
                self._embedding, self._encode_seconds = self._query_embeddings.get(
                    self._system.encoder, self._query.text
                )
            except StoppedError:
                raise
            except Exception as exc:  # noqa: BLE001 - whatever it is, the other systems answer
                self._failure = _failure(self._system.info, exc)

    def answer(self) -> SystemAnswer | SystemFailure:
        """Score and rank."""
        if self._failure is not None:
            return self._failure
        try:
            return self._answer()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other systems answer
            return _failure(self._system.info, exc)

    def _answer(self) -> SystemAnswer:
        started = time.perf_counter()
        system, query = self._system, self._query
        if isinstance(system, LexicalSystem):
            scores = system.index.scores(query.text)
        elif self._embedding is not None:
            scores = system.index.scores(self._embedding)
        else:
            raise IndexMismatchError("The query was not embedded.")
        ranking = system.index.top(
            scores, k=self._k, query_id=query.query_id, system_id=system.info.system_id
        )
        ranks = system.index.ranks(scores)
        return SystemAnswer(
            info=system.info,
            ranking=ranking,
            scores=scores,
            ranks=ranks,
            encode_seconds=self._encode_seconds,
            search_seconds=time.perf_counter() - started,
            query_embedding=self._embedding,
        )


def _failure(info: SystemInfo, exc: Exception) -> SystemFailure:
    if isinstance(exc, CoreError):
        return SystemFailure(info, str(exc))
    reason = (
        f"{info.label} failed on this query ({type(exc).__name__}). "
        "The other columns are complete; restart Bifocal if it happens again."
    )
    return SystemFailure(info, reason)


def _shortened(ranking: Ranking, *, k: int) -> Ranking:
    return ranking if len(ranking.hits) <= k else replace(ranking, hits=ranking.hits[:k])


def _cut(outcome: SystemAnswer | SystemFailure, *, k: int) -> SystemAnswer | SystemFailure:
    if isinstance(outcome, SystemFailure):
        return outcome
    return replace(outcome, ranking=_shortened(outcome.ranking, k=k))


def _fuse(
    system: FusedSystem, deep: Mapping[str, SystemAnswer | SystemFailure], *, k: int
) -> SystemAnswer | SystemFailure:
    started = time.perf_counter()
    rankings = []
    for member in system.members:
        outcome = deep[member]
        if isinstance(outcome, SystemFailure):
            reason = f"{system.info.label} needs {outcome.info.label}, which failed."
            return SystemFailure(system.info, reason)
        rankings.append(outcome.ranking)
    ranking = reciprocal_rank_fusion(rankings, k=k, system_id=system.info.system_id)
    return SystemAnswer(system.info, ranking, search_seconds=time.perf_counter() - started)
