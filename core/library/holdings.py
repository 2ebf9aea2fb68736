"""The documents of a library and their passages under its present chunking, read when asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.documents import chunk_document, document_from_bytes, document_to_bytes, read_document
from core.documents.ocr import READ
from core.encoders.spec import Encoder
from core.errors import DocumentError, NeedsOcrError, WorkspaceDamagedError
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.records import Document, Passage
from core.settings import ChunkingSettings, ExtractionLimits
from core.store.records import StoredDocument
from core.store.vectors import in_context
from core.store.workspace import Workspace

CountTokens = Callable[[Sequence[str]], Sequence[int]]

CHUNKING = "chunking"
DOCUMENTS_IN_MEMORY = 4
VECTOR_BLOCK_ROWS = 16_384


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """All passages of one chunking, ordered by id. Replaced as a whole, never changed."""

    passages: tuple[Passage, ...]
    by_id: Mapping[str, Passage]


class Holdings:
    """Gives documents, passages and stored vectors; safe to call from several threads.

    Args:
        workspace: Where they are kept.
        count_tokens: The neutral counter for passage budgets, for many texts at once.
        limits: What reading a damaged document again may cost.
        passwords: By document id, of this process; never on the disk.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        count_tokens: CountTokens,
        limits: ExtractionLimits,
        passwords: MutableMapping[str, str],
    ) -> None:
        self.passwords = passwords
        self._workspace = workspace
        self._count_tokens = count_tokens
        self._limits = limits
        self._lock = threading.Lock()  # held for moments, guards what follows
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._version = 0  # of what could be searched
        self._epoch = 0  # raised when a view made before must not be used any more
        self._corpus: Corpus | None = None

    # -- documents -------------------------------------------------------------------------

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
            document = document_from_bytes(self._workspace.document_record(doc_id))
        except WorkspaceDamagedError:
            document = self._read_again(doc_id)
        with self._lock:
            self._documents[doc_id] = document
            while len(self._documents) > DOCUMENTS_IN_MEMORY:
                self._documents.popitem(last=False)
        return document

    def _read_again(self, doc_id: str) -> Document:
        source = self._workspace.document_source(doc_id)
        stored = self._workspace.stored_document(doc_id)
        name = stored.name
        try:
            if any(READ in words for words in stored.warnings):  # it would come out otherwise
                raise NeedsOcrError(f'"{name}" was {READ}.')
            document = read_document(
                source, name, limits=self._limits, password=self.passwords.get(doc_id)
            )
        except DocumentError as exc:
            raise WorkspaceDamagedError(
                f'The stored copy of "{name}" is damaged. Upload the document again. ({exc})'
            ) from exc
        if not self._workspace.read_only:
            self._workspace.put_document(
                document, source=source, record=document_to_bytes(document)
            )
            self._workspace.record_damage(
                f"documents/{doc_id}/record",
                f'The stored text of "{name}" was damaged; it was read again from its file.',
            )
        return document

    def intact(self, doc_id: str) -> StoredDocument | None:
        """Return the line about a document that is here and undamaged."""
        if not self._workspace.has_document(doc_id):
            return None
        try:
            self._workspace.document_record(doc_id)
            self._workspace.document_source(doc_id)
        except WorkspaceDamagedError:
            return None  # read it again from the file in hand
        return self._workspace.stored_document(doc_id)

    def forget(self, doc_id: str) -> None:
        """Let go of a document that was removed."""
        with self._lock:
            self._documents.pop(doc_id, None)
            self.passwords.pop(doc_id, None)
        self.changed(epoch=True)

    # -- passages --------------------------------------------------------------------------

    def corpus(self) -> Corpus:
        """Return all passages of the present chunking, embedded or not."""
        with self._lock:
            corpus, version = self._corpus, self._version
        if corpus is not None:
            return corpus
        chunking = self._workspace.settings().chunking
        passages = self._workspace.passages(chunking.key)
        cut = self._workspace.chunked(chunking.key)
        if any(stored.doc_id not in cut for stored in self._workspace.documents()):
            # After damage, or a chunking that is new here.
            self.cut(chunking, SilentMonitor())
            passages = self._workspace.passages(chunking.key)
        corpus = Corpus(passages, {passage.passage_id: passage for passage in passages})
        with self._lock:
            if self._version == version:
                self._corpus = corpus
        return corpus

    def state(self) -> tuple[int, int]:
        """Version and epoch: results made under both still serve."""
        with self._lock:
            return self._version, self._epoch

    def cut(self, chunking: ChunkingSettings, monitor: Monitor) -> None:
        """Cut every document that has no passages under a chunking."""
        done = self._workspace.chunked(chunking.key)
        waiting = [d for d in self._workspace.documents() if d.doc_id not in done]
        for number, stored in enumerate(waiting):
            raise_if_stopped(monitor)
            monitor.report(Progress(CHUNKING, number, len(waiting), stored.name))
            self.cut_one(self.document(stored.doc_id), chunking)
        if waiting:
            monitor.report(Progress(CHUNKING, len(waiting), len(waiting)))

    def cut_one(self, document: Document, chunking: ChunkingSettings) -> tuple[Passage, ...]:
        """Cut one document and keep its passages."""
        passages = chunk_document(document, count_tokens=self._count_tokens, settings=chunking)
        self._workspace.put_passages(chunking.key, document.doc_id, passages)
        return passages

    def changed(self, *, vectors_only: bool = False, epoch: bool = False) -> None:
        """Note that something changed; ``epoch`` when no view made before may be used any more."""
        with self._lock:
            self._version += 1
            self._epoch += epoch
            if not vectors_only:
                self._corpus = None

    def grown(self, passages: Sequence[Passage], chunking: ChunkingSettings) -> None:
        """Take in the passages of one more document without reading all others again."""
        with self._lock:
            self._version += 1
            old = self._corpus
            if old is None or self._workspace.settings().chunking != chunking:
                self._corpus = None
                return
            doc_ids = {passage.doc_id for passage in passages}
            others = [passage for passage in old.passages if passage.doc_id not in doc_ids]
            merged = tuple(sorted([*others, *passages], key=lambda passage: passage.passage_id))
            self._corpus = Corpus(merged, {passage.passage_id: passage for passage in merged})

    # -- vectors ---------------------------------------------------------------------------

    def waiting(
        self, fingerprint: str, passages: Sequence[Passage], *, late_chunking: bool
    ) -> list[Passage]:
        """Return the passages that have no vector yet under a passage fingerprint."""
        texts = self._vector_texts(passages, late_chunking=late_chunking)
        missing = {texts[i] for i in self._workspace.missing(fingerprint, texts)}
        if not missing:
            return []
        return [p for p, text in zip(passages, texts, strict=True) if text in missing]

    def embeddings(self, encoder: Encoder, passages: Sequence[Passage]) -> NDArray[np.float32]:
        """Return ``(n, dim)`` float32 of passages that are embedded.

        Raises:
            IndexMismatchError: If one of them is not.
        """
        texts = self._vector_texts(passages, late_chunking=encoder.spec.late_chunking)
        return self._workspace.vectors(encoder.passage_fingerprint, texts)

    def embedding_blocks(
        self, encoder: Encoder, passages: Sequence[Passage]
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the same in blocks of rows, so that they are never twice in memory."""
        for start in range(0, len(passages), VECTOR_BLOCK_ROWS):
            yield self.embeddings(encoder, passages[start : start + VECTOR_BLOCK_ROWS])

    def _vector_texts(self, passages: Sequence[Passage], *, late_chunking: bool) -> list[str]:
        """Return the keys of the passages' vectors: their text, or their text in its place."""
        if not late_chunking:
            return [passage.text for passage in passages]
        chunking = self._workspace.settings().chunking.key
        return [in_context(chunking, p.passage_id, p.text) for p in passages]
