"""The process that touches hostile PDFs: PDFium first, pypdf for a second opinion, nothing else.

It runs as a script of its own (``python -I worker.py``), imports the standard library and the PDF
libraries only, and therefore starts in a tenth of a second. It never writes a file, never opens a
socket, and holds itself to the memory and CPU limits it is told. Whoever started it watches the
clock and kills it on overrun (`core.documents.sandbox`).

Protocol over stdin and stdout, no pickle: every frame is one byte of kind, eight bytes of
length (big-endian), then that many bytes. Requests are JSON; a request that opens a file is
followed by a frame with its bytes. Answers are JSON, page frames (`PAGE_HEADER`, then code points
as uint32, then boxes as four float32 each, native byte order) or PNG bytes.
"""

# ruff: noqa: ANN401 - handles of a C library have no types

from __future__ import annotations

import array
import collections
import contextlib
import ctypes
import io
import itertools
import json
import math
import os
import struct
import sys
import threading
import time
import zlib
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAME_HEADER = struct.Struct(">cQ")

# Requests
CONFIGURE = b"C"  # JSON: sys.path entries, memory_bytes
OPEN = b"O"  # JSON: password, cpu_seconds; then a DATA frame
DATA = b"F"
READ_PAGES = b"P"  # JSON: first, last, chars_per_page
SECOND_OPINION = b"S"  # JSON: pages, chars_per_page, password
RENDER = b"R"  # JSON: page_number, width_pixels

# Answers
OPENED = b"o"  # JSON: pages
PAGE = b"p"  # PAGE_HEADER, code points, boxes
SECOND = b"s"  # JSON header line, then UTF-8 text
IMAGE = b"i"  # PNG
DONE = b"d"
FAILED = b"e"  # JSON: kind, detail

# page_number, status, rotation, flags, chars sent, chars on the page,
# left, bottom, right, top of the page box, share of it covered by images, by drawings.
PAGE_HEADER = struct.Struct("=IBBHII6f")
PAGE_OK = 0
PAGE_BROKEN = 1
FLAG_TEXT_OBJECTS = 1  # there are text objects, whether or not characters came out
BOX_BYTES = 16
CODE_BYTES = 4

FEW_CHARS = 20  # below this the page is searched for an image that covers it
MAX_OBJECTS_SEARCHED = 5_000
MAX_FORM_DEPTH = 3
ANGLES_SAMPLED = 64
ANGLE_MAJORITY = 0.6
ANGLE_SLACK = 0.05  # of a quarter turn
QUARTER_TURN = math.pi / 2
MAX_PIXELS = 16_000_000
WATCH_SECONDS = 1.0

_OBJECT_TEXT = 1
_OBJECT_PATH = 2
_OBJECT_IMAGE = 3
_OBJECT_SHADING = 4
_OBJECT_FORM = 5
_PASSWORD_ERROR = 4
_SECURITY_ERROR = 5


class RequestError(Exception):
    """A request that cannot be answered; ``kind`` is for the parent, the text for the log."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail)
        self.kind = kind


def limit_self(memory_bytes: int) -> None:
    """Give up rights that reading a PDF does not need. Does what the platform offers."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock and memory watch are what remains
        return
    limits = [
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ]
    for which, value in limits:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (value, value))


def limit_cpu(cpu_seconds: int) -> None:
    """Allow this much more CPU time, counted from now (a warm worker reads many files)."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime) + cpu_seconds
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def watch_parent() -> None:
    """End this process when its parent is gone, even in the middle of a native call."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    if sys.platform != "win32":  # there the number never changes; a closed pipe has to do
        threading.Thread(target=watch, daemon=True).start()


class PdfFile:
    """One open PDF and the two readers that look at it."""

    def __init__(self, data: bytes, password: str | None) -> None:
        import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

        self.pdfium: Any = pdfium
        self.data = data  # PDFium reads from it as long as the file is open
        self.password = password
        self.second: Any = None
        self.handle: Any = None
        for candidate in _password_bytes(password):
            self.handle = pdfium.FPDF_LoadMemDocument64(data, len(data), candidate)
            error = pdfium.FPDF_GetLastError()
            if self.handle:
                break
            if error != _PASSWORD_ERROR:
                kind = "security" if error == _SECURITY_ERROR else "format"
                raise RequestError(kind, f"PDFium error {error}")
        if not self.handle:
            raise RequestError("password")
        self.page_count = int(pdfium.FPDF_GetPageCount(self.handle))

    def close(self) -> None:
        """Release PDFium's side."""
        if self.handle:
            self.pdfium.FPDF_CloseDocument(self.handle)
            self.handle = None

    def page_frame(self, page_number: int, chars_per_page: int) -> bytes:
        """Return one page: header, code points, boxes in PDF user space."""
        pdfium = self.pdfium
        page = pdfium.FPDF_LoadPage(self.handle, page_number - 1)
        if not page:
            return PAGE_HEADER.pack(page_number, PAGE_BROKEN, 0, 0, 0, 0, *[0.0] * 6)
        text_page = None
        try:
            bounds = self._page_box(page)
            rotation = pdfium.FPDFPage_GetRotation(page) & 3
            text_page = self._text_page(page, rotation)
            total = max(0, pdfium.FPDFText_CountChars(text_page)) if text_page else 0
            sent = min(total, chars_per_page)
            codes, boxes = _characters(pdfium, text_page, sent) if sent else (b"", b"")
            flags, images, drawings = 0, 0.0, 0.0
            if total < FEW_CHARS:
                flags, images, drawings = self._covering(page, bounds)
            header = PAGE_HEADER.pack(
                page_number,
                PAGE_OK,
                rotation,
                flags,
                sent,
                total,
                *bounds,
                images,
                drawings,
            )
            return header + codes + boxes
        finally:
            if text_page:
                pdfium.FPDFText_ClosePage(text_page)
            pdfium.FPDF_ClosePage(page)

    def _text_page(self, page: Any, rotation: int) -> Any:
        """Return the text page, read the way up that most of its characters stand.

        PDFium orders lines as displayed; on a page that is shown sideways it would read them
        from the last to the first.
        """
        pdfium = self.pdfium
        text_page = pdfium.FPDFText_LoadPage(page)
        upright = _upright_rotation(pdfium, text_page) if text_page else None
        if upright is None or upright == rotation:
            return text_page
        pdfium.FPDFText_ClosePage(text_page)
        pdfium.FPDFPage_SetRotation(page, upright)
        text_page = pdfium.FPDFText_LoadPage(page)
        pdfium.FPDFPage_SetRotation(page, rotation)
        return text_page

    def _page_box(self, page: Any) -> tuple[float, float, float, float]:
        """Return left, bottom, right, top of what is displayed (crop box within media box)."""
        box = self.pdfium.FS_RECTF()
        if self.pdfium.FPDF_GetPageBoundingBox(page, box):
            return box.left, box.bottom, box.right, box.top
        return 0.0, 0.0, 612.0, 792.0

    def _covering(
        self, page: Any, bounds: tuple[float, float, float, float]
    ) -> tuple[int, float, float]:
        """Return flags and which share of the page images and drawings cover."""
        pdfium = self.pdfium
        left, bottom, right, top = bounds
        area = max((right - left) * (top - bottom), 1.0)
        flags, images, drawings = 0, 0.0, 0.0
        for index in range(min(pdfium.FPDFPage_CountObjects(page), MAX_OBJECTS_SEARCHED)):
            item = pdfium.FPDFPage_GetObject(page, index)
            kinds = self._kinds(item, 0)
            if _OBJECT_TEXT in kinds:
                flags |= FLAG_TEXT_OBJECTS
            share = self._share(item, bounds) / area
            if _OBJECT_IMAGE in kinds:
                images += share  # scanners cut a page into strips, so shares add up
            elif kinds & {_OBJECT_PATH, _OBJECT_SHADING}:
                drawings += share
        return flags, min(images, 1.0), min(drawings, 1.0)

    def _kinds(self, item: Any, depth: int) -> set[int]:
        pdfium = self.pdfium
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind != _OBJECT_FORM or depth >= MAX_FORM_DEPTH:
            return {kind}
        kinds: set[int] = set()
        for index in range(min(pdfium.FPDFFormObj_CountObjects(item), 200)):
            kinds |= self._kinds(pdfium.FPDFFormObj_GetObject(item, index), depth + 1)
        return kinds

    def _share(self, item: Any, bounds: tuple[float, float, float, float]) -> float:
        sides = [ctypes.c_float() for _ in range(4)]
        if not self.pdfium.FPDFPageObj_GetBounds(item, *sides):
            return 0.0
        width = min(sides[2].value, bounds[2]) - max(sides[0].value, bounds[0])
        height = min(sides[3].value, bounds[3]) - max(sides[1].value, bounds[1])
        return width * height if width > 0 and height > 0 else 0.0

    def second_opinion(self, page_number: int, chars_per_page: int) -> bytes:
        """Return what pypdf reads on one page, as UTF-8."""
        if self.second is None:
            self.second = _open_with_pypdf(self.data, self.password)
        text = str(self.second.pages[page_number - 1].extract_text() or "")
        return text[:chars_per_page].encode("utf-8", "replace")

    def render(self, page_number: int, width_pixels: int) -> bytes:
        """Return the page as PNG, ``width_pixels`` wide."""
        pdfium = self.pdfium
        page = pdfium.FPDF_LoadPage(self.handle, page_number - 1)
        if not page:
            raise RequestError("page", f"page {page_number}")
        try:
            width_points = max(pdfium.FPDF_GetPageWidthF(page), 1.0)
            height_points = max(pdfium.FPDF_GetPageHeightF(page), 1.0)
            width = width_pixels
            height = max(1, round(width * height_points / width_points))
            if width * height > MAX_PIXELS:
                shrink = (MAX_PIXELS / (width * height)) ** 0.5
                width, height = max(1, int(width * shrink)), max(1, int(height * shrink))
                height = min(height, MAX_PIXELS // width)
            bitmap = pdfium.FPDFBitmap_CreateEx(
                width, height, pdfium.FPDFBitmap_BGRx, None, width * 4
            )
            if not bitmap:
                raise RequestError("memory", "page image")
            try:
                pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
                flags = pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER
                pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
                address = pdfium.FPDFBitmap_GetBuffer(bitmap)
                pixels = ctypes.string_at(address, width * height * 4)
            finally:
                pdfium.FPDFBitmap_Destroy(bitmap)
        finally:
            pdfium.FPDF_ClosePage(page)
        return png_bytes(pixels, width, height)


def _password_bytes(password: str | None) -> list[bytes | None]:
    """Return the byte strings to try: newer files take UTF-8, older ones Latin-1."""
    if password is None:
        return [None]
    candidates: list[bytes | None] = [password.encode("utf-8", "replace")]
    with contextlib.suppress(UnicodeEncodeError):
        latin = password.encode("latin-1")
        if latin not in candidates:
            candidates.append(latin)
    candidates.append(None)  # a password that was not needed does no harm
    return candidates


def _upright_rotation(pdfium: Any, text_page: Any) -> int | None:
    """Return the page rotation (quarter turns clockwise) that shows most characters upright.

    None where there are too few characters, or they stand at odd or mixed angles.
    """
    count = pdfium.FPDFText_CountChars(text_page)
    if count < FEW_CHARS:
        return None
    places = range(0, count, max(1, count // ANGLES_SAMPLED))
    angles = [pdfium.FPDFText_GetCharAngle(text_page, place) for place in places]
    quarters = collections.Counter(
        round(angle / QUARTER_TURN) % 4
        for angle in angles
        if abs(angle / QUARTER_TURN - round(angle / QUARTER_TURN)) < ANGLE_SLACK
    )
    if not quarters:
        return None
    quarter, share = quarters.most_common(1)[0]
    return (4 - quarter) % 4 if share > ANGLE_MAJORITY * len(angles) else None


def _characters(pdfium: Any, text_page: Any, count: int) -> tuple[bytes, bytes]:
    """Return ``count`` code points (uint32) and boxes (left, top, right, bottom float32).

    The loops run inside `map`, in C: about half a microsecond a character for both calls.
    PYFUNCTYPE, because releasing the interpreter lock half a million times costs more than the
    calls themselves.
    """
    address = ctypes.cast(text_page, ctypes.c_void_p).value
    get_code = ctypes.PYFUNCTYPE(ctypes.c_uint, ctypes.c_void_p, ctypes.c_int)(
        ctypes.cast(pdfium.FPDFText_GetUnicode, ctypes.c_void_p).value or 0
    )
    get_box = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
        ctypes.cast(pdfium.FPDFText_GetLooseCharBox, ctypes.c_void_p).value or 0
    )
    codes = array.array("I", map(get_code, itertools.repeat(address), range(count)))
    boxes = ctypes.create_string_buffer(count * BOX_BYTES)
    first = ctypes.addressof(boxes)
    places = range(first, first + count * BOX_BYTES, BOX_BYTES)
    collections.deque(map(get_box, itertools.repeat(address), range(count), places), maxlen=0)
    return codes.tobytes(), boxes.raw


def _open_with_pypdf(data: bytes, password: str | None) -> Any:
    import pypdf

    # No external program on behalf of a hostile file.
    pypdf.overwrite_configuration(jbig2dec_binary=None, disable_legacy_handling=True)
    reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
    if reader.is_encrypted:
        reader.decrypt(password or "")
    return reader


def png_bytes(pixels: bytes, width: int, height: int) -> bytes:
    """Encode ``height`` rows of ``width`` RGBx pixels as PNG, grey where all pixels are grey."""
    red, green, blue = pixels[0::4], pixels[1::4], pixels[2::4]
    if red == green == blue:
        colour_type, row_bytes, samples = 0, width, red
    else:
        mixed = bytearray(3 * width * height)
        mixed[0::3], mixed[1::3], mixed[2::3] = red, green, blue
        colour_type, row_bytes, samples = 2, 3 * width, bytes(mixed)
    packer = zlib.compressobj(4)
    body = bytearray()
    for start in range(0, len(samples), row_bytes):
        body += packer.compress(b"\0" + samples[start : start + row_bytes])
    body += packer.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", bytes(body)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def read_exactly(stream: IO[bytes], count: int) -> bytes:
    """Return ``count`` bytes; raises EOFError when the other side is gone."""
    content = stream.read(count)
    if len(content) != count:
        raise EOFError
    return content


def read_frame(stream: IO[bytes], max_bytes: int | None = None) -> tuple[bytes, bytes]:
    """Return kind and content of the next frame.

    Raises:
        EOFError: When the other side is gone.
        OverflowError: When the frame is longer than ``max_bytes``.
    """
    kind, length = FRAME_HEADER.unpack(read_exactly(stream, FRAME_HEADER.size))
    if max_bytes is not None and length > max_bytes:
        raise OverflowError(length)
    return kind, read_exactly(stream, length)


def write_frame(stream: IO[bytes], kind: bytes, *parts: bytes) -> None:
    """Send one frame."""
    stream.write(FRAME_HEADER.pack(kind, sum(len(part) for part in parts)))
    for part in parts:
        stream.write(part)
    stream.flush()


class Worker:
    """Answers requests until the pipe closes."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self.requests = requests
        self.answers = answers
        self.file: PdfFile | None = None

    def run(self) -> None:
        """Serve."""
        while True:
            try:
                kind, content = read_frame(self.requests)
            except EOFError:
                return
            try:
                self.answer(kind, json.loads(content))
            except RequestError as exc:
                self.fail(exc.kind, str(exc))
            except MemoryError:
                self.fail("memory", "")
            except Exception as exc:  # noqa: BLE001 - pypdf: what it raises is ours to catch
                self.fail("error", f"{type(exc).__name__}: {exc}"[:300])

    def fail(self, kind: str, detail: str) -> None:
        """Tell the parent that the request came to nothing."""
        write_frame(self.answers, FAILED, json.dumps({"kind": kind, "detail": detail}).encode())

    def answer(self, kind: bytes, request: dict[str, Any]) -> None:
        """Do what one request asks."""
        if kind == CONFIGURE:
            sys.path.extend(entry for entry in request["path"] if entry not in sys.path)
            try:
                import pypdfium2.raw as pdfium
            except ImportError as exc:
                raise RequestError("start", str(exc)) from exc
            pdfium.FPDF_InitLibrary()
            limit_self(int(request["memory_bytes"]))
        elif kind == OPEN:
            self.open(request)
        elif self.file is None:
            raise RequestError("error", "no file is open")
        elif kind == READ_PAGES:
            for number in range(int(request["first"]), int(request["last"]) + 1):
                frame = self.file.page_frame(number, int(request["chars_per_page"]))
                write_frame(self.answers, PAGE, frame)
            write_frame(self.answers, DONE)
        elif kind == SECOND_OPINION:
            self.second_opinions(self.file, request["pages"], int(request["chars_per_page"]))
        elif kind == RENDER:
            image = self.file.render(int(request["page_number"]), int(request["width_pixels"]))
            write_frame(self.answers, IMAGE, image)

    def open(self, request: dict[str, Any]) -> None:
        """Open the file that follows and say how many pages it has."""
        if self.file is not None:
            self.file.close()
            self.file = None
        kind, data = read_frame(self.requests)
        if kind != DATA:
            raise RequestError("error", "expected the file")
        limit_cpu(int(request["cpu_seconds"]))
        self.file = PdfFile(data, request["password"])
        head = json.dumps({"pages": self.file.page_count}).encode()
        write_frame(self.answers, OPENED, head)

    def second_opinions(self, file: PdfFile, pages: Iterable[int], chars_per_page: int) -> None:
        """Send pypdf's text of each page; a page it cannot read is sent empty."""
        for number in pages:
            try:
                text = file.second_opinion(int(number), chars_per_page)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 - any failure here only means: no second opinion
                text = b""
            write_frame(self.answers, SECOND, struct.pack("=I", int(number)), text)
        write_frame(self.answers, DONE)


def main() -> None:
    """Serve requests on stdin, answers on stdout."""
    requests = sys.stdin.buffer
    # Native code that prints would break the protocol: it gets the null device instead.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    watch_parent()
    with contextlib.suppress(BrokenPipeError):
        Worker(requests, answers).run()


if __name__ == "__main__":
    main()
