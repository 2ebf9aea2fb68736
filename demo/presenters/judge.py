"""Blind judging: one passage at a time, then the measures of the grades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.evaluation.render import interval_text
from core.records import Passage
from core.render import Html, render
from core.render.figures import Row
from core.render.systems import family_kind, page_range
from core.words import DASH, number, signed

if TYPE_CHECKING:
    from core.evaluation.judging import JudgedReport

GRADES = (
    ("0", "not relevant"),
    ("1", "related, no answer"),
    ("2", "answers in part"),
    ("3", "answers it"),
)

HOW_ONE = (
    "Any grade above 0 counts as relevant for recall and MRR. Recall: of the passages judged "
    "relevant, the share found."
)
HOW_MANY = (
    f"{HOW_ONE} Brackets: 95 % confidence sequence over queries, which holds however often you look "
    "and whenever you stop; queries that share a relevant passage count together. p: from the same "
    "sequence, adjusted for the number of measures (Holm)."
)


def card(
    query: str, passage: Passage, document: str, *, number: int, count: int, grade: int | None
) -> Html:
    """Return one passage to grade; nothing on it tells which system found it."""
    return render(
        "judge_card",
        query=query,
        text=passage.text,
        document=document,
        pages=page_range(passage.page_first, passage.page_last),
        number=number,
        count=count,
        grade=None if grade is None else str(grade),
        grades=GRADES,
    )


def finished(query: str, grades: Sequence[int | None]) -> Html:
    """Return the end of a round."""
    judged = [grade for grade in grades if grade is not None]
    return render(
        "judge_finished",
        query=query,
        judged=len(judged),
        relevant=sum(grade > 0 for grade in judged),
        skipped=len(grades) - len(judged),
    )


def report(found: JudgedReport) -> Html:
    """Return the measures of every system on the judged queries, and their meaning in words."""
    measured = found.measured
    one = measured.queries == 1  # which says nothing of chance: no interval and no p
    names = list(measured.systems[0].measures) if measured.systems else []
    rows = []
    for system in measured.systems:
        cells: list[tuple[str, tuple[str, ...]]] = []
        for name in names:
            interval = system.measures[name]
            below = () if one else (interval_text(interval).partition(" ")[2],)
            cells.append((number(interval.value, 3), below))
        share = found.unjudged.get(system.system_id)
        cells.append((DASH if share is None else f"{share:.0%}", ()))
        rows.append(Row(family_kind(system.family), system.label, tuple(cells)))
    if measured.difference:
        cells = [
            (
                signed(measured.difference[name].value, 3),
                () if one else (f"p {number(found.p_holm.get(name, 1.0), 3)}",),
            )
            for name in names
        ]
        rows.append(Row("", "difference of the encoders", (*cells, ("", ())), "gap"))
    return render(
        "judge_report",
        words=found.words,
        heads=[*names, "unjudged"],
        table=rows,
        how=HOW_ONE if one else HOW_MANY,
    )
