from __future__ import annotations

import numpy as np
import pytest

from core.documents.layout import page_characters, without_furniture
from core.documents.text import Characters, has_words, without_boxes

HEIGHT = 800.0
SIZE = 10.0  # letters are 5 wide and 10 high


def placed(*pieces: tuple[str, float, float]) -> Characters:
    """Characters of pieces of text that begin at a left and a top each."""
    codes, boxes = [], []
    for text, left, top in pieces:
        codes.append(without_boxes(text).codes)
        for place, letter in enumerate(text):
            x = left + 5 * place
            box = [np.nan] * 4 if letter == "\n" else [x, top, x + 5, top + SIZE]
            boxes.append(box)
    return Characters(np.concatenate(codes), np.array(boxes, np.float32))


def page(number: int, head: str, *lines: str) -> Characters:
    """A page with a running head, its number at the foot, and lines between."""
    body = [(f"{line}\n", 50.0, 200.0 + 12 * place) for place, line in enumerate(lines)]
    return placed((f"{head}\n", 50, 40), *body, (str(number), 300, 760))


def texts(pages: list[Characters]) -> tuple[list[str], list[str]]:
    bodies, furniture = without_furniture(pages, [HEIGHT] * len(pages))
    return [body.text() for body in bodies], furniture


def test_running_heads_and_page_numbers_are_furniture() -> None:
    pages = [page(number, "The Barrage", f"Body of {number}") for number in (7, 8, 9)]
    bodies, furniture = texts(pages)
    assert bodies == ["Body of 7", "Body of 8", "Body of 9"]
    assert furniture == ["The Barrage\n7", "The Barrage\n8", "The Barrage\n9"]


def test_a_head_whose_other_half_changes_goes_whole() -> None:
    heads = ["The Barrage     Seals", "The Barrage     Gates", "The Barrage     Locks"]
    wide = [head.replace("     ", " " * 12) for head in heads]
    bodies, furniture = texts([page(n, head, f"Body {n}") for n, head in enumerate(wide, 1)])
    assert bodies == ["Body 1", "Body 2", "Body 3"]
    assert furniture[1] == "The Barrage\nGates\n2"


@pytest.mark.parametrize(
    "heads",
    [
        ["1. Seals", "2. Gates", "3. Locks"],  # headings that happen to have the page's number
        ["$10.25", "$11.25", "$12.50"],
        ["The Barrage", "Contents", "The Barrage"],  # not often enough
    ],
)
def test_what_only_looks_like_furniture_stays(heads: list[str]) -> None:
    pages = [placed((f"{head}\n", 50, 40), (f"Body {head}", 50, 300)) for head in heads]
    assert texts(pages)[0] == [characters.text() for characters in pages]


def test_a_page_of_furniture_alone_is_kept() -> None:
    pages = [placed(("Confidential", 50, 40))] * 3
    assert texts(pages) == (["Confidential"] * 3, [""] * 3)


def test_boxes_stay_with_their_characters_when_furniture_goes() -> None:
    pages = [page(number, "The Barrage", "Body") for number in (1, 2, 3)]
    bodies, _ = without_furniture(pages, [HEIGHT] * 3)
    assert bodies[0].boxes[:, 0].tolist() == [50, 55, 60, 65]


ROWS = [("the pump was", "while the gate"), ("checked by the", "stayed shut for"),
        ("crew at dawn.", "the whole week.")]  # fmt: skip


def test_columns_drawn_row_by_row_are_taken_apart() -> None:
    raw = placed(
        *(
            piece
            for row, (left, right) in enumerate(ROWS)
            for piece in ((left, 50, 100 + 12 * row), (f" {right}\n", 195, 100 + 12 * row))
        )
    )
    lefts, rights = zip(*ROWS, strict=True)
    assert page_characters(raw).text() == "\n".join([*lefts, *rights])


def test_the_rows_of_a_table_stay_together() -> None:
    cells = [("Pump 3", "12"), ("Gate 4", "17"), ("Lock 5", "19")]
    raw = placed(
        *(
            piece
            for row, (left, right) in enumerate(cells)
            for piece in ((left, 50, 100 + 12 * row), (f" {right}\n", 195, 100 + 12 * row))
        )
    )
    assert page_characters(raw).text() == "Pump 3 12\nGate 4 17\nLock 5 19"


def test_columns_of_vertical_writing_go_from_right_to_left_tier_by_tier() -> None:
    columns = [
        ("工場は", 100, 100),
        ("油圧が", 130, 100),
        ("修理の", 130, 300),
        ("記録は", 100, 300),
    ]
    pieces = [
        (letter, left, top + 10.0 * place)
        for text, left, top in columns
        for place, letter in enumerate(f"{text}\n")
    ]
    text = page_characters(placed(*pieces)).text()
    assert text.split() == ["油圧が", "工場は", "修理の", "記録は"]


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([("Gro\u00a8", 0, 0), ("ße", 20, 0)], "Gro\u00a8ße"),  # beside the letter, not over it
        ([("Gro", 0, 0), ("\u00a8", 10, 0), ("ße", 15, 0)], "Größe"),
        ([("\u00b4", 0, 0), ("\u0131nea", 0, 0)], "ínea"),  # over a letter without its dot
        ([("02", 0, 0), ("4", 60, 0)], "02 4"),  # far apart on a line
        ([("a", 0, 0), ("b", 0, 100)], "a\nb"),  # and downwards
        ([("2", 0, 4), ("\n", 0, 0), ("c", 5, 0), (" is", 10, 4)], "2c is"),  # an exponent
        ([("two", 0, 0), ("\n", 0, 0), ("lines", 0, 12)], "two\nlines"),
        ([("l", 0, 0), ("l", 5, 0)], "ll"),
        ([(2 * letter, 5 * n, 0) for n, letter in enumerate("Mu")], "MMuu"),
    ],
)
def test_what_was_printed_is_read(pieces: list[tuple[str, float, float]], text: str) -> None:
    assert page_characters(placed(*pieces)).text() == text


def test_letters_printed_twice_for_weight_are_read_once() -> None:
    twice = [(letter, 5.0 * n + shift, 0.0) for n, letter in enumerate("Muni") for shift in (0, 1)]
    assert page_characters(placed(*twice)).text() == "Muni"


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("The pump was stopped because the seal had begun to leak in the north hall again.", True),
        (
            "Der Pumpenraum wurde geschlossen, weil die Dichtung am Morgen undicht geworden war.",
            True,
        ),
        ("工場のポンプは毎朝点検する。" * 8, True),
        ("7KH SXPS ZDV VWRSSHG EHFDXVH WKH VHDO KDG EHJXQ WR OHDN LQ WKH QRUWK KDOO DJDLQ", False),
        ("ΘఆরΔಕমЖՀ" * 8, False),
        ("q x z", True),  # too little to tell
    ],
)
def test_letters_that_make_words(text: str, known: bool) -> None:
    assert has_words(text) is known
