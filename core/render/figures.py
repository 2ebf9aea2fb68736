"""Tables of measured figures: rows with a colour, a name, and a figure per column."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table of figures."""

    kind: str  # colour class of its system; "" for none
    name: str  # what it is of
    # a figure as it is read, and what stands small below it
    cells: tuple[tuple[str, tuple[str, ...]], ...]
    style: str = ""  # class of the row: "" or ``gap``
