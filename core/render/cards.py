"""The ranked columns: a card for every hit. A mark on a card is one `Mark` in `marks`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from core.comparison.records import Column, ComparedPassage, Comparison, Standing
from core.comparison.summary import first_hit_place
from core.records import Family
from core.render import systems
from core.render.environment import render
from core.render.escape import Html
from core.words import DOT, number, ordinal, percentile

LEAD_CHARS = 70  # shown before the best sentence while a card is closed
OPEN_CHARS = 180  # and while it is open: the sentence must still be in sight
CARD_CHARS = 900  # of a passage in a card; the page pane has all of it
FAR = 5  # places from which a line counts as a real move
NO_WORD = "Nothing found: no passage has a word of the query."
NOTHING: dict[str, str] = {
    Family.LEXICAL: NO_WORD,
    Family.IMPORTED: "This run has nothing to show for this question.",
}
FAILED = "This column is empty because its encoder failed."
WAITING = "Not ready yet."


@dataclass(frozen=True, slots=True)
class Mark:
    """One remark on a card."""

    text: str  # what it says
    style: str = ""  # class of the mark: "" or ``only``, ``judged``, ``answer``
    about: str = ""  # kind of the system whose shape follows the text; "" for none
    name: str = ""  # that system's name
    title: str = ""  # what a pointer reads


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A passage's text as a card holds it: the folded part, the lead, the marked sentence, the rest."""

    dots: bool
    far: str
    lead: str
    marked: str
    rest: str


@dataclass(frozen=True, slots=True)
class Card:
    """One hit of one system, ready to be drawn."""

    passage: ComparedPassage
    rank: int
    pages: str
    names_document: bool
    differs: bool
    score: str
    score_title: str
    raw: str
    marks: tuple[Mark, ...]
    text: Excerpt


def columns(
    comparison: Comparison,
    best: Mapping[str, tuple[int, int]] | None = None,
    grades: Mapping[str, int] | None = None,
    answers: Collection[str] = (),
) -> Html:
    """Return the columns of a comparison, side by side.

    Args:
        comparison: What was found.
        best: Range of the sentence nearest to the query, by passage id, in the passage's text.
        grades: The user's own judgments for this query, by passage id.
        answers: Passages known to answer the query.
    """
    return render("columns", **columns_values(comparison, best, grades, answers))


def columns_values(
    comparison: Comparison,
    best: Mapping[str, tuple[int, int]] | None = None,
    grades: Mapping[str, int] | None = None,
    answers: Collection[str] = (),
) -> dict[str, object]:
    """Return the values of the column templates of page and report."""
    return {
        "comparison": comparison,
        "systems": systems,
        # One encoder alone that gave nothing has failed, however much is still to be embedded.
        "nothing": {
            **NOTHING,
            "failed": WAITING
            if comparison.waiting and not comparison.encoders_answered
            else FAILED,
        },
        "first_hit": {one.info.system_id: first_hit_place(one) for one in comparison.columns},
        "cards": {
            column.info.system_id: cards(comparison, column, best or {}, grades or {}, answers)
            for column in comparison.columns
        },
    }


def cards(
    comparison: Comparison,
    column: Column,
    best: Mapping[str, tuple[int, int]],
    grades: Mapping[str, int],
    answers: Collection[str],
) -> list[Card]:
    """Return the cards of one column, best first."""
    made: list[Card] = []
    above: ComparedPassage | None = None
    for hit in column.ranking.hits[: comparison.k]:
        passage = comparison.passage(hit.passage_id)
        standing = passage.standing(column.info.system_id)
        score, title = _score(standing, column.info.family)
        cosine = standing.score is not None and column.info.family in systems.SCORED_BY_COSINE
        made.append(
            Card(
                passage=passage,
                rank=hit.rank,
                pages=systems.pages(passage),
                names_document=above is None or above.doc_id != passage.doc_id,
                differs=is_disagreement(comparison, passage),
                score=score,
                score_title=title,
                raw=f"raw cosine {number(standing.score or 0.0, 4)}, comparable only in this column"
                if cosine
                else "",
                marks=tuple(marks(comparison, passage, column.info.system_id, grades, answers)),
                text=excerpt(passage.text, best.get(hit.passage_id)),
            )
        )
        above = passage
    return made


def marks(
    comparison: Comparison,
    passage: ComparedPassage,
    system_id: str,
    grades: Mapping[str, int],
    answers: Collection[str],
) -> list[Mark]:
    """Return the remarks on a hit, in the order of the card."""
    made = []
    if passage.passage_id in answers:
        made.append(Mark("\u2713 answers it", "answer", title="Known to answer this question."))
    if system_id in systems.encoder_ids(comparison):
        made += _move(comparison, passage, system_id)
    grade = grades.get(passage.passage_id)
    if grade is not None:
        scale = "your grade for this question, from 0 (not relevant) to 3 (answers it)"
        made.append(Mark(f"judged {grade}", "judged", title=scale))
    return made


def _move(comparison: Comparison, passage: ComparedPassage, system_id: str) -> list[Mark]:
    """Say where the other encoder has a passage, seen from this column."""
    first, second = systems.encoder_ids(comparison)
    other = second if system_id == first else first
    if comparison.column(other).failure:
        return []
    here, there = passage.standing(system_id).rank, passage.standing(other).rank
    about, name = systems.kind(comparison, other), systems.name(comparison, other)
    if there is None or there > comparison.k:
        only = Mark("only here", "only")
        return [only] if there is None else [only, Mark(f"{ordinal(there)} for", "", about, name)]
    if here is None or here == there:
        return []
    arrow = "\u25b2" if here < there else "\u25bc"
    title = f"{name} has it {ordinal(there)}"
    return [Mark(f"{arrow} {abs(there - here)} against", "", about, name, title)]


def is_disagreement(comparison: Comparison, passage: ComparedPassage) -> bool:
    """Whether the encoders part on a passage: one has it in its top k alone, or it moved far."""
    first, second = systems.encoder_ids(comparison)
    inside = [systems.in_top(comparison, passage, one) for one in (first, second)]
    if inside[0] != inside[1]:
        return True
    a, b = passage.standing(first).rank, passage.standing(second).rank
    return inside[0] and a is not None and b is not None and abs(a - b) >= FAR


def _score(standing: Standing, family: Family) -> tuple[str, str]:
    """Return a score as a card shows it, and its title."""
    if standing.score is None:
        return "", ""
    if standing.z is not None:
        words = f"z {number(standing.z)}"
        if standing.percentile is not None:
            words += f"{DOT}{percentile(standing.percentile)}"
        return words, (
            f"cosine {number(standing.score, 3)}; z-score and percentile against queries and "
            "passages of different documents here"
        )
    if family is Family.LEXICAL:
        return number(standing.score, 2), "BM25 score"
    if family in systems.SCORED_BY_COSINE:
        title = "raw cosine; this library is too small to say what is usual"
        return f"cos {number(standing.score, 2)}", title
    title = "score as the run gives it; its scale is not known here"
    return f"score {number(standing.score, 2)}", title


def excerpt(text: str, best: tuple[int, int] | None) -> Excerpt:
    """Return a passage's text around its best sentence, cut to the size of a card.

    What stands far before the best sentence is there but folded away until the card is opened.
    """
    start, end = best if best is not None and 0 <= best[0] < best[1] <= len(text) else (0, 0)
    first = _after_space(text, max(0, start - OPEN_CHARS), start)
    last = min(len(text), first + CARD_CHARS)
    end = min(end, last)
    lead = max(first, start - LEAD_CHARS)
    lead = _after_space(text, lead, start) if lead > first else lead
    return Excerpt(
        dots=lead > 0,
        far=("\u2026" if first else "") + text[first:lead],
        lead=text[lead:start],
        marked=text[start:end],
        rest=text[end:last] + ("\u2026" if last < len(text) else ""),
    )


def _after_space(text: str, place: int, before: int) -> int:
    """Return the place after the next space, so that no word is parted."""
    space = text.find(" ", place, before) if place else -1
    return space + 1 if space >= 0 else place


def skeleton() -> Html:
    """Return the columns as they look while the encoders work."""
    return render("skeleton")
