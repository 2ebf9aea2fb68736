"""Registration of an agreement measure: its name, function, words and place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, int | float | None]


@dataclass(frozen=True, slots=True)
class Measure:
    """How far two rankings agree, as a number that is the same both ways.

    The texts are filled with the measure's figures and with ``k``, ``shared`` (passages in both
    top k) and ``depth`` (k, or the longer list's length where both are shorter).
    """

    name: str  # of the value among the figures; in JSON too
    label: str  # in tables
    meaning: str  # in a sentence, for a reader who has never met the measure
    how: str  # how it is computed
    # two rankings (passage ids, best first, none twice) and k to figures: the value under ``name``,
    # None where there is none, and the other numbers of the texts
    compute: Callable[[Sequence[str], Sequence[str], int], Figures]
    order: int = 100  # place in tables
    missing: str = ""  # why the value is None, in a sentence
