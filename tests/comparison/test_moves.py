from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.comparison.compare import rank_moves
from core.comparison.records import Agreement, Move, MoveKind
from core.errors import InvalidDepthError

rankings = st.permutations([f"p{number}" for number in range(8)])
MIRROR = {
    MoveKind.SAME: MoveKind.SAME,
    MoveKind.UP: MoveKind.DOWN,
    MoveKind.DOWN: MoveKind.UP,
    MoveKind.ONLY_A: MoveKind.ONLY_B,
    MoveKind.ONLY_B: MoveKind.ONLY_A,
}


def ranks(ids: list[str]) -> dict[str, int]:
    return {passage_id: rank for rank, passage_id in enumerate(ids, start=1)}


def agreement(moves: tuple[Move, ...]) -> Agreement:
    return Agreement(
        system_a="a", system_b="b", k=3, shared=0, figures={}, moves=moves,
    )  # fmt: skip


def test_every_kind_of_move() -> None:
    # A: p1 p2 p3 p4   B: p1 p3 p2 p5   at k = 4
    moves = rank_moves(ranks(["p1", "p2", "p3", "p4"]), ranks(["p1", "p3", "p2", "p5"]), k=4)
    assert [(move.passage_id, move.kind.value) for move in moves] == [
        ("p1", "same"),
        ("p2", "down"),
        ("p3", "up"),
        ("p4", "only a"),
        ("p5", "only b"),
    ]
    assert [move.places for move in moves] == [0, -1, 1, None, None]


def test_ranks_below_k_are_known_but_still_only_here() -> None:
    (_, move) = rank_moves({"p1": 1, "p2": 2}, {"p1": 1, "p2": 19}, k=2)
    assert move == Move(passage_id="p2", rank_a=2, rank_b=19, kind=MoveKind.ONLY_A)
    assert move.places == -17


def test_what_travelled_most() -> None:
    moves = rank_moves(ranks(["p1", "p2", "p3"]), {"p1": 3, "p2": 40, "p3": 1, "p4": 2}, k=3)
    travelled = agreement(moves).travelled_most
    assert travelled is not None
    assert (travelled.passage_id, travelled.places) == ("p2", -38)


def test_equal_journeys_go_to_the_better_place() -> None:
    # p1 goes 1 -> 2, p2 goes 2 -> 1: both travel one place and both have best place 1.
    travelled = agreement(rank_moves(ranks(["p1", "p2"]), ranks(["p2", "p1"]), k=2)).travelled_most
    assert travelled is not None
    assert travelled.passage_id == "p1"


def test_nothing_travels_between_equal_rankings() -> None:
    same = ranks(["p1", "p2", "p3"])
    assert agreement(rank_moves(same, same, k=3)).travelled_most is None


@given(rankings, rankings, st.integers(1, 8))
def test_moves_mirror_and_cover_the_union(a: list[str], b: list[str], k: int) -> None:
    forth, back = rank_moves(ranks(a), ranks(b), k=k), rank_moves(ranks(b), ranks(a), k=k)
    assert {move.passage_id for move in forth} == set(a[:k]) | set(b[:k])
    assert [(move.passage_id, move.rank_b, move.rank_a, MIRROR[move.kind]) for move in forth] == [
        (move.passage_id, move.rank_a, move.rank_b, move.kind) for move in back
    ]


def test_depth_below_one_is_refused() -> None:
    with pytest.raises(InvalidDepthError, match="at least one"):
        rank_moves({}, {}, k=0)
