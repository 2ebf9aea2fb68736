"""The paper's figures as it printed them, with a baseline of the reader's choosing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.experiments import paper
from core.experiments.paper import PaperColumn, PaperTable
from core.render import Html, plots, render
from core.render.systems import family_kind
from core.words import number, plural, signed
from demo.presenters import benchmarks

MARK = "\u2020"
TITLE = "Diffusion vs. Autoregressive Language Models: A Text Embedding Perspective"
AUTHORS = "Siyue Zhang, Yilun Zhao, Liyuan Geng, Arman Cohan, Anh Tuan Luu, Chen Zhao (EMNLP 2025)"
LINK = "https://arxiv.org/abs/2505.15045"
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


def claims() -> Html:
    """Return the headlines, each against the best and against the stated baseline."""
    rows = []
    for claim in paper.CLAIMS:
        table = paper.table(claim.table_id)
        best = paper.best_baseline(table, claim.column)
        against = [
            (signed(paper.difference(table, claim.system, baseline, claim.column), 1), baseline)
            for baseline in (best, claim.baseline)
        ]
        rows.append((claim, table.title, against))
    return render(
        "paper_claims",
        title=TITLE,
        authors=AUTHORS,
        link=LINK,
        intro=INTRO,
        rows=rows,
        counterweight=_counterweight(),
    )


def _counterweight() -> str:
    found = paper.table("pplx-ablation")
    column = found.columns[0].name
    best = paper.best_baseline(found, column)
    return COUNTERWEIGHT.format(
        source=found.source,
        best=signed(paper.difference(found, "diffusion, mean", best, column), 1),
        same=signed(paper.difference(found, "diffusion, mean", "causal, mean", column), 1),
    )


def measured(results: Sequence[tuple[str, Mapping[str, Any]]]) -> Html:
    """The bundled pair's own figures, in a frame of their own.

    Args:
        results: Name and content of result files, as `benchmarks.read_results` gives them.
    """
    return render("paper_measured", intro=MEASURED_INTRO, table=benchmarks.overview(results))


def table(table_id: str, baseline: str) -> Html:
    """Return one table with the difference of the diffusion model to a chosen baseline."""
    found = _averages_first(paper.table(table_id))
    subject = next((row.system for row in found.rows if row.kind is paper.SystemKind.DIFFUSION), "")
    if subject and baseline not in paper.baselines(found):
        baseline = (
            paper.best_baseline(found, paper.table(table_id).columns[-1].name)
            if _has_encoders(found)
            else ""
        )
    ceilings = [column.ceiling for column in found.columns if column.ceiling]
    return render(
        "paper_table",
        found=found,
        subject=subject,
        baseline=baseline,
        mark=MARK,
        bars=_bars(found, subject, baseline) if subject and baseline else [],
        says=_says(found, subject, baseline),
        kind=family_kind,
        best=[max(values) for values in zip(*(row.values for row in found.rows), strict=True)],
        cut=paper.measures_truncation,
        ceiling=number(max(ceilings)) if ceilings else "",
        limit=paper.PAPER_LIMIT,
        without=_without_truncation(found, subject, baseline),
    )


def _averages_first(found: PaperTable) -> PaperTable:
    """The table with its averages as first columns, in sight on a narrow screen."""
    places = sorted(
        range(len(found.columns)), key=lambda place: found.columns[place].name not in found.averages
    )
    rows = (replace(row, values=tuple(row.values[place] for place in places)) for row in found.rows)
    return replace(found, columns=tuple(found.columns[place] for place in places), rows=tuple(rows))


def _says(found: PaperTable, subject: str, baseline: str) -> str:
    """Return the finding of a table in one sentence."""
    if not subject or not baseline:
        return "The best value of each column is bold."
    gaps = {
        name: gap
        for name, gap in paper.differences(found, subject, baseline).items()
        if name not in found.averages
    }
    ahead = sum(gap > 0 for gap in gaps.values())
    return f"{subject} is ahead of {baseline} on {ahead} of {plural(len(gaps), 'column')}."


def _without_truncation(found: PaperTable, subject: str, baseline: str) -> str:
    """The averages without the cells that measure truncation."""
    if not subject or not baseline or paper.AVERAGE not in found.averages:
        return ""
    one, two = (paper.average_without_truncation(found, system) for system in (subject, baseline))
    return (
        f"Without those columns the averages are {number(one, 2)} for {subject} and {number(two, 2)} "
        f"for {baseline} ({signed(one - two, 2)}; Bifocal's arithmetic)."
    )


def _has_encoders(found: PaperTable) -> bool:
    return any(row.kind is paper.SystemKind.AUTOREGRESSIVE for row in found.rows)


def _bars(found: PaperTable, subject: str, baseline: str) -> list[tuple[PaperColumn, float, float]]:
    """Return each column with the subject minus the baseline, in points and as share of the most."""
    gaps = paper.differences(found, subject, baseline)
    most = max((abs(gap) for gap in gaps.values()), default=1.0) or 1.0
    return [
        (column, gap, abs(gap) / most)
        for column, gap in zip(found.columns, gaps.values(), strict=True)
    ]


def training_curve() -> Html:
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
    return render("paper_curve", chart=chart, source=paper.TRAINING_CURVE.source)
