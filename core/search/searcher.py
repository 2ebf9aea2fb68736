"""Ask every system the same query in one call, over the same passages."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.encoders.spec import Encoder, TextKind
from core.errors import (
    CoreError,
    EmptyLibraryError,
    EncoderUnavailableError,
    IndexMismatchError,
    InvalidQueryError,
    StoppedError,
    UnknownNameError,
)
from core.monitor import Monitor
from core.records import Query, Ranking, SystemInfo
from core.search.answer import MemoryAnswer, failed
from core.search.dense import DenseIndex
from core.search.fusion import reciprocal_rank_fusion
from core.search.lexical import LexicalIndex
from core.search.order import require_depth
from core.settings import MAX_QUERY_CHARS

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
            raise EmptyLibraryError("Nothing has been indexed yet. Add documents first.")
        if any(ids != corpora[0] for ids in corpora[1:]):
            raise IndexMismatchError(
                "The systems do not search the same passages; embed what is missing."
            )
        names = {s.info.system_id for s in systems if not isinstance(s, FusedSystem)}
        for system in systems:
            if isinstance(system, FusedSystem) and not names.issuperset(system.members):
                raise UnknownNameError(f"Fusion of {system.members}: not all of them are here.")
        self.systems = tuple(systems)
        self.passage_ids = corpora[0]
        self._places = {passage_id: i for i, passage_id in enumerate(self.passage_ids)}
        self._query_embeddings = query_embeddings or QueryEmbeddings()

    def search(self, query: Query, *, k: int) -> dict[str, MemoryAnswer]:
        """Ask every system; one that fails is reported in its place and the others answer.

        Returns:
            An answer by system id, in the order of the systems.

        Raises:
            InvalidQueryError: Empty, or over `MAX_QUERY_CHARS`.
            InvalidDepthError: If k is below 1.
        """
        require_depth(k)
        require_query(query.text)
        fused = any(isinstance(system, FusedSystem) for system in self.systems)
        depth = max(k, FUSION_DEPTH) if fused else k
        asked = [s for s in self.systems if isinstance(s, DenseSystem | LexicalSystem)]
        # One after the other: each encoder's time is its own.
        encoded = [self._encoded(system, query) for system in asked]
        answer = partial(self._answer, query, depth)
        if len(self.passage_ids) >= PARALLEL_FROM_PASSAGES and len(asked) > 1:
            with ThreadPoolExecutor(max_workers=len(asked)) as pool:
                answered = list(pool.map(answer, asked, encoded))
        else:
            answered = list(map(answer, asked, encoded))
        deep = {one.info.system_id: one for one in answered}
        for system in self.systems:
            if isinstance(system, UnavailableSystem):
                deep[system.info.system_id] = failed(
                    system.info, system.reason, query_id=query.query_id
                )
        return {
            system.info.system_id: _fuse(system, deep, k=k)
            if isinstance(system, FusedSystem)
            else _cut(deep[system.info.system_id], k=k)
            for system in self.systems
        }

    def _encoded(
        self, system: DenseSystem | LexicalSystem, query: Query
    ) -> tuple[NDArray[np.float32], float] | str | None:
        """Return the query's embedding and the time it took, or why there is none."""
        if isinstance(system, LexicalSystem):
            return None
        try:
            return self._query_embeddings.get(system.encoder, query.text)
        except StoppedError:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other systems answer
            return _reason(system.info, exc)

    def _answer(
        self,
        query: Query,
        k: int,
        system: DenseSystem | LexicalSystem,
        encoded: tuple[NDArray[np.float32], float] | str | None,
    ) -> MemoryAnswer:
        if isinstance(encoded, str):
            return failed(system.info, encoded, query_id=query.query_id)
        started, encode_seconds = time.perf_counter(), 0.0
        try:
            if isinstance(system, LexicalSystem):
                scores = system.index.scores(query.text)
                facts: dict[str, Any] = {"positive_only": True}
            else:
                embedding, encode_seconds = encoded or self._query_embeddings.get(
                    system.encoder, query.text
                )
                scores = system.index.scores(embedding)
                facts = _facts(system.encoder, query)
            ranking = system.index.top(
                scores, k=k, query_id=query.query_id, system_id=system.info.system_id
            )
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other systems answer
            return failed(system.info, _reason(system.info, exc), query_id=query.query_id)
        return MemoryAnswer(
            system.info,
            ranking,
            self._places,
            scores,
            seconds=encode_seconds + time.perf_counter() - started,
            encode_seconds=encode_seconds,
            **facts,
        )

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
        raise InvalidQueryError(
            f"The query has {len(text):,} characters; up to {MAX_QUERY_CHARS:,} are accepted. "
            "Shorten it."
        )


def _facts(encoder: Encoder, query: Query) -> dict[str, Any]:
    """Return the conditions under which an encoder is asked."""
    return {
        "fingerprint": encoder.fingerprint,
        # A loaded encoder may run at a lower limit than its spec's.
        "max_tokens": getattr(encoder, "max_tokens", encoder.spec.max_tokens),
        "received": encoder.received([query.text], kind=TextKind.QUERY)[0],
    }


def _reason(info: SystemInfo, exc: Exception) -> str:
    if isinstance(exc, CoreError):
        return str(exc)
    return (
        f"{info.label} failed on this query ({type(exc).__name__}). "
        "The other columns are complete; restart Bifocal if it happens again."
    )


def _shortened(ranking: Ranking, *, k: int) -> Ranking:
    return ranking if len(ranking.hits) <= k else replace(ranking, hits=ranking.hits[:k])


def _cut(answer: MemoryAnswer, *, k: int) -> MemoryAnswer:
    return replace(answer, ranking=_shortened(answer.ranking, k=k))


def _fuse(system: FusedSystem, deep: Mapping[str, MemoryAnswer], *, k: int) -> MemoryAnswer:
    started = time.perf_counter()
    members = [deep[member] for member in system.members]
    for member in members:
        if member.failure:
            reason = f"{system.info.label} needs {member.info.label}, which failed."
            return failed(system.info, reason, query_id=member.ranking.query_id)
    ranking = reciprocal_rank_fusion(
        [member.ranking for member in members], k=k, system_id=system.info.system_id
    )
    return MemoryAnswer(system.info, ranking, seconds=time.perf_counter() - started)
