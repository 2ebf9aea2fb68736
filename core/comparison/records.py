"""Records of a comparison: one query, several systems, and where their rankings part.

These records are complete: page, export and report are made from them alone. They are saved and
exported as JSON (`to_json`, `from_json`), so every change of shape raises `FORMAT`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from core import codec
from core.comparison.measures import figures
from core.comparison.measures.measure import Figures
from core.errors import UnknownNameError, UsageError
from core.records import Query, Ranking, ReceivedText, SystemInfo, Unit
from core.search.background import Background

FORMAT = 2


class MoveKind(StrEnum):
    """Moves of a passage from system A to system B, within the top k."""

    SAME = "same"
    UP = "up"  # nearer the top in B
    DOWN = "down"
    ONLY_A = "only a"  # in A's top k, not in B's
    ONLY_B = "only b"


@dataclass(frozen=True, slots=True)
class Move:
    """One passage's way from system A to system B."""

    passage_id: str  # in the top k of A, of B, or of both
    rank_a: int | None  # its rank in A over the whole corpus; None where A does not rank it at all
    rank_b: int | None  # the same in B
    kind: MoveKind  # seen from the top k

    @property
    def places(self) -> int | None:
        """``rank_a - rank_b``: places gained in B; None where a rank is not known."""
        if self.rank_a is None or self.rank_b is None:
            return None
        return self.rank_a - self.rank_b


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two systems agree on one query. Every number is symmetric except the moves."""

    system_a: str  # its id
    system_b: str  # its id
    k: int  # depth of the moves and of every measure "@k"
    shared: int  # passages in both top k
    figures: Figures  # of every measure (`core.comparison.measures`), by name
    moves: tuple[Move, ...]  # every passage in either top k, best place first, ties by passage id

    @property
    def travelled_most(self) -> Move | None:
        """The passage of either top k whose two known ranks lie furthest apart; None if none do.

        Ties go to the better best place, then to the smaller passage id.
        """
        moved = [move for move in self.moves if move.places]
        # max keeps the first of equals, and moves are in order of best place.
        return max(moved, key=lambda move: abs(move.places or 0), default=None)


@dataclass(frozen=True, slots=True)
class Column:
    """One system's side of a comparison, and under which conditions it was asked."""

    info: SystemInfo  # the system, as the page names it
    ranking: Ranking  # its best hits, at least the top k where it has them; empty when it failed
    # its scores in this library for pairs that do not belong together, and that do; None for
    # systems without one
    background: Background | None = None
    fingerprint: str = ""  # of the encoder; "" for other systems
    max_tokens: int = 0  # the encoder's limit in force; 0 for other systems
    # exactly what the encoder got for the query; None for other systems
    received: ReceivedText | None = None
    seconds: float | None = None  # time the system took for this query; None when not measured
    failure: str = ""  # why there is no ranking, in a sentence; "" when all is well
    note: str = ""  # what to know about it besides, in a sentence or two. Hostile text: escape it.


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one passage stands in one system."""

    system_id: str  # the system
    # over the whole corpus, from 1; None where the system does not rank it or failed
    rank: int | None = None
    score: float | None = None  # raw score of that system (cosine for encoders)
    # score in standard deviations above the system's background; None without one
    z: float | None = None
    # share of the background below the score, 0 to 100; None without one
    percentile: float | None = None


@dataclass(frozen=True, slots=True)
class ComparedPassage:
    """A passage that some system ranks near the top, with its place in every system."""

    passage_id: str  # its id
    doc_id: str  # its document
    document: str  # the document's name, as the user knows it. Hostile text: escape it.
    page_first: int  # page of the first character, from 1
    page_last: int  # page of the last character
    start: int  # first character in the document text
    end: int  # one past the last
    text: str  # ``document.text[start:end]``. Hostile text: escape it.
    standings: tuple[Standing, ...]  # one per column, in the order of the columns

    def standing(self, system_id: str) -> Standing:
        """Return where the passage stands in a system.

        Raises:
            UnknownNameError: If the comparison has no such system.
        """
        for standing in self.standings:
            if standing.system_id == system_id:
                return standing
        raise UnknownNameError(f"This comparison has no system {system_id!r}.")


@dataclass(frozen=True, slots=True)
class CloudPoint:
    """A passage of the corpus in the score plot: calibrated scores of both encoders, nothing else."""

    passage_id: str
    z_a: float
    z_b: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One query asked of every system: the rankings, the numbers between them and the words."""

    query: Query  # what was asked
    k: int  # depth of the columns and of every "@k" figure
    unit: Unit  # what was retrieved
    corpus_size: int  # passages that were searched
    columns: tuple[Column, ...]  # one per system, in the order given
    encoder_a: str  # system id of the first encoder (the diffusion encoder in the bundled pair)
    encoder_b: str  # system id of the second encoder
    # every passage in some column's ranking, in order of best rank over the columns, ties by
    # passage id
    passages: tuple[ComparedPassage, ...]
    # one for every two columns that did not fail, in column order
    agreements: tuple[Agreement, ...]
    # up to a few hundred passages spread evenly over the corpus, for the score plot; empty when an
    # encoder has no background or gave no scores for the whole corpus
    cloud: tuple[CloudPoint, ...] = ()
    # at most three sentences in plain text, made by rules from the numbers here. They quote no text
    # from documents except document names: escape them all the same.
    summary: tuple[str, ...] = ()
    pair_id: str = ""  # the pair that was compared; "" when it is not one of the registry
    # whether both encoders ran at one and the same token limit; None if not encoders
    equal_limits: bool | None = None
    waiting: int = 0  # passages of the library that some encoder had not embedded yet

    @property
    def encoders_answered(self) -> bool:
        """Whether one of the two encoders gave a ranking."""
        return not all(self.column(name).failure for name in (self.encoder_a, self.encoder_b))

    def column(self, system_id: str) -> Column:
        """Return one system's column.

        Raises:
            UnknownNameError: If the comparison has no such system.
        """
        for column in self.columns:
            if column.info.system_id == system_id:
                return column
        raise UnknownNameError(f"This comparison has no system {system_id!r}.")

    def passage(self, passage_id: str) -> ComparedPassage:
        """Return one compared passage.

        Raises:
            UnknownNameError: If no system ranks it near the top.
        """
        for passage in self.passages:
            if passage.passage_id == passage_id:
                return passage
        raise UnknownNameError(f"This comparison has no passage {passage_id!r}.")

    def agreement(self, system_a: str, system_b: str) -> Agreement | None:
        """Return the agreement of two systems, in column order; None where one of them failed."""
        for agreement in self.agreements:
            if {agreement.system_a, agreement.system_b} == {system_a, system_b}:
                return agreement
        return None

    @property
    def encoders_agreement(self) -> Agreement | None:
        """The agreement of the two encoders; None where one of them failed."""
        return self.agreement(self.encoder_a, self.encoder_b)


# -- JSON ----------------------------------------------------------------------------------


def to_json(comparison: Comparison, *, indent: int | None = None) -> str:
    """Return a comparison as JSON; `from_json` gives back an equal one."""
    return json.dumps(to_fields(comparison), indent=indent)


def from_json(text: str) -> Comparison:
    """Read a comparison that `to_json` wrote, in this version or an earlier one.

    Raises:
        UsageError: If the text is not one, or was written by a newer Bifocal.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"This is not a comparison saved by Bifocal: {exc}.") from exc
    return from_fields(fields)


def to_fields(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain dictionaries, lists, strings and numbers."""
    return {"format": FORMAT, **codec.to_jsonable(comparison)}


def from_fields(fields: Any) -> Comparison:  # noqa: ANN401 - parsed JSON of unknown shape
    """Read the fields of `to_fields`.

    Raises:
        UsageError: If it is not a comparison, or was written by a newer Bifocal.
    """
    try:
        written = int(fields["format"])
        if written <= FORMAT:
            found = codec.from_jsonable(Comparison, _format_1(fields) if written == 1 else fields)
            return replace(found, agreements=tuple(_complete(found, a) for a in found.agreements))
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError) as exc:
        raise UsageError(f"This is not a comparison saved by Bifocal: {exc!r}.") from exc
    raise UsageError("This comparison was saved by a newer Bifocal; update Bifocal to open it.")


def _complete(comparison: Comparison, agreement: Agreement) -> Agreement:
    """Compute the measures that Bifocal did not have when the comparison was saved."""
    ids = [
        comparison.column(name).ranking.passage_ids
        for name in (agreement.system_a, agreement.system_b)
    ]
    computed = figures(ids[0], ids[1], k=agreement.k)
    kept = {name: agreement.figures.get(name, value) for name, value in computed.items()}
    return replace(agreement, figures=kept)


def _format_1(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a comparison saved before version 0.2 in the shape of today."""

    def named(names: str, rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
        return [dict(zip(names.split(), row, strict=True)) for row in rows]

    columns = [
        {
            **column,
            "info": {name: column[name] for name in ("system_id", "family", "label")},
            "ranking": {
                "query_id": fields["query"]["query_id"],
                "system_id": column["system_id"],
                "hits": named(
                    "passage_id score rank",
                    ((*hit, rank) for rank, hit in enumerate(column["hits"], start=1)),
                ),
            },
        }
        for column in fields["columns"]
    ]
    agreements = [
        {
            **one,
            "figures": {n: v for n, v in one.items() if v is None or isinstance(v, int | float)},
            "moves": named("passage_id rank_a rank_b kind", one["moves"]),
        }
        for one in fields["agreements"]
    ]
    cloud = named("passage_id z_a z_b", fields["cloud"])
    return {
        **fields,
        "columns": columns,
        "agreements": agreements,
        "cloud": cloud,
        "encoder_a": fields["arm_a"],
        "encoder_b": fields["arm_b"],
    }
