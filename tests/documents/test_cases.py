"""Small inputs that once failed, as `shared/cases/README.md` lists them; skipped where it is not.

What their tables say of runs and judgments is tested with comparison and evaluation.
"""

# ruff: noqa: RUF001 - look-alikes and typographic characters are what is tested

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import NoTextError
from core.normal import embedding_form, matching_form, nfc
from core.records import Document
from core.search.lexical import LexicalIndex, words
from tests.data import shared_data
from tests.inprocess import read_document


def case(name: str) -> Path:
    path = shared_data().parent / "cases" / "documents" / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def read(name: str) -> Document:
    path = case(name)
    return read_document(path.read_bytes(), path.name)


COLUMNS = (
    "The left column begins here and\ntells about the pump in the hall\n"
    "which had failed on Monday.\nThe right column goes on with\n"
    "the valve and with the seal that\nwas replaced on Tuesday."
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("two_columns_interleaved.pdf", COLUMNS),
        ("no_header.pdf", COLUMNS),
        ("empty_owner.pdf", COLUMNS),
        ("tex_overprint_after.pdf", "Die Größe der Übung im Café war gut"),
        (
            "vertical_brackets.pdf",
            "（工場のポンプは毎朝点検する）\n（油圧が下がれば弁を閉める）\n"
            "（修理の記録は三年間保存する）",
        ),
        (
            "hyphen_2010.pdf",  # no hyphen is drawn after "nitro"
            "the hydraulic accumulator was refilled with nitro\n"
            "gen during the spring inspection of the north hall.",
        ),
        ("hyphen.txt", "the hydraulic accumulator was refilled"),
    ],
)
def test_what_is_read(name: str, text: str) -> None:
    assert read(name).text == text


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("form_filled.pdf", ["Town of birth:\nQuokkabridge"]),
        ("annotations.pdf", ["seal is dry.", "marginalia ocelot", "sticky wombat"]),
        ("hyphen_pages.pdf", ["the accumulator with nitrogen"]),
        (
            "vertical_mixed.pdf",
            [
                "工場のポンプは毎朝点検する",
                "油圧が下がれば弁を閉める",
                "修理の記録は三年間保存する",
            ],
        ),
        (
            "hyphen_compound.pdf",
            [
                "price-determining factors",
                "Vor- und Nachteile",
                "Ein- und Ausgabe",
                "well-known seal",
                "e-mail",
                "self-service desk",
                "Northgate-based crew",
                "6-methyl-5-hepten",
                "n-octanal",
            ],
        ),
    ],
)
def test_what_is_in_the_text(name: str, phrases: list[str]) -> None:
    text = read(name).text
    assert [phrase for phrase in phrases if phrase not in text] == []


def test_a_value_of_a_field_has_its_box() -> None:
    document = read("form_filled.pdf")
    start = document.text.index("Quokkabridge")
    assert document.pages[0].char_boxes[start, 2] > document.pages[0].char_boxes[start, 0]


def test_a_hidden_layer_is_left_out() -> None:
    assert "forty thousand" not in read("hidden_layer.pdf").text


def test_attached_files_are_named() -> None:
    (warning,) = read("portfolio.pdf").warnings
    assert warning.startswith('It holds 1 attached file that is not read: "contract.pdf".')


def test_letters_that_make_no_words_are_warned_of() -> None:
    (warning,) = read("cid_no_tounicode_positioned.pdf").warnings
    assert "words of no language" in warning


def test_glyph_names_are_no_text() -> None:
    with pytest.raises(NoTextError, match="do not say which letters they draw"):
        read("glyph_names.pdf")


def test_composed_and_decomposed_accents_are_the_same_text() -> None:
    composed, decomposed = read("accents_nfc.pdf").text, read("accents_nfd.pdf").text
    assert composed == decomposed
    assert nfc("gro\u0308ßere") == "größere"


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("radicals.pdf", "方法は日本の工場で用いられる"),
        ("fullwidth.pdf", "ABC株式会社の売上は2024年に増えた"),
        ("math_letters.pdf", "The energy of the flywheel is large."),
    ],
)
def test_look_alikes_match_what_people_type(name: str, typed: str) -> None:
    text = read(name).text
    assert text != typed  # it is shown as it is
    assert matching_form(text) == embedding_form(text) == typed
    assert words(text) == words(typed)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("hindi.txt", "गर्मियों"),
        ("hebrew_points.txt", "בראשית"),
        ("thai.txt", "โรงงาน"),
    ],
)
def test_words_of_other_scripts_are_found_whole(name: str, query: str) -> None:
    index = LexicalIndex(["right", "other"], [read(name).text, "wholly other words"])
    assert index.scores(query)[0] > 0
    assert len(words("गर्मियों")) == 1
