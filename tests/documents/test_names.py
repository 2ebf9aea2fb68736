from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.documents import clean_name


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a b.pdf", "a b.pdf"),
        ("folder/", "folder"),
        ("a\x00b\x1b[31m.pdf", "ab[31m.pdf"),
        ("two\r\nlines.pdf", "two lines.pdf"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("\u2066a\u2069\u200b\ufeff.pdf", "a.pdf"),
        ("tag\U000e0041.pdf", "tag.pdf"),
        ("<img src=x onerror=alert(1)>.pdf", "<img src=x onerror=alert(1)>.pdf"),
        ("\ud800.pdf", ".pdf"),
        ("日本語 👩‍🔬.pdf", "日本語 👩‍🔬.pdf"),
        ("", "unnamed"),
        ("..", "unnamed"),
        ("\u202e/\x00", "unnamed"),
    ],
)
def test_names_lose_what_deceives(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


def test_a_long_name_keeps_its_extension() -> None:
    cleaned = clean_name("a" * 500 + ".pdf")
    assert len(cleaned) == 120
    assert cleaned.endswith("a….pdf")


@given(st.text())
def test_any_name_comes_out_short_flat_and_printable(name: str) -> None:
    cleaned = clean_name(name)
    assert 1 <= len(cleaned) <= 120
    assert "/" not in cleaned
    assert "\\" not in cleaned
    assert all(
        character == "\u200d" or not unicodedata.category(character).startswith("C")
        for character in cleaned
    )
    assert clean_name(cleaned) == cleaned
