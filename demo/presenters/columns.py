"""The ranked columns: one card per hit, with its marks; the lines are drawn from them on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.comparison.calibration import is_weak_match
from core.records import Family
from core.render import attrs, escape, join
from core.words import ELLIPSIS, number, ordinal, percentile, plural
from demo import texts
from demo.presenters.families import SCORED_BY_COSINE, family_class, short_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.comparison.records import Column, ComparedPassage, Comparison, Standing

LEAD_CHARS = 70  # shown before the best sentence while a card is closed
OPEN_CHARS = 180  # and while it is open: the sentence must still be in sight
CARD_CHARS = 900  # of a passage in a card; the page pane has all of it
FAR = 5  # places from which a line counts as a real move


def columns(
    comparison: Comparison,
    best: Mapping[str, tuple[int, int]],
    grades: Mapping[str, int] | None = None,
) -> str:
    """Return the three columns of a comparison.

    Args:
        comparison: What was found.
        best: Range of the sentence nearest to the query, by passage id, in the passage's text.
        grades: The user's own judgments for this query, by passage id.
    """
    shown = comparison.columns
    tabs = join(_tab(comparison, column, index) for index, column in enumerate(shown))
    cards = join(
        _column(comparison, column, index, best, grades or {}) for index, column in enumerate(shown)
    )
    return (
        f'<div class="bf results" data-k="{comparison.k}">'
        f'<div class="coltabs" role="tablist" aria-label="Systems">{tabs}</div>'
        f'<div class="lenses-grid" data-arms="{len(shown)}">{cards}'
        '<svg class="lines" aria-hidden="true"></svg></div></div>'
    )


def _tab(comparison: Comparison, column: Column, index: int) -> str:
    kind = family_class(column.info.family)
    return (
        f'<button class="{kind}" role="tab" data-act="tab" data-index="{index}"'
        f' aria-selected="{"true" if index == 0 else "false"}"><i class="sym"></i>'
        f"{escape(short_name(comparison, column.info.system_id))}</button>"
    )


def _column(
    comparison: Comparison,
    column: Column,
    index: int,
    best: Mapping[str, tuple[int, int]],
    grades: Mapping[str, int],
) -> str:
    info = column.info
    kind = family_class(info.family)
    name = short_name(comparison, info.system_id)
    note = texts.LEXICAL_NOTE if info.family is Family.LEXICAL else info.label
    head = (
        f'<header><h3 class="{kind}"><i class="sym"></i>{escape(name)}</h3>'
        f'<span class="meta" title="{escape(note)}">{escape("" if note == name else note)}</span></header>'
    )
    if column.failure:
        body = (
            f'<div class="fail" role="alert"><h3>{escape(_empty(info.family))}</h3>'
            f"<p>{escape(column.failure)}</p></div>"
        )
    elif not column.ranking.hits:
        body = f'<p class="col-empty">{escape(texts.NO_HITS)}</p>'
    else:
        top = column.ranking.hits[: comparison.k]
        items = join(
            card(
                comparison,
                comparison.passage(hit.passage_id),
                info.system_id,
                best.get(hit.passage_id),
                grades.get(hit.passage_id),
            )
            for hit in top
        )
        said = f'<p class="meta run-note">{escape(column.note)}</p>' if column.note else ""
        body = f"{said}<ol>{items}</ol>"
    shown = " shown" if index == 0 else ""
    return (
        f'<section class="col {kind}{shown}" data-col="{index}" data-system="{escape(info.system_id)}"'
        f' aria-label="{escape(name)}">{head}{body}</section>'
    )


def _empty(family: Family) -> str:
    return texts.EMPTY_RUN if family is Family.IMPORTED else texts.FAILED_COLUMN


def card(
    comparison: Comparison,
    passage: ComparedPassage,
    system_id: str,
    best: tuple[int, int] | None,
    grade: int | None = None,
) -> str:
    """Return one hit of one system."""
    standing = passage.standing(system_id)
    family = comparison.column(system_id).info.family
    kind = family_class(family)
    where = page_range(passage.page_first, passage.page_last)
    moved = is_disagreement(comparison, passage)
    return (
        f'<li class="hit {kind}"'
        + attrs(
            data_act="pick",
            data_pid=passage.passage_id,
            data_rank=standing.rank,
            data_differs=1 if moved else None,
            tabindex=0,
            role="button",
            aria_label=f"Rank {standing.rank}, {passage.document}, {where}",
        )
        + f'><span class="rank num">{standing.rank}</span><div class="body">'
        f'<div class="head"><bdi class="doc" title="{escape(passage.document)}">'
        f'{escape(passage.document)}</bdi><span class="pg">{escape(where)}</span>'
        f"{_score(standing, family)}</div>"
        f'<p class="text">{marked_text(passage.text, best)}</p>'
        f"{_tags(comparison, passage, system_id, grade)}{_raw(standing, family)}"
        "</div></li>"
    )


def page_range(first: int, last: int) -> str:
    """Return ``p. 3`` or ``p. 3\u20134``."""
    return f"p. {first}" if first == last else f"p. {first}\u2013{last}"


def _score(standing: Standing, family: Family) -> str:
    if standing.score is None:
        return ""
    if standing.z is None:
        if family is Family.LEXICAL:
            return f'<span class="z" title="BM25 score">{number(standing.score)}</span>'
        if family is Family.IMPORTED:
            told = "score as the run gives it; its scale is not known here"
            return f'<span class="z" title="{told}">score {number(standing.score, 2)}</span>'
        return (
            '<span class="z" title="raw cosine; this library is too small to say what is usual">'
            f"cos {number(standing.score, 2)}</span>"
        )
    parts = f"z {number(standing.z)}"
    if standing.percentile is not None:
        parts += f" \u00b7 {percentile(standing.percentile)}"
    return (
        f'<span class="z" title="cosine {number(standing.score, 3)}; z-score and percentile '
        f'against random pairs of this library">{escape(parts)}</span>'
    )


def _raw(standing: Standing, family: Family) -> str:
    if standing.score is None or family not in SCORED_BY_COSINE:
        return ""
    return (
        f'<p class="raw">raw cosine {number(standing.score, 4)}, comparable only in this column</p>'
    )


def _tags(
    comparison: Comparison, passage: ComparedPassage, system_id: str, grade: int | None
) -> str:
    tags = []
    if system_id in {comparison.arm_a, comparison.arm_b}:
        other = comparison.arm_b if system_id == comparison.arm_a else comparison.arm_a
        tags.append(_move_tag(comparison, passage, system_id, other))
    standing = passage.standing(system_id)
    if (
        standing.rank == 1
        and standing.percentile is not None
        and is_weak_match(standing.percentile, corpus_size=comparison.corpus_size)
    ):
        tags.append(f'<span class="tag weak">{escape(texts.WEAK)} even as the first hit</span>')
    if grade is not None:
        scale = "your grade for this question, from 0 (not relevant) to 3 (answers it)"
        tags.append(f'<span class="tag judged" title="{scale}">judged {grade}</span>')
    kept = [tag for tag in tags if tag]
    return f'<div class="tags">{join(kept)}</div>' if kept else ""


def _move_tag(
    comparison: Comparison, passage: ComparedPassage, system_id: str, other_id: str
) -> str:
    """Say where the other arm has this passage, from this column's point of view."""
    if comparison.column(other_id).failure:
        return ""
    here, there = passage.standing(system_id), passage.standing(other_id)
    name = short_name(comparison, other_id).lower()
    if there.rank is None:
        return f'<span class="tag only">{escape(texts.ONLY_HERE)}</span>'
    if there.rank > comparison.k:
        return (
            f'<span class="tag only">{escape(texts.ONLY_HERE)}</span>'
            f'<span class="tag">{escape(ordinal(there.rank))} for {escape(name)}</span>'
        )
    if here.rank is None or here.rank == there.rank:
        return ""
    places = there.rank - here.rank
    arrow = "+" if places > 0 else "\u2212"
    return (
        f'<span class="tag" title="{escape(name)} has it {ordinal(there.rank)}">'
        f"<b>{arrow}{abs(places)}</b> against {escape(name)}</span>"
    )


def is_disagreement(comparison: Comparison, passage: ComparedPassage) -> bool:
    """Whether the arms part on this passage: only one has it in its top k, or it moved far."""
    a = passage.standing(comparison.arm_a).rank
    b = passage.standing(comparison.arm_b).rank
    inside = [rank is not None and rank <= comparison.k for rank in (a, b)]
    if inside[0] != inside[1]:
        return True
    return all(inside) and a is not None and b is not None and abs(a - b) >= FAR


def marked_text(text: str, best: tuple[int, int] | None) -> str:
    """Return a passage's text with its best sentence marked, cut to what a card can hold.

    What stands far before the best sentence is there but folded away until the card is opened.
    """
    start, end = best if best is not None and 0 <= best[0] < best[1] <= len(text) else (0, 0)
    first = max(0, start - OPEN_CHARS)
    if first:
        space = text.find(" ", first, start)
        first = space + 1 if space >= 0 else first
    last = min(len(text), first + CARD_CHARS)
    end = min(end, last)
    lead = max(first, start - LEAD_CHARS)
    if lead > first:
        space = text.find(" ", lead, start)
        lead = space + 1 if space >= 0 else lead
    parts = []
    if lead:
        parts.append(f'<span class="dots">{ELLIPSIS} </span>')
        parts.append(
            f'<span class="far-text">{ELLIPSIS if first else ""}{escape(text[first:lead])}</span>'
        )
    parts.append(escape(text[lead:start]))
    if end > start:
        parts.append(f"<mark>{escape(text[start:end])}</mark>")
    parts.append(escape(text[end:last]))
    if last < len(text):
        parts.append(ELLIPSIS)
    return join(parts)


def skeleton(message: str, detail: str = "", *, progress: str = "") -> str:
    """Return the columns as they look while both encoders work.

    Args:
        message: What is being done.
        detail: How far it is, in words.
        progress: The same as HTML, from `library.progress`.
    """
    ghost = (
        '<li class="hit"><span class="rank">&nbsp;</span><div class="body">'
        '<div class="ghost" style="width:45%"></div><div class="ghost"></div>'
        '<div class="ghost" style="width:80%"></div></div></li>'
    )
    cols = join(
        f'<section class="col {kind}{" shown" if not index else ""}"><header><h3 class="{kind}">'
        f'<i class="sym"></i>{escape(name)}</h3></header><ol>{ghost * 4}</ol></section>'
        for index, (kind, name) in enumerate(
            (("dif", "Diffusion"), ("aut", "Autoregressive"), ("lex", "BM25"))
        )
    )
    return (
        f'<div class="bf results" aria-busy="true"><p class="summary" role="status">{escape(message)}'
        f'</p><p class="under">{escape(detail)}</p>{progress}'
        f'<div class="lenses-grid skeleton" data-arms="3">{cols}</div></div>'
    )


def count_line(comparison: Comparison) -> str:
    """Return ``10 of 412 passages`` for the line under the summary."""
    unit = "document" if comparison.unit.value == "document" else "passage"
    return f"top {comparison.k} of {plural(comparison.corpus_size, unit)}"
