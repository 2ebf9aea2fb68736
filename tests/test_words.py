import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.words import (
    DASH,
    flowing,
    number,
    ordinal,
    percent,
    percentile,
    plural,
    quoted,
    shortened,
    signed,
    way,
)


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"),
     (21, "21st"), (111, "111th"), (1002, "1,002nd")],
)  # fmt: skip
def test_ranks_as_people_say_them(number: int, said: str) -> None:
    assert ordinal(number) == said


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "none"), (0.004, "less than 1 %"), (0.306, "31 %"), (1.0, "100 %")]
)
def test_shares(share: float, said: str) -> None:
    assert percent(share) == said


def test_ways() -> None:
    assert way(2, 19) == "goes from 2nd to 19th"
    assert way(1, 1) == "stays 1st"


def test_quotes_are_one_short_line() -> None:
    assert quoted("a\n b") == "“a b”"
    assert quoted("word " * 40).endswith("…”")
    assert len(quoted("x" * 500)) == 72


def test_counts_and_signs() -> None:
    assert plural(1, "query", "queries") == "1 query"
    assert plural(1300, "passage") == "1,300 passages"
    assert [signed(value) for value in (0.034, -0.02, 0.001, -0.001)] == [
        "+0.03", "\u22120.02", "0.00", "0.00",
    ]  # fmt: skip


@given(st.text())
def test_flowing_text_keeps_every_offset_and_every_paragraph(text: str) -> None:
    flown = flowing(text)
    assert len(flown) == len(text)
    assert flown.count("\n\n") == text.count("\n\n")


@given(st.text(), st.integers(2, 200))
def test_shortened_text_keeps_to_its_limit(text: Any, limit: Any) -> None:
    assert len(shortened(text, limit)) <= limit


def test_numbers_in_words() -> None:
    assert signed(-0.04, 1) == "0.0"
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
