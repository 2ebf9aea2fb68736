from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.documents.layout import page_characters
from core.documents.text import (
    Characters,
    bad_share,
    displayed_boxes,
    normalised,
    resolve_hyphens,
    without_boxes,
    without_marks,
)


def numbered(text: str) -> Characters:
    """Characters whose boxes tell where they came from: left is the position."""
    characters = without_boxes(text)
    count = len(characters.codes)
    left = np.arange(count, dtype=np.float32)
    boxes = np.stack([left, np.zeros(count), left + 1, np.ones(count)], axis=1)
    return Characters(characters.codes, boxes.astype(np.float32))


@pytest.mark.parametrize(
    ("raw", "text", "lefts"),
    [
        ("ab", "ab", [0, 1]),
        ("a\r\nb", "a\nb", [0, 2, 3]),
        ("a\rb", "a\nb", [0, 1, 2]),
        ("oﬃce", "office", [0, 1, 1, 1, 2, 3]),  # a ligature repeats its box
        ("a\u200bb", "ab", [0, 2]),  # a dropped character takes its box along
        ("\ud83d\ude00!", "😀!", [0, 2]),  # two surrogates are one character
        ("\ud83dx", "\ufffdx", [0, 1]),
        ("\ude00x", "\ufffdx", [0, 1]),  # noqa: PT014 - another lone surrogate
        ("a\u00a0b\u3000c", "a b c", [0, 1, 2, 3, 4]),
        ("\x00\x1f\x7f\x85", "\ufffd\ufffd\ufffd\n", [0, 1, 2, 3]),
        ("\u202eabc\u202c", "abc", [1, 2, 3]),
        ("\ufdfb", "جل جلاله", [0] * 8),
    ],
)
def test_every_character_keeps_its_box(raw: str, text: str, lefts: list[int]) -> None:
    characters = normalised(numbered(raw))
    assert characters.text() == text
    assert characters.boxes[:, 0].tolist() == lefts


@given(st.text(st.characters(), max_size=60))
def test_text_and_boxes_stay_the_same_length(raw: str) -> None:
    characters = page_characters(numbered(raw))
    text = characters.text()
    assert len(text) == len(characters.boxes)
    text.encode()  # no lone surrogate is left
    assert text == text.strip("\n ")
    assert "\n\n\n" not in text
    assert not set(text) & set("\x00\r\x0c\u202e\u2066\u200b")


# Lines 10 high, one every 12 points; the gap before the third is 24.
def test_a_wide_gap_becomes_a_paragraph_break() -> None:
    text = "ab\ncd\nef\ngh"
    tops = {0: 0, 1: 12, 2: 36, 3: 48}
    boxes = []
    line = 0
    for character in text:
        if character == "\n":
            boxes.append([np.nan] * 4)
            line += 1
        else:
            boxes.append([0, tops[line], 5, tops[line] + 10])
    raw = Characters(without_boxes(text).codes, np.array(boxes, np.float32))
    assert page_characters(raw).text() == "ab\ncd\n\nef\ngh"


def test_white_space_at_line_ends_goes() -> None:
    assert page_characters(numbered("\n a \t\n\n\n\n b  c \n ")).text() == "a\n\nb  c"


@pytest.mark.parametrize(
    ("pages", "texts"),
    [
        (["the cham\x02ber"], ["the chamber"]),
        (["a well-known fact, a well\x02known fact"], ["a well-known fact, a well-known fact"]),
        (["Anglo\x02American"], ["Anglo-American"]),
        (["2019\x0220"], ["2019-20"]),
        (["re\x02Enter", "reEnter"], ["reEnter", "reEnter"]),  # spelled so on another page
        (["\x02 end\x02"], ["\ufffd end-"]),
        (["no mark"], ["no mark"]),
    ],
)
def test_hyphens_at_line_ends_follow_the_rest_of_the_document(
    pages: list[str], texts: list[str]
) -> None:
    resolved, _ = resolve_hyphens(without_marks(numbered(page)) for page in pages)
    assert [page.text() for page in resolved] == texts
    assert all(len(page.codes) == len(page.boxes) for page in resolved)


def test_a_joined_word_keeps_the_boxes_of_its_letters() -> None:
    (page,), _ = resolve_hyphens([without_marks(numbered("ab\x02cd"))])
    assert page.text() == "abcd"
    assert page.boxes[:, 0].tolist() == [0, 1, 3, 4]


# A page 200 wide and 100 high, moved to (10, 20); a box near its lower left corner in user space.
@pytest.mark.parametrize(
    ("rotation", "box", "size"),
    [
        (0, [5, 85, 15, 92], (200, 100)),
        (1, [8, 5, 15, 15], (100, 200)),
        (2, [185, 8, 195, 15], (200, 100)),
        (3, [85, 185, 92, 195], (100, 200)),
    ],
)
def test_boxes_are_turned_the_way_the_page_is_shown(
    rotation: int, box: list[float], size: tuple[float, float]
) -> None:
    user = np.array([[15, 35, 25, 28]], np.float32)  # left, top, right, bottom; y grows upwards
    boxes, width, height = displayed_boxes(user, (10, 20, 210, 120), rotation)
    assert boxes.tolist() == [box]
    assert (width, height) == size


def test_boxes_off_the_page_or_empty_are_none() -> None:
    user = np.array(
        [[-50, 10, -40, 0], [5, 5, 5, 5], [np.nan] * 4, [-5, 10, 5, 0], [np.inf, 1, 2, 3]],
        np.float32,
    )
    boxes, _, _ = displayed_boxes(user, (0, 0, 100, 100), 0)
    assert np.isnan(boxes[[0, 1, 2]]).all()
    assert boxes[3].tolist() == [0, 90, 5, 100]


def test_the_share_of_unreadable_characters() -> None:
    # 4 visible characters, two of them no text
    assert bad_share(without_boxes("a \x04b\n\ufffd").codes) == 0.5
    assert bad_share(without_boxes(" \n").codes) == 0.0
