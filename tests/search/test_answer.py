"""Scores and ranks of any passage, on request; the tie rule holds in whatever order ids come."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.records import Family, Hit, Ranking, SystemInfo
from core.search import MemoryAnswer

INFO = SystemInfo("a", Family.DIFFUSION, "A")


def answer(scores: dict[str, float], *hits: Hit, positive_only: bool = False) -> MemoryAnswer:
    return MemoryAnswer(
        INFO,
        Ranking("q1", "a", hits),
        {name: place for place, name in enumerate(scores)},
        np.array(list(scores.values()), np.float64),
        positive_only=positive_only,
    )


def test_ranks_follow_the_tie_rule() -> None:
    # c .9, then a, b, e tie at .5 in order of id, then d
    known = answer({"e": 0.5, "b": 0.5, "c": 0.9, "a": 0.5, "d": 0.1})
    assert known.ranks_of("abcdef") == {"c": 1, "a": 2, "b": 3, "e": 4, "d": 5}
    assert known.scores_of("df") == {"d": 0.1}


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=20), st.randoms())
def test_ranks_equal_sorting_whatever_the_order(scores: list[float], draw: random.Random) -> None:
    ids = [f"p{number:02d}" for number in range(len(scores))]
    by_id = dict(zip(ids, scores, strict=True))
    shuffled = list(ids)
    draw.shuffle(shuffled)
    ranks = answer({name: by_id[name] for name in shuffled}).ranks_of(ids)
    ordered = sorted(ids, key=lambda name: (-by_id[name], name))
    assert [ranks[name] for name in ordered] == list(range(1, len(ids) + 1))


def test_zero_means_not_found_where_a_system_says_so() -> None:
    assert answer({"a": 0.0, "b": 2.0}, positive_only=True).ranks_of("ab") == {"b": 1}


def test_hits_keep_their_rank_when_scores_differ_in_the_last_bit() -> None:
    # The ranking came from one matrix product, the corpus scores from another.
    known = answer({"p1": 0.5, "p2": float(np.nextafter(0.5, 1))}, Hit("p1", 0.5, 1))
    assert known.ranks_of(["p1", "p2"]) == {"p1": 1, "p2": 2}


def test_a_list_alone_knows_its_hits_and_gives_no_sample() -> None:
    known = MemoryAnswer(INFO, Ranking("q1", "a", (Hit("p1", 0.5, 1),)))
    assert known.ranks_of(["p1", "p2"]) == known.ranks_of(["p1"]) == {"p1": 1}
    assert known.scores_of(["p1", "p2"]) == {"p1": 0.5}
    assert known.sample(3) == {}


def test_a_sample_is_spread_evenly_over_the_ids() -> None:
    known = answer({name: float(ord(name)) for name in "gabcdef"})
    assert list(known.sample(3)) == ["a", "d", "g"]
    assert len(known.sample(100)) == 7
