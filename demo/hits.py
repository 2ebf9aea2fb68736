"""One hit of the comparison on screen: its nearest sentence, and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.comparison.records import ComparedPassage, Comparison
from core.encoders.spec import TextKind
from core.errors import CoreError, UnknownNameError
from core.records import Query
from core.render import Html, page

if TYPE_CHECKING:
    from core.library.library import Library
    from demo.session import Shown

PAGE_WIDTH_PIXELS = 1100


def best_sentence(
    bench: Library, comparison: Comparison, passage_id: str
) -> tuple[int, int] | None:
    """Return the nearest sentence of one passage, None where it cannot be had."""
    try:
        return bench.best_sentences(comparison.query.text, (passage_id,)).get(passage_id)
    except CoreError:
        return None


def alone(bench: Library, passage_id: str) -> tuple[Comparison, dict[str, tuple[int, int]]]:
    """Return a passage as the only one of a comparison of no systems, and no best sentence.

    Raises:
        UnknownNameError: If it is not in the library.
    """
    item = bench.passage(passage_id)
    compared = ComparedPassage(
        passage_id,
        item.doc_id,
        bench.document(item.doc_id).name,
        item.page_first,
        item.page_last,
        item.start,
        item.end,
        item.text,
        standings=(),
    )
    comparison = Comparison(
        Query("", ""),
        k=1,
        unit=bench.settings.chunking.unit,
        corpus_size=1,
        columns=(),
        encoder_a="",
        encoder_b="",
        passages=(compared,),
        agreements=(),
    )
    return comparison, {passage_id: (0, 0)}


def pane(bench: Library, shown: Shown, passage_id: str, page_number: int | None) -> str:
    """Return the page pane of a hit.

    Raises:
        UnknownNameError: If its document has no such page.
        CoreError: If passage or document are not here.
    """
    comparison = shown.comparison
    passage = comparison.passage(passage_id)
    document = bench.document(passage.doc_id)
    if passage_id in shown.best:
        best: tuple[int, int] | None = shown.best[passage_id]
    else:
        best = best_sentence(bench, comparison, passage_id)
    number = page.page_of_best(document, passage, best) if page_number is None else page_number
    try:
        received = bench.received(passage.text, kind=TextKind.PASSAGE)
    except CoreError:
        received = {}
    picture, notice = Html(""), ""
    if not 1 <= number <= len(document.pages):
        raise UnknownNameError(f"{document.name} has no page {number}.")
    if document.media_type != "application/pdf":
        notice = page.TEXT_ONLY
    else:
        sheet = document.pages[number - 1]
        drawn = page.drawn_on(comparison, document, number, passage, best)
        own_page = passage.page_first <= number <= passage.page_last
        if own_page and not any(item.selected and item.boxes for item in drawn):
            notice = page.NO_BOXES
        try:
            image = bench.page_view(passage.doc_id, number, width_pixels=PAGE_WIDTH_PIXELS).png
            picture = page.page_image(
                image, (sheet.width, sheet.height), drawn, label=f"Page {number}"
            )
        except CoreError as error:
            notice = str(error)
    return page.pane(
        comparison,
        passage,
        page_number=number,
        pages=len(document.pages) if document.media_type == "application/pdf" else 0,
        picture=picture,
        best=best,
        received=received,
        notice=notice,
    )
