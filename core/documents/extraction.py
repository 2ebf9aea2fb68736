"""Bytes of any format in, a document out. Runs in the worker only."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import signal
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from core.documents import plain
from core.documents.formats import READERS, too_many_chars
from core.documents.layout import page_characters, without_furniture
from core.documents.names import clean_name
from core.documents.ocr import ADVISED, DOTS_PER_INCH, READ, recognised
from core.documents.pdf import FEW_CHARS, PageRead, PdfFile
from core.documents.sentences import sentence_spans
from core.documents.serialization import document_to_bytes
from core.documents.text import (
    NEWLINE,
    SPACE,
    Characters,
    bad_share,
    count_visible,
    has_words,
    joined,
    no_boxes,
    normal_form,
    resolve_hyphens,
    without_boxes,
)
from core.errors import (
    InvalidSettingError,
    LimitExceededError,
    NeedsOcrError,
    NoTextError,
    PdfReadError,
)
from core.records import Document, Page, TextSource
from core.settings import ExtractionLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SCANNED_SHARE = 0.5  # an image over this much of a page without text: a scan
BAD_SHARE = 0.15  # this much unreadable: warn
ASK_SHARE = 0.05  # this much unreadable: ask the second reader
UNREADABLE_SHARE = 0.5  # this much unreadable: leave out all but words
MUCH_MORE = 1.05  # the second reader is believed when it has so many times the readable characters
ATTACHED_NAMED = 3
POINTS_PER_INCH = 72
OCR_SHARE = 0.8  # of the time for a page; the rest is for drawing it
_GLYPH_NAME = re.compile(r"/[A-Za-z]{1,4}[\dA-Fa-f]{1,6}(?![A-Za-z\d])")
_BAD = re.compile("[\ufffd\ue000-\uf8ff]")
_LEGIBLE = re.compile(r"[^\W\d_]{3,}")


def document_bytes(
    data: bytes,
    *,
    name: str,
    password: str | None,
    limits: dict[str, Any],
    report: Callable[[int, int], None],
    ocr: str = "",
) -> bytes:
    """Return a file as a serialised `Document`, its ids left for the parent to fill in."""
    document = read(
        data, name, ExtractionLimits(**limits), password=password, report=report, ocr=ocr
    )
    return document_to_bytes(document)


def page_image(
    data: bytes,
    *,
    name: str,
    password: str | None,
    limits: dict[str, Any],  # noqa: ARG001 - the same for every request
    report: Callable[[int, int], None],
    page_number: int,
    width_pixels: int,
) -> bytes:
    """Return one page of a PDF as PNG."""
    pdf = PdfFile(data, name, password)
    try:
        if not 1 <= page_number <= pdf.page_count:
            msg = f'"{name}" has pages 1 to {pdf.page_count:,}; there is no page {page_number}.'
            raise InvalidSettingError(msg)
        report(0, 1)
        return pdf.image(page_number, width_pixels)
    finally:
        pdf.close()


def read(
    data: bytes,
    name: str,
    limits: ExtractionLimits,
    *,
    password: str | None = None,
    report: Callable[[int, int], None] | None = None,
    ocr: str = "",
) -> Document:
    """Read a file; errors as `core.documents.read_document` has them, ``ocr`` too.

    ``report`` is called with the pages read and all pages, first when the file is open.
    """
    report = report or (lambda *_: None)
    media_type = plain.media_type_of(data, name)
    if media_type == plain.PDF:
        return _read_pdf(data, name, limits, password, report, ocr)
    report(0, 1)
    text, warnings = READERS[media_type](data, name, limits)
    text = normal_form(text, max_chars=limits.chars).strip("\n")
    if len(text) > limits.chars:
        raise too_many_chars(name, limits)
    if not text.strip():
        msg = f'"{name}" holds nothing but white space; there is nothing to read.'
        raise NoTextError(msg)
    report(1, 1)
    page = Page(1, 0, len(text), 0.0, 0.0, no_boxes(len(text)), TextSource.PLAIN)
    return _document(name, media_type, text, [page], warnings)


def _document(
    name: str, media_type: str, text: str, pages: Sequence[Page], warnings: Sequence[str]
) -> Document:
    return Document(
        doc_id="",
        name=name,
        sha256="",
        media_type=media_type,
        text=text,
        pages=tuple(pages),
        size_bytes=0,
        warnings=tuple(warnings),
        sentences=sentence_spans(text, max_chars=len(text)),
    )


def _read_pdf(
    data: bytes,
    name: str,
    limits: ExtractionLimits,
    password: str | None,
    report: Callable[[int, int], None],
    ocr: str,
) -> Document:
    """Read every page with the better of the two readers, scans with tesseract when asked."""
    with contextlib.closing(PdfFile(data, name, password)) as pdf:
        count = pdf.page_count
        if count > limits.pages:
            msg = (
                f'"{name}" has {count:,} pages; up to {limits.pages:,} are read. '
                "Split it into smaller files."
            )
            raise LimitExceededError(msg)
        if count < 1:
            msg = (
                f'"{name}" has no pages: it is damaged or cut short. Export it again and add that.'
            )
            raise PdfReadError(msg)
        report(0, count)
        reads: list[PageRead] = []
        chars = 0
        for number in range(1, count + 1):
            reads.append(_page(pdf, number, limits, ocr))
            chars += len(reads[-1].characters.codes)
            if chars > limits.chars:
                raise too_many_chars(name, limits)
            report(number, count)
        unread = _unread_words(pdf)
    if all(read.broken for read in reads):
        msg = (
            f'"{name}" is damaged: none of its {count:,} pages can be read. '
            "Export it again and add that."
        )
        raise PdfReadError(msg)
    return _assemble(name, reads, limits, unread, ocr)


def _page(pdf: PdfFile, number: int, limits: ExtractionLimits, ocr: str) -> PageRead:
    """Return one page in normal form as the better of two readers has it, then fields and notes."""
    read = pdf.page(number, max_chars=limits.chars_per_page)
    read = dataclasses.replace(read, characters=page_characters(read.characters))
    if _is_doubtful(read):
        second = page_characters(
            without_boxes(_second_text(pdf, number, limits)[: limits.chars_per_page])
        )
        if _readable(second) > MUCH_MORE * _readable(read.characters):
            source = TextSource.PYPDF
            read = dataclasses.replace(read, characters=second, text_source=source, broken=False)
    pieces = [read.characters, page_characters(read.added)]
    text = joined([piece for piece in pieces if len(piece.codes)])
    read = dataclasses.replace(read, characters=text)
    return _recognised(pdf, read, limits, ocr) if ocr and _needs_ocr(read) else read


def _needs_ocr(read: PageRead) -> bool:
    """Whether a page is a picture of text, or its letters make no words."""
    text = read.characters.text()
    scanned = _looks_scanned(read, count_visible(read.characters.codes))
    return scanned or _share(read) > BAD_SHARE or not has_words(text)


def _recognised(pdf: PdfFile, read: PageRead, limits: ExtractionLimits, ocr: str) -> PageRead:
    """Return a page as tesseract reads it, or as it was with the reason why it does not."""
    width = max(1, round(read.width / POINTS_PER_INCH * DOTS_PER_INCH))
    try:
        raw = recognised(
            pdf.image(read.page_number, width),
            ocr,
            seconds=limits.page_seconds * OCR_SHARE,
            max_chars=limits.chars_per_page,
        )
    except PdfReadError as exc:
        return dataclasses.replace(read, ocr_problem=str(exc))
    characters = page_characters(Characters(raw.codes, raw.boxes * np.float32(read.width)))
    source = TextSource.OCR
    return dataclasses.replace(
        read, characters=characters, text_source=source, images=0.0, drawings=0.0, broken=False
    )


def _unread_words(pdf: PdfFile) -> list[str]:
    """Name the contents of a file beside its pages; nothing of them is read."""
    words = []
    attached = pdf.attachments()
    if attached:
        files = "file that is" if len(attached) == 1 else "files that are"
        named = ", ".join(f'"{clean_name(name)}"' for name in attached[:ATTACHED_NAMED])
        more = ", ..." if len(attached) > ATTACHED_NAMED else ""
        words.append(
            f"It holds {len(attached):,} attached {files} not read: {named}{more}. "
            "Save and add what you want to search."
        )
    if pdf.is_xfa:
        words.append(
            "It is a form of a kind (XFA) whose pages only Adobe's programs show: what is read may "
            "be no more than a notice. Print it to a new PDF there and add that."
        )
    return words


class _TooSlowError(BaseException):
    """Raised by the alarm; no `Exception`, so that no reader swallows it."""


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise in pure Python code that takes longer; the parent's clock does for native code."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def too_slow(*_: object) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGALRM, too_slow)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _second_text(pdf: PdfFile, page_number: int, limits: ExtractionLimits) -> str:
    """Text of one page by pypdf; "" when it fails or takes too long."""
    try:
        with _time_limit(limits.page_seconds / 2):
            return pdf.second_text(page_number)
    except (_TooSlowError, Exception):  # noqa: BLE001 - any failure only means: no second opinion
        return ""


def _is_doubtful(read: PageRead) -> bool:
    """Whether characters are on the page that did not come out, or came out as none."""
    if read.unseen_chars:  # the second reader does not know what nobody can see
        return False
    codes = read.characters.codes
    return (
        read.broken
        or read.lost_objects
        or (read.text_objects and not count_visible(codes))
        or bad_share(codes) > ASK_SHARE
        or not has_words(read.characters.text())
    )


def _readable(characters: Characters) -> int:
    """Return how many different threes of letters can be read; 0 where they make no words.

    Different ones, because what is printed several times is read several times by some.
    """
    text = characters.text()
    if not has_words(text):
        return 0
    text = "".join(_GLYPH_NAME.sub("\ufffd", text).split())
    return len(
        {threes for place in range(len(text)) if not _BAD.search(threes := text[place : place + 3])}
    )


def _legible(read: PageRead) -> Characters:
    """Return the page's characters; where most are unreadable, only letters that may be words."""
    characters = read.characters
    if _share(read) <= UNREADABLE_SHARE:
        return characters
    keep = characters.codes == NEWLINE
    codes = np.where(keep, characters.codes, np.uint32(SPACE))
    for found in _LEGIBLE.finditer(characters.text()):
        start, end = found.span()
        codes[start:end] = characters.codes[start:end]
        keep[max(start - 1, 0) : end] = True
    return Characters(codes, characters.boxes).take(keep)


def _share(read: PageRead) -> float:
    return bad_share(read.characters.codes)


def _assemble(
    name: str, reads: list[PageRead], limits: ExtractionLimits, unread: Sequence[str], ocr: str
) -> Document:
    """Join the pages into a document; every page but the last with text ends in a line break."""
    bodies, furniture = without_furniture(
        [_legible(read) for read in reads], [read.height for read in reads]
    )
    resolved, runs_on = resolve_hyphens(bodies)
    with_text = [bool(count_visible(characters.codes)) for characters in resolved]
    if not any(with_text):
        raise _no_text_error(name, reads)
    last = max(index for index, filled in enumerate(with_text) if filled)
    texts, pages, position = [], [], 0
    for index, (read, characters) in enumerate(zip(reads, resolved, strict=True)):
        text = characters.text() if with_text[index] else ""
        boxes = np.array(characters.boxes[: len(text)], np.float32)
        if text and index != last and index not in runs_on:
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
                furniture=furniture[index],
            )
        )
        texts.append(text)
        position += len(text)
    if position > limits.chars:
        raise too_many_chars(name, limits)
    return _document(
        name, plain.PDF, "".join(texts), pages, [*_warnings(reads, pages, ocr), *unread]
    )


def _looks_scanned(read: PageRead, chars: int) -> bool:
    few = chars < FEW_CHARS
    return few and max(read.images, read.drawings) > SCANNED_SHARE


def _no_text_error(name: str, reads: list[PageRead]) -> NoTextError:
    count = len(reads)
    pages = "its one page" if count == 1 else f"its {count:,} pages"
    failed = next((read.ocr_problem for read in reads if read.ocr_problem), "")
    if failed:
        return NeedsOcrError(f'"{name}" has no text: OCR failed ({failed}). Try again.')
    scanned = [read for read in reads if _looks_scanned(read, 0)]
    if scanned:
        looks = "looks" if count == 1 else "look"
        if len(scanned) < count:
            pages = f"{len(scanned):,} of {pages}"
        return NeedsOcrError(
            f'"{name}" has no text: {pages} {looks} scanned. Run OCR first, for example '
            "ocrmypdf, and add what it makes."
        )
    be = "is" if count == 1 else "are"
    if any(_share(read) > UNREADABLE_SHARE for read in reads):
        return NeedsOcrError(
            f'"{name}" has no readable text: the fonts of {pages} do not say which letters they '
            "draw. Run OCR, for example ocrmypdf --force-ocr, and add what it makes."
        )
    return NoTextError(f'"{name}" has no text: {pages} {be} blank. There is nothing to read.')


def _warnings(reads: list[PageRead], pages: Sequence[Page], ocr: str) -> list[str]:
    warnings = []
    scanned = [page.page_number for page in pages if page.looks_scanned]
    broken = [read.page_number for read in reads if read.broken]
    garbled = [read.page_number for read in reads if _share(read) > BAD_SHARE]
    missing = [page.page_number for page in pages if page.start == page.end]
    blank = sorted(set(missing) - set(scanned) - set(broken) - set(garbled))
    if scanned or blank:
        parts = []
        if scanned:
            looks = "looks" if len(scanned) == 1 else "look"
            parts.append(f"{page_ranges(scanned)} {looks} scanned: {ADVISED}, for example ocrmypdf")
        if blank:
            parts.append(f"{page_ranges(blank)} {'is' if len(blank) == 1 else 'are'} blank")
        filled = len(pages) - len({*missing, *scanned})  # a stamp on a scan is not its text
        have = "has" if filled == 1 else "have"
        warnings.append(f"{filled:,} of {len(pages):,} pages {have} text; {'; '.join(parts)}.")
    if broken:
        be = "is" if len(broken) == 1 else "are"
        warnings.append(f"{page_ranges(broken)} {be} damaged and left out.".capitalize())
    by_ocr = [page.page_number for page in pages if page.text_source is TextSource.OCR]
    if by_ocr:
        was = "was" if len(by_ocr) == 1 else "were"
        words = f"{page_ranges(by_ocr)} {was} {READ} (tesseract, {ocr}): letters may be wrong."
        warnings.append(words[0].upper() + words[1:])
    failed = {read.page_number: read.ocr_problem for read in reads if read.ocr_problem}
    if failed:
        why = next(iter(failed.values()))
        warnings.append(f"OCR failed on {page_ranges(list(failed))} ({why}).")
    cut = [read.page_number for read in reads if read.left_out_chars]
    if cut:
        left_out = sum(read.left_out_chars for read in reads)
        warnings.append(
            f"{left_out:,} characters beyond the limit for one page were left out on "
            f"{page_ranges(cut)}."
        )
    if garbled:
        warnings.append(
            f"Much of the text on {page_ranges(garbled)} is unreadable (its fonts do not say "
            f"which letters they draw): {ADVISED}, for example ocrmypdf --force-ocr."
        )
    strange = [
        read.page_number
        for read in reads
        if read.page_number not in garbled and not has_words(read.characters.text())
    ]
    if strange:
        warnings.append(
            f"The letters on {page_ranges(strange)} make words of no language; if the page looks "
            f"right, its fonts name the wrong letters: {ADVISED}, for example ocrmypdf --force-ocr."
        )
    return warnings


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
