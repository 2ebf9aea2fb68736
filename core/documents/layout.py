"""Characters of a page in reading order: accents, columns, paragraphs, and furniture left out.

Furniture is what stands on many pages in the same place, running heads and page numbers: it would
cut sentences in two and make pages alike that are not. Runs in the worker only.
"""

from __future__ import annotations

import bisect
import itertools
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.documents.text import (
    NEWLINE,
    SPACE,
    Characters,
    composed,
    joined,
    normalised,
    without_marks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Span = tuple[int, int]
    _Key = tuple[float, str]

PARAGRAPH_PITCH = 1.3  # lines further apart than this many usual pitches start a paragraph
GUTTER_HEIGHTS = 1.5  # a gap on a line as wide as this many heights may part columns
WORD_GAP = 0.6  # of the letters' height: further apart on a line they are two words
LINE_GAP = 0.5  # of the letters' height: further apart downwards they are on two lines
TWICE_SHARE = 0.35  # of a letter's width: the same letter within it is printed twice
COLUMN_LINES = 3  # as many lines, at least, make columns
COLUMN_WORDS = 3  # of the median line on either side: fewer are a table's
CONTINUED = 0.5  # of the lines begin with a small letter: prose, not the rows of a table
FURNITURE_PAGES = 3  # on as many pages, at least, a line in the same place is furniture
FURNITURE_NEAR = 4  # pages before and after on which they are counted
FURNITURE_ZONE = 0.12  # of the page's height, at the top and at the bottom
FURNITURE_CHARS = 120
PLACE_POINTS = 6.0  # lines no further apart than this stand in the same place
_FIRST_IDEOGRAPH = 0x2E80
# Accents with a width of their own, as typesetters print them over letters, and dotless letters.
_ACCENTS = {
    0x60: 0x300, 0xB4: 0x301, 0x5E: 0x302, 0x2C6: 0x302, 0x7E: 0x303, 0x2DC: 0x303, 0xAF: 0x304,
    0x2D8: 0x306, 0x2D9: 0x307, 0xA8: 0x308, 0x2DA: 0x30A, 0x2DD: 0x30B, 0x2C7: 0x30C, 0xB8: 0x327,
    0x2DB: 0x328,
}  # fmt: skip
_DOTLESS = {0x131: "i", 0x237: "j"}
_NUMBER = re.compile(r"(?<!\d)\d{1,6}(?!\d)")
_ROMAN = re.compile(r"\W*+[ivxlc]++\W*+")


def page_characters(raw: Characters) -> Characters:
    """Return one page's characters in normal form and reading order, paragraphs apart.

    Hyphens at line ends stay: only the whole document tells what they are (`resolve_hyphens`).
    """
    characters = composed(_accented(_parted(_whole_lines(without_marks(normalised(raw))))))
    return _tidy_spaces(_paragraph_breaks(_columns(_vertical(characters))))


def without_furniture(
    pages: Sequence[Characters], heights: Sequence[float]
) -> tuple[list[Characters], list[str]]:
    """Leave out running heads and page numbers.

    Args:
        pages: In reading order, of one document.
        heights: Of the pages, in points.

    Returns:
        The pages, and what was left out of each, a line each. A page of nothing else is kept.
    """
    edges = [_edge_rows(page, height) for page, height in zip(pages, heights, strict=True)]
    seen: defaultdict[_Key, list[int]] = defaultdict(list)
    for number, rows in enumerate(edges):
        for key in {key for edge in rows for row in edge for key in _keys(row, number)}:
            seen[key].append(number)

    bodies, furniture = [], []
    for number, (page, rows) in enumerate(zip(pages, edges, strict=True)):
        keep = np.ones(len(page.codes), np.bool_)
        parts = [part for edge in rows for part in _furniture(edge, number, seen)]
        for part in parts:
            keep[part.start : part.end] = False
            keep[part.end : part.end + 1] = page.codes[part.end : part.end + 1] != NEWLINE
        body = _tidy_spaces(page.take(keep))
        kept = bool(parts) and len(body.codes) > 0
        bodies.append(body if kept else page)
        furniture.append("\n".join(part.text for part in parts) if kept else "")
    return bodies, furniture


def _furniture(
    edge: Sequence[Sequence[_Part]], number: int, seen: Mapping[_Key, Sequence[int]]
) -> Iterator[_Part]:
    """Yield the parts of an edge's rows from outside until one does not recur on pages near by."""
    first, last = number - FURNITURE_NEAR, number + FURNITURE_NEAR
    for row in edge:
        pages = (seen[key] for key in _keys(row, number))
        counts = (bisect.bisect_right(at, last) - bisect.bisect_left(at, first) for at in pages)
        if max(counts, default=0) < FURNITURE_PAGES:
            return
        yield from row


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a line near an edge of the page; its place is negative at the bottom."""

    start: int
    end: int
    place: float
    text: str


def _edge_rows(page: Characters, height: float) -> tuple[list[list[_Part]], list[list[_Part]]]:
    """Return the rows near the top and those near the bottom of a page, outermost first."""
    parts = []
    text = page.text()
    for line in _lines(page.codes):
        for start, end in _parts(page, line) if _place(page, line, height) is not None else ():
            place = _place(page, (start, end), height)
            if place is not None:
                parts.append(_Part(start, end, place, text[start:end].strip()))
    return (
        _rows([part for part in parts if part.place >= 0]),
        _rows([part for part in parts if part.place < 0]),
    )


def _rows(parts: Sequence[_Part]) -> list[list[_Part]]:
    """Return parts that stand side by side together, outermost first."""
    rows: list[list[_Part]] = []
    for part in sorted(parts, key=lambda part: abs(part.place)):
        if rows and abs(part.place - rows[-1][-1].place) < PLACE_POINTS / 2:
            rows[-1].append(part)
        else:
            rows.append([part])
    return rows


def _place(page: Characters, span: Span, height: float) -> float | None:
    """Return how far from the nearer edge a stretch stands; None outside the zone of furniture."""
    boxes = page.boxes[slice(*span)]
    if np.isnan(boxes).all():
        return None
    middle = float(np.nanmean(boxes[:, 1::2]))
    place = middle if middle < height / 2 else middle - height
    return place if abs(place) < FURNITURE_ZONE * height else None


def _keys(row: Sequence[_Part], number: int) -> Iterator[_Key]:
    """Yield the marks of a row that repeats on other pages: words of a part, a number counting pages."""
    for part in row:
        words = part.text.casefold()[: FURNITURE_CHARS + 1]
        if not words or len(words) > FURNITURE_CHARS:
            continue
        forms = ["#"] if _ROMAN.fullmatch(words) else [words]
        forms += [
            f"{words[: found.start()]}#{int(found.group()) - number}#{words[found.end() :]}"
            for found in _NUMBER.finditer(words)
        ]
        # Two grids, so that a line near the border of one cell is inside the other's.
        cells = (round(part.place / PLACE_POINTS), round(part.place / PLACE_POINTS + 0.5) + 0.5)
        yield from itertools.product(cells, forms)


def _lines(codes: NDArray[np.uint32]) -> list[Span]:
    """Return the half-open ranges of lines, without their breaks."""
    breaks = np.flatnonzero(codes == NEWLINE).tolist()
    return list(zip([0, *(place + 1 for place in breaks)], [*breaks, len(codes)], strict=True))


def _in_order(page: Characters, lines: Sequence[Span]) -> Characters:
    """Return the given stretches of a page, a line each."""
    return joined([page.take(np.arange(*line)) for line in lines])


def _whole_lines(characters: Characters) -> Characters:
    """Drop line breaks before text that goes on at once on the same line, as an exponent does."""
    codes, boxes = characters.codes, characters.boxes
    breaks = np.flatnonzero(codes[1:-1] == NEWLINE) + 1
    before, after = boxes[breaks - 1], boxes[breaks + 1]
    height = np.minimum(before[:, 3] - before[:, 1], after[:, 3] - after[:, 1])
    common = np.minimum(before[:, 3], after[:, 3]) - np.maximum(before[:, 1], after[:, 1])
    gap = np.abs(after[:, 0] - before[:, 2])
    with np.errstate(invalid="ignore"):
        goes_on = (common > height / 3) & (gap < height / 10)
    return characters.take(np.delete(np.arange(len(codes)), breaks[goes_on]))


def _parted(characters: Characters) -> Characters:
    """Part words that PDFium runs together; drop letters printed twice for weight."""
    codes, boxes = characters.codes, characters.boxes
    before, after = boxes[:-1], boxes[1:]
    solid = (codes > SPACE) & np.isfinite(boxes[:, 0])
    height = np.minimum(before[:, 3] - before[:, 1], after[:, 3] - after[:, 1])
    across = np.maximum(after[:, 0] - before[:, 2], before[:, 0] - after[:, 2])
    down = np.maximum(after[:, 1] - before[:, 3], before[:, 1] - after[:, 3])
    moved = np.abs(after - before).max(axis=1)
    with np.errstate(invalid="ignore"):
        narrow = np.minimum(before[:, 2] - before[:, 0], height)
        pairs = np.pad((codes[:-1] == codes[1:]) & (moved < TWICE_SHARE * narrow), 2)
        twice = pairs[2:-2] & (pairs[4:] | pairs[:-4])  # and so is a letter beside it
        apart = solid[:-1] & solid[1:] & (np.maximum(codes[:-1], codes[1:]) < _FIRST_IDEOGRAPH)
        lines = apart & (down > LINE_GAP * height)
        words = apart & (down < -height / 2) & (across > WORD_GAP * height)
    if not (twice | lines | words).any():
        return characters
    gaps = np.flatnonzero(lines | words)
    order = np.sort(np.concatenate([np.arange(len(codes)), gaps + 0.5]))
    chosen = order.astype(np.intp)
    added = order != chosen
    keep = np.append(True, ~twice)[chosen] | added
    codes, boxes = codes[chosen], boxes[chosen].copy()
    codes[added], boxes[added] = np.where(lines[gaps], NEWLINE, SPACE), np.nan
    return Characters(codes, boxes).take(keep)


def _accented(characters: Characters) -> Characters:
    """Put accents that are printed over a letter onto it: "Gro¨ße" is "Größe"."""
    codes, boxes = characters.codes.copy(), characters.boxes
    keep = np.ones(len(codes), np.bool_)
    for place in np.flatnonzero(np.isin(codes, list(_ACCENTS))).tolist():
        mark = chr(_ACCENTS[int(codes[place])])
        middle = (boxes[place, 0] + boxes[place, 2]) / 2
        gap = int(place + 1 < len(codes) and codes[place + 1] == SPACE)
        for base in (place - 1, place + 1, place + 1 + gap):
            if not 0 <= base < len(codes) or not boxes[base, 0] <= middle <= boxes[base, 2]:
                continue
            plain = _DOTLESS.get(int(codes[base]), chr(codes[base]))
            letter = unicodedata.normalize("NFC", plain + mark)
            if len(letter) == 1 and boxes[base, 1] < boxes[place, 3]:
                codes[base] = ord(letter)
                keep[place] = False
                after = place + 2
                if gap and base >= place:
                    keep[place + 1] = False
                elif gap and after < len(codes):  # a gap that only the accent's width made
                    width = boxes[base, 2] - boxes[base, 0]
                    keep[place + 1] = not boxes[after, 0] - boxes[base, 2] < 0.4 * width
                break
    return characters if keep.all() else Characters(codes, boxes).take(keep)


def _vertical(characters: Characters) -> Characters:
    """Bring columns of vertical writing that follow one another into order."""
    if not (characters.codes >= _FIRST_IDEOGRAPH).any():
        return characters
    lines = _lines(characters.codes)
    ordered: list[Span] = []
    columns: list[tuple[float, float, float, Span]] = []
    for line in [*lines, None]:
        sides = _column_sides(characters.boxes[slice(*line)]) if line else None
        if line and sides:
            columns.append((*sides, line))
            continue
        ordered += _right_to_left(columns)
        columns = []
        if line:
            ordered.append(line)
    return characters if ordered == lines else _in_order(characters, ordered)


def _right_to_left(columns: Sequence[tuple[float, float, float, Span]]) -> list[Span]:
    """Return columns by tier, those that stand above others first, in each from right to left."""
    bottom, tier, placed = -np.inf, 0, []
    for top, lowest, middle, line in sorted(columns):
        tier += top > bottom
        bottom = max(bottom, lowest)
        placed.append((tier, -middle, line))
    return [line for _, _, line in sorted(placed)]


def _column_sides(boxes: NDArray[np.float32]) -> tuple[float, float, float] | None:
    """Return top, bottom and middle of a line that runs downwards; None for one that does not."""
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if len(boxes) < 3:
        return None
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    size = float(np.median(boxes[:, 3] - boxes[:, 1]))
    if np.ptp(x) > size or (np.diff(y) < 0.3 * size).any():
        return None
    return float(boxes[:, 1].min()), float(boxes[:, 3].max()), float(np.median(x))


def _columns(characters: Characters) -> Characters:
    """Take columns apart that were drawn row by row."""
    lines = _lines(characters.codes)
    parts = [_parts(characters, line) for line in lines]
    ordered: list[Span] = []
    for count, block in itertools.groupby(zip(lines, parts, strict=True), lambda row: len(row[1])):
        rows = list(block)
        sides = list(zip(*(part for _, part in rows), strict=True))
        if count > 1 and _are_columns(characters, sides):
            ordered += itertools.chain(*sides)
        else:
            ordered += [line for line, _ in rows]
    return characters if ordered == lines else _in_order(characters, ordered)


def _parts(characters: Characters, line: Span) -> list[Span]:
    """Return the stretches of a line between wide gaps."""
    start, end = line
    boxes = characters.boxes[start:end]
    solid = np.flatnonzero((characters.codes[start:end] > SPACE) & np.isfinite(boxes[:, 0]))
    if len(solid) < 2:
        return [line]
    before, after = boxes[solid[:-1]], boxes[solid[1:]]
    heights = np.maximum(before[:, 3] - before[:, 1], 1)
    wide = np.flatnonzero(after[:, 0] - before[:, 2] > GUTTER_HEIGHTS * heights)
    starts = [start, *(start + solid[wide + 1])]
    ends = [*(start + solid[wide] + 1), end]
    return [(int(first), int(last)) for first, last in zip(starts, ends, strict=True)]


def _are_columns(characters: Characters, sides: Sequence[Sequence[Span]]) -> bool:
    """Whether stretches of lines below one another are columns of prose, not a table's cells."""
    boxes, text = characters.boxes, characters.text()
    if len(sides[0]) < COLUMN_LINES:
        return False
    height = float(np.median([boxes[start, 3] - boxes[start, 1] for start, _ in sides[0]]))
    for left, right in itertools.pairwise(sides):
        ends = max(float(np.nanmax(boxes[slice(*part), 2])) for part in left)
        starts = [float(boxes[start, 0]) for start, _ in right]
        if max(starts) - min(starts) > height or min(starts) - ends < height / 2:
            return False
    words = [[text[slice(*part)] for part in side] for side in sides]
    if any(np.median([len(line.split()) for line in side]) < COLUMN_WORDS for side in words):
        return False
    continued = [line[0].islower() for side in words for line in side[1:]]
    return sum(continued) >= CONTINUED * len(continued)


def _paragraph_breaks(characters: Characters) -> Characters:
    """Double the line breaks where the gap to the next line is wider than usual on the page."""
    codes, boxes = characters.codes, characters.boxes
    breaks = np.flatnonzero(codes == NEWLINE)
    if len(breaks) < 2:
        return characters
    starts = np.concatenate([[0], breaks + 1])
    starts = starts[starts < len(codes)]
    tops = np.fmin.reduceat(boxes[:, 1], starts)
    bottoms = np.fmax.reduceat(boxes[:, 3], starts)
    pitches = bottoms[1:] - bottoms[:-1]
    heights = bottoms[1:] - tops[1:]
    with np.errstate(invalid="ignore"):
        usual = pitches[(pitches > 0.5 * heights) & (pitches < 3 * heights)]
        if not len(usual):
            return characters
        # The lower quartile: on a page of short paragraphs the median gap is a paragraph's.
        pitch = float(np.quantile(usual, 0.25))
        wide = (pitches > PARAGRAPH_PITCH * pitch) & (pitches > 1.2 * heights)
    after = breaks[: len(pitches)][wide]
    order = np.sort(np.concatenate([np.arange(len(codes)), after]), kind="stable")
    return characters.take(order)


def _tidy_spaces(characters: Characters) -> Characters:
    """Drop white space at line ends and at both ends of the page, and third line breaks."""
    codes = characters.codes
    count = len(codes)
    if not count:
        return characters
    blank = (codes == SPACE) | (codes == 9)
    positions = np.arange(count)
    solid = ~blank
    # (n,) position of the nearest character that is no blank, before and after; -1 and n: none
    before = np.maximum.accumulate(np.where(solid, positions, -1))
    after = np.minimum.accumulate(np.where(solid, positions, count)[::-1])[::-1]
    padded = np.concatenate([codes, [NEWLINE]]).astype(np.uint32)
    at_edge = (padded[after] == NEWLINE) | (padded[before] == NEWLINE)
    trimmed = characters.take(~(blank & at_edge))
    codes = trimmed.codes
    lines = codes == NEWLINE
    third = np.zeros(len(codes), np.bool_)
    third[2:] = lines[2:] & lines[1:-1] & lines[:-2]
    trimmed = trimmed.take(~third)
    inside = np.flatnonzero(trimmed.codes != NEWLINE)
    if not len(inside):
        return trimmed.take(np.zeros(len(trimmed.codes), np.bool_))
    return trimmed.take(np.arange(inside[0], inside[-1] + 1))
