"""Values as rows and back, in the order of the columns named beside them."""
# ruff: noqa: S608  the only names in these statements are our own

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from core.errors import WorkspaceDamagedError
from core.records import Passage, Unit
from core.store.records import (
    DOCUMENT_COLUMNS,
    PASSAGE_COLUMNS,
    StoredDocument,
    document_of,
    document_row,
    marks,
    passage_of,
    passage_row,
    passages_sha256,
    sha256_of,
    storable,
)
from core.store.schema import SCHEMA

DOCUMENT = StoredDocument(
    doc_id="d0123456789abcdef",
    sha256="ab",
    name="tide.pdf",
    media_type="application/pdf",
    size_bytes=1,
    pages=2,
    pages_with_text=3,
    scanned_pages=(4, 5),
    chars=6,
    warnings=("Page 4 looks scanned.",),
    added="2026-01-01T00:00:00+00:00",
)
PASSAGE = Passage("d0:1", "d0", 10, 20, "The tide.", 7, 8, Unit.PASSAGE, 9)


def test_rows_come_back_through_the_tables_as_they_were() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    connection.execute(
        f"INSERT INTO documents ({DOCUMENT_COLUMNS}) VALUES ({marks(DOCUMENT_COLUMNS)})",
        document_row(DOCUMENT),
    )
    connection.execute(
        f"INSERT INTO passages (chunking_key, {PASSAGE_COLUMNS}) "
        f"VALUES ('k', {marks(PASSAGE_COLUMNS)})",
        passage_row(PASSAGE),
    )
    (row,) = connection.execute(f"SELECT {DOCUMENT_COLUMNS} FROM documents")
    assert document_of(row) == DOCUMENT
    (row,) = connection.execute(f"SELECT {PASSAGE_COLUMNS} FROM passages")
    assert passage_of(row) == PASSAGE
    # by name, not only by place: what was written as pages_with_text is found under that name
    (found,) = connection.execute("SELECT pages, pages_with_text, chars FROM documents")
    assert found == (2, 3, 6)
    connection.close()


def test_a_damaged_line_is_named() -> None:
    row = list(document_row(DOCUMENT))
    row[7] = "[4,"
    with pytest.raises(WorkspaceDamagedError, match="d0123456789abcdef is damaged"):
        document_of(row)


def test_a_lone_surrogate_can_be_stored() -> None:
    assert storable("tide\ud800.pdf") == "tide?.pdf"
    assert document_row(replace(DOCUMENT, name="\ud800"))[2] == "?"


def test_hashes_tell_where_one_part_ends() -> None:
    assert sha256_of("ab", "c") != sha256_of("a", "bc")
    assert sha256_of("ab") == sha256_of(b"ab")
    assert passages_sha256([PASSAGE]) == sha256_of("d0:1", "The tide.")
    assert passages_sha256([PASSAGE]) != passages_sha256([replace(PASSAGE, text="The tides.")])
