"""The pages of both encoders' first hits, as a report shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import CoreError
from core.laboratory.report.passages import PagePicture

if TYPE_CHECKING:
    from core.comparison.records import Comparison
    from core.library import Library


def page_pictures(
    library: Library, comparison: Comparison, *, hits: int = 2, width_pixels: int = 700
) -> dict[str, PagePicture]:
    """Return the pages that can be had, by passage id.

    Args:
        library: Which the comparison is of.
        comparison: Whose hits.
        hits: How many of each encoder of the pair.
        width_pixels: Of the pictures.
    """
    pictures = {}
    for encoder_id in (comparison.arm_a, comparison.arm_b):
        for hit in comparison.column(encoder_id).ranking.hits[:hits]:
            passage = comparison.passage(hit.passage_id)
            try:
                page = library.page_view(
                    passage.doc_id,
                    passage.page_first,
                    [hit.passage_id],
                    width_pixels=width_pixels,
                )
            except CoreError:
                continue  # plain text, or removed since
            boxes = page.boxes.get(hit.passage_id)
            if boxes is not None:  # not of another chunking
                pictures[hit.passage_id] = PagePicture(page.png, page.width, page.height, boxes)
    return pictures
