from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from core.documents import boxes_for_range, render_page
from core.errors import (
    EncryptedPdfError,
    InvalidSettingError,
    LimitExceededError,
    PdfReadError,
)
from core.settings import ExtractionLimits
from tests import pdfs
from tests.inprocess import read_document


def pixels_of(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, (50, 400, 500, 800)], ids=["whole", "cropped"])
def test_boxes_lie_on_the_ink(
    rotation: int, crop: tuple[float, float, float, float] | None
) -> None:
    data = pdfs.rotated_pdf(rotation, crop=crop)
    document = read_document(data, "a.pdf")
    pixels = pixels_of(render_page(data, 1, width_pixels=800))
    (page,) = document.pages
    assert pixels.shape == (round(800 * page.height / page.width), 800)
    inside = np.zeros(pixels.shape, np.bool_)
    scale = 800 / page.width
    for box in boxes_for_range(document, 0, len(document.text))[0].boxes:
        left, top, right, bottom = (box * scale).round().astype(int)
        inside[top : bottom + 1, left : right + 1] = True
    ink = pixels < 128
    assert ink.sum() > 1000
    assert (ink & inside).sum() > 0.99 * ink.sum()
    assert inside.mean() < 0.3


def test_a_page_image_is_as_wide_as_asked() -> None:
    image = Image.open(io.BytesIO(render_page(pdfs.plain_pdf(), 1)))
    assert image.size == (1000, 1414)
    assert image.mode == "L"  # black on white needs no colours


def test_colours_survive() -> None:
    data = pdfs.one_page_pdf(b"1 0 0 rg 0 0 612 792 re f", media_box="0 0 612 792")
    image = Image.open(io.BytesIO(render_page(data, 1, width_pixels=100)))
    assert image.mode == "RGB"
    assert image.getpixel((50, 50)) == (255, 0, 0)


def test_an_enormous_page_is_drawn_smaller() -> None:
    data = pdfs.one_page_pdf(b"", media_box="0 0 10 14000")
    width, height = Image.open(io.BytesIO(render_page(data, 1, width_pixels=1000))).size
    assert width * height <= 16_000_000
    assert height > 1000 * width


@pytest.mark.parametrize("page_number", [0, -1, 2])
def test_a_page_that_is_not_there(page_number: int) -> None:
    with pytest.raises(InvalidSettingError, match="there is no page"):
        render_page(pdfs.plain_pdf(), page_number, name="a.pdf")


@pytest.mark.parametrize("width", [0, 49, 4001])
def test_a_width_that_cannot_be(width: int) -> None:
    with pytest.raises(InvalidSettingError, match="width_pixels"):
        render_page(pdfs.plain_pdf(), 1, width_pixels=width)


def test_encrypted_pages_need_the_password() -> None:
    data = pdfs.encrypted_pdf("sesame")
    with pytest.raises(EncryptedPdfError):
        render_page(data, 1)
    assert render_page(data, 1, password="sesame").startswith(b"\x89PNG")


def test_only_pdfs_have_pages() -> None:
    with pytest.raises(PdfReadError, match=r'"a.txt" is not a PDF'):
        render_page(b"text", 1, name="dir/a.txt")


def test_drawing_is_limited_in_time() -> None:
    data = pdfs.slow_pdf(1_500_000)
    with pytest.raises(
        LimitExceededError, match=r'"a.pdf" was not read: drawing page 1 took longer'
    ):
        render_page(data, 1, name="a.pdf", limits=ExtractionLimits(page_seconds=0.3))


def test_a_damaged_page_cannot_be_drawn_and_is_named() -> None:
    data = pdfs.self_referencing_pdf().replace(b"/Count 1000000", b"/Count 2")
    with pytest.raises(PdfReadError, match=r'"a.pdf": page 1 is damaged and cannot be drawn'):
        render_page(data, 1, name="a.pdf")
