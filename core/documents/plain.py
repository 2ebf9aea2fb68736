"""Kind of a file by its bytes, and plain text out of them."""

from __future__ import annotations

import codecs

from core.errors import NoTextError, PdfReadError, UnsupportedFileError

PDF = "application/pdf"
PLAIN_TEXT = "text/plain"
MARKDOWN = "text/markdown"

PDF_MARK = b"%PDF-"
PDF_MARK_WITHIN = 1024  # readers look no further for the mark, and neither do we
_END_WITHIN = 1024
_PEEK_BYTES = 65_536
_MARKDOWN_ENDINGS = (".md", ".markdown", ".mdown")
_CONTROL_SHARE = 0.005  # text has next to none; binary has plenty
_STRAY_CONTROLS = 4  # a few do no harm: they are replaced
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\v\x1b\x08")
_CONTROLS = bytes(code for code in range(32) if code not in _TEXT_CONTROLS) + b"\x7f"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: it begins with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_KNOWN_STARTS = (
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"{\\rtf", "a rich text document"),
    (b"%!PS", "PostScript"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"SQLite format 3", "an SQLite database"),
)
_HTML_STARTS = (b"<!doctype html", b"<html", b"<?xml")


def looks_like_pdf(data: bytes) -> bool:
    """Whether a file has the mark of a PDF where readers look for it, or ends like one."""
    end = data[-_END_WITHIN:]
    return PDF_MARK in data[:PDF_MARK_WITHIN] or (b"startxref" in end and b"%%EOF" in end)


def media_type_of(data: bytes, name: str) -> str:
    """Return the media type by content; the extension only tells Markdown from plain text.

    Args:
        data: The file.
        name: Cleaned name, for messages.

    Raises:
        PdfReadError: It calls itself a PDF and is none.
        NoTextError: It is an empty text file.
        UnsupportedFileError: It is something else.
    """
    lowered = name.lower()
    claims_pdf = lowered.endswith(".pdf")
    if not data:
        if claims_pdf:
            raise PdfReadError(
                f'"{name}" is empty (0 bytes). Download or export it again and add that.'
            )
        raise NoTextError(f'"{name}" is empty (0 bytes); there is nothing to read.')
    if looks_like_pdf(data):
        return PDF
    what = _what_it_is(data)
    if claims_pdf:
        is_it = f"it is {what}" if what else "it does not begin like one"
        raise PdfReadError(
            f'"{name}" is not a PDF: {is_it}. Export it as PDF and add that, or give it its '
            "own file ending."
        )
    if what:
        raise UnsupportedFileError(
            f'"{name}" is {what}. Bifocal reads PDF, plain text and Markdown: export it as PDF '
            "and add that."
        )
    return MARKDOWN if lowered.endswith(_MARKDOWN_ENDINGS) else PLAIN_TEXT


def _what_it_is(data: bytes) -> str:
    """Kind of a file that is no PDF, in words; "" when it can be text."""
    for start, what in _KNOWN_STARTS:
        if data.startswith(start):
            return what
    peek = data[:_PEEK_BYTES]
    if peek.lstrip(codecs.BOM_UTF8 + b" \t\r\n")[:20].lower().startswith(_HTML_STARTS):
        return "a web page or XML"
    if any(data.startswith(mark) for mark, _ in _BYTE_ORDER_MARKS):
        return ""
    controls = len(peek) - len(peek.translate(None, _CONTROLS))
    if _utf16_without_mark(peek):
        return ""
    if controls > max(_STRAY_CONTROLS, _CONTROL_SHARE * len(peek)):
        return "a binary file"
    return ""


def _utf16_without_mark(peek: bytes) -> str:
    """Return the codec when every other byte is NUL, as in mostly-Latin UTF-16; else ""."""
    half = max(1, len(peek) // 2)
    if len(peek) >= 4 and peek[1::2].count(0) > 0.7 * half and peek[0::2].count(0) == 0:
        return "utf-16-le"
    if len(peek) >= 4 and peek[0::2].count(0) > 0.7 * half and peek[1::2].count(0) == 0:
        return "utf-16-be"
    return ""


def decoded(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file and warnings about how it was read.

    UTF-8 first; UTF-16 and UTF-32 with a byte order mark, UTF-16 without one; Windows-1252
    (Latin-1 with curly quotes) with a warning when it is none of these.
    """
    codec = next((codec for mark, codec in _BYTE_ORDER_MARKS if data.startswith(mark)), "")
    codec = codec or _utf16_without_mark(data[:_PEEK_BYTES]) or "utf-8"
    try:
        return data.decode(codec), ()
    except UnicodeDecodeError:
        pass
    if codec != "utf-8":
        words = f'"{name}" has broken {codec.upper()} text; "\ufffd" stands for what was lost.'
        return data.decode(codec, "replace"), (words,)
    words = (
        f'"{name}" is not UTF-8; it was read as Western European text (Windows-1252). '
        "Save it as UTF-8 if letters look wrong."
    )
    try:
        return data.decode("cp1252"), (words,)
    except UnicodeDecodeError:
        return data.decode("latin-1"), (words,)
