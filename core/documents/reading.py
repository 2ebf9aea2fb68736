"""Files read and pages drawn by a process of their own: started here, watched, killed on overrun.

A process, because native calls cannot be interrupted from Python, PDFium is not thread-safe, and
page handlers run in threads where no alarm signal works. It is started with `subprocess` (not
`multiprocessing`), so that nothing of the main program is imported in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import psutil

from core import errors
from core.documents import plain, worker
from core.documents.names import clean_name
from core.documents.ocr import FILE_SECONDS, PAGE_SECONDS
from core.documents.serialization import document_from_bytes
from core.errors import (
    DocumentError,
    InvalidSettingError,
    LimitExceededError,
    PdfReadError,
    UsageError,
    WorkspaceDamagedError,
)
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.settings import MEBIBYTE, ExtractionLimits

if TYPE_CHECKING:
    from types import TracebackType

    from core.records import Document

READING_STAGE = "reading"
WIDTH_RANGE = (50, 4000)
POLL_SECONDS = 0.05
OPENING_PAGES = 3  # opening a file may take as long as this many pages
STARTING_SECONDS = 30.0
_DOC_ID_DIGITS = 16
_QUEUE_FRAMES = 64
DRAWING_BYTES = 512 * MEBIBYTE  # of memory, besides the file's own
_DRAWING = threading.BoundedSemaphore(2)  # drawings at once; others wait, each for moments
_WATCH_MEMORY = platform.system() != "Linux"  # elsewhere RLIMIT_AS is missing or not enforced
_MEMORY_SIGNALS = {"SIGTRAP", "SIGILL"}


def read_document(
    data: bytes,
    name: str,
    *,
    limits: ExtractionLimits | None = None,
    password: str | None = None,
    monitor: Monitor | None = None,
    worker_process: Worker | None = None,
    ocr: str = "",
) -> Document:
    """Read a file of a kind that `core.documents.plain.ENDINGS` lists.

    Args:
        data: The file's bytes.
        name: Its name, as the user has it; only a cleaned form is kept.
        limits: What it may cost.
        password: For an encrypted PDF. Files with an empty user password open without.
        monitor: Told of every page; asked whether to stop.
        worker_process: One that is already running, for reading many files; it keeps its own
            limits. By default a new one is started for this file and ended afterwards.
        ocr: Languages to read scanned pages in, as `ocr.require_languages` has them; "" leaves
            them unread. A page may then take two minutes.

    Returns:
        The document. What could not be read is in its ``warnings``.

    Raises:
        EncryptedPdfError: It needs a password.
        WrongPasswordError: The password does not open it.
        PdfReadError: It is damaged, cut short, empty or not a PDF although it is named so.
        UnsupportedFileError: It is of another kind; says what to make of it.
        NoTextError: It holds no text; `NeedsOcrError` where OCR would help.
        LimitExceededError: It costs more than ``limits`` allow.
        StoppedError: The user pressed Stop.
    """
    limits = limits or ExtractionLimits()
    if ocr:
        limits = dataclasses.replace(
            limits,
            page_seconds=max(limits.page_seconds, PAGE_SECONDS),
            file_seconds=max(limits.file_seconds, FILE_SECONDS),
            cpu_seconds=max(limits.cpu_seconds, int(FILE_SECONDS)),
        )
    monitor = monitor or SilentMonitor()
    name = clean_name(name)
    raise_if_stopped(monitor)
    if len(data) > limits.file_bytes:
        msg = (
            f'"{name}" is too large: {len(data) / MEBIBYTE:,.0f} MiB; files up to '
            f"{limits.file_bytes / MEBIBYTE:,.0f} MiB are read. Split it into smaller files."
        )
        raise LimitExceededError(msg)
    running = worker_process or Worker(limits)
    with running if worker_process is None else contextlib.nullcontext():
        document = running.read(data, name, password=password, monitor=monitor, ocr=ocr)
    digest = hashlib.sha256(data).hexdigest()
    return dataclasses.replace(
        document, doc_id="d" + digest[:_DOC_ID_DIGITS], sha256=digest, size_bytes=len(data)
    )


def render_page(
    data: bytes,
    page_number: int,
    *,
    width_pixels: int = 1000,
    password: str | None = None,
    limits: ExtractionLimits | None = None,
    name: str = "document.pdf",
    monitor: Monitor | None = None,
) -> bytes:
    """Return a PDF page as displayed, as PNG.

    Boxes are drawn over it by its caller: a box in points times ``image width / Page.width`` gives
    pixels.

    Args:
        data: The PDF's bytes.
        page_number: Counts from 1.
        width_pixels: Width of the image; very tall pages come smaller, 16 million pixels at most.
        password: For an encrypted PDF.
        limits: What it may cost; `DRAWING_BYTES` of memory where none are given.
        name: For messages.
        monitor: Asked whether to stop.

    Raises:
        InvalidSettingError: No such page, or a width outside 50 to 4,000.
        PdfReadError: The page or the file is damaged, or it is no PDF; `EncryptedPdfError` and
            `WrongPasswordError` among them.
        LimitExceededError: It costs more than ``limits`` allow.
        StoppedError: The user pressed Stop.
    """
    name = clean_name(name)
    if not WIDTH_RANGE[0] <= width_pixels <= WIDTH_RANGE[1]:
        msg = f"width_pixels is {width_pixels}; choose from {WIDTH_RANGE[0]} to {WIDTH_RANGE[1]:,}."
        raise InvalidSettingError(msg)
    if not plain.looks_like_pdf(data):
        msg = f'"{name}" is not a PDF; only PDF pages have images.'
        raise PdfReadError(msg)
    limits = limits or ExtractionLimits(memory_bytes=DRAWING_BYTES + 2 * len(data))
    with _DRAWING, Worker(limits) as running:
        return running.draw(
            data,
            name,
            password=password,
            monitor=monitor or SilentMonitor(),
            page_number=page_number,
            width_pixels=width_pixels,
        )


def _high_water_mark(process_id: int) -> int:
    """Return the most memory a process ever held, in bytes; 0 where the system does not say."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    _, _, rest = status.partition("VmHWM:")
    return int(rest.split()[0]) * 1024 if rest.split() else 0


class Worker:
    """A worker process that reads files within `ExtractionLimits`.

    A context manager: leaving it kills the process. After any error but an ordinary answer the
    process is gone, and `alive` is false.
    """

    def __init__(self, limits: ExtractionLimits) -> None:
        self.limits = limits
        self._monitor: Monitor = SilentMonitor()
        self._name = ""
        self._file_deadline = 0.0
        self._closed = threading.Event()
        self._frames: queue.Queue[tuple[bytes, bytes] | None] = queue.Queue(_QUEUE_FRAMES)
        self._too_long = False
        self._peak_bytes = 0
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own file
            [sys.executable, "-I", str(Path(worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl+C in the terminal is the parent's to handle.
            start_new_session=True,
        )
        threading.Thread(target=self._collect, daemon=True).start()
        paths = [str(Path(entry or ".").resolve()) for entry in sys.path]
        with contextlib.suppress(OSError):
            self._send((worker.CONFIGURE, {"path": paths, "memory_bytes": limits.memory_bytes}))

    @property
    def alive(self) -> bool:
        """Whether the process can take another file."""
        return not self._closed.is_set() and self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The operating system's number of the process."""
        return self._process.pid

    @property
    def peak_bytes(self) -> int:
        """Most memory the process was seen to hold."""
        return self._peak_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def read(
        self, data: bytes, name: str, *, password: str | None, monitor: Monitor, ocr: str = ""
    ) -> Document:
        """Return a document read from a file; errors as `read_document` has them."""
        request = {"name": name, "password": password, "ocr": ocr}
        content = self._answer(worker.READ, worker.DOCUMENT, request, data, monitor)
        try:
            return document_from_bytes(content, max_chars=self.limits.chars)
        except WorkspaceDamagedError as exc:
            self._fail_unread(f'"{name}" was not read: the reader answered nonsense.', exc)

    def draw(
        self, data: bytes, name: str, *, password: str | None, monitor: Monitor, **wanted: int
    ) -> bytes:
        """Return a page as PNG; ``wanted`` are page_number and width_pixels."""
        request = {"name": name, "password": password, **wanted}
        return self._answer(worker.DRAW, worker.IMAGE, request, data, monitor)

    def close(self) -> None:
        """Kill the process and collect it."""
        self._closed.set()
        if self._process.returncode is None:
            self._note_memory()
            if hasattr(os, "killpg"):  # what the worker runs goes with it
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()

    # -- inside ------------------------------------------------------------------------------

    def _answer(
        self, kind: bytes, expected: bytes, request: dict[str, Any], data: bytes, monitor: Monitor
    ) -> bytes:
        """Send a request with its file, pass on progress, and return the answer."""
        self._name, self._monitor = request["name"], monitor
        self._file_deadline = time.monotonic() + self.limits.file_seconds
        frames = (kind, {**request, "limits": dataclasses.asdict(self.limits)}), (worker.DATA, data)
        # From a thread, so that a worker that does not read cannot hold this side up.
        threading.Thread(target=self._send_quietly, args=frames, daemon=True).start()
        page_seconds = self.limits.page_seconds
        seconds, what = STARTING_SECONDS + OPENING_PAGES * page_seconds, "opening it"
        if page_seconds < 1.0:  # tests use tiny limits; starting takes what it takes
            seconds = min(seconds, self.limits.file_seconds)
        while True:
            got, content = self._receive(seconds, what)
            if got == worker.FAILED:
                self._explain_failure(json.loads(content))
            if got == expected:
                return content
            if got != worker.PROGRESS:
                self._fail_unread(f'"{self._name}" was not read: the reader answered out of turn.')
            progress = json.loads(content)
            done, total = int(progress["done"]), int(progress["total"])
            if done:
                monitor.report(Progress(READING_STAGE, done, total, self._name))
            seconds, what = page_seconds, f"page {done + 1}"
            if kind == worker.DRAW:
                what = f"drawing page {request['page_number']}"
            if done == total:  # the second reader keeps to `page_seconds` a page by itself
                seconds, what = self.limits.file_seconds, "putting it together"

    def _note_memory(self) -> int:
        """Memory of the process now, in bytes; its highest value is remembered.

        Not from `os.wait4`: after a start by vfork its figure includes the parent's own memory.
        """
        try:
            held = int(psutil.Process(self._process.pid).memory_info().rss)
            peak = _high_water_mark(self._process.pid)
        except psutil.Error:
            return 0
        self._peak_bytes = max(self._peak_bytes, held, peak)
        return held

    def _collect(self) -> None:
        """Move frames from the pipe to the queue (runs in a thread: pipes have no time-out)."""
        stream = self._process.stdout
        frame: tuple[bytes, bytes] | None
        while stream is not None and not self._closed.is_set():
            try:
                frame = worker.read_frame(stream, self.limits.output_bytes)
            except OverflowError:
                self._too_long = True
                frame = None
            except (EOFError, OSError, ValueError):
                frame = None
            while not self._closed.is_set():
                with contextlib.suppress(queue.Full):
                    self._frames.put(frame, timeout=1.0)
                    break
            if frame is None:
                return

    def _send(self, *frames: tuple[bytes, bytes | dict[str, Any]]) -> None:
        stream = self._process.stdin
        for kind, content in frames:
            if stream is not None:
                worker.write_frame(stream, kind, content)

    def _send_quietly(self, *frames: tuple[bytes, bytes | dict[str, Any]]) -> None:
        with contextlib.suppress(OSError, ValueError):  # `_receive` finds it gone and says why
            self._send(*frames)

    def _receive(self, seconds: float, what: str) -> tuple[bytes, bytes]:
        """Return the next frame, or kill the worker and say why there is none."""
        deadline = time.monotonic() + seconds
        while True:
            if self._monitor.stop_requested():
                self.close()
                raise_if_stopped(self._monitor)
            try:
                frame = self._frames.get(timeout=POLL_SECONDS)
            except queue.Empty:
                self._check_clock(deadline, seconds, what)
                if self._note_memory() > self.limits.memory_bytes and _WATCH_MEMORY:
                    self._overrun(self._memory_words())
                continue
            if frame is None:
                self._explain_end(what)
            return frame

    def _check_clock(self, deadline: float, seconds: float, what: str) -> None:
        now = time.monotonic()
        if now > self._file_deadline:
            self._overrun(
                f"it took longer than {self.limits.file_seconds:g} seconds in all. "
                "Split it into smaller files and add those."
            )
        if now > deadline:
            self._overrun(
                f"{what} took longer than {seconds:g} seconds. "
                "Print it to a new PDF, or leave that page out."
            )

    def _overrun(self, words: str) -> NoReturn:
        self.close()
        raise LimitExceededError(f'"{self._name}" was not read: {words}')

    def _memory_words(self) -> str:
        return (
            f"it needs more than {self.limits.memory_bytes // MEBIBYTE:,} MiB of memory. "
            "Print it to a new PDF, or split it into smaller files."
        )

    def _explain_end(self, what: str) -> NoReturn:
        """Say why the worker ended by itself."""
        if self._too_long:
            mebibytes = self.limits.output_bytes // MEBIBYTE
            self._overrun(
                f"its text takes more than {mebibytes:,} MiB. Split it into smaller files."
            )
        self._process.wait()
        self.close()
        code = self._process.returncode
        ended_by = ""
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                ended_by = signal.Signals(-code).name
        if ended_by == "SIGXCPU":
            self._overrun(
                f"it needs more than {self.limits.cpu_seconds} seconds of computing. "
                "Split it into smaller files and add those."
            )
        # PDFium aborts when it is refused memory, often before the watch saw it grow.
        if ended_by in {"SIGKILL", "SIGABRT"} or (
            ended_by in _MEMORY_SIGNALS and self._peak_bytes > self.limits.memory_bytes // 3
        ):
            self._overrun(self._memory_words())
        how = ended_by or f"exit code {code}"
        self._fail_unread(
            f'"{self._name}" is damaged: the reader broke down at {what} ({how}). '
            "Print it to a new PDF and add that."
        )

    def _explain_failure(self, failure: dict[str, str]) -> NoReturn:
        """Raise the error that a worker's answer stands for. The worker lives on."""
        words = failure["words"]
        kind = getattr(errors, failure["error"], None)
        if isinstance(kind, type) and issubclass(kind, DocumentError | UsageError):
            raise kind(words)
        if failure["error"] == "MemoryError":  # nothing sure is known of what is left of it
            self._overrun(self._memory_words())
        if failure["error"] == "ImportError":
            self._fail_unread(
                f'"{self._name}" was not read: the reader does not start ({words}). '
                "Install Bifocal's requirements again."
            )
        msg = (
            f'"{self._name}" is not readable: it is damaged or cut short. Download or export '
            "it again."
        )
        raise PdfReadError(msg)

    def _fail_unread(self, words: str, cause: Exception | None = None) -> NoReturn:
        self.close()
        raise PdfReadError(words) from cause
