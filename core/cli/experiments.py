"""Commands that ask why: disagree, explain, probe."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli.options import DeviceOption, JsonOption, WorkspaceOption
from core.cli.output import ConsoleMonitor, excerpt, opened, plain, print_json, told
from core.errors import LaboratoryError, UsageError
from core.experiments.attention import switch_attention
from core.experiments.disagree import find_disagreements
from core.experiments.drafts import draft_queries
from core.experiments.fairness import fairness
from core.experiments.growing import grow
from core.experiments.hidden_key import hidden_key
from core.experiments.last_sentence import edit_last_sentence
from core.experiments.late_context import late_context
from core.experiments.leave_out import leave_clauses_out, leave_sentences_out
from core.experiments.run import open_context

if TYPE_CHECKING:
    from core.comparison.records import Comparison
    from core.experiments.context import Context


class Probe(StrEnum):
    """An experiment on the user's own text."""

    HIDDEN_KEY = "hidden-key"
    ATTENTION = "attention"
    LAST_SENTENCE = "last-sentence"
    GROWING = "growing"
    CONTEXT = "context"


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("disagree")(told(disagree))
    cli.command("explain")(told(explain))
    cli.command("probe")(told(probe))


def disagree(
    workspace: WorkspaceOption,
    *,
    drafts: Annotated[int, typer.Option(help="Queries to draft from the library.")] = 200,
    k: Annotated[int, typer.Option("-k", help="Depth.")] = 10,
    show: Annotated[int, typer.Option(help="Findings to print.")] = 20,
    seed: Annotated[int, typer.Option(help="Decides which drafts are taken.")] = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Draft queries from the library: which encoder finds their passages better, where they part."""
    with ConsoleMonitor() as monitor, opened(workspace, device=device) as bench:
        both = open_context(bench, monitor=monitor)
        texts = [bench.document(line.doc_id) for line in bench.documents()]
        asked = draft_queries(both.corpus.passages, texts, count=drafts, seed=seed)
        report = find_disagreements(both, asked, k=k, monitor=monitor)
    if json:
        print_json(report)
        return
    decided = report.verdict.sentences if report.verdict else ()
    for sentence in (*decided, *report.summary):
        typer.echo(plain(sentence))
    for finding in report.findings[:show]:
        typer.echo(f"{finding.disagreement:.2f}  {excerpt(finding.draft.text)}")
    for note in report.notes:
        typer.echo(plain(note))


def explain(
    query: Annotated[str, typer.Argument(help="What was asked.")],
    workspace: WorkspaceOption,
    *,
    passage: Annotated[str, typer.Option(help="Passage id; both arms' best hit by default.")] = "",
    clauses: Annotated[bool, typer.Option("--clauses", help="Leave out query parts.")] = False,
    panel: Annotated[bool, typer.Option("--fairness", help="What each arm really got.")] = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Say which sentences of a hit, or parts of the query, each encoder needs."""
    found: list[object] = []
    with ConsoleMonitor() as monitor, opened(workspace, device=device) as bench:
        targets = [passage] if passage else _best_hits(bench.ask(query))
        both = open_context(bench, monitor=monitor)
        if panel:
            found.append(fairness(both, query, targets, monitor=monitor))
        else:
            leave_out = leave_clauses_out if clauses else leave_sentences_out
            problem: LaboratoryError | None = None
            for target in targets:
                try:
                    found.append(leave_out(both, query, target, monitor=monitor))
                except LaboratoryError as error:  # the other arm's best hit may do
                    problem = error
                    typer.echo(f"{target}: {plain(str(error))}", err=True)
            if problem is not None and not found:
                raise problem
    _show(found, json=json)


def _best_hits(comparison: Comparison) -> list[str]:
    arms = [comparison.column(name) for name in (comparison.arm_a, comparison.arm_b)]
    hits = [column.ranking.hits[0].passage_id for column in arms if column.ranking.hits]
    return list(dict.fromkeys(hits))


def probe(
    experiment: Annotated[Probe, typer.Argument(help="Which one.")],
    workspace: WorkspaceOption,
    *,
    query: Annotated[str, typer.Option(help="For attention, growing and context.")] = "",
    passage: Annotated[str, typer.Option(help="Passage id, likewise.")] = "",
    document: Annotated[str, typer.Option(help="Document id, for the others.")] = "",
    seed: Annotated[int, typer.Option(help="Of whatever is drawn.")] = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Run one of the paper's experiments, or Bifocal's own, on the user's text."""
    with ConsoleMonitor() as monitor, opened(workspace, device=device) as bench:
        both = open_context(bench, monitor=monitor)
        if experiment in {Probe.HIDDEN_KEY, Probe.LAST_SENTENCE}:
            doc_id = document or next(iter(both.corpus.texts))
            text = bench.document(doc_id).text
            found = _on_text(experiment, both, text, passage, seed, monitor)
        else:
            if not query:
                raise UsageError(f"{experiment} needs --query, and --passage if not the best hit.")
            target = passage or _best_hits(bench.ask(query))[0]
            found = _on_hit(experiment, both, query, target, seed, monitor)
    _show([found], json=json)


def _on_text(
    experiment: Probe, both: Context, text: str, passage: str, seed: int, monitor: ConsoleMonitor
) -> object:
    if experiment is Probe.HIDDEN_KEY:
        return hidden_key(both, text, seed=seed, monitor=monitor)
    if passage:
        text = both.corpus.passages[both.corpus.position(passage)].text
    else:
        text = both.corpus.passages[0].text
    return edit_last_sentence(both.encoders, text, monitor=monitor)


def _on_hit(
    experiment: Probe, both: Context, query: str, target: str, seed: int, monitor: ConsoleMonitor
) -> object:
    if experiment is Probe.ATTENTION:
        return switch_attention(both, query, target, seed=seed, monitor=monitor)
    if experiment is Probe.GROWING:
        return grow(both, query, target, monitor=monitor)
    return late_context(both, query, target, monitor=monitor)


def _show(found: list[object], *, json: bool) -> None:
    if json:
        print_json(found[0] if len(found) == 1 else found)
        return
    for result in found:
        for name in ("contrast", "summary", "sentences", "flags", "notes"):
            said = getattr(result, name, ())
            for sentence in (said,) if isinstance(said, str) else said:
                if isinstance(sentence, str):
                    typer.echo(plain(sentence))
    typer.echo("(--json prints every number)")
