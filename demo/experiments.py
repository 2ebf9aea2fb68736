"""The experiments behind Disagree, Laboratory and Evidence: values from the page -> jobs -> HTML.

Every experiment runs as a job with progress and Stop, and is kept in the workspace under a key made
of everything that decides its picture. What was stopped half-way is shown but not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from core.errors import CoreError, StoppedError, UnknownNameError
from core.experiments import disagree, last_sentence, rendering
from core.experiments.disagree import DisagreementReport, FindingFilter, select
from core.experiments.drafts import DraftKind
from core.experiments.experiment import Experiment, Kind, Place
from core.experiments.registry import experiment, offered
from core.experiments.run import run
from core.words import shortened
from demo import texts
from demo.presenters import library

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from core.experiments.last_sentence import LastSentenceEdit
    from core.library.library import Library
    from core.monitor import Monitor
    from demo.handlers import Handlers
    from demo.jobs import Job

R = TypeVar("R")
SHOWN_FINDINGS = 100  # 20 in sight, the others folded in twenties
LABEL_CHARS = 70
CHOSEN_LISTED = 20  # of those chosen in a picture
STOP_SIGNAL = "stop-experiment"
DISAGREE = "disagree"
WAIT_SECONDS = 10.0  # for an experiment to heed Stop


class Experiments:
    """The laboratory's verbs for the page."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.sessions = handlers.sessions
        self.services = handlers.services
        self._reports: dict[tuple[str, str], DisagreementReport] = {}

    # -- choosing what to study --------------------------------------------------------------

    def documents(self, visitor_id: object, library_id: str) -> list[tuple[str, str]]:
        """Return ``(name, doc_id)`` of every document."""
        with self.sessions.library(visitor_id, library_id, look=True) as bench:
            return [(shortened(report.name, 80), report.doc_id) for report in bench.documents()]

    def passages(self, visitor_id: object, library_id: str, doc_id: str) -> list[tuple[str, str]]:
        """Return ``(label, passage_id)`` of a document's passages, in reading order."""
        with self.sessions.library(visitor_id, library_id, look=True) as bench:
            return [
                (f"p. {item.page_first}: {shortened(item.text, LABEL_CHARS)}", item.passage_id)
                for item in (bench.passages() if doc_id else ())
                if item.doc_id == doc_id
            ]

    def start_from(
        self, visitor_id: object, library_id: str, token: object, passage_id: str
    ) -> tuple[str, str, str]:
        """Return query, document and passage to begin with: the selected hit, or an example's."""
        visitor = self.sessions.require(visitor_id)
        with self.sessions.library(visitor, library_id, look=True) as bench:
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

    def run(
        self,
        visitor_id: object,
        library_id: str,
        experiment: Experiment[R],
        values: Mapping[str, object],
        *,
        show: Callable[[R], str] | None = None,
        keep: Callable[[R], None] = lambda _: None,
        stop: str = "",
    ) -> Iterator[tuple[str, bool]]:
        """Yield ``(html, running)`` of an experiment, the last one with its result or a sentence.

        Args:
            visitor_id: Whose.
            library_id: Where.
            experiment: Which.
            values: Its fields by name.
            show: How its result looks; None leaves that to the experiment.
            keep: Told the result, whether the page still watches or was reloaded since.
            stop: The page's signal that stops it, where there is no Stop button beside it.
        """
        try:
            key = (self.sessions.require(visitor_id), library_id, "experiment")

            def work(bench: Library, monitor: Monitor) -> R:
                result = run(bench, experiment, values, monitor=monitor)
                keep(result)
                return result

            job = self.sessions.jobs.start(key, experiment.name, work, heavy=experiment.heavy)
        except CoreError as error:
            # "busy" leaves Stop in reach: what runs may have been started before a reload
            yield library.trouble(str(error)), self.running(visitor_id, library_id)
            return
        yield from _follow(job, show or experiment.show, stop)

    def picture(self, visitor_id: object, library_id: str) -> str:
        """Return an edit of the last sentence of an example's passage; "" where it cannot be had.

        Computed now or kept from before; only where an answer would need no more than that either.
        """
        try:
            with self.sessions.library(visitor_id, library_id) as bench:
                known = [one.relevant[0] for one in bench.examples() if one.relevant]
                ready = all(
                    not one.problem and one.passages_embedded == one.passages
                    for one in bench.encoder_status()
                )
                if not known or not ready:
                    return ""
                values = {"passage_id": known[0]}
                edit: LastSentenceEdit = run(bench, experiment("last-sentence"), values)
                return last_sentence.picture(edit)
        except CoreError:
            return ""

    def running(self, visitor_id: object, library_id: str) -> bool:
        """Whether an experiment of the library runs, whichever tab started it."""
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

    def study(
        self,
        visitor_id: object,
        library_id: str,
        token: object,
        experiment: Experiment[Any],
        values: Mapping[str, object],
    ) -> Iterator[tuple[str, bool]]:
        """Run an experiment of the laboratory; one about shown passages takes those on screen."""
        values = dict(values)
        for field in experiment.fields:
            if field.kind is Kind.PASSAGES:
                try:
                    visitor = self.sessions.require(visitor_id)
                    comparison = self.sessions.shown(visitor, token).comparison
                except CoreError:
                    continue  # it stands without them
                values["query"] = comparison.query.text
                values[field.name] = [item.passage_id for item in comparison.passages[:6]]
        yield from self.run(visitor_id, library_id, experiment, values)

    def chosen(
        self,
        visitor_id: object,
        library_id: str,
        name: str,
        values: object,
        passage_ids: Sequence[str],
    ) -> str:
        """List the first passages of those chosen in an experiment's picture.

        Args:
            visitor_id: Whose.
            library_id: Where.
            name: Of the experiment.
            values: Its fields, as they were run; hostile until checked.
            passage_ids: The chosen ones.
        """
        try:
            one = experiment(name)
            choose = one.choose
            if choose is None or not isinstance(values, dict):
                raise UnknownNameError(f"Nothing can be chosen in {name}.")
            with self.sessions.library(visitor_id, library_id) as bench:
                passages = {name: bench.passage(name) for name in passage_ids[:CHOSEN_LISTED]}
        except CoreError as error:
            return library.trouble(str(error))
        # a job as any other: what is not kept any more is computed in its turn
        *_, (html, _) = self.run(
            visitor_id, library_id, one, values, show=lambda found: choose(found, passages)
        )
        return html

    # -- disagreements -----------------------------------------------------------------------

    def disagree(
        self, visitor_id: object, library_id: str, count: int, wanted: FindingFilter
    ) -> Iterator[tuple[str, bool]]:
        """Draft queries, run them through every system, list where the encoders part most."""

        def keep(report: DisagreementReport) -> None:
            self._reports[self.sessions.require(visitor_id), library_id] = report
            while len(self._reports) > 32:
                self._reports.pop(next(iter(self._reports)))

        if not self.running(visitor_id, library_id):
            # What was found before must not stand beside a run that is stopped or fails.
            self._reports.pop((str(visitor_id), library_id), None)
        yield from self.run(
            visitor_id,
            library_id,
            experiment(DISAGREE),
            {"count": count},
            show=lambda report: self._list(str(visitor_id), library_id, report, wanted),
            keep=keep,
        )

    def disagreeing(self, visitor_id: object, library_id: str) -> Iterator[tuple[str, bool]]:
        """Yield as `disagree` does of a run that was started before; nothing when there is none."""
        visitor = self.sessions.require(visitor_id)
        job = self.sessions.jobs.get((visitor, library_id, "experiment"))
        if job is None or job.kind != DISAGREE or not job.running:
            return
        wanted = wanted_findings()
        yield from _follow(
            cast("Job[DisagreementReport]", job),
            lambda report: self._list(visitor, library_id, report, wanted),
        )

    def verdict(self, visitor_id: object, library_id: str) -> str:
        """Return which encoder the last disagreements speak for; "" before any."""
        visitor = self.sessions.require(visitor_id)
        report = self._reports.get((visitor, library_id))
        return "" if report is None else disagree.show(report)

    def filtered(self, visitor_id: object, library_id: str, wanted: FindingFilter) -> str | None:
        """Return the list under another filter; None when there is no report yet."""
        visitor = self.sessions.require(visitor_id)
        report = self._reports.get((visitor, library_id))
        return None if report is None else self._list(visitor, library_id, report, wanted)

    def _list(
        self, visitor: str, library_id: str, report: DisagreementReport, wanted: FindingFilter
    ) -> str:
        findings = disagree.by_ranks(select(report.findings, wanted))
        passages = {}
        with self.sessions.library(visitor, library_id) as bench:
            names = {line.doc_id: line.name for line in bench.documents()}
            for finding in findings[:SHOWN_FINDINGS]:
                try:
                    passages[finding.draft.passage_id] = bench.passage(finding.draft.passage_id)
                except CoreError:
                    continue  # re-chunked since; the line stands without its page
        return disagree.show_findings(report, findings, names, passages, most=SHOWN_FINDINGS)

    # -- evidence ------------------------------------------------------------------------------

    def pending(self, visitor_id: object, token: object, passage_id: str) -> str:
        """Return the placeholder of an explanation."""
        try:
            shown = self.sessions.shown(self.sessions.require(visitor_id), token)
            return rendering.about(shown.comparison.passage(passage_id), texts.WHY_PENDING)
        except CoreError:
            return ""

    def evidence(
        self, visitor_id: object, token: object, passage_id: str, *, brief: bool = False
    ) -> Iterator[tuple[str, bool]]:
        """Explain a hit of the comparison on screen, part by part as each is done.

        Args:
            visitor_id: Whose.
            token: Of the comparison.
            passage_id: The hit.
            brief: By its sentences alone.
        """
        try:
            visitor = self.sessions.require(visitor_id)
            shown = self.sessions.shown(visitor, token)
            head = rendering.about(shown.comparison.passage(passage_id))
        except CoreError as error:
            yield library.trouble(str(error)), False
            return
        values = {"query": shown.comparison.query.text, "passage_id": passage_id}
        parts = offered(Place.EVIDENCE)
        job = self.sessions.jobs.get((visitor, shown.library_id, "experiment"))
        if job is not None and job.running and job.kind in {one.name for one in parts}:
            job.stop()  # the explanation of another passage, that nobody reads any more
            job.wait(WAIT_SECONDS)
        done = ""
        for one in parts[:1] if brief else parts:
            part = ""
            for part, running in self.run(visitor, shown.library_id, one, values, stop=STOP_SIGNAL):
                if running and brief:
                    yield self.pending(visitor, token, passage_id), True
                elif running:
                    yield head + done + part, True
            if self._was_stopped(visitor, shown.library_id):
                # Stop means all of it, not only the part in hand.
                early = part == library.notice(texts.STOPPED_EARLY)
                if done or not early:
                    part = ("" if early else part) + library.notice(texts.STOPPED)
                done += part
                break
            done += part
            yield head + done, True
        yield head + done, False


def _follow(job: Job[R], show: Callable[[R], str], stop: str = "") -> Iterator[tuple[str, bool]]:
    """Yield an experiment's progress until it ends, then its result."""
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
