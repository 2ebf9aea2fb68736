"""Where sentences begin and end, in prose, lists, headings and tables alike.

Rules, not a model: they must hold for any text a PDF gives, cost next to nothing, and give the
same answer on every machine.
"""

# ruff: noqa: RUF001 - typographic quotes, dashes and CJK stops are what this module is about

from __future__ import annotations

import bisect
import itertools
import re

from core.words import word_set

# Words that a full stop abbreviates, in lower case without it: the sentence goes on, whatever
# follows.
_ABBREVIATIONS = word_set(
    "dr mr mrs ms prof rev hon st sr jr gen col maj capt lt sgt cmdr adm gov sen rep pres messrs "
    "mme mlle vs viz cf e.g eg i.e ie al approx ca c fig figs eq eqs sec secs ch chap arts nos "
    "vol vols pp p par tab ref refs ed eds trans op cit ibid resp incl excl avg dept div univ "
    "assn bros jan feb apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri "
    "e.u u.n d.c ph.d m.d b.a m.a b.sc m.sc bzw z.b d.h u.a s.o vgl abb bd hrsg nr str"
)
# Abbreviations that are words as well: they go on before a number or when capitalised ("No. X").
_ALSO_WORDS = word_set("no art sun sat mar min max app para est corp")
# After these a sentence goes on unless the next word is one that sentences like to begin with.
_SOMETIMES = word_set("etc inc ltd co a.m p.m u.s u.k")
_STARTERS = word_set(
    "the a an this that these those it its he she they we you i in on at by for from with as when "
    "while if although though because since after before but and or so however there here what "
    "who why how where which no not one two some many most all each every any both such"
)
_CLOSERS = "\"'”’»)\\]}›」』）】》"
_OPENERS = "\"'“‘«([{‹「『（【《¿¡„‚"

_BREAK = re.compile(
    rf"""
      (?P<paragraph>\n[ \t]*+\n)
    | (?P<cjk>[。！？｡︒]++[{_CLOSERS}]*+)
    | (?P<stop>(?<![.!?…‽])[.!?…‽]++[{_CLOSERS}]*+)(?=[ \t\n])
    | (?P<line>\n)
    """,
    re.VERBOSE,
)
_LAST_WORD = re.compile(r"[\w.&'’-]+$")
_NEXT = re.compile(rf"\s*[{re.escape(_OPENERS)}]*(\S)")
_NEXT_WORD = re.compile(rf"\s*[{re.escape(_OPENERS)}]*([^\W\d_]+)")
_LIST_MARK = re.compile(
    r"[ \t]*(?:[•‣◦▪▫●○■□–—·∙➢➤✓✔*+-][ \t]+|\(?\d{1,3}[.)][ \t]+|\(?[a-zA-Z][.)][ \t]+|\(?[ivxIVX]{1,5}[.)][ \t]+|#{1,6} )"
)
_ENUMERATION = re.compile(r"\(?(?:\d{1,3}(?:\.\d{1,3})*|[a-zA-Z]|[ivxIVX]{1,5})")
_INITIAL = re.compile(r"(?:^|[\s(])(?:[A-Z]\.)*[A-Z]$")
_LEADERS = re.compile(r"(?:\. ?){4,}|…{2,}|_{4,}")
_FIRST_WORD = re.compile(r"\s*(\S+)")
_ENDED = re.compile(
    rf"(?<![\s.])(?:\.{{3}}|[.!?…‽;。！？｡︒।۔؟])[{_CLOSERS}]*+(?:\[?\d{{1,3}}\]?)?$"
)  # or a footnote's mark
_SECTION_NUMBER = re.compile(r"\d++(?:\.\d++)++\.?\s")
_PLAIN_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_FEWEST_WORDS = 4
_FEWEST_LETTERS = 8  # where case and spaces tell nothing
_NUMBERED_WORDS = 8  # after a number like 5.4.3: up to as many are a heading, with a stop or "?"
_LONG_LETTERS = 80  # no heading is as long: it need not end with a mark
_WORDS_SHARE = 0.65  # of what stands between spaces: less is a formula, code or a table row
_LONG_SHARE = 0.8  # the same where no mark ends it
_SMALL_SHARE = 1 / 3  # of the words: fewer written small are a title, an address, a row of names
MAX_CHARS = 200_000
_LOOK_BACK = 80
_NEIGHBOURS = 6  # lines before and after that tell how long a line can be here
_FULL_LINE = 0.75  # of the longest line near by: as full as a ragged margin makes it


def sentence_spans(text: str, *, max_chars: int = MAX_CHARS) -> tuple[tuple[int, int], ...]:
    """Return half-open ranges of the sentences of a text, in order.

    Sentences do not overlap, have no white space at either end, and hold every character that is
    not white space. A heading, a bullet and a table row each count as a sentence. A text without
    any full stop is one sentence (cut by paragraphs).

    Args:
        text: Any text.
        max_chars: Where cutting ends; what follows is one sentence more. The worker that reads a
            file cuts it whole (`Document.sentences`), the server no more than a long query.

    Returns:
        ``((start, end), ...)``; empty when there is nothing but white space.
    """
    line_ends = [found.start() for found in re.compile("\n").finditer(text, 0, max_chars)]
    lengths = [end - start - 1 for start, end in itertools.pairwise([-1, *line_ends, len(text)])]
    spans: list[tuple[int, int]] = []
    start = 0
    for found in _BREAK.finditer(text, 0, max_chars):
        if found.start() < start:
            continue
        kind = found.lastgroup
        if kind == "stop":
            ends = _stop_ends(text, start, found)
        elif kind == "line":
            line = bisect.bisect_left(line_ends, found.start())
            near = lengths[max(0, line - _NEIGHBOURS) : line + _NEIGHBOURS + 1]
            ends = _line_ends(text, found.start(), max(near))
        else:
            ends = True
        if ends:
            _append(spans, text, start, found.end())
            start = found.end()
    _append(spans, text, start, len(text))
    return tuple(spans)


def is_sentence(text: str) -> bool:
    """Whether a range of `sentence_spans` is a sentence: no heading, row, entry or formula.

    >>> is_sentence("The valve shuts when the pressure falls.")
    True
    >>> [is_sentence(text) for text in ("■ 2.", "fax: 202-493-2251.", "5.8 Handling bugs")]
    [False, False, False]
    """
    mark = _LIST_MARK.match(text)
    text = text[mark.end() if mark else 0 :].strip()
    letters = sum(char.isalpha() for char in text)
    ended = _ENDED.search(text) is not None
    if not (ended or letters >= _LONG_LETTERS) or _LEADERS.search(text):
        return False
    tokens = text.split()
    if _SECTION_NUMBER.match(text) and (len(tokens) <= _NUMBERED_WORDS + 1 or text.endswith("?")):
        return False  # a heading
    if ")" in text.partition("(")[0]:
        return False  # the rest of a row or of code
    words = [word for token in tokens if (word := _plain_word(token))]
    cased = sum(char.islower() or char.isupper() for char in text)
    if cased < letters / 2:  # a script without case, perhaps without spaces
        return letters >= _FEWEST_LETTERS
    small = sum(word[0].islower() for word in words)
    return len(words) >= max(
        _FEWEST_WORDS, (_WORDS_SHARE if ended else _LONG_SHARE) * len(tokens)
    ) and small >= (_SMALL_SHARE if ended else 0.5) * len(words)


def _plain_word(token: str) -> str:
    """Return a word without the marks around it; "" for what is no word."""
    bare = token.strip(_CLOSERS + _OPENERS + ".,;:!?…—–")
    return bare if _PLAIN_WORD.fullmatch(bare) else ""


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    """Add a range without the white space around it."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))


def _stop_ends(text: str, start: int, found: re.Match[str]) -> bool:
    """Whether a full stop, question or exclamation mark ends the sentence."""
    mark = found.group()
    if mark == "." and found.start() > start and text[found.start() - 1] in " \t":
        return False  # a dot of its own: leaders of a table of contents
    following = _NEXT.match(text, found.end())
    if following is None:
        return True
    if text[found.end()] == "\n" and _LIST_MARK.match(text, found.end() + 1):
        return True
    if following.group(1).islower():
        return False
    if not mark.startswith(".") or mark.startswith(".."):
        return True
    return _single_stop_ends(text, start, found, following.group(1))


def _single_stop_ends(text: str, start: int, found: re.Match[str], next_char: str) -> bool:
    """Whether one full stop ends the sentence or belongs to the word before it."""
    before = text[max(start, found.start() - _LOOK_BACK) : found.start()]
    word = _LAST_WORD.search(before)
    if word is None:
        return True
    if _ENUMERATION.fullmatch(before.strip()):
        return False  # "1. Introduction": the number belongs to what follows
    last = word.group().lower().lstrip("'’-&.")
    if last in _SOMETIMES:
        next_word = _NEXT_WORD.match(text, found.end())
        return next_word is not None and next_word.group(1).lower() in _STARTERS
    if last in _ALSO_WORDS:
        return before.endswith(last) and not next_char.isdigit()
    return last not in _ABBREVIATIONS and not _INITIAL.search(before)


def _line_ends(text: str, position: int, longest: int) -> bool:
    """Whether the line break at ``position`` ends a sentence that has no full stop.

    A line that is broken although the next word would have fitted was broken on purpose: it is a
    heading, a table row or the end of a paragraph.

    Args:
        text: All of it.
        position: Of the line break.
        longest: Characters of the longest line near by.
    """
    if _LIST_MARK.match(text, position + 1):
        return True
    line_start = text.rfind("\n", 0, position) + 1
    line = text[line_start:position].strip()
    if _LEADERS.search(line):
        return True
    following = _NEXT.match(text, position + 1)
    next_word = _FIRST_WORD.match(text, position + 1)
    if following is None or next_word is None or not line:
        return False
    if following.group(1).islower() or line[-1] in ",-–—(/&":
        return False
    return len(line) + 1 + len(next_word.group(1)) <= _FULL_LINE * longest
