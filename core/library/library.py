"""A library: documents that were read, cut into passages, embedded, and can be searched.

Several threads may call it at once (a web server does). Long work (reading, embedding) goes one at
a time; searching goes on meanwhile over the last complete view, which is replaced in one step and
never changed. A document is searched when every encoder that is asked has all of its passages, so
all systems always search the same passages.

`Library` is the face; the work is done by `adding` (a file in), `indexing` (passages through the
encoders), `documents` (whole documents), `corpus` (present passages), `vectors` and `views`.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from core.errors import StoppedError, UnknownNameError
from core.library.adding import READING, FileAdder, FileMonitor
from core.library.corpus import CurrentCorpus
from core.library.documents import KeptDocuments, document_report
from core.library.indexing import PassageEmbedder
from core.library.ingestion import Ingestion
from core.library.vectors import PassageVectors
from core.library.views import Views
from core.monitor import SilentMonitor
from core.settings import ExtractionLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from core.encoders.protocol import Encoder
    from core.library.corpus import CountTokens
    from core.library.files import SourceFile
    from core.library.indexing import EncoderProvider
    from core.library.views import SearchView
    from core.monitor import Monitor
    from core.records import Document, DocumentReport, IngestionReport, Passage, SystemInfo
    from core.search import ScoreBackground, Searcher
    from core.settings import ChunkingSettings, WorkspaceSettings
    from core.store import Workspace


class Library:
    """Documents of one workspace, searchable by any encoders.

    Args:
        workspace: Where everything is kept; open, and closed by its owner.
        encoders: Gives an encoder by id, loading it when needed.
        count_tokens: The neutral counter for passage budgets, for many texts at once.
        limits: What reading one file may cost.
        before_embedding: Called when documents were read and are about to be embedded.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        encoders: EncoderProvider,
        count_tokens: CountTokens,
        limits: ExtractionLimits | None = None,
        before_embedding: Callable[[Monitor], None] | None = None,
    ) -> None:
        limits = limits or ExtractionLimits()
        self.workspace = workspace
        self._ingesting = threading.Lock()  # held through long work
        self._documents = KeptDocuments(workspace, limits=limits)
        self._corpus = CurrentCorpus(workspace, self._documents, count_tokens=count_tokens)
        self._vectors = PassageVectors(workspace)
        self._adder = FileAdder(
            workspace,
            documents=self._documents,
            corpus=self._corpus,
            count_tokens=count_tokens,
            limits=limits,
        )
        self._embedder = PassageEmbedder(
            workspace,
            documents=self._documents,
            corpus=self._corpus,
            encoders=encoders,
            before_embedding=before_embedding,
        )
        self._views = Views(
            workspace,
            corpus=self._corpus,
            vectors=self._vectors,
            encoders=encoders,
            indexing=self._ingesting.locked,
        )

    # -- adding ----------------------------------------------------------------------------

    def add_files(
        self,
        files: Sequence[SourceFile],
        *,
        encoder_ids: Sequence[str] = (),
        monitor: Monitor | None = None,
    ) -> IngestionReport:
        """Read, cut and embed files; a bad one is skipped with the reason and the batch goes on.

        Stop keeps what was finished; adding the same files again, or `embed_missing`, goes on
        from there.

        Args:
            files: In any order; the order does not change what is found later.
            encoder_ids: Embed with these, after all files were read.
            monitor: Told of every step, asked whether to stop.

        Raises:
            DiskFullError: What was finished before stays.
            EncoderError: After the other encoders have finished; the documents stay.
        """
        monitor = monitor or SilentMonitor()
        with self._ingesting:
            ingestion = Ingestion()
            try:
                for number, file in enumerate(files):
                    progress = FileMonitor(monitor, number, len(files))
                    self._adder.add(file, ingestion, progress)
                    progress.finished(READING)
                self._embedder.embed(encoder_ids, ingestion, monitor)
            except StoppedError:
                ingestion.stopped = True
            report = ingestion.report()
            self.workspace.put_report(json.dumps(asdict(report)))
            return report

    def embed_missing(
        self, encoder_ids: Sequence[str], *, monitor: Monitor | None = None
    ) -> IngestionReport:
        """Embed what these encoders have no vectors for. Errors as in `add_files`."""
        monitor = monitor or SilentMonitor()
        with self._ingesting:
            ingestion = Ingestion()
            try:
                self._embedder.embed(encoder_ids, ingestion, monitor)
            except StoppedError:
                ingestion.stopped = True
            return ingestion.report()

    # -- changing --------------------------------------------------------------------------

    @property
    def settings(self) -> WorkspaceSettings:
        """What this library remembers."""
        return self.workspace.settings()

    def remove(self, doc_id: str) -> None:
        """Forget a document, its passages and its vectors; judgments on it stay.

        Raises:
            UnknownNameError: If it is not here.
        """
        self.workspace.remove_document(doc_id)
        self._documents.forget(doc_id)
        self._corpus.changed(epoch=True)

    def rechunk(
        self,
        chunking: ChunkingSettings,
        *,
        encoder_ids: Sequence[str] = (),
        monitor: Monitor | None = None,
    ) -> IngestionReport:
        """Cut all documents anew and embed what that makes necessary.

        Documents and judgments stay, and so do vectors and passages of the chunking before, so
        that going back costs nothing. The new chunking counts when every document has been cut;
        Stop before that leaves the old one.

        Raises:
            DiskFullError: The old chunking stays.
            EncoderError: As in `add_files`.
        """
        monitor = monitor or SilentMonitor()
        with self._ingesting:
            ingestion = Ingestion()
            try:
                self._corpus.cut(chunking, monitor)
                self.workspace.put_settings(replace(self.settings, chunking=chunking))
                self._corpus.changed(epoch=True)
                self._embedder.embed(encoder_ids, ingestion, monitor)
            except StoppedError:
                ingestion.stopped = True
            return ingestion.report()

    # -- looking ---------------------------------------------------------------------------

    def documents(self) -> tuple[DocumentReport, ...]:
        """Return a line per document, ordered by name."""
        chunked = self.workspace.chunked(self.settings.chunking.key)
        return tuple(
            document_report(stored, chunked.get(stored.doc_id, (0, 0)))
            for stored in self.workspace.documents()
        )

    def document(self, doc_id: str) -> Document:
        """Return a document whole; one whose record is damaged is read again from its file.

        Raises:
            UnknownNameError: If it is not here.
            WorkspaceDamagedError: If the file is damaged as well.
        """
        return self._documents.get(doc_id)

    def source(self, doc_id: str) -> bytes:
        """Return the file of a document as it was given; errors as in `Workspace`."""
        return self.workspace.document_source(doc_id)

    def password(self, doc_id: str) -> str | None:
        """Return the password a document was added with in this process, if any."""
        return self._documents.password(doc_id)

    def passages(self) -> tuple[Passage, ...]:
        """Return the passages of the current chunking, ordered by id, embedded or not."""
        return self._corpus.get().passages

    def passage(self, passage_id: str) -> Passage:
        """Return one passage of the current chunking.

        Raises:
            UnknownNameError: If it is not here.
        """
        try:
            return self._corpus.get().by_id[passage_id]
        except KeyError:
            msg = f"Passage {passage_id[:60]!r} is not in this library under its settings."
            raise UnknownNameError(msg) from None

    def embedded_count(self, fingerprint: str, *, late_chunking: bool = False) -> int:
        """Return how many current passages have a vector under this passage fingerprint."""
        passages = self._corpus.get().passages
        waiting = self._vectors.waiting(fingerprint, passages, late_chunking=late_chunking)
        return len(passages) - len(waiting)

    # -- searching -------------------------------------------------------------------------

    def searcher(self, systems: Sequence[SystemInfo]) -> Searcher:
        """Return a searcher over what is embedded; errors as in `view`."""
        return self.view(systems).searcher

    def view(self, systems: Sequence[SystemInfo]) -> SearchView:
        """Return what can be searched now by these systems.

        Args:
            systems: ``Family.LEXICAL`` is BM25, ``Family.FUSION`` fuses the encoders among them;
                for all others the system id is an encoder id. An encoder that cannot be had
                stands as a failure in its place.

        Raises:
            EmptyLibraryError: If no document is ready.
        """
        return self._views.get(systems)

    def embeddings(self, encoder: Encoder, passages: Sequence[Passage]) -> NDArray[np.float32]:
        """Return ``(n, dim)`` float32 of passages that are embedded.

        Raises:
            IndexMismatchError: If one of them is not.
        """
        return self._vectors.of(encoder, passages)

    def background(
        self, encoder: Encoder, view: SearchView, *, monitor: Monitor | None = None
    ) -> ScoreBackground:
        """Return the encoder's score background on what a view searches; kept once computed."""
        return self._views.background(encoder, view, monitor=monitor)
