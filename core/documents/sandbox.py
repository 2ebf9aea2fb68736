"""The parent's side of the PDF worker: starts it, talks to it, watches the clock, kills it.

A process, because native calls cannot be interrupted from Python, PDFium is not thread-safe, and
page handlers run in threads where no alarm signal works. The worker is started with
`subprocess` (not `multiprocessing`), so that nothing of the main program is imported in it.
"""

from __future__ import annotations

import contextlib
import json
import platform
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from core.documents import worker
from core.errors import (
    EncryptedPdfError,
    LimitExceededError,
    PdfReadError,
    WrongPasswordError,
)
from core.monitor import Monitor, SilentMonitor, raise_if_stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from core.settings import ExtractionLimits

POLL_SECONDS = 0.05
OPENING_PAGES = 3  # opening a file may take as long as this many pages
STARTING_SECONDS = 30.0
_QUEUE_FRAMES = 64
_WATCH_MEMORY = platform.system() != "Linux"  # elsewhere RLIMIT_AS is missing or not enforced
_MEMORY_SIGNALS = {"SIGKILL", "SIGABRT", "SIGTRAP", "SIGILL"}


def _high_water_mark(process_id: int) -> int:
    """Return the most memory a process ever held, in bytes; 0 where the system does not say."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    _, _, rest = status.partition("VmHWM:")
    return int(rest.split()[0]) * 1024 if rest.split() else 0


class WorkerOverrunError(Exception):
    """The worker was killed at a limit; the text says which."""


class PdfWorker:
    """A worker process that reads PDFs within `ExtractionLimits`.

    A context manager: leaving it kills the process. One file is open at a time; a new `open`
    closes the one before. After any error but an ordinary answer the process is gone, and
    `alive` is false.
    """

    def __init__(self, limits: ExtractionLimits) -> None:
        self.limits = limits
        self._monitor: Monitor = SilentMonitor()
        self._name = ""
        self._file_deadline = 0.0
        self._received_bytes = 0
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
        paths = [entry for entry in sys.path if entry and Path(entry).is_absolute()]
        request = {"path": paths, "memory_bytes": limits.memory_bytes}
        self._send(worker.CONFIGURE, request)

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

    def open(self, data: bytes, name: str, *, password: str | None, monitor: Monitor) -> int:
        """Open a file and return how many pages it has.

        Raises:
            EncryptedPdfError: It needs a password and none was given.
            WrongPasswordError: The password does not open it.
            PdfReadError: PDFium cannot open it.
            LimitExceededError: It cost more than the limits allow.
            StoppedError: The user pressed Stop.
        """
        self._name = name
        self._monitor = monitor
        self._received_bytes = 0
        self._file_deadline = time.monotonic() + self.limits.file_seconds
        request = {"password": password, "cpu_seconds": self.limits.cpu_seconds}
        seconds = STARTING_SECONDS + OPENING_PAGES * self.limits.page_seconds
        if self.limits.page_seconds < 1.0:  # tests use tiny limits; starting takes what it takes
            seconds = min(seconds, self.limits.file_seconds)
        with self._overrun_is_error():
            self._send(worker.OPEN, request, data)
            content = self._receive({worker.OPENED}, seconds, "opening it", password)[1]
            return int(json.loads(content)["pages"])

    def pages(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the page frames ``first`` to ``last``; see `worker.PAGE_HEADER`."""
        request = {"first": first, "last": last, "chars_per_page": self.limits.chars_per_page}
        with self._overrun_is_error():
            self._send(worker.READ_PAGES, request)
            for number in range(first, last + 1):
                what = f"page {number}"
                yield self._receive({worker.PAGE}, self.limits.page_seconds, what)[1]
            self._receive({worker.DONE}, self.limits.page_seconds, f"page {last}")

    def second_opinions(self, pages: list[int]) -> dict[int, str]:
        """Return what pypdf reads on these pages.

        An overrun here costs only the pages that are missing from the answer: the first reader's
        text is already at hand. The worker is gone then.
        """
        texts: dict[int, str] = {}
        request = {"pages": pages, "chars_per_page": self.limits.chars_per_page}
        with contextlib.suppress(WorkerOverrunError, PdfReadError):
            self._send(worker.SECOND_OPINION, request)
            seconds = 2 * self.limits.page_seconds  # the first answer includes opening the file
            while True:
                kind, content = self._receive(
                    {worker.SECOND, worker.DONE}, seconds, "the second reader"
                )
                if kind == worker.DONE:
                    break
                texts[int.from_bytes(content[:4], sys.byteorder)] = content[4:].decode()
                seconds = self.limits.page_seconds
        return texts

    def render(self, page_number: int, width_pixels: int) -> bytes:
        """Return a page as PNG."""
        request = {"page_number": page_number, "width_pixels": width_pixels}
        with self._overrun_is_error():
            self._send(worker.RENDER, request)
            what = f"drawing page {page_number}"
            return self._receive({worker.IMAGE}, self.limits.page_seconds, what)[1]

    def close(self) -> None:
        """Kill the process and collect it."""
        self._closed.set()
        if self._process.returncode is None:
            self._note_memory()
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()

    # -- inside ------------------------------------------------------------------------------

    def _note_memory(self) -> int:
        """Return what the process holds now, in bytes, and remember the most it ever held.

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

    def _send(self, kind: bytes, request: dict[str, Any], data: bytes | None = None) -> None:
        """Send from a thread, so that a worker that does not read cannot hold the parent up."""
        stream = self._process.stdin
        if stream is None or not self.alive:
            return  # `_receive` finds the process gone and says why

        def feed() -> None:
            with contextlib.suppress(OSError, ValueError):
                worker.write_frame(stream, kind, json.dumps(request).encode())
                if data is not None:
                    worker.write_frame(stream, worker.DATA, data)

        if data is None:
            feed()
        else:
            threading.Thread(target=feed, daemon=True).start()

    @contextlib.contextmanager
    def _overrun_is_error(self) -> Iterator[None]:
        try:
            yield
        except WorkerOverrunError as exc:
            msg = f'"{self._name}" was not read: {exc}'
            raise LimitExceededError(msg) from exc

    def _receive(
        self, expected: set[bytes], seconds: float, what: str, password: str | None = None
    ) -> tuple[bytes, bytes]:
        """Return the next answer, or kill the worker and say why there is none."""
        deadline = time.monotonic() + seconds
        while True:
            if self._monitor.stop_requested():
                self.close()
                raise_if_stopped(self._monitor)
            try:
                frame = self._frames.get(timeout=POLL_SECONDS)
            except queue.Empty:
                self._check_clock(deadline, seconds, what)
                self._check_memory()
                continue
            if frame is None:
                self._explain_end(what)
            else:
                break
        if time.monotonic() > self._file_deadline:
            self._check_clock(deadline, seconds, what)
        kind, content = frame
        self._received_bytes += len(content)
        if self._received_bytes > self.limits.output_bytes:
            self._kill_for_output()
        if kind == worker.FAILED:
            self._explain_failure(json.loads(content), password)
        if kind not in expected:
            self.close()
            msg = f'"{self._name}" was not read: the reader answered out of turn.'
            raise PdfReadError(msg)
        return kind, content

    def _check_clock(self, deadline: float, seconds: float, what: str) -> None:
        now = time.monotonic()
        if now > self._file_deadline:
            self.close()
            raise WorkerOverrunError(
                f"it took longer than {self.limits.file_seconds:g} seconds in all. "
                "Split it into smaller files and add those."
            )
        if now > deadline:
            self.close()
            raise WorkerOverrunError(
                f"{what} took longer than {seconds:g} seconds. "
                "Print it to a new PDF, or leave that page out."
            )

    def _check_memory(self) -> None:
        """Note the memory, and where the kernel sets no limit, do that as well."""
        if self._note_memory() > self.limits.memory_bytes and _WATCH_MEMORY:
            self.close()
            raise WorkerOverrunError(self._memory_words())

    def _memory_words(self) -> str:
        mebibytes = self.limits.memory_bytes // (1024 * 1024)
        return (
            f"it needs more than {mebibytes:,} MiB of memory. "
            "Print it to a new PDF, or split it into smaller files."
        )

    def _kill_for_output(self) -> None:
        self.close()
        mebibytes = self.limits.output_bytes // (1024 * 1024)
        raise WorkerOverrunError(
            f"its text takes more than {mebibytes:,} MiB. Split it into smaller files."
        )

    def _explain_end(self, what: str) -> None:
        """Say why the worker ended by itself."""
        if self._too_long:
            self._kill_for_output()
        self._process.wait()
        self.close()
        code = self._process.returncode
        ended_by = ""
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                ended_by = signal.Signals(-code).name
        if ended_by == "SIGXCPU":
            raise WorkerOverrunError(
                f"it needs more than {self.limits.cpu_seconds} seconds of computing. "
                "Split it into smaller files and add those."
            )
        if ended_by == "SIGKILL" or (
            ended_by in _MEMORY_SIGNALS and self._peak_bytes > self.limits.memory_bytes // 3
        ):
            raise WorkerOverrunError(self._memory_words())
        how = ended_by or f"exit code {code}"
        msg = (
            f'"{self._name}" is damaged: the PDF reader broke down at {what} ({how}). '
            "Print it to a new PDF and add that."
        )
        raise PdfReadError(msg)

    def _explain_failure(self, failure: dict[str, str], password: str | None) -> None:
        """Turn a worker's answer into the error it stands for. The worker lives on."""
        kind = failure["kind"]
        name = self._name
        if kind == "memory":
            self.close()  # what is left of its address space is anyone's guess
            raise WorkerOverrunError(self._memory_words())
        if kind == "password":
            if password is None:
                msg = (
                    f'"{name}" is encrypted. Give its password, or remove the password and '
                    "add the file again."
                )
                raise EncryptedPdfError(msg)
            msg = f'The password does not open "{name}". Check it and try again.'
            raise WrongPasswordError(msg)
        if kind == "security":
            msg = (
                f'"{name}" is encrypted in a way this reader does not know. Print it to a new '
                "PDF without encryption and add that."
            )
            raise PdfReadError(msg)
        if kind == "start":
            msg = (
                f'"{name}" was not read: the PDF reader does not start ({failure["detail"]}). '
                "Install Bifocal's requirements again."
            )
            raise PdfReadError(msg)
        if kind == "page":
            msg = f'"{name}": {failure["detail"]} is damaged and cannot be drawn.'
            raise PdfReadError(msg)
        msg = (
            f'"{name}" is not a readable PDF: it is damaged or cut short. Download or export '
            "it again."
        )
        raise PdfReadError(msg)
