"""What scores of an encoder look like on this corpus when nothing in particular matches.

A cosine of 0.8 is a strong match for one encoder and noise for another. The background is a
sample of the encoder's own scores over random pairs from the corpus; percentile and z say where a
score stands in it. Every encoder gets the very same pairs: they depend on the corpus and the seed
alone.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from core.encoders.spec import TextKind
from core.errors import EmptyLibraryError, IndexMismatchError, WorkspaceDamagedError
from core.search.lexical import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.encoders.protocol import Encoder
    from core.monitor import Monitor
    from core.records import Passage

BACKGROUND_QUERIES = 64
PASSAGES_PER_QUERY = 128
PASSAGE_PAIRS = 8192
QUERY_WORDS = 12
NEAR_DUPLICATE_JACCARD = 0.8  # over sets of words
BACKGROUND_VERSION = 1  # part of the cache key: raise it when the sample changes


class PairKind(StrEnum):
    """What the two texts of a background pair are."""

    QUERY_PASSAGE = "query-passage"
    PASSAGE_PASSAGE = "passage-passage"


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBackground:
    """An encoder's scores over random pairs of a corpus.

    Attributes:
        fingerprint: Of the encoder.
        corpus_key: Of the passages, see `corpus_key`.
        query_passage: Sorted float32; empty for a corpus of one passage.
        passage_passage: Sorted float32; empty for a corpus of one passage.
    """

    fingerprint: str
    corpus_key: str
    query_passage: NDArray[np.float32]
    passage_passage: NDArray[np.float32]

    def sample(self, kind: PairKind = PairKind.QUERY_PASSAGE) -> NDArray[np.float32]:
        """Return the sorted sample of one kind of pairs."""
        return self.query_passage if kind is PairKind.QUERY_PASSAGE else self.passage_passage

    def percentile(
        self, scores: NDArray[np.float32], *, kind: PairKind = PairKind.QUERY_PASSAGE
    ) -> NDArray[np.float64]:
        """Return the share of the sample below each score, 0 to 100, ties counted half.

        NaN where the corpus is too small to have a background.
        """
        sample = self.sample(kind)
        if not len(sample):
            return np.full(len(scores), np.nan)
        below = np.searchsorted(sample, scores, side="left")
        up_to = np.searchsorted(sample, scores, side="right")
        shares: NDArray[np.float64] = 50.0 * (below + up_to) / len(sample)
        return shares

    def z(
        self, scores: NDArray[np.float32], *, kind: PairKind = PairKind.QUERY_PASSAGE
    ) -> NDArray[np.float64]:
        """Return each score's distance from the sample's mean in its standard deviations.

        NaN where there is no spread to measure with.
        """
        sample = self.sample(kind).astype(np.float64)
        if len(sample) < 2 or not sample.std(ddof=1) > 0:
            return np.full(len(scores), np.nan)
        distances: NDArray[np.float64] = (
            np.asarray(scores, np.float64) - sample.mean()
        ) / sample.std(ddof=1)
        return distances

    def to_bytes(self) -> bytes:
        """Return the two samples as bytes for the workspace's cache."""
        stream = io.BytesIO()
        np.save(stream, self.query_passage, allow_pickle=False)
        np.save(stream, self.passage_passage, allow_pickle=False)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, *, fingerprint: str, corpus_key: str) -> ScoreBackground:
        """Return what `to_bytes` wrote.

        Raises:
            WorkspaceDamagedError: If it is not that.
        """
        stream = io.BytesIO(content)
        try:
            query_passage = np.load(stream, allow_pickle=False)
            passage_passage = np.load(stream, allow_pickle=False)
        except (ValueError, EOFError, OSError) as exc:
            raise WorkspaceDamagedError("A cached score background is damaged.") from exc
        return cls(fingerprint, corpus_key, query_passage, passage_passage)


def corpus_key(passages: Sequence[Passage]) -> str:
    """Return a hash of the passages that are searched, in whatever order they come."""
    digest = hashlib.sha256()
    for passage in sorted(passages, key=lambda passage: passage.passage_id):
        digest.update(passage.passage_id.encode())
        digest.update(hashlib.sha256(passage.text.encode("utf-8", "surrogatepass")).digest())
    return digest.hexdigest()


def score_background(
    encoder: Encoder,
    passages: Sequence[Passage],
    embeddings: NDArray[np.float32],
    *,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> ScoreBackground:
    """Sample an encoder's scores over random pairs.

    Queries are the opening words of sentences drawn from the corpus, encoded as queries. A pair
    is left out when both sides come from the same passage, from passages that overlap, or from
    near-duplicates (word sets with a Jaccard index of 0.8 or more).

    Args:
        encoder: Encodes up to 64 short queries.
        passages: The corpus.
        embeddings: ``(n, dim)`` float32 of its passages, same order.
        seed: Of the generator.
        monitor: Asked whether to stop.

    Raises:
        EmptyLibraryError: If there is no passage.
        IndexMismatchError: If there are not as many rows as passages.
    """
    if not passages:
        raise EmptyLibraryError("Nothing has been indexed yet. Add documents first.")
    if len(passages) != len(embeddings):
        msg = f"{len(passages)} passages came with {len(embeddings)} embeddings."
        raise IndexMismatchError(msg)
    # In id order, so that the pairs do not depend on the order of the upload.
    order = sorted(range(len(passages)), key=lambda position: passages[position].passage_id)
    ordered = [passages[position] for position in order]
    rows = np.array(order)
    generator = np.random.default_rng(seed)
    related = _Related(ordered)
    left, right = _random_pairs(generator, len(ordered), PASSAGE_PAIRS)
    kept = ~related.pairs(left, right)
    between_passages = np.einsum(
        "ij,ij->i", embeddings[rows[left[kept]]], embeddings[rows[right[kept]]]
    )

    sources = generator.permutation(len(ordered))[:BACKGROUND_QUERIES]
    texts = [_opening_words(ordered[source].text, generator) for source in sources]
    asked = [position for position, text in enumerate(texts) if text]
    queries = encoder.encode(
        [texts[position] for position in asked], kind=TextKind.QUERY, monitor=monitor
    )
    per_query = min(PASSAGES_PER_QUERY, len(ordered))
    to_passages = []
    for query, position in zip(queries, asked, strict=True):
        targets = generator.choice(len(ordered), per_query, replace=False)
        source = np.full(len(targets), sources[position])
        targets = targets[~related.pairs(source, targets)]
        to_passages.append(embeddings[rows[targets]] @ query)
    query_passage = np.concatenate(to_passages) if to_passages else np.empty(0, np.float32)
    return ScoreBackground(
        fingerprint=encoder.fingerprint,
        corpus_key=corpus_key(passages),
        query_passage=np.sort(query_passage.astype(np.float32)),
        passage_passage=np.sort(between_passages.astype(np.float32)),
    )


def _random_pairs(
    generator: np.random.Generator, n: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return two different positions each, ``(count,)``; all pairs once where there are fewer."""
    if n * (n - 1) // 2 <= count:
        left, right = np.triu_indices(n, k=1)
        return left.astype(np.int64), right.astype(np.int64)
    left = generator.integers(0, n, count)
    right = (left + generator.integers(1, n, count)) % n
    return left, right


class _Related:
    """Tells pairs that are too close to be background."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._words: dict[int, frozenset[str]] = {}

    def pairs(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each pair whether it has to be left out."""
        return np.fromiter(
            (self._related(a, b) for a, b in zip(left.tolist(), right.tolist(), strict=True)),
            bool,
            len(left),
        )

    def _related(self, a: int, b: int) -> bool:
        first, second = self._passages[a], self._passages[b]
        if first.doc_id == second.doc_id and first.start < second.end and second.start < first.end:
            return True
        words_a, words_b = self._words_of(a), self._words_of(b)
        smaller, larger = sorted((len(words_a), len(words_b)))
        if smaller < NEAR_DUPLICATE_JACCARD * larger:
            return False  # even a subset would be below the bound
        union = len(words_a | words_b)
        return union == 0 or len(words_a & words_b) / union >= NEAR_DUPLICATE_JACCARD

    def _words_of(self, position: int) -> frozenset[str]:
        if position not in self._words:
            self._words[position] = frozenset(words(self._passages[position].text))
        return self._words[position]


def _opening_words(text: str, generator: np.random.Generator) -> str:
    """Return the first words of a sentence of the text, drawn at random; "" if it has none."""
    sentences = [part for part in re.split(r"(?<=[.!?。！？])\s+", text) if len(part.split()) >= 3]  # noqa: RUF001
    if not sentences:
        sentences = [text]
    sentence = sentences[int(generator.integers(len(sentences)))]
    return " ".join(sentence.split()[:QUERY_WORDS])[:500]
