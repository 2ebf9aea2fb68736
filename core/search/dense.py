"""Exact inner product over all passages. The only module that knows FAISS.

The index lives in memory and is built from float32 rows; nothing is ever read from an index file.
One kernel computes every score, row by row: a score does not depend on where in the matrix a
passage stands or on how many queries are asked at once, so equal embeddings tie exactly and a
hit's score is the score in the full list.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import IndexMismatchError
from core.monitor import Monitor, Progress, raise_if_stopped
from core.records import Ranking
from core.search.order import best_positions, id_order, make_ranking, require_depth

# Below FAISS's switch to BLAS (20), whose blocks round differently by position.
QUERIES_AT_ONCE = 16
NEIGHBOURS_AT_ONCE = 256


class Backend(StrEnum):
    """Backend of the inner products."""

    AUTO = "auto"
    FAISS = "faiss"
    NUMPY = "numpy"


def choose_backend(*, platform: str = sys.platform) -> Backend:
    """Return FAISS where it is installed and safe beside torch, else NumPy.

    On macOS the torch and faiss wheels each bring their own OpenMP and abort or crash together
    (faiss-wheels #73, pytorch #149201), so NumPy is used there; the results are the same.
    """
    if platform == "darwin" or importlib.util.find_spec("faiss") is None:
        return Backend.NUMPY
    return Backend.FAISS


def _checked(
    blocks: Iterable[NDArray[np.float32]], *, dimension: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the blocks, each checked for its shape and for numbers that are not finite."""
    for block in blocks:
        if block.ndim != 2 or block.shape[1] != dimension:
            raise IndexMismatchError(
                f"A block of shape {block.shape} stands among embeddings of dimension {dimension}."
            )
        if not np.isfinite(block).all():
            raise IndexMismatchError("An embedding is not finite; embed the corpus again.")
        yield block


class _Kernel(Protocol):
    @property
    def rows(self) -> int:
        """How many embeddings it holds."""
        ...

    def inner_products(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(m, dim)`` -> ``(m, n)``."""
        ...


class _FaissKernel:
    def __init__(self, blocks: Iterable[NDArray[np.float32]], *, dimension: int) -> None:
        import faiss  # late: its OpenMP must not start before the application has chosen threads

        self._index = faiss.IndexFlatIP(dimension)
        for block in blocks:
            self._index.add(np.ascontiguousarray(block, np.float32))

    @property
    def rows(self) -> int:
        return int(self._index.ntotal)

    def inner_products(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = np.empty((len(queries), self._index.ntotal), np.float32)
        for first in range(0, len(queries), QUERIES_AT_ONCE):
            block = np.ascontiguousarray(queries[first : first + QUERIES_AT_ONCE])
            # Everything above minus infinity is everything: all scores in one pass.
            limits, found, positions = self._index.range_search(block, -np.inf)
            for row in range(len(block)):
                inside = slice(int(limits[row]), int(limits[row + 1]))
                scores[first + row, positions[inside]] = found[inside]
        return scores


class _NumpyKernel:
    def __init__(self, blocks: Iterable[NDArray[np.float32]], *, dimension: int) -> None:
        parts = [np.asarray(block, np.float32) for block in blocks]
        empty = np.empty((0, dimension), np.float32)
        self._rows = np.ascontiguousarray(np.concatenate(parts) if parts else empty)

    @property
    def rows(self) -> int:
        return len(self._rows)

    def inner_products(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = np.empty((len(queries), len(self._rows)), np.float32)
        for row, query in enumerate(queries):
            # One dot product a row: unlike a matrix product it rounds alike at every position.
            np.vecdot(self._rows, query, out=scores[row])
        return scores


class DenseIndex:
    """Exact search over one encoder's embeddings of a corpus. Immutable, safe between threads.

    Args:
        passage_ids: n ids, unique. Sorted ids make ties cheapest.
        embeddings: ``(n, dim)`` float32, or blocks of rows in order; blocks are taken one by one,
            so a generator saves a copy of the whole matrix.
        backend: Which kernel.

    Raises:
        IndexMismatchError: If ids and rows do not belong together, or a number is not finite.
    """

    def __init__(
        self,
        passage_ids: Sequence[str],
        embeddings: NDArray[np.float32] | Iterable[NDArray[np.float32]],
        *,
        backend: Backend = Backend.AUTO,
    ) -> None:
        self.passage_ids = tuple(passage_ids)
        if len(set(self.passage_ids)) != len(self.passage_ids):
            raise IndexMismatchError("The same passage id stands in the corpus twice.")
        self._id_order = id_order(self.passage_ids)
        self.backend = choose_backend() if backend is Backend.AUTO else backend
        blocks = iter([embeddings] if isinstance(embeddings, np.ndarray) else embeddings)
        first = next(blocks, np.empty((0, 0), np.float32))
        if first.ndim != 2:
            raise IndexMismatchError("Embeddings must be rows: (n, dim).")
        self.dimension = first.shape[1]
        make = _FaissKernel if self.backend is Backend.FAISS else _NumpyKernel
        self._kernel: _Kernel = make(
            _checked(chain([first], blocks), dimension=self.dimension), dimension=self.dimension
        )
        if self._kernel.rows != len(self.passage_ids):
            raise IndexMismatchError(
                f"{len(self.passage_ids)} passages came with {self._kernel.rows} embeddings."
            )

    def __len__(self) -> int:
        return len(self.passage_ids)

    def scores(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one query's score for every passage, ``(n,)`` float32 in corpus order.

        Args:
            query: ``(dim,)`` float32.

        Raises:
            IndexMismatchError: If the dimension is another.
        """
        scores: NDArray[np.float32] = self._inner_products(np.asarray(query, np.float32)[None])[0]
        return scores

    def top(
        self, scores: NDArray[np.float32], *, k: int, query_id: str = "", system_id: str = "dense"
    ) -> Ranking:
        """The k best passages, given their scores."""
        positions = best_positions(scores, k=k, id_order=self._id_order)
        return make_ranking(
            self.passage_ids, scores, positions, query_id=query_id, system_id=system_id
        )

    def search(
        self,
        queries: NDArray[np.float32],
        *,
        k: int,
        query_ids: Sequence[str] | None = None,
        system_id: str = "dense",
    ) -> tuple[Ranking, ...]:
        """Return a ranking of at most k hits for each query, ``(m, dim)`` float32.

        Raises:
            InvalidDepthError: If k is below 1.
            IndexMismatchError: If the dimension is another.
        """
        require_depth(k)
        if query_ids is None:
            query_ids = [f"q{row + 1}" for row in range(len(queries))]
        if len(query_ids) != len(queries):
            raise IndexMismatchError(f"{len(query_ids)} query ids for {len(queries)} queries.")
        rankings: list[Ranking] = []
        # In blocks: (m, n) scores for thousands of queries would not fit.
        for first in range(0, len(queries), QUERIES_AT_ONCE):
            block = self._inner_products(queries[first : first + QUERIES_AT_ONCE])
            rankings.extend(
                self.top(scores, k=k, query_id=query_ids[first + row], system_id=system_id)
                for row, scores in enumerate(block)
            )
        return tuple(rankings)

    def _inner_products(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        queries = np.asarray(queries, np.float32)
        if not len(self):
            return np.empty((len(queries), 0), np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise IndexMismatchError(
                f"Queries of shape {queries.shape} do not fit an index of dimension "
                f"{self.dimension}; use the encoder that embedded the passages."
            )
        if not np.isfinite(queries).all():
            raise IndexMismatchError("A query embedding is not finite.")
        return self._kernel.inner_products(queries)


def nearest(
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    *,
    k: int,
    monitor: Monitor,
    stage: str = "nearest neighbours",
) -> NDArray[np.int64]:
    """Return the k nearest other rows of some rows, ``(m, k)``; exact, ties by row.

    By matrix products, which are fast and round differently by position: equal embeddings are
    computed once, so that they tie all the same.

    Args:
        vectors: ``(n, dim)`` unit rows, k below n.
        rows: Whose neighbours are looked for.
        k: At least 1.
        monitor: Hears progress; may stop.
        stage: Name of the work.

    Raises:
        StoppedError: If stopped.
    """
    different, own = np.unique(vectors, axis=0, return_inverse=True)
    repeated = len(different) < len(vectors)
    if not repeated:
        different, own = vectors, np.arange(len(vectors))
    found = np.empty((len(rows), k), np.int64)
    for first in range(0, len(rows), NEIGHBOURS_AT_ONCE):
        raise_if_stopped(monitor)
        monitor.report(Progress(stage, first, len(rows)))
        block = rows[first : first + NEIGHBOURS_AT_ONCE]
        products = different[own[block]] @ different.T
        for place, scores in enumerate(products[:, own] if repeated else products):
            scores[block[place]] = -np.inf  # no neighbour of its own
            found[first + place] = best_positions(scores, k=k)
    monitor.report(Progress(stage, len(rows), len(rows)))
    return found
