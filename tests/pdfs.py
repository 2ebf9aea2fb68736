"""Small PDFs for tests, made on the spot: the repository carries none.

Every builder returns bytes and gives the same bytes each time (but for the encrypted ones).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

import pypdf
from pypdf.generic import RectangleObject
from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]
from reportlab.lib.utils import ImageReader  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

PASSWORD = "sesame"
PROSE = (
    "The lock keeper opened the upper gate at dawn. Water fell into the chamber for nine minutes. "
    "Two barges waited below, loaded with gravel for the bridge works. Nobody had told the crew "
    "that the lower sill was damaged. Dr. Reyes measured the leak at 3.5 litres per second."
)
LINE_POINTS = 14
MARGIN = 72
WIDTH, HEIGHT = A4


def wrapped(text: str, chars: int = 80) -> list[str]:
    """Return lines of at most ``chars`` characters, broken between words."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > chars:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def _canvas() -> tuple[Canvas, io.BytesIO]:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    canvas.setFont("Helvetica", 11)
    return canvas, buffer


def _draw_lines(canvas: Canvas, lines: Sequence[str], left: float = MARGIN) -> None:
    text = canvas.beginText(left, HEIGHT - MARGIN)
    text.setFont("Helvetica", 11, LINE_POINTS)
    for line in lines:
        text.textLine(line)
    canvas.drawText(text)


def plain_pdf(pages: Sequence[str] = (PROSE,)) -> bytes:
    """One column; a page per string, wrapped; an empty string makes a blank page."""
    canvas, buffer = _canvas()
    for page in pages:
        paragraphs = page.split("\n\n")
        lines = [line for paragraph in paragraphs for line in [*wrapped(paragraph), ""]]
        _draw_lines(canvas, lines)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def two_column_pdf(left: str = PROSE, right: str = "Right column. " * 20) -> bytes:
    """Two columns on one page, drawn one after the other."""
    canvas, buffer = _canvas()
    _draw_lines(canvas, wrapped(left, 36))
    _draw_lines(canvas, wrapped(right, 36), WIDTH / 2 + 12)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def table_pdf(rows: Sequence[Sequence[str]] = ()) -> bytes:
    """A table, cell by cell, row by row."""
    rows = rows or [
        ("Sluice", "Depth m", "Built"),
        *((f"S{n}", f"{n}.5", "1892") for n in range(20)),
    ]
    canvas, buffer = _canvas()
    for row_number, row in enumerate(rows):
        for column, cell in enumerate(row):
            canvas.drawString(MARGIN + 140 * column, HEIGHT - MARGIN - 18 * row_number, cell)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def encrypted_pdf(
    password: str = PASSWORD, *, algorithm: str = "AES-256", pages: Sequence[str] = (PROSE,)
) -> bytes:
    """Needs ``password`` to open; algorithm RC4-40, RC4-128, AES-128, AES-256-R5 or AES-256."""
    writer = pypdf.PdfWriter()
    writer.append(pypdf.PdfReader(io.BytesIO(plain_pdf(pages))))
    writer.encrypt(password, "owner", algorithm=algorithm)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def scanned_pdf(pages: int = 1) -> bytes:
    """Pages that are one image each, without a text layer."""
    return partly_scanned_pdf([""] * pages)


def partly_scanned_pdf(pages: Sequence[str], *, stamp: str = "") -> bytes:
    """A page of text per string; an empty string makes a scanned page, with a stamp on it."""
    from PIL import Image

    shades = bytes((x * y) % 251 for y in range(64) for x in range(48))
    image = ImageReader(Image.frombytes("L", (48, 64), shades))
    canvas, buffer = _canvas()
    for page in pages:
        if page:
            _draw_lines(canvas, wrapped(page))
        else:
            canvas.drawImage(image, 0, 0, WIDTH, HEIGHT)
            canvas.drawString(MARGIN, MARGIN, stamp)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def blank_pdf(pages: int = 1) -> bytes:
    """Pages with nothing on them."""
    return plain_pdf([""] * pages)


def truncated_pdf(keep: float = 0.4) -> bytes:
    """The first part of a good file."""
    whole = plain_pdf([PROSE] * 5)
    return whole[: int(len(whole) * keep)]


def many_pages_pdf(pages: int = 5_000) -> bytes:
    """Very many tiny pages."""
    kids = " ".join(f"{number} 0 R" for number in range(4, 4 + pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        stream_object(b"BT /F1 12 Tf 20 20 Td (page) Tj ET"),
    ]
    font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    page = (
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 3 0 R /Resources {font} >>"
    )
    return raw_pdf([*objects, *[page.encode()] * pages])


def rotated_pdf(
    rotation: int = 90, *, crop: tuple[float, float, float, float] | None = None
) -> bytes:
    """A page of prose with /Rotate, and a crop box (left, bottom, right, top) when given."""
    writer = pypdf.PdfWriter()
    writer.append(pypdf.PdfReader(io.BytesIO(plain_pdf())))
    page = writer.pages[0]
    page.rotate(rotation)
    if crop is not None:
        page.cropbox = RectangleObject(crop)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def self_referencing_pdf() -> bytes:
    """A page tree whose node is its own child."""
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1000000 /Parent 2 0 R >>",
        ]
    )


def bomb_pdf(expanded_bytes: int = 3 * 2**30) -> bytes:
    """A page whose content stream is a few kilobytes and unpacks to gigabytes (Flate twice)."""
    block = b"BT /F1 9 Tf (x) Tj ET " * 50_000
    repeats = expanded_bytes // len(block)
    packer = zlib.compressobj(9, wbits=-15)
    chunk = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)  # stands alone: repeatable
    checksum = 1
    for _ in range(repeats):
        checksum = zlib.adler32(block, checksum)
    once = b"\x78\x9c" + chunk * repeats + packer.flush() + checksum.to_bytes(4, "big")
    return one_page_pdf(zlib.compress(once, 9), filters="[/FlateDecode /FlateDecode]")


def slow_pdf(operators: int = 3_000_000) -> bytes:
    """One page that takes a reader many seconds: millions of scattered little texts."""
    content = b"BT /F1 9 Tf " + b"1 1 Td (ab) Tj -1 -.9 Td (cd) Tj " * operators + b"ET"
    return one_page_pdf(zlib.compress(content), filters="/FlateDecode")


def unicode_pdf(text: str) -> bytes:
    """A page whose characters are mapped to exactly ``text`` (at most 200 different ones).

    Also characters that no font draws: bidirectional overrides, ligatures, NUL, tags.
    """
    distinct = sorted(set(text))
    assert len(distinct) <= 200, "one byte a character"
    code = {character: 33 + place for place, character in enumerate(distinct)}
    rows = "\n".join(
        f"<{code[character]:02x}> <{character.encode('utf-16-be', 'surrogatepass').hex()}>"
        for character in distinct
    )
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
        "1 begincodespacerange <00> <ff> endcodespacerange\n"
        f"{len(distinct)} beginbfchar\n{rows}\nendbfchar\nendcmap end end"
    )
    shown = "".join(f"{code[character]:02x}" for character in text)
    widths = " ".join(["500"] * 223)
    font = (
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 5 0 R "
        f"/FirstChar 33 /LastChar 255 /Widths [{widths}] >>"
    )
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 2000 200] /Contents 4 0 R "
            f"/Resources << /Font << /F1 {font} >> >> >>".encode(),
            stream_object(f"BT /F1 12 Tf 20 100 Td <{shown}> Tj ET".encode()),
            stream_object(cmap.encode()),
        ]
    )


def undrawn_glyphs_pdf(words: str = "Top", repeats: int = 1) -> bytes:
    """Letters of a font that draws nothing: PDFium gives no text, pypdf does."""
    names = " ".join(f"/{letter}" for letter in words)
    font = (
        "<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1 1] /FontMatrix [.001 0 0 .001 0 0] "
        f"/CharProcs << >> /Encoding << /Differences [1 {names}] >> /FirstChar 1 "
        f"/LastChar {len(words)} /Widths [{'500 ' * len(words)}] >>"
    )
    shown = "".join(f"{place:02x}" for place in range(1, len(words) + 1))
    content = f"BT /F1 12 Tf 20 100 Td {f'<{shown}> Tj ' * repeats} ET".encode()
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R 6 0 R] /Count 2 >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 200] /Contents 4 0 R "
            f"/Resources << /Font << /F1 {font} >> >> >>".encode(),
            stream_object(content),
            stream_object(b"BT /F1 12 Tf 20 100 Td (second page) Tj ET"),
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 200] /Contents 5 0 R /Resources "
            b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        ]
    )


HOSTILE_TEXT = (
    "<img src=x onerror=alert(1)> <script>alert('x')</script> javascript:alert(2) "
    "=cmd|'/c calc'!A1 \u202egnp.exe\u202c"
)


def hostile_text_pdf() -> bytes:
    """HTML, a script, a spreadsheet formula and a right-to-left override as page text."""
    return unicode_pdf(HOSTILE_TEXT)


def form_pdf() -> bytes:
    """Text inside a form XObject inside another, the outer one named by the inner as well."""
    font = "/Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
    resources = f"<< {font} /XObject << /A 5 0 R /B 6 0 R >> >>"
    head = f"<< /Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources {resources} /Length"
    inner = b"BT /F1 12 Tf 50 600 Td (inside a form) Tj ET /A Do"
    outer = b"BT /F1 12 Tf 50 700 Td (a form) Tj ET /B Do"
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            f"/Resources {resources} >>".encode(),
            stream_object(b"q /A Do Q"),
            f"{head} {len(outer)} >>\nstream\n".encode() + outer + b"\nendstream",
            f"{head} {len(inner)} >>\nstream\n".encode() + inner + b"\nendstream",
        ]
    )


def scan_in_form_pdf() -> bytes:
    """A page image wrapped in a form, as some scanners write it."""
    image = b"<< /Type /XObject /Subtype /Image /Width 2 /Height 2 /ColorSpace /DeviceGray "
    form = b"<< /Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /I 6 0 R >> >> "
    draw = b"q 612 0 0 792 0 0 cm /I Do Q"
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            b"/Resources << /XObject << /F 5 0 R >> >> >>",
            stream_object(b"/F Do"),
            form + b"/Length %d >>\nstream\n" % len(draw) + draw + b"\nendstream",
            image + b"/BitsPerComponent 8 /Length 4 >>\nstream\n\x10\x80\xc0\xff\nendstream",
        ]
    )


def object_stream_pdf() -> bytes:
    """Objects in an object stream and a cross-reference stream, as newer files have them."""
    writer = pypdf.PdfWriter()
    writer.append(pypdf.PdfReader(io.BytesIO(plain_pdf([PROSE, "Two."]))))
    catalog = writer.root_object.indirect_reference
    assert catalog is not None
    loose: list[bytes] = []
    packed: list[tuple[int, bytes]] = []
    places: dict[int, int] = {}
    body = bytearray(b"%PDF-1.5\n")
    for number, item in enumerate(writer._objects, start=1):
        buffer = io.BytesIO()
        if item is None:
            continue
        item.write_to_stream(buffer)
        if b"stream" in buffer.getvalue():
            places[number] = len(body)
            body += b"%d 0 obj\n%s\nendobj\n" % (number, buffer.getvalue())
        else:
            packed.append((number, buffer.getvalue()))
    holder = len(writer._objects) + 1
    offsets, position = [], 0
    for number, content in packed:
        offsets.append(b"%d %d" % (number, position))
        loose.append(content)
        position += len(content) + 1
    head = b" ".join(offsets) + b" "
    content = zlib.compress(head + b" ".join(loose))
    places[holder] = len(body)
    body += b"%d 0 obj\n<< /Type /ObjStm /N %d /First %d /Filter /FlateDecode /Length %d >>\n" % (
        holder,
        len(packed),
        len(head),
        len(content),
    )
    body += b"stream\n" + content + b"\nendstream\nendobj\n"
    start = len(body)
    inside = {number: place for place, (number, _) in enumerate(packed)}
    places[holder + 1] = start
    rows = b"".join(
        b"\2" + holder.to_bytes(3, "big") + bytes([inside[number]])
        if number in inside
        else b"\1" + places.get(number, 0).to_bytes(3, "big") + b"\0"
        for number in range(1, holder + 2)
    )
    table = zlib.compress(b"\0" * 5 + rows)
    body += (
        b"%d 0 obj\n<< /Type /XRef /Size %d /W [1 3 1] /Root %d 0 R /Filter /FlateDecode "
        b"/Length %d >>\nstream\n" % (holder + 1, holder + 2, catalog.idnum, len(table))
    )
    body += table + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % start
    return bytes(body)


def one_page_pdf(content: bytes, *, filters: str = "", media_box: str = "0 0 612 792") -> bytes:
    """A page with this content stream, already packed the way ``filters`` say."""
    font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [{media_box}] /Contents 4 0 R "
            f"/Resources {font} >>".encode(),
            stream_object(content, filters),
        ]
    )


def stream_object(content: bytes, filters: str = "") -> bytes:
    """A stream as it stands in a PDF."""
    packed = f"/Filter {filters}" if filters else ""
    head = f"<< /Length {len(content)} {packed} >>\nstream\n".encode()
    return head + content + b"\nendstream"


def raw_pdf(objects: Sequence[bytes]) -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    body = bytearray(b"%PDF-1.7\n")
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        table,
    )
    return bytes(body)
