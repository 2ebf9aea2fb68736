"""The two colours and their shapes: the same everywhere on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.records import Family
from core.render import escape
from demo import texts

if TYPE_CHECKING:
    from core.comparison.records import Comparison

# Their score is the cosine of two embeddings. BM25, a fusion and runs from elsewhere have others.
SCORED_BY_COSINE = frozenset((Family.DIFFUSION, Family.AUTOREGRESSIVE, Family.REFERENCE))


def family_class(family: Family) -> str:
    """Return the class that gives an element its family's colour; greys for all but the two."""
    return texts.FAMILY_CLASSES.get(family, "lex")


def symbol(family: Family) -> str:
    """Return the family's shape: a circle, a square, or a stroke for everything neutral."""
    return f'<i class="sym {family_class(family)}" aria-hidden="true"></i>'


def named(family: Family, text: str) -> str:
    """Return text in the family's colour, with its shape before it."""
    kind = family_class(family)
    return f'<span class="{kind}"><i class="sym" aria-hidden="true"></i>{escape(text)}</span>'


def family_of(comparison: Comparison, system_id: str) -> Family:
    """Return the family of a system of a comparison."""
    return comparison.column(system_id).info.family


def short_name(comparison: Comparison, system_id: str) -> str:
    """Return ``Diffusion``, ``Autoregressive``, ``BM25``; the label when that is ambiguous."""
    info = comparison.column(system_id).info
    same = [column for column in comparison.columns if column.info.family is info.family]
    if len(same) > 1:
        return info.label
    return texts.FAMILY_NAMES.get(info.family, info.label)


def is_arm(comparison: Comparison, system_id: str) -> bool:
    """Whether a system is one of the two under comparison."""
    return (
        system_id in {comparison.arm_a, comparison.arm_b}
        and family_of(comparison, system_id) is not Family.LEXICAL
    )
