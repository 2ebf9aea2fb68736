"""A visitor's libraries: arrival, display, creation and deletion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.documents import ocr_languages
from core.errors import CoreError, UnknownNameError, UsageError
from core.settings import SAMPLE_ID
from core.words import plural
from demo import texts
from demo.presenters import frame, library

if TYPE_CHECKING:
    from core.library.library import Library
    from core.settings import WorkspaceSettings
    from core.visitors import LibraryLine
    from demo.services import Services
    from demo.session import Sessions
    from demo.starters import Starters


@dataclass(frozen=True, slots=True)
class LibraryScreen:
    """Values of the sidebar and the header for one library."""

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
        default = self.services.default_library_id
        try:
            return visitor, self.screen(visitor, library_id or default)
        except UnknownNameError:
            return visitor, self.screen(visitor, default)

    def screen(self, visitor_id: object, library_id: str) -> LibraryScreen:
        """Values that show a library."""
        visitor = self.sessions.require(visitor_id)
        with self.sessions.library(visitor, library_id, look=True) as bench:
            lines = self.services.visitors.libraries(visitor)
            removable = library_id != SAMPLE_ID
            reports = bench.documents()
            reading = self._reading(visitor, library_id)
            return LibraryScreen(
                library_id=library_id,
                choices=tuple((library_label(line), line.library_id) for line in lines),
                documents=library.documents(
                    reports,
                    removable=removable,
                    label=next(one.label for one in lines if one.library_id == library_id),
                    languages=ocr_languages(),
                ),
                # While a job is at work its own progress says what is not embedded yet.
                notice=self._notice(bench) if reports and not reading else "",
                examples=frame.examples(bench.examples()),
                saved=library.saved(bench.saved_comparisons()),
                blank=frame.blank(
                    empty=not reports,
                    hosted=self.services.hosted,
                    keep_hours=self.services.visitors.keep_hours,
                    examples=self.starters.of(library_id, bench),
                    reading=reading,
                ),
                removable=removable,
                settings=bench.settings,
                pairs=self._pairs(bench),
            )

    def blank(self, visitor_id: object, library_id: str) -> str | None:
        """Return the screen before a first question; None when there is no such library."""
        try:
            return self.screen(visitor_id, library_id).blank
        except CoreError:
            return None

    def encoders_notice(self, visitor_id: object, library_id: str) -> str | None:
        """State of encoders that are not ready; None when there is no such library."""
        try:
            with self.sessions.library(visitor_id, library_id, look=True) as bench:
                said = bench.documents() and not self._reading(str(visitor_id), library_id)
                return self._notice(bench) if said else ""
        except CoreError:
            return None

    def create(self, visitor_id: object, label: str) -> LibraryScreen:
        """Make a library and show it."""
        visitor = self.sessions.require(visitor_id)
        return self.screen(visitor, self.services.visitors.create(visitor, label).library_id)

    def delete(self, visitor_id: object, library_id: str) -> LibraryScreen:
        """Delete a library of the visitor's own; returns the screen of the default one.

        Raises:
            UsageError: If it is the sample library.
        """
        visitor = self.sessions.require(visitor_id)
        _require_own(library_id)
        self.services.visitors.delete(visitor, library_id)
        self.sessions.jobs.stop((visitor, library_id, "index"))
        return self.screen(visitor, self.services.default_library_id)

    def remove_document(self, visitor_id: object, library_id: str, doc_id: str) -> LibraryScreen:
        """Forget a document.

        Raises:
            UsageError: If it is of the sample library.
        """
        _require_own(library_id)
        with self.sessions.library(visitor_id, library_id) as bench:
            bench.remove(doc_id)
            return self.screen(visitor_id, library_id)

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

    def _notice(self, bench: Library) -> str:
        try:
            return library.encoders(bench.encoder_status())
        except UnknownNameError as error:  # an encoder of its pair was removed
            return library.trouble(str(error))

    def _reading(self, visitor: str, library_id: str) -> bool:
        job = self.sessions.jobs.get((visitor, library_id, "index"))
        return job is not None and job.running


def _require_own(library_id: str) -> None:
    if library_id == SAMPLE_ID:
        raise UsageError(texts.SAMPLE_FIXED)


def library_label(line: LibraryLine) -> str:
    """Return ``Sample library (6 documents, 412 passages)``."""
    documents, passages = plural(line.documents, "doc"), plural(line.passages, "passage")
    return f"{line.label} ({documents}, {passages})"
