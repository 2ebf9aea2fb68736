"""How sure a figure is: bootstrap over queries, a paired randomisation test, Holm's correction.

Queries that share a relevant document rise and fall together, so the unit that is resampled is the
cluster of `query_clusters` (A. Davison, D. Hinkley, "Bootstrap Methods and their Application",
1997, section 3.8). Intervals are 95 % percentile bootstrap intervals over clusters (B. Efron, R.
Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). The p-value of a difference is
two-sided, from the paired randomisation test: under the null hypothesis the sign of each cluster's
difference is a coin toss (M. Smucker, J. Allan, B. Carterette, CIKM 2007). Holm: S. Holm,
Scandinavian Journal of Statistics 6, 1979. All are seeded: equal inputs give equal figures.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

RESAMPLES = 5_000
LEVEL = 0.95
_BLOCK = 500  # resamples drawn at a time, so that thousands of queries fit in memory
_EXACT_CLUSTERS = 12  # up to here all 2^n sign patterns are tried
_ROUNDING = 1e-12  # means this close are equal


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean paired difference A - B over queries, its 95 % interval, and a two-sided p-value."""

    value: float
    low: float
    high: float
    p_value: float


def query_clusters(qrels: Mapping[str, Mapping[str, int]]) -> NDArray[np.int64]:
    """Number of each query's cluster: queries that share a relevant document are in one.

    Clusters are the connected components of that sharing, so no document is relevant in two. Where
    all have one relevant document these are the sets of relevant documents; a set that overlaps
    another joins it, since what makes their common document easy helps both.

    Args:
        qrels: Grade by query id and document id; above 0 is relevant.

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


def bootstrap_means(
    columns: NDArray[np.float64],
    clusters: NDArray[np.int64],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[Interval, ...]:
    """Return the mean of each column with its interval, all over the same resampled clusters.

    Args:
        columns: ``(queries, m)``: a measure of a system each.
        clusters: ``(queries,)``: see `query_clusters`.
        seed: Decides the resamples; equal seeds and numbers of clusters draw equal ones.
        resamples: How many.

    Raises:
        UsageError: Without any query.
    """
    if not len(columns):
        raise UsageError("There is no query to measure.")
    sums, sizes = _by_cluster(columns, clusters)
    count = len(sizes)
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, columns.shape[1]))
    for start in range(0, resamples, _BLOCK):
        rows = min(_BLOCK, resamples - start)
        drawn = generator.integers(0, count, size=(rows, count))
        drawn += count * np.arange(rows)[:, np.newaxis]
        # How often each cluster was drawn: one matrix product then gives every column's means.
        counts = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        means[start : start + rows] = counts @ sums / (counts @ sizes)[:, np.newaxis]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return tuple(
        Interval(value=float(value), low=float(least), high=float(most))
        for value, least, most in zip(columns.mean(axis=0), low, high, strict=True)
    )


def paired_difference(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    clusters: NDArray[np.int64],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Difference:
    """Return the mean of ``first - second`` with its interval and p-value.

    Args:
        first: ``(queries,)`` of system A.
        second: ``(queries,)`` of system B, same queries in the same order.
        clusters: ``(queries,)``: see `query_clusters`.
        seed: Decides resamples and coin tosses.
        resamples: Of the bootstrap and of the test.

    Raises:
        UsageError: If the shapes differ or there is no query.
    """
    if first.shape != second.shape:
        raise UsageError(f"{first.size} values cannot be paired with {second.size}.")
    differences = first - second
    interval = bootstrap_means(
        differences[:, np.newaxis], clusters, seed=seed, resamples=resamples
    )[0]
    return Difference(
        value=interval.value,
        low=interval.low,
        high=interval.high,
        p_value=randomisation_p_value(differences, clusters, seed=seed, resamples=resamples),
    )


def randomisation_p_value(
    differences: NDArray[np.float64],
    clusters: NDArray[np.int64],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> float:
    """Return the two-sided p-value of the mean difference, by flipping signs at random.

    Exact up to 12 clusters with a difference; beyond, (1 + as extreme) / (1 + resamples).
    """
    sums = _by_cluster(differences[:, np.newaxis], clusters)[0][:, 0]
    moved = sums[np.abs(sums) > _ROUNDING]  # a zero keeps its value either way
    if not moved.size:
        return 1.0
    observed = abs(float(moved.sum())) - _ROUNDING * moved.size
    if moved.size <= _EXACT_CLUSTERS:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=moved.size)))
        return float(np.mean(np.abs(signs @ moved) >= observed))
    generator = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, resamples, _BLOCK):
        rows = min(_BLOCK, resamples - start)
        signs = generator.integers(0, 2, size=(rows, moved.size), dtype=np.int8) * 2.0 - 1.0
        extreme += int(np.count_nonzero(np.abs(signs @ moved) >= observed))
    return (1 + extreme) / (1 + resamples)


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
    differences: NDArray[np.float64],
    clusters: NDArray[np.int64],
    *,
    power: float = 0.8,
    alpha: float = 0.05,
) -> int | None:
    """Return about how many queries would tell a difference of the size seen.

    The rule for a paired z-test: n times ((z_{1 - alpha/2} + z_power) * error / mean)^2, from the
    mean and its standard error over clusters so far. Rough while there are few of them.

    Returns:
        Queries in all, at least those that are there; None where the mean is 0 or fewer than two
        clusters are there, since then no number can be named.
    """
    sums, sizes = _by_cluster(differences[:, np.newaxis], clusters)
    count = len(sizes)
    if count <= 1:
        return None
    mean = float(differences.mean())
    if abs(mean) <= _ROUNDING:
        return None
    variance = count / (count - 1) * float(np.sum((sums[:, 0] - sizes * mean) ** 2))
    normal = NormalDist()
    z = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
    needed = z**2 * variance / (differences.size * mean**2)
    return max(int(differences.size), math.ceil(needed))


def _by_cluster(
    columns: NDArray[np.float64], clusters: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of each column in each cluster ``(clusters, m)``, and how many queries each has."""
    count = int(clusters.max(initial=-1)) + 1
    sums = np.zeros((count, columns.shape[1]))
    np.add.at(sums, clusters, columns)
    return sums, np.bincount(clusters, minlength=count).astype(np.float64)
