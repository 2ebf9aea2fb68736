"""Embed missing passages, saving every few seconds, so that little can be lost."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from core.encoders.spec import TextKind
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.store.vectors import in_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.encoders.spec import ContextEncoder, Encoder
    from core.records import Document, Passage
    from core.store.workspace import Workspace

SAVE_EVERY_SECONDS = 3.0
FIRST_BLOCK_TEXTS = 32
MAX_BLOCK_TEXTS = 2048


@dataclass(frozen=True, slots=True)
class EmbeddingCounts:
    """How many texts got their vector now, and how many had it already."""

    embedded: int
    reused: int


def encoder_facts(encoder: Encoder) -> dict[str, Any]:
    """Facts of an encoder for a manifest, for people and for checks."""
    return {name: value for name, value in asdict(encoder.spec).items() if value is not None}


def stored_under(encoder: Encoder, *, kind: TextKind = TextKind.PASSAGE) -> str:
    """Return the fingerprint that an encoder's vectors of one kind are kept under."""
    return encoder.passage_fingerprint if kind is TextKind.PASSAGE else encoder.fingerprint


def embedding_stage(encoder: Encoder) -> str:
    """Name of the embedding by an encoder in progress reports."""
    return f"embedding ({encoder.spec.label})"


def embed_texts(
    workspace: Workspace,
    encoder: Encoder,
    texts: Sequence[str],
    *,
    kind: TextKind = TextKind.PASSAGE,
    monitor: Monitor | None = None,
    stage: str | None = None,
    done_before: int = 0,
    total: int | None = None,
) -> EmbeddingCounts:
    """Embed the texts that have no vector yet and keep the vectors in the workspace.

    Works in blocks of a few seconds; each is on the disk before the next begins. Stop, a crash or
    a failing block lose at most the block in hand.

    Args:
        workspace: Where vectors are kept.
        encoder: Makes them.
        texts: Without prompts. Repeats are embedded once.
        kind: Queries and passages are kept apart.
        monitor: Told of every block, asked whether to stop.
        stage: What to call the work; "embedding (<label>)" by default.
        done_before: Texts of a larger job that were finished before this call.
        total: Texts of the larger job.

    Raises:
        EncodingError: If the encoder fails.
        DiskFullError: What was saved before stays.
        StoppedError: If the monitor asks to stop; what was saved before stays.
    """
    monitor = monitor or SilentMonitor()
    stage = stage or embedding_stage(encoder)
    total = len(texts) if total is None else total
    fingerprint = stored_under(encoder, kind=kind)
    missing = workspace.missing(fingerprint, texts, kind=kind)
    new_texts = {texts[i] for i in missing}
    embedded = sum(text in new_texts for text in texts)  # repeats of a new text are new as well
    reused = len(texts) - embedded
    facts = encoder_facts(encoder)
    monitor.report(Progress(stage, done_before + reused, total))
    position = 0
    block_texts = FIRST_BLOCK_TEXTS
    while position < len(missing):
        raise_if_stopped(monitor)
        block = [texts[i] for i in missing[position : position + block_texts]]
        started = time.perf_counter()
        finished = done_before + reused + position
        inner = _InnerMonitor(monitor, stage=stage, done=finished, total=total)
        embeddings = encoder.encode(block, kind=kind, monitor=inner)
        workspace.append(fingerprint, facts, block, embeddings, kind=kind)
        seconds = time.perf_counter() - started
        position += len(block)
        monitor.report(Progress(stage, finished + len(block), total))
        # Grow or shrink towards one save every few seconds, at most fourfold at a time.
        factor = min(4.0, max(0.25, SAVE_EVERY_SECONDS / max(seconds, 1e-6)))
        block_texts = int(min(MAX_BLOCK_TEXTS, max(8, block_texts * factor)))
    monitor.report(Progress(stage, done_before + len(texts), total))
    return EmbeddingCounts(embedded=embedded, reused=reused)


def embed_in_context(
    workspace: Workspace,
    encoder: ContextEncoder,
    document: Document,
    passages: Sequence[Passage],
    *,
    chunking: str,
    monitor: Monitor | None = None,
    done_before: int = 0,
    total: int | None = None,
) -> EmbeddingCounts:
    """Embed the passages of one document in its light (late chunking) and keep the vectors.

    The document goes through the backbone as a whole, or window by window where it is longer than
    the encoder's limit; each window is on the disk before the next begins.

    Args:
        workspace: Where vectors are kept.
        encoder: Makes them.
        document: Its text is read.
        passages: All of the document's under the chunking, in order.
        chunking: Its key.
        monitor: Told of every window, asked whether to stop.
        done_before: Passages of a larger job that were finished before this call.
        total: Passages of the larger job.

    Raises:
        EncodingError: If the encoder fails.
        DiskFullError: What was saved before stays.
        StoppedError: If the monitor asks to stop; what was saved before stays.
    """
    monitor = monitor or SilentMonitor()
    stage = embedding_stage(encoder)
    total = len(passages) if total is None else total
    fingerprint = stored_under(encoder)
    keys = [in_context(chunking, p.passage_id, p.text) for p in passages]
    missing = set(workspace.missing(fingerprint, keys))
    monitor.report(Progress(stage, done_before + len(passages) - len(missing), total))
    embedded = 0
    spans = [(passage.start, passage.end) for passage in passages]
    for begin, inside in encoder.span_windows(document.text, spans) if missing else ():
        if missing.isdisjoint(inside):
            continue
        raise_if_stopped(monitor)
        finished = done_before + len(passages) - len(missing) + embedded
        embeddings = encoder.encode_spans(
            document.text[begin:],
            [(spans[p][0] - begin, spans[p][1] - begin) for p in inside],
            monitor=_InnerMonitor(monitor, stage=stage, done=finished, total=total),
        )
        window = [keys[p] for p in inside]
        workspace.append(fingerprint, encoder_facts(encoder), window, embeddings)
        embedded += len(missing.intersection(inside))
    monitor.report(Progress(stage, done_before + len(passages), total))
    return EmbeddingCounts(embedded=embedded, reused=len(passages) - embedded)


class _InnerMonitor:
    """Shows an encoder's progress inside a block as progress of the whole job."""

    def __init__(self, outer: Monitor, *, stage: str, done: int, total: int) -> None:
        self._outer = outer
        self._stage = stage
        self._done = done
        self._total = total

    def report(self, progress: Progress) -> None:
        self._outer.report(Progress(self._stage, self._done + progress.done, self._total))

    def stop_requested(self) -> bool:
        return self._outer.stop_requested()
