"""An evaluation: measures of every system with intervals, and the difference of the pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from core.evaluation.significance import Difference, Interval
    from core.records import Family, Ranking, Unit


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredSystem:
    """One system's figures on one collection.

    Attributes:
        system_id: An encoder's id, ``bm25`` or ``rrf``.
        family: Diffusion, autoregressive, reference, lexical, fusion or imported.
        label: Name for people.
        measures: By name of measure: mean and interval.
        per_query: By name of measure: ``(queries,)``.
        rankings: Its run, a ranking per query.
    """

    system_id: str
    family: Family
    label: str
    measures: Mapping[str, Interval]
    per_query: Mapping[str, NDArray[np.float64]]
    rankings: tuple[Ranking, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Every system on one collection.

    Attributes:
        name: Of the collection.
        length: Nominal length in tokens; None for the whole.
        systems: In the order they were given, BM25 and fusion last.
        difference: By name of measure: first minus second encoder; empty without two.
        differences: By name of measure: the same per query, ``(queries,)``.
        query_ids: In the order of every ``per_query``.
        clusters: ``(queries,)`` which of them share relevant documents; see `query_clusters`.
        passages: Documents that were ranked.
    """

    name: str
    length: int | None
    systems: tuple[MeasuredSystem, ...]
    difference: Mapping[str, Difference]
    differences: Mapping[str, NDArray[np.float64]]
    query_ids: tuple[str, ...]
    clusters: NDArray[np.int64]
    passages: int

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
    """The cost of a shorter embedding, on the whole collection.

    Attributes:
        system_id: Of the shorter system, ``<encoder id>@<dimension>``.
        of: The encoder's id.
        dimension: Leading numbers kept.
        difference: By name of measure: cut minus uncut, paired by query.
    """

    system_id: str
    of: str
    dimension: int
    difference: Mapping[str, Difference]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A data set measured.

    Attributes:
        dataset: The folder's name.
        unit: Documents whole, or cut into passages and ranked by their best one.
        whole: The whole collection.
        lengths: Its parts by nominal length, shortest first; none for ordinary sets.
        pair: System ids of the two encoders that ``difference`` compares; None with fewer than two.
        seconds: Wall clock of everything, embedding included.
        notes: What a reader has to know, each a sentence.
        cut_share: By encoder id: share of the texts that were longer than its limit.
        dimensions: What shorter embeddings cost, where they were asked for.
        identity: What it was made of, by part; a part that is not there is unknown.
    """

    dataset: str
    unit: Unit
    whole: Measured
    lengths: tuple[Measured, ...]
    pair: tuple[str, str] | None
    seconds: float
    notes: tuple[str, ...] = ()
    cut_share: Mapping[str, float] = field(default_factory=dict)
    dimensions: tuple[DimensionCost, ...] = ()
    identity: Mapping[str, str] = field(default_factory=dict)
