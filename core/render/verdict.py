"""The verdict on a comparison: one sentence, the shared part, and possible artefacts."""

from __future__ import annotations

from collections.abc import Collection

from core.comparison.records import Column, ComparedPassage, Comparison
from core.records import Unit
from core.render import systems
from core.render.environment import render
from core.render.escape import Html
from core.words import number, ordinal, plural


def verdict(comparison: Comparison, *, answers: Collection[str] = (), saved: bool = False) -> Html:
    """Return the verdict row, the actions on the answer, and red flags in words.

    Args:
        comparison: What was found.
        answers: Passages known to answer the query.
        saved: It is kept already.
    """
    return render("verdict", **verdict_values(comparison, answers), saved=saved)


def verdict_values(comparison: Comparison, answers: Collection[str]) -> dict[str, object]:
    """Return the values of the verdict of page and report."""
    agreement = comparison.encoders_agreement
    depth = max(
        (
            min(comparison.k, len(comparison.column(one).ranking.hits))
            for one in systems.encoder_ids(comparison)
        ),
        default=0,
    )
    return {
        "comparison": comparison,
        "systems": systems,
        "places": answer_places(comparison, answers) if agreement else [],
        "parting": parting(comparison),
        "shared": agreement.shared if agreement else 0,
        "depth": depth if agreement else 0,
        "counted": count_line(comparison),
        "seconds": _seconds(comparison),
    }


def answer_places(
    comparison: Comparison, answers: Collection[str]
) -> list[tuple[str, str, ComparedPassage | None]]:
    """Return for both encoders where the best of the known answers stands; [] if none is known.

    Returns:
        System id, its rank in words, and the passage; None where no answer is among the compared.
    """
    known = [passage for passage in comparison.passages if passage.passage_id in answers]
    if not answers:
        return []
    places: list[tuple[str, str, ComparedPassage | None]] = []
    for system_id in systems.encoder_ids(comparison):
        ranked = [
            (standing.rank, passage)
            for passage in known
            for standing in [passage.standing(system_id)]
            if standing.rank is not None
        ]
        if ranked:
            rank, passage = min(ranked, key=lambda one: one[0])
            places.append((system_id, ordinal(rank), passage))
        else:
            deepest = len(comparison.column(system_id).ranking.hits)
            places.append((system_id, f"below {ordinal(deepest)}", None))
    return places


def parting(comparison: Comparison) -> str:
    """Return in one sentence how far both encoders agree."""
    agreement = comparison.encoders_agreement
    columns = [comparison.column(one) for one in systems.encoder_ids(comparison)]
    if agreement is None or not any(column.ranking.hits for column in columns):
        return comparison.summary[0] if comparison.summary else ""
    tops = [column.ranking.hits[0].passage_id if column.ranking.hits else "" for column in columns]
    unit = "document" if comparison.unit is Unit.DOCUMENT else "passage"
    first = "Same first hit" if tops[0] == tops[1] else "Different first hits"
    return f"{first}; {agreement.shared} of {plural(comparison.k, unit)} shared."


def count_line(comparison: Comparison) -> str:
    """Return ``top 10 of 412 passages``, ``top 10 of 312 of 1,776 passages so far``."""
    unit = "document" if comparison.unit is Unit.DOCUMENT else "passage"
    searched = plural(comparison.corpus_size, unit)
    if comparison.waiting and comparison.encoders_answered:
        whole = comparison.corpus_size + comparison.waiting
        searched = f"{comparison.corpus_size:,} of {plural(whole, unit)} so far"
    return f"top {comparison.k} of {searched}"


def waiting(message: str, detail: str = "", *, progress: Html | None = None) -> Html:
    """Return the verdict's place while the encoders work.

    Args:
        message: What is being done.
        detail: How far it is, in words.
        progress: The same as HTML.
    """
    return render("waiting", message=message, detail=detail, progress=progress)


def _seconds(comparison: Comparison) -> str:
    took = [column.seconds for column in comparison.columns if column.seconds is not None]
    if not took:
        return ""
    return f"{sum(took) * 1000:,.0f} ms" if sum(took) < 1 else f"{sum(took):,.1f} s"


def details(comparison: Comparison, plot: Html, measures: Html) -> Html:
    """Return everything statistical, one fold below the columns."""
    return render(
        "details",
        comparison=comparison,
        plot=plot,
        measures=measures,
        received=received(comparison),
    )


def received(comparison: Comparison) -> Html:
    """Return the text each encoder received for the query; "" when none did."""
    return render(
        "received",
        items=[
            (
                systems.kind(comparison, column.info.system_id),
                column.info.label,
                column.received,
                _conditions(column),
                column.fingerprint[:12],
            )
            for column in comparison.columns
            if column.received is not None
        ],
        twin=True,
        strings=True,
    )


def _conditions(column: Column) -> list[str]:
    """Return under which limit a query was read, and how long that took."""
    facts = [f"limit {column.max_tokens:,}"] if column.max_tokens else []
    if column.seconds is not None:
        facts.append(f"{number(column.seconds * 1000, 0)} ms")
    return facts
