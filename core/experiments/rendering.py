"""Why a hit stands where it stands, and how fair the pair is, as HTML for page and report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from core.errors import CoreError
from core.evaluation.grades import answers_on
from core.render import Html, render, systems
from core.render.page import PagePicture
from core.render.report import report
from core.render.strips import named, strip
from core.words import number, ordinal, quoted, signed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from core.comparison.records import ComparedPassage, Comparison
    from core.experiments.attention import TokenChange
    from core.experiments.evidence import Effect, EncoderEvidence, Evidence
    from core.experiments.fairness import FairnessReport
    from core.experiments.late_context import LateContext
    from core.experiments.token_shares import SharedScores
    from core.library.library import Library

BAR_MOST = 1.5  # z; longer bars are cut there
PART_TITLES = {
    "sentence": "Without each sentence",
    "clause": "Without each clause of the query",
    "word": "Without each word of the query",
}


def leave_one_out(found: Evidence) -> Html:
    """Return leave-one-out over one text, both encoders in the same rows."""
    sides = (found.a, found.b)
    return render(
        "evidence",
        found=found,
        title=PART_TITLES[found.unit],
        headline=headline(found),
        tinted=_tinted(found) if found.side == "passage" else (),
        sides=[(side, systems.family_kind(side.system.family)) for side in sides],
        named=named,
        systems=systems,
        names=[systems.family_name(side.system.family, side.system.label) for side in sides],
        bar=_bar,
        moved=_moved,
        change=lambda effect: signed(effect.z_change, 2),
        checks=[(side, _check(side)) for side in sides if side.faithfulness is not None],
    )


def _tinted(found: Evidence) -> list[tuple[str, int, int, str]]:
    """Return each sentence with the percent of the most that any gives, by encoder, and a tip."""
    sides = (found.a, found.b)
    given = [[max(0.0, -effect.z_change) for effect in side.effects] for side in sides]
    most = max((value for one in given for value in one if math.isfinite(value)), default=0) or 1.0
    lines = []
    for place, part in enumerate(found.parts):
        shares = [one[place] / most if math.isfinite(one[place]) else 0.0 for one in given]
        tip = "\n".join(
            f"{side.system.label} without it: {signed(effect.z_change, 2)} z, {_moved(effect)}"
            for side in sides
            for effect in [side.effects[place]]
        )
        lines.append((part.text, round(100 * shares[0]), round(100 * shares[1]), tip))
    return lines


def about(passage: ComparedPassage, pending: str = "") -> Html:
    """Return the heading over an explanation; with the passage's text while it is pending."""
    return render("about", passage=passage, systems=systems, pending=pending)


def headline(found: Evidence) -> str:
    """Return the part that both encoders rank a passage for, in a sentence; "" where neither needs a part."""
    told = []
    for side in (found.a, found.b):
        effect = next((one for one in side.effects if one.number == side.top), None)
        if effect is not None:
            told.append((side, found.parts[effect.number - 1], _moved(effect)))
    if not told:
        return ""
    name = {
        side.system.system_id: systems.family_name(side.system.family, side.system.label)
        for side in (found.a, found.b)
    }
    if len(told) == 2 and found.a.top == found.b.top:
        ways = " and ".join(f"{name[side.system.system_id]} {moved}" for side, _, moved in told)
        return f"Both rank it here because of {quoted(told[0][1].text, 90)}; without it: {ways}."
    return " ".join(
        f"{name[side.system.system_id]} ranks it here because of {quoted(part.text, 90)}; "
        f"without it: {moved}."
        for side, part, moved in told
    )


def _moved(effect: Effect) -> str:
    """Return how the rank changes without a part."""
    rank, change = effect.rank, effect.rank_change
    return (
        f"{ordinal(rank - change)} \u2192 {ordinal(rank)}" if change else f"stays {ordinal(rank)}"
    )


def _bar(effect: Effect) -> tuple[float, float]:
    """Return where the bar of a change in z begins, and its width, in percent."""
    change = effect.z_change
    width = 0.0 if math.isnan(change) else 50 * min(1.0, abs(change) / BAR_MOST)
    return round(50 - width if change < 0 else 50, 1), round(width, 1)


def _check(side: EncoderEvidence) -> str:
    check = side.faithfulness
    if check is None:
        return ""
    if check.contexts:
        return (
            f"check: in {check.contexts} shortened copies, deleting sentence {check.top} costs "
            f"{number(check.context_top_drop, 4)} of cosine, a random other one "
            f"{number(check.context_other_drop, 4)}; it hurts more in {check.wins:.0%} of them"
        )
    return (
        f"check: deleting sentence {check.top} costs {number(check.top_drop, 4)}, others "
        f"{number(check.others_drop, 4)} on average"
    )


def context(found: LateContext) -> Html:
    """Return the passage alone against the passage read inside its document."""
    return render(
        "late_context", found=found, sides=(found.a, found.b), named=named, isnan=math.isnan
    )


def shares(found: SharedScores) -> Html:
    """Return the exact additive share of every token, where the pooling allows one."""
    strips = [
        strip(
            found.text,
            [(share.start, share.end, share.token, share.share) for share in side.shares],
            kind=systems.family_kind(side.system.family),
            unit="of the cosine",
        )
        for side in found.sides
    ]
    return render("shares", sides=list(zip(found.sides, strips, strict=True)), named=named)


def changes(strip_: Sequence[TokenChange]) -> list[tuple[int, int, str, float]]:
    """Return a strip's entries as `strip` takes them."""
    return [(item.start, item.end, item.token, item.change) for item in strip_]


def html_report(
    comparison: Comparison,
    *,
    evidence: Sequence[Evidence] = (),
    fairness: FairnessReport | None = None,
    pictures: Mapping[str, PagePicture] | None = None,
    best: Mapping[str, tuple[int, int]] | None = None,
    answers: Collection[str] = (),
) -> str:
    """Return a whole HTML document about one comparison, with its explanations.

    Args:
        comparison: What was compared.
        evidence: Explanations of single hits, shown after the passages.
        fairness: The panel, for its flags and counts.
        pictures: The page of a passage by passage id, put into the file itself.
        best: Range of the sentence nearest to the query, by passage id.
        answers: Passages known to answer the query.
    """
    known = {passage.passage_id: passage for passage in comparison.passages}
    sections = [
        render(
            "why",
            found=one,
            passage=known.get(one.passage_id),
            systems=systems,
            section=leave_one_out(one),
        )
        for one in evidence
    ]
    if fairness is not None:
        sections.append(render("pair_table", fairness=fairness))
    return report(
        comparison,
        pictures=pictures,
        best=best,
        answers=answers,
        flags=fairness.flags if fairness else (),
        sections=sections,
    )


def library_report(library: Library, comparison: Comparison) -> str:
    """Return the report of a library's comparison: its pages, sentences and known answers too."""
    return html_report(
        comparison,
        pictures=page_pictures(library, comparison),
        best=best_sentences(library, comparison),
        answers=answers_on(library, comparison),
    )


def best_sentences(library: Library, comparison: Comparison) -> Mapping[str, tuple[int, int]]:
    """Return the nearest sentence of every hit in the columns; none where it cannot be had."""
    shown = dict.fromkeys(
        hit.passage_id
        for column in comparison.columns
        for hit in column.ranking.hits[: comparison.k]
    )
    try:
        return library.best_sentences(comparison.query.text, tuple(shown))
    except CoreError:
        # A saved comparison may name passages of another chunking: cards without marks then.
        return {}


def page_pictures(
    library: Library, comparison: Comparison, *, hits: int = 2, width_pixels: int = 700
) -> dict[str, PagePicture]:
    """Return the pages of both encoders' first hits that can be had, by passage id.

    Args:
        library: Which the comparison is of.
        comparison: Whose hits.
        hits: How many of each encoder of the pair.
        width_pixels: Of the pictures.
    """
    pictures = {}
    for encoder_id in systems.encoder_ids(comparison):
        for hit in comparison.column(encoder_id).ranking.hits[:hits]:
            passage = comparison.passage(hit.passage_id)
            try:
                page = library.page_view(
                    passage.doc_id, passage.page_first, [hit.passage_id], width_pixels=width_pixels
                )
            except CoreError:
                continue  # plain text, or removed since
            boxes = page.boxes.get(hit.passage_id)
            if boxes is not None:  # not of another chunking
                pictures[hit.passage_id] = PagePicture(page.png, page.width, page.height, boxes)
    return pictures
