from __future__ import annotations

import numpy as np

from core.documents import boxes_for_range
from core.documents.highlights import line_boxes
from tests import pdfs
from tests.inprocess import read_document

NAN = [np.nan] * 4


# Two letters side by side, a space without a box, a third; then the next line; then a far cell.
def test_characters_of_a_line_share_a_box() -> None:
    boxes = np.array(
        [[0, 0, 5, 10], [5, 1, 9, 10], NAN, [12, 0, 16, 11], NAN, [0, 14, 5, 24], [60, 14, 65, 24]],
        np.float32,
    )
    assert line_boxes(boxes).tolist() == [[0, 0, 16, 11], [0, 14, 5, 24], [60, 14, 65, 24]]


def test_no_boxes_give_none() -> None:
    assert line_boxes(np.zeros((0, 4), np.float32)).shape == (0, 4)
    assert line_boxes(np.array([NAN], np.float32)).shape == (0, 4)


def test_a_range_over_two_pages_has_boxes_on_both() -> None:
    document = read_document(pdfs.plain_pdf([pdfs.PROSE, "Second page."]), "a.pdf")
    start, end = document.text.index("Dr. Reyes"), document.text.index("page.") + 5
    first, second = boxes_for_range(document, start, end)
    assert (first.page_number, second.page_number) == (1, 2)
    assert first.boxes.shape == (2, 4)  # "Dr. Reyes measured the" / "leak at ..."
    assert first.boxes.dtype == np.float32
    assert second.boxes.shape == (1, 4)
    assert abs(second.boxes[0, 0] - 72) < 1


def test_a_range_that_begins_just_before_a_page_has_all_of_that_page() -> None:
    document = read_document(pdfs.plain_pdf([pdfs.PROSE, "Second page."]), "a.pdf")
    start = document.pages[1].start - 3
    _, second = boxes_for_range(document, start, len(document.text))
    assert abs(second.boxes[0, 0] - 72) < 1
    assert second.boxes[0, 2] > 120


def test_the_box_of_a_word_is_where_the_word_was_drawn() -> None:
    document = read_document(pdfs.table_pdf(), "a.pdf")
    start = document.text.index("Depth")
    ((left, top, right, bottom),) = boxes_for_range(document, start, start + 5)[0].boxes
    assert abs(left - (72 + 140)) < 1  # second column
    assert top < 72 < bottom + 1  # first row's baseline
    assert right - left < 40


def test_plain_text_has_no_boxes() -> None:
    document = read_document(b"Some words.", "a.txt")
    assert boxes_for_range(document, 0, 4) == ()


def test_an_empty_range_has_no_boxes() -> None:
    document = read_document(pdfs.plain_pdf(), "a.pdf")
    assert boxes_for_range(document, 5, 5) == ()
