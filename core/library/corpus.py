"""The passages of a library under its present chunking, and when they last changed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.documents import chunk_document
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from core.library.documents import KeptDocuments
    from core.records import Passage
    from core.settings import ChunkingSettings
    from core.store import Workspace

    CountTokens = Callable[[Sequence[str]], Sequence[int]]

CHUNKING = "chunking"


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """All passages of one chunking, ordered by id. Replaced as a whole, never changed."""

    version: int
    passages: tuple[Passage, ...]
    by_id: Mapping[str, Passage]


class CurrentCorpus:
    """Gives the present corpus, cutting what was not cut yet; safe to call from several threads.

    Args:
        workspace: Where passages are kept.
        documents: Gives the documents to cut.
        count_tokens: The neutral counter for passage budgets, for many texts at once.
    """

    def __init__(
        self, workspace: Workspace, documents: KeptDocuments, *, count_tokens: CountTokens
    ) -> None:
        self._workspace = workspace
        self._documents = documents
        self._count_tokens = count_tokens
        self._lock = threading.Lock()  # held for moments, guards what follows
        self._version = 0  # of what could be searched
        self._epoch = 0  # raised when a view made before must not be used any more
        self._corpus: Corpus | None = None

    def get(self) -> Corpus:
        """Return all passages of the present chunking, embedded or not."""
        with self._lock:
            corpus = self._corpus
            version = self._version
        if corpus is not None:
            return corpus
        chunking = self._workspace.settings().chunking
        passages = self._workspace.passages(chunking.key)
        known = self._workspace.chunked(chunking.key)
        if any(stored.doc_id not in known for stored in self._workspace.documents()):
            # After damage, or a chunking nobody has asked for before.
            self.cut(chunking, SilentMonitor())
            passages = self._workspace.passages(chunking.key)
        corpus = Corpus(version, passages, {passage.passage_id: passage for passage in passages})
        with self._lock:
            if self._version == version:
                self._corpus = corpus
        return corpus

    def state(self) -> tuple[int, int]:
        """Return version and epoch: what was made under both still serves."""
        with self._lock:
            return self._version, self._epoch

    def cut(self, chunking: ChunkingSettings, monitor: Monitor) -> None:
        """Cut every document that has no passages under a chunking."""
        done = self._workspace.chunked(chunking.key)
        waiting = [d for d in self._workspace.documents() if d.doc_id not in done]
        for number, stored in enumerate(waiting):
            raise_if_stopped(monitor)
            monitor.report(Progress(CHUNKING, number, len(waiting), stored.name))
            passages = chunk_document(
                self._documents.get(stored.doc_id),
                count_tokens=self._count_tokens,
                settings=chunking,
            )
            self._workspace.put_passages(chunking.key, stored.doc_id, passages)
        if waiting:
            monitor.report(Progress(CHUNKING, len(waiting), len(waiting)))

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
            kept = [passage for passage in old.passages if passage.doc_id not in doc_ids]
            merged = tuple(sorted([*kept, *passages], key=lambda passage: passage.passage_id))
            by_id = {passage.passage_id: passage for passage in merged}
            self._corpus = Corpus(self._version, merged, by_id)
