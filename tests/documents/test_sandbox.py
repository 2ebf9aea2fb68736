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

from core.documents import PdfWorker, read_document, worker
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
    limits = ExtractionLimits(output_bytes=3_000)
    with pytest.raises(LimitExceededError, match=r'"a.pdf" was not read: its text takes more than'):
        read_document(pdfs.plain_pdf(), "a.pdf", limits=limits)
    limits = ExtractionLimits(output_bytes=20_000)  # each page fits, all of them do not
    with pytest.raises(LimitExceededError, match=r'"a.pdf" was not read: its text takes more than'):
        read_document(pdfs.plain_pdf([pdfs.PROSE] * 5), "a.pdf", limits=limits)


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
    with PdfWorker(ExtractionLimits()) as running:
        first = read_document(pdfs.plain_pdf(), "a.pdf", pdf_worker=running)
        with pytest.raises(PdfReadError):
            read_document(b"%PDF-1.4 nothing", "b.pdf", pdf_worker=running)
        assert running.alive
        again = read_document(pdfs.plain_pdf(), "c.pdf", pdf_worker=running)
    assert first.text == again.text
    assert not running.alive


def test_a_worker_that_dies_is_explained_and_not_waited_for() -> None:
    with PdfWorker(ExtractionLimits()) as running:
        running.open(
            pdfs.plain_pdf([pdfs.PROSE] * 3), "a.pdf", password=None, monitor=SilentMonitor()
        )
        os.kill(running.process_id, signal.SIGSEGV)
        with pytest.raises(
            PdfReadError, match=r'"a.pdf" is damaged: the PDF reader broke down at page'
        ):
            list(running.pages(1, 3))
        assert not running.alive


def test_a_worker_that_the_system_kills_ran_out_of_memory() -> None:
    with PdfWorker(ExtractionLimits()) as running:
        running.open(pdfs.plain_pdf(), "a.pdf", password=None, monitor=SilentMonitor())
        os.kill(running.process_id, signal.SIGKILL)
        with pytest.raises(LimitExceededError, match="more than 2,048 MiB of memory"):
            list(running.pages(1, 1))


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
        "import sys, runpy; runpy.run_path(sys.argv[1], run_name='look'); import pypdfium2.raw; "
        "print(sorted({name.split('.')[0] for name in sys.modules} "
        "& {'torch', 'transformers', 'gradio', 'numpy', 'faiss', 'core', 'pypdf'}))"
    )
    listed = subprocess.run(
        [sys.executable, "-I", "-c", script, worker.__file__],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform == "win32", reason="the parent's end closes the pipe there")
def test_the_worker_ends_with_its_parent() -> None:
    script = (
        "import os, sys, time\n"
        "from core.documents import PdfWorker\n"
        "from core.settings import ExtractionLimits\n"
        "print(PdfWorker(ExtractionLimits()).process_id, flush=True)\n"
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
    monkeypatch.setattr("core.documents.sandbox._WATCH_MEMORY", True)
    used = SimpleNamespace(rss=3 * 1024**3)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda _: used)
    with pytest.raises(LimitExceededError, match="more than 2,048 MiB of memory"):
        read_document(slow, "a.pdf")
