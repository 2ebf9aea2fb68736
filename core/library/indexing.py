"""All passages of a library through its encoders, so that finished documents come early."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, cast

from core.errors import EncoderError
from core.library.embedding import (
    EmbeddingCounts,
    embed_in_context,
    embed_texts,
    embedding_stage,
)
from core.monitor import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from core.encoders.protocol import ContextEncoder, Encoder
    from core.library.corpus import CurrentCorpus
    from core.library.documents import KeptDocuments
    from core.library.ingestion import Ingestion
    from core.monitor import Monitor
    from core.records import Passage
    from core.store import Workspace

    EncoderProvider = Callable[[str], Encoder]

GROUP_PASSAGES = 512  # embedded by every encoder before the next group: finished documents early


class PassageEmbedder:
    """Embeds what has no vector yet; its caller sees to it that only one thread does.

    Args:
        workspace: Where vectors are kept.
        documents: Gives the documents that passages stand in.
        corpus: Gives the passages, and is told when they got vectors.
        encoders: Gives an encoder by id, loading it when needed.
        before_embedding: Called once before the first passage.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        documents: KeptDocuments,
        corpus: CurrentCorpus,
        encoders: EncoderProvider,
        before_embedding: Callable[[Monitor], None] | None,
    ) -> None:
        self._workspace = workspace
        self._documents = documents
        self._corpus = corpus
        self._encoders = encoders
        self._before_embedding = before_embedding

    def embed(self, encoder_ids: Sequence[str], ingestion: Ingestion, monitor: Monitor) -> None:
        """Embed every passage with every encoder, group by group.

        Raises:
            EncoderError: After the other encoders have finished.
        """
        if not encoder_ids:
            return
        groups = list(_groups(self._corpus.get().passages))
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
                    self._corpus.changed(vectors_only=True)
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
        """Embed passages of whole documents: each by itself, or each in its document's light."""
        if not encoder.spec.late_chunking:
            texts = [passage.text for passage in group]
            return embed_texts(
                self._workspace, encoder, texts, monitor=monitor, done_before=done, total=total
            )
        embedded = reused = 0
        for doc_id, members in groupby(group, key=lambda passage: passage.doc_id):
            counts = embed_in_context(
                self._workspace,
                cast("ContextEncoder", encoder),
                self._documents.get(doc_id),
                tuple(members),
                chunking=self._workspace.settings().chunking.key,
                monitor=monitor,
                done_before=done + embedded + reused,
                total=total,
            )
            embedded += counts.embedded
            reused += counts.reused
        return EmbeddingCounts(embedded, reused)


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
