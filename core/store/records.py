"""Records of a workspace besides those of `core.records`, and their rows.

Columns of a row are fields, tuples are JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from typing import Any

from pydantic import TypeAdapter

from core.errors import WorkspaceDamagedError
from core.records import Document, Passage, TextSource, Unit
from core.settings import WorkspaceSettings


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A line about a document, without its text."""

    doc_id: str  # as in `Document`
    sha256: str  # of the source file
    name: str  # the file's own name
    media_type: str  # one of `core.documents.plain.ENDINGS`
    size_bytes: int  # of the source file
    pages: int  # how many
    pages_with_text: int  # how many of them have text
    scanned_pages: tuple[int, ...]  # page numbers that look scanned
    chars: int  # length of the text
    warnings: tuple[str, ...]  # sentences from reading
    added: str  # when, ISO 8601 UTC

    @classmethod
    def of(cls, document: Document, *, added: str) -> StoredDocument:
        """Return the line about a document that was just read."""
        with_text = [
            page
            for page in document.pages
            if page.text_source is not TextSource.NONE
            and document.text[page.start : page.end].strip()
        ]
        return cls(
            doc_id=document.doc_id,
            sha256=document.sha256,
            name=document.name,
            media_type=document.media_type,
            size_bytes=document.size_bytes,
            pages=len(document.pages),
            pages_with_text=len(with_text),
            scanned_pages=tuple(p.page_number for p in document.pages if p.looks_scanned),
            chars=len(document.text),
            warnings=document.warnings,
            added=added,
        )


@dataclass(frozen=True, slots=True)
class StoredComparison:
    """A saved comparison as a list names it."""

    comparison_id: str
    created: str
    query: str
    pair_id: str


@dataclass(frozen=True, slots=True)
class DamageRecord:
    """A damage, its treatment and the remedy."""

    found: str
    what: str
    message: str


_SETTINGS: TypeAdapter[WorkspaceSettings] = TypeAdapter(WorkspaceSettings)


def settings_to_json(settings: WorkspaceSettings) -> str:
    """Return settings as JSON, one key a field."""
    return json.dumps(asdict(settings), sort_keys=True)


def settings_from_json(text: str) -> WorkspaceSettings:
    """Return the settings `settings_to_json` wrote; fields of a later minor version are ignored.

    Raises:
        WorkspaceDamagedError: If it is not that.
    """
    try:
        return _SETTINGS.validate_json(text)
    except (ValueError, RecursionError) as exc:
        raise WorkspaceDamagedError(f"The stored settings are damaged: {exc}.") from exc


# -- rows ----------------------------------------------------------------------------------

DOCUMENT_COLUMNS = ", ".join(field.name for field in fields(StoredDocument))
PASSAGE_COLUMNS = ", ".join(field.name for field in fields(Passage))
_LISTS = ("scanned_pages", "warnings")
_PASSAGE_VALUES = attrgetter(*PASSAGE_COLUMNS.split(", "))


def document_row(stored: StoredDocument) -> tuple[object, ...]:
    """Return a document's line in the order of `DOCUMENT_COLUMNS`."""
    return tuple(
        json.dumps(value) if isinstance(value, tuple) else storable(value)
        for value in (getattr(stored, field.name) for field in fields(stored))
    )


def document_of(row: Sequence[Any]) -> StoredDocument:
    """Document of a row.

    Raises:
        WorkspaceDamagedError: If it is not that.
    """
    values = dict(zip(DOCUMENT_COLUMNS.split(", "), row, strict=True))
    try:
        lists = {name: tuple(json.loads(values[name])) for name in _LISTS}
    except (ValueError, RecursionError) as exc:
        raise WorkspaceDamagedError(f"The line of document {row[0]} is damaged.") from exc
    return StoredDocument(**{**values, **lists})


def passage_row(passage: Passage) -> tuple[object, ...]:
    """Return a passage in the order of `PASSAGE_COLUMNS`."""
    return _PASSAGE_VALUES(passage)


def passage_of(row: Sequence[Any]) -> Passage:
    """Passage of a row.

    Raises:
        ValueError: If there is no such unit.
    """
    passage_id, doc_id, start, end, text, first, last, unit, tokens = row
    return Passage(passage_id, doc_id, start, end, text, first, last, Unit(unit), tokens)


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


def storable(value: Any) -> Any:  # noqa: ANN401  texts and numbers alike
    """Return a value that SQLite takes: no lone surrogates, which hostile names and PDFs hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
