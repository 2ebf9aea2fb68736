"""The experiments behind Disagree, Laboratory and Evidence: values from the page -> jobs -> HTML.

Every experiment runs as a job with progress and Stop, and is kept in the workspace under a key made
of everything that decides its picture. What was stopped half-way is shown but not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from core.errors import CoreError, LaboratoryError, StoppedError
from core.experiments.attention import AttentionSwitch, switch_attention
from core.experiments.disagree import (
    DisagreementReport,
    FindingFilter,
    find_disagreements,
    select,
)
from core.experiments.drafts import DRAFTING_RULES, DraftKind, draft_queries
from core.experiments.evidence import Evidence
from core.experiments.fairness import FairnessReport, fairness
from core.experiments.growing import GrowingText, Growth, grow
from core.experiments.hidden_key import HiddenKeyMap, hidden_key
from core.experiments.last_sentence import LastSentenceEdit, edit_last_sentence
from core.experiments.late_context import LateContext, late_context
from core.experiments.leave_out import leave_clauses_out, leave_sentences_out
from core.experiments.results import result_key
from core.experiments.run import kept_result, open_context
from core.experiments.token_shares import TokenShares, token_shares
from core.words import shortened
from demo import texts
from demo.presenters import disagree, evidence, laboratory, library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.experiments.context import Context
    from core.library import Library
    from core.monitor import Monitor
    from demo.handlers import Handlers
    from demo.jobs import Job

R = TypeVar("R")
SHOWN_FINDINGS = 60
LABEL_CHARS = 70
STOP_SIGNAL = "stop-experiment"
DISAGREE = "disagree"
HIDDEN_KEY_LENGTHS = (256, 512, 1024, 2048, 4096)


class _NotKept(Exception):  # noqa: N818  not an error: a stopped result on its way past the cache
    def __init__(self, result: Any) -> None:  # noqa: ANN401  whatever the experiment gives
        super().__init__()
        self.result = result


@dataclass(frozen=True, slots=True)
class Choice:
    """A passage the user can study, for a list."""

    label: str
    value: str


class Experiments:
    """The laboratory's verbs for the page."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.sessions = handlers.sessions
        self.services = handlers.services
        self._reports: dict[tuple[str, str], DisagreementReport] = {}

    def bench(self, visitor_id: object, library_id: str) -> tuple[str, Library]:
        """Return the visitor's checked id and the library."""
        visitor = self.sessions.require(visitor_id)
        return visitor, self.services.open_library(visitor, library_id)

    # -- choosing what to study --------------------------------------------------------------

    def documents(self, visitor_id: object, library_id: str) -> list[tuple[str, str]]:
        """Return ``(name, doc_id)`` of every document."""
        _, bench = self.bench(visitor_id, library_id)
        return [(shortened(report.name, 80), report.doc_id) for report in bench.documents()]

    def passages(self, visitor_id: object, library_id: str, doc_id: str) -> list[tuple[str, str]]:
        """Return ``(label, passage_id)`` of a document's passages, in reading order."""
        _, bench = self.bench(visitor_id, library_id)
        if not doc_id:
            return []
        return [
            (f"p. {item.page_first}: {shortened(item.text, LABEL_CHARS)}", item.passage_id)
            for item in bench.passages()
            if item.doc_id == doc_id
        ]

    def start_from(
        self, visitor_id: object, library_id: str, token: object, passage_id: str
    ) -> tuple[str, str, str]:
        """Return query, document and passage to begin with: the selected hit, or an example's."""
        visitor, bench = self.bench(visitor_id, library_id)
        try:
            comparison = self.sessions.shown(visitor, token).comparison
            first = next(iter(comparison.passages), None)
            chosen = passage_id or (first.passage_id if first else "")
            return comparison.query.text, bench.passage(chosen).doc_id, chosen
        except CoreError:
            pass  # nothing on screen; an example will do
        for example in self.handlers.starters.of(library_id, bench):
            if example.relevant:
                found = example.relevant[0]
                return example.text, bench.passage(found).doc_id, found
        reports = bench.documents()
        if not reports:
            return "", "", ""
        choices = self.passages(visitor, library_id, reports[0].doc_id)
        return "", reports[0].doc_id, choices[0][1] if choices else ""

    # -- running ---------------------------------------------------------------------------

    def _run(
        self,
        visitor_id: object,
        library_id: str,
        work: Callable[[Library, Monitor], R],
        show: Callable[[R], str],
        *,
        heavy: bool = False,
        stop: str = "",
        kind: str = "experiment",
    ) -> Iterator[tuple[str, bool]]:
        """Yield ``(html, running)`` of an experiment, the last one with its result or a sentence.

        Args:
            visitor_id: Whose.
            library_id: Where.
            work: What to do, with a monitor.
            show: How its result looks.
            heavy: It takes turns with other heavy work.
            stop: The page's signal that stops it, where there is no Stop button beside it.
            kind: Which experiment it is, for who looks for it after a reload.
        """
        try:
            visitor, bench = self.bench(visitor_id, library_id)
            job = self.sessions.jobs.start(
                (visitor, library_id, "experiment"),
                kind,
                lambda monitor: work(bench, monitor),
                heavy=heavy,
            )
        except CoreError as error:
            # "busy" leaves Stop in reach: what runs may have been started before a reload
            yield library.trouble(str(error)), self.running(visitor_id, library_id)
            return
        yield from self._follow(job, show, stop)

    def _follow(
        self, job: Job[R], show: Callable[[R], str], stop: str = ""
    ) -> Iterator[tuple[str, bool]]:
        """Yield how far an experiment is until it ends, then what came of it."""
        try:
            for snapshot in job.watch():
                if snapshot.running:
                    yield library.progress(snapshot, stop=stop), True
            yield show(job.outcome()), False
        except StoppedError:
            # Experiments return what they have when they have anything: this one has nothing.
            yield library.notice(texts.STOPPED_EARLY), False
        except CoreError as error:
            yield library.trouble(str(error)), False

    def running(self, visitor_id: object, library_id: str) -> bool:
        """Whether an experiment of the library runs, whoever's tab started it."""
        try:
            visitor = self.sessions.require(visitor_id)
        except CoreError:
            return False
        job = self.sessions.jobs.get((visitor, library_id, "experiment"))
        return job is not None and job.running

    def _was_stopped(self, visitor: str, library_id: str) -> bool:
        job = self.sessions.jobs.get((visitor, library_id, "experiment"))
        return job is not None and job.stop_requested()

    def stop(self, visitor_id: object, library_id: str) -> bool:
        """Press Stop on the library's experiment."""
        visitor = self.sessions.require(visitor_id)
        return self.sessions.jobs.stop((visitor, library_id, "experiment"))

    def stop_shown(self, visitor_id: object, token: object) -> bool:
        """Press Stop on the experiment about the comparison on screen; False when none runs."""
        try:
            shown = self.sessions.shown(self.sessions.require(visitor_id), token)
        except CoreError:
            return False
        return self.stop(visitor_id, shown.library_id)

    # -- disagreements -----------------------------------------------------------------------

    def disagree(
        self, visitor_id: object, library_id: str, count: int, wanted: FindingFilter
    ) -> Iterator[tuple[str, bool]]:
        """Draft queries, run them through every system, list where the encoders part most."""

        def work(bench: Library, monitor: Monitor) -> DisagreementReport:
            visitor = self.sessions.require(visitor_id)
            # What was found before must not stand beside a run that was stopped or failed.
            self._reports.pop((visitor, library_id), None)
            report = self.find(bench, count, monitor)
            # Here, not where it is shown: whoever started it may have reloaded the page since.
            self._reports[visitor, library_id] = report
            while len(self._reports) > 32:
                self._reports.pop(next(iter(self._reports)))
            return report

        yield from self._run(
            visitor_id,
            library_id,
            work,
            lambda report: self._list(
                self.sessions.require(visitor_id), library_id, report, wanted
            ),
            heavy=True,
            kind=DISAGREE,
        )

    def disagreeing(self, visitor_id: object, library_id: str) -> Iterator[tuple[str, bool]]:
        """Yield as `disagree` does of a run that was started before; nothing when there is none."""
        visitor = self.sessions.require(visitor_id)
        job = self.sessions.jobs.get((visitor, library_id, "experiment"))
        if job is None or job.kind != DISAGREE or not job.running:
            return
        wanted = wanted_findings()
        yield from self._follow(
            cast("Job[DisagreementReport]", job),
            lambda report: self._list(visitor, library_id, report, wanted),
        )

    def find(self, bench: Library, count: int, monitor: Monitor) -> DisagreementReport:
        """Draft queries from a library and run them through every system."""
        depth = bench.settings.k
        return kept(
            bench,
            result_key("disagreements", count=count, k=depth, seed=0, rules=DRAFTING_RULES),
            DisagreementReport,
            lambda context: find_disagreements(
                context,
                draft_queries(
                    context.corpus.passages,
                    [bench.document(doc_id) for doc_id in context.corpus.texts],
                    count=count,
                    seed=0,
                ),
                k=depth,
                monitor=monitor,
            ),
        )

    def explain(self, bench: Library, query: str, passage_id: str, monitor: Monitor) -> Evidence:
        """Leave each sentence of a hit out."""
        return kept(
            bench,
            result_key("sentences", query=query, passage=passage_id),
            Evidence,
            lambda context: leave_sentences_out(context, query, passage_id, monitor=monitor),
        )

    def edited(
        self, bench: Library, passage_id: str, replacement: str, monitor: Monitor
    ) -> LastSentenceEdit:
        """Replace a passage's last sentence."""
        text = bench.passage(passage_id).text
        return kept(
            bench,
            result_key("last sentence", text=text, replacement=replacement),
            LastSentenceEdit,
            lambda context: edit_last_sentence(
                context.encoders, text, replacement=replacement, monitor=monitor
            ),
        )

    def account(
        self, bench: Library, query: str, ids: tuple[str, ...], monitor: Monitor
    ) -> FairnessReport:
        """Account for both encoders."""
        return kept(
            bench,
            result_key("fairness", query=query, passages=ids),
            FairnessReport,
            lambda context: fairness(context, query, ids, measure_seconds=True, monitor=monitor),
        )

    def switched(
        self, bench: Library, query: str, passage_id: str, monitor: Monitor
    ) -> AttentionSwitch:
        """Read query and passage with each attention mask."""
        return kept(
            bench,
            result_key("attention switch", query=query, passage=passage_id),
            AttentionSwitch,
            lambda context: switch_attention(context, query, passage_id, monitor=monitor),
        )

    def grown(
        self, bench: Library, query: str, passage_id: str, growth: Growth, monitor: Monitor
    ) -> GrowingText:
        """Pad a passage with the rest of its document."""
        return kept(
            bench,
            result_key("growing", query=query, passage=passage_id, growth=growth),
            GrowingText,
            lambda context: grow(context, query, passage_id, growth=growth, monitor=monitor),
        )

    def keyed(
        self, bench: Library, doc_id: str, longest: int, copies: int, monitor: Monitor
    ) -> HiddenKeyMap:
        """Plant keys in copies of a document, up to a length in tokens."""
        document = bench.document(doc_id)
        lengths = tuple(length for length in HIDDEN_KEY_LENGTHS if length <= longest)
        return kept(
            bench,
            result_key("hidden key", doc=document.sha256, lengths=lengths, copies=copies),
            HiddenKeyMap,
            lambda context: hidden_key(
                context, document.text, lengths=lengths, copies=copies, monitor=monitor
            ),
        )

    def verdict(self, visitor_id: object, library_id: str) -> str:
        """Return which encoder the last disagreements speak for; "" before any."""
        visitor, _ = self.bench(visitor_id, library_id)
        report = self._reports.get((visitor, library_id))
        return "" if report is None else disagree.verdict(report)

    def filtered(self, visitor_id: object, library_id: str, wanted: FindingFilter) -> str | None:
        """Return the list under another filter; None when there is no report yet."""
        visitor, _ = self.bench(visitor_id, library_id)
        report = self._reports.get((visitor, library_id))
        return None if report is None else self._list(visitor, library_id, report, wanted)

    def _list(
        self, visitor: str, library_id: str, report: DisagreementReport, wanted: FindingFilter
    ) -> str:
        bench = self.services.open_library(visitor, library_id)
        findings = select(report.findings, wanted)
        names = {line.doc_id: line.name for line in bench.documents()}
        passages = {}
        for finding in findings[:SHOWN_FINDINGS]:
            try:
                passages[finding.draft.passage_id] = bench.passage(finding.draft.passage_id)
            except CoreError:
                continue  # re-chunked since; the line stands without its page
        return disagree.report(report, findings, names, passages, most=SHOWN_FINDINGS)

    # -- evidence ------------------------------------------------------------------------------

    def evidence(
        self, visitor_id: object, token: object, passage_id: str
    ) -> Iterator[tuple[str, bool]]:
        """Explain a hit of the comparison on screen, part by part as each is done."""
        try:
            visitor = self.sessions.require(visitor_id)
            shown = self.sessions.shown(visitor, token)
        except CoreError as error:
            yield library.trouble(str(error)), False
            return
        query = shown.comparison.query.text
        done = ""
        steps: tuple[tuple[Callable[..., Any], Callable[[Any], str]], ...] = (
            (
                lambda bench, monitor: self.explain(bench, query, passage_id, monitor),
                evidence.evidence,
            ),
            (
                lambda bench, monitor: kept(
                    bench,
                    result_key("clauses", query=query, passage=passage_id),
                    Evidence,
                    lambda context: leave_clauses_out(context, query, passage_id, monitor=monitor),
                ),
                evidence.evidence,
            ),
            (
                lambda bench, monitor: kept(
                    bench,
                    result_key("late context", query=query, passage=passage_id),
                    LateContext,
                    lambda context: late_context(context, query, passage_id, monitor=monitor),
                ),
                evidence.context,
            ),
            (
                lambda bench, _: _shares(
                    open_context(bench), query, bench.passage(passage_id).text
                ),
                evidence.shares,
            ),
        )
        for work, show in steps:
            part = ""
            for part, running in self._run(visitor, shown.library_id, work, show, stop=STOP_SIGNAL):
                if running:
                    yield done + part, True
            if self._was_stopped(visitor, shown.library_id):
                # Stop means all of it, not only the part in hand.
                early = part == library.notice(texts.STOPPED_EARLY)
                if done or not early:
                    part = ("" if early else part) + library.notice(texts.STOPPED)
                done += part
                break
            done += part
            yield done, True
        yield done, False

    # -- the laboratory ------------------------------------------------------------------------

    def fairness(
        self, visitor_id: object, library_id: str, token: object, asked: str = ""
    ) -> Iterator[tuple[str, bool]]:
        """Account for both encoders, with the query and first hits on screen when there are any.

        Args:
            visitor_id: Whose.
            library_id: Where.
            token: Of the comparison on screen.
            asked: The query to account for when nothing is on screen.
        """
        query = asked.strip()
        ids: tuple[str, ...] = ()
        try:
            comparison = self.sessions.shown(self.sessions.require(visitor_id), token).comparison
            query = comparison.query.text
            ids = tuple(item.passage_id for item in comparison.passages[:6])
        except CoreError:
            pass  # the panel stands without a query
        yield from self._run(
            visitor_id,
            library_id,
            lambda bench, monitor: self.account(bench, query, ids, monitor),
            lambda report: laboratory.fairness(report, query),
        )

    def edit(
        self, visitor_id: object, library_id: str, passage_id: str, replacement: str
    ) -> Iterator[tuple[str, bool]]:
        """Replace a passage's last sentence and show how every earlier token changed."""
        yield from self._run(
            visitor_id,
            library_id,
            lambda bench, monitor: self.edited(bench, passage_id, replacement, monitor),
            laboratory.last_sentence,
        )

    def switch(
        self, visitor_id: object, library_id: str, query: str, passage_id: str
    ) -> Iterator[tuple[str, bool]]:
        """Read query and passage with each attention mask."""

        def work(bench: Library, monitor: Monitor) -> tuple[AttentionSwitch, str]:
            result = self.switched(bench, query, passage_id, monitor)
            return result, bench.passage(passage_id).text

        yield from self._run(
            visitor_id, library_id, work, lambda found: laboratory.attention_switch(*found)
        )

    def grow(
        self, visitor_id: object, library_id: str, query: str, passage_id: str, growth: str
    ) -> Iterator[tuple[str, bool]]:
        """Pad a passage with the rest of its document."""
        try:
            side = Growth(growth)
        except ValueError:
            yield library.trouble("Choose on which side the text grows."), False
            return
        yield from self._run(
            visitor_id,
            library_id,
            lambda bench, monitor: self.grown(bench, query, passage_id, side, monitor),
            laboratory.growing,
        )

    def hidden_key(
        self, visitor_id: object, library_id: str, doc_id: str, longest: int, copies: int
    ) -> Iterator[tuple[str, bool]]:
        """Plant keys in copies of a document."""
        yield from self._run(
            visitor_id,
            library_id,
            lambda bench, monitor: self.keyed(bench, doc_id, longest, copies, monitor),
            laboratory.hidden_key,
            heavy=True,
        )


def kept(bench: Library, key: str, kind: type[R], run: Callable[[Context], R]) -> R:
    """Return an experiment's result from the workspace, or run it; half results are not kept."""

    def whole(context: Context) -> R:
        result = run(context)
        if _is_partial(result):
            raise _NotKept(result)
        return result

    try:
        return kept_result(bench, key, kind, whole)
    except _NotKept as partial:
        return partial.result  # type: ignore[no-any-return]  # of the kind asked for


def _is_partial(result: object) -> bool:
    """Whether a result was stopped, or an encoder failed in it or in one encoder's part of it."""
    parts = (result, getattr(result, "a", None), getattr(result, "b", None))
    return any(getattr(one, "stopped", False) or getattr(one, "problem", "") for one in parts)


def _shares(context: Context, query: str, text: str) -> tuple[str, list[TokenShares]]:
    found = []
    for indexed in context.encoders:
        try:
            found.append(token_shares(indexed, query, text))
        except LaboratoryError:
            continue  # not linear: no heat map where exactness is not given
    return text, found


def wanted_findings(
    *,
    doc_ids: list[str] | None = None,
    kinds: list[str] | None = None,
    query_words: tuple[int, int] | None = None,
    passage_chars: tuple[int, int] | None = None,
    depth: tuple[float, float] | None = None,
    only_different: bool = True,
) -> FindingFilter:
    """Return a filter from the page's fields; unknown kinds are left out."""
    known = {kind.value for kind in DraftKind}
    return FindingFilter(
        doc_ids=tuple(doc_ids or ()),
        kinds=tuple(DraftKind(kind) for kind in kinds or () if kind in known),
        query_words=query_words,
        passage_chars=passage_chars,
        depth=depth,
        only_different=only_different,
    )
