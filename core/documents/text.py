"""One normal form of text: cut words joined, each character keeping its box.

Pages of a PDF go through `core.documents.layout` and `resolve_hyphens`, plain text through
`normal_form`. The text that comes out is NFC; `core.normal` folds it further where it is matched or
embedded. Pages are two parallel arrays, code points and boxes: a character that is dropped takes its
box along, one that becomes several (a ligature) repeats it, so both always have the same length.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.normal import matching_form, nfc
from core.words import word_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

NEWLINE = 10
CARRIAGE_RETURN = 13
SPACE = 32
REPLACEMENT = 0xFFFD
HYPHEN_MARK = 0x02  # what PDFium puts for a hyphen at a line's end, and drops the line break
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
_LETTERS_TRIED = 5_000
_FEW_LETTERS = 60
_FEW_VOWELS = 0.2
_FEW_PAIRS = 0.2
_MANY_CHANGES = 0.2
_MANY_SCRIPTS = 5
_GREEK = 0x370
_EAST_ASIAN = 0x2E80
_PAIRS = word_set(
    "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve "
    "co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur ie ei ge un au la da do na ta sa di "
    "ca pa pe no el il us et em tr"
)
SOFT_HYPHEN = "\xad"
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


def joined(pieces: Sequence[Characters]) -> Characters:
    """Return pieces one after another, a line break without a box between them."""
    if not pieces:
        return no_characters()
    codes, boxes = [], []
    for piece in pieces:
        codes += [piece.codes, np.array([NEWLINE], np.uint32)]
        boxes += [piece.boxes, no_boxes(1)]
    return Characters(np.concatenate(codes[:-1]), np.concatenate(boxes[:-1]))


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
        (visible < SPACE)
        | ((visible >= 0x7F) & (visible < 0xA0))
        | (visible == REPLACEMENT)
        | ((visible >= 0xE000) & (visible < 0xF900))
    )
    return float(bad.mean())


def has_words(text: str) -> bool:
    """Whether letters make words of some language; True for too few to tell.

    Fonts that name the wrong letters mix scripts, or shift the alphabet: neither vowels nor the
    pairs of letters that are common in all European languages are as frequent as in words.
    """
    text = matching_form(text[:_LETTERS_TRIED]).lower()
    letters = [letter for letter in text if letter.isalpha()]
    if len(letters) < _FEW_LETTERS:
        return True
    scripts = [_script(letter) for letter in letters]
    changes = sum(one != two for one, two in itertools.pairwise(scripts))
    if changes > _MANY_CHANGES * len(letters) and len(set(scripts)) >= _MANY_SCRIPTS:
        return False
    latin = [letter for letter in letters if letter.isascii()]
    if len(latin) < len(letters) / 2:
        return True
    vowels = sum(letter in "aeiouy" for letter in latin) + len(letters) - len(latin)
    pairs = sum(one + two in _PAIRS for one, two in itertools.pairwise(latin))
    return vowels > _FEW_VOWELS * len(letters) or pairs > _FEW_PAIRS * len(latin)


def _script(letter: str) -> int:
    """Number of a letter's script, roughly: East Asian ones count as one, so do kinds of Latin."""
    code = ord(letter)
    return 1 if code >= _EAST_ASIAN else 0 if code < _GREEK else code >> 7


def count_visible(codes: NDArray[np.uint32]) -> int:
    """Return how many characters are not white space."""
    spaces = np.isin(codes, np.array([9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x3000], np.uint32))
    return int(len(codes) - spaces.sum())


def normal_form(text: str, *, max_chars: int) -> str:
    """Return a text without pages in normal form; stops early beyond ``max_chars``."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > max_chars:
        return text
    text = text.translate({ord(letter): replacement_for(ord(letter)) for letter in set(text)})
    if len(text) > max_chars:
        return text
    text = nfc(text)
    pieces, place = [], 0
    for joint in _joints(text):
        pieces += [text[place : joint.hyphen], joint.instead]
        place = joint.after
    return "".join([*pieces, text[place:]]).replace(SOFT_HYPHEN, "")


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
_CONJUNCTIONS = word_set("und oder bzw and or to et ou y e o")
# The first or second half of words that are written with a hyphen.
_FIRST_HALVES = word_set(
    "well self ill half cross high low long short user state non all ever full"
)
_SECOND_HALVES = word_set(
    "based known driven free like specific dependent related oriented level scale term time wide "
    "aware determining independent defined sized shaped style type friendly quality order only "
    "called bound rich poor induced"
)
# Two words that are written as one, often enough to be cut and stand nowhere else in a text.
_ONE_WORD = word_set(
    "without within sometimes together cannot therefore whenever whatever throughout another maybe "
    "however something someone anything anyone everything everyone nothing outside inside into "
    "onto upon understand undertake underlying overall overcome overview network website "
    "background framework output input update download upload baseline database dataset software "
    "hardware keyword benchmark timestamp workflow furthermore nevertheless moreover whereas "
    "thereby hereby likewise otherwise meanwhile somewhat elsewhere nowhere afterwards"
)


def resolve_hyphens(pages: Iterable[Characters]) -> tuple[list[Characters], set[int]]:
    """Decide whether each hyphen at a line's end stays, across pages too.

    A word cut by the typesetter is joined (hyphen, line break and their boxes dropped); a hyphen
    that belongs to the word is kept. The document decides: what it spells elsewhere counts.

    Returns:
        The pages, and the positions of those whose last word goes on at once on the next page.
    """
    listed = list(pages)
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


def without_marks(page: Characters) -> Characters:
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


def composed(characters: Characters) -> Characters:
    """Bring to NFC; a character made of several has the box around theirs."""
    text = characters.text()
    if unicodedata.is_normalized("NFC", text):
        return characters
    codes: list[int] = []
    boxes: list[NDArray[np.float32]] = []
    starts = [place for place, letter in enumerate(text) if not place or not _extends(letter)]
    for start, end in itertools.pairwise([*starts, len(text)]):
        cluster = nfc(text[start:end])
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
