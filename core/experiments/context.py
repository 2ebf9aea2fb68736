"""Context of every experiment: a corpus, two encoders over it, BM25, and ranks.

Passages are held in order of their ids, which come from file contents: in whatever order files
were uploaded, every experiment sees the same corpus and gives the same picture.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.encoders.spec import Attention, Encoder, TextKind, TokenTrace
from core.errors import CoreError, EncoderError, EncodingError, LaboratoryError, StoppedError
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.records import Document, Family, Passage, ReceivedText
from core.search.background import Background, score_background
from core.search.lexical import LexicalIndex

Floats = NDArray[np.float32]

R = TypeVar("R")

LEXICAL_ID = "bm25"
_BATCH = 32
_WORDS = re.compile(r"\w+", re.UNICODE)


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The passages being searched, and the documents they come from."""

    passages: tuple[Passage, ...]  # in ascending order of passage id
    texts: Mapping[str, str]  # document text by document id
    names: Mapping[str, str]  # document name by document id

    def text(self, doc_id: str) -> str:
        """Return the text of a document.

        Raises:
            LaboratoryError: If the corpus holds no passage of it.
        """
        if doc_id not in self.texts:
            raise LaboratoryError(
                f"No document {doc_id} with passages in this library; choose another."
            )
        return self.texts[doc_id]

    def passage(self, passage_id: str) -> Passage:
        """Return a passage.

        Raises:
            LaboratoryError: If the corpus does not hold it.
        """
        return self.passages[self.position(passage_id)]

    def position(self, passage_id: str) -> int:
        """Return the row of a passage.

        Raises:
            LaboratoryError: If the corpus does not hold it.
        """
        for position, passage in enumerate(self.passages):
            if passage.passage_id == passage_id:
                return position
        raise LaboratoryError(
            f"No passage {passage_id} in this library; it may have been chunked anew. Search again."
        )


@dataclass(frozen=True, slots=True, eq=False)
class IndexedEncoder:
    """One encoder and its view of the corpus."""

    encoder: Encoder  # embeds new texts
    vectors: Floats  # ``(n, dim)`` float32 unit rows, row i for ``corpus.passages[i]``
    background: Background  # its scores in this library for pairs that do not belong together

    @property
    def system_id(self) -> str:
        """The encoder's id."""
        return self.encoder.spec.encoder_id

    @property
    def label(self) -> str:
        """The encoder's name for people."""
        return self.encoder.spec.label

    @property
    def family(self) -> Family:
        """Its family."""
        return self.encoder.spec.family

    def z(self, score: float) -> float:
        """Return a score in standard deviations above the background; NaN if it has no place."""
        placed = self.background.z(score)
        return math.nan if placed is None else placed

    def z_change(self, change: float) -> float:
        """Return a difference of scores in standard deviations of the background; NaN likewise."""
        return change / self.background.deviation if self.background.places_scores else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """Two encoders over one corpus."""

    corpus: Corpus  # what is searched
    a: IndexedEncoder  # system A; by convention the diffusion encoder
    b: IndexedEncoder  # system B; by convention the autoregressive encoder
    # BM25 over the same passages in the same order, where there is one
    lexical: LexicalIndex | None = None

    @property
    def encoders(self) -> tuple[IndexedEncoder, IndexedEncoder]:
        """A, then B."""
        return (self.a, self.b)


@dataclass(frozen=True, slots=True)
class SystemName:
    """A system as results name it."""

    system_id: str
    label: str
    family: str


def name_of(indexed: IndexedEncoder) -> SystemName:
    """Return how results name an encoder."""
    return SystemName(indexed.system_id, indexed.label, str(indexed.family))


def make_context(
    passages: Sequence[Passage],
    documents: Sequence[Document],
    *,
    encoders: tuple[Encoder, Encoder],
    vectors: tuple[Floats, Floats],
    backgrounds: tuple[Background, Background] | None = None,
    lexical: bool = True,
    monitor: Monitor | None = None,
) -> Context:
    """Put passages in order of their ids and both encoders' rows with them.

    Args:
        passages: The corpus, in any order.
        documents: Where the passages come from.
        encoders: A, B.
        vectors: ``(n, dim)`` of A and of B, row i for ``passages[i]``.
        backgrounds: Of A and of B over query-passage pairs; sampled here when absent.
        lexical: Whether BM25 runs beside them.
        monitor: Asked whether to stop while backgrounds are sampled.

    Raises:
        LaboratoryError: If rows and passages do not belong together, or there are none.
    """
    if not passages:
        raise LaboratoryError("The library holds no passages; add a document first.")
    for encoder, rows in zip(encoders, vectors, strict=True):
        if rows.shape[0] != len(passages):
            raise LaboratoryError(
                f"{encoder.spec.label} has {rows.shape[0]} vectors for {len(passages)} passages; "
                "let the library embed what is missing, then try again."
            )
    order = sorted(range(len(passages)), key=lambda row: passages[row].passage_id)
    ordered = tuple(passages[row] for row in order)
    corpus = Corpus(
        ordered,
        {document.doc_id: document.text for document in documents},
        {document.doc_id: document.name for document in documents},
    )
    rows_a, rows_b = (np.ascontiguousarray(rows[order], dtype=np.float32) for rows in vectors)
    background_a, background_b = backgrounds or (
        score_background(encoders[0], ordered, rows_a, monitor=monitor),
        score_background(encoders[1], ordered, rows_b, monitor=monitor),
    )
    return Context(
        corpus,
        IndexedEncoder(encoders[0], rows_a, background_a),
        IndexedEncoder(encoders[1], rows_b, background_b),
        LexicalIndex(
            [passage.passage_id for passage in ordered], [passage.text for passage in ordered]
        )
        if lexical
        else None,
    )


def rank_of(scores: Floats, position: int, score: float | None = None) -> int:
    """Return the rank (from 1) of a row, ties by passage id ascending (rows are in that order).

    Args:
        scores: ``(n,)`` of every passage.
        position: The row asked about.
        score: Use this score for the row instead of its own; the others keep theirs.
    """
    # in the scores' own precision: a double a rounding away must count as level, not as below
    own = scores[position] if score is None else scores.dtype.type(score)
    better = scores > own
    better[position] = False  # the row's stored score does not compete with its new one
    level = scores[:position] == own
    return 1 + int(np.count_nonzero(better)) + int(np.count_nonzero(level))


class Hushed:
    """Passes Stop on and keeps progress to itself: for work inside a step that reports its own."""

    def __init__(self, monitor: Monitor | None) -> None:
        self._monitor = monitor or SilentMonitor()

    def report(self, progress: Progress) -> None:
        """Do nothing."""

    def stop_requested(self) -> bool:
        """Whether the user pressed Stop."""
        return self._monitor.stop_requested()


def encode(
    encoder: Encoder,
    texts: Sequence[str],
    *,
    kind: TextKind,
    monitor: Monitor | None = None,
    stage: str = "",
) -> Floats:
    """Embed texts in small steps so that progress shows and Stop works; ``(n, dim)`` float32.

    Raises:
        EncodingError: Names the encoder when it fails half-way.
        StoppedError: If the monitor asks to stop.
    """
    watch = monitor or SilentMonitor()
    stage = stage or f"embedding ({encoder.spec.label})"
    blocks: list[Floats] = []
    watch.report(Progress(stage, 0, len(texts)))
    for start in range(0, len(texts), _BATCH):
        raise_if_stopped(watch)
        block = texts[start : start + _BATCH]
        # a batch of long texts takes a while: Stop is heard inside it too
        work = partial(encoder.encode, block, kind=kind, monitor=Hushed(watch))
        blocks.append(guarded(encoder, work))
        watch.report(Progress(stage, start + len(block), len(texts)))
    if not blocks:
        return np.zeros((0, encoder.spec.dimension), dtype=np.float32)
    return np.concatenate(blocks)


def trace(
    encoder: Encoder,
    texts: Sequence[str],
    *,
    kind: TextKind = TextKind.PASSAGE,
    attention: Attention | None = None,
) -> tuple[TokenTrace, ...]:
    """Follow texts token by token; a failure names the encoder.

    Raises:
        EncodingError: If the encoder fails.
    """
    return guarded(encoder, lambda: encoder.trace(texts, kind=kind, attention=attention))


def guarded(encoder: Encoder, work: Callable[[], R]) -> R:
    """Run work of one encoder; any failure becomes an `EncodingError` that names it."""
    try:
        return work()
    except StoppedError:
        raise
    except CoreError as exc:
        raise EncodingError(f"{encoder.spec.label} failed: {exc}") from exc
    except (RuntimeError, MemoryError, ArithmeticError, ValueError, IndexError) as exc:
        # what a numerical library raises when memory runs out or a shape does not fit
        raise EncodingError(
            f"{encoder.spec.label} failed on a text ({type(exc).__name__}: {exc}). "
            "Try a shorter text; if it happens again run the doctor."
        ) from exc


def each_encoder(
    encoders: tuple[IndexedEncoder, IndexedEncoder],
    stage: str,
    work: Callable[[IndexedEncoder], R],
    *,
    monitor: Monitor,
) -> tuple[R, R]:
    """Do the same work for encoder A, then for encoder B; progress shows and Stop works between them.

    Raises:
        StoppedError: If the monitor asks to stop.
    """
    found = []
    for done, indexed in enumerate(encoders):
        raise_if_stopped(monitor)
        monitor.report(Progress(stage, done, len(encoders), indexed.label))
        found.append(work(indexed))
    monitor.report(Progress(stage, len(encoders), len(encoders)))
    return found[0], found[1]


def limit_of(encoder: Encoder) -> int:
    """Return the token limit in force: a workspace may set another one than the spec's."""
    return int(getattr(encoder, "max_tokens", encoder.spec.max_tokens))


def most_tokens(context: Context, text: str) -> int:
    """Return how many tokens a text has for the encoder that needs more of them, prompt included."""
    return max(received(indexed.encoder, text).tokens_total for indexed in context.encoders)


def received(encoder: Encoder, text: str, *, kind: TextKind = TextKind.PASSAGE) -> ReceivedText:
    """Return how much of a text the encoder reads; a failure names the encoder."""
    return guarded(encoder, lambda: encoder.received([text], kind=kind))[0]


def raise_problems(problems: Sequence[str]) -> None:
    """Raise the failures of both encoders as one error.

    Raises:
        EncoderError: Always.
    """
    raise EncoderError(" ".join(problem for problem in problems if problem))


def pooled(found: TokenTrace, *, start: int | None = None, end: int | None = None) -> Floats:
    """Return the unit embedding of a trace, or of the tokens inside a character range of it.

    Args:
        found: One text's trace.
        start: First character of the range in the caller's text; None takes every token.
        end: One past its last character.

    Returns:
        ``(dim,)`` float32, unit length. With a range, tokens that overlap it keep their pooling
        weights relative to each other; an encoder that pools the last token takes the
        last token of the range (late chunking, Günther et al., arXiv 2409.04701).

    Raises:
        LaboratoryError: If no token of the text lies inside the range.
    """
    weights = found.weights.astype(np.float64)
    if start is not None and end is not None:
        inside = (found.offsets[:, 0] < end) & (found.offsets[:, 1] > start)
        if not inside.any():
            raise LaboratoryError(
                "The passage lies beyond what the encoder reads of this text; choose a smaller window."
            )
        if np.count_nonzero(weights) == 1:
            weights = np.zeros_like(weights)
            weights[np.flatnonzero(inside)[-1]] = 1.0
        else:
            weights = np.where(inside, weights, 0.0)
            if weights.sum() <= 0:  # only weightless tokens in the range: they count the same
                weights = inside.astype(np.float64)
    vector = weights @ found.states.astype(np.float64)
    return unit(vector)


def unit(vector: NDArray[np.floating]) -> Floats:
    """Return a vector at length one; a zero vector stays zero."""
    length = float(np.linalg.norm(vector))
    return (vector / length if length > 0 else vector).astype(np.float32)


def readable(text: str, *, what: str = "passage") -> str:
    """Return the text when it holds something to read.

    Raises:
        LaboratoryError: If it holds fewer than three letters or digits in words, or is mostly
            characters that could not be decoded.
    """
    words = "".join(_WORDS.findall(text))
    if len(words) < 3 or text.count("\ufffd") * 4 > len(text):
        raise LaboratoryError(
            f"This {what} holds no readable text (a figure, a scan or a damaged font, perhaps); "
            "choose another one, or run OCR on the document and add it again."
        )
    return text


def word_count(text: str) -> int:
    """Return how many words a text has, in any script that separates words."""
    return len(_WORDS.findall(text))
