"""Values as rows of the tables and back: columns, their order, and hashes of the content."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from core.errors import WorkspaceDamagedError
from core.records import Passage, Unit
from core.store.records import StoredDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENT_COLUMNS = (
    "doc_id, sha256, name, media_type, size_bytes, pages, pages_with_text, scanned_pages, chars, "
    "warnings, added"
)
PASSAGE_COLUMNS = "passage_id, doc_id, start, end, text, page_first, page_last, unit, token_count"


def document_row(stored: StoredDocument) -> tuple[object, ...]:
    """Return a document's line in the order of `DOCUMENT_COLUMNS`."""
    return (
        stored.doc_id,
        stored.sha256,
        storable(stored.name),
        stored.media_type,
        stored.size_bytes,
        stored.pages,
        stored.pages_with_text,
        json.dumps(stored.scanned_pages),
        stored.chars,
        json.dumps(stored.warnings),
        stored.added,
    )


def document_of(row: Sequence[Any]) -> StoredDocument:
    """Document of a row.

    Raises:
        WorkspaceDamagedError: If it is not that.
    """
    try:
        scanned, warnings = tuple(json.loads(row[7])), tuple(json.loads(row[9]))
    except (ValueError, RecursionError) as exc:
        raise WorkspaceDamagedError(f"The line of document {row[0]} is damaged.") from exc
    doc_id, sha256, name, media_type, size_bytes, pages, with_text, _, chars, _, added = row
    return StoredDocument(
        doc_id=doc_id,
        sha256=sha256,
        name=name,
        media_type=media_type,
        size_bytes=size_bytes,
        pages=pages,
        pages_with_text=with_text,
        scanned_pages=scanned,
        chars=chars,
        warnings=warnings,
        added=added,
    )


def passage_row(passage: Passage) -> tuple[object, ...]:
    """Return a passage in the order of `PASSAGE_COLUMNS`."""
    return (
        passage.passage_id,
        passage.doc_id,
        passage.start,
        passage.end,
        passage.text,
        passage.page_first,
        passage.page_last,
        passage.unit.value,
        passage.token_count,
    )


def passage_of(row: Sequence[Any]) -> Passage:
    """Passage of a row.

    Raises:
        ValueError: If there is no such unit.
    """
    passage_id, doc_id, start, end, text, page_first, page_last, unit, token_count = row
    return Passage(
        passage_id=passage_id,
        doc_id=doc_id,
        start=start,
        end=end,
        text=text,
        page_first=page_first,
        page_last=page_last,
        unit=Unit(unit),
        token_count=token_count,
    )


def marks(columns: str) -> str:
    """Return a question mark for each column of a list."""
    return ", ".join("?" for _ in columns.split(","))


def sha256_of(*parts: str | bytes) -> str:
    """Hash of parts, their borders included."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()


def passages_sha256(passages: Sequence[Passage]) -> str:
    """Return a hash of passages' ids and texts."""
    return sha256_of(*(part for p in passages for part in (p.passage_id, p.text)))


def storable(text: str) -> str:
    """Return text that SQLite takes: it refuses lone surrogates, which hostile PDFs and file names can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
