"""The worker's side of the protocol, spoken to in this process (its limits are left out)."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from typing import Any

import pytest
from PIL import Image

from core.documents import document_from_bytes, worker
from core.documents.extraction import read
from core.documents.pdf import PdfFile, png_bytes
from core.settings import ExtractionLimits
from tests import pdfs

LIMITS = ExtractionLimits(chars_per_page=30)


@pytest.fixture(autouse=True)
def _no_limits_on_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "limit_self", lambda memory_bytes: None)
    monkeypatch.setattr(worker, "limit_cpu", lambda cpu_seconds: None)


def converse(*requests: tuple[bytes, bytes, dict[str, Any]]) -> list[tuple[bytes, bytes]]:
    """Send requests, each a kind, a file and what else is wanted; return the answers."""
    sent = io.BytesIO()
    worker.write_frame(sent, worker.CONFIGURE, {"path": [], "memory_bytes": 1})
    for kind, data, wanted in requests:
        common = {"name": "a.pdf", "password": None, "limits": dataclasses.asdict(LIMITS)}
        worker.write_frame(sent, kind, {**common, **wanted})
        worker.write_frame(sent, worker.DATA, data)
    sent.seek(0)
    answers = io.BytesIO()
    worker.serve(sent, answers)
    answers.seek(0)
    frames = []
    while answers.tell() < len(answers.getvalue()):
        frames.append(worker.read_frame(answers))
    return frames


def test_a_document_comes_after_a_word_for_every_page() -> None:
    frames = converse((worker.READ, pdfs.plain_pdf(["Some words.", "B"]), {}))
    assert [json.loads(content)["done"] for kind, content in frames[:-1]] == [0, 1, 2]
    document = document_from_bytes(frames[-1][1])
    assert document.text == "Some words.\nB"
    assert document.sentences == ((0, 11), (12, 13))


def test_no_more_characters_of_a_page_are_read_than_asked_for() -> None:
    page = PdfFile(pdfs.plain_pdf(["x" * 70]), "a.pdf", None).page(1, max_chars=30)
    assert (len(page.characters.codes), page.left_out_chars) == (30, 40)


@pytest.mark.parametrize(
    ("data", "first", "last"),
    [
        (pdfs.scanned_pdf(), 0.99, 1.0),
        (pdfs.blank_pdf(), 0.0, 0.0),
        (pdfs.scan_in_form_pdf(), 0.9, 1.0),
    ],
    ids=["scan", "blank", "scan in a form"],
)
def test_how_much_of_a_page_images_cover(data: bytes, first: float, last: float) -> None:
    assert first <= PdfFile(data, "a.pdf", None).page(1, max_chars=9).images <= last


@pytest.mark.parametrize(
    ("data", "password", "error"),
    [
        (pdfs.encrypted_pdf(), None, "EncryptedPdfError"),
        (pdfs.encrypted_pdf(), "no", "WrongPasswordError"),
        (pdfs.encrypted_pdf(), "日本", "WrongPasswordError"),
        (b"%PDF-1.4 nothing", None, "PdfReadError"),
    ],
)
def test_a_file_that_does_not_open_says_why_and_the_worker_lives_on(
    data: bytes, password: str | None, error: str
) -> None:
    (kind, content), *rest = converse(
        (worker.READ, data, {"password": password}), (worker.READ, pdfs.plain_pdf(), {})
    )
    assert kind == worker.FAILED
    assert json.loads(content)["error"] == error
    assert rest[-1][0] == worker.DOCUMENT


def test_a_missing_pdf_library_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("core.documents.extraction")
    monkeypatch.delitem(sys.modules, "core.documents.extraction")
    monkeypatch.delitem(sys.modules, "core.documents.pdf")
    monkeypatch.setitem(sys.modules, "pypdfium2.raw", None)
    ((answer, content),) = converse()
    assert answer == worker.FAILED
    assert json.loads(content)["error"] == "ImportError"


def test_a_page_that_is_not_there_is_broken() -> None:
    assert PdfFile(pdfs.plain_pdf(), "a.pdf", None).page(2, max_chars=9).broken


def test_a_second_opinion_on_an_encrypted_file_uses_the_password() -> None:
    data = pdfs.encrypted_pdf("sesame", algorithm="AES-256")
    assert PdfFile(data, "a.pdf", "sesame").second_text(1).startswith("The lock keeper")


def test_a_second_reader_that_fails_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PdfFile, "second_text", lambda *_: 1 / 0)
    document = read(pdfs.undrawn_glyphs_pdf("Top"), "a.pdf", ExtractionLimits())
    assert document.text.endswith("second page")


def test_pages_are_drawn_or_fail() -> None:
    data = pdfs.rotated_pdf(90)
    frames = converse(
        (worker.DRAW, data, {"page_number": 1, "width_pixels": 100}),
        (worker.DRAW, data, {"page_number": 5, "width_pixels": 100}),
    )
    assert [kind for kind, _ in frames] == [worker.PROGRESS, worker.IMAGE, worker.FAILED]
    assert Image.open(io.BytesIO(frames[1][1])).size == (100, 71)
    assert json.loads(frames[2][1])["error"] == "InvalidSettingError"


# Two pixels: red and black, with PDFium's fourth byte.
def test_png_keeps_colours() -> None:
    image = Image.open(io.BytesIO(png_bytes(b"\xff\0\0\xff\0\0\0\xff", 2, 1)))
    assert (image.mode, image.getpixel((0, 0)), image.getpixel((1, 0))) == (
        "RGB",
        (255, 0, 0),
        (0, 0, 0),
    )


def test_frames_have_a_length_limit_and_an_end() -> None:
    stream = io.BytesIO()
    worker.write_frame(stream, b"x", b"12345")
    stream.seek(0)
    assert worker.read_frame(stream, 5) == (b"x", b"12345")
    stream.seek(0)
    with pytest.raises(OverflowError):
        worker.read_frame(stream, 4)
    with pytest.raises(EOFError):
        worker.read_frame(io.BytesIO(stream.getvalue()[:-1]))
