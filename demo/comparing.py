"""Asking both encoders, and the answer on screen: its hits, saving, exporting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.comparison.export import to_csv, trec_runs
from core.comparison.records import Comparison, to_json
from core.errors import CoreError, StoppedError, UnknownNameError, UsageError
from core.evaluation.grades import answers_on, grades_on
from core.experiments.rendering import best_sentences, library_report
from core.library.library import Library
from core.monitor import Monitor
from core.render import cards, measures, page, plots, verdict
from core.render.escape import Html
from demo import hits, texts
from demo.jobs import Job
from demo.presenters import frame, library
from demo.services import Services
from demo.session import Sessions, Shown
from demo.starters import Starters

Marked = tuple[Comparison, Mapping[str, tuple[int, int]]]

STALLED_SECONDS = 6.0  # without a new vector: nobody is at work
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 0.2  # before the page says that it is working


@dataclass(frozen=True, slots=True)
class CompareScreen:
    """Values of the Compare view; None leaves a part as it is."""

    summary: str
    columns: str
    lower: str
    token: str


class Comparing:
    """The verbs about a comparison; `embed` starts the work that a question finds undone."""

    def __init__(
        self,
        services: Services,
        sessions: Sessions,
        starters: Starters,
        *,
        embed: Callable[[object, str], Job[Any]],
    ) -> None:
        self.services = services
        self.sessions = sessions
        self.starters = starters
        self._embed = embed

    # -- asking ----------------------------------------------------------------------------

    def compare(self, visitor_id: object, library_id: str, text: str) -> Iterator[CompareScreen]:
        """Ask both encoders; yields the waiting state only when it takes long enough to notice."""
        try:
            visitor = self.sessions.require(visitor_id)
            with self.sessions.library(visitor, library_id, look=not text.strip()) as bench:
                if not text.strip():
                    yield self._blank(library_id, bench, texts.EMPTY_QUERY)
                    return
                yield from self._until_searchable(visitor, library_id, bench)
                while True:
                    job = self.sessions.jobs.start(
                        (visitor, library_id, "compare"),
                        "compare",
                        lambda bench, monitor: _marked(bench, bench.ask(text, monitor=monitor)),
                        patient=True,
                    )
                    yield from _waiting(job)
                    yield self._screen(visitor, library_id, bench, *job.outcome())
                    if not self._first_embedded(visitor, library_id, bench, job.outcome()[0]):
                        return
        except StoppedError as error:
            yield CompareScreen("", frame.failure("Stopped", str(error)), "", "")
        except CoreError as error:
            yield CompareScreen("", frame.failure("This did not work", str(error)), "", "")

    def equal_limits(
        self, visitor_id: object, token: object, library_id: str = "", text: str = ""
    ) -> Iterator[CompareScreen]:
        """Run the comparison on screen again with one token limit for both encoders.

        Args:
            visitor_id: Whose.
            token: Of the comparison on screen.
            library_id: Where to ask when nothing is on screen.
            text: What to ask then.
        """
        try:
            visitor = self.sessions.require(visitor_id)
            try:
                shown = self.sessions.shown(visitor, token)
                library_id, text = shown.library_id, shown.comparison.query.text
            except CoreError:
                if not text.strip():
                    raise UsageError(texts.EQUAL_NOTHING) from None

            def work(bench: Library, monitor: Monitor) -> Marked:
                settings = replace(bench.settings, own_limits=False)
                bench.change_settings(settings, monitor=monitor)
                return _marked(bench, bench.ask(text, monitor=monitor))

            with self.sessions.library(visitor, library_id) as bench:
                key = (visitor, library_id, "compare")
                job = self.sessions.jobs.start(key, "compare", work, patient=True)
                yield from _waiting(job)
                yield self._screen(visitor, library_id, bench, *job.outcome())
        except CoreError as error:
            yield CompareScreen("", frame.failure("This did not work", str(error)), "", "")

    # -- one hit ---------------------------------------------------------------------------

    def pane(
        self,
        visitor_id: object,
        token: object,
        passage_id: str,
        page_number: int | None = None,
        *,
        library_id: str = "",
    ) -> str:
        """Return the page pane of a hit of the comparison on screen, or of any passage.

        Args:
            visitor_id: Whose.
            token: Of the comparison on screen.
            passage_id: The hit.
            page_number: Its page; None for the one of its best sentence.
            library_id: Where a passage is looked for that is no hit; "" for nowhere.
        """
        try:
            visitor = self.sessions.require(visitor_id)
            try:
                shown = self.sessions.shown(visitor, token)
                shown.comparison.passage(passage_id)
            except UnknownNameError:
                if not library_id:
                    raise
                with self.sessions.library(visitor, library_id) as bench:
                    shown = Shown(visitor, library_id, *hits.alone(bench, passage_id))
            with self.sessions.library(visitor, shown.library_id) as bench:
                return hits.pane(bench, shown, passage_id, page_number)
        except CoreError as error:
            return page.problem(str(error))

    # -- keeping ---------------------------------------------------------------------------

    def save(self, visitor_id: object, token: object) -> tuple[dict[str, Any], str, str]:
        """Keep the comparison on screen.

        Returns:
            A command for the page (show the permalink), the list of what is saved, the summary.
        """
        visitor = self.sessions.require(visitor_id)
        shown = self.sessions.shown(visitor, token)
        with self.sessions.library(visitor, shown.library_id) as bench:
            comparison_id = bench.save_comparison(shown.comparison)
            listed = library.saved(bench.saved_comparisons())
            answers = answers_on(bench, shown.comparison)
            kept = verdict.verdict(shown.comparison, answers=answers, saved=True)
        command = {"do": "link", "library": shown.library_id, "comparison": comparison_id}
        return command, listed, kept

    def open_saved(self, visitor_id: object, library_id: str, comparison_id: str) -> CompareScreen:
        """Show a kept comparison exactly as it was."""
        try:
            visitor = self.sessions.require(visitor_id)
            with self.sessions.library(visitor, library_id) as bench:
                marked = _marked(bench, bench.load_comparison(comparison_id))
                return self._screen(visitor, library_id, bench, *marked, saved=True)
        except CoreError:
            return CompareScreen("", frame.failure(texts.LINK_GONE, texts.LINK_GONE_NOW), "", "")

    def export(self, visitor_id: object, token: object, kind: str) -> dict[str, Any]:
        """Return a download for the page to make: never a file on the server."""
        visitor = self.sessions.require(visitor_id)
        shown = self.sessions.shown(visitor, token)
        with self.sessions.library(visitor, shown.library_id) as bench:
            name, mime, text = exported(bench, shown.comparison, kind)
        return {"do": "download", "name": name, "mime": mime, "text": text}

    # -- inside ----------------------------------------------------------------------------

    def _until_searchable(
        self, visitor: str, library_id: str, bench: Library
    ) -> Iterator[CompareScreen]:
        """Wait, with progress on screen, until a library that is being prepared can be asked.

        That is as soon as a job embeds it: what it has so far can be searched. Another may be at
        work (the start of the program embeds the sample library); when none is, this starts one.
        """
        before, since = -1, time.monotonic()
        while True:
            status = bench.encoder_status()
            missing = [
                one for one in status if not one.problem and one.passages_embedded < one.passages
            ]
            job = self.sessions.jobs.get((visitor, library_id, "index"))
            running = job is not None and job.running
            if not missing and not (running and not bench.passages()):
                return
            if missing and running:
                return
            now = sum(encoder.passages_embedded for encoder in status)
            if now != before or running:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED_SECONDS:
                if job is not None and job.error is not None:
                    return  # it was tried and failed; asking says why
                job = self._embed(visitor, library_id)
            if job is not None and job.running:
                shown = library.progress(job.snapshot(), stop="stop-index")
                yield _skeleton(texts.PREPARING, progress=shown)
            else:
                counts = "; ".join(
                    f"{one.label}: {one.passages_embedded:,} of {one.passages:,} passages"
                    for one in missing
                )
                yield _skeleton(texts.PREPARING, counts)
            time.sleep(POLL_SECONDS)

    def _first_embedded(
        self, visitor: str, library_id: str, bench: Library, shown: Comparison
    ) -> bool:
        """Wait, where BM25 alone could answer, for the encoders; whether they can answer now."""
        while shown.waiting and not shown.encoders_answered:
            job = self.sessions.jobs.get((visitor, library_id, "index"))
            status = bench.encoder_status()
            if min((one.passages_embedded for one in status if not one.problem), default=0):
                return True
            if job is None or not job.running:
                return False
            job.wait(POLL_SECONDS)
        return False

    def _blank(self, library_id: str, bench: Library, notice: str = "") -> CompareScreen:
        html = frame.blank(
            empty=not bench.documents(),
            hosted=self.services.hosted,
            keep_hours=self.services.visitors.keep_hours,
            examples=self.starters.of(library_id, bench),
            notice=notice,
        )
        return CompareScreen("", html, "", "")

    def _screen(
        self,
        visitor: str,
        library_id: str,
        bench: Library,
        comparison: Comparison,
        best: Mapping[str, tuple[int, int]],
        *,
        saved: bool = False,
    ) -> CompareScreen:
        token = self.sessions.show(visitor, library_id, comparison, best)
        answers = answers_on(bench, comparison)
        return CompareScreen(
            summary=verdict.verdict(comparison, answers=answers, saved=saved),
            columns=cards.columns(comparison, best, grades_on(bench, comparison), answers),
            lower=verdict.details(
                comparison, plots.score_plot(comparison), measures.measures(comparison)
            ),
            token=token,
        )


def _marked(bench: Library, comparison: Comparison) -> Marked:
    """Return a comparison with the nearest sentence of every hit: cards are marked when shown."""
    return comparison, best_sentences(bench, comparison) if comparison.encoders_answered else {}


def _skeleton(message: str, detail: str = "", *, progress: Html | None = None) -> CompareScreen:
    return CompareScreen(
        verdict.waiting(message, detail, progress=progress), cards.skeleton(), "", ""
    )


def _waiting(job: Job[Any]) -> Iterator[CompareScreen]:
    """Yield skeletons while a comparison takes longer than one notices."""
    if job.wait(PATIENCE_SECONDS):
        return
    for snapshot in job.watch():
        if not snapshot.running:
            return
        words = snapshot.stages[-1].stage if snapshot.stages else ""
        detail = f"{words[:1].upper()}{words[1:]}\u2026" if words else ""
        if snapshot.seconds > 2.0 and not detail:
            detail = texts.LOADING_FIRST
        yield _skeleton(texts.LOADING_COMPARE, detail)


def exported(bench: Library, comparison: Comparison, kind: str) -> tuple[str, str, str]:
    """Return name, media type and text of an export.

    Raises:
        UnknownNameError: A kind nobody knows.
    """
    if kind == "csv":
        # The mark makes spreadsheets read it as UTF-8.
        return "comparison.csv", "text/csv", "\ufeff" + to_csv(comparison)
    if kind == "json":
        return "comparison.json", "application/json", to_json(comparison, indent=2)
    if kind == "trec":
        return "comparison.run", "text/plain", "".join(trec_runs(comparison).values())
    if kind == "html":
        return "comparison.html", "text/html", library_report(bench, comparison)
    raise UnknownNameError(f"There is no export named {kind!r}; choose csv, json, trec or html.")
