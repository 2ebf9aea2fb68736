r"""A document as bytes and back: compact, without pickle, strictly checked.

Layout: ``BFDOC1\\n``, SHA-256 of the rest (32 bytes), length of the head (uint32, little-endian),
the head (JSON), then three zlib streams: the text as UTF-8, the boxes, and the sentences' ends as
int32 (none in records written before they were kept). Boxes are stored in
tenths of a point as uint16 (a coarser step on pages longer than 6,500 points), column by column
as differences from the character before; 65,535 is "no box".
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from core.documents.text import no_boxes
from core.errors import WorkspaceDamagedError
from core.records import Document, Page, TextSource

MAGIC = b"BFDOC1\n"
STEP_POINTS = 0.1
_NO_BOX = 65_535
_LARGEST = 65_534
_HEAD = struct.Struct("<I")
_DIGEST_BYTES = 32
_MAX_CHARS = 2**31


def document_to_bytes(document: Document) -> bytes:
    """Return the document as bytes for `document_from_bytes`; boxes keep to 0.05 points."""
    columns = [_quantised(page).T.ravel() for page in document.pages if _has_boxes(page)]
    text = document.text.encode("utf-8")
    boxes = np.concatenate(columns) if columns else np.zeros(0, np.uint16)
    packed_text, packed_boxes = zlib.compress(text, 6), zlib.compress(boxes.tobytes(), 4)
    sentences = np.array(document.sentences, np.int32).tobytes()
    packed_sentences = zlib.compress(sentences, 4)
    head = {
        "doc_id": document.doc_id,
        "name": document.name,
        "sha256": document.sha256,
        "media_type": document.media_type,
        "size_bytes": document.size_bytes,
        "warnings": list(document.warnings),
        "chars": len(document.text),
        "text_bytes": [len(text), len(packed_text)],
        "box_bytes": [boxes.nbytes, len(packed_boxes)],
        "sentence_bytes": [len(sentences), len(packed_sentences)],
        "pages": [
            [
                page.page_number,
                page.start,
                page.end,
                page.width,
                page.height,
                page.text_source.value,
                page.looks_scanned,
                _has_boxes(page),
                page.furniture,
            ]
            for page in document.pages
        ],
    }
    packed_head = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
    streams = packed_text + packed_boxes + packed_sentences
    rest = _HEAD.pack(len(packed_head)) + packed_head + streams
    return MAGIC + hashlib.sha256(rest).digest() + rest


def document_from_bytes(content: bytes, *, max_chars: int = _MAX_CHARS) -> Document:
    """Return the document that `document_to_bytes` wrote; more than ``max_chars`` is damage.

    Raises:
        WorkspaceDamagedError: The bytes are not such a document, whole and unchanged.
    """
    if not content.startswith(MAGIC):
        _damaged("it does not begin like one")
    digest = content[len(MAGIC) : len(MAGIC) + _DIGEST_BYTES]
    rest = memoryview(content)[len(MAGIC) + _DIGEST_BYTES :]
    if hashlib.sha256(rest).digest() != digest:
        _damaged("its hash does not match its content")
    try:
        (head_bytes,) = _HEAD.unpack_from(rest)
        position = _HEAD.size + head_bytes
        head = json.loads(bytes(rest[_HEAD.size : position]))
        streams = []
        for key, per_char in (("text_bytes", 4), ("box_bytes", 8), ("sentence_bytes", 8)):
            size, packed = head.get(key, (0, 0))
            if not 0 <= size <= per_char * max_chars:
                _damaged("a length is out of range")
            streams.append(_unpacked(rest[position : position + packed], size) if packed else b"")
            position += packed
        text = streams[0].decode("utf-8")
        boxes = np.frombuffer(streams[1], np.uint16)
        sentences = np.frombuffer(streams[2], np.int32).reshape(-1, 2)
        if position != len(rest) or len(text) != head["chars"]:
            _damaged("its lengths do not agree")
        if (np.diff(sentences.ravel(), prepend=0, append=len(text)) < 0).any():
            _damaged("its sentences do not follow one another")
        pages = _pages(head["pages"], boxes, len(text))
        return Document(
            doc_id=str(head["doc_id"]),
            name=str(head["name"]),
            sha256=str(head["sha256"]),
            media_type=str(head["media_type"]),
            text=text,
            pages=pages,
            size_bytes=int(head["size_bytes"]),
            warnings=tuple(str(warning) for warning in head["warnings"]),
            sentences=tuple((start, end) for start, end in sentences.tolist()),
        )
    except (ValueError, KeyError, TypeError, IndexError, struct.error, zlib.error) as exc:
        _damaged(f"{type(exc).__name__}: {exc}")


def _damaged(why: str) -> Never:
    msg = f"A stored document is damaged ({why}). Add its file again to rebuild it."
    raise WorkspaceDamagedError(msg)


def _has_boxes(page: Page) -> bool:
    return bool(len(page.char_boxes)) and not bool(np.isnan(page.char_boxes).all())


def _step(width: float, height: float) -> float:
    """Return the size of one unit on a page, in points."""
    return max(STEP_POINTS, max(width, height) / _LARGEST)


def _quantised(page: Page) -> NDArray[np.uint16]:
    """Return ``(n, 4)`` differences, modulo 65,536, of the boxes in steps."""
    scaled = np.rint(page.char_boxes / np.float64(_step(page.width, page.height)))
    missing = np.isnan(scaled).any(axis=1)
    steps = np.clip(np.nan_to_num(scaled), 0, _LARGEST).astype(np.uint16)
    steps[missing] = _NO_BOX
    differences: NDArray[np.uint16] = np.diff(steps, axis=0, prepend=np.zeros((1, 4), np.uint16))
    return differences


def _unpacked(packed: memoryview, expected: int) -> bytes:
    """Decompress exactly ``expected`` bytes; a stream that holds more is refused unread."""
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(packed, expected + 1)
    if len(content) != expected or not unpacker.eof or unpacker.unused_data:
        raise ValueError("a stream has another length than its head says")
    return content


def _pages(rows: list[list[Any]], boxes: NDArray[np.uint16], chars: int) -> tuple[Page, ...]:
    pages = []
    place = 0
    position = 0
    for number, start, end, width, height, source, scanned, has_boxes, *furniture in rows:
        if start != position or not start <= end <= chars:
            raise ValueError("pages do not follow one another")
        if not (math.isfinite(width) and math.isfinite(height) and width >= 0 and height >= 0):
            raise ValueError("a page has no size")
        count = int(end) - int(start)
        char_boxes: NDArray[np.float32] = no_boxes(count)
        if has_boxes:
            columns = boxes[place : place + 4 * count]
            if len(columns) != 4 * count:
                raise ValueError("boxes are missing")
            place += 4 * count
            steps = np.cumsum(columns.reshape(4, count).T, axis=0, dtype=np.uint16)
            char_boxes = (steps * np.float64(_step(width, height))).astype(np.float32)
            char_boxes[(steps == _NO_BOX).any(axis=1)] = np.nan
        pages.append(
            Page(
                page_number=int(number),
                start=int(start),
                end=int(end),
                width=float(width),
                height=float(height),
                char_boxes=char_boxes,
                text_source=TextSource(source),
                looks_scanned=bool(scanned),
                furniture=str(*furniture),  # none in records written before it was kept
            )
        )
        position = end
    if position != chars or place != len(boxes):
        raise ValueError("pages do not cover the text")
    return tuple(pages)
