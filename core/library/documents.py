"""The documents of a library, whole: read back from the workspace, or again from their files."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from core.documents import document_from_bytes, document_to_bytes, read_document
from core.errors import DocumentError, WorkspaceDamagedError
from core.records import DocumentReport

if TYPE_CHECKING:
    from core.records import Document
    from core.settings import ExtractionLimits
    from core.store import StoredDocument, Workspace

DOCUMENTS_IN_MEMORY = 4


class KeptDocuments:
    """Gives documents by id, the last few from memory; safe to call from several threads.

    Args:
        workspace: Where they are kept.
        limits: What reading one again may cost.
    """

    def __init__(self, workspace: Workspace, *, limits: ExtractionLimits) -> None:
        self._workspace = workspace
        self._limits = limits
        self._lock = threading.Lock()  # held for moments, guards what follows
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._passwords: dict[str, str] = {}  # of this process, never on the disk

    def get(self, doc_id: str) -> Document:
        """Return a document whole; one whose record is damaged is read again from its file.

        Raises:
            UnknownNameError: If it is not here.
            WorkspaceDamagedError: If the file is damaged as well.
        """
        with self._lock:
            if doc_id in self._documents:
                self._documents.move_to_end(doc_id)
                return self._documents[doc_id]
        try:
            document = document_from_bytes(self._workspace.document_record(doc_id))
        except WorkspaceDamagedError:
            document = self._read_again(doc_id)
        with self._lock:
            self._documents[doc_id] = document
            while len(self._documents) > DOCUMENTS_IN_MEMORY:
                self._documents.popitem(last=False)
        return document

    def _read_again(self, doc_id: str) -> Document:
        source = self._workspace.document_source(doc_id)
        stored = self._workspace.stored_document(doc_id)
        try:
            document = read_document(
                source, stored.name, limits=self._limits, password=self.password(doc_id)
            )
        except DocumentError as exc:
            msg = f'What was kept of "{stored.name}" is damaged. Upload the document again. ({exc})'
            raise WorkspaceDamagedError(msg) from exc
        if not self._workspace.read_only:
            self._workspace.put_document(
                document, source=source, record=document_to_bytes(document)
            )
            self._workspace.record_damage(
                f"documents/{doc_id}/record",
                f'What was kept of "{stored.name}" was damaged; it was read again from its file.',
            )
        return document

    def intact(self, doc_id: str) -> StoredDocument | None:
        """Return the line about a document that is here and undamaged."""
        if not self._workspace.has_document(doc_id):
            return None
        try:
            self._workspace.document_record(doc_id)
            self._workspace.document_source(doc_id)
        except WorkspaceDamagedError:
            return None  # read it again from the file in hand
        return self._workspace.stored_document(doc_id)

    def password(self, doc_id: str) -> str | None:
        """Return the password a document was added with in this process, if any."""
        with self._lock:
            return self._passwords.get(doc_id)

    def remember_password(self, doc_id: str, password: str) -> None:
        """Keep the password of a document for as long as this process lives."""
        with self._lock:
            self._passwords[doc_id] = password

    def forget(self, doc_id: str) -> None:
        """Let go of a document that was removed."""
        with self._lock:
            self._documents.pop(doc_id, None)
            self._passwords.pop(doc_id, None)


def document_report(stored: StoredDocument, counts: tuple[int, int]) -> DocumentReport:
    """Return the line about a document, with its passages and their tokens."""
    return DocumentReport(
        doc_id=stored.doc_id,
        name=stored.name,
        pages=stored.pages,
        pages_with_text=stored.pages_with_text,
        scanned_pages=stored.scanned_pages,
        passages=counts[0],
        tokens=counts[1],
        warnings=stored.warnings,
    )
