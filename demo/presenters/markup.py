"""The one place where text from files, file names and queries becomes HTML.

Everything a presenter shows goes through `esc`. Besides HTML's own characters it defuses ``{``,
``$`` and the backtick, because the page's HTML component is also a template language, and drops
control characters and explicit bidirectional overrides, which can make a name read as another.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEMPLATE = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})
# Overrides and isolates: the reordering they ask for is replaced by the element's own dir="auto".
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufff9-\ufffb]")
_ANSI = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")
_LINE_END = re.compile(r"(?<!\n)\n(?!\n)")
ELLIPSIS = "\u2026"
DASH = "\u2013"  # where a number is missing
DOT = " \u00b7 "


def plain(text: str) -> str:
    """Return text without control characters, terminal sequences and bidi overrides."""
    text = _ANSI.sub("", text)
    # A lone surrogate cannot be sent as UTF-8 at all.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _BIDI.sub("", _CONTROL.sub("", text))


def esc(text: object) -> str:
    """Return text safe inside HTML content and double-quoted attributes."""
    return html.escape(plain(str(text)), quote=True).translate(_TEMPLATE)


def sentence(words: str) -> str:
    """Return one of Bifocal's own sentences as HTML; a number is not parted from its %."""
    return esc(words.replace(" %", "\u00a0%"))


def with_code(words: str) -> str:
    """Return Bifocal's own words as HTML, what stands between backticks as code."""
    return join(
        f"<code>{esc(part)}</code>" if place % 2 else esc(part)
        for place, part in enumerate(words.split("`"))
    )


def attrs(**pairs: str | int | float | None) -> str:
    """Return `` name="value"`` for every pair that is not None; ``_`` in names becomes ``-``."""
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{esc(value)}"'
        for name, value in pairs.items()
        if value is not None
    )


def join(parts: Iterable[str]) -> str:
    """Glue pieces of HTML that are already safe."""
    return "".join(parts)


def shorten(text: str, limit: int) -> str:
    """Return at most ``limit`` characters, cut at a space where one is near, with an ellipsis."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    cut = text[:limit]
    space = cut.rfind(" ", limit - limit // 4)
    cut = (cut[:space] if space > 0 else cut).rstrip(" ,;:")
    while cut and unicodedata.combining(text[len(cut)]):
        cut = cut[:-1]  # never part a letter from its accent
    return cut + ELLIPSIS


def flowing(text: str) -> str:
    """Return text whose line ends within a paragraph are spaces; every offset stays what it is."""
    return _LINE_END.sub(" ", text)


def ordinal(number: int) -> str:
    """Return ``1st``, ``22nd``, ``113th``."""
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def signed(number: float, digits: int = 1) -> str:
    """Return a number with its sign, a true minus, and no ``-0.0``."""
    if not math.isfinite(number):
        return DASH
    rounded = round(number, digits)
    if rounded == 0:
        return f"{0:.{digits}f}"
    return f"{'+' if rounded > 0 else chr(0x2212)}{abs(rounded):.{digits}f}"


def number(value: float, digits: int = 1) -> str:
    """Return a number with a true minus."""
    if not math.isfinite(value):
        return DASH
    rounded = round(value, digits) + 0.0
    return f"{chr(0x2212) if rounded < 0 else ''}{abs(rounded):,.{digits}f}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return ``1 page`` or ``1,204 pages``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def percentile(value: float) -> str:
    """Return a percentile in [0, 100] in words' form: ``61st``, ``99.9th``.

    Close to the top one decimal more is kept: 99.95 is not "the 100th percentile".
    """
    if not math.isfinite(value):
        return DASH
    if value >= 99.0:
        shown = min(int(value * 10) / 10, 99.9)
        return f"{shown:.1f}th"
    return ordinal(int(value))
