"""Values as rows of the tables and back: columns are fields, tuples are JSON; hashes of both."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from core.errors import WorkspaceDamagedError
from core.records import Passage, Unit
from core.store.records import StoredDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

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
