"""Official benchmarks run through mteb, with what the paper printed for the same task beside them.

Measured figures and the paper's stand in different columns, under different headings, and are never
added up or subtracted: they are of different models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.experiments import paper
from core.render import escape, join, with_code
from core.render.systems import named
from core.words import DASH, number
from demo import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from core.evaluation.mteb_adapter import BenchmarkResult
    from core.experiments.paper import PaperPlace
    from core.records import Family

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
) -> str:
    """Return official results as a table.

    Args:
        results: As `read_mteb_results` gives them.
        encoders: Label and family of those that Bifocal knows, by id.
        problem: Why some could not be read; "" when all could.
    """
    trouble = f'<p class="notice bad" role="alert">{escape(problem)}</p>' if problem else ""
    head = f'<div class="bf lab"><h2>{escape(texts.OFFICIAL_TITLE)}</h2>{trouble}'
    if not results:
        return f'{head}<p class="how">{with_code(texts.OFFICIAL_NONE)}</p></div>'
    systems = sorted({(one.encoder_id, one.revision) for one in results}, key=_order(encoders))
    cells: dict[_Row, dict[tuple[str, str], dict[str, float]]] = {}
    for one in results:
        row = _row(one)
        values = cells.setdefault(row, {}).setdefault((one.encoder_id, one.revision), {})
        values[f"{one.split} {one.subset}"] = one.value
    several = {name for name, _ in systems if sum(name == other for other, _ in systems) > 1}
    heads = join(
        f'<th class="r">{_name(name, revision, encoders, full=name in several)}</th>'
        for name, revision in systems
    )
    rows = join(_line(row, cells[row], systems) for row in sorted(cells, key=_row_order))
    return (
        f'{head}<p class="how">{escape(texts.OFFICIAL_HOW)}</p><div class="scroll-x">'
        f'<table class="plain figures official"><thead><tr><th></th>'
        f'<th colspan="{len(systems)}">{escape(texts.OFFICIAL_HERE)}</th>'
        f'<th colspan="3" class="apart">{escape(texts.OFFICIAL_THERE)}</th></tr>'
        f'<tr><th>task</th>{heads}<th class="r apart">DiffEmbed</th>'
        '<th class="r">best autoregressive</th><th>its name, measure, source</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></div>"
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
) -> str:
    label = f"{escape(row.task)}"
    what = row.part if row.place is None or row.place.lengths == 1 else row.place.column
    if what:
        label += f'<br><span class="meta">{escape(what)}</span>'
    values = join(f'<td class="r">{_cell(row, cells.get(system))}</td>' for system in systems)
    return f'<tr><th scope="row">{label}</th>{values}{_printed(row.place)}</tr>'


def _cell(row: _Row, values: Mapping[str, float] | None) -> str:
    if not values:
        return DASH
    text = number(_POINTS * sum(values.values()) / len(values), 1)
    if row.place is not None and row.place.lengths > 1:
        text += f'<br><span class="meta">{len(values)} of {row.place.lengths} lengths</span>'
    return text


def _printed(place: PaperPlace | None) -> str:
    """The paper's own cells, or three empty ones."""
    if place is None:
        return f'<td class="r apart">{DASH}</td><td class="r">{DASH}</td><td></td>'
    table = paper.table(place.table_id)
    best = paper.best_baseline(table, place.column)
    column = table.column(place.column)
    ceiling = "" if column.ceiling is None else f"; its cut inputs allow {column.ceiling} at most"
    return (
        f'<td class="r apart">{number(table.value("DiffEmbed", place.column), 1)}</td>'
        f'<td class="r">{number(table.value(best, place.column), 1)}</td>'
        f'<td class="meta">{escape(f"{best}; {column.measure}; {table.source}{ceiling}")}</td>'
    )


def _order(
    encoders: Mapping[str, tuple[str, Family]],
) -> Callable[[tuple[str, str]], tuple[int, str, str]]:
    ranks = {"diffusion": 0, "autoregressive": 1}

    def key(system: tuple[str, str]) -> tuple[int, str, str]:
        known = encoders.get(system[0])
        return (2 if known is None else ranks.get(known[1].value, 2), *system)

    return key


def _name(
    encoder_id: str, revision: str, encoders: Mapping[str, tuple[str, Family]], *, full: bool
) -> str:
    known = encoders.get(encoder_id)
    shown = (
        f'<span class="lex"><i class="sym"></i>{escape(encoder_id.replace("__", "/"))}</span>'
        if known is None
        else named(known[1], known[0])
    )
    tail = f'<br><span class="meta">{escape(revision[:_REVISION_CHARS])}</span>' if full else ""
    return f"{shown}{tail}"
