"""Figures as SVG: no plotting library, the same picture on the page, in the report and in dark.

Here is where things stand; how they look is a template. Colours are classes of the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.comparison.records import ComparedPassage, Comparison, Move
from core.render import systems
from core.render.environment import render
from core.render.escape import Html
from core.words import DASH, number, shortened

PLOT_HOW = (
    "Each point is a passage. Its place is its z-score in either encoder: how many standard "
    "deviations its cosine lies above that encoder's scores for queries and passages of "
    "different documents. Cosines of two encoders cannot be compared; z-scores can. Large points are in "
    "a top {k}; grey dots are some of the rest: what came close, and a spread over all. On the "
    "dashed line both encoders find a passage equally unusual."
)


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


def tick_text(value: float, step: float = 1.0) -> str:
    """Return a tick with as many decimals as tell it from the next one."""
    if float(value).is_integer():
        return number(value, 0)
    needed = math.ceil(-math.log10(step) - 1e-9)  # 0.05 needs two
    return number(value, max(1 if abs(value) >= 0.1 else 2, needed))


# -- calibrated scores of both encoders ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """A passage in the score plot: its place, and in whose top k it is."""

    passage: ComparedPassage  # which
    x: float  # place across
    y: float  # place upwards
    mark: str  # ``both``, ``dif``, ``aut``, ``lex`` (another column's) or ``rest``
    tip: str  # what a pointer reads


def score_plot(comparison: Comparison, *, interactive: bool = True) -> Html:
    """Return the score-difference plot: every point a passage, both axes calibrated.

    Args:
        comparison: What to draw.
        interactive: Points can be picked on the page; in a report they have titles instead.
    """
    first, second = systems.encoder_ids(comparison)
    placed = [
        (passage, a, b)
        for passage in comparison.passages
        for a, b in [(passage.standing(first).z, passage.standing(second).z)]
        if a is not None and b is not None
    ]
    if not placed:
        return render("score_plot", points=[])
    values = [z for _, a, b in placed for z in (a, b)]
    values += [z for point in comparison.cloud for z in (point.z_a, point.z_b)]
    ticks = nice_ticks(min(*values, 0.0), max(*values, 1.0))
    size, left, bottom, top = 460, 46, 46, 12
    across = Scale(ticks[0], ticks[-1], left, size - 10)
    up = Scale(ticks[0], ticks[-1], size - bottom, top)
    known = {passage.passage_id for passage, _, _ in placed}
    others = [
        column.info.system_id
        for column in comparison.columns
        if column.info.system_id not in {first, second}
    ]
    return render(
        "score_plot",
        k=comparison.k,
        size=size,
        left=left,
        bottom=bottom,
        top=top,
        ticks=[(tick_text(tick), across(tick), up(tick)) for tick in ticks],
        cloud=[
            (across(point.z_b), up(point.z_a))
            for point in comparison.cloud
            if point.passage_id not in known
        ],
        # Best hits last, so that they lie on top.
        points=[
            _point(comparison, passage, others, across(b), up(a))
            for passage, a, b in reversed(placed)
        ],
        names=[systems.name(comparison, one) for one in (first, second)],
        kinds=[systems.kind(comparison, one) for one in (first, second)],
        other=systems.name(comparison, others[0]) if len(others) == 1 else "another column",
        others=others,
        interactive=interactive,
        how=PLOT_HOW.format(k=comparison.k),
    )


def _point(
    comparison: Comparison, passage: ComparedPassage, others: Sequence[str], x: float, y: float
) -> Point:
    ids = systems.encoder_ids(comparison)
    inside = [one for one in ids if systems.in_top(comparison, passage, one)]
    if len(inside) == 2:
        mark = "both"
    elif inside:
        mark = systems.kind(comparison, inside[0])
    elif any(systems.in_top(comparison, passage, one) for one in others):
        mark = "lex"
    else:  # below the top k of every column: one of the rest
        mark = "rest"
    lines = [f"{passage.document}, {systems.pages(passage)}"]
    for one in ids:
        standing = passage.standing(one)
        name = systems.name(comparison, one)
        lines.append(f"{name}: rank {standing.rank or DASH}, z {number(standing.z or 0.0)}")
    return Point(passage, x, y, mark, "\n".join([*lines, shortened(passage.text, 160)]))


# -- the two rankings, joined -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Joined:
    """A passage in the picture of both rankings: its rank and height on either side, or None."""

    move: Move
    words: str
    title: str
    rank_a: int | None
    rank_b: int | None
    y_a: float
    y_b: float


def rank_picture(comparison: Comparison) -> Html:
    """Return the two rankings with a line per passage; "" where an encoder failed."""
    agreement = comparison.encoders_agreement
    if agreement is None:
        return Html("")
    row, top = 26, 34

    def joined(move: Move) -> Joined:
        ranks = [
            rank if rank is not None and rank <= comparison.k else None
            for rank in (move.rank_a, move.rank_b)
        ]
        passage = comparison.passage(move.passage_id)
        said = " / ".join(str(rank or "not ranked") for rank in (move.rank_a, move.rank_b))
        return Joined(
            move,
            f"{shortened(passage.document, 22)}, {systems.pages(passage)}",
            f"{shortened(passage.text, 200)} ({said})",
            ranks[0],
            ranks[1],
            *(top + row * ((rank or 0) - 0.5) for rank in ranks),
        )

    ids = systems.encoder_ids(comparison)
    return render(
        "rank_picture",
        k=comparison.k,
        height=top + row * comparison.k + 8,
        names=[shortened(comparison.column(one).info.label, 34) for one in ids],
        kinds=[systems.kind(comparison, one) for one in ids],
        moves=[joined(move) for move in agreement.moves],
    )


# -- lines over a measured quantity -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line of a chart: its name and class, and a place and a tip for every point."""

    name: str
    kind: str
    at: tuple[tuple[float, float, str], ...]


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
) -> Html:
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
        return render("line_chart", lines=[])
    left, bottom, top, right = 52, 46, 22, 12
    place: Callable[[float], float] = (lambda x: math.log2(max(x, 1e-9))) if x_log else float
    xs = [place(x) for x, _ in points]
    x_values = list(x_ticks) if x_ticks is not None else []
    if not x_values:
        x_values = sorted({x for x, _ in points}) if x_log else nice_ticks(min(xs), max(xs), 6)
    ends = [place(x) for x in x_values] + xs
    straight = Scale(min(ends), max(ends), left, width - right)
    y_values, up = _vertical(
        [y for _, y in points], y_range, (height - bottom, top), reverse=y_reversed
    )
    low, high = up.low, up.high
    step = min((b - a for a, b in pairwise(y_values)), default=1.0)
    return render(
        "line_chart",
        width=width,
        height=height,
        left=left,
        right=width - right,
        top=top,
        bottom=height - bottom,
        label=label,
        titles=(x_title, y_title),
        y_ticks=[(tick_text(tick, step), up(tick)) for tick in y_values],
        x_ticks=[(_short_count(x), straight(place(x))) for x in _thinned(x_values, 9)],
        rules=[(straight(place(x)), text) for x, text in rules],
        margins=[
            (straight(place(x)), up(max(low, min(high, start))), up(max(low, min(high, end))))
            for x, start, end in margins
        ],
        lines=[
            Drawn(
                name,
                kind,
                tuple(
                    (straight(place(x)), up(y), f"{name}: {_short_count(x)}, {number(y, 3)}")
                    for x, y in line
                    if math.isfinite(y)
                ),
            )
            for name, kind, line in series
        ],
    )


def _vertical(
    values: Sequence[float],
    y_range: tuple[float, float] | None,
    ends: tuple[float, float],
    *,
    reverse: bool,
) -> tuple[list[float], Scale]:
    """Return the ticks of the vertical axis and its scale; ``ends`` are its foot and its top."""
    low, high = y_range or (min(values), max(values))
    ticks = nice_ticks(low, high, 6)
    if reverse:  # ranks: whole numbers, and there is no rank 0
        ticks = sorted({float(max(round(tick), 1)) for tick in ticks})
    if y_range:
        ticks = [tick for tick in ticks if low <= tick <= high]
    foot, top = reversed(ends) if reverse else ends
    return ticks, Scale(min(low, ticks[0]), max(high, ticks[-1]), foot, top)


def legend(series: Sequence[tuple[str, str, object]]) -> Html:
    """Return names with their colours and shapes."""
    return render("legend", names=[(kind, name) for name, kind, _ in series])


def _short_count(value: float) -> str:
    if value >= 1024 and float(value).is_integer() and value % 1024 == 0:
        return f"{int(value) // 1024}k"
    if value >= 10_000 or (value >= 1000 and value % 1000 == 0):
        return f"{value / 1000:.0f}k"
    return f"{value:g}"


def _thinned(values: Sequence[float], most: int) -> list[float]:
    return list(values)[:: max(1, math.ceil(len(values) / most))]
