"""The worker's side of the protocol, spoken to in this process (its limits are left out)."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from PIL import Image

from core.documents import worker
from tests import pdfs

Frames = list[tuple[bytes, bytes]]


@pytest.fixture(autouse=True)
def _no_limits_on_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "limit_self", lambda memory_bytes: None)
    monkeypatch.setattr(worker, "limit_cpu", lambda cpu_seconds: None)


def converse(*requests: tuple[bytes, dict[str, Any]], data: bytes = b"") -> Frames:
    """Send requests (a file follows each OPEN) and return the answers."""
    sent = io.BytesIO()
    worker.write_frame(sent, worker.CONFIGURE, b'{"path": [], "memory_bytes": 1}')
    for kind, request in requests:
        worker.write_frame(sent, kind, json.dumps(request).encode())
        if kind == worker.OPEN:
            worker.write_frame(sent, worker.DATA, data)
    sent.seek(0)
    answers = io.BytesIO()
    worker.Worker(sent, answers).run()
    answers.seek(0)
    frames = []
    while answers.tell() < len(answers.getvalue()):
        frames.append(worker.read_frame(answers))
    return frames


def opening(password: str | None = None) -> tuple[bytes, dict[str, Any]]:
    return worker.OPEN, {"password": password, "cpu_seconds": 5}


def pages(first: int, last: int) -> tuple[bytes, dict[str, Any]]:
    return worker.READ_PAGES, {"first": first, "last": last, "chars_per_page": 30}


def test_a_file_is_opened_and_its_pages_are_sent_one_by_one() -> None:
    frames = converse(opening(), pages(1, 2), data=pdfs.plain_pdf(["Some words.", "B"]))
    assert [kind for kind, _ in frames] == [b"o", b"p", b"p", b"d"]
    assert json.loads(frames[0][1]) == {"pages": 2}
    head = worker.PAGE_HEADER
    number, status, rotation, _, sent, total, *_ = head.unpack_from(frames[1][1])
    assert (number, status, rotation, sent, total) == (1, worker.PAGE_OK, 0, 11, 11)
    codes = frames[1][1][head.size : head.size + 4 * sent]
    assert codes.decode("utf-32-le") == "Some words."
    assert len(frames[1][1]) == head.size + 20 * sent


def test_no_more_characters_are_sent_than_asked_for() -> None:
    frames = converse(opening(), pages(1, 1), data=pdfs.plain_pdf(["x" * 70]))
    assert worker.PAGE_HEADER.unpack_from(frames[1][1])[4:6] == (30, 70)


@pytest.mark.parametrize(
    ("data", "first", "last"),
    [
        (pdfs.scanned_pdf(), 0.99, 1.0),
        (pdfs.blank_pdf(), 0.0, 0.0),
    ],
    ids=["scan", "blank"],
)
def test_how_much_of_a_page_images_cover(data: bytes, first: float, last: float) -> None:
    frames = converse(opening(), pages(1, 1), data=data)
    images = worker.PAGE_HEADER.unpack_from(frames[1][1])[-2]
    assert first <= images <= last


def test_images_inside_forms_count() -> None:
    frames = converse(opening(), pages(1, 1), data=pdfs.scan_in_form_pdf())
    assert worker.PAGE_HEADER.unpack_from(frames[1][1])[-2] > 0.9


@pytest.mark.parametrize(
    ("data", "password", "kind"),
    [
        (pdfs.encrypted_pdf(), None, "password"),
        (pdfs.encrypted_pdf(), "no", "password"),
        (pdfs.encrypted_pdf(), "日本", "password"),
        (b"%PDF-1.4 nothing", None, "format"),
    ],
)
def test_a_file_that_does_not_open_says_why(data: bytes, password: str | None, kind: str) -> None:
    ((answer, content),) = converse(opening(password), data=data)
    assert answer == worker.FAILED
    assert json.loads(content)["kind"] == kind


def test_a_request_without_a_file_fails_and_the_worker_lives_on() -> None:
    frames = converse(pages(1, 1), opening(), data=pdfs.plain_pdf())
    assert [kind for kind, _ in frames] == [worker.FAILED, worker.OPENED]


def test_a_missing_pdf_library_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2.raw", None)
    ((answer, content),) = converse()
    assert answer == worker.FAILED
    assert json.loads(content)["kind"] == "start"


def test_a_page_that_is_not_there_is_broken() -> None:
    frames = converse(opening(), pages(2, 2), data=pdfs.plain_pdf())
    assert worker.PAGE_HEADER.unpack_from(frames[1][1])[:2] == (2, worker.PAGE_BROKEN)


def test_second_opinions_come_as_text_and_fail_empty() -> None:
    request = {"pages": [1, 2, 9], "chars_per_page": 1000}
    frames = converse(
        opening(), (worker.SECOND_OPINION, request), data=pdfs.undrawn_glyphs_pdf("Top")
    )
    assert [kind for kind, _ in frames] == [b"o", b"s", b"s", b"s", b"d"]
    assert [content[4:].strip() for _, content in frames[1:4]] == [b"Top", b"second page", b""]


def test_a_second_opinion_on_an_encrypted_file_uses_the_password() -> None:
    request = {"pages": [1], "chars_per_page": 1000}
    frames = converse(
        opening("sesame"),
        (worker.SECOND_OPINION, request),
        data=pdfs.encrypted_pdf("sesame", algorithm="AES-256"),
    )
    assert frames[1][1][4:].startswith(b"The lock keeper")


def test_pages_are_drawn_or_fail() -> None:
    frames = converse(
        opening(),
        (worker.RENDER, {"page_number": 1, "width_pixels": 100}),
        (worker.RENDER, {"page_number": 5, "width_pixels": 100}),
        data=pdfs.rotated_pdf(90),
    )
    assert [kind for kind, _ in frames] == [b"o", b"i", b"e"]
    assert Image.open(io.BytesIO(frames[1][1])).size == (100, 71)
    assert json.loads(frames[2][1])["kind"] == "page"


# Two pixels: red and black, with PDFium's fourth byte.
def test_png_keeps_colours() -> None:
    image = Image.open(io.BytesIO(worker.png_bytes(b"\xff\0\0\xff\0\0\0\xff", 2, 1)))
    assert (image.mode, image.getpixel((0, 0)), image.getpixel((1, 0))) == (
        "RGB",
        (255, 0, 0),
        (0, 0, 0),
    )


def test_frames_have_a_length_limit_and_an_end() -> None:
    stream = io.BytesIO()
    worker.write_frame(stream, b"x", b"12", b"345")
    stream.seek(0)
    assert worker.read_frame(stream, 5) == (b"x", b"12345")
    stream.seek(0)
    with pytest.raises(OverflowError):
        worker.read_frame(stream, 4)
    with pytest.raises(EOFError):
        worker.read_frame(io.BytesIO(stream.getvalue()[:-1]))
