"""Exact search against brute force, with both kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import IndexMismatchError, InvalidDepthError
from core.monitor import SilentMonitor
from core.search.dense import Backend, DenseIndex, choose_backend, nearest

BACKENDS = [Backend.FAISS, Backend.NUMPY]


def unit_rows(count: int, dimension: int, *, seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def brute_force(ids: list[str], scores: NDArray[np.float32], *, k: int) -> tuple[str, ...]:
    best = sorted(range(len(ids)), key=lambda i: (-scores[i], ids[i]))
    return tuple(ids[i] for i in best[:k])


@pytest.mark.parametrize("backend", BACKENDS)
def test_three_passages_by_hand(backend: Backend) -> None:
    # query (0.6, 0.8): p1 (1, 0) -> 0.6   p2 (0, 1) -> 0.8   p3 (-1, 0) -> -0.6
    embeddings = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    index = DenseIndex(["p1", "p2", "p3"], embeddings, backend=backend)
    (ranking,) = index.search(np.array([[0.6, 0.8]], np.float32), k=2, system_id="tiny")
    assert ranking.passage_ids == ("p2", "p1")
    assert [hit.score for hit in ranking.hits] == pytest.approx([0.8, 0.6])
    assert [hit.rank for hit in ranking.hits] == [1, 2]
    assert (ranking.query_id, ranking.system_id) == ("q1", "tiny")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [1, 7, 99, 100, 1000], ids=lambda k: f"k={k}")
def test_equals_brute_force_with_duplicate_vectors_in_any_order(backend: Backend, k: int) -> None:
    base = unit_rows(40, 24, seed=1)
    generator = np.random.default_rng(2)
    embeddings = base[generator.integers(0, 40, 100)]  # every vector about two or three times
    ids = [f"p{i:03d}" for i in generator.permutation(100)]
    index = DenseIndex(ids, embeddings, backend=backend)
    for query in unit_rows(20, 24, seed=3):
        scores = index.scores(query)
        assert scores == pytest.approx(embeddings @ query, abs=1e-6)
        (ranking,) = index.search(query[None], k=k)
        assert ranking.passage_ids == brute_force(ids, scores, k=k)


@pytest.mark.parametrize("backend", BACKENDS)
def test_equal_vectors_tie_wherever_they_stand(backend: Backend) -> None:
    # 1,003 copies: a blocked matrix product rounds the last rows differently
    embeddings = np.repeat(unit_rows(1, 576, seed=4), 1003, axis=0)
    index = DenseIndex([f"p{i:04d}" for i in range(1003)], embeddings, backend=backend)
    queries = unit_rows(40, 576, seed=5)
    assert len(set(index.scores(queries[0]).tolist())) == 1
    for ranking in index.search(queries, k=1003):  # also when many queries come at once
        assert len({hit.score for hit in ranking.hits}) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_queries_at_once_score_as_one_by_one(backend: Backend) -> None:
    embeddings, queries = unit_rows(300, 64, seed=6), unit_rows(50, 64, seed=7)
    index = DenseIndex([f"p{i:03d}" for i in range(300)], embeddings, backend=backend)
    together = index.search(queries, k=5, query_ids=[str(i) for i in range(50)])
    for row, ranking in enumerate(together):
        assert ranking == index.search(queries[row : row + 1], k=5, query_ids=[str(row)])[0]
        best = index.passage_ids.index(ranking.hits[0].passage_id)
        assert ranking.hits[0].score == float(index.scores(queries[row])[best])


def test_both_kernels_agree() -> None:
    embeddings, queries = unit_rows(500, 48, seed=8), unit_rows(10, 48, seed=9)
    ids = [f"p{i:03d}" for i in range(500)]
    faiss, numpy = (DenseIndex(ids, embeddings, backend=backend) for backend in BACKENDS)
    for query in queries:
        assert faiss.scores(query) == pytest.approx(numpy.scores(query), abs=1e-6)
    rankings = zip(faiss.search(queries, k=20), numpy.search(queries, k=20), strict=True)
    assert all(a.passage_ids == b.passage_ids for a, b in rankings)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_order_of_the_corpus_changes_nothing(backend: Backend) -> None:
    embeddings, query = unit_rows(60, 16, seed=10)[np.arange(60) // 2], unit_rows(1, 16, seed=11)
    ids = [f"p{i:02d}" for i in range(60)]
    shuffled = np.random.default_rng(12).permutation(60)
    a = DenseIndex(ids, embeddings, backend=backend).search(query, k=60)
    b = DenseIndex([ids[i] for i in shuffled], embeddings[shuffled], backend=backend).search(
        query, k=60
    )
    assert a == b


@pytest.mark.parametrize("backend", BACKENDS)
def test_blocks_make_the_same_index_as_one_matrix(backend: Backend) -> None:
    embeddings, query = unit_rows(50, 8, seed=13), unit_rows(1, 8, seed=14)
    ids = [f"p{i:02d}" for i in range(50)]
    blocks = (embeddings[start : start + 7] for start in range(0, 50, 7))
    assert DenseIndex(ids, blocks, backend=backend).search(query, k=9) == DenseIndex(
        ids, embeddings, backend=backend
    ).search(query, k=9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_corpus_gives_empty_rankings(backend: Backend) -> None:
    index = DenseIndex([], np.empty((0, 4), np.float32), backend=backend)
    assert index.scores(np.ones(4, np.float32)).shape == (0,)
    assert [ranking.hits for ranking in index.search(np.ones((2, 4), np.float32), k=3)] == [(), ()]


def test_no_queries_give_no_rankings() -> None:
    index = DenseIndex(["a"], np.ones((1, 4), np.float32))
    assert index.search(np.empty((0, 4), np.float32), k=3) == ()


@pytest.mark.parametrize(
    ("ids", "rows", "match"),
    [
        (["a"], np.ones((2, 3)), "1 passages came with 2"),
        (["a", "a"], np.ones((2, 3)), "twice"),
        (["a"], np.ones(3), "rows"),
        (["a"], np.full((1, 3), np.nan), "not finite"),
        (["a", "b"], [np.ones((1, 3)), np.ones((1, 4))], "dimension 3"),
    ],
    ids=["too many rows", "id twice", "one axis", "nan", "two dimensions"],
)
def test_what_does_not_belong_together_is_refused(ids: list[str], rows: Any, match: str) -> None:
    with pytest.raises(IndexMismatchError, match=match):
        DenseIndex(ids, rows)


def test_a_query_of_another_encoder_is_refused() -> None:
    index = DenseIndex(["a"], np.ones((1, 4), np.float32))
    with pytest.raises(IndexMismatchError, match="the encoder that embedded"):
        index.scores(np.ones(5, np.float32))
    with pytest.raises(IndexMismatchError, match="not finite"):
        index.scores(np.full(4, np.inf, np.float32))
    with pytest.raises(IndexMismatchError, match="query ids"):
        index.search(np.ones((1, 4), np.float32), k=1, query_ids=["a", "b"])
    with pytest.raises(InvalidDepthError):
        index.search(np.ones((1, 4), np.float32), k=0)


def test_macos_computes_without_faiss() -> None:
    assert choose_backend(platform="darwin") is Backend.NUMPY
    assert choose_backend(platform="linux") is Backend.FAISS


def test_nearest_rows_are_those_of_brute_force_and_equal_rows_tie_by_place() -> None:
    rows = unit_rows(700, 24, seed=3)  # more than one block
    rows[400:] = rows[:300]  # each of these has a twin at the same distance from every other row
    found = nearest(rows, np.arange(700), k=5, monitor=SilentMonitor())
    exact = rows.astype(np.float64) @ rows.T.astype(np.float64)
    np.fill_diagonal(exact, -np.inf)
    for row in range(0, 700, 7):
        assert found[row].tolist() == np.lexsort((np.arange(700), -exact[row]))[:5].tolist()
    assert found[5].tolist()[0] == 405
    some = nearest(rows, np.array([650, 3]), k=5, monitor=SilentMonitor())
    assert some.tolist() == found[[650, 3]].tolist()
