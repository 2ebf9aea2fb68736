"""What each system put first."""

from __future__ import annotations

from core.comparison.calibration import is_weak_match
from core.comparison.records import Column, ComparedPassage, Comparison, MoveKind, Standing
from core.laboratory.report.markup import (
    anchor_of,
    arms_of,
    escape,
    label_of,
    one_decimal,
    pages_of,
)
from core.records import Family
from core.words import ordinal, shortened


def columns(comparison: Comparison) -> str:
    """Return every system's best hits, side by side."""
    columns = "".join(_column(comparison, column) for column in comparison.columns)
    return f'<h2>What each system put first</h2><div class="columns">{columns}</div>'


def _column(comparison: Comparison, column: Column) -> str:
    head = f"<h3>{label_of(comparison, column.info.system_id)}</h3>"
    if column.failure:
        return f"<section>{head}<p>{escape(column.failure)}</p></section>"
    hits = column.ranking.hits[: comparison.k]
    if not hits:
        lexical = column.info.family is Family.LEXICAL
        words = "Nothing found: no word of the query occurs." if lexical else "It returned nothing."
        return f"<section>{head}<p>{words}</p></section>"
    rows = "".join(
        _hit(comparison, column, comparison.passage(hit.passage_id), hit.rank) for hit in hits
    )
    return f'<section>{head}<ol class="hits">{rows}</ol></section>'


def _hit(comparison: Comparison, column: Column, passage: ComparedPassage, rank: int) -> str:
    standing = passage.standing(column.info.system_id)
    tags = [_tag(text) for text in _moves(comparison, column, passage)]
    if rank == 1 and _is_weak(comparison, standing):
        tags.append(_tag("weak match"))
    return (
        f'<li><span class="rank">{rank}</span><div>'
        f'<a href="#{anchor_of(comparison, passage)}" class="name" dir="auto">'
        f"{escape(shortened(passage.document, 60))}</a> "
        f"<small>{pages_of(passage)}{_standing_words(standing)}</small> {' '.join(tags)}"
        f'<div class="text snippet" dir="auto">{escape(shortened(passage.text, 260))}</div>'
        "</div></li>"
    )


def _tag(text: str) -> str:
    return f'<span class="tag">{escape(text)}</span>'


def _moves(comparison: Comparison, column: Column, passage: ComparedPassage) -> list[str]:
    """Say what became of a hit in the other arm; nothing for systems that are no arm."""
    agreement = comparison.arms_agreement
    if agreement is None or column.info.system_id not in arms_of(comparison):
        return []
    in_a = column.info.system_id == comparison.arm_a
    for move in agreement.moves:
        if move.passage_id == passage.passage_id:
            only = (move.kind is MoveKind.ONLY_A) if in_a else (move.kind is MoveKind.ONLY_B)
            other = move.rank_b if in_a else move.rank_a
            if only:
                return [f"only here; {ordinal(other)} there" if other else "only here"]
            return [f"{ordinal(other)} there"] if other and move.places else []
    return []


def _is_weak(comparison: Comparison, standing: Standing) -> bool:
    return standing.percentile is not None and is_weak_match(
        standing.percentile, corpus_size=comparison.corpus_size
    )


def _standing_words(standing: Standing) -> str:
    if standing.z is None or standing.percentile is None:
        return f" · score {standing.score:.2f}" if standing.score is not None else ""
    return f" · z {one_decimal(standing.z)} · {_percentile(standing.percentile)}"


def _percentile(value: float) -> str:
    if value >= 100:
        return "above all random pairs"
    # Cut, not rounded: 99.96 is not "the 100th percentile".
    return f"{int(value * 10) / 10:.1f}th percentile"
