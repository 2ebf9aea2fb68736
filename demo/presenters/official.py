"""Official benchmarks run through mteb, with the paper's figures for the same task beside them.

Measured figures and the paper's stand in different columns, under different headings, and are never
added up or subtracted: they are of different models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.evaluation.mteb_adapter import BenchmarkResult
from core.experiments import paper
from core.experiments.paper import PaperPlace
from core.records import Family
from core.render import Html, render
from core.render.systems import named
from core.words import DASH, number
from demo import texts

_POINTS = 100.0  # mteb writes shares, the paper prints points
_REVISION_CHARS = 8


@dataclass(frozen=True, slots=True)
class _Row:
    """One line: a task, or those of its splits that one cell of the paper averages."""

    task: str
    part: str
    place: PaperPlace | None


def official(
    results: Sequence[BenchmarkResult],
    encoders: Mapping[str, tuple[str, Family]],
    *,
    problem: str = "",
) -> Html:
    """Return official results as a table.

    Args:
        results: As `find_mteb_results` gives them.
        encoders: Label and family of those that Bifocal knows, by id.
        problem: Why some could not be read; "" when all could.
    """
    systems = sorted({(one.encoder_id, one.revision) for one in results}, key=_order(encoders))
    cells: dict[_Row, dict[tuple[str, str], dict[str, float]]] = {}
    for one in results:
        row = _row(one)
        values = cells.setdefault(row, {}).setdefault((one.encoder_id, one.revision), {})
        values[f"{one.split} {one.subset}"] = one.value
    several = {name for name, _ in systems if sum(name == other for other, _ in systems) > 1}
    return render(
        "official",
        texts=texts,
        problem=problem,
        heads=[
            (
                named(*reversed(encoders[name]))
                if name in encoders
                else named(Family.REFERENCE, name.replace("__", "/")),
                revision[:_REVISION_CHARS] if name in several else "",
            )
            for name, revision in systems
        ],
        rows=[_line(row, cells[row], systems) for row in sorted(cells, key=_row_order)],
    )


def _row(one: BenchmarkResult) -> _Row:
    place = paper.place_of(one.task, one.split, one.subset)
    if place is not None and place.lengths > 1:
        return _Row(one.task, "", place)
    part = ", ".join(
        name for name in (one.split, one.subset) if name not in {"test", "default", "standard"}
    )
    return _Row(one.task, part, place)


def _row_order(row: _Row) -> tuple[int, str, str, str]:
    if row.place is None:
        return len(paper.TABLES), row.task, row.part, ""
    tables = [table.table_id for table in paper.TABLES]
    return tables.index(row.place.table_id), row.task, row.part, row.place.column


def _line(
    row: _Row,
    cells: Mapping[tuple[str, str], Mapping[str, float]],
    systems: Sequence[tuple[str, str]],
) -> dict[str, object]:
    several = row.place is not None and row.place.lengths > 1
    return {
        "task": row.task,
        "part": row.place.column if row.place is not None and several else row.part,
        "cells": [_cell(row, cells.get(system)) for system in systems],
        "printed": _printed(row.place),
    }


def _cell(row: _Row, values: Mapping[str, float] | None) -> tuple[str, str]:
    """Return a figure, and over how many of the paper's lengths it is a mean."""
    if not values:
        return DASH, ""
    several = row.place is not None and row.place.lengths > 1
    lengths = f"{len(values)} of {row.place.lengths} lengths" if several and row.place else ""
    return number(_POINTS * sum(values.values()) / len(values), 1), lengths


def _printed(place: PaperPlace | None) -> tuple[str, str, str]:
    """Return the paper's figures: DiffEmbed, its best autoregressive model, and their source."""
    if place is None:
        return DASH, DASH, ""
    table = paper.table(place.table_id)
    best = paper.best_baseline(table, place.column)
    column = next(found for found in table.columns if found.name == place.column)
    ceiling = "" if column.ceiling is None else f"; its cut inputs allow {column.ceiling} at most"
    return (
        number(table.value("DiffEmbed", place.column), 1),
        number(table.value(best, place.column), 1),
        f"{best}; {column.measure}; {table.source}{ceiling}",
    )


def _order(
    encoders: Mapping[str, tuple[str, Family]],
) -> Callable[[tuple[str, str]], tuple[int, str, str]]:
    ranks = {"diffusion": 0, "autoregressive": 1}

    def key(system: tuple[str, str]) -> tuple[int, str, str]:
        known = encoders.get(system[0])
        return (2 if known is None else ranks.get(known[1].value, 2), *system)

    return key
