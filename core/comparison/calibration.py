"""What an encoder's scores look like by chance on this corpus, so that one score can be placed.

Cosines of two encoders lie on different scales: 0.7 may be noise for one and a near copy for the
other. A `Background` is a sample of an encoder's own scores for random pairs of this corpus; a
score is shown as standard deviations above it (z) and as the share of it that lies below
(percentile). Both arms draw the same pairs when they are given the same counts and seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.comparison.records import BackgroundSummary
from core.errors import IndexMismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

QUERY_PASSAGE = "query-passage"
PASSAGE_PASSAGE = "passage-passage"
DEFAULT_SAMPLES = 10_000
MIN_SAMPLES = 30  # fewer random pairs than this place nothing
_MIN_DEVIATION = 1e-6  # below float32's own noise: all scores are one
_BLOCK = 2048  # pairs whose rows are gathered at a time


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """Scores of random pairs, sorted.

    Attributes:
        scores: ``(n,)`` float64, ascending.
        pairs: `QUERY_PASSAGE` or `PASSAGE_PASSAGE`.
        mean: Of the scores; 0.0 without any.
        deviation: Their standard deviation (population).
    """

    scores: NDArray[np.float64]
    pairs: str
    mean: float
    deviation: float

    @classmethod
    def from_scores(cls, scores: ArrayLike, *, pairs: str = QUERY_PASSAGE) -> Background:
        """Make a background of scores in any order; values that are not finite are left out."""
        array = np.asarray(scores, dtype=np.float64).ravel()
        array = np.sort(array[np.isfinite(array)])
        return cls(
            scores=array,
            pairs=pairs,
            mean=float(array.mean()) if array.size else 0.0,
            deviation=float(array.std()) if array.size else 0.0,
        )

    @property
    def samples(self) -> int:
        """How many pairs were drawn."""
        return int(self.scores.size)

    @property
    def places_scores(self) -> bool:
        """Whether there are enough pairs, and different enough, to place a score."""
        return self.samples >= MIN_SAMPLES and self.deviation > _MIN_DEVIATION

    def z(self, score: float) -> float | None:
        """Return the score in standard deviations above the mean; None if it cannot be placed."""
        return (score - self.mean) / self.deviation if self.places_scores else None

    def z_scores(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return z of many scores, same shape; NaN everywhere if they cannot be placed."""
        array = np.asarray(scores, dtype=np.float64)
        if not self.places_scores:
            return np.full_like(array, np.nan)
        return np.asarray((array - self.mean) / self.deviation, dtype=np.float64)

    def percentile(self, score: float) -> float | None:
        """Return the share of random pairs that score lower, 0 to 100; ties count half.

        100.0 means above every pair drawn, not above every pair there is. None if the score
        cannot be placed.
        """
        if not self.places_scores:
            return None
        below = int(np.searchsorted(self.scores, score, side="left"))
        up_to = int(np.searchsorted(self.scores, score, side="right"))
        return 50.0 * (below + up_to) / self.samples

    def quantile(self, percentile: float) -> float:
        """Return the score below which ``percentile`` (0 to 100) of the pairs lie; 0.0 if none."""
        return float(np.percentile(self.scores, percentile)) if self.samples else 0.0

    def summary(self) -> BackgroundSummary:
        """Return what is kept in a comparison."""
        quantiles: Any = np.percentile(self.scores, np.arange(101)) if self.samples else ()
        return BackgroundSummary(
            pairs=self.pairs,
            samples=self.samples,
            mean=self.mean,
            deviation=self.deviation,
            quantiles=tuple(float(score) for score in quantiles),
        )


def sample_background(
    queries: NDArray[np.float32],
    passages: NDArray[np.float32],
    *,
    pairs: str = QUERY_PASSAGE,
    query_groups: Sequence[str] | None = None,
    passage_groups: Sequence[str] | None = None,
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
) -> Background:
    """Score random pairs of rows.

    Args:
        queries: ``(m, dim)`` float32 unit rows. For passage-passage pairs: the passages again.
        passages: ``(n, dim)`` float32 unit rows, in order of passage id, so that the order of
            upload changes nothing.
        pairs: What the pairs are; with `PASSAGE_PASSAGE` a row is never paired with itself.
        query_groups: Document id per query row; pairs inside one document are left out, since
            they are related by more than chance. None to keep them.
        passage_groups: Document id per passage row; needed with ``query_groups``.
        samples: How many pairs at most; all of them when there are no more.
        seed: Equal counts, groups and seed draw equal pairs, whatever the encoder.

    Returns:
        A background; with too few pairs it places no score, which is not an error.

    Raises:
        IndexMismatchError: If dimensions or group lengths do not fit the rows.
    """
    left, right = _draw_pairs(
        len(queries),
        len(passages),
        no_self=pairs == PASSAGE_PASSAGE,
        query_groups=query_groups,
        passage_groups=passage_groups,
        samples=samples,
        seed=seed,
    )
    if left.size and queries.shape[1] != passages.shape[1]:
        msg = (
            f"Queries have {queries.shape[1]} dimensions and passages {passages.shape[1]}; "
            "embed both with the same encoder."
        )
        raise IndexMismatchError(msg)
    scores = np.empty(left.size, dtype=np.float64)
    for start in range(0, left.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        scores[block] = np.einsum("ij,ij->i", queries[left[block]], passages[right[block]])
    return Background.from_scores(scores, pairs=pairs)


def _draw_pairs(
    rows: int,
    columns: int,
    *,
    no_self: bool,
    query_groups: Sequence[str] | None,
    passage_groups: Sequence[str] | None,
    samples: int,
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row positions on both sides of at most ``samples`` distinct pairs."""
    total = rows * columns
    empty = np.empty(0, dtype=np.int64)
    if not total or samples < 1:
        return empty, empty
    generator = np.random.default_rng(seed)
    if total <= 4 * samples:  # few enough to list them all and drop what is related
        drawn = generator.permutation(total)
    else:  # twice as many as needed: some fall away below
        drawn = np.unique(generator.integers(0, total, size=2 * samples))
        generator.shuffle(drawn)
    left, right = drawn // columns, drawn % columns
    keep = np.ones(drawn.size, dtype=bool)
    if no_self:
        keep &= left != right
    if query_groups is not None and passage_groups is not None:
        if len(query_groups) != rows or len(passage_groups) != columns:
            msg = "Every query and passage row needs its document id to draw random pairs."
            raise IndexMismatchError(msg)
        names = {name: code for code, name in enumerate({*query_groups, *passage_groups})}
        codes_left = np.array([names[name] for name in query_groups])
        codes_right = np.array([names[name] for name in passage_groups])
        unrelated = keep & (codes_left[left] != codes_right[right])
        # A library of one document has related pairs only: better those than none.
        keep = unrelated if unrelated.any() else keep
    kept = np.flatnonzero(keep)[:samples]
    return left[kept].astype(np.int64), right[kept].astype(np.int64)


def expected_by_chance(percentile: float, *, corpus_size: int) -> float:
    """Return how many passages of the corpus would score as high if all were random pairs."""
    return (100.0 - percentile) / 100.0 * corpus_size


def is_weak_match(percentile: float, *, corpus_size: int) -> bool:
    """Whether a top hit is no better than chance: at least one random passage would match it.

    The best of n unrelated passages is expected at the percentile 100 (1 - 1/n); a top hit at or
    below that mark says nothing about the query.
    """
    return expected_by_chance(percentile, corpus_size=corpus_size) >= 1.0
