# ruff: noqa: RUF001 - typographic quotes and CJK stops are what is tested

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.documents import is_sentence, sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["One sentence.", "Another one!", "A third?"],
        [
            "Dr. Reyes measured 3.5 litres.",
            "She wrote e.g. to Mr. Holm, Prof. Ito et al. and left.",
        ],
        ["See Fig. 3 and Sec. 2.1 in No. 5 vs. No. 6.", "It holds."],
        ["He said no.", "Then he left."],
        ["J. R. R. Tolkien wrote it.", "The U.S. Navy did not."],
        ["They moved to the U.S.", "The house stayed."],
        ["Pumps, valves, etc. were sold.", "The rest was not."],
        ["It rose by 3.5%.", "2019 was worse."],
        ["“Stop!” she cried.", "“Why?”", "He ran."],
        ["It ended (so they say.)", "Then it began."],
        ["Wait… and see.", "Or not..."],
        ["The version is v1.2.3 of app.py now.", "Fine."],
    ],
    ids=lambda expected: expected[0][:20],
)
def test_prose_on_one_line(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t ", []),
        ("no stop at all", ["no stop at all"]),
        (
            "水位は上がった。門は開いていた！なぜか？",
            ["水位は上がった。", "門は開いていた！", "なぜか？"],
        ),
        ("他说：“好。”然后走了。", ["他说：“好。”", "然后走了。"]),
        # A wrapped sentence goes on over line ends, a paragraph break ends it.
        (
            "The long sentence that was wrapped by the\nTypesetter goes on here and ends with\n"
            "the line\n\nA new paragraph",
            [
                "The long sentence that was wrapped by the\nTypesetter goes on here and ends with\n"
                "the line",
                "A new paragraph",
            ],
        ),
        # A short line before a full one is a heading.
        (
            "2 Methods\nWater was measured at the lower sill with a float gauge, every ten\n"
            "minutes.",
            [
                "2 Methods",
                "Water was measured at the lower sill with a float gauge, every ten\nminutes.",
            ],
        ),
        (
            "Bring:\n• a lamp\n• two\n  ropes\n1. first\n2) second\n- third",
            ["Bring:", "• a lamp", "• two\n  ropes", "1. first", "2) second", "- third"],
        ),
        ("1. Introduction to locks", ["1. Introduction to locks"]),
        (
            "Intro . . . . . . . . 1\nMethods . . . . . . . 12",
            ["Intro . . . . . . . . 1", "Methods . . . . . . . 12"],
        ),
        (
            "Sluice Depth Built\nNorth 3.5 1892\nSouth 4.5 1901\n"
            "The table above lists every sluice that is still in use today.",
            [
                "Sluice Depth Built",
                "North 3.5 1892",
                "South 4.5 1901",
                "The table above lists every sluice that is still in use today.",
            ],
        ),
        ("# Title\nbody text\n## Part\nmore", ["# Title\nbody text", "## Part\nmore"]),
    ],
)
def test_lines_lists_headings_and_other_scripts(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text(st.sampled_from("aB1. \n!?。”)(•-\t…"), max_size=200) | st.text(max_size=80))
def test_spans_hold_every_visible_character_once(text: str) -> None:
    position = 0
    for start, end in sentence_spans(text):
        assert position <= start < end <= len(text)
        assert not text[position:start].strip()
        assert text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()


@pytest.mark.parametrize(
    "unit", ["a. ", "((((", "\n", ". ", "a.b", "A\n", "\n- ", "1.", "?!", ".)", "…”", "。"]
)
def test_time_grows_with_the_length_only(unit: str) -> None:
    started = time.perf_counter()
    sentence_spans(unit * 100_000)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    "text",
    [
        "The valve shuts when the pressure falls.",
        "■ 2. Amend the table by adding the following lines.",
        "How do you become a member of the board?",
        "“They were closed in March after the flood.”",
        "The rest was left out, as most of it is.5",
        "5.4.3 The tenant shall keep the garden as it was found at the beginning of the term.",
        "any optimizer that can work with an objective function and does not require that a gradient be known",
        "Ein topologischer Raum ist ein Paar aus einer Menge und einem System.",
        "水門は三月の洪水の後に閉じられた。",
        "أُغلقت بوابات السد في مارس بعد الفيضان الذي ضرب النهر.",
    ],
)
def test_sentences_are_told_from_what_only_stands_between_breaks(text: str) -> None:
    assert is_sentence(text)


@pytest.mark.parametrize(
    "text",
    [
        "$0 ....",
        "■ 2.",
        "fax:",
        "fax: 202-493-2251.",
        "Proposed Rules Federal Register",
        "Stabilizer wiring change ........",
        "Stabilizer wiring change and verification ..",
        "5.11 Non-Maintainer Uploads (NMUs)",
        "5.4.3 Linking to native routines in other packages.",
        "5.15.6 How often shall one upload to the archive?",
        "BAIN, J MATTHEW DISTRICT DIRECTOR 37,499.96 SMITH, ALVARO R LEGISLATIVE CORRESPONDENT 21,000.00",
        "“Bias Reduction in Standard Errors for Linear Regression with Multi-Stage Samples.”",
        ".Fortran call used) but only has 8.",
        "void f(void) { GetRNGstate(); return norm_rand(); } double g(void) { PutRNGstate(); return x(); }",
        "f(x) = x + 1, so g(f(x)) = x + 2.",
        "目次",
        "",
    ],
)
def test_headings_rows_entries_and_formulas_are_no_sentences(text: str) -> None:
    assert not is_sentence(text)
