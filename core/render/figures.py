"""Tables of measured figures: rows with a colour, a name, and a figure per column."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table of figures.

    Attributes:
        kind: Colour class of its system; "" for none.
        name: What it is of.
        cells: A figure as it is read, and what stands small below it.
        style: Class of the row: "" or ``gap``.
    """

    kind: str
    name: str
    cells: tuple[tuple[str, tuple[str, ...]], ...]
    style: str = ""
