"""Cut a text into the parts that are left out, one at a time, and put it together without some."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.documents.sentences import sentence_spans
from core.experiments.evidence import Part

_CLAUSE_BREAK = re.compile(
    r"(?<=[,;:.!?])\s++|(?<!\s)\s++(?:[–—-]\s++)"  # noqa: RUF001 - dashes as they stand in texts
    r"|(?<!\s)\s++(?=(?:and|or|but|because|since|while|when|if|which|that|who|where|although|after|before"
    r"|unless|until)\s)"
)
_SHORT_QUERY_WORDS = 14


def query_parts(query: str) -> tuple[str, tuple[Part, ...]]:
    """Cut a query into clauses, or into words when it is short or has one clause.

    >>> [part.text for part in query_parts("who opened the sluice")[1]]
    ['who', 'opened', 'the', 'sluice']
    """
    if len(query.split()) > _SHORT_QUERY_WORDS:
        spans: list[tuple[int, int]] = []
        for start, end in sentence_spans(query):
            place = start
            for found in _CLAUSE_BREAK.finditer(query, start, end):
                # a clause of one word is no clause: it stays with what follows
                if len(query[place : found.start()].split()) >= 2:
                    spans.append((place, found.start()))
                    place = found.end()
            spans.append((place, end))
        if len(spans) >= 2:
            return "clause", numbered(query, spans)
    words = [match.span() for match in re.finditer(r"(?<!\S)[^\w\s]*+\w\S*+", query)]
    return "word", numbered(query, words)


def numbered(text: str, spans: Sequence[tuple[int, int]]) -> tuple[Part, ...]:
    """Return the stretches of a text as parts, numbered from 1."""
    return tuple(
        Part(number, start, end, text[start:end])
        for number, (start, end) in enumerate(spans, start=1)
    )


def without(text: str, parts: Sequence[Part], gone: set[int]) -> str:
    """Return a text without some of its parts (0-based), spacing mended.

    >>> parts = (Part(1, 0, 4, "One."), Part(2, 5, 9, "Two."), Part(3, 10, 16, "Three."))
    >>> without("One. Two. Three.", parts, {1})
    'One. Three.'
    """
    pieces: list[str] = []
    place = 0
    for index in sorted(gone):
        pieces.append(text[place : parts[index].start].rstrip())
        place = parts[index].end
    pieces.append(text[place:])
    joined = " ".join(piece.strip() for piece in pieces if piece.strip())
    return joined.strip()


def each_left_out(text: str, parts: Sequence[Part]) -> list[str]:
    """Return the whole text, then the text without each part in turn."""
    return [text, *(without(text, parts, {part.number - 1}) for part in parts)]
