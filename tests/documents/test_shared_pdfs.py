"""Real files from the shared data: what each must give. Skipped where the data is not at hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.documents import chunk_document, is_sentence, render_page, sentence_spans
from core.errors import CoreError, EncryptedPdfError, NoTextError, PdfReadError, WrongPasswordError
from core.records import Document
from core.settings import ChunkingSettings
from tests.data import shared_data
from tests.inprocess import read_document

PASSWORD = "asdfzxcv"


def read(name: str, password: str | None = None) -> Document:
    data = (shared_data() / "pdf" / name).read_bytes()
    return read_document(data, name, password=password)


@pytest.mark.parametrize(
    ("name", "pages", "with_text", "least_chars", "words"),
    [
        ("latex-two-column.pdf", 3, 3, 7_000, "consectetuer adipiscing elit"),
        ("outlines.pdf", 4, 4, 7_500, "Contents\n1 Foo 2"),
        ("google-docs.pdf", 1, 1, 1_000, "Beautiful is better than ugly."),
        ("word365.pdf", 1, 1, 190, "• Liste\n• Liste 2"),
        ("usgov_federal_register_3col.pdf", 15, 15, 55_000, "The FAA proposes to\nsupersede"),
        (
            "usgov_senate_expenditures.pdf",
            1,
            1,
            4_400,
            "BAIN, J MATTHEW DISTRICT DIRECTOR 37,499.96\n",
        ),
        ("ocr_text_layer.pdf", 1, 1, 90, "Oppose"),
        ("scanned_multipage_no_text.pdf", 6, 1, 90, "Oppose"),
        ("encrypted_aes256_r6_emptyuser.pdf", 1, 1, 38, "pdf encryption test"),
        ("debian-policy_long.pdf", 193, 192, 470_000, "This manual describes the policy"),
        ("developers-reference.pdf", 114, 113, 300_000, "Debian"),
        ("r-exts_texinfo_long.pdf", 236, 236, 620_000, "Creating R packages"),
        ("geotopo_pdflatex_german.pdf", 117, 117, 135_000, "Einführung in die\nGeometrie"),
    ],
)
def test_a_file_gives_its_pages_and_text(
    name: str, pages: int, with_text: int, least_chars: int, words: str
) -> None:
    document = read(name)
    assert len(document.pages) == pages
    assert sum(page.end > page.start for page in document.pages) == with_text
    assert least_chars <= len(document.text) <= 1.1 * least_chars + 50
    assert words in document.text
    boxed = sum(int(np.isfinite(page.char_boxes[:, 0]).sum()) for page in document.pages)
    visible = sum(not letter.isspace() for letter in document.text)
    assert boxed > 0.99 * visible


def test_columns_and_hyphens_of_a_journal_page() -> None:
    document = read("latex-two-column.pdf")
    assert "adip\u00adiscing" not in document.text
    assert "malesuada eu, pulvinar at, mollis ac, nulla. Curabitur auctor" in document.text


def test_sentences_of_a_three_column_page_run_over_its_lines() -> None:
    document = read("usgov_federal_register_3col.pdf")
    sentences = [document.text[start:end] for start, end in sentence_spans(document.text)]
    wanted = "Send your\ncomments to an address listed under the\nADDRESSES section."
    assert wanted in sentences


def test_which_pages_look_scanned() -> None:
    document = read("scanned_multipage_no_text.pdf")
    assert document.warnings == (
        "1 of 6 pages has text; pages 1-3 and 5-6 look scanned: run OCR, for example ocrmypdf.",
    )


@pytest.mark.parametrize(
    ("name", "password", "error", "words"),
    [
        ("blank.pdf", None, NoTextError, "its one page is blank"),
        ("scanned_huckfinn_no_text.pdf", None, NoTextError, "looks scanned.*ocrmypdf"),
        ("invalid.pdf", None, PdfReadError, "not a readable PDF"),
        ("encrypted_rc4_r2_user.pdf", None, EncryptedPdfError, "is encrypted"),
        ("encrypted_rc4_r2_user.pdf", "wrong", WrongPasswordError, "does not open"),
    ],
)
def test_a_file_that_gives_nothing_says_why(
    name: str, password: str | None, error: type[CoreError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        read(name, password)
    assert f'"{name}"' in str(caught.value)


def test_the_right_password_opens_it() -> None:
    assert read("encrypted_rc4_r2_user.pdf", PASSWORD).text.startswith("pdf encryption test")


def test_a_long_manual_makes_passages_of_the_asked_size() -> None:
    document = read("r-exts_texinfo_long.pdf")
    passages = chunk_document(
        document,
        count_tokens=lambda texts: [len(text.split()) for text in texts],
        settings=ChunkingSettings(chunk_tokens=160, overlap_tokens=32),
    )
    counts = [passage.token_count for passage in passages]
    assert max(counts) <= 160
    assert sum(counts) / len(counts) > 110
    assert any(passage.page_last > passage.page_first for passage in passages)


def test_pages_of_every_kind_can_be_drawn() -> None:
    for name in ("scanned_huckfinn_no_text.pdf", "google-docs.pdf", "blank.pdf"):
        data = (shared_data() / "pdf" / name).read_bytes()
        assert render_page(data, 1, width_pixels=400, name=name).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("usgov_senate_expenditures.pdf", 0),  # a table
        ("ocr_text_layer.pdf", 0),  # a picture
        ("word365.pdf", 0),  # headings and lists
        ("usgov_federal_register_3col.pdf", 250),
    ],
)
def test_no_row_and_no_running_head_is_a_sentence(name: str, least: int) -> None:
    document = read(name)
    kept = [document.text[slice(*span)] for span in document.sentences]
    kept = [" ".join(text.split()) for text in kept if is_sentence(text)]
    assert least <= len(kept) <= 2 * least
    heads = {line for page in document.pages for line in page.furniture.split("\n")}
    assert heads.isdisjoint(kept)
    assert not [text for text in kept if "Federal Register /" in text or "...." in text]
