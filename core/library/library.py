"""A library: documents that were read, cut into passages, embedded, and can be searched.

Several threads may call it at once (a web server does). Long work (reading, embedding) goes one at
a time; searching goes on meanwhile over the last complete view, which is replaced in one step and
never changed. A document is searched when every encoder that is asked has all of its passages, so
all systems always search the same passages.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, cast

from core.documents import (
    chunk_document,
    clean_name,
    document_from_bytes,
    document_to_bytes,
    read_document,
)
from core.errors import (
    CoreError,
    DocumentError,
    EmptyLibraryError,
    EncoderError,
    EncryptedPdfError,
    StoppedError,
    UnknownNameError,
    WorkspaceDamagedError,
    WrongPasswordError,
)
from core.library.embedding import (
    EmbeddingCounts,
    embed_in_context,
    embed_texts,
    embedding_stage,
)
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.records import DocumentReport, Family, IngestionReport, SkippedFile
from core.search import (
    DenseIndex,
    DenseSystem,
    FusedSystem,
    LexicalIndex,
    LexicalSystem,
    QueryEmbeddings,
    ScoreBackground,
    Searcher,
    UnavailableSystem,
    corpus_key,
    score_background,
)
from core.search.background import BACKGROUND_VERSION
from core.settings import ExtractionLimits
from core.store import in_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from core.encoders.protocol import ContextEncoder, Encoder
    from core.library.files import SourceFile
    from core.records import Document, Passage, SystemInfo
    from core.search import System
    from core.settings import ChunkingSettings, WorkspaceSettings
    from core.store import StoredDocument, Workspace

    EncoderProvider = Callable[[str], Encoder]
    CountTokens = Callable[[Sequence[str]], Sequence[int]]

DOCUMENTS_IN_MEMORY = 4
GROUP_PASSAGES = 512  # embedded by every encoder before the next group: finished documents early
VECTOR_BLOCK_ROWS = 16_384
VIEW_AGE_FACTOR = 10.0
READING = "reading"
CHUNKING = "chunking"


@dataclass(frozen=True, slots=True, eq=False)
class _Corpus:
    """All passages of one chunking, ordered by id. Replaced as a whole, never changed."""

    version: int
    passages: tuple[Passage, ...]
    by_id: Mapping[str, Passage]


@dataclass(frozen=True, slots=True, eq=False)
class SearchView:
    """What can be searched right now.

    Attributes:
        searcher: Asks every system.
        passages: The passages searched, ordered by id.
        by_id: The same by id.
        corpus_key: Hash of the passages.
        pending_documents: Ids of documents left out until every encoder has embedded them.
    """

    searcher: Searcher
    passages: tuple[Passage, ...]
    by_id: Mapping[str, Passage]
    corpus_key: str
    pending_documents: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _BuiltView:
    """The last view made, and what decides whether it still serves."""

    asked: object
    version: int
    epoch: int
    built_at: float
    build_seconds: float
    view: SearchView


@dataclass(slots=True)
class _Ingestion:
    """What one call to `Library.add_files` has come to so far."""

    documents: list[DocumentReport] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    embedded: Counter[str] = field(default_factory=Counter)
    reused: Counter[str] = field(default_factory=Counter)
    stopped: bool = False
    started: float = field(default_factory=time.perf_counter)

    def report(self) -> IngestionReport:
        return IngestionReport(
            documents=tuple(self.documents),
            skipped=tuple(self.skipped),
            passages_embedded=dict(self.embedded),
            passages_reused=dict(self.reused),
            seconds=time.perf_counter() - self.started,
            stopped=self.stopped,
        )


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
        self.workspace = workspace
        self._before_embedding = before_embedding
        self._encoders = encoders
        self._count_tokens = count_tokens
        self._limits = limits or ExtractionLimits()
        self._ingesting = threading.Lock()  # held through long work
        self._lock = threading.RLock()  # held for moments, guards what follows
        self._version = 0  # of what could be searched
        self._epoch = 0  # raised when a view made before must not be used any more
        self._corpus: _Corpus | None = None
        self._built: _BuiltView | None = None
        self._building = threading.Lock()
        self._query_embeddings = QueryEmbeddings()
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._passwords: dict[str, str] = {}

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
            ingestion = _Ingestion()
            try:
                for number, file in enumerate(files):
                    progress = _FileMonitor(monitor, number, len(files))
                    self._add_file(file, ingestion, progress)
                    progress.finished(READING)
                self._embed(encoder_ids, ingestion, monitor)
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
            ingestion = _Ingestion()
            try:
                self._embed(encoder_ids, ingestion, monitor)
            except StoppedError:
                ingestion.stopped = True
            return ingestion.report()

    def _add_file(self, file: SourceFile, ingestion: _Ingestion, monitor: _FileMonitor) -> None:
        name = clean_name(file.name)
        raise_if_stopped(monitor)
        monitor.starting(READING, name)
        try:
            source = file.read(limit_bytes=self._limits.file_bytes)
            sha256 = hashlib.sha256(source).hexdigest()
            doc_id = f"d{sha256[:16]}"
            known = self._intact_document(doc_id)
            if known is not None:
                ingestion.documents.append(
                    replace(self._report(known), name=name, duplicate_of=known.name)
                )
                if file.password is not None:
                    self._remember_password(doc_id, file.password)
                return
            document = read_document(
                source, file.name, limits=self._limits, password=file.password, monitor=monitor
            )
        except DocumentError as exc:
            needs_password = isinstance(exc, EncryptedPdfError | WrongPasswordError)
            ingestion.skipped.append(SkippedFile(name, str(exc), needs_password=needs_password))
            return
        except CoreError:
            raise
        except Exception as exc:  # noqa: BLE001 - one file must never end the batch
            reason = (
                f'"{name}" could not be read: its reader failed ({type(exc).__name__}). '
                "Save it again with another program and upload it once more."
            )
            ingestion.skipped.append(SkippedFile(name, reason))
            return
        monitor.starting(CHUNKING, name)
        chunking = self.settings.chunking
        passages = chunk_document(document, count_tokens=self._count_tokens, settings=chunking)
        stored = self.workspace.put_document(
            document, source=source, record=document_to_bytes(document)
        )
        self.workspace.put_passages(chunking.key, document.doc_id, passages)
        if file.password is not None:
            self._remember_password(document.doc_id, file.password)
        monitor.finished(CHUNKING)
        tokens = sum(passage.token_count for passage in passages)
        ingestion.documents.append(self._report(stored, counts=(len(passages), tokens)))
        self._grown(passages, chunking)

    def _intact_document(self, doc_id: str) -> StoredDocument | None:
        """Return the line about a document that is here and undamaged."""
        if not self.workspace.has_document(doc_id):
            return None
        try:
            self.workspace.document_record(doc_id)
            self.workspace.document_source(doc_id)
        except WorkspaceDamagedError:
            return None  # read it again from the file in hand
        return self.workspace.stored_document(doc_id)

    def _embed(self, encoder_ids: Sequence[str], ingestion: _Ingestion, monitor: Monitor) -> None:
        if not encoder_ids:
            return
        groups = list(_groups(self._current_corpus().passages))
        total = sum(len(group) for group in groups)
        if not total:
            return
        if self._before_embedding is not None:
            self._before_embedding(monitor)
        failure: EncoderError | None = None
        encoders: dict[str, Encoder] = {}
        for encoder_id in encoder_ids:
            try:
                encoders[encoder_id] = self._encoders(encoder_id)
                # What is still to come is in sight from the start.
                monitor.report(Progress(embedding_stage(encoders[encoder_id]), 0, total))
            except EncoderError as exc:
                failure = failure or exc
        done = 0
        for group in groups:
            for encoder_id, encoder in list(encoders.items()):
                try:
                    counts = self._embed_group(encoder, group, monitor, done=done, total=total)
                except EncoderError as exc:
                    failure = failure or exc
                    del encoders[encoder_id]
                    continue
                finally:
                    self._changed(vectors_only=True)
                ingestion.embedded[encoder_id] += counts.embedded
                ingestion.reused[encoder_id] += counts.reused
            done += len(group)
        if failure is not None:
            raise failure

    def _embed_group(
        self,
        encoder: Encoder,
        group: Sequence[Passage],
        monitor: Monitor,
        *,
        done: int,
        total: int,
    ) -> EmbeddingCounts:
        """Embed the passages of whole documents: each by itself, or each in its document's light."""
        if not encoder.spec.late_chunking:
            texts = [passage.text for passage in group]
            return embed_texts(
                self.workspace, encoder, texts, monitor=monitor, done_before=done, total=total
            )
        embedded = reused = 0
        for doc_id, members in groupby(group, key=lambda passage: passage.doc_id):
            counts = embed_in_context(
                self.workspace,
                cast("ContextEncoder", encoder),
                self.document(doc_id),
                tuple(members),
                chunking=self.settings.chunking.key,
                monitor=monitor,
                done_before=done + embedded + reused,
                total=total,
            )
            embedded += counts.embedded
            reused += counts.reused
        return EmbeddingCounts(embedded, reused)

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
        with self._lock:
            self._documents.pop(doc_id, None)
            self._passwords.pop(doc_id, None)
        self._changed(epoch=True)

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
            ingestion = _Ingestion()
            try:
                self._chunk_missing(chunking, monitor)
                self.workspace.put_settings(replace(self.settings, chunking=chunking))
                self._changed(epoch=True)
                self._embed(encoder_ids, ingestion, monitor)
            except StoppedError:
                ingestion.stopped = True
            return ingestion.report()

    def _chunk_missing(self, chunking: ChunkingSettings, monitor: Monitor) -> None:
        """Cut every document that has no passages under a chunking."""
        done = self.workspace.chunked(chunking.key)
        waiting = [d for d in self.workspace.documents() if d.doc_id not in done]
        for number, stored in enumerate(waiting):
            raise_if_stopped(monitor)
            monitor.report(Progress(CHUNKING, number, len(waiting), stored.name))
            passages = chunk_document(
                self.document(stored.doc_id), count_tokens=self._count_tokens, settings=chunking
            )
            self.workspace.put_passages(chunking.key, stored.doc_id, passages)
        if waiting:
            monitor.report(Progress(CHUNKING, len(waiting), len(waiting)))

    # -- looking ---------------------------------------------------------------------------

    def documents(self) -> tuple[DocumentReport, ...]:
        """Return a line per document, ordered by name."""
        chunked = self.workspace.chunked(self.settings.chunking.key)
        return tuple(
            self._report(stored, counts=chunked.get(stored.doc_id, (0, 0)))
            for stored in self.workspace.documents()
        )

    def document(self, doc_id: str) -> Document:
        """Return a document whole; one whose record is damaged is read again from its file.

        Raises:
            UnknownNameError: If it is not here.
            WorkspaceDamagedError: If the file is damaged as well.
        """
        with self._lock:
            if doc_id in self._documents:
                self._documents.move_to_end(doc_id)
                return self._documents[doc_id]
        try:
            document = document_from_bytes(self.workspace.document_record(doc_id))
        except WorkspaceDamagedError:
            document = self._read_again(doc_id)
        with self._lock:
            self._documents[doc_id] = document
            while len(self._documents) > DOCUMENTS_IN_MEMORY:
                self._documents.popitem(last=False)
        return document

    def _read_again(self, doc_id: str) -> Document:
        source = self.workspace.document_source(doc_id)
        stored = self.workspace.stored_document(doc_id)
        try:
            document = read_document(
                source, stored.name, limits=self._limits, password=self.password(doc_id)
            )
        except DocumentError as exc:
            msg = f'What was kept of "{stored.name}" is damaged. Upload the document again. ({exc})'
            raise WorkspaceDamagedError(msg) from exc
        if not self.workspace.read_only:
            self.workspace.put_document(document, source=source, record=document_to_bytes(document))
            self.workspace.record_damage(
                f"documents/{doc_id}/record",
                f'What was kept of "{stored.name}" was damaged; it was read again from its file.',
            )
        return document

    def source(self, doc_id: str) -> bytes:
        """Return the file of a document as it was given; errors as in `Workspace`."""
        return self.workspace.document_source(doc_id)

    def password(self, doc_id: str) -> str | None:
        """Return the password a document was added with in this process, if any."""
        with self._lock:
            return self._passwords.get(doc_id)

    def passages(self) -> tuple[Passage, ...]:
        """Return the passages of the current chunking, ordered by id, embedded or not."""
        return self._current_corpus().passages

    def passage(self, passage_id: str) -> Passage:
        """Return one passage of the current chunking.

        Raises:
            UnknownNameError: If it is not here.
        """
        try:
            return self._current_corpus().by_id[passage_id]
        except KeyError:
            msg = f"Passage {passage_id[:60]!r} is not in this library under its settings."
            raise UnknownNameError(msg) from None

    def embedded_count(self, fingerprint: str, *, late_chunking: bool = False) -> int:
        """Return how many current passages have a vector under this passage fingerprint."""
        passages = self._current_corpus().passages
        texts = self._kept_under(passages, late_chunking=late_chunking)
        missing = {texts[i] for i in self.workspace.missing(fingerprint, texts)}
        return sum(text not in missing for text in texts)

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
        encoders: dict[str, Encoder] = {}
        unavailable: dict[str, str] = {}
        for info in systems:
            if info.family not in (Family.LEXICAL, Family.FUSION):
                try:
                    encoders[info.system_id] = self._encoders(info.system_id)
                except EncoderError as exc:
                    unavailable[info.system_id] = str(exc)
        fingerprints = tuple(sorted((name, e.fingerprint) for name, e in encoders.items()))
        asked = (tuple(systems), fingerprints, tuple(sorted(unavailable.items())))
        view = self._ready_view(asked)
        if view is not None:
            return view
        with self._building:  # one thread builds, the others wait for what it makes
            view = self._ready_view(asked)
            if view is None:
                with self._lock:
                    version, epoch = self._version, self._epoch
                started = time.monotonic()
                view = self._build_view(systems, encoders, unavailable)
                now = time.monotonic()
                with self._lock:
                    self._built = _BuiltView(asked, version, epoch, now, now - started, view)
            return view

    def _ready_view(self, asked: object) -> SearchView | None:
        with self._lock:
            built = self._built
            if built is None or (built.asked, built.epoch) != (asked, self._epoch):
                return None
            if built.version == self._version:
                return built.view
            # While more is being indexed the last view serves on for a while: building one after
            # every few passages of a large library would leave no time for anything else.
            age = time.monotonic() - built.built_at
            fresh = age < VIEW_AGE_FACTOR * built.build_seconds
            return built.view if fresh and self._ingesting.locked() else None

    def _build_view(
        self,
        systems: Sequence[SystemInfo],
        encoders: Mapping[str, Encoder],
        unavailable: Mapping[str, str],
    ) -> SearchView:
        corpus = self._current_corpus()
        pending: set[str] = set()
        for encoder in encoders.values():
            texts = self._texts_of(encoder, corpus.passages)
            missing = {texts[i] for i in self.workspace.missing(encoder.passage_fingerprint, texts)}
            if missing:
                placed = zip(corpus.passages, texts, strict=True)
                pending |= {passage.doc_id for passage, text in placed if text in missing}
        passages = tuple(p for p in corpus.passages if p.doc_id not in pending)
        if not passages:
            msg = (
                "The documents are not embedded yet; wait for indexing to finish, or start it again."
                if corpus.passages
                else "Nothing has been indexed yet. Add documents first."
            )
            raise EmptyLibraryError(msg)
        key = corpus_key(passages)
        ids = tuple(passage.passage_id for passage in passages)
        ready_texts = [passage.text for passage in passages]
        members = tuple(info.system_id for info in systems if info.system_id in encoders)
        built: list[System] = []
        for info in systems:
            if info.system_id in unavailable:
                built.append(UnavailableSystem(info, unavailable[info.system_id]))
            elif info.family is Family.LEXICAL:
                lexical = self._last_lexical(key) or LexicalIndex(ids, ready_texts)
                built.append(LexicalSystem(info, lexical))
            elif info.family is Family.FUSION:
                built.append(FusedSystem(info, members))
            else:
                encoder = encoders[info.system_id]
                kept = self._texts_of(encoder, passages)
                index = DenseIndex(ids, self._vector_blocks(encoder.passage_fingerprint, kept))
                built.append(DenseSystem(info, encoder, index))
        return SearchView(
            searcher=Searcher(built, query_embeddings=self._query_embeddings),
            passages=passages,
            by_id={passage.passage_id: passage for passage in passages},
            corpus_key=key,
            pending_documents=tuple(sorted(pending)),
        )

    def _last_lexical(self, key: str) -> LexicalIndex | None:
        """Return the last view's BM25 when it is over the very same passages."""
        with self._lock:
            built = self._built
        if built is not None and built.view.corpus_key == key:
            for system in built.view.searcher.systems:
                if isinstance(system, LexicalSystem):
                    return system.index
        return None

    def _texts_of(self, encoder: Encoder, passages: Sequence[Passage]) -> list[str]:
        return self._kept_under(passages, late_chunking=encoder.spec.late_chunking)

    def _kept_under(self, passages: Sequence[Passage], *, late_chunking: bool) -> list[str]:
        """What the vectors of passages are kept under: their text, or their text in its place."""
        if not late_chunking:
            return [passage.text for passage in passages]
        chunking = self.settings.chunking.key
        return [in_context(chunking, p.passage_id, p.text) for p in passages]

    def _vector_blocks(
        self, fingerprint: str, texts: Sequence[str]
    ) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(texts), VECTOR_BLOCK_ROWS):
            yield self.workspace.vectors(fingerprint, texts[start : start + VECTOR_BLOCK_ROWS])

    def embeddings(self, encoder: Encoder, passages: Sequence[Passage]) -> NDArray[np.float32]:
        """Return ``(n, dim)`` float32 of passages that are embedded.

        Raises:
            IndexMismatchError: If one of them is not.
        """
        texts = self._texts_of(encoder, passages)
        return self.workspace.vectors(encoder.passage_fingerprint, texts)

    def background(
        self, encoder: Encoder, view: SearchView, *, monitor: Monitor | None = None
    ) -> ScoreBackground:
        """Return the encoder's score background on what a view searches; kept once computed."""
        key = f"background:{BACKGROUND_VERSION}:{encoder.fingerprint}:{view.corpus_key}"
        kept = self.workspace.cached_result(key)
        if kept is not None:
            try:
                return ScoreBackground.from_bytes(
                    kept, fingerprint=encoder.fingerprint, corpus_key=view.corpus_key
                )
            except WorkspaceDamagedError:
                pass  # an older layout; computed again below
        background = score_background(
            encoder, view.passages, self.embeddings(encoder, view.passages), monitor=monitor
        )
        if not self.workspace.read_only:
            self.workspace.cache_result(key, background.to_bytes())
        return background

    # -- inside ----------------------------------------------------------------------------

    def _current_corpus(self) -> _Corpus:
        with self._lock:
            corpus = self._corpus
            version = self._version
        if corpus is not None:
            return corpus
        chunking = self.settings.chunking
        passages = self.workspace.passages(chunking.key)
        known = self.workspace.chunked(chunking.key)
        if any(stored.doc_id not in known for stored in self.workspace.documents()):
            # After damage, or a chunking nobody has asked for before.
            self._chunk_missing(chunking, SilentMonitor())
            passages = self.workspace.passages(chunking.key)
        corpus = _Corpus(version, passages, {passage.passage_id: passage for passage in passages})
        with self._lock:
            if self._version == version:
                self._corpus = corpus
        return corpus

    def _changed(self, *, vectors_only: bool = False, epoch: bool = False) -> None:
        with self._lock:
            self._version += 1
            self._epoch += epoch
            if not vectors_only:
                self._corpus = None

    def _grown(self, passages: Sequence[Passage], chunking: ChunkingSettings) -> None:
        """Take in the passages of one more document without reading all others again."""
        with self._lock:
            self._version += 1
            old = self._corpus
            if old is None or self.settings.chunking != chunking:
                self._corpus = None
                return
            doc_ids = {passage.doc_id for passage in passages}
            kept = [passage for passage in old.passages if passage.doc_id not in doc_ids]
            merged = tuple(sorted([*kept, *passages], key=lambda passage: passage.passage_id))
            by_id = {passage.passage_id: passage for passage in merged}
            self._corpus = _Corpus(self._version, merged, by_id)

    def _remember_password(self, doc_id: str, password: str) -> None:
        with self._lock:
            self._passwords[doc_id] = password

    def _report(
        self, stored: StoredDocument, *, counts: tuple[int, int] | None = None
    ) -> DocumentReport:
        if counts is None:
            chunked = self.workspace.chunked(self.settings.chunking.key)
            counts = chunked.get(stored.doc_id, (0, 0))
        return DocumentReport(
            doc_id=stored.doc_id,
            name=stored.name,
            pages=stored.pages,
            pages_with_text=stored.pages_with_text,
            scanned_pages=stored.scanned_pages,
            passages=counts[0],
            tokens=counts[1],
            warnings=stored.warnings,
        )


def _groups(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    """Yield the passages of whole documents together, in groups of a size worth a batch."""
    group: list[Passage] = []
    last = ""
    for passage in passages:  # ordered by id, so by document
        if passage.doc_id != last and len(group) >= GROUP_PASSAGES:
            yield group
            group = []
        last = passage.doc_id
        group.append(passage)
    if group:
        yield group


class _FileMonitor:
    """Adds to every report which file of how many it is about."""

    def __init__(self, outer: Monitor, number: int, count: int) -> None:
        self._outer = outer
        self._place = f"file {number + 1} of {count}"
        self._number = number
        self._count = count
        self._name = ""

    def starting(self, stage: str, name: str) -> None:
        self._name = name
        self._outer.report(Progress(stage, self._number, self._count, f"{name} ({self._place})"))

    def finished(self, stage: str) -> None:
        self._outer.report(Progress(stage, self._number + 1, self._count))

    def report(self, progress: Progress) -> None:
        """Pass on an inner report: pages of the file in hand."""
        self._outer.report(replace(progress, detail=f"pages of {self._name} ({self._place})"))

    def stop_requested(self) -> bool:
        return self._outer.stop_requested()
