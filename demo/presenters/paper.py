"""The paper's figures as it printed them, with a baseline of the reader's choosing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.experiments import paper
from core.render import escape, join, plots
from core.words import number, signed
from demo.presenters import benchmarks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.experiments.paper import PaperColumn, PaperRow, PaperTable

MARK = "\u2020"
KIND_CLASSES = {"diffusion": "dif", "autoregressive": "aut", "reference": "lex"}
INTRO = (
    "Figures of the paper, by its authors. Bifocal measured none of them; what its own bundled pair "
    "measured stands at the end of this page, in a frame of its own, and is never mixed with them."
)
COUNTERWEIGHT = (
    "The sober counterweight: where one base model got the same training with and without diffusion "
    "({source}), diffusion gains {best} over the best causal set-up and {same} when both average "
    "their tokens."
)
MEASURED_INTRO = (
    "The bundled pair, hundreds of times smaller than the paper's models, trained on other data and "
    "tested on other collections: compare its two encoders with each other, never a figure here with one "
    "above. On short texts the two are level, and on long ones the diffusion encoder is behind (278 stories "
    "read to 4,096 tokens: .218 against .364), so this pair confirms none of the paper's gains. "
    "nDCG@10; brackets are 95 % intervals over queries."
)


def claims() -> str:
    """Return the headlines, each against the stated and against the best baseline."""
    rows = []
    for claim in paper.CLAIMS:
        table = paper.table(claim.table_id)
        best = paper.best_baseline(table, claim.column)
        stated = paper.difference(table, claim.system, claim.baseline, claim.column)
        against_best = paper.difference(table, claim.system, best, claim.column)
        rows.append(
            f'<tr><th scope="row">{escape(claim.words)}<br><span class="meta">{escape(table.title)}, '
            f"{escape(claim.column)}</span></th><td>{signed(stated, 1)}"
            f'<br><span class="meta">against {escape(claim.baseline)}</span></td>'
            f'<td><b>{signed(against_best, 1)}</b><br><span class="meta">against {escape(best)}</span></td></tr>'
        )
    return (
        f'<div class="bf lab"><h2>The paper, honestly</h2><p class="how">{escape(INTRO)}</p>'
        '<div class="scroll-x"><table class="plain claims"><thead><tr><th>headline</th>'
        "<th>points, as stated</th><th>points against the best autoregressive baseline with the same "
        "data</th></tr></thead>"
        f"<tbody>{join(rows)}</tbody></table></div>{_counterweight()}</div>"
    )


def _counterweight() -> str:
    found = paper.table("pplx-ablation")
    column = found.columns[0].name
    best = paper.best_baseline(found, column)
    words = COUNTERWEIGHT.format(
        source=found.source,
        best=signed(paper.difference(found, "diffusion, mean", best, column), 1),
        same=signed(paper.difference(found, "diffusion, mean", "causal, mean", column), 1),
    )
    return f'<p class="words">{escape(words)}</p>'


def measured(results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """The bundled pair's own figures, in a frame of their own.

    Args:
        results: Name and content of result files, as `benchmarks.read_results` gives them.
    """
    table = benchmarks.overview(results)
    if not table:
        return ""
    return (
        '<div class="bf lab measured"><h3>Measured here, by Bifocal\u2019s bundled pair</h3>'
        f'<p class="how">{escape(MEASURED_INTRO)}</p>{table}'
        '<p><button class="link" data-act="view" data-view="benchmarks">every measure, group and '
        "length under Benchmarks</button></p></div>"
    )


def table(table_id: str, baseline: str) -> str:
    """Return one table with the difference of the diffusion model to a chosen baseline."""
    found = paper.table(table_id)
    subject = next(
        (row.system for row in found.rows if row.kind is paper.SystemKind.DIFFUSION), None
    )
    if subject is not None and baseline not in paper.baselines(found):
        baseline = paper.best_baseline(found, found.columns[-1].name) if _has_arms(found) else ""
    difference = _difference(found, subject, baseline) if subject and baseline else ""
    heads = join(
        f'<th class="r" title="{escape(column.measure)}">{escape(column.name)}</th>'
        for column in found.columns
    )
    rows = join(_row(found, row, baseline) for row in found.rows)
    ceiling = (
        f'<p class="how">{MARK} This cell measures truncation: its column cannot go above '
        f"{number(max(c.ceiling or 0 for c in found.columns))} at the paper's limit of "
        f"{paper.PAPER_LIMIT:,} tokens, whatever the model."
        f"{_without_truncation(found, subject, baseline)}</p>"
        if any(column.ceiling for column in found.columns)
        else ""
    )
    caveats = join(f"<li>{escape(text)}</li>" for text in found.caveats)
    return (
        f'<div class="bf lab"><h3>{escape(found.title)}</h3>{difference}'
        f'<div class="scroll-x"><table class="plain figures"><thead><tr><th>system</th>'
        f'<th class="r">samples</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'{ceiling}<ul class="caveats">{caveats}</ul>'
        f'<p class="how">Source: {escape(found.source)}.</p></div>'
    )


def _without_truncation(found: PaperTable, subject: str | None, baseline: str) -> str:
    """The averages without the cells that measure truncation."""
    if not subject or not baseline or paper.AVERAGE not in found.averages:
        return ""
    one, two = (paper.average_without_truncation(found, system) for system in (subject, baseline))
    return (
        f" Without those columns the averages are {number(one, 2)} for {escape(subject)} and {number(two, 2)} "
        f"for {escape(baseline)} ({signed(one - two, 2)}; Bifocal's arithmetic)."
    )


def _has_arms(found: PaperTable) -> bool:
    return any(row.kind is paper.SystemKind.AUTOREGRESSIVE for row in found.rows)


def _row(found: PaperTable, row: PaperRow, baseline: str) -> str:
    kind = KIND_CLASSES.get(row.kind.value, "lex")
    best = [max(other.values[place] for other in found.rows) for place in range(len(found.columns))]
    cells = join(
        _cell(column, value, is_best=value == best[place])
        for place, (column, value) in enumerate(zip(found.columns, row.values, strict=True))
    )
    chosen = ' class="chosen"' if row.system == baseline else ""
    return (
        f'<tr{chosen}><th scope="row" class="{kind}"><i class="sym"></i>{escape(row.system)}</th>'
        f'<td class="r">{escape(row.samples)}</td>{cells}</tr>'
    )


def _cell(column: PaperColumn, value: float, *, is_best: bool) -> str:
    mark = MARK if paper.measures_truncation(column, value) else ""
    text = f"{number(value)}{mark}"
    return f'<td class="r">{f"<b>{text}</b>" if is_best else text}</td>'


def _difference(found: PaperTable, subject: str, baseline: str) -> str:
    """Return one bar per column: the subject minus the baseline."""
    gaps = paper.differences(found, subject, baseline)
    row_height, left, width = 22, 118, 640
    most = max((abs(gap) for gap in gaps.values()), default=1.0) or 1.0
    zero = left + (width - left) / 2
    reach = (width - left) / 2 - 52
    bars = []
    for place, (column, gap) in enumerate(zip(found.columns, gaps.values(), strict=True)):
        y = 6 + place * row_height
        length = abs(gap) / most * reach
        x = zero if gap >= 0 else zero - length
        kind = "dif" if gap >= 0 else "aut"
        hatch = " hollow" if column.ceiling else ""
        anchor, at = ("start", zero + length + 6) if gap >= 0 else ("end", zero - length - 6)
        mark = MARK if column.ceiling else ""
        bars.append(
            f'<text x="{left - 10}" y="{y + 14}" text-anchor="end">{escape(column.name)}{mark}</text>'
            f'<rect class="gapbar {kind}{hatch}" x="{x:.1f}" y="{y + 3}" width="{length:.1f}" height="14"/>'
            f'<text x="{at:.1f}" y="{y + 14}" text-anchor="{anchor}" class="val">{signed(gap, 1)}</text>'
        )
    height = 12 + len(found.columns) * row_height
    return (
        f'<p class="meta">{escape(subject)} minus {escape(baseline)}, points; right: '
        '<span class="dif"><i class="sym"></i>diffusion ahead</span>, left: '
        '<span class="aut"><i class="sym"></i>baseline ahead</span></p>'
        f'<svg class="plot gaps" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Difference by column"><line class="axis" x1="{zero}" x2="{zero}" y1="2" '
        f'y2="{height - 2}"/>{join(bars)}</svg>'
    )


def training_curve() -> str:
    """Return the training-size curve of both."""
    points = paper.TRAINING_CURVE.points
    dream = [(float(samples), value) for samples, value, _ in points]
    qwen = [(float(samples), value) for samples, _, value in points]
    chart = plots.line_chart(
        [("Dream (diffusion)", "dif", dream), ("Qwen2.5 (autoregressive)", "aut", qwen)],
        x_title="training samples",
        y_title="nDCG@10",
        label="nDCG@10 on TheoremQA questions against training samples",
        width=620,
    )
    return (
        '<div class="bf lab"><h3>Size of the training set (TheoremQA questions)</h3>'
        f'{chart}<p class="how">Source: {escape(paper.TRAINING_CURVE.source)}. '
        "One run per point.</p></div>"
    )
