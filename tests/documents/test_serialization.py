from __future__ import annotations

import hashlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.documents import document_from_bytes, document_to_bytes
from core.documents.serialization import MAGIC
from core.errors import WorkspaceDamagedError
from core.records import Document
from tests import pdfs
from tests.inprocess import read_document


def assert_same(one: Document, two: Document) -> None:
    for name in ("doc_id", "name", "sha256", "media_type", "text", "size_bytes", "warnings"):
        assert getattr(one, name) == getattr(two, name)
    assert len(one.pages) == len(two.pages)
    for a, b in zip(one.pages, two.pages, strict=True):
        for name in ("page_number", "start", "end", "width", "height", "text_source"):
            assert getattr(a, name) == getattr(b, name)
        assert a.looks_scanned == b.looks_scanned
        assert b.char_boxes.dtype == np.float32
        assert (np.isnan(a.char_boxes) == np.isnan(b.char_boxes)).all()
        np.testing.assert_allclose(a.char_boxes, b.char_boxes, atol=0.051)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (pdfs.plain_pdf([pdfs.PROSE, "", "Two."]), "a.pdf"),
        (pdfs.partly_scanned_pdf(["", pdfs.PROSE, ""]), "ü <b>.pdf"),
        (pdfs.unicode_pdf("oﬃce 😀 日本"), "u.pdf"),
        ("Grüße 👩‍🔬".encode("cp1252", "ignore"), "a.md"),
    ],
    ids=["pdf", "scanned", "unicode", "text"],
)
def test_a_document_comes_back_as_it_was(data: bytes, name: str) -> None:
    document = read_document(data, name)
    stored = document_to_bytes(document)
    back = document_from_bytes(stored)
    assert_same(document, back)
    assert document_to_bytes(back) == stored


def test_a_page_longer_than_the_step_allows_still_fits() -> None:
    data = pdfs.one_page_pdf(b"BT /F1 20 Tf 10 13900 Td (top) Tj ET", media_box="0 0 10000 14000")
    document = read_document(data, "a.pdf")
    back = document_from_bytes(document_to_bytes(document))
    step = 14000 / 65_534
    difference = np.abs(document.pages[0].char_boxes - back.pages[0].char_boxes)
    assert np.nanmax(difference) <= step / 2 + 0.001


def test_boxes_cost_a_few_bytes_each() -> None:
    document = read_document(pdfs.plain_pdf([pdfs.PROSE * 5] * 10), "a.pdf")
    assert len(document_to_bytes(document)) < 6 * len(document.text)


@pytest.fixture(scope="module")
def stored() -> bytes:
    return document_to_bytes(read_document(pdfs.plain_pdf(), "a.pdf"))


@pytest.mark.parametrize("keep", [0, 5, 20, 39, 60, -1])
def test_a_stored_document_cut_short_is_damaged(stored: bytes, keep: int) -> None:
    with pytest.raises(WorkspaceDamagedError, match="Add its file again"):
        document_from_bytes(stored[:keep])


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: int, change: int) -> None:
    content = bytearray(document_to_bytes(read_document(b"Some words. More words.", "a.txt")))
    content[place % len(content)] ^= change
    with pytest.raises(WorkspaceDamagedError):
        document_from_bytes(bytes(content))


def test_content_after_the_end_is_noticed(stored: bytes) -> None:
    with pytest.raises(WorkspaceDamagedError):
        document_from_bytes(stored + b"x")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"chars":', b'"cxars":'),
        (b'"text_source"', b'"text_source"'),
        (b'"pdfium"', b'"pdfixm"'),
        (b"[[1,0,", b"[[1,1,"),
        (b"[[1,0,", b'[[1,"",'),
        (b'"box_bytes":[', b'"box_bytes":[9'),
        (b'"text_bytes":[2', b'"text_bytes":[1'),
        (b"{", b"["),
    ],
)
def test_a_head_that_lies_is_damaged_even_with_a_right_hash(
    stored: bytes, old: bytes, new: bytes
) -> None:
    rest = stored[len(MAGIC) + 32 :]
    (length,) = struct.unpack_from("<I", rest)
    head = rest[4 : 4 + length].replace(old, new, 1)
    if old == new:
        head = head[:-1]
    forged = struct.pack("<I", len(head)) + head + rest[4 + length :]
    with pytest.raises(WorkspaceDamagedError):
        document_from_bytes(MAGIC + hashlib.sha256(forged).digest() + forged)


@pytest.mark.parametrize(
    ("place", "value"),
    [(1, 3), (2, 10), (2, 10_000), (3, -1.0), (3, None), (5, "magic"), (0, "one")],
    ids=["start", "end", "beyond", "width", "no-width", "source", "number"],
)
def test_a_page_that_does_not_fit_its_text_is_damaged(place: int, value: object) -> None:
    content = document_to_bytes(read_document(b"Some words. More words.", "a.txt"))
    rest = content[len(MAGIC) + 32 :]
    (length,) = struct.unpack_from("<I", rest)
    head = json.loads(rest[4 : 4 + length])
    head["pages"][0][place] = value
    packed = json.dumps(head).encode()
    forged = struct.pack("<I", len(packed)) + packed + rest[4 + length :]
    with pytest.raises(WorkspaceDamagedError):
        document_from_bytes(MAGIC + hashlib.sha256(forged).digest() + forged)
