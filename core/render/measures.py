"""The agreement of the encoders as numbers, each with its meaning and how it is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.render import systems
from core.render.environment import render
from core.words import DASH, number

if TYPE_CHECKING:
    from core.comparison.records import Agreement, Comparison
    from core.render.escape import Html

# Name, meaning, how it is computed; filled with the fields of an agreement.
MEASURES = {
    "overlap": (
        "Overlap@{k}",
        "Of the top {k}, the share both lists hold. Order does not count.",
        "Number of passages in both top {k}, divided by {k} (or by the longer list where both "
        "hold fewer): {shared} of {depth}.",
    ),
    "jaccard": (
        "Jaccard@{k}",
        "Shared passages over all passages in either list; stricter than overlap.",
        "Shared passages divided by the number of different passages in both top {k} together.",
    ),
    "rbo": (
        "RBO",
        "Agreement of the two orders, the top counting most. 1 is the same list, 0 has nothing "
        "in common.",
        "Rank-biased overlap (Webber, Moffat, Zobel 2010), extrapolated, persistence p = {p}, "
        "over the first {rbo_depth} hits. What lies below could still add at most {residual}.",
    ),
    "tau_b": (
        "Kendall \u03c4-b",
        "Whether passages that both found stand in the same order: 1 same, 0 unrelated, \u22121 "
        "reversed.",
        "Kendall's tau-b over the {tau_items} passages in both top {k}, by rank.",
    ),
}
TAU_NONE = " Here it needs two shared passages."


def measures(comparison: Comparison) -> Html:
    """Return the agreement of the encoders, and below it that of every two columns."""
    agreement = comparison.arms_agreement
    rows = [] if agreement is None else [_row(key, agreement) for key in MEASURES]
    return render("measures", rows=rows, **table_values(comparison))


def table_values(comparison: Comparison) -> dict[str, object]:
    """Return the values of the table of every two columns."""
    return {
        "comparison": comparison,
        "systems": systems,
        "measures": [(key, texts[0].format(k=comparison.k)) for key, texts in MEASURES.items()],
        "values": {
            (item.system_a, item.system_b): {key: _value(item, key) for key in MEASURES}
            for item in comparison.agreements
        },
    }


def _value(agreement: Agreement, key: str) -> str:
    value = getattr(agreement, key)
    return DASH if value is None else number(value, 2)


def _row(key: str, agreement: Agreement) -> tuple[str, str, str, str]:
    """Return a measure's value, name, meaning and how it is computed."""
    fields = {
        "k": agreement.k,
        "shared": agreement.shared,
        "depth": round(agreement.shared / agreement.overlap) if agreement.overlap else agreement.k,
        "p": number(agreement.rbo_p, 2),
        "rbo_depth": agreement.rbo_depth,
        "residual": number(agreement.rbo_residual, 3),
        "tau_items": agreement.tau_items,
    }
    name, meaning, how = (text.format(**fields) for text in MEASURES[key])
    missing = TAU_NONE if getattr(agreement, key) is None else ""
    return _value(agreement, key), name, meaning + missing, how
