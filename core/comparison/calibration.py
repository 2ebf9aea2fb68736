"""What an encoder's scores look like by chance on this corpus, so that one score can be placed.

Cosines of two encoders lie on different scales: 0.7 may be noise for one and a near copy for the
other. A `Background` is a sample of an encoder's own scores for random pairs of this corpus; a
score is shown as standard deviations above it (z) and as the share of it that lies below
(percentile). The sample itself is drawn in core.search.background, the same pairs for every encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.comparison.records import BackgroundSummary
from core.search.background import PairKind

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MIN_SAMPLES = 30  # fewer random pairs than this place nothing
_MIN_DEVIATION = 1e-6  # below float32's own noise: all scores are one


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """Scores of random pairs, sorted.

    Attributes:
        scores: ``(n,)`` float64, ascending.
        pairs: What the pairs are.
        mean: Of the scores; 0.0 without any.
        deviation: Their standard deviation (n - 1); 0.0 for fewer than two.
    """

    scores: NDArray[np.float64]
    pairs: PairKind
    mean: float
    deviation: float

    @classmethod
    def from_scores(
        cls, scores: ArrayLike, *, pairs: PairKind = PairKind.QUERY_PASSAGE
    ) -> Background:
        """Make a background of scores in any order; values that are not finite are left out."""
        array = np.asarray(scores, dtype=np.float64).ravel()
        array = np.sort(array[np.isfinite(array)])
        return cls(
            scores=array,
            pairs=pairs,
            mean=float(array.mean()) if array.size else 0.0,
            deviation=float(array.std(ddof=1)) if array.size > 1 else 0.0,
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
            pairs=self.pairs.value,
            samples=self.samples,
            mean=self.mean,
            deviation=self.deviation,
            quantiles=tuple(float(score) for score in quantiles),
        )


def expected_by_chance(percentile: float, *, corpus_size: int) -> float:
    """Return how many passages of the corpus would score as high if all were random pairs."""
    return (100.0 - percentile) / 100.0 * corpus_size


def is_weak_match(percentile: float, *, corpus_size: int) -> bool:
    """Whether a top hit is no better than chance: at least one random passage would match it.

    The best of n unrelated passages is expected at the percentile 100 (1 - 1/n); a top hit at or
    below that mark says nothing about the query.
    """
    return expected_by_chance(percentile, corpus_size=corpus_size) >= 1.0
