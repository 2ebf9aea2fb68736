"""The verbs of Bifocal, one object per library: what the page, the API and the command line call.

A `Workbench` joins a workspace on disk, a library of documents and the encoders of a pair. It
holds no user interface and no globals; it is safe to call from several threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.comparison.records import Comparison
    from core.documents import PageBoxes
    from core.library import SourceFile
    from core.monitor import Monitor
    from core.records import (
        Document,
        DocumentReport,
        Family,
        IngestionReport,
        Passage,
        ReceivedText,
    )
    from core.settings import WorkspaceSettings


@dataclass(frozen=True, slots=True)
class ExampleQuery:
    """A query offered on the page, with the passages known to be right.

    Attributes:
        query_id: Of the sample queries.
        group: ``lookup``, ``paraphrase``, ``long-range`` or ``reasoning``.
        text: The query.
        relevant: Passage ids known to be right under the current chunking.
    """

    query_id: str
    group: str
    text: str
    relevant: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArmStatus:
    """What the page shows about one encoder of the pair.

    Attributes:
        system_id: The encoder's id.
        family: Its colour.
        label: Its name.
        state: ``ready``, ``loading``, ``failed`` or ``not loaded``.
        problem: Why it failed, in a sentence; "" otherwise.
        passages_embedded: Of the current corpus, under the current settings.
        passages: In the current corpus.
    """

    system_id: str
    family: Family
    label: str
    state: str
    problem: str
    passages_embedded: int
    passages: int


@dataclass(frozen=True, slots=True)
class SavedComparison:
    """A line in the list of saved comparisons."""

    comparison_id: str
    query: str
    created: str  # ISO 8601, UTC
    pair_id: str


class Workbench:
    """One library, two encoders, and everything a user can ask of them."""

    # -- library ---------------------------------------------------------------------------

    def add_files(
        self, files: Sequence[SourceFile], *, monitor: Monitor | None = None
    ) -> IngestionReport:
        """Read, chunk and embed files with both arms; bad files are skipped with the reason.

        Raises:
            DiskFullError: What was indexed before stays.
        """
        raise NotImplementedError

    def embed_missing(self, *, monitor: Monitor | None = None) -> IngestionReport:
        """Embed what the current pair and settings have no vectors for (after Stop, or a change)."""
        raise NotImplementedError

    def remove_document(self, doc_id: str) -> None:
        """Forget a document, its passages and its place in the index."""
        raise NotImplementedError

    def documents(self) -> tuple[DocumentReport, ...]:
        """Return a line per document, in order of name."""
        raise NotImplementedError

    def document(self, doc_id: str) -> Document:
        """Return one document whole.

        Raises:
            UnknownNameError: If the library does not hold it.
        """
        raise NotImplementedError

    def passage(self, passage_id: str) -> Passage:
        """Return one passage of the current chunking."""
        raise NotImplementedError

    def passage_count(self) -> int:
        """Return how many passages the current chunking has."""
        raise NotImplementedError

    def arms(self) -> tuple[ArmStatus, ...]:
        """Return the state of both encoders without loading anything."""
        raise NotImplementedError

    # -- settings --------------------------------------------------------------------------

    @property
    def settings(self) -> WorkspaceSettings:
        """What this library remembers."""
        raise NotImplementedError

    def change_settings(
        self, settings: WorkspaceSettings, *, monitor: Monitor | None = None
    ) -> None:
        """Keep new settings; re-chunks when chunking changed. Vectors that fit are reused."""
        raise NotImplementedError

    # -- asking ----------------------------------------------------------------------------

    def compare(
        self, text: str, *, k: int | None = None, monitor: Monitor | None = None
    ) -> Comparison:
        """Ask every system the same query and say where the rankings part.

        Raises:
            InvalidQueryError: Empty or over `MAX_QUERY_CHARS`.
            EmptyLibraryError: Nothing has been indexed.
        """
        raise NotImplementedError

    def received(self, text: str) -> dict[str, ReceivedText]:
        """Return what each encoder gets for a query, by system id."""
        raise NotImplementedError

    def received_passage(self, passage_id: str) -> dict[str, ReceivedText]:
        """Return what each encoder got for a passage, by system id."""
        raise NotImplementedError

    def best_sentences(self, query: str, passage_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return, per passage, the range in its text of the sentence nearest to the query."""
        raise NotImplementedError

    def examples(self) -> tuple[ExampleQuery, ...]:
        """Return the example queries of this library; none for a user's own."""
        raise NotImplementedError

    # -- pages -----------------------------------------------------------------------------

    def page_image(self, doc_id: str, page_number: int, *, width_pixels: int = 1000) -> bytes:
        """Return a page as PNG.

        Raises:
            UnknownNameError: No such document or page, or a plain text document.
        """
        raise NotImplementedError

    def passage_boxes(self, passage_id: str) -> tuple[PageBoxes, ...]:
        """Return where a passage stands on its pages, from stored character boxes."""
        raise NotImplementedError

    # -- keeping ---------------------------------------------------------------------------

    def save_comparison(self, comparison: Comparison) -> str:
        """Keep a comparison; returns the id its permalink uses."""
        raise NotImplementedError

    def saved_comparisons(self) -> tuple[SavedComparison, ...]:
        """Return what was kept, newest first."""
        raise NotImplementedError

    def load_comparison(self, comparison_id: str) -> Comparison:
        """Return a kept comparison exactly as it was."""
        raise NotImplementedError
