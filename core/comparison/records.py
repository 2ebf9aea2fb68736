"""Records of a comparison: one query, several systems, and where their rankings part.

These records are complete: page, export and report are made from them alone. They are saved and
exported as JSON (`to_json`, `from_json`), so every change of shape raises `FORMAT`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from core.comparison.measures import figures
from core.comparison.measures.measure import Figures
from core.errors import UnknownNameError, UsageError
from core.records import Family, Hit, Query, Ranking, ReceivedText, SystemInfo, Unit
from core.search.background import Background

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1


class MoveKind(StrEnum):
    """Moves of a passage from system A to system B, within the top k."""

    SAME = "same"
    UP = "up"  # nearer the top in B
    DOWN = "down"
    ONLY_A = "only a"  # in A's top k, not in B's
    ONLY_B = "only b"


@dataclass(frozen=True, slots=True)
class Move:
    """One passage's way from system A to system B.

    Attributes:
        passage_id: In the top k of A, of B, or of both.
        rank_a: Its rank in A over the whole corpus; None where A does not rank it at all.
        rank_b: The same in B.
        kind: Seen from the top k.
    """

    passage_id: str
    rank_a: int | None
    rank_b: int | None
    kind: MoveKind

    @property
    def places(self) -> int | None:
        """``rank_a - rank_b``: places gained in B; None where a rank is not known."""
        if self.rank_a is None or self.rank_b is None:
            return None
        return self.rank_a - self.rank_b


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two systems agree on one query. Every number is symmetric except the moves.

    Attributes:
        system_a: Its id.
        system_b: Its id.
        k: Depth of the moves and of every measure "@k".
        shared: Passages in both top k.
        figures: Of every measure (`core.comparison.measures`), by name.
        moves: Every passage in either top k, best place first, ties by passage id.
    """

    system_a: str
    system_b: str
    k: int
    shared: int
    figures: Figures
    moves: tuple[Move, ...]

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
    """One system's side of a comparison, and under which conditions it was asked.

    Attributes:
        info: The system, as the page names it.
        ranking: Its best hits, at least the top k where it has them; empty when it failed.
        background: Its scores in this library for pairs that do not belong together, and that do;
            None for systems without one.
        fingerprint: Of the encoder; "" for other systems.
        max_tokens: The encoder's limit in force; 0 for other systems.
        received: Exactly what the encoder got for the query; None for other systems.
        seconds: Time the system took for this query; None when not measured.
        failure: Why there is no ranking, in a sentence; "" when all is well.
        note: What to know about it besides, in a sentence or two. Hostile text: escape it.
    """

    info: SystemInfo
    ranking: Ranking
    background: Background | None = None
    fingerprint: str = ""
    max_tokens: int = 0
    received: ReceivedText | None = None
    seconds: float | None = None
    failure: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one passage stands in one system.

    Attributes:
        system_id: The system.
        rank: Over the whole corpus, from 1; None where the system does not rank it or failed.
        score: Raw score of that system (cosine for encoders).
        z: Score in standard deviations above the system's background; None without one.
        percentile: Share of the background below the score, 0 to 100; None without one.
    """

    system_id: str
    rank: int | None = None
    score: float | None = None
    z: float | None = None
    percentile: float | None = None


@dataclass(frozen=True, slots=True)
class ComparedPassage:
    """A passage that some system ranks near the top, with its place in every system.

    Attributes:
        passage_id: Its id.
        doc_id: Its document.
        document: The document's name, as the user knows it. Hostile text: escape it.
        page_first: Page of the first character, from 1.
        page_last: Page of the last character.
        start: First character in the document text.
        end: One past the last.
        text: ``document.text[start:end]``. Hostile text: escape it.
        standings: One per column, in the order of the columns.
    """

    passage_id: str
    doc_id: str
    document: str
    page_first: int
    page_last: int
    start: int
    end: int
    text: str
    standings: tuple[Standing, ...]

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
    """One query asked of every system: the rankings, the numbers between them and the words.

    Attributes:
        query: What was asked.
        k: Depth of the columns and of every "@k" figure.
        unit: What was retrieved.
        corpus_size: Passages that were searched.
        columns: One per system, in the order given.
        encoder_a: System id of the first encoder (the diffusion encoder in the bundled pair).
        encoder_b: System id of the second encoder.
        passages: Every passage in some column's ranking, in order of best rank over the columns,
            ties by passage id.
        agreements: One for every two columns that did not fail, in column order.
        cloud: Up to a few hundred passages spread evenly over the corpus, for the score plot;
            empty when an encoder has no background or gave no scores for the whole corpus.
        summary: At most three sentences in plain text, made by rules from the numbers here.
            They quote no text from documents except document names: escape them all the same.
        pair_id: The pair that was compared; "" when it is not one of the registry.
        equal_limits: Whether both encoders ran at one and the same token limit; None if not encoders.
    """

    query: Query
    k: int
    unit: Unit
    corpus_size: int
    columns: tuple[Column, ...]
    encoder_a: str
    encoder_b: str
    passages: tuple[ComparedPassage, ...]
    agreements: tuple[Agreement, ...]
    cloud: tuple[CloudPoint, ...] = ()
    summary: tuple[str, ...] = ()
    pair_id: str = ""
    equal_limits: bool | None = None

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
    # ASCII only: text from a broken PDF may hold lone surrogates, which no file can.
    return json.dumps(to_fields(comparison), allow_nan=False, indent=indent)


def from_json(text: str) -> Comparison:
    """Read a comparison that `to_json` wrote.

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
    return {
        "format": FORMAT,
        "query": {"query_id": comparison.query.query_id, "text": comparison.query.text},
        "k": comparison.k,
        "unit": comparison.unit.value,
        "corpus_size": comparison.corpus_size,
        "pair_id": comparison.pair_id,
        "equal_limits": comparison.equal_limits,
        "arm_a": comparison.encoder_a,
        "arm_b": comparison.encoder_b,
        "summary": list(comparison.summary),
        "columns": [_column_fields(column) for column in comparison.columns],
        "agreements": [_agreement_fields(agreement) for agreement in comparison.agreements],
        "passages": [_passage_fields(passage) for passage in comparison.passages],
        "cloud": [[point.passage_id, point.z_a, point.z_b] for point in comparison.cloud],
    }


def from_fields(fields: Any) -> Comparison:  # noqa: ANN401 - parsed JSON of unknown shape
    """Read the fields of `to_fields`.

    Raises:
        UsageError: If it is not a comparison, or was written by a newer Bifocal.
    """
    try:
        newer = int(fields["format"]) > FORMAT
        comparison = None if newer else _comparison_from(fields)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError) as exc:
        raise UsageError(f"This is not a comparison saved by Bifocal: {exc!r}.") from exc
    if comparison is None:
        msg = "This comparison was saved by a newer Bifocal; update Bifocal to open it."
        raise UsageError(msg)
    return comparison


def _comparison_from(fields: Mapping[str, Any]) -> Comparison:
    query = Query(query_id=str(fields["query"]["query_id"]), text=str(fields["query"]["text"]))
    limits = fields["equal_limits"]
    columns = tuple(_column_from(item, query.query_id) for item in fields["columns"])
    return Comparison(
        query=query,
        k=int(fields["k"]),
        unit=Unit(fields["unit"]),
        corpus_size=int(fields["corpus_size"]),
        columns=columns,
        encoder_a=str(fields["arm_a"]),
        encoder_b=str(fields["arm_b"]),
        passages=tuple(_passage_from(item) for item in fields["passages"]),
        agreements=tuple(_agreement_from(item, columns) for item in fields["agreements"]),
        cloud=tuple(
            CloudPoint(passage_id=str(passage_id), z_a=float(z_a), z_b=float(z_b))
            for passage_id, z_a, z_b in fields["cloud"]
        ),
        summary=tuple(str(sentence) for sentence in fields["summary"]),
        pair_id=str(fields["pair_id"]),
        equal_limits=None if limits is None else bool(limits),
    )


def _column_fields(column: Column) -> dict[str, Any]:
    background = column.background
    received = column.received
    return {
        "system_id": column.info.system_id,
        "family": column.info.family.value,
        "label": column.info.label,
        "hits": [[hit.passage_id, hit.score] for hit in column.ranking.hits],
        "background": None
        if background is None
        else {
            "pairs": background.pairs,
            "samples": background.samples,
            "mean": background.mean,
            "deviation": background.deviation,
            "quantiles": list(background.quantiles),
            "off_topic": list(background.off_topic),
            "own": list(background.own),
        },
        "fingerprint": column.fingerprint,
        "max_tokens": column.max_tokens,
        "received": None
        if received is None
        else {
            "text": received.text,
            "tokens_total": received.tokens_total,
            "tokens_kept": received.tokens_kept,
        },
        "seconds": column.seconds,
        "failure": column.failure,
        "note": column.note,
    }


def _column_from(fields: Mapping[str, Any], query_id: str) -> Column:
    info = SystemInfo(
        system_id=str(fields["system_id"]),
        family=Family(fields["family"]),
        label=str(fields["label"]),
    )
    hits = tuple(
        Hit(passage_id=str(passage_id), score=float(score), rank=rank)
        for rank, (passage_id, score) in enumerate(fields["hits"], start=1)
    )
    background = fields["background"]
    received = fields["received"]
    return Column(
        info=info,
        ranking=Ranking(query_id=query_id, system_id=info.system_id, hits=hits),
        background=None
        if background is None
        else Background(
            pairs=str(background["pairs"]),
            samples=int(background["samples"]),
            mean=float(background["mean"]),
            deviation=float(background["deviation"]),
            quantiles=tuple(float(score) for score in background["quantiles"]),
            off_topic=tuple(map(float, background.get("off_topic", ()))),  # since 0.2
            own=tuple(map(float, background.get("own", ()))),
        ),
        fingerprint=str(fields["fingerprint"]),
        max_tokens=int(fields["max_tokens"]),
        received=None
        if received is None
        else ReceivedText(
            text=str(received["text"]),
            tokens_total=int(received["tokens_total"]),
            tokens_kept=int(received["tokens_kept"]),
        ),
        seconds=_optional_float(fields["seconds"]),
        failure=str(fields["failure"]),
        note=str(fields.get("note", "")),  # not in what earlier versions saved
    )


def _passage_fields(passage: ComparedPassage) -> dict[str, Any]:
    return {
        "passage_id": passage.passage_id,
        "doc_id": passage.doc_id,
        "document": passage.document,
        "page_first": passage.page_first,
        "page_last": passage.page_last,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        "standings": [
            {
                "system_id": standing.system_id,
                "rank": standing.rank,
                "score": standing.score,
                "z": standing.z,
                "percentile": standing.percentile,
            }
            for standing in passage.standings
        ],
    }


def _passage_from(fields: Mapping[str, Any]) -> ComparedPassage:
    return ComparedPassage(
        passage_id=str(fields["passage_id"]),
        doc_id=str(fields["doc_id"]),
        document=str(fields["document"]),
        page_first=int(fields["page_first"]),
        page_last=int(fields["page_last"]),
        start=int(fields["start"]),
        end=int(fields["end"]),
        text=str(fields["text"]),
        standings=tuple(
            Standing(
                system_id=str(item["system_id"]),
                rank=_optional_int(item["rank"]),
                score=_optional_float(item["score"]),
                z=_optional_float(item["z"]),
                percentile=_optional_float(item["percentile"]),
            )
            for item in fields["standings"]
        ),
    )


def _agreement_fields(agreement: Agreement) -> dict[str, Any]:
    return {
        "system_a": agreement.system_a,
        "system_b": agreement.system_b,
        "k": agreement.k,
        "shared": agreement.shared,
        **agreement.figures,
        "moves": [
            [move.passage_id, move.rank_a, move.rank_b, move.kind.value] for move in agreement.moves
        ],
    }


def _agreement_from(fields: Mapping[str, Any], columns: Sequence[Column]) -> Agreement:
    ids = {column.info.system_id: column.ranking.passage_ids for column in columns}
    # A measure that Bifocal did not have when the comparison was saved is computed now.
    computed = figures(ids[fields["system_a"]], ids[fields["system_b"]], k=int(fields["k"]))
    return Agreement(
        system_a=str(fields["system_a"]),
        system_b=str(fields["system_b"]),
        k=int(fields["k"]),
        shared=int(fields["shared"]),
        figures={
            # a count stays a whole number
            name: saved if isinstance(saved, int) else _optional_float(saved)
            for name, value in computed.items()
            for saved in [fields.get(name, value)]
        },
        moves=tuple(
            Move(
                passage_id=str(passage_id),
                rank_a=_optional_int(rank_a),
                rank_b=_optional_int(rank_b),
                kind=MoveKind(kind),
            )
            for passage_id, rank_a, rank_b, kind in fields["moves"]
        ),
    )


def _optional_int(value: Any) -> int | None:  # noqa: ANN401 - parsed JSON
    return None if value is None else int(value)


def _optional_float(value: Any) -> float | None:  # noqa: ANN401 - parsed JSON
    return None if value is None else float(value)
