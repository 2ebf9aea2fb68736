"""The running program: seconds to a usable page, memory while indexing, cost as the corpus grows."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from core.library.ingest import SourceFile
from core.store.workspace import Workspace
from tests.data import ROOT
from tests.encoders.fake import FakeEncoder
from tests.library.tiny import make_library

MANUALS = ("r-exts_texinfo_long.pdf", "debian-policy_long.pdf")
_MEBIBYTE = 1024 * 1024


def start_up(*, browser: bool = True) -> dict[str, float]:
    """Seconds from ``python app.py`` to the first answer, and to a page that takes a query."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        # The browser is there before: what is measured is the program, not Chromium's own start.
        page = stack.enter_context(_blank_page()) if browser else None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        started = time.perf_counter()
        command = [sys.executable, "app.py", "--port", str(port), "--data", folder]
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}/"
            _wait_for(url)
            found = {"first_answer_seconds": round(time.perf_counter() - started, 2)}
            if page is not None:
                page.goto(url)
                box = page.locator("#bf-query textarea, #bf-query input").first
                box.wait_for(state="visible")
                found["usable_page_seconds"] = round(time.perf_counter() - started, 2)
        finally:
            server.terminate()
            server.wait(timeout=20)
    return found


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  our own server
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    msg = f"{url} did not answer within two minutes"
    raise TimeoutError(msg)


@contextmanager
def _blank_page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield chromium.new_page()
        chromium.close()


def indexing_memory(pdf_folder: Path) -> dict[str, float]:
    """Peak memory of the whole process tree while indexing two long manuals with both encoders."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(pdf_folder / name) for name in MANUALS]
        command = [sys.executable, "-m", "core", "index", *paths, "--workspace", folder, "--json"]
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        peak = _Peak(process.pid)
        output, _errors = process.communicate()
        peak.stop()
        report = json.loads(output)
        return {
            "pages": sum(line["pages"] for line in report["documents"]),
            "passages": sum(line["passages"] for line in report["documents"]),
            "tokens": sum(line["tokens"] for line in report["documents"]),
            "seconds": round(time.perf_counter() - started, 1),
            "peak_mebibytes": round(peak.bytes / _MEBIBYTE, 0),
        }


class _Peak:
    """Watches the resident memory of a process and its children."""

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            try:
                tree = [self._process, *self._process.children(recursive=True)]
                self.bytes = max(self.bytes, sum(p.memory_info().rss for p in tree))
            except psutil.Error:
                continue  # a child ended between the two calls

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()


def growth_cost(*, steps: int = 8, documents_each: int = 40, words: int = 1500) -> dict[str, Any]:
    """Milliseconds per passage to read, cut, embed (fake encoder) and keep, as a library grows."""
    generator = np.random.default_rng(0)
    vocabulary = np.array([f"w{number}" for number in range(5000)])
    encoder = FakeEncoder()
    costs, sizes = [], []
    with tempfile.TemporaryDirectory() as folder, Workspace.open(Path(folder) / "w") as workspace:
        library = make_library(workspace, encoder)
        for step in range(steps):
            files = [
                SourceFile(
                    f"{step}-{number}.txt",
                    data=". ".join(
                        " ".join(generator.choice(vocabulary, 15)) for _ in range(words // 15)
                    ).encode(),
                )
                for number in range(documents_each)
            ]
            before = len(library.passages())
            started = time.perf_counter()
            library.add(files)
            seconds = time.perf_counter() - started
            sizes.append(len(library.passages()))
            costs.append(1000 * seconds / (sizes[-1] - before))
    half = steps // 2
    return {
        "passages": sizes,
        "milliseconds_per_passage": [round(cost, 2) for cost in costs],
        "second_half_to_first": round(float(np.mean(costs[half:]) / np.mean(costs[:half])), 2),
    }


def machine() -> dict[str, Any]:
    """What this was measured on."""
    return {
        "cores": os.cpu_count(),
        "memory_gibibytes": round(psutil.virtual_memory().total / 1024**3, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }
