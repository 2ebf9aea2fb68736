# ruff: noqa: RUF001 - typographic dashes are what is tested

from __future__ import annotations

import numpy as np
import pytest

from core.documents import read_document as read_in_worker
from core.errors import LimitExceededError, NoTextError, PdfReadError, UnsupportedFileError
from core.records import TextSource
from core.settings import ExtractionLimits
from tests.inprocess import read_document


def test_plain_text_is_one_page_without_boxes() -> None:
    document = read_document("First line.\r\nSecond – line.\r".encode(), "notes/a.txt")
    assert document.text == "First line.\nSecond – line."
    assert document.media_type == "text/plain"
    assert document.name == "a.txt"
    (page,) = document.pages
    assert (page.start, page.end, page.width) == (0, len(document.text), 0.0)
    assert page.text_source is TextSource.PLAIN
    assert page.char_boxes.shape == (len(document.text), 4)
    assert np.isnan(page.char_boxes).all()


def test_the_same_bytes_are_the_same_document() -> None:
    one, two = read_document(b"same", "a.txt"), read_document(b"same", "b.md")
    assert one.doc_id == two.doc_id == "d" + one.sha256[:16]
    assert two.media_type == "text/markdown"
    assert read_document(b"other", "a.txt").doc_id != one.doc_id


@pytest.mark.parametrize(
    "codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_unicode_encodings_are_told_apart(codec: str) -> None:
    text = "Grüße from the lock, 3 € each. And a second sentence."
    document = read_document(text.encode(codec), "a.txt")
    assert document.text == text
    assert document.warnings == ()


def test_western_text_is_read_with_a_warning() -> None:
    document = read_document("Grüße – “quoted”".encode("cp1252"), "a.txt")
    assert document.text == "Grüße – “quoted”"
    assert "not UTF-8" in document.warnings[0]


def test_broken_utf16_is_read_with_a_warning() -> None:
    document = read_document(b"\xff\xfe" + "good text".encode("utf-16-le") + b"\x00", "a.txt")
    assert document.text.startswith("good text")
    assert "UTF-16" in document.warnings[0]


def test_hostile_characters_of_a_text_file_are_disarmed() -> None:
    document = read_document("a\u202eb\u2066c\x07d\x00\u2028e\u00a0f".encode(), "a.txt")
    assert document.text == "abc\ufffdd\ufffd\ne f"


@pytest.mark.parametrize(
    ("data", "name", "error", "words"),
    [
        (b"", "a.pdf", PdfReadError, r'"a.pdf" is empty \(0 bytes\)'),
        (b"", "a.txt", NoTextError, "empty"),
        (b" \n\t\r\n", "a.txt", NoTextError, "white space"),
        (b"just text", "a.pdf", PdfReadError, "is not a PDF"),
        (b"PK\x03\x04rest", "a.pdf", PdfReadError, "it is a ZIP archive"),
        (b"PK\x03\x04rest", "a.docx", UnsupportedFileError, "Office document"),
        (b"\x89PNG\r\n\x1a\n", "a.md", UnsupportedFileError, "PNG"),
        (b"<!DOCTYPE html><p>hi", "a.pdf", PdfReadError, "it is a web page"),
        (bytes(range(256)) * 40, "a.txt", UnsupportedFileError, "binary"),
        (b"x\x00\x01\x02" * 300, "noending", UnsupportedFileError, "binary"),
    ],
)
def test_what_is_no_text_is_refused_by_name(
    data: bytes, name: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        read_document(data, name)
    assert f'"{name}"' in str(caught.value)


def test_text_has_size_limits_too() -> None:
    with pytest.raises(LimitExceededError, match=r'"a.txt" is too large'):
        read_in_worker(b"x" * 100, "a.txt", limits=ExtractionLimits(file_bytes=99))
    with pytest.raises(LimitExceededError, match="more than 99 characters"):
        read_document(b"x" * 100, "a.txt", limits=ExtractionLimits(chars=99))


def test_emoji_and_cjk_count_one_character_each() -> None:
    document = read_document("湖の水位👩‍🔬".encode(), "a.txt")
    assert document.text == "湖の水位👩‍🔬"
    assert len(document.pages[0].char_boxes) == len(document.text)
