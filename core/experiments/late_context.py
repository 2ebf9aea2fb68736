"""Effect of reading a passage inside its document on its score (late chunking)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.documents.sentences import sentence_spans
from core.encoders.spec import TextKind
from core.errors import LaboratoryError
from core.experiments.context import (
    Context,
    IndexedEncoder,
    SystemName,
    each_encoder,
    encode,
    limit_of,
    most_tokens,
    name_of,
    pooled,
    rank_of,
    readable,
    trace,
    unit,
)
from core.experiments.experiment import PASSAGE, QUERY, Experiment, Place
from core.experiments.rendering import context
from core.monitor import Monitor, SilentMonitor
from core.words import ordinal, way


@dataclass(frozen=True, slots=True)
class EncoderInContext:
    """One encoder's passage alone and inside its document."""

    system: SystemName  # the encoder
    score_alone: float  # passage embedded by itself
    score_inside: float  # passage pooled out of one forward pass over the window around it
    z_alone: float  # against the background
    z_inside: float  # against the same background
    rank_alone: int  # among all passages, each alone
    rank_inside: int  # this passage in context, all others alone
    rank_all_inside: int  # this passage and every other that lies in the window in context
    cosine: float  # between both embeddings of the passage: how much context moved it
    window_start: int  # first character of the window in the document
    window_end: int  # one past its last
    window_tokens: int  # tokens the encoder read of it
    passages_inside: int  # passages that lie wholly in the window and were read


@dataclass(frozen=True, slots=True)
class LateContext:
    """Effect of reading the passage inside its document (late chunking, arXiv 2409.04701)."""

    query: str
    passage_id: str
    corpus_size: int
    a: EncoderInContext
    b: EncoderInContext
    notes: tuple[str, ...]
    summary: tuple[str, ...] = ()


def late_context(
    context: Context,
    query: str,
    passage_id: str,
    *,
    window_tokens: int = 1024,
    monitor: Monitor | None = None,
) -> LateContext:
    """Embed a passage alone and inside its document, for both encoders.

    The window is the document when it fits; otherwise as much of it as fits around the passage,
    the same characters for both encoders.

    Args:
        context: Both encoders over the corpus.
        query: What was asked.
        passage_id: The passage.
        window_tokens: Most tokens of the window; lowered to the smaller of both encoders' limits.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If the passage is unreadable, is the whole document, or does not fit.
        EncodingError: If an encoder fails.
        StoppedError: If stopped.
    """
    readable(query, what="query")
    row = context.corpus.position(passage_id)
    passage = context.corpus.passages[row]
    readable(passage.text)
    document = context.corpus.texts.get(passage.doc_id, "")
    if passage.start <= 0 and passage.end >= len(document):
        raise LaboratoryError(
            "The passage is the whole document, so there is nothing around it to read."
        )
    limit = min(window_tokens, *(limit_of(indexed.encoder) for indexed in context.encoders))
    start, end = context_window(context, document, (passage.start, passage.end), limit=limit)
    sides = each_encoder(
        context.encoders,
        "reading in context",
        lambda indexed: _context_side(context, indexed, query, row, document, (start, end)),
        monitor=monitor or SilentMonitor(),
    )
    notes = []
    if (start, end) != (0, len(document)):
        notes.append(
            f"The document is longer than {limit:,} tokens; both encoders read characters "
            f"{start:,} to {end:,} of it, with the passage in them."
        )
    if len(context.corpus.passages) == 1:
        notes.append("The library holds one passage, so its rank is 1 whatever happens.")
    return LateContext(
        query,
        passage_id,
        len(context.corpus.passages),
        sides[0],
        sides[1],
        tuple(notes),
        tuple(_context_words(side) for side in sides),
    )


EXPERIMENTS = (
    Experiment(
        name="context",
        verb="late_context",
        title="In context",
        about="Embed a passage alone and inside its document, and compare its rank.",
        fields=(QUERY, PASSAGE),
        record=LateContext,
        run=late_context,
        show=context,
        place=Place.EVIDENCE,
        order=13,
    ),
)


def _context_words(side: EncoderInContext) -> str:
    words = (
        f"{side.system.label}: read inside its document the passage "
        f"{way(side.rank_alone, side.rank_inside)}"
    )
    if side.passages_inside > 1 and side.rank_all_inside != side.rank_inside:
        words += (
            f", and is {ordinal(side.rank_all_inside)} when its {side.passages_inside - 1} "
            "neighbours are read in context too"
        )
    return f"{words}."


def context_window(
    context: Context, document: str, inner: tuple[int, int], *, limit: int
) -> tuple[int, int]:
    """Return the widest stretch around a range that both encoders read whole.

    It grows evenly on both sides, and on one side alone where the document ends, by sentences.

    Raises:
        LaboratoryError: If the range itself is longer than the limit.
    """
    stretches = nested_windows(document, inner)
    low, high = 0, len(stretches) - 1
    if most_tokens(context, document[slice(*stretches[0])]) > limit:
        raise LaboratoryError(
            f"The passage is longer than {limit:,} tokens, so no context fits around it; "
            "choose smaller passages or a larger window."
        )
    while low < high:  # the widest that fits
        middle = (low + high + 1) // 2
        if most_tokens(context, document[slice(*stretches[middle])]) <= limit:
            low = middle
        else:
            high = middle - 1
    return stretches[low]


def nested_windows(document: str, inner: tuple[int, int]) -> list[tuple[int, int]]:
    """Return stretches of a document around a range, each a sentence or so wider than the last.

    The first is the range itself, the last the whole document.
    """
    edges = sentence_spans(document)
    starts = [start for start, _ in edges if start < inner[0]][::-1]  # nearest first
    ends = [end for _, end in edges if end > inner[1]]
    windows = [inner]
    start, end = inner
    while starts or ends:
        # grow where less has been added so far, so that the range stays in the middle
        before, after = inner[0] - start, end - inner[1]
        if starts and (before <= after or not ends):
            start = starts.pop(0)
        else:
            end = ends.pop(0)
        windows.append((start, end))
    if windows[-1] != (0, len(document)):
        windows.append((0, len(document)))
    return windows


def _context_side(
    context: Context,
    indexed: IndexedEncoder,
    query: str,
    row: int,
    document: str,
    window: tuple[int, int],
) -> EncoderInContext:
    start, end = window
    passage = context.corpus.passages[row]
    vector = encode(indexed.encoder, [query], kind=TextKind.QUERY)[0]
    (found,) = trace(indexed.encoder, [document[start:end]])
    scores = indexed.vectors @ vector
    inside = pooled(found, start=passage.start - start, end=passage.end - start)
    read_to = int(found.offsets[:, 1].max(initial=0)) if found.tokens_dropped else end - start
    together = scores.copy()
    count = 0
    for place, other in enumerate(context.corpus.passages):
        within = other.start >= start and other.end <= min(end, start + read_to)
        if other.doc_id == passage.doc_id and within and other.text.strip():
            moved = pooled(found, start=other.start - start, end=other.end - start)
            together[place] = np.float32(moved @ vector)
            count += 1
    alone, score = float(scores[row]), float(inside @ vector)
    together[row] = np.float32(score)
    return EncoderInContext(
        system=name_of(indexed),
        score_alone=alone,
        score_inside=score,
        z_alone=indexed.z(alone),
        z_inside=indexed.z(score),
        rank_alone=rank_of(scores, row),
        rank_inside=rank_of(scores, row, score),
        rank_all_inside=rank_of(together, row),
        cosine=float(unit(inside) @ unit(indexed.vectors[row])),
        window_start=start,
        window_end=end,
        window_tokens=len(found.tokens),
        passages_inside=count,
    )
