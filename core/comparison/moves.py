"""How far each passage of either top k moves from one system to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.comparison.records import Move, MoveKind
from core.search.order import require_depth

if TYPE_CHECKING:
    from collections.abc import Mapping


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
