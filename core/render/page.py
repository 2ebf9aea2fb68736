"""One page of a document with the hits that stand on it, and the pane around it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.comparison.records import ComparedPassage, Comparison
from core.documents.highlights import boxes_for_range
from core.records import Document, ReceivedText
from core.render import systems
from core.render.environment import render
from core.render.escape import Html
from core.words import DOT, flowing, number, percentile

Box = tuple[float, float, float, float]  # left, top, right, bottom in points
FLAG_SIZE = 15.0  # points
BAR_WIDTH = 2.6
PNG = b"\x89PNG\r\n\x1a\n"
NOT_RANKED = "not ranked"
TEXT_ONLY = "This document is plain text; it has no pages to draw."
NO_BOXES = (
    "The passage's place on this page is not known (its text came from the second reader), so no "
    "boxes are drawn."
)


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page as the report shows it, with the passage's place on it."""

    png: bytes  # the page as PNG; anything else is left out of the file
    width: float = 0.0  # of the page in points
    height: float = 0.0  # of the page in points
    boxes: tuple[Box, ...] = ()  # one per line of the passage


@dataclass(frozen=True, slots=True)
class DrawnPassage:
    """A passage as it stands on one page."""

    passage_id: str  # its id
    boxes: Sequence[Box]  # one per line on this page
    # kind and rank of every system that has it among its top k, the encoders first
    ranks: Sequence[tuple[str, int]]
    selected: bool = False  # it is the one the user clicked
    marked: Sequence[Box] = ()  # the boxes of its best sentence

    @property
    def kinds(self) -> list[str]:
        """The colours of its margin bars; grey only where there is no other."""
        kinds = list(dict.fromkeys(kind for kind, _ in self.ranks))
        return [kind for kind in kinds if kind != systems.NEUTRAL] or [systems.NEUTRAL]

    @property
    def left(self) -> float:
        """The left edge, also where the passage begins in the middle of a line."""
        return min(box[0] for box in self.boxes)


def ranks_of(comparison: Comparison, passage: ComparedPassage) -> list[tuple[str, int]]:
    """Return kind and rank of every system that has a passage in its top k."""
    found = [
        (systems.kind(comparison, column.info.system_id), rank)
        for column in comparison.columns
        for rank in [passage.standing(column.info.system_id).rank]
        if rank is not None and rank <= comparison.k
    ]
    return sorted(found, key=lambda one: ("dif", "aut", "lex").index(one[0]))


def drawn_on(
    comparison: Comparison,
    document: Document,
    page_number: int,
    selected: ComparedPassage,
    best: tuple[int, int] | None = None,
) -> list[DrawnPassage]:
    """Return every passage of the top k that stands on a page; the selected one last, on top.

    Args:
        comparison: What was found.
        document: Whose page it is.
        page_number: From 1.
        selected: The passage the user chose; drawn whatever its rank.
        best: Range of its best sentence in its text.
    """

    def boxes(start: int, end: int) -> list[Box]:
        pages = boxes_for_range(document, start, end)
        return [
            (left, top, right, bottom)
            for page in pages
            if page.page_number == page_number
            for left, top, right, bottom in page.boxes.tolist()
        ]

    drawn = []
    for passage in comparison.passages:
        chosen = passage.passage_id == selected.passage_id
        here = passage.page_first <= page_number <= passage.page_last
        ranks = ranks_of(comparison, passage)
        if passage.doc_id != selected.doc_id or not here or not (ranks or chosen):
            continue
        marked = boxes(passage.start + best[0], passage.start + best[1]) if chosen and best else []
        drawn.append(
            DrawnPassage(
                passage.passage_id, boxes(passage.start, passage.end), ranks, chosen, marked
            )
        )
    return sorted(drawn, key=lambda one: one.selected)


def page_of_best(document: Document, passage: ComparedPassage, best: tuple[int, int] | None) -> int:
    """Return the page on which a passage's best sentence begins; its first page without one."""
    if best is None:
        return passage.page_first
    start = passage.start + best[0]
    found = [page.page_number for page in document.pages if page.start <= start < page.end]
    inside = [one for one in found if passage.page_first <= one <= passage.page_last]
    return inside[0] if inside else passage.page_first


def page_image(
    png: bytes, size: tuple[float, float], drawn: Sequence[DrawnPassage], *, label: str
) -> Html:
    """Return a page's picture with its passages drawn over it; "" for anything but PNG.

    Args:
        png: The picture.
        size: Width and height of the page in points.
        drawn: From `drawn_on`.
        label: What a screen reader says.
    """
    if not png.startswith(PNG):
        return Html("")
    return render(
        "page_image",
        data=base64.b64encode(png).decode("ascii"),
        width=size[0],
        height=size[1],
        drawn=[one for one in drawn if one.boxes],
        flag=FLAG_SIZE,
        bar=BAR_WIDTH,
        label=label,
        outline=outline,
    )


def outline(boxes: Sequence[Box]) -> str:
    """Return the path of one region over all lines, so that no overlap is tinted twice."""
    return " ".join(
        f"M{left - 1:.1f} {top - 1:.1f}H{right + 1:.1f}V{bottom + 1:.1f}H{left - 1:.1f}Z"
        for left, top, right, bottom in boxes
    )


def pane(
    comparison: Comparison,
    passage: ComparedPassage,
    *,
    page_number: int,
    pages: int,
    picture: Html,
    best: tuple[int, int] | None,
    received: Mapping[str, ReceivedText],
    notice: str = "",
) -> Html:
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
    start, end = best if best and 0 <= best[0] < best[1] <= len(passage.text) else (0, 0)
    text = flowing(passage.text)
    return render(
        "pane",
        comparison=comparison,
        systems=systems,
        passage=passage,
        page_number=page_number,
        pages=pages,
        picture=picture,
        text=(text[:start], text[start:end], text[end:]),
        standings=[
            (column.info.system_id, _standing(comparison, passage, column.info.system_id))
            for column in comparison.columns
        ],
        received=render(
            "received",
            items=[
                (
                    systems.kind(comparison, column.info.system_id),
                    column.info.label,
                    received[column.info.system_id],
                    (),
                    "",
                )
                for column in comparison.columns
                if column.info.system_id in received
            ],
            twin=False,
        ),
        notice=notice,
    )


def _standing(comparison: Comparison, passage: ComparedPassage, system_id: str) -> str:
    """Return in words where a passage stands in a system."""
    column = comparison.column(system_id)
    standing = passage.standing(system_id)
    if column.failure:
        return "failed"
    if standing.rank is None:
        return NOT_RANKED
    words = f"rank {standing.rank:,}"
    if standing.z is not None and standing.percentile is not None:
        return f"{words}{DOT}z {number(standing.z)}{DOT}{percentile(standing.percentile)}"
    if standing.score is None:
        return words
    cosine = column.info.family in systems.SCORED_BY_COSINE
    return f"{words}{DOT}{'cosine' if cosine else 'score'} {number(standing.score, 2)}"


def problem(words: str) -> Html:
    """Return the pane when there is nothing to show in it."""
    return render("pane_problem", words=words)
