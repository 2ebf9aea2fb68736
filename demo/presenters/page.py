"""One page of a document with the hits of both encoders drawn on it, in two colours and shapes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.records import Family
from core.render import attrs, escape, join
from core.words import DASH, DOT, flowing, number, percentile, plural
from demo import texts
from demo.presenters.columns import page_range
from demo.presenters.families import SCORED_BY_COSINE, family_class, named, short_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.comparison.records import ComparedPassage, Comparison
    from core.records import Page, ReceivedText

FLAG_SIZE = 15.0  # points
PAD = {"dif": 1.2, "aut": 2.8, "lex": 4.2}  # around a line's box, so that outlines do not hide


@dataclass(frozen=True, slots=True)
class DrawnPassage:
    """A passage as it stands on one page.

    Attributes:
        passage_id: Its id.
        boxes: Left, top, right, bottom in points, one per line on this page.
        ranks: ``(family, rank)`` of every system that has it among its top k.
        selected: It is the one the user clicked.
    """

    passage_id: str
    boxes: Sequence[tuple[float, float, float, float]]
    ranks: Sequence[tuple[Family, int]]
    selected: bool


def drawn_ranks(comparison: Comparison, passage: ComparedPassage) -> list[tuple[Family, int]]:
    """Return family and rank of every system that has the passage in its top k."""
    return [
        (column.info.family, standing.rank)
        for column in comparison.columns
        for standing in [passage.standing(column.info.system_id)]
        if standing.rank is not None and standing.rank <= comparison.k
    ]


def page_image(image: bytes, page: Page, drawn: Sequence[DrawnPassage]) -> str:
    """Return the page's picture with the boxes over it.

    Args:
        image: PNG of the page.
        page: Its size in points.
        drawn: What to draw; the selected one comes last so that it lies on top.
    """
    ordered = sorted(drawn, key=lambda item: item.selected)
    boxes = join(_passage_boxes(item, page) for item in ordered)
    data = base64.b64encode(image).decode("ascii")
    return (
        f'<div class="sheet-page"><img alt="Page {page.page_number}" src="data:image/png;base64,'
        f'{data}"><svg viewBox="0 0 {page.width:.1f} {page.height:.1f}" '
        f'preserveAspectRatio="none">{boxes}</svg></div>'
    )


def _passage_boxes(item: DrawnPassage, page: Page) -> str:
    if not item.boxes:
        return ""
    shapes = []
    kinds = [family_class(family) for family, _ in item.ranks] or ["lex"]
    # A grey outline says nothing where a coloured one is already there.
    kinds = [kind for kind in dict.fromkeys(kinds) if kind != "lex"] or ["lex"]
    width = 1.6 if item.selected else 0.9
    for kind in kinds:
        pad = PAD[kind]
        shapes += [
            f'<rect class="box-{kind}" x="{left - pad:.1f}" y="{top - pad:.1f}" '
            f'width="{right - left + 2 * pad:.1f}" height="{bottom - top + 2 * pad:.1f}" '
            f'rx="1.5" stroke-width="{width}"/>'
            for left, top, right, bottom in item.boxes
        ]
    # Beside the text even where the passage begins in the middle of a line.
    left, top = min(box[0] for box in item.boxes[:2]), item.boxes[0][1]
    for place, (family, rank) in enumerate(sorted(item.ranks, key=lambda pair: _order(pair[0]))):
        x = max(FLAG_SIZE / 2 + 1, left - 12 - place * (FLAG_SIZE + 2))
        shapes.append(_flag(family_class(family), rank, x, top + FLAG_SIZE / 2 - 1))
    classes = "drawn" if item.selected else "drawn other"
    action = {} if item.selected else {"data_act": "pick", "data_pid": item.passage_id}
    del page
    return f'<g class="{classes}"{attrs(**action)}>{join(shapes)}</g>'


def _order(family: Family) -> int:
    return {Family.DIFFUSION: 0, Family.AUTOREGRESSIVE: 1}.get(family, 2)


def _flag(kind: str, rank: int, x: float, y: float) -> str:
    """Return the rank in its family's shape."""
    half = FLAG_SIZE / 2
    shape = (
        f'<circle class="flag-dif" cx="{x:.1f}" cy="{y:.1f}" r="{half}"/>'
        if kind == "dif"
        else f'<rect class="flag-{kind}" x="{x - half:.1f}" y="{y - half:.1f}" '
        f'width="{FLAG_SIZE}" height="{FLAG_SIZE}"/>'
    )
    return f'<g class="flag">{shape}<text x="{x:.1f}" y="{y + 3.6:.1f}">{rank}</text></g>'


def pane(
    comparison: Comparison,
    passage: ComparedPassage,
    *,
    page_number: int,
    pages: int,
    picture: str,
    best: tuple[int, int] | None,
    received: Mapping[str, ReceivedText],
    notice: str = "",
) -> str:
    """Return the pane beside the columns: where the passage stands, its page, its whole text.

    Args:
        comparison: On screen.
        passage: The selected one.
        page_number: Page that is shown; not always the passage's own.
        pages: Of the document.
        picture: From `page_image`; "" when there is none.
        best: Range of the best sentence in the passage's text.
        received: What each encoder got for the passage, by system id.
        notice: Why there is no picture, or no boxes.
    """
    turn = (
        '<span class="turn">'
        f"{_turn_button('page', page_number - 1, chr(0x2190), 'previous page', page_number > 1)}"
        f'<span class="meta num"> page {page_number:,} of {pages:,} </span>'
        f"{_turn_button('page', page_number + 1, chr(0x2192), 'next page', page_number < pages)}"
        "</span>"
        if pages
        else ""
    )
    standings = join(
        _standing(comparison, passage, column.info.system_id) for column in comparison.columns
    )
    note = f'<p class="notice">{escape(notice)}</p>' if notice else ""
    return (
        f'<div class="bf pane" data-pid="{escape(passage.passage_id)}" data-page="{page_number}">'
        f'<header><h3 title="{escape(passage.document)}"><bdi>{escape(passage.document)}</bdi></h3>'
        f'{turn}<button class="close" data-act="close" aria-label="close">\u00d7</button></header>'
        f'<div class="standing">{standings}</div>{note}{picture}'
        f"<section><h4>{escape(_where(passage))}</h4>"
        f'<div class="page-text">{_text(passage.text, best)}</div></section>'
        f'<section><button class="button" data-act="evidence" data-pid="{escape(passage.passage_id)}">'
        'Why is it here?</button> <button class="button" data-act="view" '
        'data-view="laboratory">Study it in the laboratory</button></section>'
        f"{_received(comparison, received)}</div>"
    )


def _turn_button(act: str, page: int, arrow: str, label: str, enabled: bool) -> str:  # noqa: FBT001
    off = "" if enabled else " disabled"
    return f'<button data-act="{act}" data-page="{page}" aria-label="{label}"{off}>{arrow}</button>'


def _where(passage: ComparedPassage) -> str:
    return (
        f"Passage on {page_range(passage.page_first, passage.page_last)}, characters "
        f"{passage.start:,} to {passage.end:,}"
    )


def _standing(comparison: Comparison, passage: ComparedPassage, system_id: str) -> str:
    column = comparison.column(system_id)
    standing = passage.standing(system_id)
    name = short_name(comparison, system_id)
    if column.failure:
        words = "failed"
    elif standing.rank is None:
        words = texts.NOT_RANKED
    else:
        words = f"rank {standing.rank:,}"
        if standing.z is not None and standing.percentile is not None:
            words += f"{DOT}z {number(standing.z)}{DOT}{percentile(standing.percentile)}"
        elif standing.score is not None:
            cosine = column.info.family in SCORED_BY_COSINE
            lexical = column.info.family is Family.LEXICAL
            kind, digits = ("cosine" if cosine else "score"), (1 if lexical else 2)
            words += f"{DOT}{kind} {number(standing.score, digits)}"
    return (
        f'<span class="nowrap">{named(column.info.family, name)} '
        f'<span class="num">{escape(words)}</span></span>'
    )


def _text(text: str, best: tuple[int, int] | None) -> str:
    text = flowing(text)
    if best is None or not 0 <= best[0] < best[1] <= len(text):
        return escape(text)
    start, end = best
    return f"{escape(text[:start])}<mark>{escape(text[start:end])}</mark>{escape(text[end:])}"


def _received(comparison: Comparison, received: Mapping[str, ReceivedText]) -> str:
    blocks = []
    for column in comparison.columns:
        got = received.get(column.info.system_id)
        if got is None:
            continue
        dropped = f"{got.tokens_dropped:,} dropped" if got.tokens_dropped else "none dropped"
        blocks.append(
            f"<div><h3>{named(column.info.family, column.info.label)}</h3>"
            f'<p class="meta">{escape(plural(got.tokens_total, "token"))}{DOT}'
            f"{got.tokens_kept:,} kept{DOT}{dropped}</p>"
            f'<pre class="exact">{escape(got.text) or DASH}</pre></div>'
        )
    if not blocks:
        return ""
    return (
        f"<section><details><summary>{escape(texts.RECEIVED_TITLE)}</summary>"
        f'<p class="how">{escape(texts.RECEIVED_HOW)}</p>{join(blocks)}</details></section>'
    )
