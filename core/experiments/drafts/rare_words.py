"""The words that set a passage apart from the rest of the library."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from core.experiments.drafts.words import SMALL_WORDS, WORD

_KEYWORDS = 6


def keywords(text: str, rarity: dict[str, float], small: frozenset[str] = SMALL_WORDS) -> str:
    """Return a passage's rarest words (by the corpus) in their order, or "" where it has too few.

    Args:
        text: Of the passage.
        rarity: From `rarity_of`.
        small: Words that carry no topic in the text's language.
    """
    found: dict[str, str] = {}
    for match in WORD.finditer(text):
        word = match.group()
        key = word.casefold()
        if key not in small:
            found.setdefault(key, word)
    if len(found) < 4:
        return ""
    counts = Counter(match.group().casefold() for match in WORD.finditer(text))
    # tf-idf, ties by the word itself
    best = sorted(found, key=lambda key: (-counts[key] * rarity.get(key, 0.0), key))[:_KEYWORDS]
    return " ".join(found[key] for key in found if key in set(best))


def rarity_of(texts: Sequence[str]) -> dict[str, float]:
    """Return each word's inverse document frequency over the corpus."""
    frequency: Counter[str] = Counter()
    for text in texts:
        frequency.update({match.group().casefold() for match in WORD.finditer(text)})
    total = len(texts)
    return {word: math.log((1 + total) / (1 + count)) + 1 for word, count in frequency.items()}
