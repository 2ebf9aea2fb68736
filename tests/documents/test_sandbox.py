"""The worker process: limits, Stop, crashes, and what becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pytest
from typing_extensions import override

from core.documents import Worker, read_document, worker
from core.errors import LimitExceededError, PdfReadError, StoppedError
from core.monitor import Progress, SilentMonitor
from core.settings import ExtractionLimits
from tests import pdfs


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> object:
    before = children()
    yield
    assert children() <= before


@pytest.fixture(scope="module")
def slow() -> bytes:
    return pdfs.slow_pdf(1_500_000)


def test_a_page_that_takes_too_long_is_killed_and_named(slow: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(
        LimitExceededError, match=r'"a.pdf" was not read: page 1 took longer than 0.3'
    ):
        read_document(slow, "a.pdf", limits=ExtractionLimits(page_seconds=0.3))
    assert time.monotonic() - started < 10


def test_a_file_that_takes_too_long_is_killed_and_named(slow: bytes) -> None:
    with pytest.raises(LimitExceededError, match=r'"a.pdf" was not read: it took longer than 0.5'):
        read_document(slow, "a.pdf", limits=ExtractionLimits(file_seconds=0.5))


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_CPU")
def test_computing_too_long_is_killed_and_named(slow: bytes) -> None:
    with pytest.raises(LimitExceededError, match="needs more than 1 seconds of computing"):
        read_document(slow, "a.pdf", limits=ExtractionLimits(cpu_seconds=1))


def test_too_much_output_is_killed_and_named() -> None:
    limits = ExtractionLimits(output_bytes=300)
    with pytest.raises(LimitExceededError, match=r'"a.pdf" was not read: its text takes more than'):
        read_document(pdfs.plain_pdf(), "a.pdf", limits=limits)


class StopAfter:
    """Presses Stop some time after it was made."""

    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds

    def report(self, progress: Progress) -> None:
        pass

    def stop_requested(self) -> bool:
        return time.monotonic() > self.deadline


def test_stop_kills_the_worker_in_the_middle_of_a_page(slow: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(StoppedError):
        read_document(slow, "a.pdf", monitor=StopAfter(0.4))
    assert time.monotonic() - started < 4


def test_a_worker_reads_many_files_and_survives_refusals() -> None:
    with Worker(ExtractionLimits()) as running:
        first = read_document(pdfs.plain_pdf(), "a.pdf", worker_process=running)
        with pytest.raises(PdfReadError):
            read_document(b"%PDF-1.4 nothing", "b.pdf", worker_process=running)
        assert running.alive
        again = read_document(pdfs.plain_pdf(), "c.pdf", worker_process=running)
    assert first.text == again.text
    assert not running.alive


class KillAtFirstPage(SilentMonitor):
    """Ends a worker when its first page comes."""

    def __init__(self, running: Worker, number: signal.Signals) -> None:
        self.running, self.number = running, number

    @override
    def report(self, progress: Progress) -> None:
        os.kill(self.running.process_id, self.number)


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (signal.SIGSEGV, PdfReadError, '"a.pdf" is damaged: the reader broke down at'),
        (signal.SIGKILL, LimitExceededError, "more than 2,048 MiB of memory"),
    ],
)
def test_a_worker_that_dies_is_explained_and_not_waited_for(
    number: signal.Signals, error: type[Exception], words: str
) -> None:
    with Worker(ExtractionLimits()) as running:
        monitor = KillAtFirstPage(running, number)
        with pytest.raises(error, match=words):
            read_document(
                pdfs.many_pages_pdf(900), "a.pdf", monitor=monitor, worker_process=running
            )
        assert not running.alive


def test_many_threads_read_at_once() -> None:
    texts: list[str] = []

    def read() -> None:
        texts.append(read_document(pdfs.plain_pdf(), "a.pdf").text)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(texts) == 4
    assert len(set(texts)) == 1


def test_the_worker_imports_nothing_heavy() -> None:
    script = (
        "import sys, core.documents.extraction; "
        "print(sorted({name.split('.')[0] for name in sys.modules} "
        "& {'torch', 'transformers', 'gradio', 'faiss', 'pypdf', 'scipy'}))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert listed.stdout.strip() == "[]"


def test_plain_text_is_read_in_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.documents.plain.decoded", None)  # here, in this process
    assert read_document(b"Some words.", "a.txt").text == "Some words."


# U+FDFA stands for a phrase of 18 letters.
def test_limits_hold_after_normalisation() -> None:
    text = ("\ufdfa" * 100).encode()
    with pytest.raises(LimitExceededError, match="more than 1,700 characters"):
        read_document(text, "a.txt", limits=ExtractionLimits(chars=1_700))
    assert len(read_document(text, "a.txt", limits=ExtractionLimits(chars=1_800)).text) == 1_800


@pytest.mark.skipif(sys.platform == "win32", reason="the parent's end closes the pipe there")
def test_the_worker_ends_with_its_parent() -> None:
    script = (
        "import os, sys, time\n"
        "from core.documents import Worker\n"
        "from core.settings import ExtractionLimits\n"
        "print(Worker(ExtractionLimits()).process_id, flush=True)\n"
        "os._exit(0)\n"
    )
    root = os.fspath(worker.__file__).removesuffix("/core/documents/worker.py")
    parent = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
    )
    orphan = int(parent.stdout)
    deadline = time.monotonic() + 5
    while psutil.pid_exists(orphan) and time.monotonic() < deadline:
        if psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    else:
        assert not psutil.pid_exists(orphan)


def test_memory_watch_stands_in_where_the_kernel_does_not(
    monkeypatch: pytest.MonkeyPatch, slow: bytes
) -> None:
    monkeypatch.setattr("core.documents.reading._WATCH_MEMORY", True)
    used = SimpleNamespace(rss=3 * 1024**3)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda _: used)
    with pytest.raises(LimitExceededError, match="more than 2,048 MiB of memory"):
        read_document(slow, "a.pdf")
