"""Kinds of files that are read, the kind of a file by its bytes, and plain text out of them."""

from __future__ import annotations

import codecs
import io
import zipfile

from core.errors import NoTextError, PdfReadError, UnsupportedFileError

PDF = "application/pdf"
PLAIN_TEXT = "text/plain"
MARKDOWN = "text/markdown"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML = "text/html"
CSV = "text/csv"
TSV = "text/tab-separated-values"

# The one list of what is read: folders, page and messages take theirs from here.
ENDINGS = {
    ".pdf": PDF,
    ".docx": DOCX,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".csv": CSV,
    ".tsv": TSV,
    ".txt": PLAIN_TEXT,
    ".text": PLAIN_TEXT,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".mdown": MARKDOWN,
}
READ_WORDS = "PDF, Word (docx), HTML, CSV, TSV, text or Markdown"

PDF_MARK = b"%PDF-"
PDF_MARK_WITHIN = 1024  # readers look no further for the mark, and neither do we
_END_WITHIN = 1024
_PEEK_BYTES = 65_536
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
_PICTURE = "make it a PDF with a text layer, for example with ocrmypdf, and add that."
_UNPACK = "unpack it and add the files in it."
_EXPORT = "export it as PDF and add that."
_KNOWN_STARTS = (
    (b"PK\x03\x04", "a ZIP archive or a damaged Office document", _UNPACK),
    (b"\xd0\xcf\x11\xe0", "an old or encrypted Office document",
     "save it as docx (a sheet as CSV) without a password and add that."),
    (b"\x89PNG", "a PNG image", _PICTURE),
    (b"\xff\xd8\xff", "a JPEG image", _PICTURE),
    (b"GIF8", "a GIF image", _PICTURE),
    (b"II*\x00", "a TIFF image", _PICTURE),
    (b"MM\x00*", "a TIFF image", _PICTURE),
    (b"{\\rtf", "a rich text document", "save it as docx and add that."),
    (b"%!PS", "PostScript", _EXPORT),
    (b"\x7fELF", "a program", _EXPORT),
    (b"MZ", "a program", _EXPORT),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK),
    (b"SQLite format 3", "an SQLite database", "export its tables as CSV and add those."),
    (b"<?xml", "XML", _EXPORT),
)  # fmt: skip
_PARTS = (  # of ZIP files that are documents; without a remedy it is read
    ("word/", "a Word document", ""),
    ("xl/", "an Excel workbook", "save each sheet as CSV and add those."),
    ("ppt/", "a PowerPoint presentation", _EXPORT),
    ("META-INF/container.xml", "an EPUB book", "convert it to PDF or docx and add that."),
    (
        "content.xml",
        "an OpenDocument file",
        "save it as docx or PDF (a sheet as CSV) and add that.",
    ),
)
_HTML_STARTS = (b"<!doctype html", b"<html")


def looks_like_pdf(data: bytes) -> bool:
    """Whether a file has the mark of a PDF where readers look for it, or ends like one."""
    end = data[-_END_WITHIN:]
    return PDF_MARK in data[:PDF_MARK_WITHIN] or (b"startxref" in end and b"%%EOF" in end)


def media_type_of(data: bytes, name: str) -> str:
    """Return the media type by content; the ending tells tables, Markdown and plain text apart.

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
    ending = "." + lowered.rpartition(".")[2]
    what, remedy = _what_it_is(data, ending)
    if claims_pdf:
        is_it = f"it is {what}" if what else "it does not begin like one"
        raise PdfReadError(
            f'"{name}" is not a PDF: {is_it}. Export it as PDF and add that, or give it its '
            "own file ending."
        )
    if remedy:
        raise UnsupportedFileError(f'"{name}" is {what}. Bifocal reads {READ_WORDS}: {remedy}')
    if what:
        return DOCX if what == _PARTS[0][1] else HTML
    kind = ENDINGS.get(ending, PLAIN_TEXT)
    return PLAIN_TEXT if kind == DOCX else kind


def _what_it_is(data: bytes, ending: str) -> tuple[str, str]:
    """Kind of a file that is no PDF, in words, and the advice for one that is not read.

    Both are "" when it can be text; a Word document and a web page need no remedy.
    """
    if data.startswith(b"PK\x03\x04"):
        try:
            names = zipfile.ZipFile(io.BytesIO(data)).namelist()
        except Exception:  # noqa: BLE001 - zipfile raises six kinds on damaged files
            names = []
        for part, what, remedy in _PARTS:
            if any(name.startswith(part) for name in names):
                return what, remedy
    peek = data[:_PEEK_BYTES]
    head = peek.lstrip(codecs.BOM_UTF8 + b" \t\r\n").lower()
    declared_first = head.startswith((b"<?xml", b"<!--")) and b"<html" in head
    if head.startswith(_HTML_STARTS) or declared_first:
        return "a web page", ""
    for start, what, remedy in _KNOWN_STARTS:
        if data.startswith(start) or (start[:1] == b"<" and head.startswith(start)):
            return what, remedy
    marked = any(data.startswith(mark) for mark, _ in _BYTE_ORDER_MARKS)
    controls = len(peek) - len(peek.translate(None, _CONTROLS))
    few = controls <= max(_STRAY_CONTROLS, _CONTROL_SHARE * len(peek))
    if marked or few or _utf16_without_mark(peek):
        return ("a web page", "") if ENDINGS.get(ending) == HTML else ("", "")
    return "a binary file", _EXPORT


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
