"""One normal form for everything that compares texts, look-alikes folded.

Stored text is NFC. Nothing here is shown: what people see keeps its full-width letters.
"""

from __future__ import annotations

import itertools
import re
import unicodedata

_MOST_MARKS = 30
# Combining marks as ranges of a pattern: single characters beyond 0xFFFF are slow to try.
_RUNS = itertools.groupby(
    range(0x300, 0x20000), lambda code: unicodedata.category(chr(code))[0] == "M"
)
MARKS = "".join(
    f"{chr(codes[0])}-{chr(codes[-1])}" for codes in (list(run) for are, run in _RUNS if are)
)
_MANY_MARKS = re.compile(f"([{MARKS}]{{{_MOST_MARKS}}})[{MARKS}]+")
# Radicals that NFKC leaves alone, with the characters they look like.
_RADICALS = str.maketrans(
    "⺠⺩⻁⻄⻅⻆⻉⻋⻑⻒⻓⻔⻘⻚⻛⻜⻝⻢⻣⻤⻥⻦⻧⻨⻩⻬⻮⻰",
    "民王虎西见角贝车長长长门青页风飞食马骨鬼鱼鸟卤麦黄齐齿龙",
)
_HYPHENS = {0x2010: "-", 0x2011: "-"}
_FOLDED_KINDS = ("<font>", "<wide>", "<narrow>", "<compat>")


def nfc(text: str) -> str:
    """Return a text in NFC, with at most 30 combining marks in a row.

    Normal forms are quadratic in them; that many are what Unicode's stream-safe text format allows
    and several times what any script needs.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", _few_marks(text))


def matching_form(text: str) -> str:
    """Return a text as words are matched in it: NFKC, kinds of hyphens as one.

    >>> matching_form("\uff21\uff22\uff23 \u2f45\u2f47 re\u2010use")
    'ABC \u65b9\u65e5 re-use'
    """
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKC", _few_marks(text).translate(_RADICALS))
    return folded.translate(_HYPHENS)


def embedding_form(text: str) -> str:
    """Return a text as encoders get it: NFC, and look-alikes folded one character for one.

    So offsets into what an encoder got are offsets into a text in NFC. Superscripts stay.
    """
    text = nfc(text)
    if text.isascii():
        return text
    return text.translate({ord(letter): _plain(letter) for letter in set(text)})


def _plain(letter: str) -> str:
    """Return the one letter that a character looks like, itself where there is none."""
    if unicodedata.decomposition(letter).startswith(_FOLDED_KINDS):
        folded = unicodedata.normalize("NFKC", letter)
        return folded if len(folded) == 1 and not folded.isspace() else letter
    return letter.translate(_RADICALS).translate(_HYPHENS)


def _few_marks(text: str) -> str:
    return _MANY_MARKS.sub(r"\1", text)
