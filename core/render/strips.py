"""A text whose words are coloured by a number, and systems named outside a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from core.render import systems
from core.render.environment import render
from core.render.escape import Html
from core.words import number


class Named(Protocol):
    """A system as results of experiments name it."""

    @property
    def label(self) -> str:
        """Its name."""

    @property
    def family(self) -> str:
        """Its family."""


def named(system: Named) -> Html:
    """Return a system's label in its colour and shape."""
    return systems.named(system.family, system.label)


def strip(
    text: str,
    entries: Sequence[tuple[int, int, str, float]],
    *,
    kind: str,
    unit: str,
    most: float | None = None,
    tail: Html | None = None,
) -> Html:
    """Return a text whose every token is coloured by a number; hover tells the number.

    Colour grows with the square root, so that one large value does not hide all others; nothing
    stays exactly uncoloured but zero.

    Args:
        text: The passage.
        entries: Start, end, readable token, value; starts below 0 are prompt and special tokens.
        kind: Colour class.
        unit: What the value is, for the tip.
        most: Value of the full colour; the largest by default.
        tail: What continues the text.
    """
    values = [abs(value) for start, _, _, value in entries if start >= 0 and math.isfinite(value)]
    top = most or max(values, default=0.0) or 1.0
    pieces: list[tuple[str, str, bool, str, str]] = []  # before, token, below zero, colour, tip
    at = 0
    for start, end, _, value in sorted(entries, key=lambda entry: (entry[0], entry[1])):
        if start < at or end <= start:
            continue
        finite = math.isfinite(value)
        colour = f"{min(1.0, math.sqrt(abs(value) / top)):.3f}" if finite else ""
        tip = f"{number(value, 4)} {unit}" if finite else ""
        pieces.append((text[at:start], text[start:end], value < 0, colour, tip))
        at = end
    return render("strip", kind=kind, pieces=pieces, rest=text[at:], tail=tail)
