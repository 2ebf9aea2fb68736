"""Records of a workspace besides those of `core.records`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from core.errors import WorkspaceDamagedError
from core.records import TextSource
from core.settings import WorkspaceSettings

if TYPE_CHECKING:
    from core.records import Document


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A line about a document, without its text.

    Attributes:
        doc_id: As in `Document`.
        sha256: Of the source file.
        name: The file's own name.
        media_type: ``application/pdf``, ``text/plain`` or ``text/markdown``.
        size_bytes: Of the source file.
        pages: How many.
        pages_with_text: How many of them have text.
        scanned_pages: Page numbers that look scanned.
        chars: Length of the text.
        warnings: Sentences from reading.
        added: When, ISO 8601 UTC.
    """

    doc_id: str
    sha256: str
    name: str
    media_type: str
    size_bytes: int
    pages: int
    pages_with_text: int
    scanned_pages: tuple[int, ...]
    chars: int
    warnings: tuple[str, ...]
    added: str

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
