"""Files into a library: read, kept, cut, and embedded by every encoder in use."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, cast

from core.documents import clean_name, document_to_bytes, read_document
from core.documents.ocr import ADVISED
from core.encoders.spec import ContextEncoder, Encoder
from core.errors import (
    CoreError,
    DocumentError,
    EncoderError,
    EncryptedPdfError,
    LimitExceededError,
    NeedsOcrError,
    PdfReadError,
    UsageError,
    WrongPasswordError,
)
from core.library.holdings import CHUNKING, Holdings
from core.monitor import Monitor, Progress, raise_if_stopped
from core.records import DocumentReport, IngestionReport, Passage, SkippedFile
from core.settings import MEBIBYTE, ExtractionLimits
from core.store.embedding import embed_in_context, embed_texts, embedding_stage
from core.store.records import StoredDocument
from core.store.workspace import Workspace

if TYPE_CHECKING:
    from core.library.encoders import EncodersInUse

READING = "reading"
# Embedded by every encoder before the next group, each twice the last: an answer over the first
# passages is there early, and later groups are worth a batch.
FIRST_GROUP_PASSAGES = 64
GROUP_PASSAGES = 512


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to add: its bytes, or where they are."""

    name: str  # as the user has it; only a cleaned form is kept and shown
    data: bytes | None = None  # the bytes; or None when ``path`` is given
    # read when its turn comes, so that many large files never lie in memory together
    path: Path | None = None
    password: str | None = None  # for an encrypted PDF. Kept in memory only, never on disk.
    ocr: str = ""  # languages to read scanned pages in; "" leaves them unread

    def __post_init__(self) -> None:
        if (self.data is None) == (self.path is None):
            raise UsageError(f"{self.name!r}: give either the bytes of the file or its path.")

    def read(self, *, limit_bytes: int) -> bytes:
        """Return the bytes; a path that is too large is not read at all.

        Raises:
            LimitExceededError: If the file is larger than the limit.
            PdfReadError: If it cannot be read from the disk.
        """
        if self.path is None:
            return self.data or b""
        try:
            size = self.path.stat().st_size
            if size <= limit_bytes:
                return self.path.read_bytes()
        except OSError as exc:
            raise PdfReadError(
                f'"{self.name}" could not be read ({exc.strerror or exc}). Add it again.'
            ) from exc
        raise LimitExceededError(
            f'"{self.name}" is too large: {size / MEBIBYTE:,.0f} MiB; files up to '
            f"{limit_bytes / MEBIBYTE:,.0f} MiB are read. Split it into smaller files."
        )


class Ingest:
    """One call that adds or embeds; the caller sees to it that only one is at work.

    Args:
        workspace: Where everything is kept.
        holdings: Its documents and passages.
        encoders: Embed the passages.
        limits: What reading one file may cost.
        monitor: Told of every step, asked whether to stop.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        holdings: Holdings,
        encoders: EncodersInUse,
        limits: ExtractionLimits,
        monitor: Monitor,
    ) -> None:
        self.stopped = False
        self._workspace = workspace
        self._holdings = holdings
        self._encoders = encoders
        self._limits = limits
        self._monitor = monitor
        self._documents: list[DocumentReport] = []
        self._skipped: list[SkippedFile] = []
        self._embedded: Counter[str] = Counter()
        self._reused: Counter[str] = Counter()
        self._started = time.perf_counter()

    def report(self) -> IngestionReport:
        """Return the outcome so far."""
        return IngestionReport(
            documents=tuple(self._documents),
            skipped=tuple(self._skipped),
            passages_embedded=dict(self._embedded),
            passages_reused=dict(self._reused),
            seconds=time.perf_counter() - self._started,
            stopped=self.stopped,
        )

    # -- files -----------------------------------------------------------------------------

    def read(self, files: Sequence[SourceFile]) -> None:
        """Read, keep and cut files; the report says which were skipped, and why."""
        for number, file in enumerate(files):
            self._read_one(file, _FileMonitor(self._monitor, number, len(files)))

    def _read_one(self, file: SourceFile, monitor: _FileMonitor) -> None:
        name = clean_name(file.name)
        raise_if_stopped(monitor)
        monitor.starting(READING, name)
        try:
            source = file.read(limit_bytes=self._limits.file_bytes)
            doc_id = f"d{hashlib.sha256(source).hexdigest()[:16]}"
            same = self._holdings.intact(doc_id)
            anew = file.ocr != "" and same is not None and wants_ocr(same)
            document = (
                read_document(
                    source,
                    file.name,
                    limits=self._limits,
                    password=file.password or self._holdings.passwords.get(doc_id),
                    monitor=monitor,
                    ocr=file.ocr,
                )
                if same is None or anew
                else None
            )
        except DocumentError as exc:
            needs_password = isinstance(exc, EncryptedPdfError | WrongPasswordError)
            needs_ocr = isinstance(exc, NeedsOcrError)
            self._skipped.append(SkippedFile(name, str(exc), needs_password, needs_ocr))
        except CoreError:
            raise
        except Exception as exc:  # noqa: BLE001 - one file must never end the batch
            reason = (
                f'"{name}" could not be read: its reader failed ({type(exc).__name__}). '
                "Save it again with another program and upload it once more."
            )
            self._skipped.append(SkippedFile(name, reason))
        else:
            if file.password is not None:
                self._holdings.passwords[doc_id] = file.password
            chunking = self._workspace.settings().chunking
            if same is not None and not anew:
                counts = self._workspace.chunked(chunking.key).get(doc_id, (0, 0))
                report = document_report(same, counts)
                self._documents.append(replace(report, name=name, duplicate_of=same.name))
            if document is not None:
                monitor.starting(CHUNKING, name)
                if anew:
                    self._workspace.remove_document(doc_id)
                    self._holdings.forget(doc_id)
                record = document_to_bytes(document)
                stored = self._workspace.put_document(document, source=source, record=record)
                passages = self._holdings.cut_one(document, chunking)
                monitor.finished(CHUNKING)
                tokens = sum(passage.token_count for passage in passages)
                self._documents.append(document_report(stored, (len(passages), tokens)))
                self._holdings.grown(passages, chunking)
        monitor.finished(READING)

    # -- vectors ---------------------------------------------------------------------------

    def embed(self) -> None:
        """Embed every passage with every encoder in use, group by group.

        Raises:
            EncoderError: After the other encoders have finished.
        """
        passages = self._holdings.corpus().passages
        total = len(passages)
        if not total:
            return
        self._encoders.measure_centres(passages, self._monitor)
        failure: EncoderError | None = None
        encoders: dict[str, Encoder] = {}
        for encoder_id in self._encoders.ids():
            try:
                encoders[encoder_id] = self._encoders.get(encoder_id)
                # The work to come is in sight from the start.
                self._monitor.report(Progress(embedding_stage(encoders[encoder_id]), 0, total))
            except EncoderError as exc:
                failure = failure or exc
        done = 0
        whole = any(encoder.spec.late_chunking for encoder in encoders.values())
        for group in _groups(passages, whole=whole):
            for encoder_id, encoder in list(encoders.items()):
                try:
                    self._embed_group(encoder, group, done=done, total=total)
                except EncoderError as exc:
                    failure = failure or exc
                    del encoders[encoder_id]
                finally:
                    self._holdings.changed(vectors_only=True)
            done += len(group)
        if failure is not None:
            raise failure

    def _embed_group(
        self, encoder: Encoder, group: Sequence[Passage], *, done: int, total: int
    ) -> None:
        """Embed passages of whole documents: each by itself, or with late chunking."""
        encoder_id = encoder.spec.encoder_id
        if not encoder.spec.late_chunking:
            counts = embed_texts(
                self._workspace,
                encoder,
                [passage.text for passage in group],
                monitor=self._monitor,
                done_before=done,
                total=total,
            )
            self._embedded[encoder_id] += counts.embedded
            self._reused[encoder_id] += counts.reused
            return
        for doc_id, members in groupby(group, key=lambda passage: passage.doc_id):
            passages = tuple(members)
            counts = embed_in_context(
                self._workspace,
                cast("ContextEncoder", encoder),
                self._holdings.document(doc_id),
                passages,
                chunking=self._workspace.settings().chunking.key,
                monitor=self._monitor,
                done_before=done,
                total=total,
            )
            done += len(passages)
            self._embedded[encoder_id] += counts.embedded
            self._reused[encoder_id] += counts.reused


def wants_ocr(line: StoredDocument | DocumentReport) -> bool:
    """Whether a document has pages that OCR would read, and did not yet."""
    return bool(line.scanned_pages) or any(ADVISED in words for words in line.warnings)


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


class _FileMonitor:
    """Adds to every report which file of how many it is about."""

    def __init__(self, outer: Monitor, number: int, count: int) -> None:
        self._outer = outer
        self._place = f"file {number + 1} of {count}"
        self._number = number
        self._count = count
        self._name = ""

    def starting(self, stage: str, name: str) -> None:
        self._name = name
        self._outer.report(Progress(stage, self._number, self._count, f"{name} ({self._place})"))

    def finished(self, stage: str) -> None:
        self._outer.report(Progress(stage, self._number + 1, self._count))

    def report(self, progress: Progress) -> None:
        self._outer.report(replace(progress, detail=f"pages of {self._name} ({self._place})"))

    def stop_requested(self) -> bool:
        return self._outer.stop_requested()


def _groups(passages: Sequence[Passage], *, whole: bool) -> Iterator[list[Passage]]:
    """Yield passages in groups of growing size; whole documents together where that is asked."""
    group: list[Passage] = []
    size = FIRST_GROUP_PASSAGES
    for place, passage in enumerate(passages):  # ordered by id, so by document
        if len(group) >= size and not (whole and passages[place - 1].doc_id == passage.doc_id):
            yield group
            group, size = [], min(2 * size, GROUP_PASSAGES)
        group.append(passage)
    if group:
        yield group
