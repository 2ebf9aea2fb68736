from __future__ import annotations

import html
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.presenters.markup import (
    DASH,
    attrs,
    esc,
    flowing,
    number,
    ordinal,
    percentile,
    plain,
    plural,
    shorten,
    signed,
)


@given(st.text())
def test_escaped_text_holds_nothing_that_html_or_the_template_language_reads(text: Any) -> None:
    safe = esc(text)
    assert not re.search(r"[<>\"'{}$`]", safe)
    # and it is still the same text to a reader
    assert html.unescape(safe) == plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "{{constructor}}",
        "${7*7}",
        "`${document.cookie}`",
    ],
)
def test_hostile_text_cannot_leave_an_attribute(text: Any) -> None:
    assert re.fullmatch(r' title="[^"<>{}$`]*"', attrs(title=text))


@given(st.text())
def test_flowing_text_keeps_every_offset_and_every_paragraph(text: str) -> None:
    flown = flowing(text)
    assert len(flown) == len(text)
    assert flown.count("\n\n") == text.count("\n\n")


def test_direction_overrides_and_terminal_sequences_are_dropped() -> None:
    assert plain("report\u202efdp.exe") == "reportfdp.exe"
    assert plain("\x1b[31mred\x1b[0m\x07") == "red"


def test_arabic_emoji_and_han_stay_as_they_are() -> None:
    text = "\u0627\u0644\u0645\u062f \U0001f469\u200d\U0001f52c \u6f6e\u6c50"
    assert plain(text) == text


def test_a_lone_surrogate_can_be_sent() -> None:
    esc("a\ud800b").encode("utf-8")


@given(st.text(), st.integers(1, 200))
def test_shortened_text_keeps_to_its_limit(text: Any, limit: Any) -> None:
    assert len(shorten(text, limit)) <= limit + 1  # the ellipsis


def test_numbers_in_words() -> None:
    # 11th to 13th are not 11st, 12nd, 13rd
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112, 123)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th", "123rd",
    ]  # fmt: skip
    assert signed(-0.04) == "0.0"
    assert signed(2.25, 2) == "+2.25"
    assert number(-1.26) == "\u22121.3"
    assert plural(1, "page") == "1 page"
    assert plural(1204, "page") == "1,204 pages"


def test_a_number_that_is_none_is_a_dash() -> None:
    assert {number(math.nan), signed(math.inf), percentile(math.nan)} == {DASH}


def test_a_percentile_is_never_rounded_up_to_all() -> None:
    assert percentile(99.96) == "99.9th"
    assert percentile(61.9) == "61st"
    assert percentile(100.0) == "99.9th"
