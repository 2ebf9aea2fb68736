"""The Benchmarks and Paper views: figures to read, a baseline to choose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import CoreError, UsageError
from core.evaluation.mteb_adapter import add_mteb_results, find_mteb_results
from core.evaluation.runs import compare_runs, list_runs, read_kept_run, run_path
from core.experiments import paper as data
from core.words import plural
from demo import texts
from demo.handlers import Handlers
from demo.presenters import benchmarks, library, official, paper
from demo.services import Services
from demo.toolkit import gr
from demo.views.wiring import PRIVATE, Shared, html_part


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
    runs: gr.HTML
    first: gr.Dropdown
    second: gr.Dropdown
    compared: gr.HTML


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
    runs = html_part("bf-kept")
    with gr.Row(elem_classes="controls"):
        first, second = (
            gr.Dropdown(label=label, visible=False, elem_id=f"bf-kept-{name}")
            for label, name in ((texts.KEPT_FIRST, "first"), (texts.KEPT_SECOND, "second"))
        )
    compared = html_part("bf-kept-compared")
    return BenchmarksView(measured, found, model, add, said, runs, first, second, compared)


def wire_benchmarks(view: BenchmarksView, tab: gr.Tab, shared: Shared) -> None:
    """Read figures and kept runs anew whenever the view is opened, and take imported results."""
    services = shared.handlers.services

    def opened(visitor: Any, library_id: str) -> tuple[Any, ...]:  # noqa: ANN401
        html, choices, values = kept_runs(shared.handlers, visitor, library_id)
        return (
            _measured(services),
            _official(services),
            html,
            *(
                gr.update(choices=choices, value=value or None, visible=bool(value))
                for value in values
            ),
        )

    def compare(visitor: Any, library_id: str, first: Any, second: Any) -> str:  # noqa: ANN401
        if not first or not second:
            return ""
        return compare_kept(shared.handlers, visitor, library_id, first, second)

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

    place = [shared.visitor, shared.library]
    chosen = [*place, view.first, view.second]
    tab.select(
        opened,
        place,
        [view.measured, view.official, view.runs, view.first, view.second],
        **PRIVATE,
    ).then(compare, chosen, view.compared, **PRIVATE)  # with many queries it takes a second
    gr.on([view.first.input, view.second.input], compare, chosen, view.compared, **PRIVATE)
    view.add.upload(add, [view.add, view.model], [view.add, view.said, view.official], **PRIVATE)


def kept_runs(
    handlers: Handlers, visitor: object, library_id: str
) -> tuple[str, list[tuple[str, str]], tuple[str, str]]:
    """Return the kept runs as HTML, as choices, and the two to begin with, "" where there are none."""
    try:
        with _folders(handlers, visitor, library_id) as folders:
            lines, problems = list_runs(*folders)
    except CoreError as error:
        return library.trouble(str(error)), [], ("", "")
    choices = [
        (f"{line.name} ({plural(line.queries, 'query', 'queries')})", line.name) for line in lines
    ]
    first = (lines[1].name, lines[0].name) if len(lines) > 1 else ("", "")
    return benchmarks.kept_runs(lines, problems), choices, first


def compare_kept(
    handlers: Handlers, visitor: object, library_id: str, first: object, second: object
) -> str:
    """Return two of a visitor's kept runs side by side."""
    try:
        with _folders(handlers, visitor, library_id) as folders:
            known = [line.name for line in list_runs(*folders)[0]]
            if first not in known or second not in known:
                raise UsageError("Choose two runs of the list.")
            one, two = (
                replace(read_kept_run(run_path(str(name), *folders)), name=str(name))
                for name in (first, second)
            )
        return benchmarks.runs_compared(compare_runs(one, two))
    except CoreError as error:
        return library.trouble(str(error))


@contextmanager
def _folders(handlers: Handlers, visitor: object, library_id: str) -> Iterator[list[Path]]:
    """Lend the folders of a visitor's runs: their library's, and locally the data folder."""
    own = handlers.services.runs
    with handlers.sessions.library(visitor, library_id, look=True) as lent:
        yield [lent.workspace.folder, *([own] if own else [])]


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
