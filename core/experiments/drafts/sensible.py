"""Whether a drafted question can be asked by itself: plain words, nothing that points outside.

Sentences of a document lean on their neighbours ("it", "the latter", "section 3") and carry what
extraction left in them ("11The", "[12]", "x0"). A question made of such a sentence is none.
"""

from __future__ import annotations

import itertools
import re

from core.experiments.drafts.words import SMALL_WORDS
from core.words import word_set

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*['\u2019]?")
_NUMBER = re.compile(r"\d{1,6}(?:[.,]\d{1,6})*%?")
_CODE = re.compile(r"[^\W\d_]*[a-zß-ÿ][A-Z]")  # lmerTest, SLn
_CHARS = 160
_WORDS = (3, 26)
_NUMBERS = 2

# They point at what stands before or after, or at another place of the document.
_POINTING = word_set(
    "it itself this these those they them themselves he she him his her hers we us our ours i me my "
    "here such following previous preceding foregoing aforementioned latter former "
    "other others another same thus hence therefore thereby however then also too instead otherwise "
    "likewise similarly again so herein hereby hereafter therein thereof thereafter accordingly "
    "section sections subsection chapter figure figures fig table tables equation equations appendix "
    "paragraph footnote page example examples ones both either neither respectively etc e.g i.e "
    "eg ie cf vs et al corresponding respective said aforesaid earlier later nevertheless moreover "
    "furthermore consequently now even alternatively additionally conversely meanwhile per tbd foo bar baz thing things"
)
# With them a question asks of the text itself, or has no end.
_LAST = SMALL_WORDS | word_set("a an the via per e.g i.e upon toward towards without within among")
_OWNERS = word_set("its their")  # fine where their owner stands before them
_OWNED_FROM = 3
_OF_WHAT = (["what", "does"], ["what", "do"])
_JOINTS = re.compile(r"['\u2019-]")
_QUANTIFIERS = word_set("each any all some none most many few several")
_OVER = word_set("above below")
_ORDINALS = word_set("first second third fourth fifth sixth last next final")
_SHORT = word_set("is of in to at by on an as be do go if no or so up id am ad ex")
_BEFORE_NOUNS = word_set("with of for in on at by from to if when")
_POINTED_AT = word_set(
    "point case time way file name function package value is kind sort fails page"
)
_BEING = word_set("is are was were can may will must should")
_ARTICLES = word_set("the a an")
# A word like these with a capital, inside a question: a heading or another sentence was glued to it.
_STARTERS = SMALL_WORDS | word_set("note see please although despite during using given")


def sensible(question: str) -> bool:
    """Whether a question, ending with its mark, reads as one by itself.

    >>> sensible("Were the sluice gates closed in March after the flood?")
    True
    >>> sensible("What happens if it is necessary?")
    False
    >>> sensible("Would 11The calculated threshold be a function of the angle?")
    False
    """
    tokens = [token.removesuffix(",") for token in question.removesuffix("?").split()]
    if not _WORDS[0] <= len(tokens) <= _WORDS[1] or len(question) > _CHARS:
        return False
    if not all(_is_plain(token) for token in tokens):
        return False
    numbers = sum(token[0].isdigit() for token in tokens)
    letters = sum(len(token) == 1 and token not in {"a", "A"} for token in tokens)
    if numbers > _NUMBERS or letters > 1 or len(tokens[-1]) == 1:
        return False
    words = [token.casefold() for token in tokens]
    if any(part in _POINTING for word in words for part in (word, *_JOINTS.split(word))):
        return False
    open_end = (
        words[:2] not in _OF_WHAT and words[-1] in _LAST
    )  # "What does it consist of?" is none
    if open_end or words[-1].endswith(("n't", "n\u2019t")):
        return False
    if any(word in _OWNERS for word in words[:_OWNED_FROM]):
        return False
    if any(token[0].isupper() and token.casefold() in _STARTERS for token in tokens[1:]):
        return False
    return not any(_is_broken(*pair) for pair in itertools.pairwise(words))


def _is_broken(word: str, following: str) -> bool:
    """Whether two words side by side point outside the question or belong to two sentences."""
    return (
        word == following
        or {word, following} <= _ARTICLES
        or (word == "the" and following in _ORDINALS | _OVER)
        or (word in _OVER and following in SMALL_WORDS - _ARTICLES)
        or (word == "there" and following not in _BEING)
        or (word == "one" and following in SMALL_WORDS)
        or (following == "that" and word in _BEFORE_NOUNS)
        or (word == "that" and following in _POINTED_AT)
        or (word in _QUANTIFIERS and following in {"of", "or", "and"})
        or (word, following) in {("in", "question"), ("a", "little")}
    )


def _is_plain(token: str) -> bool:
    """Whether a token is a word or a number, with nothing glued to it."""
    if _NUMBER.fullmatch(token):
        return True
    if len(token) == 2 and not token.isupper() and token.casefold() not in _SHORT:
        return False  # letters of a formula
    if len(token) == 1 and not token.isascii():
        return False
    return _WORD.fullmatch(token) is not None and not _CODE.match(token)
