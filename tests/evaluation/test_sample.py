"""How far two encoders part on a known answer, by which the sample's questions are ordered."""

from __future__ import annotations

from core.evaluation.sample import parting
from core.records import Hit, Ranking


def ranking(*passages: str) -> Ranking:
    hits = tuple(Hit(name, 1 / rank, rank) for rank, name in enumerate(passages, start=1))
    return Ranking("q", "system", hits)


def test_the_nearest_right_passage_counts_and_none_counts_nothing() -> None:
    one, other = ranking("p1", "p2", "p3", "p4"), ranking("p2", "p3", "p4", "p1")
    assert parting(one, other, {"p1"}) == 1 - 1 / 4
    assert parting(one, other, {"p1", "p2"}) == 0
    assert parting(one, other, {"p4"}) == 1 / 3 - 1 / 4
    assert parting(one, ranking("p2"), {"p1"}) == 1
    assert parting(one, other, {"gone"}) == 0
