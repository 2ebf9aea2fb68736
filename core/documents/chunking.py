"""Documents into passages: whole sentences up to a token budget, overlapping, across pages."""

from __future__ import annotations

import bisect
import unicodedata
from typing import TYPE_CHECKING

from core.documents.sentences import sentence_spans
from core.errors import InvalidSettingError
from core.records import Document, Passage, Unit, make_passage_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.settings import ChunkingSettings

    Span = tuple[int, int]
    CountTokens = Callable[[Sequence[str]], Sequence[int]]

_LONG_WORD_CHARS = 400  # longer runs without a space are cut before they are counted
_MAX_ROUNDS = 4


def chunk_document(
    document: Document, *, count_tokens: CountTokens, settings: ChunkingSettings
) -> tuple[Passage, ...]:
    """Return the passages of a document, in reading order.

    Whole sentences are packed up to ``settings.chunk_tokens``; each passage but the first repeats
    as many whole sentences of the one before as fit ``settings.overlap_tokens``. A sentence that
    is longer than the budget is cut between words, a word that is longer inside. Passages have no
    white space at either end; together they hold every character that is not white space.

    Args:
        document: What to cut.
        count_tokens: Neutral counter, for many texts at once, without prompts or special tokens.
        settings: Unit, budget and overlap.

    Returns:
        Passages; ``document.text[p.start:p.end] == p.text`` for each. One for the whole text when
        the unit is a document; none for a text of white space.
    """
    text = document.text
    if settings.unit is Unit.DOCUMENT:
        spans = _stripped(text, [(0, len(text))])
        counts = _counted(text, spans, count_tokens)
    else:
        pieces, piece_counts = _pieces(document, settings.chunk_tokens, count_tokens)
        budget = settings.chunk_tokens
        spans, counts = [], []
        for _ in range(_MAX_ROUNDS):
            spans = _packed(pieces, piece_counts, budget, settings.overlap_tokens)
            counts = _counted(text, spans, count_tokens)
            # Tokens of a passage can differ a little from the sum of its sentences' tokens.
            over = max(counts, default=0) - settings.chunk_tokens
            if over <= 0 or budget - over < settings.chunk_tokens // 2:
                break
            budget -= over
    page_starts = [page.start for page in document.pages if page.end > page.start]
    page_numbers = [page.page_number for page in document.pages if page.end > page.start]

    def page_at(position: int) -> int:
        return page_numbers[max(0, bisect.bisect_right(page_starts, position) - 1)]

    return tuple(
        Passage(
            passage_id=make_passage_id(document.doc_id, start, end),
            doc_id=document.doc_id,
            start=start,
            end=end,
            text=text[start:end],
            page_first=page_at(start),
            page_last=page_at(end - 1),
            unit=settings.unit,
            token_count=count,
        )
        for (start, end), count in zip(spans, counts, strict=True)
    )


def _counted(text: str, spans: Sequence[Span], count_tokens: CountTokens) -> list[int]:
    """Return the tokens of each range."""
    if not spans:
        return []
    counts = [int(count) for count in count_tokens([text[start:end] for start, end in spans])]
    if len(counts) != len(spans):
        msg = f"The token counter returned {len(counts)} numbers for {len(spans)} texts."
        raise InvalidSettingError(msg)
    return counts


def _stripped(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return ranges without white space at either end; empty ones are left out."""
    kept = []
    for first, last in spans:
        piece = text[first:last]
        start = first + len(piece) - len(piece.lstrip())
        end = start + len(piece.strip())
        if end > start:
            kept.append((start, end))
    return kept


def _pieces(
    document: Document, budget: int, count_tokens: CountTokens
) -> tuple[list[Span], list[int]]:
    """Return sentences, cut where longer than the budget, and the tokens of each.

    Counted with the white space before them, as they stand inside a passage.
    """
    text = document.text
    spans = document.sentences or sentence_spans(text)
    starts = [0, *(end for _, end in spans)]
    leading = [(starts[place], end) for place, (_, end) in enumerate(spans)]
    counts = _counted(text, leading, count_tokens)
    pieces: list[Span] = []
    piece_counts: list[int] = []
    for (lead, _), span, count in zip(leading, spans, counts, strict=True):
        if count <= budget:
            pieces.append(span)
            piece_counts.append(count)
            continue
        cut, cut_counts = _cut(text, span, budget, count_tokens)
        # White space before the first part costs something where it joins the sentence before.
        room = _counted(text, [(lead, cut[0][0])], count_tokens)[0] if cut[0][0] > lead else 0
        pieces.extend(cut)
        piece_counts.extend([cut_counts[0] + room, *cut_counts[1:]])
    return pieces, piece_counts


def _cut(
    text: str, span: Span, budget: int, count_tokens: CountTokens
) -> tuple[list[Span], list[int]]:
    """Cut one long sentence between words, and words that are longer than the budget inside."""
    start, end = span
    words, place = [], start
    for word in text[start:end].split():
        place = text.index(word, place)
        words.append((place, place + len(word)))
        place += len(word)
    parts = [part for word in words for part in _halved(text, word, _LONG_WORD_CHARS)]
    counts = _counted(text, parts, count_tokens)
    while any(
        count > budget and last - first > 1
        for (first, last), count in zip(parts, counts, strict=True)
    ):
        smaller: list[Span] = []
        for part, count in zip(parts, counts, strict=True):
            longest = max(1, (part[1] - part[0] + 1) // 2)
            smaller.extend(_halved(text, part, longest) if count > budget else [part])
        if smaller == parts:
            break
        parts, counts = smaller, _counted(text, smaller, count_tokens)
    packed: list[Span] = []
    packed_counts: list[int] = []
    for part, count in zip(parts, counts, strict=True):
        # A joint between words may cost tokens of its own in some tokenizers.
        joint = part[0] - packed[-1][1] if packed else 0
        if packed and packed_counts[-1] + count + joint <= budget:
            packed_counts[-1] += count + joint
            packed[-1] = (packed[-1][0], part[1])
        else:
            packed.append(part)
            packed_counts.append(count)
    return packed, packed_counts


def _halved(text: str, span: Span, longest: int) -> list[Span]:
    """Cut a range into equal parts of at most ``longest`` characters, marks with their letters."""
    start, end = span
    parts = []
    while end - start > longest:
        cut = start + longest
        while cut < end and cut - start < 2 * longest and _joins_on(text, cut):
            cut += 1
        if cut >= end:
            break
        parts.append((start, cut))
        start = cut
    parts.append((start, end))
    return parts


def _joins_on(text: str, position: int) -> bool:
    """Whether the character at ``position`` belongs to the one before (accent, joined emoji)."""
    character = text[position]
    return (
        unicodedata.category(character).startswith("M")
        or character == "\u200d"
        or text[position - 1] == "\u200d"
        or 0x1F3FB <= ord(character) <= 0x1F3FF
    )


def _packed(pieces: Sequence[Span], counts: Sequence[int], budget: int, overlap: int) -> list[Span]:
    """Return passages' ranges: as many pieces as fit, beginning with repeated ones."""
    passages: list[Span] = []
    first = 0
    new = 0  # first piece that no passage holds yet
    while new < len(pieces):
        total = sum(counts[first:new])
        end = new
        while end < len(pieces) and (end == first or total + counts[end] <= budget):
            total += counts[end]
            end += 1
        if end == new:  # the repeated pieces leave no room: repeat fewer
            first += 1
            continue
        passages.append((pieces[first][0], pieces[end - 1][1]))
        repeated = 0
        start = end
        while start - 1 > first and repeated + counts[start - 1] <= overlap:
            start -= 1
            repeated += counts[start]
        first, new = start, end
    return passages
