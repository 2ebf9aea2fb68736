"""The Benchmarks and Paper views: figures to read, a baseline to choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import CoreError, UsageError
from core.evaluation.mteb_adapter import add_mteb_results, find_mteb_results
from core.experiments import paper as data
from core.words import plural
from demo import texts
from demo.presenters import benchmarks, library, official, paper
from demo.services import Services
from demo.toolkit import gr
from demo.views.wiring import PRIVATE, html_part


@dataclass(frozen=True, slots=True)
class PaperView:
    """The Paper view's components."""

    table: gr.Radio
    baseline: gr.Dropdown
    claims: gr.HTML
    out: gr.HTML
    curve: gr.HTML
    measured: gr.HTML


@dataclass(frozen=True, slots=True)
class BenchmarksView:
    """The Benchmarks view's components."""

    measured: gr.HTML
    official: gr.HTML
    model: gr.Textbox
    add: gr.UploadButton
    said: gr.HTML


def build_benchmarks(services: Services) -> BenchmarksView:
    """Place the measured figures, and official benchmarks with the paper's beside them."""
    # Official tasks first: they are what other models are measured by too.
    found = html_part("bf-official")  # filled when the view is opened, as all figures here
    with (
        gr.Accordion(
            texts.OFFICIAL_ADD,
            open=False,
            visible=services.official is not None,
            elem_id="bf-official-box",
        ),
        gr.Row(elem_classes="controls"),
    ):
        model = gr.Textbox(label=texts.OFFICIAL_MODEL, max_length=80, elem_id="bf-official-model")
        add = gr.UploadButton(
            texts.OFFICIAL_CHOOSE,
            file_count="multiple",
            file_types=[".json"],
            size="sm",
            variant="secondary",
            scale=0,
            min_width=160,
            elem_id="bf-official-add",
        )
    said = html_part("bf-official-said")
    measured = html_part("bf-benchmarks")
    return BenchmarksView(measured, found, model, add, said)


def wire_benchmarks(view: BenchmarksView, tab: gr.Tab, services: Services) -> None:
    """Read the figures anew whenever the view is opened, and take imported results."""

    def opened() -> tuple[str, str]:
        return _measured(services), _official(services)

    def add(files: Any, model: str) -> tuple[Any, ...]:  # noqa: ANN401
        paths = [Path(file) for file in files or ()]
        try:
            if services.official is None:
                raise UsageError("Results are not taken here.")
            count = sum(
                len(add_mteb_results(path, services.official, model=model)) for path in paths
            )
        except CoreError as error:
            return None, library.trouble(str(error)), gr.skip()
        words = texts.OFFICIAL_ADDED.format(count=plural(count, "figure"), model=model.strip())
        return None, library.notice(words), _official(services)

    tab.select(opened, None, [view.measured, view.official], **PRIVATE)
    view.add.upload(add, [view.add, view.model], [view.add, view.said, view.official], **PRIVATE)


def _measured(services: Services) -> str:
    return benchmarks.benchmarks(benchmarks.read_results(services.benchmarks))


def _official(services: Services) -> str:
    known = {
        name: (spec.label, spec.family)
        for name, spec in services.visitors.pool.registry.encoders.items()
    }
    if services.official is None or not services.official.is_dir():
        return official.official((), known)
    results, problems = find_mteb_results(services.official)
    return official.official(results, known, problem=" ".join(problems[:3]))


def build_paper() -> PaperView:
    """Place the paper's figures, and apart from them the figures measured here."""
    claims = html_part("bf-claims")
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
    out, curve, measured = (html_part(name) for name in ("bf-paper", "bf-curve", "bf-measured"))
    return PaperView(table, baseline, claims, out, curve, measured)


def wire_paper(view: PaperView, tab: gr.Tab, services: Services) -> None:
    """Fill the view when it is opened, and connect the baseline picker."""

    def opened(table_id: str, baseline: str) -> tuple[str, str, str, str]:
        results = benchmarks.read_results(services.benchmarks)
        shown = choose_baseline(table_id, baseline)
        return paper.claims(), shown, paper.training_curve(), paper.measured(results)

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

    tab.select(
        opened,
        [view.table, view.baseline],
        [view.claims, view.out, view.curve, view.measured],
        **PRIVATE,
    )
    view.table.input(choose_table, view.table, [view.baseline, view.out], **PRIVATE)
    view.baseline.input(choose_baseline, [view.table, view.baseline], view.out, **PRIVATE)
