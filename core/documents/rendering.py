"""Page images, drawn in the worker: drawing a hostile page is as risky as reading it."""

from __future__ import annotations

from core.documents import plain
from core.documents.names import clean_name
from core.documents.sandbox import PdfWorker
from core.errors import InvalidSettingError, PdfReadError
from core.monitor import Monitor, SilentMonitor
from core.settings import ExtractionLimits

WIDTH_RANGE = (50, 4000)


def render_page(
    data: bytes,
    page_number: int,
    *,
    width_pixels: int = 1000,
    password: str | None = None,
    limits: ExtractionLimits | None = None,
    name: str = "document.pdf",
    monitor: Monitor | None = None,
) -> bytes:
    """Return a PDF page as displayed, as PNG.

    Boxes are drawn over it by whoever shows it: a box in points times
    ``image width / Page.width`` gives pixels.

    Args:
        data: The PDF's bytes.
        page_number: Counts from 1.
        width_pixels: Width of the image; very tall pages come smaller, 16 million pixels at most.
        password: For an encrypted PDF.
        limits: What it may cost.
        name: For messages.
        monitor: Asked whether to stop.

    Raises:
        InvalidSettingError: No such page, or a width outside 50 to 4,000.
        PdfReadError: The page or the file is damaged, or it is no PDF; `EncryptedPdfError` and
            `WrongPasswordError` among them.
        LimitExceededError: It costs more than ``limits`` allow.
        StoppedError: The user pressed Stop.
    """
    name = clean_name(name)
    if not WIDTH_RANGE[0] <= width_pixels <= WIDTH_RANGE[1]:
        msg = f"width_pixels is {width_pixels}; choose from {WIDTH_RANGE[0]} to {WIDTH_RANGE[1]:,}."
        raise InvalidSettingError(msg)
    if plain.PDF_MARK not in data[: plain.PDF_MARK_WITHIN]:
        msg = f'"{name}" is not a PDF; only PDF pages have images.'
        raise PdfReadError(msg)
    monitor = monitor or SilentMonitor()
    with PdfWorker(limits or ExtractionLimits()) as running:
        page_count = running.open(data, name, password=password, monitor=monitor)
        if not 1 <= page_number <= page_count:
            msg = f'"{name}" has pages 1 to {page_count:,}; there is no page {page_number}.'
            raise InvalidSettingError(msg)
        return running.render(page_number, width_pixels)
