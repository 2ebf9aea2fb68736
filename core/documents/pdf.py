"""PDF files: PDFium reads and draws them, pypdf gives a second opinion. Runs in the worker only.

The only module that knows the PDF libraries.
"""

# ruff: noqa: ANN401 - handles of a C library have no types

from __future__ import annotations

import array
import collections
import contextlib
import ctypes
import dataclasses
import io
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from core.documents.plain import PDF_MARK, PDF_MARK_WITHIN
from core.documents.text import (
    SPACE,
    Characters,
    displayed_boxes,
    joined,
    no_characters,
    without_boxes,
)
from core.errors import EncryptedPdfError, PdfReadError, WrongPasswordError
from core.records import TextSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEW_CHARS = 20  # below this the page is searched for an image that covers it
MAX_OBJECTS_SEARCHED = 5_000
MAX_FORM_DEPTH = 3
FLAT_POINTS = 0.5
LOST_SHARE = 0.25  # of the text objects: more are not spaces alone
ANGLES_SAMPLED = 64
ANGLE_MAJORITY = 0.6
ANGLE_SLACK = 0.05  # of a quarter turn
QUARTER_TURN = math.pi / 2
MAX_PIXELS = 16_000_000
MAX_ATTACHMENTS = 1_000
MAX_ANNOTATIONS = 5_000
MAX_ANNOTATION_CHARS = 20_000
BOX_BYTES = 16

_OBJECT_TEXT = 1
_OBJECT_PATH = 2
_OBJECT_IMAGE = 3
_OBJECT_SHADING = 4
_OBJECT_FORM = 5
_PASSWORD_ERROR = 4
_SECURITY_ERROR = 5
_TEXT_FIELDS = {
    pdfium.FPDF_FORMFIELD_TEXTFIELD,
    pdfium.FPDF_FORMFIELD_COMBOBOX,
    pdfium.FPDF_FORMFIELD_LISTBOX,
}
_NOTES = {pdfium.FPDF_ANNOT_TEXT, pdfium.FPDF_ANNOT_FILEATTACHMENT} | set(
    range(pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_INK + 1)  # shapes, marks and stamps too
)
_UNSEEN_FLAGS = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_LETTER = (0.0, 0.0, 612.0, 792.0)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class PageRead:
    """One page as a reader has it, before the document is put together.

    Attributes:
        page_number: Counts from 1.
        characters: As the reader gives them, boxes as displayed.
        width: In points, as displayed.
        height: In points, as displayed.
        text_source: Which reader.
        images: Share of the page covered by images; looked for where there is next to no text.
        drawings: Share covered by drawings.
        left_out_chars: Characters beyond the limit for one page.
        broken: It could not be read at all.
        text_objects: There are text objects, whether or not characters came out.
        lost_objects: There are text objects of which no character came out.
        unseen_chars: Characters that nobody can see: on a layer switched off, outside the page.
        ocr_problem: Why tesseract did not read it, in words.
        added: Values of form fields and texts of notes, which stand beside the page's content.
    """

    page_number: int
    characters: Characters
    width: float = 0.0
    height: float = 0.0
    text_source: TextSource = TextSource.PDFIUM
    images: float = 0.0
    drawings: float = 0.0
    left_out_chars: int = 0
    broken: bool = False
    text_objects: bool = False
    lost_objects: bool = False
    unseen_chars: int = 0
    ocr_problem: str = ""
    added: Characters = dataclasses.field(default_factory=no_characters)


class PdfFile:
    """One open PDF and the two readers that look at it.

    Raises:
        EncryptedPdfError: It needs a password and none was given.
        WrongPasswordError: The password does not open it.
        PdfReadError: PDFium cannot open it.
    """

    def __init__(self, data: bytes, name: str, password: str | None) -> None:
        pdfium.FPDF_InitLibrary()
        if PDF_MARK not in data[:PDF_MARK_WITHIN]:
            data = PDF_MARK + b"1.4\n" + data  # other readers open it, PDFium insists
        self.data = data  # PDFium reads from it as long as the file is open
        self.name = name
        self.password = password
        self._second: Any = None
        self._handle: Any = None
        if not self._opened(password):
            self._without_owner_password(password)
        self._form = _form_environment(self._handle)
        self._hidden: frozenset[str] | None = None
        self._attached: list[str] = []
        self.page_count = int(pdfium.FPDF_GetPageCount(self._handle))

    def _opened(self, password: str | None) -> bool:
        """Open the file; False when the password does not do it."""
        for candidate in _password_bytes(password):
            self._handle = pdfium.FPDF_LoadMemDocument64(self.data, len(self.data), candidate)
            error = pdfium.FPDF_GetLastError()
            if self._handle:
                return True
            if error != _PASSWORD_ERROR:
                raise PdfReadError(_refusal(self.name, encrypted=error == _SECURITY_ERROR))
        return False

    def _without_owner_password(self, password: str | None) -> None:
        """Open a file whose owner's password is empty and whose user's is not known."""
        import pypdf

        with contextlib.suppress(Exception):  # whatever pypdf says, the error below is true
            reader = pypdf.PdfReader(io.BytesIO(self.data), strict=False)
            if password is None and reader.decrypt("") == pypdf.PasswordType.OWNER_PASSWORD:
                plain = io.BytesIO()
                pypdf.PdfWriter(clone_from=reader).write(plain)
                self.data = plain.getvalue()
                if self._opened(None):
                    return
        if password is None:
            msg = (
                f'"{self.name}" is encrypted. Give its password, or remove the password and '
                "add the file again."
            )
            raise EncryptedPdfError(msg)
        msg = f'The password does not open "{self.name}". Check it and try again.'
        raise WrongPasswordError(msg)

    def close(self) -> None:
        """Release PDFium's side."""
        if self._form:
            pdfium.FPDFDOC_ExitFormFillEnvironment(self._form[0])
            self._form = None
        if self._handle:
            pdfium.FPDF_CloseDocument(self._handle)
            self._handle = None

    @property
    def is_xfa(self) -> bool:
        """Whether its pages are made by a program (XFA) that no reader here runs."""
        return bool(pdfium.FPDF_GetFormType(self._handle) == pdfium.FORMTYPE_XFA_FULL)

    def attachments(self) -> list[str]:
        """Return the names of files that are attached; they are not read."""
        count = pdfium.FPDFDoc_GetAttachmentCount(self._handle)
        found = [
            pdfium.FPDFDoc_GetAttachment(self._handle, index)
            for index in range(min(count, MAX_ATTACHMENTS))
        ]
        return [_string(pdfium.FPDFAttachment_GetName, one) for one in found] + self._attached

    def page(self, page_number: int, *, max_chars: int) -> PageRead:
        """Text of one page by PDFium; fields and notes apart."""
        page = pdfium.FPDF_LoadPage(self._handle, page_number - 1)
        if not page:
            return PageRead(page_number, no_characters(), broken=True)
        text_page = None
        try:
            bounds = _page_box(page)
            rotation = pdfium.FPDFPage_GetRotation(page) & 3
            texts = self._annotations(page, bounds)
            # What annotations show becomes content of the page, which is read with its boxes.
            if pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_SUCCESS:
                pdfium.FPDF_ClosePage(page)
                page = pdfium.FPDF_LoadPage(self._handle, page_number - 1)
            text_page = _text_page(page, rotation)
            total = max(0, pdfium.FPDFText_CountChars(text_page)) if text_page else 0
            codes, user_boxes, owners = _characters(text_page, min(total, max_chars))
            hidden = [owner for owner in set(owners.tolist()) - {0} if self._is_hidden(owner)]
            seen = (_within(user_boxes, bounds) | (codes <= SPACE)) & ~np.isin(owners, hidden)
            boxes, width, height = displayed_boxes(user_boxes[seen], bounds, rotation)
            shown = _squeezed(codes)
            missing = [
                text for text, drawn in texts if not drawn or _squeezed(text.codes) not in shown
            ]
            added = joined(missing)
            text_objects, images, drawings = False, 0.0, 0.0
            if total < FEW_CHARS:
                text_objects, images, drawings = _covering(page, bounds)
            return PageRead(
                page_number,
                Characters(codes[seen], boxes),
                width,
                height,
                images=images,
                drawings=drawings,
                left_out_chars=total - len(codes),
                text_objects=text_objects,
                lost_objects=_lost_objects(page, set(owners.tolist())),
                unseen_chars=int((~seen).sum()),
                added=Characters(added.codes, displayed_boxes(added.boxes, bounds, rotation)[0]),
            )
        finally:
            if text_page:
                pdfium.FPDFText_ClosePage(text_page)
            pdfium.FPDF_ClosePage(page)

    def _annotations(
        self, page: Any, bounds: tuple[float, float, float, float]
    ) -> list[tuple[Characters, bool]]:
        """Return texts of notes and values of form fields, boxes in user space.

        Each with whether it has an appearance, which may show the text or something else.
        """
        texts = []
        for index in range(min(pdfium.FPDFPage_GetAnnotCount(page), MAX_ANNOTATIONS)):
            annotation = pdfium.FPDFPage_GetAnnot(page, index)
            if not annotation:
                continue
            text, rect = self._annotation_text(annotation).strip(), pdfium.FS_RECTF()
            if text and pdfium.FPDFAnnot_GetRect(annotation, rect):
                box = np.array([[rect.left, rect.top, rect.right, rect.bottom]], np.float32)
                if _within(box, bounds).all():
                    codes = without_boxes(text[:MAX_ANNOTATION_CHARS]).codes
                    drawn = bool(pdfium.FPDFAnnot_HasKey(annotation, b"AP"))
                    texts.append((Characters(codes, np.repeat(box, len(codes), axis=0)), drawn))
            pdfium.FPDFPage_CloseAnnot(annotation)
        return texts

    def _annotation_text(self, annotation: Any) -> str:
        """Return the text of a note or the value of a field; "" for one that is not shown."""
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        if pdfium.FPDFAnnot_GetFlags(annotation) & _UNSEEN_FLAGS:
            return ""
        if kind == pdfium.FPDF_ANNOT_FILEATTACHMENT:
            attached = pdfium.FPDFAnnot_GetFileAttachment(annotation)
            self._attached.append(_string(pdfium.FPDFAttachment_GetName, attached))
        if kind in _NOTES:
            return _string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents")
        form = self._form and self._form[0]
        if not form or pdfium.FPDFAnnot_GetFormFieldType(form, annotation) not in _TEXT_FIELDS:
            return ""
        return _string(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)

    def _is_hidden(self, address: int) -> bool:
        """Whether an object belongs to a layer that is switched off."""
        item = ctypes.cast(address, pdfium.FPDF_PAGEOBJECT)
        for index in range(pdfium.FPDFPageObj_CountMarks(item)):
            mark = pdfium.FPDFPageObj_GetMark(item, index)
            if _string(pdfium.FPDFPageObjMark_GetName, mark) == "OC":
                if self._hidden is None:
                    self._hidden = self._hidden_layers()
                layer = _string(pdfium.FPDFPageObjMark_GetParamStringValue, mark, b"Name")
                return layer in self._hidden
        return False

    def _hidden_layers(self) -> frozenset[str]:
        """Return the names of layers that are off when the file is opened."""
        with contextlib.suppress(Exception):  # pypdf raises anything; then nothing is hidden
            properties = self._pypdf().trailer["/Root"]["/OCProperties"]
            default = properties["/D"]
            off = {item.idnum for item in default.get("/OFF", [])}
            if default.get("/BaseState") == "/OFF":
                on = {item.idnum for item in default.get("/ON", [])}
                off |= {item.idnum for item in properties["/OCGs"]} - on
            layers = [
                (item.idnum in off, item.get_object()["/Name"]) for item in properties["/OCGs"]
            ]
            shown = {str(name) for hidden, name in layers if not hidden}
            return frozenset(str(name) for hidden, name in layers if hidden) - shown
        return frozenset()

    def second_text(self, page_number: int) -> str:
        """Text of one page by pypdf."""
        return str(self._pypdf().pages[page_number - 1].extract_text() or "")

    def _pypdf(self) -> Any:
        if self._second is None:
            self._second = _open_with_pypdf(self.data, self.password)
        return self._second

    def image(self, page_number: int, width_pixels: int) -> bytes:
        """Return a page as PNG, ``width_pixels`` wide."""
        page = pdfium.FPDF_LoadPage(self._handle, page_number - 1)
        if not page:
            msg = f'"{self.name}": page {page_number} is damaged and cannot be drawn.'
            raise PdfReadError(msg)
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
                raise MemoryError
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


def png_bytes(pixels: bytes, width: int, height: int) -> bytes:
    """Encode ``height`` rows of ``width`` RGBx pixels as PNG, grey where all pixels are grey."""
    from PIL import Image  # late: reading does without

    rows = np.frombuffer(pixels, np.uint8).reshape(height, width, 4)
    grey = bool((rows[..., 0] == rows[..., 1]).all() and (rows[..., 1] == rows[..., 2]).all())
    image = Image.fromarray(np.ascontiguousarray(rows[..., 0] if grey else rows[..., :3]))
    packed = io.BytesIO()
    image.save(packed, "PNG", compress_level=4)
    return packed.getvalue()


def _refusal(name: str, *, encrypted: bool) -> str:
    if encrypted:
        return (
            f'"{name}" is encrypted in a way this reader does not know. Print it to a new '
            "PDF without encryption and add that."
        )
    return (
        f'"{name}" is not a readable PDF: it is damaged or cut short. Download or export it again.'
    )


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


def _text_page(page: Any, rotation: int) -> Any:
    """Return the text page, read the way up that most of its characters stand.

    PDFium orders lines as displayed; on a page that is shown sideways it would read them
    from the last to the first.
    """
    text_page = pdfium.FPDFText_LoadPage(page)
    upright = _upright_rotation(text_page) if text_page else None
    if upright is None or upright == rotation:
        return text_page
    pdfium.FPDFText_ClosePage(text_page)
    pdfium.FPDFPage_SetRotation(page, upright)
    text_page = pdfium.FPDFText_LoadPage(page)
    pdfium.FPDFPage_SetRotation(page, rotation)
    return text_page


def _upright_rotation(text_page: Any) -> int | None:
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


def _page_box(page: Any) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of the visible part (crop box within media box)."""
    box = pdfium.FS_RECTF()
    if pdfium.FPDF_GetPageBoundingBox(page, box):
        bounds = box.left, box.bottom, box.right, box.top
        if np.isfinite(bounds).all() and bounds[2] > bounds[0] and bounds[3] > bounds[1]:
            return bounds
    return _LETTER


def _within(
    boxes: NDArray[np.float32], bounds: tuple[float, float, float, float]
) -> NDArray[np.bool_]:
    """Return which boxes in user space have their middle on the page; flat ones count as on it."""
    left, bottom, right, top = bounds
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    flat = (boxes[:, 0] == boxes[:, 2]) | (boxes[:, 1] == boxes[:, 3])
    inside: NDArray[np.bool_] = (x >= left) & (x <= right) & (y >= bottom) & (y <= top) | flat
    return inside


def _string(function: Any, *arguments: Any) -> str:
    """Return the text that a PDFium function writes as UTF-16 into a buffer of ours.

    Half of them return its length in bytes, the other half write that to a last argument.
    """
    length = ctypes.c_ulong()
    last = [length] if len(function.argtypes) == len(arguments) + 3 else []
    returned = function(*arguments, None, 0, *last)
    size = length.value if last else returned
    if not 0 < size <= 2 * MAX_ANNOTATION_CHARS:
        return ""
    buffer = ctypes.create_string_buffer(size)
    function(*arguments, ctypes.cast(buffer, function.argtypes[len(arguments)]), size, *last)
    return buffer.raw.decode("utf-16-le", "replace").rstrip("\0")


def _form_environment(handle: Any) -> tuple[Any, Any] | None:
    """Return PDFium's handle for form fields and the structure that it points to."""
    if not pdfium.FPDF_GetFormType(handle):
        return None
    info = pdfium.FPDF_FORMFILLINFO(version=1)
    form = pdfium.FPDFDOC_InitFormFillEnvironment(handle, info)
    return (form, info) if form else None


def _squeezed(codes: NDArray[np.uint32]) -> bytes:
    """Return code points without white space, to look for a text in another."""
    return codes[codes > SPACE].astype("<u4").tobytes()


def _lost_objects(page: Any, owners: set[int]) -> bool:
    """Whether text objects gave no character: some of no width, as columns, or many (not spaces)."""
    texts = lost = 0
    for index in range(min(pdfium.FPDFPage_CountObjects(page), MAX_OBJECTS_SEARCHED)):
        item = pdfium.FPDFPage_GetObject(page, index)
        if pdfium.FPDFPageObj_GetType(item) != _OBJECT_TEXT:
            continue
        texts += 1
        if ctypes.cast(item, ctypes.c_void_p).value in owners:
            continue
        sides = [ctypes.c_float() for _ in range(4)]
        if pdfium.FPDFPageObj_GetBounds(item, *sides):
            left, bottom, right, top = (side.value for side in sides)
            flat = right - left < FLAT_POINTS  # others are printed over the same text
            lost += flat
            if flat and top - bottom > FLAT_POINTS:
                return True
    return lost > LOST_SHARE * texts


def _characters(text_page: Any, count: int) -> tuple[Any, Any, Any]:
    """Return code points ``(n,)`` uint32, boxes ``(n, 4)`` float32 in user space, and objects.

    Objects are the addresses of the text objects that draw the characters, ``(n,)`` uint64.
    The loops run inside `map`, in C: less than a microsecond a character for all calls.
    PYFUNCTYPE, because releasing the interpreter lock half a million times costs more than the
    calls themselves.
    """
    if not count:
        return np.zeros(0, np.uint32), np.zeros((0, 4), np.float32), np.zeros(0, np.uint64)
    address = ctypes.cast(text_page, ctypes.c_void_p).value
    get_code = ctypes.PYFUNCTYPE(ctypes.c_uint, ctypes.c_void_p, ctypes.c_int)(
        ctypes.cast(pdfium.FPDFText_GetUnicode, ctypes.c_void_p).value or 0
    )
    get_box = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
        ctypes.cast(pdfium.FPDFText_GetLooseCharBox, ctypes.c_void_p).value or 0
    )
    get_owner = ctypes.PYFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int)(
        ctypes.cast(pdfium.FPDFText_GetTextObject, ctypes.c_void_p).value or 0
    )
    codes = array.array("I", map(get_code, itertools.repeat(address), range(count)))
    boxes = ctypes.create_string_buffer(count * BOX_BYTES)
    first = ctypes.addressof(boxes)
    places = range(first, first + count * BOX_BYTES, BOX_BYTES)
    collections.deque(map(get_box, itertools.repeat(address), range(count), places), maxlen=0)
    owners = array.array("Q", map(get_owner, itertools.repeat(address), range(count)))
    return (
        np.array(codes, np.uint32),
        np.frombuffer(boxes.raw, np.float32).reshape(count, 4),
        np.array(owners, np.uint64),
    )


def _covering(page: Any, bounds: tuple[float, float, float, float]) -> tuple[bool, float, float]:
    """Return whether there are text objects, and which share images and drawings cover."""
    left, bottom, right, top = bounds
    area = max((right - left) * (top - bottom), 1.0)
    text, images, drawings = False, 0.0, 0.0
    for index in range(min(pdfium.FPDFPage_CountObjects(page), MAX_OBJECTS_SEARCHED)):
        item = pdfium.FPDFPage_GetObject(page, index)
        kinds = _kinds(item, 0)
        text |= _OBJECT_TEXT in kinds
        share = _share(item, bounds) / area
        if _OBJECT_IMAGE in kinds:
            images += share  # scanners cut a page into strips, so shares add up
        elif kinds & {_OBJECT_PATH, _OBJECT_SHADING}:
            drawings += share
    return text, min(images, 1.0), min(drawings, 1.0)


def _kinds(item: Any, depth: int) -> set[int]:
    kind = pdfium.FPDFPageObj_GetType(item)
    if kind != _OBJECT_FORM or depth >= MAX_FORM_DEPTH:
        return {kind}
    kinds: set[int] = set()
    for index in range(min(pdfium.FPDFFormObj_CountObjects(item), 200)):
        kinds |= _kinds(pdfium.FPDFFormObj_GetObject(item, index), depth + 1)
    return kinds


def _share(item: Any, bounds: tuple[float, float, float, float]) -> float:
    sides = [ctypes.c_float() for _ in range(4)]
    if not pdfium.FPDFPageObj_GetBounds(item, *sides):
        return 0.0
    width = min(sides[2].value, bounds[2]) - max(sides[0].value, bounds[0])
    height = min(sides[3].value, bounds[3]) - max(sides[1].value, bounds[1])
    return width * height if width > 0 and height > 0 else 0.0


def _open_with_pypdf(data: bytes, password: str | None) -> Any:
    import pypdf

    # No external program on behalf of a hostile file.
    pypdf.overwrite_configuration(jbig2dec_binary=None, disable_legacy_handling=True)
    reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
    if reader.is_encrypted:
        reader.decrypt(password or "")
    return reader
