"""Two pictures as SVG: where each passage stands in both rankings, and both encoders' scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.comparison.records import Column, ComparedPassage, Comparison, MoveKind
from core.laboratory.report.markup import arms_of, escape, pages_of, side_of
from core.words import shortened


def where_they_part(comparison: Comparison, arms: Sequence[Column]) -> str:
    """Return both pictures of a pair; nothing where an arm failed."""
    if len(arms) != 2 or any(column.failure for column in arms):
        return ""
    plot = score_plot(comparison)
    drawn = (
        "<h3>Scores of both encoders</h3>"
        "<p>Each dot is a passage; to the right it matches better for the one, upwards for the "
        "other, both in standard deviations above what random pairs of this library score. "
        "Dots on the diagonal are where both agree. Grey: other passages of the library.</p>"
        f"{plot}"
        if plot
        else ""
    )
    return (
        "<h2>Where they part</h2><p>Each line is a passage on its way from one ranking to the "
        "other; a line that ends on the way leads below the shown ranks.</p>"
        f"{rank_picture(comparison)}{drawn}"
    )


def rank_picture(comparison: Comparison) -> str:
    """Return the two rankings as an SVG with a line per passage."""
    agreement = comparison.arms_agreement
    if agreement is None:
        return ""
    k = comparison.k
    row, top, left, right, width = 26, 34, 250, 470, 720
    height = top + row * k + 8
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Ranks in both systems, top {k}">'
    ]
    names = (comparison.column(arm).info.label for arm in arms_of(comparison))
    for x, anchor, name in zip((left, right), ("end", "start"), names, strict=True):
        parts.append(
            f'<text x="{x}" y="16" text-anchor="{anchor}" font-weight="600">'
            f"{escape(shortened(name, 34))}</text>"
        )
    sides = [side_of(comparison, arm) or "a" for arm in arms_of(comparison)]
    for move in agreement.moves:
        shown_a = move.rank_a if move.rank_a is not None and move.rank_a <= k else None
        shown_b = move.rank_b if move.rank_b is not None and move.rank_b <= k else None
        passage = comparison.passage(move.passage_id)
        words = escape(f"{shortened(passage.document, 26)}, {pages_of(passage)}")
        title = (
            f"<title>{escape(shortened(passage.text, 200))} "
            f"({move.rank_a or 'not ranked'} / {move.rank_b or 'not ranked'})</title>"
        )
        y_a = top + row * ((shown_a or 0) - 0.5)
        y_b = top + row * ((shown_b or 0) - 0.5)
        if shown_a and shown_b:
            kind = "same" if shown_a == shown_b else "move"
            middle = (left + right) / 2
            parts.append(
                f'<path class="link {kind}" d="M{left + 30} {y_a:.1f} C{middle} {y_a:.1f} '
                f'{middle} {y_b:.1f} {right - 30} {y_b:.1f}">{title}</path>'
            )
        elif shown_a:
            parts.append(
                f'<line class="stub {sides[0]}" x1="{left + 30}" y1="{y_a:.1f}" '
                f'x2="{left + 90}" y2="{y_a + 8:.1f}">{title}</line>'
            )
        elif shown_b:
            parts.append(
                f'<line class="stub {sides[1]}" x1="{right - 90}" y1="{y_b + 8:.1f}" '
                f'x2="{right - 30}" y2="{y_b:.1f}">{title}</line>'
            )
        if shown_a:
            parts.append(_rank_label(left, y_a, "end", words, shown_a, sides[0]))
        if shown_b:
            parts.append(_rank_label(right, y_b, "start", words, shown_b, sides[1]))
    parts.append("</svg>")
    return "".join(parts)


def _rank_label(x: int, y: float, anchor: str, words: str, rank: int, side: str) -> str:
    step = 1 if anchor == "end" else -1
    mark = (
        f'<circle class="p{side}" cx="{x + 22 * step}" cy="{y:.1f}" r="4.5"/>'
        if side == "a"
        else f'<rect class="p{side}" x="{x + 22 * step - 4}" y="{y - 4:.1f}" width="8" height="8"/>'
    )
    return (
        f'{mark}<text x="{x + 8 * step}" y="{y + 4:.1f}" text-anchor="middle" '
        f'font-weight="600">{rank}</text>'
        f'<text class="soft" x="{x - 6 * step}" y="{y + 4:.1f}" text-anchor="{anchor}">{words}</text>'
    )


def score_plot(comparison: Comparison) -> str:
    """Return calibrated scores of both arms as an SVG; "" where they cannot be placed."""
    shown: list[tuple[float, float, str, ComparedPassage]] = []
    agreement = comparison.arms_agreement
    kinds = {move.passage_id: move.kind for move in agreement.moves} if agreement else {}
    for passage in comparison.passages:
        z_a = passage.standing(comparison.arm_a).z
        z_b = passage.standing(comparison.arm_b).z
        if z_a is not None and z_b is not None and passage.passage_id in kinds:
            shown.append((z_a, z_b, kinds[passage.passage_id].value, passage))
    if not shown:
        return ""
    cloud = [(point.z_a, point.z_b) for point in comparison.cloud]
    places = [(x, y) for x, y, _, _ in shown] + cloud
    values = [value for place in places for value in place if math.isfinite(value)]
    low, high = math.floor(min(values) - 0.3), math.ceil(max(values) + 0.3)
    size, pad = 440, 44
    scale = (size - 2 * pad) / (high - low)

    def x_of(z: float) -> float:
        return pad + (z - low) * scale

    def y_of(z: float) -> float:
        return size - pad - (z - low) * scale

    parts = [
        f'<svg viewBox="0 0 {size} {size}" width="{size}" role="img" '
        'aria-label="Calibrated scores of both encoders, one dot per passage">'
    ]
    step = max(1, round((high - low) / 8))
    parts.extend(
        f'<line class="axis" x1="{x_of(tick):.1f}" y1="{pad}" x2="{x_of(tick):.1f}" '
        f'y2="{size - pad}"/><line class="axis" x1="{pad}" y1="{y_of(tick):.1f}" '
        f'x2="{size - pad}" y2="{y_of(tick):.1f}"/>'
        f'<text class="soft" x="{x_of(tick):.1f}" y="{size - pad + 16}" '
        f'text-anchor="middle">{tick}</text>'
        f'<text class="soft" x="{pad - 8}" y="{y_of(tick) + 4:.1f}" '
        f'text-anchor="end">{tick}</text>'
        for tick in range(low, high + 1, step)
    )
    parts.append(
        f'<line class="zero" x1="{x_of(low):.1f}" y1="{y_of(low):.1f}" x2="{x_of(high):.1f}" '
        f'y2="{y_of(high):.1f}"/>'
    )
    parts += [
        f'<circle class="cloud" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="2"/>'
        for x, y in cloud
        if math.isfinite(x) and math.isfinite(y)
    ]
    sides = [side_of(comparison, arm) or "a" for arm in arms_of(comparison)]
    for x, y, kind, passage in shown:
        title = f"<title>{escape(shortened(passage.text, 200))} ({x:.1f} / {y:.1f})</title>"
        only = {MoveKind.ONLY_A.value: sides[0], MoveKind.ONLY_B.value: sides[1]}.get(kind)
        if only == "b":
            parts.append(
                f'<rect class="pb" x="{x_of(x) - 4.5:.1f}" y="{y_of(y) - 4.5:.1f}" width="9" '
                f'height="9">{title}</rect>'
            )
        else:
            style = "pa" if only else "both"
            parts.append(
                f'<circle class="{style}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="5">{title}'
                "</circle>"
            )
    labels = [
        escape(shortened(comparison.column(arm).info.label, 40)) for arm in arms_of(comparison)
    ]
    parts.append(
        f'<text x="{size / 2}" y="{size - 8}" text-anchor="middle">{labels[0]}, z</text>'
        f'<text x="14" y="{size / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {size / 2})">{labels[1]}, z</text></svg>'
    )
    return "".join(parts)
