"""Numbers, counts and quotes in words, the same everywhere. Plain text: rendering escapes it."""

from __future__ import annotations

import math
import re
import unicodedata

ELLIPSIS = "\u2026"
DASH = "\u2013"  # where a number is missing
DOT = " \u00b7 "
MINUS = "\u2212"
_QUOTE_CHARS = 70
_LINE_END = re.compile(r"(?<!\n)\n(?!\n)")


def word_set(listed: str) -> frozenset[str]:
    """Return the words of a string as a set."""
    return frozenset(listed.split())


def ordinal(number: int) -> str:
    """Return a rank as people say it: 1st, 2nd, 11th, 1,204th."""
    if number % 100 in {11, 12, 13}:
        return f"{number:,}th"
    return f"{number:,}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def percent(share: float) -> str:
    """Return a share of 0 to 1 in whole percent."""
    if share <= 0:
        return "none"
    return "less than 1 %" if share < 0.01 else f"{share * 100:.0f} %"


def way(before: int, after: int) -> str:
    """Say how a rank changed: "goes from 2nd to 19th", "stays 1st"."""
    if before == after:
        return f"stays {ordinal(after)}"
    return f"goes from {ordinal(before)} to {ordinal(after)}"


def shortened(text: str, chars: int = _QUOTE_CHARS) -> str:
    """Return at most ``chars`` characters on one line, cut at a space where one is near."""
    text = " ".join(text.split())
    if len(text) <= chars:
        return text
    cut = text[: chars - 1]
    space = cut.rfind(" ", chars - 1 - chars // 4)
    cut = (cut[:space] if space > 0 else cut).rstrip(" ,;:")
    while cut and unicodedata.combining(text[len(cut)]):
        cut = cut[:-1]  # never part a letter from its accent
    return cut + ELLIPSIS


def quoted(text: str, chars: int = _QUOTE_CHARS) -> str:
    """Return a text on one line, cut, in quotation marks."""
    return f"“{shortened(text, chars)}”"


def flowing(text: str) -> str:
    """Text whose line ends within a paragraph are spaces; every offset stays the same."""
    return _LINE_END.sub(" ", text)


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: 1 page, 1,204 pages."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def number(value: float, digits: int = 1) -> str:
    """Return a number with a true minus and no ``-0.0``."""
    if not math.isfinite(value):
        return DASH
    rounded = round(value, digits) + 0.0
    return f"{MINUS if rounded < 0 else ''}{abs(rounded):,.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """Return a difference with its sign: +0.03, \u22120.02, 0.00."""
    if not math.isfinite(value):
        return DASH
    rounded = round(value, digits)
    if rounded == 0:
        return f"{0:.{digits}f}"
    return f"{'+' if rounded > 0 else MINUS}{abs(rounded):.{digits}f}"


def percentile(value: float) -> str:
    """Return a percentile in [0, 100] in words' form: ``61st``, ``99.9th``.

    Close to the top one decimal more is kept: 99.95 is not "the 100th percentile".
    """
    if not math.isfinite(value):
        return DASH
    if value >= 99.0:
        return f"{min(int(value * 10) / 10, 99.9):.1f}th"
    return ordinal(int(value))
