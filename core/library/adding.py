"""One file into a library: read, kept and cut; a bad one is skipped with the reason."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from core.documents import chunk_document, clean_name, document_to_bytes, read_document
from core.errors import CoreError, DocumentError, EncryptedPdfError, WrongPasswordError
from core.library.corpus import CHUNKING
from core.library.documents import document_report
from core.monitor import Monitor, Progress, raise_if_stopped
from core.records import SkippedFile

if TYPE_CHECKING:
    from core.library.corpus import CountTokens, CurrentCorpus
    from core.library.documents import KeptDocuments
    from core.library.files import SourceFile
    from core.library.ingestion import Ingestion
    from core.records import DocumentReport
    from core.settings import ExtractionLimits
    from core.store import StoredDocument, Workspace

READING = "reading"


class FileAdder:
    """Adds files one by one; its caller sees to it that only one thread does.

    Args:
        workspace: Where documents and passages are kept.
        documents: Knows which documents are here and undamaged.
        corpus: Takes in the passages of a new document.
        count_tokens: The neutral counter for passage budgets, for many texts at once.
        limits: What reading one file may cost.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        documents: KeptDocuments,
        corpus: CurrentCorpus,
        count_tokens: CountTokens,
        limits: ExtractionLimits,
    ) -> None:
        self._workspace = workspace
        self._documents = documents
        self._corpus = corpus
        self._count_tokens = count_tokens
        self._limits = limits

    def add(self, file: SourceFile, ingestion: Ingestion, monitor: FileMonitor) -> None:
        """Add a file, or say in the report why not; errors as in `Library.add_files`."""
        name = clean_name(file.name)
        raise_if_stopped(monitor)
        monitor.starting(READING, name)
        try:
            source = file.read(limit_bytes=self._limits.file_bytes)
            sha256 = hashlib.sha256(source).hexdigest()
            doc_id = f"d{sha256[:16]}"
            known = self._documents.intact(doc_id)
            if known is not None:
                ingestion.documents.append(
                    replace(self._known(known), name=name, duplicate_of=known.name)
                )
                if file.password is not None:
                    self._documents.remember_password(doc_id, file.password)
                return
            document = read_document(
                source, file.name, limits=self._limits, password=file.password, monitor=monitor
            )
        except DocumentError as exc:
            needs_password = isinstance(exc, EncryptedPdfError | WrongPasswordError)
            ingestion.skipped.append(SkippedFile(name, str(exc), needs_password=needs_password))
            return
        except CoreError:
            raise
        except Exception as exc:  # noqa: BLE001 - one file must never end the batch
            reason = (
                f'"{name}" could not be read: its reader failed ({type(exc).__name__}). '
                "Save it again with another program and upload it once more."
            )
            ingestion.skipped.append(SkippedFile(name, reason))
            return
        monitor.starting(CHUNKING, name)
        chunking = self._workspace.settings().chunking
        passages = chunk_document(document, count_tokens=self._count_tokens, settings=chunking)
        stored = self._workspace.put_document(
            document, source=source, record=document_to_bytes(document)
        )
        self._workspace.put_passages(chunking.key, document.doc_id, passages)
        if file.password is not None:
            self._documents.remember_password(document.doc_id, file.password)
        monitor.finished(CHUNKING)
        tokens = sum(passage.token_count for passage in passages)
        ingestion.documents.append(document_report(stored, (len(passages), tokens)))
        self._corpus.grown(passages, chunking)

    def _known(self, stored: StoredDocument) -> DocumentReport:
        chunked = self._workspace.chunked(self._workspace.settings().chunking.key)
        return document_report(stored, chunked.get(stored.doc_id, (0, 0)))


class FileMonitor:
    """Adds to every report which file of how many it is about."""

    def __init__(self, outer: Monitor, number: int, count: int) -> None:
        self._outer = outer
        self._place = f"file {number + 1} of {count}"
        self._number = number
        self._count = count
        self._name = ""

    def starting(self, stage: str, name: str) -> None:
        """Say that a stage of a file begins."""
        self._name = name
        self._outer.report(Progress(stage, self._number, self._count, f"{name} ({self._place})"))

    def finished(self, stage: str) -> None:
        """Say that a stage of the file in hand is over."""
        self._outer.report(Progress(stage, self._number + 1, self._count))

    def report(self, progress: Progress) -> None:
        """Pass on an inner report: pages of the file in hand."""
        self._outer.report(replace(progress, detail=f"pages of {self._name} ({self._place})"))

    def stop_requested(self) -> bool:
        """Whether Stop was pressed."""
        return self._outer.stop_requested()
