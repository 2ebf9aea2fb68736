"""The one rule by which text from files, file names and queries becomes HTML.

Besides HTML's own characters it defuses ``{``, ``$`` and the backtick, because the page's HTML
component is also a template language, and drops control characters and explicit bidirectional
overrides, which can make a name read as another.
"""

from __future__ import annotations

import html
import re

from markupsafe import Markup

Html = Markup  # text that is safe to show; made by templates and by `escape` alone
_TEMPLATE = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})
# Overrides and isolates: the reordering they ask for is replaced by the element's own dir="auto".
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufff9-\ufffb\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ANSI = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")


def plain(text: str) -> str:
    """Return text without control characters, terminal sequences and bidi overrides."""
    # A lone surrogate cannot be sent as UTF-8 at all.
    return _SURROGATE.sub("\ufffd", _BIDI.sub("", _CONTROL.sub("", _ANSI.sub("", text))))


def escape(text: object) -> Html:
    """Return text safe inside HTML content and quoted attributes; HTML stays the same."""
    if hasattr(text, "__html__"):
        return Html(text)
    return Html(html.escape(plain(str(text)), quote=True).translate(_TEMPLATE))


def sentence(words: str) -> Html:
    """Return one of Bifocal's own sentences as HTML; a number is not parted from its %."""
    return escape(words.replace(" %", "\u00a0%"))


def with_code(words: str) -> Html:
    """Return Bifocal's own words as HTML, text between backticks as code."""
    parts = [escape(part) for part in words.split("`")]
    parts[1::2] = [Html(f"<code>{part}</code>") for part in parts[1::2]]
    return Html("".join(parts))


def attrs(**pairs: str | int | float | None) -> Html:
    """Return `` name="value"`` for every pair that is not None; ``_`` in names becomes ``-``."""
    return Html(
        "".join(
            f' {name.replace("_", "-")}="{escape(value)}"'
            for name, value in pairs.items()
            if value is not None
        )
    )
