"""The Benchmarks and Paper views: figures to read, a baseline to choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import CoreError
from core.laboratory import paper as data
from demo.presenters import benchmarks, library, paper
from demo.toolkit import gr
from demo.views.wiring import PRIVATE, html_part

if TYPE_CHECKING:
    from demo.services import Services


@dataclass(frozen=True, slots=True)
class PaperView:
    """The Paper view's components."""

    table: gr.Radio
    baseline: gr.Dropdown
    out: gr.HTML


def build_benchmarks(services: Services) -> None:
    """Place the measured figures."""
    html_part("bf-benchmarks", benchmarks.benchmarks(benchmarks.read_results(services.benchmarks)))


def build_paper(services: Services) -> PaperView:
    """Place the paper's figures, and apart from them what was measured here."""
    html_part("bf-claims", paper.claims())
    first = data.TABLES[0]
    with gr.Row(elem_classes="controls"):
        table = gr.Radio(
            [(item.title.partition(":")[0], item.table_id) for item in data.TABLES],
            value=first.table_id,
            label="Table",
            elem_id="bf-paper-table",
        )
        baseline = gr.Dropdown(
            list(data.baselines(first)),
            value=data.best_baseline(first),
            label="Baseline",
            elem_id="bf-paper-baseline",
        )
    out = html_part("bf-paper", paper.table(first.table_id, data.best_baseline(first)))
    html_part("bf-curve", paper.training_curve())
    html_part("bf-measured", paper.measured(benchmarks.read_results(services.benchmarks)))
    return PaperView(table, baseline, out)


def wire_paper(view: PaperView) -> None:
    """Connect the baseline picker."""

    def choose_table(table_id: str) -> tuple[Any, str]:
        try:
            found = data.table(table_id)
        except CoreError as error:
            return gr.skip(), library.trouble(str(error))
        names = list(data.baselines(found))
        value = None
        if any(row.kind is data.SystemKind.AUTOREGRESSIVE for row in found.rows):
            value = data.best_baseline(found, found.columns[-1].name)
        return gr.update(choices=names, value=value), paper.table(table_id, value or "")

    def choose_baseline(table_id: str, baseline: str) -> str:
        try:
            return paper.table(table_id, baseline or "")
        except CoreError as error:
            return library.trouble(str(error))

    view.table.input(choose_table, view.table, [view.baseline, view.out], **PRIVATE)
    view.baseline.input(choose_baseline, [view.table, view.baseline], view.out, **PRIVATE)
