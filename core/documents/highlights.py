"""Where a range of a document's text stands on its pages: from the stored boxes, never by search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.records import Document

SAME_LINE_SHARE = 0.5  # of the lower of two boxes' heights that must coincide
GAP_HEIGHTS = 2.5  # a wider gap on a line starts a new box: another column, a table cell


@dataclass(frozen=True, slots=True, eq=False)
class PageBoxes:
    """Boxes to draw on one page.

    Attributes:
        page_number: Counts from 1.
        boxes: ``(m, 4)`` float32 left, top, right, bottom in points from the top left corner of
            the page as displayed, one per line of text.
    """

    page_number: int
    boxes: NDArray[np.float32]


def boxes_for_range(document: Document, start: int, end: int) -> tuple[PageBoxes, ...]:
    """Return the boxes of ``document.text[start:end]``, page by page.

    Pages where the range has no boxes (plain text, text from the second reader) are left out.
    """
    found = []
    for page in document.pages:
        first, last = max(start, page.start), min(end, page.end)
        if first >= last:
            continue
        boxes = line_boxes(page.char_boxes[first - page.start : last - page.start])
        if len(boxes):
            found.append(PageBoxes(page.page_number, boxes))
    return tuple(found)


def line_boxes(char_boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Merge the boxes of characters in reading order into one box per line.

    Args:
        char_boxes: ``(n, 4)``; NaN rows are passed over.

    Returns:
        ``(m, 4)`` float32.
    """
    boxes = np.asarray(char_boxes, np.float32)
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if not len(boxes):
        return np.zeros((0, 4), np.float32)
    before, after = boxes[:-1], boxes[1:]
    heights = np.minimum(before[:, 3] - before[:, 1], after[:, 3] - after[:, 1])
    common = np.minimum(before[:, 3], after[:, 3]) - np.maximum(before[:, 1], after[:, 1])
    gap = np.maximum(after[:, 0] - before[:, 2], before[:, 0] - after[:, 2])
    splits = (common < SAME_LINE_SHARE * heights) | (gap > GAP_HEIGHTS * heights)
    starts = np.concatenate([[0], np.flatnonzero(splits) + 1])
    return np.stack(
        [
            np.minimum.reduceat(boxes[:, 0], starts),
            np.minimum.reduceat(boxes[:, 1], starts),
            np.maximum.reduceat(boxes[:, 2], starts),
            np.maximum.reduceat(boxes[:, 3], starts),
        ],
        axis=1,
    ).astype(np.float32)
