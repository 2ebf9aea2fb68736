"""Reciprocal-rank fusion, by hand."""

from __future__ import annotations

import pytest

from core.errors import InvalidDepthError, UsageError
from core.records import Hit, Ranking
from core.search.fusion import reciprocal_rank_fusion


def ranking(*passage_ids: str, query_id: str = "q1") -> Ranking:
    hits = tuple(Hit(p, 1.0 - rank / 10, rank) for rank, p in enumerate(passage_ids, start=1))
    return Ranking(query_id, "any", hits)


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    # A: p1 p2   B: p2 p3   p2 -> 1/62 + 1/61, p1 -> 1/61, p3 -> 1/62
    fused = reciprocal_rank_fusion([ranking("p1", "p2"), ranking("p2", "p3")], k=3)
    assert fused.passage_ids == ("p2", "p1", "p3")
    assert [hit.score for hit in fused.hits] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_mirrored_rankings_tie_by_id_whoever_is_listed_first() -> None:
    # p9 and p1 swap places: equal sums, p1 first
    a, b = ranking("p9", "p1"), ranking("p1", "p9")
    assert reciprocal_rank_fusion([a, b], k=2).passage_ids == ("p1", "p9")
    assert reciprocal_rank_fusion([b, a], k=2).passage_ids == ("p1", "p9")


def test_an_empty_ranking_adds_nothing() -> None:
    fused = reciprocal_rank_fusion([ranking("p1"), ranking()], k=5)
    assert fused.passage_ids == ("p1",)
    assert reciprocal_rank_fusion([ranking(), ranking()], k=5).hits == ()


def test_rankings_of_different_queries_are_refused() -> None:
    with pytest.raises(UsageError, match="one query"):
        reciprocal_rank_fusion([ranking("p1"), ranking("p1", query_id="q2")], k=1)
    with pytest.raises(UsageError, match="one query"):
        reciprocal_rank_fusion([], k=1)
    with pytest.raises(InvalidDepthError):
        reciprocal_rank_fusion([ranking("p1")], k=0)
