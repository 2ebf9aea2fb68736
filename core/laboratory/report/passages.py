"""How far the systems agree, and every passage with its places and its page."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from core.comparison.records import Agreement, ComparedPassage, Comparison, Standing
from core.laboratory.report.markup import (
    anchor_of,
    escape,
    label_of,
    one_decimal,
    pages_of,
    side_of,
)

_LINE_END = re.compile(r"(?<!\n)\n(?!\n)")  # of a line in the file, not of a paragraph
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page as the report shows it, with the passage's place on it.

    Attributes:
        png: The page as PNG; anything else is left out of the file.
        width: Of the page in points.
        height: Of the page in points.
        boxes: Left, top, right, bottom in points, one per line of the passage.
    """

    png: bytes
    width: float = 0.0
    height: float = 0.0
    boxes: tuple[tuple[float, float, float, float], ...] = ()


def agreements(comparison: Comparison) -> str:
    """Return the table of how far each two systems agree."""
    if not comparison.agreements:
        return ""
    rows = "".join(_agreement(comparison, agreement) for agreement in comparison.agreements)
    return (
        "<h2>How far they agree</h2>"
        '<div class="scroll"><table><thead><tr><th>systems</th>'
        f'<th class="n">shared in the top {comparison.k}</th><th class="n">overlap</th>'
        '<th class="n">Jaccard</th><th class="n">RBO</th><th class="n">Kendall τ-b</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
        "<p><small>Overlap: share of the top passages that both have. Jaccard: shared over all that "
        "either has. RBO (rank-biased overlap, extrapolated): 1 for the same order, 0 for nothing "
        "in common, the top counting most. Kendall τ-b: whether the shared passages stand in the "
        "same order, 1 the same, -1 reversed.</small></p>"
    )


def _agreement(comparison: Comparison, agreement: Agreement) -> str:
    tau = "-" if agreement.tau_b is None else f"{agreement.tau_b:.2f}"
    return (
        f"<tr><td>{label_of(comparison, agreement.system_a)} and "
        f"{label_of(comparison, agreement.system_b)}</td>"
        f'<td class="n">{agreement.shared}</td><td class="n">{agreement.overlap:.2f}</td>'
        f'<td class="n">{agreement.jaccard:.2f}</td><td class="n">{agreement.rbo:.2f}</td>'
        f'<td class="n">{tau}</td></tr>'
    )


def passages(comparison: Comparison, pictures: Mapping[str, PagePicture]) -> str:
    """Return every passage that some system ranked among its best."""
    shown = [
        passage
        for passage in comparison.passages
        if any(
            standing.rank is not None and standing.rank <= comparison.k
            for standing in passage.standings
        )
    ]
    body = "".join(_passage(comparison, passage, pictures) for passage in shown)
    return f"<h2>The passages</h2>{body}" if body else ""


def _passage(
    comparison: Comparison, passage: ComparedPassage, pictures: Mapping[str, PagePicture]
) -> str:
    rows = [_standing_row(comparison, standing) for standing in passage.standings]
    return (
        f'<article id="{anchor_of(comparison, passage)}"><h3 class="name" dir="auto">'
        f"{escape(passage.document)}, {pages_of(passage)}</h3>"
        f'<p class="text" dir="auto">{escape(_LINE_END.sub(" ", passage.text))}</p>'
        '<div class="scroll"><table><thead><tr><th>system</th><th class="n">rank</th>'
        '<th class="n">z</th><th class="n">percentile</th><th class="n">raw score</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f"{_image(comparison, passage, pictures.get(passage.passage_id))}</article>"
    )


def _standing_row(comparison: Comparison, standing: Standing) -> str:
    rank = standing.rank if standing.rank is not None else "-"
    score = f"{standing.score:.3f}" if standing.score is not None else "-"
    z = one_decimal(standing.z) if standing.z is not None else "-"
    place = f"{int(standing.percentile * 10) / 10:.1f}" if standing.percentile is not None else "-"
    return (
        f"<tr><td>{label_of(comparison, standing.system_id)}</td>"
        f'<td class="n">{rank}</td><td class="n">{z}</td><td class="n">{place}</td>'
        f'<td class="n">{score}</td></tr>'
    )


def _image(comparison: Comparison, passage: ComparedPassage, picture: PagePicture | None) -> str:
    """Return the page with the passage outlined in the colour of every arm that has it."""
    if picture is None or not picture.png.startswith(_PNG):  # nothing but PNG goes into the file
        return ""
    data = base64.b64encode(picture.png).decode("ascii")
    label = escape(f"Page {passage.page_first} of {passage.document}")
    sides = [
        side_of(comparison, standing.system_id)
        for standing in passage.standings
        if standing.rank is not None and standing.rank <= comparison.k
    ]
    drawn = "".join(
        f'<rect class="box {side}" x="{left - pad:.1f}" y="{top - pad:.1f}" '
        f'width="{right - left + 2 * pad:.1f}" height="{bottom - top + 2 * pad:.1f}"/>'
        for pad, side in enumerate((side for side in dict.fromkeys(sides) if side), start=1)
        for left, top, right, bottom in picture.boxes
    )
    over = (
        f'<svg viewBox="0 0 {picture.width:.1f} {picture.height:.1f}" preserveAspectRatio="none">'
        f"{drawn}</svg>"
        if drawn and picture.width > 0
        else ""
    )
    return (
        f'<figure class="sheet"><img alt="{label}" src="data:image/png;base64,{data}">{over}'
        f"<figcaption>{label}</figcaption></figure>"
    )
