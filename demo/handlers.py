"""Values from the page -> workbench -> presenters. Plain functions: no UI toolkit, no science.

Every handler takes the visitor's id first and has it checked. A `CoreError` becomes a sentence in
the place where its result would have stood; anything else is a bug and is logged.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.comparison.export import to_csv, trec_runs
from core.comparison.records import to_json
from core.errors import CoreError, StoppedError, UnknownNameError, UsageError
from core.laboratory.drafts import DraftKind, draft_queries
from core.laboratory.report import html_report
from core.records import Unit
from core.settings import ChunkingSettings, WorkspaceSettings
from demo import texts
from demo.grades import grades_on
from demo.presenters import columns, frame, library, measures, page, plots, summary
from demo.presenters.markup import plural
from demo.session import Sessions, Shown, discard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from core.comparison.records import Comparison
    from core.monitor import Monitor
    from core.records import IngestionReport, Passage
    from core.workbench import ExampleQuery, Workbench
    from demo.jobs import Job
    from demo.services import LibraryEntry, Services

PAGE_WIDTH_PIXELS = 1100
STARTERS = 4  # questions offered on an empty screen
STARTER_DRAFTS = 40
STARTER_PASSAGES = 300  # are read for them: the screen must not wait for a large library
STARTER_KINDS = (DraftKind.QUESTION, DraftKind.DEFINITION)
STALLED_SECONDS = 6.0  # without a new vector: nobody is at work
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 0.2  # before the page says that it is working


@dataclass(frozen=True, slots=True)
class CompareScreen:
    """What the Compare view shows; None leaves a part as it is."""

    summary: str
    columns: str
    lower: str
    token: str


@dataclass(frozen=True, slots=True)
class LibraryScreen:
    """What the sidebar and the header show about one library."""

    library_id: str
    choices: tuple[tuple[str, str], ...]
    documents: str
    notice: str
    examples: str
    saved: str
    blank: str
    removable: bool
    settings: WorkspaceSettings
    pairs: tuple[tuple[str, str], ...]


class Handlers:
    """The page's verbs, over services and sessions."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.sessions = Sessions(services)
        self._starters: tuple[tuple[str, str, int], tuple[ExampleQuery, ...]] = (("", "", 0), ())

    # -- arriving --------------------------------------------------------------------------

    def arrive(self, visitor_id: object, library_id: str = "") -> tuple[str, LibraryScreen]:
        """Return the visitor's id and their screen; a library they do not have is the default."""
        visitor = self.sessions.start(visitor_id)
        try:
            return visitor, self.library_screen(visitor, library_id or self._first(visitor))
        except UnknownNameError:
            return visitor, self.library_screen(visitor, self._first(visitor))

    def _first(self, visitor: str) -> str:
        entries = self.services.libraries(visitor)
        ids = [entry.library_id for entry in entries]
        wanted = self.services.default_library_id
        return wanted if wanted in ids or not ids else ids[0]

    def library_screen(self, visitor_id: object, library_id: str) -> LibraryScreen:
        """Return what to show about a library."""
        visitor = self.sessions.require(visitor_id)
        bench = self.services.open_library(visitor, library_id)
        entries = self.services.libraries(visitor)
        entry = next((item for item in entries if item.library_id == library_id), None)
        removable = entry is None or not entry.is_sample
        reports = bench.documents()
        return LibraryScreen(
            library_id=library_id,
            choices=tuple((library_label(item), item.library_id) for item in entries),
            documents=library.documents(reports, removable=removable),
            # While a job is at work its own progress says what is not embedded yet.
            notice=self._arms(bench) if reports and not self._reading(visitor, library_id) else "",
            examples=frame.examples(bench.examples()),
            saved=library.saved(bench.saved_comparisons()),
            blank=frame.blank(
                empty=not reports,
                hosted=self.services.hosted,
                keep_hours=self.services.keep_hours,
                examples=self.starters(library_id, bench),
                reading=self._reading(visitor, library_id),
            ),
            removable=removable,
            settings=bench.settings,
            pairs=self._pairs(bench),
        )

    def _pairs(self, bench: Workbench) -> tuple[tuple[str, str], ...]:
        """Return the pairs on offer, and the one in use where it is of the user's own making."""
        offered = tuple((pair.label, pair.pair_id) for pair in self.services.pairs())
        used = bench.settings.pair_id
        if used in {pair_id for _, pair_id in offered}:
            return offered
        try:
            return (*offered, (bench.pool.registry.pair(used).label, used))
        except CoreError:
            return (*offered, (texts.PAIR_GONE, used))

    def _arms(self, bench: Workbench) -> str:
        try:
            return library.arms(bench.arms())
        except UnknownNameError as error:  # an encoder of its pair was removed
            return library.trouble(str(error))

    def _reading(self, visitor: str, library_id: str) -> bool:
        job = self.sessions.jobs.get((visitor, library_id, "index"))
        return job is not None and job.running

    def files_read(self, visitor_id: object, library_id: str) -> bool:
        """Whether the running job of a library is done with its files, and embeds them now."""
        job = self.sessions.jobs.get((self.sessions.require(visitor_id), library_id, "index"))
        return job is not None and any(
            stage.stage.startswith("embedding") for stage in job.snapshot().stages
        )

    def blank(self, visitor_id: object, library_id: str) -> str | None:
        """Return the screen before a first question; None when there is no such library."""
        try:
            visitor = self.sessions.require(visitor_id)
            return self.library_screen(visitor, library_id).blank
        except CoreError:
            return None

    def arms_notice(self, visitor_id: object, library_id: str) -> str | None:
        """Return what is not ready about the encoders now; None when there is no such library."""
        try:
            bench = self.services.open_library(self.sessions.require(visitor_id), library_id)
            return self._arms(bench) if bench.documents() else ""
        except CoreError:
            return None

    def starters(self, library_id: str, bench: Workbench) -> tuple[ExampleQuery, ...]:
        """Return queries to begin with: the library's own examples, or a few drafted from it."""
        examples = bench.examples()
        if examples or not bench.documents():
            return examples
        passages = bench.library.passages()
        key = (library_id, passages[0].passage_id if passages else "", len(passages))
        if self._starters[0] != key:
            self._starters = (key, drafted(bench, passages))
        return self._starters[1]

    def create_library(self, visitor_id: object, label: str) -> LibraryScreen:
        """Make a library and show it."""
        visitor = self.sessions.require(visitor_id)
        entry = self.services.create_library(visitor, label.strip())
        return self.library_screen(visitor, entry.library_id)

    def delete_library(self, visitor_id: object, library_id: str) -> LibraryScreen:
        """Delete a library of the visitor's own; returns the screen of the default one.

        Raises:
            UsageError: If it is the sample library, or deleting is not offered here.
        """
        visitor = self.sessions.require(visitor_id)
        self.services.open_library(visitor, library_id)
        entries = {entry.library_id: entry for entry in self.services.libraries(visitor)}
        if self.services.delete_library is None or entries[library_id].is_sample:
            raise UsageError(texts.SAMPLE_FIXED)
        self.sessions.jobs.stop((visitor, library_id, "index"))
        self.services.delete_library(visitor, library_id)
        return self.library_screen(visitor, self._first(visitor))

    # -- comparing -------------------------------------------------------------------------

    def compare(self, visitor_id: object, library_id: str, text: str) -> Iterator[CompareScreen]:
        """Ask both encoders; yields the waiting state only when it takes long enough to notice."""
        try:
            visitor = self.sessions.require(visitor_id)
            bench = self.services.open_library(visitor, library_id)
            if not text.strip():
                yield self._blank(library_id, bench, texts.EMPTY_QUERY)
                return
            yield from self._until_embedded(visitor, library_id, bench)
            job = self.sessions.jobs.start(
                (visitor, library_id, "compare"),
                "compare",
                lambda monitor: bench.compare(text, monitor=monitor),
            )
            yield from _waiting(job)
            comparison = job.outcome()
            yield self._screen(visitor, library_id, comparison)
        except StoppedError as error:
            yield CompareScreen("", frame.failure("Stopped", str(error)), "", "")
        except CoreError as error:
            yield CompareScreen("", frame.failure("This did not work", str(error)), "", "")

    def _until_embedded(
        self, visitor: str, library_id: str, bench: Workbench
    ) -> Iterator[CompareScreen]:
        """Wait, with progress on screen, until a library that is being prepared can be asked.

        Somebody else may be at work on it (the start of the program embeds the sample library);
        when nobody is, this starts the work itself.
        """
        before, since = -1, time.monotonic()
        at_work: Job[Any] | None = None
        while True:
            missing = [
                arm
                for arm in bench.arms()
                if not arm.problem and arm.passages_embedded < arm.passages
            ]
            if not missing:
                return
            now = sum(arm.passages_embedded for arm in bench.arms())
            job = self.sessions.jobs.get((visitor, library_id, "index"))
            if at_work is not None and at_work.stop_requested() and not at_work.running:
                raise StoppedError(texts.STOPPED)  # what was stopped is not begun again unasked
            if job is not None and job.running:
                at_work = job
            if now != before or (job is not None and job.running):
                before, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED_SECONDS:
                if job is not None and job.error is not None:
                    return  # it was tried and failed; asking says why
                at_work = self.embed(visitor, library_id)
            if at_work is not None and at_work.running:
                shown = library.progress(at_work.snapshot(), stop="stop-index")
                yield CompareScreen("", columns.skeleton(texts.PREPARING, progress=shown), "", "")
                time.sleep(POLL_SECONDS)
                continue
            counts = "; ".join(
                f"{arm.label}: {arm.passages_embedded:,} of {arm.passages:,} passages"
                for arm in missing
            )
            yield CompareScreen("", columns.skeleton(texts.PREPARING, counts), "", "")
            time.sleep(POLL_SECONDS)

    def _blank(self, library_id: str, bench: Workbench, notice: str = "") -> CompareScreen:
        html = frame.blank(
            empty=not bench.documents(),
            hosted=self.services.hosted,
            keep_hours=self.services.keep_hours,
            examples=self.starters(library_id, bench),
            notice=notice,
        )
        return CompareScreen("", html, "", "")

    def _screen(
        self,
        visitor: str,
        library_id: str,
        comparison: Comparison,
        *,
        saved: bool = False,
    ) -> CompareScreen:
        token = self.sessions.show(visitor, library_id, comparison)
        grades = grades_on(self.services.open_library(visitor, library_id), comparison)
        return CompareScreen(
            summary=summary.summary(comparison, saved=saved),
            columns=columns.columns(comparison, {}, grades),
            lower=(
                f'<div class="bf"><div class="lower">{plots.score_plot(comparison)}'
                f"<div>{measures.measures(comparison)}{summary.received(comparison)}</div>"
                "</div></div>"
            ),
            token=token,
        )

    def marked(self, visitor_id: object, token: object) -> str | None:
        """Return the columns again with the nearest sentence of every hit marked.

        That takes both encoders a while, so the columns are shown before. None when there is
        nothing to mark, or something else is on screen by now.
        """
        try:
            visitor = self.sessions.require(visitor_id)
            shown = self.sessions.shown(visitor, token)
            bench = self.services.open_library(visitor, shown.library_id)
        except CoreError:
            return None
        best = best_sentences(bench, shown.comparison)
        if not self.sessions.mark(visitor, str(token), best) or not best:
            return None
        return columns.columns(shown.comparison, best, grades_on(bench, shown.comparison))

    def equal_limits(
        self, visitor_id: object, token: object, library_id: str = "", text: str = ""
    ) -> Iterator[CompareScreen]:
        """Run the comparison on screen again with one token limit for both arms.

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
            bench = self.services.open_library(visitor, library_id)
            settings = replace(bench.settings, own_limits=False)

            def work(monitor: Monitor) -> Comparison:
                bench.change_settings(settings, monitor=monitor)
                return bench.compare(text, monitor=monitor)

            job = self.sessions.jobs.start((visitor, library_id, "compare"), "compare", work)
            yield from _waiting(job)
            yield self._screen(visitor, library_id, job.outcome())
        except CoreError as error:
            yield CompareScreen("", frame.failure("This did not work", str(error)), "", "")

    # -- one hit ---------------------------------------------------------------------------

    def pane(
        self, visitor_id: object, token: object, passage_id: str, page_number: int | None = None
    ) -> str:
        """Return the page pane of a hit of the comparison on screen."""
        try:
            visitor = self.sessions.require(visitor_id)
            shown = self.sessions.shown(visitor, token)
            bench = self.services.open_library(visitor, shown.library_id)
            return _pane(bench, shown, passage_id, page_number)
        except CoreError as error:
            return frame.pane_problem(str(error))

    # -- keeping ---------------------------------------------------------------------------

    def save(self, visitor_id: object, token: object) -> tuple[dict[str, Any], str, str]:
        """Keep the comparison on screen.

        Returns:
            A command for the page (show the permalink), the list of what is saved, the summary.
        """
        visitor = self.sessions.require(visitor_id)
        shown = self.sessions.shown(visitor, token)
        bench = self.services.open_library(visitor, shown.library_id)
        comparison_id = bench.save_comparison(shown.comparison)
        command = {"do": "link", "library": shown.library_id, "comparison": comparison_id}
        return (
            command,
            library.saved(bench.saved_comparisons()),
            summary.summary(shown.comparison, saved=True),
        )

    def open_saved(self, visitor_id: object, library_id: str, comparison_id: str) -> CompareScreen:
        """Show a kept comparison exactly as it was."""
        try:
            visitor = self.sessions.require(visitor_id)
            bench = self.services.open_library(visitor, library_id)
            comparison = bench.load_comparison(comparison_id)
            return self._screen(visitor, library_id, comparison, saved=True)
        except CoreError:
            return CompareScreen("", frame.failure(texts.LINK_GONE, texts.LINK_GONE_NOW), "", "")

    def export(self, visitor_id: object, token: object, kind: str) -> dict[str, Any]:
        """Return a download for the page to make: never a file on the server."""
        visitor = self.sessions.require(visitor_id)
        shown = self.sessions.shown(visitor, token)
        bench = self.services.open_library(visitor, shown.library_id)
        name, mime, text = exported(bench, shown.comparison, kind)
        return {"do": "download", "name": name, "mime": mime, "text": text}

    # -- the library -----------------------------------------------------------------------

    def upload(
        self, visitor_id: object, library_id: str, files: Sequence[str | Path]
    ) -> tuple[str, Job[IngestionReport] | None, str]:
        """Start reading uploaded files.

        Returns:
            The library they go to (uploads never change the sample), the job, and a remark.
        """
        visitor = self.sessions.require(visitor_id)
        remark = ""
        entry = next(
            (e for e in self.services.libraries(visitor) if e.library_id == library_id), None
        )
        if entry is None or entry.is_sample:
            library_id = self.services.upload_library_id(visitor)
            remark = texts.SAMPLE_UPLOADS
        paths = [Path(file) for file in files]
        limit = self.services.limits.files_per_upload
        if len(paths) > limit:
            for path in paths[limit:]:
                discard(path)
            remark = f"Only the first {limit} files were taken; add the others afterwards."
            paths = paths[:limit]
        if not paths:
            return library_id, None, remark
        job = self._index(visitor, library_id, [(path.name, path, None) for path in paths])
        return library_id, job, remark

    def _index(
        self, visitor: str, library_id: str, files: Sequence[tuple[str, Path, str | None]]
    ) -> Job[IngestionReport]:
        bench = self.services.open_library(visitor, library_id)

        def work(monitor: Monitor) -> IngestionReport:
            sources = [source_file(name, path, password) for name, path, password in files]
            try:
                report = bench.add_files(sources, monitor=monitor)
            except CoreError:
                for _, path, _ in files:
                    discard(path)
                raise
            locked = {skipped.name for skipped in report.skipped if skipped.needs_password}
            for name, path, _ in files:
                if clean(name) in locked or name in locked:
                    self.sessions.hold(visitor, library_id, clean(name), path)
                else:
                    discard(path)
            return report

        return self.sessions.jobs.start((visitor, library_id, "index"), "index", work, heavy=True)

    def index_files(
        self, visitor_id: object, library_id: str, paths: Sequence[Path], password: str | None
    ) -> Job[IngestionReport]:
        """Start reading uploaded files into a library of the visitor's own.

        Raises:
            UsageError: If it is the sample library, or there are no files.
        """
        visitor = self.sessions.require(visitor_id)
        entries = {entry.library_id: entry for entry in self.services.libraries(visitor)}
        if library_id in entries and entries[library_id].is_sample:
            raise UsageError(texts.SAMPLE_FIXED)
        if not paths:
            raise UsageError("There are no files to read; upload at least one.")
        return self._index(visitor, library_id, [(path.name, path, password) for path in paths])

    def password(self, visitor_id: object, token: str, password: str) -> tuple[str, Job[Any]]:
        """Try a password on a file that waits for it."""
        visitor = self.sessions.require(visitor_id)
        file = self.sessions.release(visitor, token)
        return file.library_id, self._index(
            visitor, file.library_id, [(file.name, file.path, password)]
        )

    def forget_file(self, visitor_id: object, token: str) -> str:
        """Drop a file that waits for a password."""
        visitor = self.sessions.require(visitor_id)
        file = self.sessions.release(visitor, token)
        discard(file.path)
        waiting = self.sessions.held(visitor, file.library_id)
        return "".join(library.password_form(key, item.name) for key, item in waiting.items())

    def watch_index(self, visitor_id: object, library_id: str) -> Iterator[tuple[str, bool]]:
        """Yield ``(html, running)`` of the indexing job of a library; nothing when there is none."""
        visitor = self.sessions.require(visitor_id)
        job = self.sessions.jobs.get((visitor, library_id, "index"))
        if job is None:
            return
        for snapshot in job.watch():
            if snapshot.running:
                yield library.progress(snapshot), True
        waiting = {key: item.name for key, item in self.sessions.held(visitor, library_id).items()}
        if job.error is not None:
            words = texts.STOPPED if isinstance(job.error, StoppedError) else str(job.error)
            forms = "".join(library.password_form(key, name) for key, name in waiting.items())
            yield (
                library.trouble(words) + (f'<div class="bf">{forms}</div>' if forms else ""),
                False,
            )
        else:
            report = job.result
            html = library.ingestion(report, waiting) if report is not None else ""  # type: ignore[arg-type]
            yield html, False

    def embed(self, visitor_id: object, library_id: str) -> Job[Any]:
        """Go on embedding what has no vectors yet."""
        visitor = self.sessions.require(visitor_id)
        bench = self.services.open_library(visitor, library_id)
        return self.sessions.jobs.start(
            (visitor, library_id, "index"),
            "index",
            lambda monitor: bench.embed_missing(monitor=monitor),
            heavy=True,
        )

    def change_settings(
        self, visitor_id: object, library_id: str, settings: WorkspaceSettings
    ) -> Job[Any] | None:
        """Keep new settings; returns the job when something has to be made anew."""
        visitor = self.sessions.require(visitor_id)
        bench = self.services.open_library(visitor, library_id)
        if settings == bench.settings:
            return None
        if replace(settings, k=bench.settings.k) == bench.settings:
            bench.change_settings(settings)
            return None
        return self.sessions.jobs.start(
            (visitor, library_id, "index"),
            "index",
            lambda monitor: bench.change_settings(settings, monitor=monitor),
            heavy=True,
        )

    def with_pair(self, visitor_id: object, library_id: str, pair_id: str) -> WorkspaceSettings:
        """Return a library's settings with another pair.

        Raises:
            UnknownNameError: If the pair is not on offer.
        """
        visitor = self.sessions.require(visitor_id)
        bench = self.services.open_library(visitor, library_id)
        if "+" in pair_id:
            bench.pool.registry.arms(pair_id)  # any two encoders side by side
        elif pair_id not in {pair.pair_id for pair in self.services.pairs()}:
            raise UnknownNameError(f"There is no pair named {pair_id!r} here.")
        return replace(bench.settings, pair_id=pair_id)

    def stop(self, visitor_id: object, library_id: str, kind: str = "index") -> bool:
        """Press Stop on a library's job."""
        visitor = self.sessions.require(visitor_id)
        return self.sessions.jobs.stop((visitor, library_id, kind))

    def remove(self, visitor_id: object, library_id: str, doc_id: str) -> LibraryScreen:
        """Forget a document."""
        visitor = self.sessions.require(visitor_id)
        bench = self.services.open_library(visitor, library_id)
        if any(e.is_sample for e in self.services.libraries(visitor) if e.library_id == library_id):
            raise UsageError(texts.SAMPLE_FIXED)
        bench.remove_document(doc_id)
        return self.library_screen(visitor, library_id)


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
        yield CompareScreen("", columns.skeleton(texts.LOADING_COMPARE, detail), "", "")


def drafted(bench: Workbench, passages: Sequence[Passage]) -> tuple[ExampleQuery, ...]:
    """Return a few questions drafted from a library's own passages; none where no rule fits."""
    from core.workbench import ExampleQuery  # late: the page comes before the workbench's rooms

    # Spread over all documents: the first of them may be in a language the rules do not know.
    some = passages[:: max(1, -(-len(passages) // STARTER_PASSAGES))]
    documents = [bench.document(doc_id) for doc_id in dict.fromkeys(one.doc_id for one in some)]
    try:
        found = draft_queries(some, documents, count=STARTER_DRAFTS, seed=0)
    except CoreError:
        return ()
    best = [draft for draft in found if draft.kind in STARTER_KINDS]
    asked = (best or [draft for draft in found if draft.kind is DraftKind.HEADING])[:STARTERS]
    return tuple(
        ExampleQuery(draft.query_id, texts.DRAFTED, draft.text, (draft.passage_id,))
        for draft in asked
    )


def library_label(entry: LibraryEntry) -> str:
    """Return ``Sample library (6 documents, 412 passages)``."""
    documents, passages = plural(entry.documents, "doc"), plural(entry.passages, "passage")
    return f"{entry.label} ({documents}, {passages})"


def best_sentences(bench: Workbench, comparison: Comparison) -> Mapping[str, tuple[int, int]]:
    """Return the nearest sentence of every hit in the columns; none where it cannot be had."""
    shown = dict.fromkeys(
        hit.passage_id
        for column in comparison.columns
        for hit in column.ranking.hits[: comparison.k]
    )
    try:
        return bench.best_sentences(comparison.query.text, tuple(shown))
    except CoreError:
        # A saved comparison may name passages of another chunking: cards without marks then.
        return {}


def _pane(bench: Workbench, shown: Shown, passage_id: str, page_number: int | None) -> str:
    comparison = shown.comparison
    passage = comparison.passage(passage_id)
    document = bench.document(passage.doc_id)
    number = passage.page_first if page_number is None else page_number
    if shown.best is not None and passage_id in shown.best:
        best: tuple[int, int] | None = shown.best[passage_id]
    else:
        best = best_sentences_one(bench, comparison, passage_id)
    received = {}
    try:
        received = bench.received_passage(passage_id)
    except CoreError:
        received = {}
    picture, notice = "", ""
    if not 1 <= number <= len(document.pages):
        raise UnknownNameError(f"{document.name} has no page {number}.")
    if document.media_type != "application/pdf":
        notice = texts.PAGE_TEXT_ONLY
    else:
        sheet = document.pages[number - 1]
        drawn = _drawn(bench, comparison, passage.doc_id, number, passage_id)
        own_page = passage.page_first <= number <= passage.page_last
        if own_page and not any(item.selected and item.boxes for item in drawn):
            notice = texts.PAGE_NO_BOXES
        try:
            image = bench.page_image(passage.doc_id, number, width_pixels=PAGE_WIDTH_PIXELS)
            picture = page.page_image(image, sheet, drawn)
        except CoreError as error:
            notice = str(error)
    return page.pane(
        comparison,
        passage,
        page_number=number,
        pages=len(document.pages) if document.media_type == "application/pdf" else 0,
        picture=picture,
        best=best,
        received=received,
        notice=notice,
    )


def best_sentences_one(
    bench: Workbench, comparison: Comparison, passage_id: str
) -> tuple[int, int] | None:
    """Return the nearest sentence of one passage, None where it cannot be had."""
    try:
        return bench.best_sentences(comparison.query.text, (passage_id,)).get(passage_id)
    except CoreError:
        return None


def _drawn(
    bench: Workbench, comparison: Comparison, doc_id: str, number: int, selected: str
) -> list[page.DrawnPassage]:
    """Return every passage of the comparison's top k that stands on a page."""
    drawn = []
    for passage in comparison.passages:
        if passage.doc_id != doc_id or not passage.page_first <= number <= passage.page_last:
            continue
        ranks = page.drawn_ranks(comparison, passage)
        if not ranks and passage.passage_id != selected:
            continue
        try:
            boxes = bench.passage_boxes(passage.passage_id)
        except CoreError:
            continue
        here = [
            tuple(box)
            for item in boxes
            if item.page_number == number
            for box in item.boxes.tolist()
        ]
        drawn.append(
            page.DrawnPassage(
                passage.passage_id,
                here,
                ranks,
                passage.passage_id == selected,
            )
        )
    return drawn


def clean(name: str) -> str:
    """Return a file's name as the library keeps it."""
    from core.documents import clean_name  # late: it brings the PDF libraries along

    return clean_name(name)


def source_file(name: str, path: Path, password: str | None) -> Any:  # noqa: ANN401  see below
    """Return what `Workbench.add_files` takes."""
    from core.library import SourceFile  # late: it brings the PDF libraries along

    return SourceFile(name=name, path=path, password=password)


def exported(bench: Workbench, comparison: Comparison, kind: str) -> tuple[str, str, str]:
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
        html = html_report(comparison, pictures=bench.pictures(comparison))
        return "comparison.html", "text/html", html
    raise UnknownNameError(f"There is no export named {kind!r}; choose csv, json, trec or html.")


def settings_from(
    now: WorkspaceSettings,
    *,
    k: float,
    unit: str,
    chunk_tokens: float,
    overlap_tokens: float,
    instruction: str,
    max_tokens: float | None,
    own_limits: bool = False,
) -> WorkspaceSettings:
    """Return settings from the page's fields; what it has no field for stays.

    Raises:
        InvalidSettingError: A value that cannot work.
    """
    chunk = int(chunk_tokens)
    return replace(
        now,
        k=int(k),
        chunking=ChunkingSettings(
            unit=Unit(unit), chunk_tokens=chunk, overlap_tokens=min(int(overlap_tokens), chunk // 2)
        ),
        query_instruction=instruction.strip(),
        max_tokens=int(max_tokens or 0),
        own_limits=own_limits,
    )
