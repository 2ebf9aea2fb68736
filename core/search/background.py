"""The scores of an encoder on this library for pairs that do not belong together, and that do.

A cosine of 0.8 is a strong match for one encoder and noise for another. A `Background` holds three
samples of the encoder's own scores: queries cut from the library against passages of *other*
documents (z and percentile are measured against these), the best hit of everyday questions that
no library of papers or manuals is about (`OFF_TOPIC`), and queries cut from the library against
the very passage they come from. Every encoder gets the same pairs: they depend on the passages
and the seed alone.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core import codec
from core.encoders.spec import Encoder, TextKind
from core.errors import EmptyLibraryError, IndexMismatchError, WorkspaceDamagedError
from core.monitor import Monitor
from core.records import Passage
from core.search.lexical import words

BACKGROUND_QUERIES = 64
PASSAGES_PER_QUERY = 128
QUERY_WORDS = 12
NEAR_DUPLICATE_JACCARD = 0.8  # over sets of words
BACKGROUND_VERSION = 2  # part of the cache key: raise it when the samples change
MIN_SAMPLES = 30  # fewer pairs than this place nothing
MOST_QUANTILES = 1001  # of a sample: a tenth of a percent apart
KEPT_QUANTILES = 101  # in a comparison
OTHER_DOCUMENTS = "query and passage of another document"
OFF_TOPIC_PAIRS = "off-topic question and passage"  # where there is one document only
_MIN_DEVIATION = 1e-6  # below float32's own noise: all scores are one
_ROWS_AT_ONCE = 65_536
OFF_TOPIC = (
    "How long should I boil an egg?",
    "Which team won the football final last night?",
    "How do I change the strings of a guitar?",
    "What is a good present for a ten year old?",
    "How do I renew my passport?",
    "What time does the last bus leave?",
    "How many calories are in a banana?",
    "Who painted the ceiling of the chapel?",
    "How do I get wine stains out of a carpet?",
    "What should I wear to a job interview?",
    "How do I teach a puppy to sit?",
    "Which films are showing this weekend?",
    "What is the exchange rate of the dollar today?",
    "How do I prune roses in spring?",
    "How do I reset the password of my phone?",
    "Why does my knee hurt when I run?",
    "How do I fold a paper crane?",
    "What is the capital of Mongolia?",
    "How often should I water a cactus?",
    "Which key does this song start in?",
    "How do I fix a flat tyre on a bicycle?",
    "What are the rules of offside?",
    "How do I make sourdough bread rise?",
    "What is the best way to learn Spanish?",
    "How do I remove a splinter?",
    "When is the next full moon?",
    "How do I tie a bow tie?",
    "What is the plot of the second season?",
    "How do I book a table for six people?",
    "What does this emoji mean?",
    "How do I knit a scarf?",
    "Which airline allows two bags?",
    "How do I lower my electricity bill?",
    "What is a polite way to say no?",
    "How do I clean a cast iron pan?",
    "What is the tallest mountain in Africa?",
    "How do I choose a mattress?",
    "Who holds the record for the marathon?",
    "How do I keep cats out of the garden?",
    "What is the recipe for pancakes?",
    "How do I paint a wall without streaks?",
    "What are the lyrics of the second verse?",
    "How do I apply for parental leave?",
    "How do I whistle with two fingers?",
    "What colour goes with dark green?",
    "How do I open a bottle without an opener?",
    "Which vaccine do I need for a trip to Brazil?",
    "How do I sharpen a kitchen knife?",
)


@dataclass(frozen=True, slots=True)
class Background:
    """An encoder's scores in one library, so that one score can be placed."""

    pairs: str  # the pairs that z and percentile are measured against, in words
    samples: int  # how many scores were drawn
    mean: float  # of the scores; 0.0 without any
    deviation: float  # their standard deviation (n - 1); 0.0 for fewer than two
    # the scores in ascending order, or so many of them, evenly spaced
    quantiles: tuple[float, ...]
    # best score over the whole library of each off-topic question, ascending
    off_topic: tuple[float, ...] = ()
    # score of each query cut from the library with its own passage, ascending
    own: tuple[float, ...] = ()

    @classmethod
    def from_scores(
        cls,
        scores: ArrayLike,
        *,
        pairs: str = OTHER_DOCUMENTS,
        off_topic: ArrayLike = (),
        own: ArrayLike = (),
    ) -> Background:
        """Make a background of scores in any order; values that are not finite are left out."""
        array = _ascending(scores)
        background = cls(
            pairs=pairs,
            samples=int(array.size),
            mean=float(array.mean()) if array.size else 0.0,
            deviation=float(array.std(ddof=1)) if array.size > 1 else 0.0,
            quantiles=tuple(array.tolist()),
            off_topic=tuple(_ascending(off_topic).tolist()),
            own=tuple(_ascending(own).tolist()),
        )
        return background.thinned(MOST_QUANTILES)

    @property
    def places_scores(self) -> bool:
        """Whether there are enough pairs, and different enough, to place a score."""
        return self.samples >= MIN_SAMPLES and self.deviation > _MIN_DEVIATION

    def z(self, score: float) -> float | None:
        """Return the score in standard deviations above the mean; None if it cannot be placed."""
        return (score - self.mean) / self.deviation if self.places_scores else None

    def percentile(self, score: float) -> float | None:
        """Return the share of pairs that score lower, above 0 and below 100; ties count half.

        Above every pair drawn it is ``100 n / (n + 1)``, and below every one ``100 / (n + 1)``:
        what n pairs can show. None if the score cannot be placed.
        """
        if not self.places_scores:
            return None
        below, up_to = (
            int(np.searchsorted(self.quantiles, score, side=side)) for side in ("left", "right")
        )
        share = 50.0 * (below + up_to) / len(self.quantiles)
        least = 100.0 / (self.samples + 1)
        return min(max(share, least), 100.0 - least)

    def above_off_topic(self, score: float) -> int:
        """Return how many off-topic questions' best hits score lower."""
        return sum(best < score for best in self.off_topic)

    def below_own(self, score: float) -> int:
        """Return how many queries score their own passage higher."""
        return sum(own > score for own in self.own)

    def thinned(self, most: int = KEPT_QUANTILES) -> Background:
        """Return the same with so many quantiles, small enough to keep and to draw."""
        if len(self.quantiles) <= most:
            return self
        shares = np.linspace(0, 100, most)
        return replace(self, quantiles=tuple(np.percentile(self.quantiles, shares).tolist()))

    def to_bytes(self) -> bytes:
        """Return the background as bytes for the workspace's cache."""
        return codec.to_json(self).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Background:
        """Return the background that `to_bytes` wrote.

        Raises:
            WorkspaceDamagedError: If it is not one.
        """
        try:
            return codec.from_json(cls, content)
        except ValueError as exc:
            raise WorkspaceDamagedError("A cached score background is damaged.") from exc


def _ascending(scores: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(scores, dtype=np.float64).ravel()
    return np.sort(array[np.isfinite(array)])


def corpus_key(passages: Sequence[Passage]) -> str:
    """Hash of the passages that are searched, in any order."""
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
) -> Background:
    """Sample an encoder's scores on a library.

    Queries are the opening words of sentences drawn from the passages, encoded as queries. A pair
    counts as not belonging together when its passage is from another document and no near-duplicate
    (word sets with a Jaccard index of 0.8 or more). A library of one document has no such pair: the
    off-topic questions stand in.

    Args:
        encoder: Encodes some hundred short queries.
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
        raise IndexMismatchError(
            f"{len(passages)} passages came with {len(embeddings)} embeddings."
        )
    # In id order, so that the pairs do not depend on the order of the upload.
    order = sorted(range(len(passages)), key=lambda position: passages[position].passage_id)
    ordered = [passages[position] for position in order]
    rows = np.array(order)
    generator = np.random.default_rng(seed)
    sources = generator.permutation(len(ordered))[:BACKGROUND_QUERIES].tolist()
    openings = {source: _opening_words(ordered[source].text, generator) for source in sources}
    asked = [source for source in sources if openings[source]]
    encoded = encoder.encode(
        [*(openings[source] for source in asked), *OFF_TOPIC], kind=TextKind.QUERY, monitor=monitor
    )
    queries, off_topic = encoded[: len(asked)], encoded[len(asked) :]
    related = _Related(ordered)
    per_query = min(PASSAGES_PER_QUERY, len(ordered))
    apart: list[NDArray[np.float32]] = []
    for query, source in zip(queries, asked, strict=True):
        drawn = generator.choice(len(ordered), per_query, replace=False)
        others = [target for target in drawn.tolist() if not related(source, target)]
        apart.append(embeddings[rows[others]] @ query)
    scores = np.concatenate(apart) if apart else np.empty(0, np.float32)
    pairs = OTHER_DOCUMENTS
    if len(scores) < MIN_SAMPLES:
        pairs = OFF_TOPIC_PAIRS
        drawn = generator.choice(len(ordered), per_query, replace=False)
        scores = (embeddings[rows[drawn]] @ off_topic.T).ravel()
    return Background.from_scores(
        scores,
        pairs=pairs,
        off_topic=_best(embeddings, off_topic),
        own=np.einsum("ij,ij->i", queries, embeddings[rows[asked]]) if asked else (),
    )


def _best(embeddings: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each query's best score over all rows, ``(m,)``, a block of rows at a time."""
    best = np.full(len(queries), -math.inf, np.float32)
    for first in range(0, len(embeddings), _ROWS_AT_ONCE):
        block = embeddings[first : first + _ROWS_AT_ONCE]
        best = np.maximum(best, (queries @ block.T).max(axis=1))
    return best


class _Related:
    """Tells pairs that may belong together: of one document, or near-duplicates."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._words: dict[int, frozenset[str]] = {}

    def __call__(self, a: int, b: int) -> bool:
        if self._passages[a].doc_id == self._passages[b].doc_id:
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
