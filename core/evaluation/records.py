"""An evaluation: measures of every system with intervals, and the difference of the pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.evaluation.significance import Difference, Interval
from core.records import Family, Ranking, Unit


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredSystem:
    """One system's figures on one collection."""

    system_id: str  # an encoder's id, ``bm25`` or ``rrf``
    family: Family  # diffusion, autoregressive, reference, lexical, fusion or imported
    label: str  # name for people
    measures: Mapping[str, Interval]  # by name of measure: mean and interval
    per_query: Mapping[str, NDArray[np.float64]]  # by name of measure: ``(queries,)``
    rankings: tuple[Ranking, ...]  # its run, a ranking per query


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Every system on one collection."""

    name: str  # of the collection
    length: int | None  # nominal length in tokens; None for the whole
    systems: tuple[MeasuredSystem, ...]  # in the order they were given, BM25 and fusion last
    # by name of measure: first minus second encoder; empty without two
    difference: Mapping[str, Difference]
    # by name of measure: the same per query, ``(queries,)``
    differences: Mapping[str, NDArray[np.float64]]
    query_ids: tuple[str, ...]  # in the order of every ``per_query``
    # ``(queries,)`` which of them share relevant documents; see `query_clusters`
    clusters: NDArray[np.int64]
    passages: int  # documents that were ranked

    @property
    def queries(self) -> int:
        """How many queries were measured."""
        return len(self.query_ids)

    @property
    def independent(self) -> int:
        """How many clusters the queries form: units that rise and fall by themselves."""
        return int(self.clusters.max(initial=-1)) + 1

    def system(self, system_id: str) -> MeasuredSystem | None:
        """Return one system; None if it is not there."""
        return next((one for one in self.systems if one.system_id == system_id), None)


@dataclass(frozen=True, slots=True)
class DimensionCost:
    """The cost of a shorter embedding, on the whole collection."""

    system_id: str  # of the shorter system, ``<encoder id>@<dimension>``
    of: str  # the encoder's id
    dimension: int  # leading numbers kept
    difference: Mapping[str, Difference]  # by name of measure: cut minus uncut, paired by query


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A data set measured."""

    dataset: str  # the folder's name
    unit: Unit  # documents whole, or cut into passages and ranked by their best one
    whole: Measured  # the whole collection
    # its parts by nominal length, shortest first; none for ordinary sets
    lengths: tuple[Measured, ...]
    # system ids of the two encoders that ``difference`` compares; None with fewer than two
    pair: tuple[str, str] | None
    seconds: float  # wall clock of everything, embedding included
    notes: tuple[str, ...] = ()  # what a reader has to know, each a sentence
    # by encoder id: share of the texts that were longer than its limit
    cut_share: Mapping[str, float] = field(default_factory=dict)
    # what shorter embeddings cost, where they were asked for
    dimensions: tuple[DimensionCost, ...] = ()
    # what it was made of, by part; a part that is not there is unknown
    identity: Mapping[str, str] = field(default_factory=dict)
    queries: Mapping[str, str] = field(default_factory=dict)  # their texts, by id
