"""The agreement of the encoders as numbers, each with its meaning and how it is computed."""

from __future__ import annotations

from core.comparison.measures import MEASURES
from core.comparison.measures.measure import Measure
from core.comparison.records import Agreement, Comparison
from core.render import systems
from core.render.environment import render
from core.render.escape import Html
from core.words import DASH, number


def measures(comparison: Comparison) -> Html:
    """Return the agreement of the encoders, and below it that of every two columns."""
    agreement = comparison.encoders_agreement
    rows = [] if agreement is None else [_row(one, agreement) for one in MEASURES]
    return render("measures", rows=rows, **table_values(comparison))


def table_values(comparison: Comparison) -> dict[str, object]:
    """Return the values of the table of every two columns."""
    return {
        "comparison": comparison,
        "systems": systems,
        "measures": [(one.name, one.label.format(k=comparison.k)) for one in MEASURES],
        "values": {
            (item.system_a, item.system_b): {one.name: _value(item, one.name) for one in MEASURES}
            for item in comparison.agreements
        },
    }


def _value(agreement: Agreement, name: str) -> str:
    value = agreement.figures[name]
    return DASH if value is None else number(value, 2)


def _row(measure: Measure, agreement: Agreement) -> tuple[str, str, str, str]:
    """Return a measure's value, name, meaning and how it is computed."""
    overlap = agreement.figures["overlap"]
    fields = {
        **agreement.figures,
        "k": agreement.k,
        "shared": agreement.shared,
        "depth": round(agreement.shared / overlap) if overlap else agreement.k,
    }
    label, meaning, how = (
        text.format(**fields) for text in (measure.label, measure.meaning, measure.how)
    )
    if agreement.figures[measure.name] is None:
        meaning = f"{meaning} {measure.missing}".rstrip()
    return _value(agreement, measure.name), label, meaning, how
