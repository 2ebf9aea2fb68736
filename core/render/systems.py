"""Name and colour of a system, the same on page and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.records import Family
from core.render.environment import render

if TYPE_CHECKING:
    from core.comparison.records import ComparedPassage, Comparison
    from core.render.escape import Html

NAMES = {
    Family.DIFFUSION: "Diffusion",
    Family.AUTOREGRESSIVE: "Autoregressive",
    Family.LEXICAL: "BM25",
    Family.REFERENCE: "Reference",
    Family.FUSION: "Fusion",
    Family.IMPORTED: "Imported",
}
KINDS = {Family.DIFFUSION: "dif", Family.AUTOREGRESSIVE: "aut"}
NEUTRAL = "lex"
# Their score is the cosine of two embeddings. BM25, a fusion and runs from elsewhere have others.
SCORED_BY_COSINE = frozenset((Family.DIFFUSION, Family.AUTOREGRESSIVE, Family.REFERENCE))


def family_kind(family: Family | str) -> str:
    """Return the class that gives an element its family's colour; greys for all but the two."""
    return next((kind for one, kind in KINDS.items() if one == family), NEUTRAL)


def encoder_ids(comparison: Comparison) -> tuple[str, str]:
    """Return the ids of the two systems under comparison."""
    return (comparison.encoder_a, comparison.encoder_b)


def kind(comparison: Comparison, system_id: str) -> str:
    """Return a system's class; two encoders of one family differ by their place."""
    own = family_kind(comparison.column(system_id).info.family)
    first, second = (comparison.column(one).info.family for one in encoder_ids(comparison))
    if system_id not in encoder_ids(comparison) or first is not second:
        return own
    return "dif" if system_id == comparison.encoder_a else "aut"


def name(comparison: Comparison, system_id: str) -> str:
    """Return ``Diffusion``, ``Autoregressive``, ``BM25``; the label when that is ambiguous."""
    info = comparison.column(system_id).info
    same = [column for column in comparison.columns if column.info.family is info.family]
    return info.label if len(same) > 1 else NAMES.get(info.family, info.label)


def family_name(family: Family | str, label: str) -> str:
    """Return ``Diffusion`` or ``Autoregressive``; the label of any other family."""
    return next((name for one, name in NAMES.items() if one == family), label)


def symbol(family: Family | str) -> Html:
    """Return a family's shape: a circle, a square, or a stroke for everything neutral."""
    return render("symbol", kind=family_kind(family))


def named(family: Family | str, text: str) -> Html:
    """Return text in a family's colour, with its shape before it."""
    return render("named", kind=family_kind(family), text=text)


def page_range(first: int, last: int) -> str:
    """Return ``page 3`` or ``pages 3\u20134``."""
    return f"page {first}" if first == last else f"pages {first}\u2013{last}"


def pages(passage: ComparedPassage) -> str:
    """Return the pages of a passage."""
    return page_range(passage.page_first, passage.page_last)


def in_top(comparison: Comparison, passage: ComparedPassage, system_id: str) -> bool:
    """Whether a system has a passage among its k best."""
    rank = passage.standing(system_id).rank
    return rank is not None and rank <= comparison.k
