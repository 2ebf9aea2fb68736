"""How the report writes texts, names, colours and places: hostile text is escaped here alone."""

from __future__ import annotations

import html
import re

from core.comparison.records import ComparedPassage, Comparison
from core.records import Family, Unit

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff"
    "\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_CLASSES = {
    Family.DIFFUSION: "a",
    Family.AUTOREGRESSIVE: "b",
}


def escape(text: str) -> str:
    """Return hostile text as HTML text or attribute value.

    Control characters, lone surrogates and direction overrides become U+FFFD: none of them may
    change how the rest of the page reads.
    """
    return html.escape(_UNPRINTABLE.sub("\ufffd", text), quote=True)


def arms_of(comparison: Comparison) -> tuple[str, str]:
    """Return the ids of both arms."""
    return (comparison.arm_a, comparison.arm_b)


def side_of(comparison: Comparison, system_id: str) -> str:
    """Return ``a``, ``b`` or "" : which colour a system has. Its family decides, then its place."""
    column = comparison.column(system_id)
    known = _CLASSES.get(column.info.family)
    if comparison.arm_a == comparison.arm_b or system_id not in arms_of(comparison):
        return known or ""
    first, second = (comparison.column(arm).info.family for arm in arms_of(comparison))
    if known and first is not second:
        return known
    return "a" if system_id == comparison.arm_a else "b"


def label_of(comparison: Comparison, system_id: str) -> str:
    """Return a system's name with its colour."""
    side = side_of(comparison, system_id)
    label = escape(comparison.column(system_id).info.label)
    return f'<span class="{side}"><span class="dot {side}"></span>{label}</span>'


def unit_of(comparison: Comparison, count: int = 2) -> str:
    """Return what is retrieved as a word, in the number that fits a count."""
    word = "document" if comparison.unit is Unit.DOCUMENT else "passage"
    return word if count == 1 else f"{word}s"


def one_decimal(value: float) -> str:
    """Return a number with one decimal, never as -0.0."""
    return f"{round(value, 1) + 0.0:.1f}"  # adding 0.0 turns -0.0 into 0.0


def pages_of(passage: ComparedPassage) -> str:
    """Return the pages of a passage: p. 3, pp. 3-4."""
    if passage.page_first == passage.page_last:
        return f"p. {passage.page_first}"
    return f"pp. {passage.page_first}-{passage.page_last}"


def anchor_of(comparison: Comparison, passage: ComparedPassage) -> str:
    """Return where in the file a passage stands."""
    # passage ids come from files: a number of our own is safe as an anchor
    return f"p{comparison.passages.index(passage) + 1}"
