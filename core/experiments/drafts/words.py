"""Which words count as words, and those that an English rule must know."""

from __future__ import annotations

import re
from collections.abc import Sequence

WORD = re.compile(r"[^\W\d_][\w'\u2019-]{2,}")

# They point at something said before: no question can be asked about them.
PRONOUNS = frozenset((
    "it", "this", "that", "these", "those", "they", "he", "she", "we", "you", "i", "there",
    "here", "such", "which", "what", "who", "one", "another", "each", "some", "many", "most",
    "all", "both", "either", "neither", "nothing", "something", "everything", "today",
))  # fmt: skip

# No subject of a sentence begins with them.
NO_SUBJECT = frozenset((
    "about", "above", "across", "after", "along", "although", "among", "around", "as", "at",
    "because", "before", "behind", "below", "beneath", "beside", "between", "beyond", "but",
    "by", "despite", "during", "except", "for", "from", "how", "however", "if", "in", "inside",
    "instead", "into", "like", "near", "nor", "of", "on", "once", "only", "or", "outside",
    "over", "since", "so", "than", "that", "then", "there", "though", "through", "to", "toward",
    "towards", "under", "unless", "until", "upon", "what", "when", "where", "whether", "which",
    "while", "who", "with", "within", "without", "yet", "not", "and", "also", "both",
))  # fmt: skip

# A sentence about them defines nothing.
NO_TERM = frozenset((
    "always", "usually", "often", "also", "never", "then", "now", "still", "first", "second",
    "third", "fourth", "fifth", "last", "next", "figure", "fig", "table", "section", "chapter",
    "page", "note", "example", "answer", "reason", "result", "point", "question", "problem",
    "following", "latter", "former", "only", "same",
))  # fmt: skip

# They carry no topic.
SMALL_WORDS = frozenset((
    "a", "about", "above", "after", "again", "all", "also", "although", "an", "and", "any",
    "are", "as", "at", "be", "because", "been", "before", "being", "below", "between", "both",
    "but", "by", "can", "could", "did", "do", "does", "doing", "down", "during", "each",
    "either", "every", "few", "for", "from", "further", "had", "has", "have", "having", "he",
    "her", "here", "hers", "him", "his", "how", "however", "i", "if", "in", "into", "is", "it",
    "its", "itself", "just", "like", "made", "many", "may", "might", "more", "most", "much",
    "must", "my", "near", "no", "nor", "not", "now", "of", "off", "on", "once", "one", "only",
    "or", "other", "our", "out", "over", "own", "same", "she", "should", "since", "so", "some",
    "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
    "those", "through", "to", "too", "under", "until", "up", "upon", "use", "used", "very",
    "was", "we", "well", "were", "what", "when", "where", "whether", "which", "while", "who",
    "whom", "whose", "why", "will", "with", "within", "without", "would", "you", "your",
))  # fmt: skip


# The same for German, with the words that a sentence cannot end on.
GERMAN_SMALL_WORDS = frozenset((
    "aber", "alle", "allen", "aller", "alles", "als", "also", "am", "an", "auch", "auf", "aus",
    "bei", "beim", "bis", "da", "dabei", "damit", "dann", "das", "dass", "dem", "den", "denn",
    "der", "des", "deren", "dessen", "die", "dies", "diese", "diesem", "diesen", "dieser",
    "dieses", "doch", "durch", "ein", "eine", "einem", "einen", "einer", "eines", "er", "es",
    "etwa", "falls", "für", "gegen", "gibt", "hat", "haben", "hier", "ich", "ihr", "ihre", "im",
    "immer", "in", "ins", "ist", "ja", "jede", "jedem", "jeden", "jeder", "jedes", "jedoch",
    "kann", "kein", "keine", "können", "man", "mehr", "mit", "muss", "müssen", "nach", "nicht",
    "noch", "nun", "nur", "ob", "oder", "ohne", "sei", "seien", "sein", "seine", "sich", "sie",
    "sind", "so", "sodass", "soll", "sowie", "über", "um", "und", "uns", "unter", "vom", "von",
    "vor", "war", "waren", "was", "weil", "wenn", "werden", "wie", "wird", "wir", "wurde", "zu",
    "zum", "zur", "zwei", "zwischen",
))  # fmt: skip

_LETTERS = re.compile(r"[^\W\d_]+")
_MOSTLY = 0.6  # of the visible characters


def in_german(text: str) -> bool:
    """Whether a text has more of German's small words than of English's."""
    words = [match.group().casefold() for match in _LETTERS.finditer(text)]
    german = sum(word in GERMAN_SMALL_WORDS and word not in SMALL_WORDS for word in words)
    return german > sum(word in SMALL_WORDS and word not in GERMAN_SMALL_WORDS for word in words)


def mostly_words(text: str) -> bool:
    """Whether words make up most of a text: no formula, no code, no table of figures or contents.

    >>> mostly_words("If the pressure falls (below 4 bar), the valve shuts.")
    True
    >>> mostly_words("(U ∩ V) = f(x) ≤ 0.5, x0 → x1")
    False
    """
    visible = sum(not char.isspace() for char in text)
    return sum(len(match.group()) for match in WORD.finditer(text)) >= _MOSTLY * visible


def written_small(texts: Sequence[str]) -> frozenset[str]:
    """Return the words that some text writes with a small first letter: they are no names."""
    return frozenset(
        match.group()
        for text in texts
        for match in WORD.finditer(text)
        if match.group()[0].islower()
    )
