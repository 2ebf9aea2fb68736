"""Numbers as words, the same in every experiment."""

from __future__ import annotations

_QUOTE_CHARS = 70


def ordinal(number: int) -> str:
    """Return a rank as people say it: 1st, 2nd, 3rd, 11th."""
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
    """Return a text on one line, cut with an ellipsis."""
    flat = " ".join(text.split())
    return flat if len(flat) <= chars else flat[: chars - 1].rstrip() + "…"


def quoted(text: str, chars: int = _QUOTE_CHARS) -> str:
    """Return a text on one line, cut, in quotation marks."""
    return f"“{shortened(text, chars)}”"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a count with its noun: 1 query, 300 queries."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def signed(value: float, digits: int = 2) -> str:
    """Return a difference with its sign: +0.03, \u22120.02, 0.00."""
    rounded = round(value, digits) + 0.0  # adding 0.0 turns -0.0 into 0.0
    if rounded == 0:
        return f"{0:.{digits}f}"
    sign = "+" if rounded > 0 else "\u2212"
    return f"{sign}{abs(rounded):.{digits}f}"
