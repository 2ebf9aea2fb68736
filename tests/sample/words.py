"""Content words: what is left of a text when the words that every text has are taken away."""

from __future__ import annotations

import re

import Stemmer  # type: ignore[import-not-found, unused-ignore]  # a C extension without stubs

_STOP_WORD_LINES = """
    a about above after again against all am an and any are as at be because been before being
    below between both but by can cannot could did do does doing down during each else ever few
    for from further get given had has have having he her here hers him his how i if in into is it
    its itself just me might more most must my no none nor not nothing now of off on once one only
    or other others ought our out over own same shall she should since so some somebody someone
    something such than that the their them then there these they this those through to too under
    until up upon us very was we were what when where whether which while who whom whose why will
    with without would you your yet
    """
_STOP_WORDS = frozenset(_STOP_WORD_LINES.split())
_stemmer = Stemmer.Stemmer("english")


def content_stems(text: str) -> set[str]:
    """Return the stems of a text's content words; numbers count as words."""
    words = re.findall(r"[^\W_]+", text.lower())
    return set(_stemmer.stemWords([word for word in words if word not in _STOP_WORDS]))
