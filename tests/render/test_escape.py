from __future__ import annotations

import html
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.render import attrs, escape, plain


@given(st.text())
def test_escaped_text_holds_nothing_that_html_or_the_template_language_reads(text: Any) -> None:
    safe = escape(text)
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


def test_direction_overrides_and_terminal_sequences_are_dropped() -> None:
    assert plain("report\u202efdp.exe") == "reportfdp.exe"
    assert plain("\x1b[31mred\x1b[0m\x07") == "red"


def test_arabic_emoji_and_han_stay_as_they_are() -> None:
    text = "\u0627\u0644\u0645\u062f \U0001f469\u200d\U0001f52c \u6f6e\u6c50"
    assert plain(text) == text


def test_a_lone_surrogate_can_be_sent() -> None:
    escape("a\ud800b").encode("utf-8")
