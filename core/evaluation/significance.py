"""How sure a figure is: studentised bootstrap, confidence sequence, Holm's correction.

The unit is the cluster of `query_clusters`, since queries that share a relevant document rise and
fall together (A. Davison, D. Hinkley, "Bootstrap Methods and their Application", 1997, sections
2.4 and 3.8). An interval and the p-value beside it come from the same resampled t statistics, so
that one never contradicts the other. `confidence_sequence` is for figures that are looked at while
queries are still being added. All are seeded: equal inputs give equal figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import UsageError

Values = NDArray[np.float64]
Clusters = NDArray[np.int64]

RESAMPLES = 2_000
ALPHA = 0.05
FEWEST = 6  # of five differences even the exact sign test can show none: 2 / 2^5 > .05
_BATCH_NUMBERS = 2_000_000  # resampled at a time
_ROUNDING = 1e-9  # means and errors this small are 0
_NO_SPREAD = 1e9  # t of a resample whose clusters are all alike
_GRID = 1_001  # means that a confidence sequence tries
_STAKES = np.geomspace(0.02, 0.98, 12)  # of the most that a bet may lose


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries and its 95 % interval."""

    value: float  # the mean
    low: float | None  # lower end; None where the interval is withheld
    high: float | None  # upper end; None where the interval is withheld
    withheld: str = ""  # why there is none, as in "all 20 score the same"; "" where there is one


@dataclass(frozen=True, slots=True)
class Difference(Interval):
    """Mean paired difference A - B over queries, its 95 % interval, and a two-sided p-value.

    The p-value is below .05 exactly where the interval leaves 0 out.
    """

    p_value: float = 1.0


def query_clusters(qrels: Mapping[str, Mapping[str, int]]) -> Clusters:
    """Number of each query's cluster: queries that share a relevant document are in one.

    Clusters are the connected components of that sharing, so no document is relevant in two. Where
    all have one relevant document these are the sets of relevant documents; a set that overlaps
    another joins it, since what makes their common document easy helps both.

    Returns:
        ``(queries,)`` in the order of ``qrels``, from 0 in the order of first appearance. A query
        without a relevant document is a cluster of its own.
    """
    from scipy.sparse import coo_array  # scipy costs the page's start half a second
    from scipy.sparse.csgraph import connected_components

    places: dict[str, int] = {}
    edges = [
        (query, len(qrels) + places.setdefault(doc_id, len(places)))
        for query, grades in enumerate(qrels.values())
        for doc_id, grade in grades.items()
        if grade > 0
    ]
    nodes = len(qrels) + len(places)
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges)), (ends[0], ends[1])), shape=(nodes, nodes))
    labels = connected_components(graph, directed=False)[1]
    return np.asarray(labels[: len(qrels)], dtype=np.int64)


def mean_interval(
    values: Values, clusters: Clusters, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Return the mean of a measure in [0, 1] over queries, ``(queries,)``, with its interval.

    The interval is the symmetric studentised bootstrap's (P. Hall, "The Bootstrap and Edgeworth
    Expansion", 1992, section 3.6), which keeps its level with few queries where percentiles do
    not. It is withheld where it could not: fewer than `FEWEST` clusters, or so few that differ
    that one resample in twenty has none of them. Equal seeds and numbers of clusters draw equal
    resamples.

    Raises:
        UsageError: Without any query.
    """
    value, reach, why, _ = _studentised(values, clusters, seed=seed, resamples=resamples)
    return Interval(value, *_ends(value, reach, 0.0, 1.0), withheld=why)


def paired_difference(
    first: Values, second: Values, clusters: Clusters, *, seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """Return the mean of ``first - second``, same queries in the same order, with its p-value.

    The interval is that of `mean_interval`; the p-value is the share of resampled t statistics
    that lie as far from 0. Where the interval is withheld the p-value is that of the paired
    permutation test over clusters.

    Raises:
        UsageError: If the shapes differ or there is no query.
    """
    if first.shape != second.shape:
        raise UsageError(f"{first.size} values cannot be paired with {second.size}.")
    value, reach, why, p_value = _studentised(
        first - second, clusters, seed=seed, resamples=resamples
    )
    return Difference(value, *_ends(value, reach, -1.0, 1.0), withheld=why, p_value=p_value)


def confidence_sequence(values: Values, clusters: Clusters, *, low: float = 0.0) -> Difference:
    """Return the mean over clusters with an interval that may be looked at after every query.

    The interval holds the true mean at all times together with 95 % probability, so a judge may
    stop whenever it leaves 0 out. After I. Waudby-Smith and A. Ramdas,
    "Estimating means of bounded random variables by betting", JRSS B 86, 2024: a mean is given up
    once bets against it have multiplied the stake by 20. The p-value of a mean of 0 is one over
    the most that the stake against 0 has grown. ``values`` are in [``low``, 1] in the order in which
    they came; a cluster counts once, by its mean, where it first appears.

    Raises:
        UsageError: Without any query.
    """
    if not values.size:
        raise UsageError("There is no query to measure.")
    sums, sizes = _by_cluster(values, clusters)
    order = np.argsort(np.unique(clusters, return_index=True)[1])
    scaled = ((sums / sizes)[order] - low) / (1 - low)
    means = np.linspace(0, 1, _GRID)
    most_grown = _capital(scaled, means)
    alive = np.flatnonzero(most_grown < 1 / ALPHA)
    ends = alive[[0, -1]] if alive.size else np.repeat(most_grown.argmin(), 2)
    half = 0.5 / (_GRID - 1)
    least, most = (means[ends] + [-half, half]).clip(0, 1) * (1 - low) + low
    at_zero = float(most_grown[round(-low / (1 - low) * (_GRID - 1))])
    return Difference(
        value=float(scaled.mean()) * (1 - low) + low,
        low=float(least),
        high=float(most),
        p_value=1 / at_zero,
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for how many there are (Holm's step-down), in the order given."""
    ordered = sorted(p_values, key=lambda name: (p_values[name], name))
    adjusted: dict[str, float] = {}
    highest = 0.0
    for place, name in enumerate(ordered):
        highest = max(highest, min(1.0, p_values[name] * (len(ordered) - place)))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def queries_needed(
    differences: Values, clusters: Clusters, *, power: float = 0.8, alpha: float = ALPHA
) -> int | None:
    """Return about how many queries would tell a difference of the size seen.

    The rule for a paired z-test: n times ((z_{1 - alpha/2} + z_power) * error / mean)^2, from the
    mean and its standard error over clusters so far. Rough while there are few of them.

    Returns:
        Queries in all, at least those that are there; None where the mean is 0 or fewer than two
        clusters are there, since then no number can be named.
    """
    sums, sizes = _by_cluster(differences, clusters)
    mean = float(differences.mean()) if differences.size else 0.0
    if len(sizes) <= 1 or abs(mean) <= _ROUNDING:
        return None
    normal = NormalDist()
    z = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
    error = float(_mean_and_error(sums, sizes)[1])
    return max(differences.size, math.ceil(differences.size * (z * error / mean) ** 2))


def more_to_tell(values: Values, clusters: Clusters, *, alpha: float = ALPHA) -> int | None:
    """Return about how many more clusters of differences like these a confidence sequence needs.

    It needs 1 / alpha times the stake; what it has is spread over 24 bets, of which the best one
    on the differences so far grows by so much for each cluster. Rough while there are few.

    Returns:
        One at least; None where no bet wins, since then no number can be named.
    """
    sums, sizes = _by_cluster(values, clusters)
    gains = np.outer(np.concatenate([_STAKES, -_STAKES]), sums / sizes)
    growth = float(np.log1p(gains).mean(axis=1).max())
    if growth <= _ROUNDING:
        return None
    return max(1, math.ceil(math.log(len(gains) / alpha) / growth) - len(sums))


# -- parts ---------------------------------------------------------------------------------


def _by_cluster(values: Values, clusters: Clusters) -> tuple[Values, Values]:
    """Return the sum and the number of the values in each cluster: ``(clusters,)`` each."""
    sums = np.bincount(clusters, weights=values).astype(np.float64)
    return sums, np.bincount(clusters).astype(np.float64)


def _mean_and_error(sums: Values, sizes: Values) -> tuple[Any, Any]:
    """Return the mean over queries and its standard error over clusters, along the last axis."""
    count, queries = sums.shape[-1], sizes.sum(axis=-1)
    mean = sums.sum(axis=-1) / queries
    squares = np.sum((sums - sizes * mean[..., np.newaxis]) ** 2, axis=-1)
    return mean, np.sqrt(count / (count - 1) * squares) / queries


def _studentised(
    values: Values, clusters: Clusters, *, seed: int, resamples: int
) -> tuple[float, float | None, str, float]:
    """Return mean, half width of its interval, why there is none, and the p-value of a mean of 0."""
    if not values.size:
        raise UsageError("There is no query to measure.")
    sums, sizes = _by_cluster(values, clusters)
    count, value = len(sums), float(values.mean())
    queries = "queries" if count == values.size else "clusters of queries"
    if count < FEWEST:
        few = (
            f"{count} {queries}"
            if count > 1
            else "one query"
            if values.size == 1
            else "one cluster"
        )
        return value, None, f"{few} cannot have one", _permuted(sums, seed, resamples)
    mean, error = _mean_and_error(sums, sizes)
    if error <= _ROUNDING:
        return value, None, f"all {count} {queries} say the same", _permuted(sums, seed, resamples)

    def statistic(sums: Values, sizes: Values, *, axis: int = -1) -> Values:  # noqa: ARG001 - scipy's form
        means, errors = _mean_and_error(sums, sizes)
        spread = errors > _ROUNDING
        return np.where(spread, np.abs(means - mean) / np.where(spread, errors, 1), _NO_SPREAD)

    from scipy.stats import bootstrap

    drawn = np.sort(
        bootstrap(
            (sums, sizes),
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            batch=max(1, _BATCH_NUMBERS // count),
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    )
    critical = float(drawn[-math.floor(ALPHA * (resamples + 1))])
    if critical >= _NO_SPREAD:
        why = f"too few of the {count} {queries} differ from the others"
        return value, None, why, _permuted(sums, seed, resamples)
    extreme = resamples - int(np.searchsorted(drawn, abs(value) / error * (1 - _ROUNDING)))
    return value, critical * float(error), "", (1 + extreme) / (1 + resamples)


def _permuted(sums: Values, seed: int, resamples: int) -> float:
    """Return the two-sided p-value of a sum of 0 when the sign of each cluster is a coin toss."""
    from scipy.stats import permutation_test

    if len(sums) == 1:
        return 1.0
    found = permutation_test(
        (sums,),
        np.sum,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _ends(
    value: float, reach: float | None, least: float, most: float
) -> tuple[float | None, float | None]:
    """Return the ends of an interval, within the measure's range."""
    if reach is None:
        return None, None
    return round(max(least, value - reach), 12), round(min(most, value + reach), 12)


def _capital(values: Values, means: Values) -> Values:
    """Return the most that a stake of 1 against each mean has grown to: ``(means,)``.

    It is spread evenly over bets that the truth lies above and below, and over `_STAKES`.
    """
    stakes = [_STAKES[:, np.newaxis] / np.maximum(most, _ROUNDING) for most in (means, 1 - means)]
    above, below = np.ones((2, len(_STAKES), len(means)))
    most = np.ones(len(means))
    with np.errstate(over="ignore"):  # an infinite gain is one
        for value in values:
            above *= 1 + stakes[0] * (value - means)
            below *= 1 + stakes[1] * (means - value)
            np.maximum(most, (above.mean(axis=0) + below.mean(axis=0)) / 2, out=most)
    return most
