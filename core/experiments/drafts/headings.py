"""Find the lines of a document that look like headings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from core.experiments.drafts.words import SMALL_WORDS, WORD, mostly_words

NUMBERING = re.compile(
    r"^(?:chapter|section|part|appendix)?\s*(?:\d+(?:\.\d+)*|[A-Z](?:\.\d+)+|[IVXLC]+)[.):]?\s+",
    re.IGNORECASE,
)

_LINE = re.compile(r"[^\n]+")
_DOT_LEADERS = re.compile(r"\.{3,}|(?:\. ){3,}|\s\d+$")
_HEADING_WORDS = 8  # of a line with neither number nor mark; longer ones are mostly captions


def headings(text: str, small: frozenset[str] = SMALL_WORDS) -> Iterator[tuple[int, int]]:
    """Yield the ranges of lines that look like headings.

    Args:
        text: Of the document.
        small: Words of its language that no heading ends on.

    A heading is a short line that starts with a capital or a number, has no sentence end, stands
    after a blank or finished line and before a line that is longer or blank. Table of contents
    entries (dot leaders, a page number at the end) are left out, as are lines that come back on
    many pages (running heads).
    """
    lines = [(match.start(), match.end()) for match in _LINE.finditer(text)]
    counts = Counter(text[start:end].strip().casefold() for start, end in lines)
    for place, (start, end) in enumerate(lines):
        raw = text[start:end]
        line = raw.strip()
        marked = line.startswith("#")
        bare = line.lstrip("# ").strip()
        core = NUMBERING.sub("", bare)
        words = WORD.findall(core)
        if not 1 <= len(core.split()) <= 12 or not words or len(bare) > 90:
            continue
        begins = core[0].isupper() or core != bare
        if not marked and (len(words) < 2 or not begins or not mostly_words(core)):
            continue  # the rest of a paragraph, a formula, a line of code
        if bare[-1] in ".,;:!?" or _DOT_LEADERS.search(bare) or counts[line.casefold()] > 2:
            continue
        if sum(char.isdigit() for char in core) * 3 > len(core) or ". " in core:
            continue
        if not marked and core == bare and len(core.split()) > _HEADING_WORDS:
            continue
        if core.split()[-1].casefold() in small:
            continue  # a line of a paragraph, broken in the middle of a sentence
        previous = text[lines[place - 1][0] : lines[place - 1][1]].strip() if place else ""
        if (
            previous
            and previous[-1] not in '.!?:"\u201d)'
            and "\n\n" not in text[lines[place - 1][1] : start + 1]
        ):
            continue  # the middle of a paragraph
        following = (
            text[lines[place + 1][0] : lines[place + 1][1]] if place + 1 < len(lines) else ""
        )
        if not marked and len(following.strip()) < len(bare):
            continue
        offset = start + raw.index(bare)
        yield offset, offset + len(bare)
