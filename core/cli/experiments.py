"""Commands that ask why: disagree, explain, and probe with a command for every experiment."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, Self

import typer
from typer import Argument, Exit, Option, echo
from typing_extensions import override

from core.cli.output import (
    EXIT_PARTIAL,
    ConsoleMonitor,
    DeviceOption,
    JsonOption,
    WorkspaceOption,
    answer,
    cli,
    excerpt,
    opened,
    plain,
    print_json,
)
from core.errors import LaboratoryError, StoppedError
from core.experiments.drafts import DraftKind, draft_queries
from core.experiments.experiment import Experiment, Field, Kind, Place
from core.experiments.registry import EXPERIMENTS, experiment
from core.experiments.run import best_hits, is_partial, run
from core.library.library import Library

_OPTIONS = {Kind.PASSAGE: "--passage", Kind.PASSAGES: "--passage", Kind.DOCUMENT: "--document"}


class _Stoppable(ConsoleMonitor):
    """Progress on stderr; Ctrl+C asks to stop and keep finished work, a second one ends it."""

    @override
    def __enter__(self) -> Self:
        self._asked = False
        self._before = signal.signal(signal.SIGINT, self._ask)
        return super().__enter__()

    @override
    def __exit__(self, *raised: object) -> None:
        signal.signal(signal.SIGINT, self._before)
        super().__exit__(*raised)

    def _ask(self, *_signal: object) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        echo("Stopping; Ctrl+C again ends at once.", err=True)

    @override
    def stop_requested(self) -> bool:
        return self._asked


@contextmanager
def _running(workspace: Path, device: str) -> Iterator[tuple[Library, ConsoleMonitor]]:
    """Lend a library and the monitor of an experiment on it."""
    with _Stoppable() as monitor, opened(workspace, device=device) as library:
        try:
            yield library, monitor
        except StoppedError:
            raise KeyboardInterrupt from None


@cli.command()
def disagree(
    workspace: WorkspaceOption,
    *,
    drafts: Annotated[int, Option(help="Queries to draft from the library.")] = 300,
    k: Annotated[int, Option("-k", help="Depth; 0 takes the library's own.")] = 0,
    show: Annotated[int, Option(help="Findings to print.")] = 20,
    seed: Annotated[int, Option(help="Decides which drafts are taken.")] = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Draft queries from the library: which encoder finds their passages better, where they part."""
    values = {"count": drafts, "k": k, "seed": seed}
    with _running(workspace, device) as (library, monitor):
        report = run(library, experiment("disagree"), values, monitor=monitor)
    if json:
        print_json(report)
    else:
        decided = report.verdict.sentences if report.verdict else ()
        for sentence in (*decided, *report.summary):
            echo(plain(sentence))
        for finding in report.findings[:show]:
            echo(f"{finding.disagreement:.2f}  {excerpt(finding.draft.text)}")
        for note in report.notes:
            echo(plain(note))
    _end([report])


@cli.command()
def drafts(
    workspace: WorkspaceOption,
    *,
    count: Annotated[int, Option(help="Most queries to draft.")] = 50,
    kind: Annotated[
        list[DraftKind] | None, Option(help="Rules that may write them; questions by default.")
    ] = None,
    seed: Annotated[int, Option(help="Decides which drafts are taken.")] = 0,
    json: JsonOption = False,
) -> None:
    """Draft questions from the library and print them, with the passage each came from."""
    kinds = kind or (DraftKind.QUESTION, DraftKind.DEFINITION)
    with opened(workspace) as library:
        texts = {line.doc_id: library.document(line.doc_id).text for line in library.documents()}
        found = draft_queries(library.passages(), texts, count=count, seed=seed, kinds=kinds)
    answer(found, [f"{one.passage_id}  {plain(one.text)}" for one in found], json=json)


@cli.command()
def explain(
    query: Annotated[str, Argument(help="What was asked.")],
    workspace: WorkspaceOption,
    *,
    passage: Annotated[str, Option(help="Passage id; both encoders' best hit by default.")] = "",
    clauses: Annotated[bool, Option("--clauses", help="Leave out query parts.")] = False,
    panel: Annotated[bool, Option("--fairness", help="What each encoder really got.")] = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Say which sentences of a hit, or parts of the query, each encoder needs."""
    results: list[object] = []
    with _running(workspace, device) as (library, monitor):
        targets = [passage] if passage else best_hits(library, query)
        if panel:
            values: dict[str, object] = {"query": query, "passage_ids": targets}
            results.append(run(library, experiment("fairness"), values, monitor=monitor))
        else:
            one = experiment("clauses" if clauses else "sentences")
            problem: LaboratoryError | None = None
            for target in targets:
                values = {"query": query, "passage_id": target}
                try:
                    results.append(run(library, one, values, monitor=monitor))
                except LaboratoryError as error:  # the other encoder's best hit may do
                    problem = error
                    echo(f"{target}: {plain(str(error))}", err=True)
            if problem is not None and not results:
                raise problem
    _print(results, json=json)


def _command(one: Experiment[Any]) -> Callable[..., None]:
    """Return the command of an experiment: an option for every field."""

    def command(workspace: Path, *, device: str, json: bool, **values: object) -> None:
        with _running(workspace, device) as (library, monitor):
            result = run(library, one, values, monitor=monitor)
        _print([result], json=json)

    parameters = {
        "workspace": (WorkspaceOption, Parameter.empty),
        **{field.name: _option(field) for field in one.fields},
        "device": (DeviceOption, "auto"),
        "json": (JsonOption, False),
    }
    command.__annotations__ = {name: kind for name, (kind, _) in parameters.items()}
    command.__signature__ = Signature(  # type: ignore[attr-defined]  # what typer asks first
        [
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (kind, default) in parameters.items()
        ]
    )
    return command


def _option(field: Field) -> tuple[Any, Any]:
    """Return a field's type as an option, and its default."""
    kind: Any = int if field.kind is Kind.NUMBER else str
    default: Any = field.default
    if field.kind is Kind.PASSAGES:
        kind, default = list[str], []
    name = _OPTIONS.get(field.kind, f"--{field.name.replace('_', '-')}")
    return Annotated[kind, Option(name, help=field.about)], default


def _print(results: list[object], *, json: bool) -> None:
    """Print results as JSON, or their sentences."""
    if json:
        print_json(results[0] if len(results) == 1 else results)
    else:
        for result in results:
            for name in ("contrast", "summary", "sentences", "flags", "notes"):
                said = getattr(result, name, ())
                for sentence in (said,) if isinstance(said, str) else said:
                    if isinstance(sentence, str):
                        echo(plain(sentence))
        echo("(--json prints every number)")
    _end(results)


def _end(results: list[object]) -> None:
    """End with the exit code of a partial result where one is."""
    if any(is_partial(result) for result in results):
        echo("Stopped early or failed in part: what was finished is shown.", err=True)
        raise Exit(EXIT_PARTIAL)


probes = typer.Typer(
    no_args_is_help=True, help="Run one of the paper's experiments, or Bifocal's own."
)
for _one in EXPERIMENTS:
    if _one.place is not Place.DISAGREE:
        probes.command(_one.name, help=_one.about)(_command(_one))
cli.add_typer(probes, name="probe")
