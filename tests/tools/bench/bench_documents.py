"""How fast and how frugal reading PDFs is, against pypdf alone on the same files in one run."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pypdf

from core.documents import chunk_document, document_to_bytes, read_document, render_page
from core.settings import ChunkingSettings
from tests import pdfs
from tests.data import ROOT

LONG_MANUALS = ("r-exts_texinfo_long.pdf", "debian-policy_long.pdf")
REAL_FILES = (
    *LONG_MANUALS,
    "developers-reference.pdf",
    "geotopo_pdflatex_german.pdf",
    "usgov_federal_register_3col.pdf",
    "latex-two-column.pdf",
)

_READ_AND_REPORT = """
import json, sys
from pathlib import Path
from core.documents import Worker, read_document
from core.documents.reading import _high_water_mark
from core.settings import ExtractionLimits
import os
path = Path(sys.argv[1])
data = path.read_bytes()
before = _high_water_mark(os.getpid())
with Worker(ExtractionLimits()) as running:
    document = read_document(data, path.name, worker_process=running)
print(json.dumps({
    "pages": len(document.pages),
    "worker_peak_mib": round(running.peak_bytes / 2**20, 1),
    "reader_peak_mib": round(_high_water_mark(os.getpid()) / 2**20, 1),
    "reader_before_mib": round(before / 2**20, 1),
}))
"""


def bench_extraction(folder: Path | None = None, *, repeats: int = 3) -> dict[str, Any]:
    """Measure pages per second, ours (worker, boxes and all) and pypdf's text alone.

    Args:
        folder: With the real PDFs; without it one of our own of 200 pages is made.
        repeats: The best of so many runs counts, for each side.

    Returns:
        Pages, seconds and pages per second of both and the ratio, per file and in all; peak
        memory of the reading process and of its worker; seconds for chunking and drawing a page.
    """
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings would be timed too
    files = {}
    if folder is not None:
        files = {name: (folder / name).read_bytes() for name in REAL_FILES}
    else:
        files["made.pdf"] = pdfs.plain_pdf([f"{pdfs.PROSE} " * 8] * 200)
    per_file: dict[str, dict[str, float]] = {}
    pages = 0
    ours_seconds = pypdf_seconds = 0.0
    for name, data in files.items():
        ours = min(
            _seconds(lambda data=data, name=name: read_document(data, name)) for _ in range(repeats)
        )
        alone = min(_seconds(lambda data=data: _pypdf_text(data)) for _ in range(min(repeats, 2)))
        count = len(read_document(data, name).pages)
        pages += count
        ours_seconds += ours
        pypdf_seconds += alone
        per_file[name] = {
            "pages": count,
            "pages_per_second": round(count / ours, 1),
            "pypdf_pages_per_second": round(count / alone, 1),
            "ratio": round(alone / ours, 1),
        }
    name, data = next(iter(files.items()))
    document = read_document(data, name)
    settings = ChunkingSettings()
    return {
        "pages": pages,
        "seconds": round(ours_seconds, 3),
        "pages_per_second": round(pages / ours_seconds, 1),
        "pypdf_seconds": round(pypdf_seconds, 3),
        "pypdf_pages_per_second": round(pages / pypdf_seconds, 1),
        "ratio_to_pypdf": round(pypdf_seconds / ours_seconds, 1),
        "files": per_file,
        "chunking_seconds": round(
            _seconds(lambda: chunk_document(document, count_tokens=_words, settings=settings)), 3
        ),
        "stored_bytes_per_char": round(len(document_to_bytes(document)) / len(document.text), 2),
        "page_image_seconds": round(
            min(_seconds(lambda: render_page(data, 1)) for _ in range(3)), 3
        ),
        "memory": {} if folder is None else {name: _memory(folder / name) for name in LONG_MANUALS},
    }


def _words(texts: Any) -> list[int]:
    return [len(text.split()) for text in texts]


def _pypdf_text(data: bytes) -> int:
    return sum(len(page.extract_text()) for page in pypdf.PdfReader(io.BytesIO(data)).pages)


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _memory(path: Path) -> dict[str, float]:
    """Read one file in a fresh process and return what it and its worker held at most."""
    finished = subprocess.run(
        [sys.executable, "-c", _READ_AND_REPORT, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    measured: dict[str, float] = json.loads(finished.stdout)
    return measured


if __name__ == "__main__":
    shared = ROOT.parent / "shared" / "data" / "pdf"
    found = bench_extraction(shared if shared.is_dir() else None)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
