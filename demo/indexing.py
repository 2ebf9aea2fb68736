"""Input of a library: uploads, passwords, embedding, settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.documents import clean_name, ocr_languages, require_languages
from core.documents.ocr import INSTALL
from core.errors import CoreError, StoppedError, UnknownNameError, UsageError
from core.library.ingest import SourceFile
from core.library.library import Library
from core.monitor import Monitor
from core.records import IngestionReport, SkippedFile, Unit
from core.settings import OWN_ID, SAMPLE_ID, ChunkingSettings, WorkspaceSettings
from demo import texts
from demo.jobs import Job
from demo.presenters import library
from demo.services import Services
from demo.session import Sessions, discard, take_in


class Indexing:
    """The verbs that start, watch and stop the indexing job of a library."""

    def __init__(self, services: Services, sessions: Sessions) -> None:
        self.services = services
        self.sessions = sessions

    def upload(
        self, visitor_id: object, library_id: str, files: Sequence[str | Path]
    ) -> tuple[str, Job[IngestionReport] | None, str]:
        """Start reading uploaded files, once the library's work at hand is done.

        Returns:
            The library they go to (uploads never change the sample), the job, and a remark.
        """
        visitor = self.sessions.require(visitor_id)
        remark = ""
        lines = self.services.visitors.libraries(visitor)
        if library_id == SAMPLE_ID or library_id not in {line.library_id for line in lines}:
            library_id, remark = OWN_ID, texts.SAMPLE_UPLOADS
        paths = [Path(file) for file in files]
        limit = self.services.limits.files_per_upload
        if len(paths) > limit:
            remark = f"Only the first {limit} files were taken; add the others afterwards."
            paths = paths[:limit]
        if not paths:
            return library_id, None, remark
        return library_id, self._take_in(visitor, library_id, paths, None, patient=True), remark

    def index_files(
        self, visitor_id: object, library_id: str, paths: Sequence[Path], password: str | None
    ) -> Job[IngestionReport]:
        """Start reading uploaded files into a library of the visitor's own.

        Raises:
            UsageError: If it is the sample library, or there are no files.
        """
        visitor = self.sessions.require(visitor_id)
        if library_id == SAMPLE_ID:
            raise UsageError(texts.SAMPLE_FIXED)
        if not paths:
            raise UsageError("There are no files to read; upload at least one.")
        return self._take_in(visitor, library_id, paths, password)

    def _take_in(
        self,
        visitor: str,
        library_id: str,
        paths: Sequence[Path],
        password: str | None,
        *,
        patient: bool = False,
    ) -> Job[IngestionReport]:
        files: list[SourceFile] = []
        try:
            files.extend(
                SourceFile(path.name, path=take_in(path), password=password) for path in paths
            )
            return self._index(visitor, library_id, files, patient=patient)
        except CoreError:
            for file in files:
                _discard(file)
            raise

    def _index(
        self,
        visitor: str,
        library_id: str,
        files: Sequence[SourceFile],
        *,
        patient: bool = False,
    ) -> Job[IngestionReport]:
        def work(bench: Library, monitor: Monitor) -> IngestionReport:
            report = bench.add(files, monitor=monitor)
            held.update(
                file.path
                for file in files
                if file.path and self._hold(visitor, library_id, file, report)
            )
            if not report.stopped:
                _ready(bench)
            return report

        def tidy() -> None:
            for file in files:
                if file.path not in held:
                    _discard(file)

        held: set[Path] = set()
        key = (visitor, library_id, "index")
        jobs = self.sessions.jobs
        return jobs.start(key, "index", work, heavy=True, after=tidy, patient=patient)

    def _hold(
        self, visitor: str, library_id: str, file: SourceFile, report: IngestionReport
    ) -> bool:
        """Keep a file that waits for an answer; False for every other file."""
        name = clean_name(file.name)
        why = next((skipped for skipped in report.skipped if skipped.name == name), None)
        if why is None:
            if not (report.stopped and file.ocr) or name in {one.name for one in report.documents}:
                return False
            why = SkippedFile(name, "", needs_ocr=True)
        if file.path is None or not (why.needs_password or (why.needs_ocr and ocr_languages())):
            return False
        problem = why.reason if file.ocr else ""
        if why.needs_password and file.password is not None:
            problem = f"That password does not open {name}; try another."
        self.sessions.hold(
            visitor,
            library_id,
            name,
            file.path,
            problem=problem,
            needs_ocr=why.needs_ocr,
            password=file.password if why.needs_ocr else None,
        )
        return True

    def password(self, visitor_id: object, token: str, password: str) -> tuple[str, Job[Any]]:
        """Try a password on a file that waits for it."""
        return self._try(self.sessions.require(visitor_id), token, password)

    def _try(
        self, visitor: str, token: str, password: str | None = None, ocr: str = ""
    ) -> tuple[str, Job[Any]]:
        """Read a file that waits, with an answer to the question that it waits for."""
        file = self.sessions.waiting(visitor, token)
        given = file.password if password is None else password
        source = SourceFile(file.name, path=file.path, password=given, ocr=ocr)
        job = self._index(visitor, file.library_id, [source])
        self.sessions.release(token)  # not before: the library may have been busy
        return file.library_id, job

    def read_scanned(
        self, visitor_id: object, library_id: str, token: str, languages: str
    ) -> tuple[str, Job[Any]]:
        """Read the scanned pages of a file that waits (a token) or of a document (its id).

        Raises:
            UsageError: If it is the sample library, or scanned pages cannot be read in these
                languages here.
        """
        visitor = self.sessions.require(visitor_id)
        require_languages(languages)
        if token in self.sessions.held(visitor, library_id):
            return self._try(visitor, token, ocr=languages)
        if library_id == SAMPLE_ID:
            raise UsageError(texts.SAMPLE_FIXED)

        def work(bench: Library, monitor: Monitor) -> IngestionReport:
            name = bench.workspace.stored_document(token).name
            source = bench.workspace.document_source(token)
            report = bench.add([SourceFile(name, data=source, ocr=languages)], monitor=monitor)
            if not report.stopped:
                _ready(bench)
            return report

        key = (visitor, library_id, "index")
        return library_id, self.sessions.jobs.start(key, "index", work, heavy=True)

    def forget_file(self, visitor_id: object, token: str) -> str:
        """Drop a file that waits for an answer."""
        visitor = self.sessions.require(visitor_id)
        file = self.sessions.waiting(visitor, token)
        self.sessions.release(token)
        discard(file.path)
        waiting = self._waiting(visitor, file.library_id)
        return "".join(library.question(key, one) for key, one in waiting.items())

    def _waiting(self, visitor: str, library_id: str) -> dict[str, library.Waiting]:
        """Files that wait for an answer in a library, as the page asks for it."""
        return {
            key: (item.name, item.problem, ocr_languages() if item.needs_ocr else ())
            for key, item in self.sessions.held(visitor, library_id).items()
        }

    def watch(self, visitor_id: object, library_id: str) -> Iterator[tuple[str, bool]]:
        """Yield ``(html, running)`` of the indexing job of a library; nothing when there is none."""
        visitor = self.sessions.require(visitor_id)
        job = self.sessions.jobs.get((visitor, library_id, "index"))
        if job is None:
            return
        for snapshot in job.watch():
            if snapshot.running:
                yield library.progress(snapshot), True
        waiting = self._waiting(visitor, library_id)
        if job.error is not None:
            words = texts.STOPPED if isinstance(job.error, StoppedError) else str(job.error)
            yield library.trouble(words, waiting), False
        else:
            report = job.result
            advice = "" if self.services.hosted or ocr_languages() else INSTALL
            html = library.ingestion(report, waiting, advice=advice) if report is not None else ""  # type: ignore[arg-type]
            yield html, False

    def files_read(self, visitor_id: object, library_id: str) -> bool:
        """Whether the running job of a library is done with its files, and embeds them now."""
        job = self.sessions.jobs.get((self.sessions.require(visitor_id), library_id, "index"))
        return job is not None and any(
            stage.stage.startswith("embedding") for stage in job.snapshot().stages
        )

    def embed(self, visitor_id: object, library_id: str) -> Job[Any]:
        """Go on embedding passages without vectors."""
        return self.sessions.jobs.start(
            (self.sessions.require(visitor_id), library_id, "index"),
            "index",
            lambda bench, monitor: _ready(bench, bench.index(monitor=monitor)),
            heavy=True,
        )

    def change_settings(
        self, visitor_id: object, library_id: str, settings: WorkspaceSettings
    ) -> Job[Any] | None:
        """Keep new settings; returns the job when something has to be made anew."""
        visitor = self.sessions.require(visitor_id)
        with self.sessions.library(visitor, library_id) as bench:
            if settings == bench.settings:
                return None
            if replace(settings, k=bench.settings.k) == bench.settings:
                bench.change_settings(settings)
                return None
        return self.sessions.jobs.start(
            (visitor, library_id, "index"),
            "index",
            lambda bench, monitor: bench.change_settings(settings, monitor=monitor),
            heavy=True,
        )

    def with_pair(self, visitor_id: object, library_id: str, pair_id: str) -> WorkspaceSettings:
        """Return a library's settings with another pair.

        Raises:
            UnknownNameError: If the pair is not on offer.
        """
        if "+" in pair_id:
            self.services.visitors.pool.registry.specs_of(pair_id)  # any two encoders side by side
        elif pair_id not in {pair.pair_id for pair in self.services.pairs()}:
            raise UnknownNameError(f"There is no pair named {pair_id!r} here.")
        with self.sessions.library(visitor_id, library_id, look=True) as bench:
            return replace(bench.settings, pair_id=pair_id)

    def stop(self, visitor_id: object, library_id: str, kind: str = "index") -> bool:
        """Press Stop on a library's job."""
        visitor = self.sessions.require(visitor_id)
        return self.sessions.jobs.stop((visitor, library_id, kind))


def _ready(bench: Library, report: IngestionReport | None = None) -> IngestionReport | None:
    """Make indexes and backgrounds, so that the first question need not wait for them."""
    if bench.passages() and not (report and report.stopped):
        with contextlib.suppress(CoreError):  # the question itself says what is wrong
            bench.warm()
    return report


def _discard(file: SourceFile) -> None:
    """Delete a file that was taken in."""
    if file.path is not None:
        discard(file.path)


def settings_from(
    now: WorkspaceSettings,
    *,
    k: float,
    unit: str,
    chunk_tokens: float,
    overlap_tokens: float,
    instruction: str,
    max_tokens: float | None,
    own_limits: bool = False,
) -> WorkspaceSettings:
    """Settings from the page's fields; settings without a field stay.

    Raises:
        InvalidSettingError: A value that cannot work.
    """
    chunk = int(chunk_tokens)
    return replace(
        now,
        k=int(k),
        chunking=ChunkingSettings(
            unit=Unit(unit), chunk_tokens=chunk, overlap_tokens=min(int(overlap_tokens), chunk // 2)
        ),
        query_instruction=instruction.strip(),
        max_tokens=int(max_tokens or 0),
        own_limits=own_limits,
    )
