"""Figures as SVG text: no plotting library, the same picture on the page, in print and in dark.

Every function is pure; colours are classes of the style sheet, so that figures follow the theme.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from core.records import Family
from core.render import attrs, escape, join
from core.words import DASH, number, shortened
from demo import texts
from demo.presenters.columns import page_range
from demo.presenters.families import family_class, short_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.comparison.records import ComparedPassage, Comparison


def nice_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Return round numbers that cover [low, high]: steps of 1, 2 or 5 times a power of ten."""
    if not math.isfinite(low) or not math.isfinite(high) or high <= low:
        high = low + 1.0
    raw = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.floor(low / step)
    last = math.ceil(high / step)
    return [round(index * step, 10) for index in range(first, last + 1)]


class Scale:
    """A straight map from values to places on the picture."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        """Return where a value stands."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + share * (self.end - self.start), 1)


def _tick_text(value: float, step: float = 1.0) -> str:
    """Return a tick with as many decimals as tell it from the next one."""
    if float(value).is_integer():
        return number(value, 0)
    needed = math.ceil(-math.log10(step) - 1e-9)  # 0.05 needs two
    return number(value, max(1 if abs(value) >= 0.1 else 2, needed))


def score_plot(comparison: Comparison) -> str:
    """Return the score-difference plot: every point a passage, both axes calibrated."""
    arm_a, arm_b = comparison.arm_a, comparison.arm_b
    points = [
        (passage, a.z, b.z)
        for passage in comparison.passages
        for a in [passage.standing(arm_a)]
        for b in [passage.standing(arm_b)]
        if a.z is not None and b.z is not None
    ]
    if not points:
        return f'<div><h3>{escape(texts.PLOT_TITLE)}</h3><p class="meta">{escape(texts.PLOT_NONE)}</p></div>'
    xs = [z_b for _, _, z_b in points] + [point.z_b for point in comparison.cloud]
    ys = [z_a for _, z_a, _ in points] + [point.z_a for point in comparison.cloud]
    ticks = nice_ticks(min(*xs, *ys, 0.0), max(*xs, *ys, 1.0))
    size, left, bottom, top = 460, 46, 46, 12
    across = Scale(ticks[0], ticks[-1], left, size - 10)
    up = Scale(ticks[0], ticks[-1], size - bottom, top)
    name_a, name_b = short_name(comparison, arm_a), short_name(comparison, arm_b)
    kinds = (
        family_class(comparison.column(arm_a).info.family),
        family_class(comparison.column(arm_b).info.family),
    )
    grid = join(
        f'<line class="grid" x1="{across(tick)}" x2="{across(tick)}" y1="{up(ticks[0])}" y2="{top}"/>'
        f'<line class="grid" y1="{up(tick)}" y2="{up(tick)}" x1="{left}" x2="{size - 10}"/>'
        f'<text x="{across(tick)}" y="{size - bottom + 16}" text-anchor="middle">{_tick_text(tick)}</text>'
        f'<text x="{left - 7}" y="{up(tick) + 4}" text-anchor="end">{_tick_text(tick)}</text>'
        for tick in ticks
    )
    shown = {passage.passage_id for passage, _, _ in points}
    cloud = join(
        f'<circle class="lex-dot" r="1.4" cx="{across(point.z_b)}" cy="{up(point.z_a)}"/>'
        for point in comparison.cloud
        if point.passage_id not in shown
    )
    # Best hits last, so that they lie on top.
    marks = join(
        _point(comparison, passage, across(z_b), up(z_a)) for passage, z_a, z_b in reversed(points)
    )
    middle = (up(ticks[0]) + top) / 2
    return (
        f"<div><h3>{escape(texts.PLOT_TITLE)}</h3>"
        f'<svg class="plot" viewBox="0 0 {size} {size}" role="img" aria-label="Scatter of z-scores, '
        f'{escape(name_a)} over {escape(name_b)}">{grid}'
        f'<line class="diag" x1="{across(ticks[0])}" y1="{up(ticks[0])}" x2="{across(ticks[-1])}" '
        f'y2="{up(ticks[-1])}"/><g class="cloud">{cloud}</g>{marks}'
        f'<text class="title {kinds[1]}" x="{(left + size - 10) / 2}" y="{size - 8}" '
        f'text-anchor="middle">z for {escape(name_b.lower())}</text>'
        f'<text class="title {kinds[0]}" x="13" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 13 {middle})">z for {escape(name_a.lower())}</text></svg>'
        f"{_legend(comparison, name_a, name_b, kinds)}"
        f'<details><summary>how is this computed</summary><p class="how">'
        f"{escape(texts.PLOT_HOW.format(k=comparison.k))}</p></details></div>"
    )


def _legend(comparison: Comparison, name_a: str, name_b: str, kinds: tuple[str, str]) -> str:
    k = comparison.k
    others = _others(comparison)
    elsewhere = short_name(comparison, others[0]) if len(others) == 1 else "another column"
    third = (
        '<span class="nowrap"><svg width="13" height="13" class="plot key" aria-hidden="true">'
        f'<path class="lex-mark" d="M2 2 L10 10 M10 2 L2 10"/></svg> only {escape(elsewhere)}</span>'
        if others
        else ""
    )
    return (
        '<p class="legend">'
        f'<span class="nowrap"><svg width="15" height="13" class="plot key" aria-hidden="true">'
        '<rect class="aut-ring" x="1.5" y="1.5" width="10" height="10"/>'
        '<circle class="dif-ring" cx="6.5" cy="6.5" r="5"/></svg> '
        f"both top {k}</span>"
        f'<span class="nowrap {kinds[0]}"><i class="sym"></i>only {escape(name_a.lower())}</span>'
        f'<span class="nowrap {kinds[1]}"><i class="sym"></i>only {escape(name_b.lower())}</span>'
        f"{third}"
        '<span class="nowrap"><svg width="13" height="13" class="plot key" aria-hidden="true">'
        f'<circle class="lex-dot" cx="6" cy="6" r="2.2"/></svg> in no top {k}</span></p>'
    )


def _point(comparison: Comparison, passage: ComparedPassage, x: float, y: float) -> str:
    a = passage.standing(comparison.arm_a)
    b = passage.standing(comparison.arm_b)
    in_a = a.rank is not None and a.rank <= comparison.k
    in_b = b.rank is not None and b.rank <= comparison.k
    first_is_aut = comparison.column(comparison.arm_a).info.family is Family.AUTOREGRESSIVE
    if in_a and in_b:
        mark = (
            f'<rect class="aut-ring" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>'
            f'<circle class="dif-ring" cx="{x}" cy="{y}" r="5"/>'
        )
    elif in_a or in_b:
        if in_a == first_is_aut:
            mark = (
                f'<rect class="aut-mark" x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"/>'
            )
        else:
            mark = f'<circle class="dif-mark" cx="{x}" cy="{y}" r="5"/>'
    elif _elsewhere(comparison, passage):
        mark = f'<path class="lex-mark" d="M{x - 4:.1f} {y - 4:.1f} l8 8 m0 -8 l-8 8"/>'
    else:  # below the top k of every column: one of the rest
        mark = f'<circle class="lex-dot" cx="{x}" cy="{y}" r="2.2"/>'
    names = (short_name(comparison, comparison.arm_a), short_name(comparison, comparison.arm_b))
    tip = (
        f"{passage.document}, {page_range(passage.page_first, passage.page_last)}\n"
        f"{names[0]}: rank {a.rank or DASH}, z {number(a.z or 0.0)}\n"
        f"{names[1]}: rank {b.rank or DASH}, z {number(b.z or 0.0)}\n"
        f"{shortened(passage.text, 160)}"
    )
    return (
        '<g class="pt"'
        + attrs(data_act="pick", data_pid=passage.passage_id, data_tip=tip)
        + f'>{mark}<circle class="halo" cx="{x}" cy="{y}" r="9"/>'
        f'<circle class="hitbox" cx="{x}" cy="{y}" r="10"/></g>'
    )


def _others(comparison: Comparison) -> list[str]:
    """Return the ids of the columns that are neither arm."""
    ids = [column.info.system_id for column in comparison.columns]
    return [one for one in ids if one not in {comparison.arm_a, comparison.arm_b}]


def _elsewhere(comparison: Comparison, passage: ComparedPassage) -> bool:
    """Whether a column that is neither arm has a passage in its top k."""
    ranks = [passage.standing(one).rank for one in _others(comparison)]
    return any(rank is not None and rank <= comparison.k for rank in ranks)


def line_chart(
    series: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
    *,
    x_title: str,
    y_title: str,
    label: str,
    y_range: tuple[float, float] | None = None,
    y_reversed: bool = False,
    x_log: bool = False,
    x_ticks: Sequence[float] | None = None,
    width: int = 560,
    height: int = 300,
    rules: Sequence[tuple[float, str]] = (),
    margins: Sequence[tuple[float, float, float]] = (),
) -> str:
    """Return a line chart.

    Args:
        series: ``(name, class, points)``; the class is ``dif``, ``aut`` or ``lex``.
        x_title: Under the axis.
        y_title: Beside the axis.
        label: What a screen reader says.
        y_range: Ends of the vertical axis; fitted when None.
        y_reversed: Small values at the top, as ranks are.
        x_log: Logarithmic horizontal axis.
        x_ticks: Where to put ticks; chosen when None.
        width: Of the picture's own coordinates.
        height: The same.
        rules: Vertical lines with a label, ``(x, text)``.
        margins: Intervals, ``(x, low, high)``.
    """
    points = [point for _, _, line in series for point in line if math.isfinite(point[1])]
    if not points:
        return '<p class="meta">Nothing to draw.</p>'
    left, bottom, top, right = 52, 46, 22, 12

    def place(value: float) -> float:
        return math.log2(max(value, 1e-9)) if x_log else value

    xs = [place(x) for x, _ in points]
    x_values = list(x_ticks) if x_ticks is not None else []
    if not x_values:
        x_values = sorted({x for x, _ in points}) if x_log else nice_ticks(min(xs), max(xs), 6)
    ends = [place(x) for x in x_values] + xs
    across = Scale(min(ends), max(ends), left, width - right)
    low, high = y_range or (min(y for _, y in points), max(y for _, y in points))
    y_values = nice_ticks(low, high, 6)
    if y_reversed:  # ranks: whole numbers, and there is no rank 0
        y_values = sorted({max(round(tick), 1) for tick in y_values})
    if y_range:
        y_values = [tick for tick in y_values if low <= tick <= high]
    low, high = min(low, y_values[0]), max(high, y_values[-1])
    step = min((b - a for a, b in pairwise(y_values)), default=1.0)
    up = Scale(low, high, *((top, height - bottom) if y_reversed else (height - bottom, top)))
    grid = join(
        f'<line class="grid" x1="{left}" x2="{width - right}" y1="{up(tick)}" y2="{up(tick)}"/>'
        f'<text x="{left - 7}" y="{up(tick) + 4}" text-anchor="end">{_tick_text(tick, step)}</text>'
        for tick in y_values
    ) + join(
        f'<text x="{across(place(x))}" y="{height - bottom + 17}" text-anchor="middle">'
        f"{_short_count(x)}</text>"
        for x in _thinned(x_values, 9)
    )
    vertical = join(
        f'<line class="diag" x1="{across(place(x))}" x2="{across(place(x))}" y1="{top}" '
        f'y2="{height - bottom}"/><text x="{across(place(x)) + 4}" y="{top + 10}">{escape(text)}</text>'
        for x, text in rules
    )
    bars = join(
        f'<line class="margin" x1="{across(place(x))}" x2="{across(place(x))}" '
        f'y1="{up(max(low, min(high, bottom_)))}" y2="{up(max(low, min(high, top_)))}"/>'
        for x, bottom_, top_ in margins
    )
    lines = bars + join(_line(name, kind, line, place, across, up) for name, kind, line in series)
    middle = (top + height - bottom) / 2
    return (
        f'<svg class="plot" style="max-width:{width * 1.1:.0f}px" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(label)}">'
        f"{grid}{vertical}{lines}"
        f'<text x="{(left + width - right) / 2}" y="{height - 8}" text-anchor="middle">{escape(x_title)}'
        f'</text><text x="13" y="{middle}" text-anchor="middle" transform="rotate(-90 13 {middle})">'
        f"{escape(y_title)}</text></svg>" + legend(series)
    )


def legend(series: Sequence[tuple[str, str, object]]) -> str:
    """Return names with their colours and shapes."""
    return (
        '<p class="legend">'
        + join(
            f'<span class="nowrap {kind}"><i class="sym"></i>{escape(name)}</span>'
            for name, kind, _ in series
        )
        + "</p>"
    )


def _line(
    name: str,
    kind: str,
    line: Sequence[tuple[float, float]],
    place: object,
    across: Scale,
    up: Scale,
) -> str:
    at = [
        (across(place(x)), up(y), x, y)  # type: ignore[operator]  # a callable, named loosely
        for x, y in line
        if math.isfinite(y)
    ]
    path = " ".join(f"{'L' if index else 'M'}{x} {y}" for index, (x, y, _, _) in enumerate(at))
    dots = join(
        f'<g class="pt" data-tip="{escape(f"{name}: {_short_count(vx)}, {number(vy, 3)}")}">'
        + (
            f'<rect class="aut-mark" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
            if kind == "aut"
            else f'<circle class="{"dif-mark" if kind == "dif" else "lex-mark"}" cx="{x}" cy="{y}" r="4"/>'
        )
        + f'<circle class="hitbox" cx="{x}" cy="{y}" r="9"/></g>'
        for x, y, vx, vy in at
    )
    return f'<path class="line-{kind}" d="{path}"/>{dots}'


def _short_count(value: float) -> str:
    if value >= 1024 and float(value).is_integer() and value % 1024 == 0:
        return f"{int(value) // 1024}k"
    if value >= 10_000 or (value >= 1000 and value % 1000 == 0):
        return f"{value / 1000:.0f}k"
    return f"{value:g}"


def _thinned(values: Sequence[float], most: int) -> list[float]:
    step = max(1, math.ceil(len(values) / most))
    return list(values)[::step]
