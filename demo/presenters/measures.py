"""The agreement of the two arms as numbers, each with what it means and how it is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.render import escape, join
from core.words import DASH, number
from demo import texts
from demo.presenters.families import short_name

if TYPE_CHECKING:
    from core.comparison.records import Agreement, Comparison


def measures(comparison: Comparison) -> str:
    """Return the agreement of the arms, and below it how either agrees with BM25."""
    agreement = comparison.arms_agreement
    title = f"<h3>{escape(texts.MEASURES_TITLE)}</h3>"
    if agreement is None:
        return f'<div>{title}<p class="meta">{escape(texts.MEASURES_NONE)}</p></div>'
    rows = join(
        _row(key, value, agreement)
        for key, value in (
            ("overlap", number(agreement.overlap, 2)),
            ("jaccard", number(agreement.jaccard, 2)),
            ("rbo", number(agreement.rbo, 2)),
            ("tau", DASH if agreement.tau_b is None else number(agreement.tau_b, 2)),
        )
    )
    return f'<div>{title}<dl class="measures">{rows}</dl>{_others(comparison)}</div>'


def _row(key: str, value: str, agreement: Agreement) -> str:
    name, meaning, how = (
        text.format(
            k=agreement.k,
            shared=agreement.shared,
            depth=round(agreement.shared / agreement.overlap) if agreement.overlap else agreement.k,
            p=number(agreement.rbo_p, 2),
            residual=number(agreement.rbo_residual, 3),
            items=agreement.tau_items,
        )
        if key != "rbo"
        else text.format(
            p=number(agreement.rbo_p, 2),
            depth=agreement.rbo_depth,
            residual=number(agreement.rbo_residual, 3),
        )
        for text in texts.MEASURES[key]
    )
    if key == "tau" and agreement.tau_b is None:
        meaning = f"{meaning} Here it {texts.TAU_NONE}."
    return (
        f'<div><dt class="num">{value}</dt><dd><b>{escape(name)}</b> {escape(meaning)} '
        f"<details><summary>how is this computed</summary><p>{escape(how)}</p></details></dd></div>"
    )


def _others(comparison: Comparison) -> str:
    """Return overlap and RBO of every pair of columns as a small table."""
    if len(comparison.agreements) < 2:
        return ""
    rows = join(
        f'<tr><th scope="row">{escape(short_name(comparison, item.system_a))} and '
        f"{escape(short_name(comparison, item.system_b))}</th>"
        f'<td class="r">{item.shared}</td><td class="r">{number(item.overlap, 2)}</td>'
        f'<td class="r">{number(item.rbo, 2)}</td>'
        f'<td class="r">{DASH if item.tau_b is None else number(item.tau_b, 2)}</td></tr>'
        for item in comparison.agreements
    )
    return (
        '<details><summary>every two columns</summary><div class="scroll-x"><table class="plain">'
        '<thead><tr><th></th><th class="r">shared</th><th class="r">overlap</th>'
        f'<th class="r">RBO</th><th class="r">\u03c4-b</th></tr></thead><tbody>{rows}</tbody>'
        "</table></div></details>"
    )
