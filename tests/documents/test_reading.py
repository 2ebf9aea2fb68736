"""Every kind of bad PDF and what it gets; and what a good one gives."""

from __future__ import annotations

import io
import sys
import time

import numpy as np
import pypdf
import pytest
from pypdf.generic import RectangleObject
from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from core.documents import boxes_for_range, document_from_bytes, document_to_bytes, extraction
from core.documents import read_document as read_in_worker
from core.documents.extraction import MUCH_MORE, _legible, _readable, page_ranges
from core.documents.pdf import PageRead, PdfFile
from core.documents.text import without_boxes
from core.errors import (
    EncryptedPdfError,
    LimitExceededError,
    NoTextError,
    PdfReadError,
    StoppedError,
    WrongPasswordError,
)
from core.monitor import Progress
from core.records import Document, TextSource
from core.settings import ExtractionLimits
from tests import pdfs
from tests.inprocess import read_document
from tests.monitors import Watcher

MEBIBYTE = 1024 * 1024


def assert_whole(document: Document) -> None:
    """Pages follow one another, cover the text, and every character has a row of boxes."""
    position = 0
    for number, page in enumerate(document.pages, start=1):
        assert (page.page_number, page.start) == (number, position)
        assert page.char_boxes.shape == (page.end - page.start, 4)
        assert page.char_boxes.dtype == np.float32
        position = page.end
    assert position == len(document.text)


def box_of(document: Document, words: str) -> tuple[int, list[float]]:
    """Page and box around the first occurrence of some words."""
    start = document.text.index(words)
    page = next(page for page in document.pages if page.start <= start < page.end)
    boxes = page.char_boxes[start - page.start : start - page.start + len(words)]
    low, high = np.nanmin(boxes, axis=0), np.nanmax(boxes, axis=0)
    return page.page_number, [float(low[0]), float(low[1]), float(high[2]), float(high[3])]


def test_a_plain_pdf_gives_its_text_with_a_box_per_character() -> None:
    document = read_document(pdfs.plain_pdf(), "dir/plain.pdf")
    assert document.text.replace("\n", " ") == pdfs.PROSE
    assert document.media_type == "application/pdf"
    assert document.name == "plain.pdf"
    assert document.warnings == ()
    assert_whole(document)
    # Drawn at x 72, the first baseline 72 points below the top, in 11 point type.
    _, (left, top, right, bottom) = box_of(document, "The lock")
    assert left == pytest.approx(72, abs=1)
    assert 60 < top < 66
    assert 72 < bottom < 77
    assert 105 < right < 125
    (page,) = document.pages
    assert (round(page.width), round(page.height)) == (595, 842)
    assert page.text_source is TextSource.PDFIUM


def test_pages_are_ranges_of_one_text() -> None:
    document = read_document(pdfs.plain_pdf(["One.", "", "Two."]), "a.pdf")
    assert document.text == "One.\nTwo."
    assert [document.text[page.start : page.end] for page in document.pages] == [
        "One.\n",
        "",
        "Two.",
    ]
    assert document.pages[1].text_source is TextSource.NONE
    assert document.warnings == ("2 of 3 pages have text; page 2 is blank.",)
    assert box_of(document, "Two")[0] == 3
    assert_whole(document)


def test_paragraphs_are_set_apart() -> None:
    document = read_document(pdfs.plain_pdf([f"{pdfs.PROSE}\n\nSecond paragraph."]), "a.pdf")
    assert document.text.endswith("per second.\n\nSecond paragraph.")
    assert document.text.count("\n\n") == 1


def test_columns_are_read_one_after_the_other() -> None:
    document = read_document(pdfs.two_column_pdf(), "a.pdf")
    assert document.text.index("3.5 litres") < document.text.index("Right column")
    assert box_of(document, "Right column")[1][0] > 595 / 2


def test_a_table_keeps_its_rows() -> None:
    document = read_document(pdfs.table_pdf(), "a.pdf")
    assert document.text.startswith("Sluice Depth m Built\nS0 0.5 1892\nS1 1.5 1892")


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, (50, 400, 500, 800)], ids=["whole", "cropped"])
def test_boxes_follow_rotation_and_crop(
    rotation: int, crop: tuple[float, float, float, float] | None
) -> None:
    document = read_document(pdfs.rotated_pdf(rotation, crop=crop), "a.pdf")
    assert document.text.startswith("The lock keeper")  # whichever way up it is shown
    shown_width, shown_height = (450, 400) if crop else (595, 842)
    x, y = (22, 32) if crop else (72, 74)  # left edge and baseline when upright
    corner = {
        0: (x, y),
        90: (shown_height - y, x),
        180: (shown_width - x, shown_height - y),
        270: (y, shown_width - x),
    }[rotation]
    if rotation in (90, 270):
        shown_width, shown_height = shown_height, shown_width
    (page,) = document.pages
    assert (round(page.width), round(page.height)) == (shown_width, shown_height)
    left, top, right, bottom = page.char_boxes[0]
    assert left - 4 < corner[0] < right + 4
    assert top - 4 < corner[1] < bottom + 4


@pytest.mark.parametrize("algorithm", ["RC4-40", "RC4-128", "AES-128", "AES-256-R5", "AES-256"])
def test_an_encrypted_file_opens_with_its_password_only(algorithm: str) -> None:
    data = pdfs.encrypted_pdf("sésame", algorithm=algorithm)
    with pytest.raises(EncryptedPdfError, match=r'"a.pdf" is encrypted. Give its password'):
        read_document(data, "a.pdf")
    with pytest.raises(WrongPasswordError, match=r'password does not open "a.pdf"'):
        read_document(data, "a.pdf", password="open")
    assert read_document(data, "a.pdf", password="sésame").text.startswith("The lock keeper")


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_an_empty_user_password_opens_without_asking(algorithm: str) -> None:
    data = pdfs.encrypted_pdf("", algorithm=algorithm)
    assert read_document(data, "a.pdf").text.startswith("The lock keeper")
    assert read_document(data, "a.pdf", password="unneeded").text.startswith("The lock keeper")


def test_an_unknown_encryption_is_refused_by_name() -> None:
    data = pdfs.encrypted_pdf("", algorithm="AES-128").replace(b"/Standard", b"/Stranger")
    with pytest.raises(PdfReadError, match=r'"a.pdf" is encrypted in a way'):
        read_document(data, "a.pdf")


def test_scanned_pages_are_refused_with_what_to_do() -> None:
    with pytest.raises(
        NoTextError, match=r'"a.pdf" has no text: its 3 pages look scanned.*ocrmypdf'
    ):
        read_document(pdfs.scanned_pdf(3), "a.pdf")


def test_a_partly_scanned_file_is_read_with_a_warning() -> None:
    pages = [pdfs.PROSE, "", "", pdfs.PROSE, ""]
    document = read_document(pdfs.partly_scanned_pdf(pages), "a.pdf")
    assert document.warnings == (
        "2 of 5 pages have text; pages 2-3 and 5 look scanned: run OCR, for example ocrmypdf.",
    )
    assert [page.looks_scanned for page in document.pages] == [False, True, True, False, True]
    assert_whole(document)


def test_a_stamp_on_a_scan_is_not_taken_for_its_text() -> None:
    data = pdfs.partly_scanned_pdf([pdfs.PROSE, ""], stamp="Page 17")
    document = read_document(data, "a.pdf")
    assert document.text.endswith("Page 17")
    assert document.warnings == (
        "1 of 2 pages has text; page 2 looks scanned: run OCR, for example ocrmypdf.",
    )


def test_blank_pages_are_refused() -> None:
    with pytest.raises(NoTextError, match="its 2 pages are blank"):
        read_document(pdfs.blank_pdf(2), "a.pdf")


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused_by_name(keep: float) -> None:
    with pytest.raises(PdfReadError, match=r'"a.pdf" is not a readable PDF: .*cut short'):
        read_document(pdfs.truncated_pdf(keep), "a.pdf")


@pytest.mark.parametrize(
    "data",
    [b"%PDF-1.4\n%%EOF", b"%PDF-1.7" + bytes(5000), b"%PDF-", pdfs.raw_pdf([b"<< >>"])],
    ids=["header-and-end", "zeros", "mark-only", "no-pages"],
)
def test_an_invalid_file_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(PdfReadError, match=r'"a.pdf"'):
        read_document(data, "a.pdf")


def test_a_pdf_is_known_by_its_content() -> None:
    assert read_document(pdfs.plain_pdf(), "named.txt").media_type == "application/pdf"
    assert read_document(b"junk\n" + pdfs.plain_pdf(), "a.pdf").text.startswith("The lock")


def test_five_thousand_pages_are_too_many_by_default_and_no_hazard() -> None:
    data = pdfs.many_pages_pdf(5_000)
    with pytest.raises(LimitExceededError, match=r'"a.pdf" has 5,000 pages; up to 3,000'):
        read_document(data, "a.pdf")
    document = read_document(pdfs.many_pages_pdf(1_000), "a.pdf")
    assert len(document.pages) == 1_000
    assert document.text == "\n".join(["page"] * 1_000)


@pytest.mark.parametrize("count", [2, 1_000_000])
def test_a_page_tree_that_holds_itself_ends(count: int) -> None:
    data = pdfs.self_referencing_pdf().replace(b"/Count 1000000", b"/Count %d" % count)
    with pytest.raises((PdfReadError, LimitExceededError), match=r'"a.pdf"'):
        read_in_worker(data, "a.pdf", limits=ExtractionLimits(page_seconds=5))


def test_a_decompression_bomb_runs_into_the_memory_limit() -> None:
    limits = ExtractionLimits(memory_bytes=192 * MEBIBYTE, page_seconds=30)
    with pytest.raises(
        LimitExceededError, match=r'"a.pdf" was not read: it needs more than 192 MiB'
    ):
        read_in_worker(pdfs.bomb_pdf(400 * MEBIBYTE), "a.pdf", limits=limits)


def test_a_file_of_300_megabytes_is_refused_before_anything_is_started() -> None:
    data = bytes(300 * MEBIBYTE)  # pages of zeros cost no memory until they are touched
    with pytest.raises(LimitExceededError, match=r'"a.pdf" is too large: 300 MiB; files up to 200'):
        read_in_worker(data, "a.pdf")


def test_characters_beyond_the_limit_of_a_page_are_left_out_with_a_warning() -> None:
    limits = ExtractionLimits(chars_per_page=40)
    document = read_document(pdfs.plain_pdf([pdfs.PROSE, "Short."]), "a.pdf", limits=limits)
    assert document.text.startswith("The lock keeper opened the upper gate at")
    assert document.text.endswith("\nShort.")
    assert "left out on page 1." in document.warnings[0]
    assert_whole(document)


def test_characters_beyond_the_limit_of_a_document_are_refused() -> None:
    with pytest.raises(LimitExceededError, match="more than 300 characters"):
        read_document(pdfs.plain_pdf([pdfs.PROSE] * 3), "a.pdf", limits=ExtractionLimits(chars=300))


def test_hostile_text_is_kept_as_text_without_what_turns_it_round() -> None:
    document = read_document(pdfs.hostile_text_pdf(), "<script>.pdf")
    assert document.text == pdfs.HOSTILE_TEXT.replace("\u202e", "").replace("\u202c", "")
    assert document.name == "<script>.pdf"  # escaping is for whoever shows it
    assert_whole(document)


def test_ligatures_emoji_and_unmapped_glyphs_keep_text_and_boxes_in_step() -> None:
    document = read_document(pdfs.unicode_pdf("oﬃce 😀 日本 e\u00adx"), "a.pdf")
    assert document.text == "office 😀 日本 ex"
    assert_whole(document)
    _, ligature = box_of(document, "ffi")
    _, after = box_of(document, "ce")
    assert ligature[2] <= after[0] + 1


def test_the_second_reader_is_asked_where_the_first_finds_no_text() -> None:
    document = read_document(pdfs.undrawn_glyphs_pdf("Top"), "a.pdf")
    assert document.text == "Top\nsecond page"
    first, second = document.pages
    assert (first.text_source, second.text_source) == (TextSource.PYPDF, TextSource.PDFIUM)
    assert np.isnan(first.char_boxes).all()
    assert np.isfinite(second.char_boxes[:6]).all()
    assert_whole(document)


@pytest.mark.skipif(sys.platform == "win32", reason="no alarm signal")
def test_a_second_reader_that_takes_too_long_costs_only_its_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PdfFile, "second_text", lambda *_: time.sleep(60))
    limits = ExtractionLimits(page_seconds=0.5)
    document = extraction.read(pdfs.undrawn_glyphs_pdf("Top"), "a.pdf", limits)
    assert document.text.endswith("second page")
    assert document.pages[0].text_source is not TextSource.PYPDF


def test_progress_comes_page_by_page() -> None:
    monitor = Watcher()
    read_in_worker(pdfs.plain_pdf(["One.", "Two.", "Three."]), "x/a.pdf", monitor=monitor)
    assert monitor.reports == [Progress("reading", n, 3, "a.pdf") for n in (1, 2, 3)]


def test_stop_ends_reading_between_pages() -> None:
    monitor = Watcher(stop_after=3)
    with pytest.raises(StoppedError):
        read_in_worker(pdfs.many_pages_pdf(900), "a.pdf", monitor=monitor)
    assert len(monitor.reports) == 3


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([3], "page 3"), ([1, 2, 3], "pages 1-3"), ([1, 4, 5, 6, 9], "pages 1, 4-6 and 9")],
)
def test_page_numbers_in_words(numbers: list[int], words: str) -> None:
    assert page_ranges(numbers) == words


def furnished_pdf(pages: int = 4) -> bytes:
    """Pages with a running head and a number at the foot, a sentence that runs on between them."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    for number in range(1, pages + 1):
        canvas.drawString(72, 800, "The Thornholme Barrage")
        start, end = "lator " * (number == 2), "accumu-" if number == 1 else "tank."
        canvas.drawString(72, 600, f"{start}of gate {number} is filled by the {end}")
        canvas.drawString(300, 40, str(number))
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def test_furniture_is_no_text_has_no_boxes_and_cuts_no_word() -> None:
    document = read_document(furnished_pdf(), "a.pdf")
    first = "of gate 1 is filled by the accumulator of gate 2 is filled by the tank.\nof gate 3"
    assert document.text.startswith(first)
    assert document.pages[1].furniture == "The Thornholme Barrage\n2"
    start = document.text.index("gate 2")
    (boxes,) = boxes_for_range(document, start, start + 6)
    assert boxes.page_number == 2
    assert boxes.boxes[0, 1] == pytest.approx(A4[1] - 600, abs=15)
    again = document_from_bytes(document_to_bytes(document))
    assert [page.furniture for page in again.pages] == [page.furniture for page in document.pages]


def test_what_lies_outside_the_crop_box_is_not_read() -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(furnished_pdf(1)))
    writer.pages[0].cropbox = RectangleObject((0, 500, A4[0], 700))
    cropped = io.BytesIO()
    writer.write(cropped)
    assert read_document(cropped.getvalue(), "a.pdf").text == "of gate 1 is filled by the accumu-"


@pytest.mark.parametrize("drawn", [True, False], ids=["appearance", "no appearance"])
def test_the_value_of_a_field_is_read_once(drawn: bool) -> None:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    canvas.drawString(72, 700, "Town of birth:")
    canvas.acroForm.textfield(name="town", value="Quokkabridge", x=200, y=690)
    canvas.save()
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(buffer.getvalue()))
    if not drawn:
        for annotation in writer.pages[0].annotations or []:
            del annotation.get_object()["/AP"]
    filled = io.BytesIO()
    writer.write(filled)
    document = read_document(filled.getvalue(), "a.pdf")
    assert document.text.count("Quokkabridge") == 1
    start = document.text.index("Quokkabridge")
    (boxes,) = boxes_for_range(document, start, start + 12)
    assert 195 < boxes.boxes[0, 0] < 210


def test_an_unreadable_page_gives_no_glyph_names_but_its_words() -> None:
    read = PageRead(
        1, without_boxes("\x03\x04\x05Perceived\x06\x07Ease\x08\x0e\x0f\x10" + "\x11" * 20)
    )
    assert _legible(read).text().split() == ["Perceived", "Ease"]


@pytest.mark.parametrize(
    ("first", "second", "better"),
    [
        ("0SVIQ\ufffdMTWYQ", "Lorem ipsum", True),
        ("Lorem ipsum", "/g117/g108/g3A", False),
        (pdfs.PROSE, pdfs.PROSE * 2, False),  # the same twice is no more
        ("\ufffd\ufffd", "\ue001\ue002\ue003", False),
    ],
)
def test_the_second_reader_is_believed_where_more_can_be_read(
    first: str, second: str, better: bool
) -> None:
    readable = [_readable(without_boxes(text)) for text in (first, second)]
    assert (readable[1] > MUCH_MORE * readable[0]) is better
