"""A comparison in words: at most three sentences, made by rules from its numbers.

1. how far the two encoders agree;
2. the passage that travelled most between them, and its page;
3. the place of the first hits in BM25.

A sentence never says more than its numbers: nothing is called better, worse or weak.
`first_hit_place` says in a column's head where its best score lies between off-topic questions and
hits known to be right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.records import Family, Unit
from core.words import ordinal

if TYPE_CHECKING:
    from core.comparison.records import Agreement, Column, ComparedPassage, Comparison, Move

_NAME_CHARS = 60


def summarise(comparison: Comparison) -> tuple[str, ...]:
    """Return one to three sentences about a comparison, plain text."""
    column_a = comparison.column(comparison.encoder_a)
    column_b = comparison.column(comparison.encoder_b)
    failed = [column for column in (column_a, column_b) if column.failure]
    if failed:
        return (_failed_sentence(comparison, failed),)
    agreement = comparison.encoders_agreement
    if agreement is None or not (column_a.ranking.hits or column_b.ranking.hits):
        return ("Neither encoder found anything for this query.",)
    sentences = [
        _agreement_sentence(comparison, agreement, column_a, column_b),
        _travel_sentence(comparison, agreement),
        _lexical_sentence(comparison),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def encoder_names(comparison: Comparison) -> tuple[str, str]:
    """Names of the two encoders in sentences: their families, or labels where these are equal."""
    infos = [
        comparison.column(encoder).info for encoder in (comparison.encoder_a, comparison.encoder_b)
    ]
    first, second = infos
    if {first.family, second.family} == {Family.DIFFUSION, Family.AUTOREGRESSIVE}:
        return first.family.value, second.family.value
    if first.label != second.label:
        return _shortened(first.label), _shortened(second.label)
    return first.system_id, second.system_id


def first_hit_place(column: Column) -> str:
    """Return where a column's best score lies between off-topic and known-right hits, in words.

    Both are measured in the same library with the same encoder (`core.search.background`); "" for
    a column without them. No threshold tells the two apart well enough to call a list weak.
    """
    background = column.background
    if background is None or not column.ranking.hits or not background.off_topic:
        return ""
    best = column.ranking.hits[0].score
    words = (
        f"first hit above {background.above_off_topic(best)} of {len(background.off_topic)} "
        "off-topic questions"
    )
    if background.own:
        words += f", below {background.below_own(best)} of {len(background.own)} known-right hits"
    return words


# -- the three sentences -------------------------------------------------------------------


def _failed_sentence(comparison: Comparison, failed: list[Column]) -> str:
    names = dict(
        zip((comparison.encoder_a, comparison.encoder_b), encoder_names(comparison), strict=True)
    )
    if len(failed) > 1 and comparison.waiting:
        return "BM25 answers at once; the encoders follow when their first passages are embedded."
    if len(failed) > 1:
        return "Both encoders failed on this query, so there is nothing to compare."
    name = _capital(names[failed[0].info.system_id])
    return f"{name} failed on this query, so there is nothing to compare it with."


def _agreement_sentence(
    comparison: Comparison, agreement: Agreement, column_a: Column, column_b: Column
) -> str:
    top_a = column_a.ranking.passage_ids[: comparison.k]
    top_b = column_b.ranking.passage_ids[: comparison.k]
    depth = min(comparison.k, max(len(top_a), len(top_b)))
    things = "documents" if comparison.unit is Unit.DOCUMENT else "passages"
    if top_a == top_b:
        if depth == 1:
            return f"Both encoders return one {things[:-1]}, the same."
        return f"Both encoders return the same {depth} {things} in the same order."
    if not agreement.shared:
        return f"The two encoders share none of their first {depth} {things}."
    same_first = top_a[:1] == top_b[:1]
    if agreement.shared == depth:
        first = "the first hit is the same" if same_first else "the first hits differ"
        return f"Both encoders return the same {depth} {things} in a different order; {first}."
    first = "the first hit is the same" if same_first else "the first hits differ"
    return f"The two encoders share {agreement.shared} of their first {depth} {things}; {first}."


def _travel_sentence(comparison: Comparison, agreement: Agreement) -> str:
    move = agreement.travelled_most
    if move is not None:
        passage = comparison.passage(move.passage_id)
        return (
            f"What travelled most is {_place(passage, comparison.unit)}: "
            f"{_ranks_in_words(comparison, move)}."
        )
    # Without ranks beyond the lists themselves (an imported run, say) only "alone" can be told.
    alone = next(
        (move for move in agreement.moves if move.rank_a is None or move.rank_b is None), None
    )
    if alone is None:
        return ""
    name_a, name_b = encoder_names(comparison)
    finder, rank = (name_a, alone.rank_a) if alone.rank_b is None else (name_b, alone.rank_b)
    passage = comparison.passage(alone.passage_id)
    place = _place(passage, comparison.unit)
    return f"Only {finder} lists {place} ({ordinal(rank or 0)})."


# -- parts ---------------------------------------------------------------------------------


def _ranks_in_words(comparison: Comparison, move: Move) -> str:
    name_a, name_b = encoder_names(comparison)
    rank_a, rank_b = move.rank_a or 0, move.rank_b or 0
    return f"{ordinal(rank_a)} for {name_a}, {ordinal(rank_b)} for {name_b}"


def _lexical_sentence(comparison: Comparison) -> str:
    words = _lexical_part(comparison)
    return f"{_capital(words)}." if words else ""


def _lexical_part(comparison: Comparison) -> str:
    lexical = next(
        (column for column in comparison.columns if column.info.family is Family.LEXICAL), None
    )
    if lexical is None or lexical.failure:
        return ""
    label = _shortened(lexical.info.label)
    tops = {
        encoder: comparison.column(encoder).ranking.passage_ids[0]
        for encoder in (comparison.encoder_a, comparison.encoder_b)
        if comparison.column(encoder).ranking.hits
    }
    ranks = {
        encoder: comparison.passage(passage_id).standing(lexical.info.system_id).rank
        for encoder, passage_id in tops.items()
    }
    found = {
        encoder: rank
        for encoder, rank in ranks.items()
        if rank is not None and rank <= comparison.k
    }
    names = dict(
        zip((comparison.encoder_a, comparison.encoder_b), encoder_names(comparison), strict=True)
    )
    if not found:
        if len(set(tops.values())) == 1:
            return f"{label} does not have that first hit among its first {comparison.k}"
        return f"{label} has neither first hit among its first {comparison.k}"
    if len(set(tops.values())) == 1:
        return f"{label} ranks that first hit {ordinal(next(iter(found.values())))}"
    if len(found) == len(tops):
        places = " and ".join(
            f"that of {names[encoder]} {ordinal(rank)}" for encoder, rank in found.items()
        )
        return f"{label} ranks both first hits: {places}"
    encoder, rank = next(iter(found.items()))
    return (
        f"{label} ranks the first hit of {names[encoder]} {ordinal(rank)}, the other is not among its "
        f"first {comparison.k}"
    )


def _place(passage: ComparedPassage, unit: Unit) -> str:
    name = _shortened(passage.document)
    if unit is Unit.DOCUMENT:
        return name
    if passage.page_first == passage.page_last:
        return f"a passage on page {passage.page_first} of {name}"
    return f"a passage on pages {passage.page_first}-{passage.page_last} of {name}"


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_CHARS else name[: _NAME_CHARS - 1] + "…"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
