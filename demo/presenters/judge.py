"""Judging without knowing who found what: one passage at a time, then what the grades say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.evaluation.render import interval_text
from core.render import escape, join
from core.render.systems import family_kind, page_range
from core.words import DASH, flowing, number, plural, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.evaluation.judging import JudgedReport
    from core.records import Passage

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
) -> str:
    """Return one passage to grade; nothing on it tells which system found it."""
    buttons = join(
        f'<button class="button{" strong" if grade == int(key) else ""}" data-act="grade" '
        f'data-key="{key}"><kbd>{key}</kbd> {escape(words)}</button>'
        for key, words in GRADES
    )
    return (
        f'<div class="bf lab judge" id="bf-judge-card"><p class="meta num">{number} of {count}, '
        "in random order</p>"
        f'<p class="asked" dir="auto">{escape(query)}</p>'
        f'<p class="meta"><bdi>{escape(document)}</bdi>, '
        f"{page_range(passage.page_first, passage.page_last)}</p>"
        f'<div class="page-text" dir="auto">{escape(flowing(passage.text))}</div>'
        f'<div class="grades">{buttons}</div>'
        '<p class="meta"><button class="link" data-act="grade" data-key="b"><kbd>b</kbd> back'
        '</button> <button class="link" data-act="grade" data-key="s"><kbd>s</kbd> skip</button>'
        "</p></div>"
    )


def finished(query: str, grades: Sequence[int | None]) -> str:
    """Return the end of a round."""
    judged = [grade for grade in grades if grade is not None]
    relevant = sum(grade > 0 for grade in judged)
    return (
        '<div class="bf lab judge"><h3>Done with this query</h3>'
        f'<p class="asked" dir="auto">{escape(query)}</p>'
        f"<p>{plural(len(judged), 'passage')} judged, {relevant} of them relevant, "
        f"{len(grades) - len(judged)} skipped. Judge another query, or see what the judgments "
        "say below.</p>"
        f'<p><button class="button" data-act="ask" data-text="{escape(query)}">Show who found what'
        '</button> <button class="link" data-act="grade" data-key="b">back</button></p></div>'
    )


def report(found: JudgedReport) -> str:
    """Return the measures of every system on the judged queries, and what can be said."""
    words = join(f"<p>{escape(sentence)}</p>" for sentence in found.words)
    measured = found.measured
    names = list(measured.systems[0].measures) if measured.systems else []
    heads = join(f'<th class="r">{escape(name)}</th>' for name in names)
    rows = join(
        f'<tr><th scope="row" class="{family_kind(system.family)}"><i class="sym"></i>'
        f"{escape(system.label)}</th>"
        + join(
            f'<td class="r">{number(system.measures[name].value, 3)}'
            + _below(
                interval_text(system.measures[name]).partition(" ")[2],
                found,
            )
            for name in names
        )
        + f'<td class="r">{_share(found, system.system_id)}</td></tr>'
        for system in measured.systems
    )
    gap = ""
    if measured.difference:
        gap = (
            '<tr class="gap"><th scope="row">difference of the arms</th>'
            + join(
                f'<td class="r">{signed(measured.difference[name].value, 3)}'
                + _below(f"p {number(found.p_holm.get(name, 1.0), 3)}", found)
                for name in names
            )
            + "<td></td></tr>"
        )
    return (
        f'<div class="bf lab"><div class="summary">{words}</div><div class="scroll-x">'
        f'<table class="plain figures"><thead><tr><th></th>{heads}<th class="r">unjudged</th></tr>'
        f"</thead><tbody>{rows}{gap}</tbody></table></div>"
        f'<p class="how">{escape(HOW_ONE if measured.queries == 1 else HOW_MANY)}</p></div>'
    )


def _below(words: str, found: JudgedReport) -> str:
    """Return what stands under a figure; nothing for one query, which says nothing of chance."""
    if found.measured.queries == 1:
        return "</td>"
    return f'<br><span class="meta">{words}</span></td>'


def _share(found: JudgedReport, system_id: str) -> str:
    share = found.unjudged.get(system_id)
    return DASH if share is None else f"{share:.0%}"
