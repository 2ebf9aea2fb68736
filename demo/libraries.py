"""A visitor's libraries: arriving, what is shown about one, making and deleting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import CoreError, UnknownNameError, UsageError
from core.words import plural
from demo import texts
from demo.presenters import frame, library

if TYPE_CHECKING:
    from core.library import Library
    from core.settings import WorkspaceSettings
    from demo.services import LibraryEntry, Services
    from demo.session import Sessions
    from demo.starters import Starters


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


class Libraries:
    """The verbs about libraries as a whole."""

    def __init__(self, services: Services, sessions: Sessions, starters: Starters) -> None:
        self.services = services
        self.sessions = sessions
        self.starters = starters

    def arrive(self, visitor_id: object, library_id: str = "") -> tuple[str, LibraryScreen]:
        """Return the visitor's id and their screen; a library they do not have is the default."""
        visitor = self.sessions.start(visitor_id)
        try:
            return visitor, self.screen(visitor, library_id or self._first(visitor))
        except UnknownNameError:
            return visitor, self.screen(visitor, self._first(visitor))

    def screen(self, visitor_id: object, library_id: str) -> LibraryScreen:
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
                examples=self.starters.of(library_id, bench),
                reading=self._reading(visitor, library_id),
            ),
            removable=removable,
            settings=bench.settings,
            pairs=self._pairs(bench),
        )

    def blank(self, visitor_id: object, library_id: str) -> str | None:
        """Return the screen before a first question; None when there is no such library."""
        try:
            visitor = self.sessions.require(visitor_id)
            return self.screen(visitor, library_id).blank
        except CoreError:
            return None

    def arms_notice(self, visitor_id: object, library_id: str) -> str | None:
        """Return what is not ready about the encoders now; None when there is no such library."""
        try:
            bench = self.services.open_library(self.sessions.require(visitor_id), library_id)
            return self._arms(bench) if bench.documents() else ""
        except CoreError:
            return None

    def create(self, visitor_id: object, label: str) -> LibraryScreen:
        """Make a library and show it."""
        visitor = self.sessions.require(visitor_id)
        entry = self.services.create_library(visitor, label.strip())
        return self.screen(visitor, entry.library_id)

    def delete(self, visitor_id: object, library_id: str) -> LibraryScreen:
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
        return self.screen(visitor, self._first(visitor))

    def remove_document(self, visitor_id: object, library_id: str, doc_id: str) -> LibraryScreen:
        """Forget a document."""
        visitor = self.sessions.require(visitor_id)
        bench = self.services.open_library(visitor, library_id)
        if any(e.is_sample for e in self.services.libraries(visitor) if e.library_id == library_id):
            raise UsageError(texts.SAMPLE_FIXED)
        bench.remove(doc_id)
        return self.screen(visitor, library_id)

    def _first(self, visitor: str) -> str:
        entries = self.services.libraries(visitor)
        ids = [entry.library_id for entry in entries]
        wanted = self.services.default_library_id
        return wanted if wanted in ids or not ids else ids[0]

    def _pairs(self, bench: Library) -> tuple[tuple[str, str], ...]:
        """Return the pairs on offer, and the one in use where it is of the user's own making."""
        offered = tuple((pair.label, pair.pair_id) for pair in self.services.pairs())
        used = bench.settings.pair_id
        if used in {pair_id for _, pair_id in offered}:
            return offered
        try:
            return (*offered, (bench.pool.registry.pair(used).label, used))
        except CoreError:
            return (*offered, (texts.PAIR_GONE, used))

    def _arms(self, bench: Library) -> str:
        try:
            return library.arms(bench.encoder_status())
        except UnknownNameError as error:  # an encoder of its pair was removed
            return library.trouble(str(error))

    def _reading(self, visitor: str, library_id: str) -> bool:
        job = self.sessions.jobs.get((visitor, library_id, "index"))
        return job is not None and job.running


def library_label(entry: LibraryEntry) -> str:
    """Return ``Sample library (6 documents, 412 passages)``."""
    documents, passages = plural(entry.documents, "doc"), plural(entry.passages, "passage")
    return f"{entry.label} ({documents}, {passages})"
