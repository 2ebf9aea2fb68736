"""Bytes in, `Document` out: PDF through the sandboxed worker, plain text and Markdown here."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from core.documents import plain, worker
from core.documents.characters import (
    Characters,
    bad_share,
    count_visible,
    displayed_boxes,
    no_boxes,
    normalised,
    page_characters,
    resolve_hyphens,
    without_boxes,
)
from core.documents.names import clean_name
from core.documents.sandbox import PdfWorker
from core.errors import LimitExceededError, NoTextError, PdfReadError
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.records import Document, Page, TextSource
from core.settings import MEBIBYTE, ExtractionLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SCANNED_SHARE = 0.5  # an image over this much of a page without text: a scan
BAD_SHARE = 0.15  # this much unreadable: ask the second reader
READING_STAGE = "reading"
_DOC_ID_DIGITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class _PageRead:
    """What one reader made of one page, before the document is put together."""

    page_number: int
    characters: Characters
    width: float = 0.0
    height: float = 0.0
    text_source: TextSource = TextSource.PDFIUM
    images: float = 0.0
    drawings: float = 0.0
    bad: float = 0.0
    left_out_chars: int = 0
    broken: bool = False
    text_objects: bool = False

    @property
    def wants_second_opinion(self) -> bool:
        """Empty although there is text on it, broken, or full of characters that are none."""
        empty = not count_visible(self.characters.codes)
        return self.broken or (empty and self.text_objects) or self.bad > BAD_SHARE


def read_document(
    data: bytes,
    name: str,
    *,
    limits: ExtractionLimits | None = None,
    password: str | None = None,
    monitor: Monitor | None = None,
    pdf_worker: PdfWorker | None = None,
) -> Document:
    """Read a PDF, plain text or Markdown file.

    Args:
        data: The file's bytes.
        name: Its name, as the user has it; only a cleaned form is kept.
        limits: What it may cost.
        password: For an encrypted PDF. Files with an empty user password open without.
        monitor: Told of every page; asked whether to stop.
        pdf_worker: A worker that is already running, for reading many files; it keeps its own
            limits. By default a new one is started for this file and ended afterwards.

    Returns:
        The document. What could not be read is in its ``warnings``.

    Raises:
        EncryptedPdfError: It needs a password.
        WrongPasswordError: The password does not open it.
        PdfReadError: It is damaged, cut short, empty or not a PDF although it is named so.
        UnsupportedFileError: It is neither PDF nor plain text nor Markdown.
        NoTextError: It holds no text; scanned pages need OCR first.
        LimitExceededError: It costs more than ``limits`` allow.
        StoppedError: The user pressed Stop.
    """
    limits = limits or ExtractionLimits()
    monitor = monitor or SilentMonitor()
    name = clean_name(name)
    raise_if_stopped(monitor)
    if len(data) > limits.file_bytes:
        msg = (
            f'"{name}" is too large: {len(data) / MEBIBYTE:,.0f} MiB; files up to '
            f"{limits.file_bytes / MEBIBYTE:,.0f} MiB are read. Split it into smaller files."
        )
        raise LimitExceededError(msg)
    media_type = plain.media_type_of(data, name)
    if media_type != plain.PDF:
        return _read_plain(data, name, media_type, limits, monitor)
    opened = nullcontext(pdf_worker) if pdf_worker is not None else PdfWorker(limits)
    with opened as running:
        reads = _read_pages(running, data, name, limits, password, monitor)
    return _assemble(data, name, reads)


def _read_plain(
    data: bytes, name: str, media_type: str, limits: ExtractionLimits, monitor: Monitor
) -> Document:
    text, warnings = plain.decoded(data, name)
    if len(text) > limits.chars:
        raise _too_many_chars(name, limits)
    text = normalised(without_boxes(text)).text().strip("\n")
    if not text.strip():
        msg = f'"{name}" holds nothing but white space; there is nothing to read.'
        raise NoTextError(msg)
    monitor.report(Progress(READING_STAGE, 1, 1, name))
    page = Page(1, 0, len(text), 0.0, 0.0, no_boxes(len(text)), TextSource.PLAIN)
    digest = hashlib.sha256(data).hexdigest()
    return Document(
        doc_id="d" + digest[:_DOC_ID_DIGITS],
        name=name,
        sha256=digest,
        media_type=media_type,
        text=text,
        pages=(page,),
        size_bytes=len(data),
        warnings=warnings,
    )


def _read_pages(
    running: PdfWorker,
    data: bytes,
    name: str,
    limits: ExtractionLimits,
    password: str | None,
    monitor: Monitor,
) -> list[_PageRead]:
    """Return every page as the better of the two readers has it."""
    page_count = running.open(data, name, password=password, monitor=monitor)
    if page_count > limits.pages:
        msg = (
            f'"{name}" has {page_count:,} pages; up to {limits.pages:,} are read. '
            "Split it into smaller files."
        )
        raise LimitExceededError(msg)
    if page_count < 1:
        msg = f'"{name}" has no pages: it is damaged or cut short. Export it again and add that.'
        raise PdfReadError(msg)
    reads = []
    chars = 0
    for frame in running.pages(1, page_count):
        read = _decode_page(frame)
        reads.append(read)
        chars += len(read.characters.codes)
        if chars > limits.chars:
            running.close()
            raise _too_many_chars(name, limits)
        monitor.report(Progress(READING_STAGE, len(reads), page_count, name))
    doubtful = [read.page_number for read in reads if read.wants_second_opinion]
    if doubtful:
        texts = running.second_opinions(doubtful)
        reads = [_better(read, texts.get(read.page_number, "")) for read in reads]
    if all(read.broken for read in reads):
        msg = (
            f'"{name}" is damaged: none of its {page_count:,} pages can be read. '
            "Export it again and add that."
        )
        raise PdfReadError(msg)
    return reads


def _too_many_chars(name: str, limits: ExtractionLimits) -> LimitExceededError:
    return LimitExceededError(
        f'"{name}" holds more than {limits.chars:,} characters of text. '
        "Split it into smaller files."
    )


def _decode_page(frame: bytes) -> _PageRead:
    """Unpack a page frame of the worker; its numbers come from a hostile file."""
    head = worker.PAGE_HEADER
    number, status, rotation, flags, sent, total, *rest = head.unpack_from(frame)
    if status != worker.PAGE_OK:
        return _PageRead(number, _no_characters(), broken=True)
    bounds, images, drawings = tuple(rest[:4]), rest[4], rest[5]
    if not np.isfinite(bounds).all() or bounds[2] <= bounds[0] or bounds[3] <= bounds[1]:
        bounds = (0.0, 0.0, 612.0, 792.0)
    split = head.size + sent * worker.CODE_BYTES
    codes = np.frombuffer(frame[head.size : split], np.uint32)
    user_boxes = np.frombuffer(frame[split:], np.float32).reshape(sent, 4)
    boxes, width, height = displayed_boxes(user_boxes, bounds, rotation)
    return _PageRead(
        page_number=number,
        characters=page_characters(Characters(codes, boxes)),
        width=width,
        height=height,
        images=images,
        drawings=drawings,
        bad=bad_share(codes),
        left_out_chars=total - sent,
        text_objects=bool(flags & worker.FLAG_TEXT_OBJECTS),
    )


def _no_characters() -> Characters:
    return Characters(np.zeros(0, np.uint32), np.zeros((0, 4), np.float32))


def _better(read: _PageRead, second_text: str) -> _PageRead:
    """Return the page with the second reader's text where that is better."""
    if not read.wants_second_opinion:
        return read
    raw = without_boxes(second_text)
    characters = page_characters(raw)
    visible = count_visible(characters.codes)
    if not visible:
        return read
    bad = bad_share(raw.codes)
    empty = not count_visible(read.characters.codes)
    if not empty and bad > read.bad / 2:
        return read
    return replace(read, characters=characters, text_source=TextSource.PYPDF, bad=bad, broken=False)


def _assemble(data: bytes, name: str, reads: list[_PageRead]) -> Document:
    """Join the pages into a document; every page but the last with text ends in a line break."""
    resolved = resolve_hyphens([read.characters for read in reads])
    with_text = [bool(count_visible(characters.codes)) for characters in resolved]
    if not any(with_text):
        raise NoTextError(_no_text_words(name, reads))
    last = max(index for index, filled in enumerate(with_text) if filled)
    texts, pages, position = [], [], 0
    for index, (read, characters) in enumerate(zip(reads, resolved, strict=True)):
        text = characters.text() if with_text[index] else ""
        boxes: NDArray[np.float32] = np.array(characters.boxes[: len(text)], np.float32)
        if text and index != last:
            text += "\n"
            boxes = np.concatenate([boxes, np.full((1, 4), np.nan, np.float32)])
        pages.append(
            Page(
                page_number=read.page_number,
                start=position,
                end=position + len(text),
                width=read.width,
                height=read.height,
                char_boxes=boxes,
                text_source=read.text_source if text else TextSource.NONE,
                looks_scanned=_looks_scanned(read, len(text)),
            )
        )
        texts.append(text)
        position += len(text)
    digest = hashlib.sha256(data).hexdigest()
    return Document(
        doc_id="d" + digest[:_DOC_ID_DIGITS],
        name=name,
        sha256=digest,
        media_type=plain.PDF,
        text="".join(texts),
        pages=tuple(pages),
        size_bytes=len(data),
        warnings=_warnings(reads, pages),
    )


def _looks_scanned(read: _PageRead, chars: int) -> bool:
    few = chars < worker.FEW_CHARS
    return few and max(read.images, read.drawings) > SCANNED_SHARE


def _no_text_words(name: str, reads: list[_PageRead]) -> str:
    count = len(reads)
    pages = "its one page" if count == 1 else f"its {count:,} pages"
    scanned = [read for read in reads if _looks_scanned(read, 0)]
    if scanned:
        looks = "looks" if count == 1 else "look"
        if len(scanned) < count:
            pages = f"{len(scanned):,} of {pages}"
        return (
            f'"{name}" has no text: {pages} {looks} scanned. Run OCR first, for example '
            "ocrmypdf, and add what it makes."
        )
    be = "is" if count == 1 else "are"
    return f'"{name}" has no text: {pages} {be} blank. There is nothing to read.'


def _warnings(reads: list[_PageRead], pages: Sequence[Page]) -> tuple[str, ...]:
    warnings = []
    scanned = [page.page_number for page in pages if page.looks_scanned]
    broken = [read.page_number for read in reads if read.broken]
    missing = [page.page_number for page in pages if page.start == page.end]
    blank = sorted(set(missing) - set(scanned) - set(broken))
    if scanned or blank:
        parts = []
        if scanned:
            looks = "looks" if len(scanned) == 1 else "look"
            parts.append(f"{page_ranges(scanned)} {looks} scanned: run OCR, for example ocrmypdf")
        if blank:
            parts.append(f"{page_ranges(blank)} {'is' if len(blank) == 1 else 'are'} blank")
        filled = len(pages) - len({*missing, *scanned})  # a stamp on a scan is not its text
        have = "has" if filled == 1 else "have"
        warnings.append(f"{filled:,} of {len(pages):,} pages {have} text; {'; '.join(parts)}.")
    if broken:
        be = "is" if len(broken) == 1 else "are"
        warnings.append(f"{page_ranges(broken)} {be} damaged and left out.".capitalize())
    cut = [read.page_number for read in reads if read.left_out_chars]
    if cut:
        left_out = sum(read.left_out_chars for read in reads)
        warnings.append(
            f"{left_out:,} characters beyond the limit for one page were left out on "
            f"{page_ranges(cut)}."
        )
    garbled = [read.page_number for read in reads if not read.broken and read.bad > BAD_SHARE]
    if garbled:
        warnings.append(
            f"Much of the text on {page_ranges(garbled)} is unreadable (its fonts do not say "
            "which letters they draw): run OCR, for example ocrmypdf --force-ocr."
        )
    return tuple(warnings)


def page_ranges(numbers: Sequence[int]) -> str:
    """Return ascending page numbers in words: ``"page 3"``, ``"pages 1, 4-6 and 9"``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    parts = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    if len(numbers) == 1:
        return f"page {parts[0]}"
    if len(parts) == 1:
        return f"pages {parts[0]}"
    return f"pages {', '.join(parts[:-1])} and {parts[-1]}"
