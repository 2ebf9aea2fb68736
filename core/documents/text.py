"""One normal form of text: cut words joined, each character keeping its box.

Pages of a PDF go through `page_characters` and `resolve_hyphens`, plain text through
`normal_form`. The text that comes out is NFC; `matching_form` folds it further where it is matched
or embedded, and is not shown. Everything on pages works on two parallel arrays, code points and boxes: a character that is dropped takes
its box along, one that becomes several (a ligature) repeats it. So the text of a page and its
boxes always have the same length.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

NEWLINE = 10
CARRIAGE_RETURN = 13
SPACE = 32
REPLACEMENT = 0xFFFD
HYPHEN_MARK = 0x02  # what PDFium puts for a hyphen at a line's end, and drops the line break
PARAGRAPH_PITCH = 1.3  # lines further apart than this many usual pitches start a paragraph
_LAST_CODE = 0x10FFFF
_HIGH_SURROGATES = (0xD800, 0xDBFF)
_LOW_SURROGATES = (0xDC00, 0xDFFF)

# Dropped: bidirectional embeddings, overrides and isolates (they turn text round for whoever
# shows it), zero-width space and word joiner, byte order mark, interlinear marks, tags.
_DROPPED = (
    {0x200B, 0x2060, 0xFEFF, 0xFFFE}
    | set(range(0x202A, 0x202F))
    | set(range(0x2066, 0x206A))
    | set(range(0xFFF9, 0xFFFC))
    | set(range(0xE0000, 0xE0080))
)
_LINE_BREAKS = {0x0B, 0x0C, 0x85, 0x2028, 0x2029}
SOFT_HYPHEN = "\xad"
_MOST_MARKS = 30
_MARKS = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.combining(chr(code)))
_MANY_MARKS = re.compile(f"([{_MARKS}]{{{_MOST_MARKS}}})[{_MARKS}]+")
_HYPHENS = {0x2010: "-", 0x2011: "-"}
# Radicals that NFKC leaves alone, with the characters they look like.
_RADICALS: dict[int, str] = {}
_LIGATURES = range(0xFB00, 0xFB07)
_ARABIC_FORMS = (range(0xFB50, 0xFE00), range(0xFE70, 0xFEFF))


@dataclass(frozen=True, slots=True, eq=False)
class Characters:
    """Code points and their boxes.

    Attributes:
        codes: ``(n,)`` uint32.
        boxes: ``(n, 4)`` float32, left, top, right, bottom in points from the top left corner of
            the page as displayed; NaN rows where there is no box.
    """

    codes: NDArray[np.uint32]
    boxes: NDArray[np.float32]

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> Characters:
        """Return the chosen characters (a mask or positions)."""
        return Characters(self.codes[chosen], self.boxes[chosen])

    def text(self) -> str:
        """Return the code points as a string of the same length."""
        return self.codes.astype("<u4").tobytes().decode("utf-32-le")


def without_boxes(text: str) -> Characters:
    """Return the characters of a string, none with a box."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint32)
    return Characters(codes, no_boxes(len(codes)))


def no_characters() -> Characters:
    """Return no characters at all."""
    return Characters(np.zeros(0, np.uint32), np.zeros((0, 4), np.float32))


def no_boxes(count: int) -> NDArray[np.float32]:
    """Return ``(count, 4)`` NaN that takes no memory: one row, seen ``count`` times."""
    return np.broadcast_to(np.full(4, np.nan, np.float32), (count, 4))


def displayed_boxes(
    boxes: NDArray[np.float32], bounds: tuple[float, float, float, float], rotation: int
) -> tuple[NDArray[np.float32], float, float]:
    """Turn boxes from PDF user space into points from the top left corner as displayed.

    Args:
        boxes: ``(n, 4)`` left, top, right, bottom with y growing upwards.
        bounds: Left, bottom, right, top of what is displayed, in the same space.
        rotation: Quarter turns clockwise.

    Returns:
        Boxes ``(n, 4)`` left, top, right, bottom with y growing downwards, clipped to the page,
        NaN where nothing is left; then the page's width and height.
    """
    left, bottom, right, top = bounds
    x0, y0 = np.minimum(boxes[:, 0], boxes[:, 2]), np.minimum(boxes[:, 1], boxes[:, 3])
    x1, y1 = np.maximum(boxes[:, 0], boxes[:, 2]), np.maximum(boxes[:, 1], boxes[:, 3])
    width, height = right - left, top - bottom
    if rotation in (1, 3):
        width, height = height, width
    if rotation == 0:
        turned = (x0 - left, top - y1, x1 - left, top - y0)
    elif rotation == 1:
        turned = (y0 - bottom, x0 - left, y1 - bottom, x1 - left)
    elif rotation == 2:
        turned = (right - x1, y0 - bottom, right - x0, y1 - bottom)
    else:
        turned = (top - y1, right - x1, top - y0, right - x0)
    shown = np.stack(turned, axis=1).astype(np.float32)
    with np.errstate(invalid="ignore"):
        np.clip(shown[:, 0::2], 0, width, out=shown[:, 0::2])
        np.clip(shown[:, 1::2], 0, height, out=shown[:, 1::2])
        empty = ~((shown[:, 2] > shown[:, 0]) & (shown[:, 3] > shown[:, 1]))
    shown[empty] = np.nan
    return shown, float(width), float(height)


def bad_share(codes: NDArray[np.uint32]) -> float:
    """Return which share of the visible characters is no text: unmapped, control, private use."""
    visible = codes[
        (codes > SPACE) | ((codes < SPACE) & (codes != NEWLINE) & (codes != 13) & (codes != 9))
    ]
    if not len(visible):
        return 0.0
    bad = (
        ((visible < SPACE) & (visible != HYPHEN_MARK))
        | ((visible >= 0x7F) & (visible < 0xA0))
        | (visible == REPLACEMENT)
        | ((visible >= 0xE000) & (visible < 0xF900))
    )
    return float(bad.mean())


def count_visible(codes: NDArray[np.uint32]) -> int:
    """Return how many characters are not white space."""
    spaces = np.isin(codes, np.array([9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x3000], np.uint32))
    return int(len(codes) - spaces.sum())


def page_characters(raw: Characters) -> Characters:
    """Return one PDF page's characters, normalised, with line and paragraph breaks.

    The hyphen marks stay: only the whole document tells what they stand for (`join_hyphens`).
    """
    return _tidy_spaces(_paragraph_breaks(_composed(normalised(raw))))


def normal_form(text: str, *, max_chars: int) -> str:
    """Return a text without pages in normal form; stops early beyond ``max_chars``."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > max_chars:
        return text
    text = text.translate({ord(letter): replacement_for(ord(letter)) for letter in set(text)})
    if len(text) > max_chars:
        return text
    text = unicodedata.normalize("NFC", _few_marks(text))
    pieces, place = [], 0
    for joint in _joints(text):
        pieces += [text[place : joint.hyphen], joint.instead]
        place = joint.after
    return "".join([*pieces, text[place:]]).replace(SOFT_HYPHEN, "")


def matching_form(text: str) -> str:
    """Return a text as it is embedded and matched: look-alikes folded, NFKC.

    >>> matching_form("\uff21\uff22\uff23 \u2f45\u2f47 re\u2010use")
    'ABC \u65b9\u65e5 re-use'
    """
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKC", _few_marks(text).translate(_RADICALS))
    return folded.translate(_HYPHENS)


def normalised(raw: Characters) -> Characters:
    """Replace, drop or spell out characters that are no plain text; see `replacement_for`."""
    if not len(raw.codes):
        return raw
    characters = _join_line_ends(_join_surrogates(raw))
    unique, places = np.unique(characters.codes, return_inverse=True)
    spelled = [replacement_for(int(code)) for code in unique]
    lengths = np.array([len(text) for text in spelled])
    if (lengths == 1).all():
        table = np.array([ord(text) for text in spelled], np.uint32)
        return Characters(table[places], characters.boxes)
    per_character = lengths[places]
    repeated = np.repeat(np.arange(len(places)), per_character)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    table = np.array([ord(letter) for text in spelled for letter in text], np.uint32)
    first = np.concatenate([[0], np.cumsum(per_character)[:-1]])
    within = np.arange(len(repeated)) - first[repeated]
    return Characters(table[starts[places[repeated]] + within], characters.boxes[repeated])


def replacement_for(code: int) -> str:
    """Replacement of a code point in a document's text; "" drops it.

    Control characters become U+FFFD where a glyph was meant (an unmapped glyph of a mathematical
    font, say), every kind of space becomes a plain one, ligatures and presentation forms are
    spelled out, invisible characters that change how text is shown are dropped.
    """
    if code in {NEWLINE, 9, SPACE, HYPHEN_MARK, ord(SOFT_HYPHEN)} or 0x20 < code < 0x7F:
        return chr(code)
    if code in _DROPPED:
        return ""
    if code in _LINE_BREAKS:
        return "\n"
    if code < SPACE or 0x7F <= code < 0xA0 or code > _LAST_CODE:
        return "\ufffd"
    if 0xD800 <= code <= 0xDFFF or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return "\ufffd"
    character = chr(code)
    if unicodedata.category(character) == "Zs":
        return " "
    if code in _LIGATURES or any(code in forms for forms in _ARABIC_FORMS):
        return unicodedata.normalize("NFKC", character)
    return character


def _join_surrogates(characters: Characters) -> Characters:
    """Make one code point of each high and low surrogate."""
    codes = characters.codes
    high = (codes >= _HIGH_SURROGATES[0]) & (codes <= _HIGH_SURROGATES[1])
    if not high.any():
        return characters
    low = (codes >= _LOW_SURROGATES[0]) & (codes <= _LOW_SURROGATES[1])
    pairs = np.flatnonzero(high[:-1] & low[1:])
    joined = codes.copy()
    joined[pairs] = 0x10000 + ((codes[pairs] - 0xD800) << 10) + (codes[pairs + 1] - 0xDC00)
    keep = np.ones(len(codes), np.bool_)
    keep[pairs + 1] = False
    return Characters(joined, characters.boxes).take(keep)


def _join_line_ends(characters: Characters) -> Characters:
    r"""Make one \n of \r\n and of a lone \r."""
    codes = characters.codes
    returns = codes == CARRIAGE_RETURN
    if not returns.any():
        return characters
    followed = np.zeros(len(codes), np.bool_)
    followed[:-1] = returns[:-1] & (codes[1:] == NEWLINE)
    plain = np.where(returns, np.uint32(NEWLINE), codes)
    return Characters(plain, characters.boxes).take(~followed)


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


@dataclass(frozen=True, slots=True)
class _Joint:
    """A hyphen at a line's end: its place, the next word's start, the text between."""

    hyphen: int
    after: int
    instead: str


_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LETTERS = re.compile(r"[^\W_]+")
_LINE_END = re.compile(r"(?<=[^\W_])[-\u2010\u2011\xad]\n[ \t]*+(?=[^\W_])")
_LONGEST_WORD = 60
_CONJUNCTIONS = frozenset(["und", "oder", "bzw", "and", "or", "to", "et", "ou", "y", "e", "o"])
# The first or second half of words that are written with a hyphen.
_FIRST_HALVES = frozenset(
    [
        "well",
        "self",
        "ill",
        "half",
        "cross",
        "high",
        "low",
        "long",
        "short",
        "multi-purpose",
        "user",
        "state",
        "non",
        "all",
        "ever",
        "full",
    ]
)
_SECOND_HALVES = frozenset(
    [
        "based",
        "known",
        "driven",
        "free",
        "like",
        "specific",
        "dependent",
        "related",
        "oriented",
        "level",
        "scale",
        "term",
        "time",
        "wide",
        "aware",
        "determining",
        "independent",
        "defined",
        "sized",
        "shaped",
        "style",
        "type",
        "friendly",
        "quality",
        "order",
        "only",
        "called",
        "bound",
        "rich",
        "poor",
        "induced",
    ]
)
# Two words that are written as one, often enough to be cut and stand nowhere else in a text.
_ONE_WORD = frozenset(
    [
        "without",
        "within",
        "sometimes",
        "together",
        "cannot",
        "therefore",
        "whenever",
        "whatever",
        "throughout",
        "another",
        "maybe",
        "however",
        "something",
        "someone",
        "anything",
        "anyone",
        "everything",
        "everyone",
        "nothing",
        "outside",
        "inside",
        "into",
        "onto",
        "upon",
        "understand",
        "undertake",
        "underlying",
        "overall",
        "overcome",
        "overview",
        "network",
        "website",
        "background",
        "framework",
        "output",
        "input",
        "update",
        "download",
        "upload",
        "baseline",
        "database",
        "dataset",
        "software",
        "hardware",
        "keyword",
        "benchmark",
        "timestamp",
        "workflow",
        "furthermore",
        "nevertheless",
        "moreover",
        "whereas",
        "thereby",
        "hereby",
        "likewise",
        "otherwise",
        "meanwhile",
        "somewhat",
        "elsewhere",
        "nowhere",
        "afterwards",
    ]
)


def resolve_hyphens(pages: Iterable[Characters]) -> tuple[list[Characters], set[int]]:
    """Decide whether each hyphen at a line's end stays, across pages too.

    A word cut by the typesetter is joined (hyphen, line break and their boxes dropped); a hyphen
    that belongs to the word is kept. The document decides: what it spells elsewhere counts.

    Returns:
        The pages, and the positions of those whose last word goes on at once on the next page.
    """
    listed = [_without_marks(page) for page in pages]
    texts = [page.text() for page in listed]
    starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    codes = [page.codes.copy() for page in listed]
    keep = [page.codes != ord(SOFT_HYPHEN) for page in listed]
    runs_on: set[int] = set()
    for joint in _joints("\n".join(texts)):
        number = int(np.searchsorted(starts, joint.hyphen, side="right")) - 1
        place, after = joint.hyphen - int(starts[number]), joint.after - int(starts[number])
        keep[number][place:after] = False
        keep[number][place] = bool(joint.instead)
        codes[number][place] = ord("-")
        last_of_page = after > len(texts[number])
        if len(joint.instead) > 1 and not last_of_page:
            keep[number][place + 1] = True
            codes[number][place + 1] = SPACE
        elif len(joint.instead) < 2 and last_of_page:
            runs_on.add(number)
    resolved = [
        Characters(new, page.boxes).take(kept)
        for new, page, kept in zip(codes, listed, keep, strict=True)
    ]
    return resolved, runs_on


def _without_marks(page: Characters) -> Characters:
    """Spell out PDFium's mark for a hyphen that ends a line: a hyphen and a line break."""
    codes = page.codes
    marks = codes == HYPHEN_MARK
    if not marks.any():
        return page
    # PDFium puts the mark after a letter or digit; elsewhere it is an unmapped glyph.
    real = [place for place in np.flatnonzero(marks) if place and chr(codes[place - 1]).isalnum()]
    spelled = np.where(marks, np.uint32(REPLACEMENT), codes)
    spelled[real] = ord("-")
    after = np.array([place + 1 for place in real if place + 1 < len(codes)], np.intp)
    boxes = np.insert(page.boxes, after, np.float32(np.nan), axis=0)
    return Characters(np.insert(spelled, after, np.uint32(NEWLINE)), boxes)


def _joints(text: str) -> Iterator[_Joint]:
    """Yield the hyphens at line ends with their meaning."""
    halves, words, place = [], set[str](), 0
    for found in _LINE_END.finditer(text):
        hyphen, after = found.span()
        first = _LETTERS.match(text[max(place, hyphen - _LONGEST_WORD) : hyphen][::-1])
        second = _LETTERS.match(text, after, after + _LONGEST_WORD)
        if first is not None and second is not None:
            halves.append((hyphen, after, first.group()[::-1], second.group()))
            # The halves themselves are no words that the document spells.
            words.update(_words(text, place, hyphen - len(first.group())))
            place = second.end()
    if halves:
        words.update(_words(text, place, len(text)))
    for hyphen, after, before, behind in halves:
        yield _Joint(hyphen, after, _between(before, behind, text[hyphen], words))


def _words(text: str, start: int, end: int) -> Iterator[str]:
    return (found.group().lower() for found in _WORD.finditer(text, start, max(start, end)))


def _between(first: str, second: str, hyphen: str, words: set[str]) -> str:
    """Text between two parts of a word or two words: "", "-" or "- "."""
    small, next_small = first.lower(), second.lower()
    joined = f"{small}{next_small}"
    if hyphen == SOFT_HYPHEN:
        return ""
    if f"{small}-{next_small}" in words:
        return "-"
    if joined in words or joined in _ONE_WORD:
        return ""
    if next_small in _CONJUNCTIONS:
        return "- "
    if not second[0].islower() or not first[-1].isalpha() or len(first) == 1:
        return "-"
    if small in _FIRST_HALVES or next_small in _SECOND_HALVES:
        return "-"
    both = small in words and next_small in words and min(len(first), len(second)) > 2
    return "-" if both else ""


def _few_marks(text: str) -> str:
    """Return a text with at most 30 combining marks in a row: normal forms are quadratic in them.

    That many are allowed by Unicode's stream-safe text format; no script needs a fourth of it.
    """
    return text if text.isascii() else _MANY_MARKS.sub(r"\1", text)


def _composed(characters: Characters) -> Characters:
    """Bring to NFC; a character made of several has the box around theirs."""
    text = characters.text()
    if unicodedata.is_normalized("NFC", text):
        return characters
    codes: list[int] = []
    boxes: list[NDArray[np.float32]] = []
    starts = [place for place, letter in enumerate(text) if not place or not _extends(letter)]
    for start, end in itertools.pairwise([*starts, len(text)]):
        cluster = unicodedata.normalize("NFC", _few_marks(text[start:end]))
        codes += [ord(letter) for letter in cluster]
        if len(cluster) == end - start:
            boxes += list(characters.boxes[start:end])
        else:
            boxes += [_around(characters.boxes[start:end])] * len(cluster)
    return Characters(np.array(codes, np.uint32), np.array(boxes, np.float32).reshape(-1, 4))


def _extends(letter: str) -> bool:
    """Whether a character may join the one before: a mark, or a vowel or tail of Hangul."""
    return unicodedata.category(letter)[0] == "M" or "\u1160" <= letter <= "\u11ff"


def _around(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the box around boxes, NaN where there are none."""
    if np.isnan(boxes).all():
        return np.full(4, np.nan, np.float32)
    lowest, highest = np.nanmin(boxes, axis=0), np.nanmax(boxes, axis=0)
    return np.concatenate([lowest[:2], highest[2:]])
