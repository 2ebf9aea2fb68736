"""The laboratory at the size the docs promise: 1,000 drafted queries over 1,000 passages."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.data import ROOT

# about 1,000 passages together
FILES = (
    "debian-policy_long.pdf",
    "usgov_federal_register_3col.pdf",
    "latex-two-column.pdf",
    "outlines.pdf",
    "usgov_senate_expenditures.pdf",
    "google-docs.pdf",
)
DRAFTS = 1000


def disagreements(pdf_folder: Path, workspace: Path | None = None) -> dict[str, Any]:
    """Seconds and processor seconds of ``core disagree`` over a library of real manuals.

    Args:
        pdf_folder: Where the manuals are; used when there is no workspace yet.
        workspace: A library made before; None indexes the manuals into a temporary one, which
            takes longer than the measurement and is not measured.
    """
    missing = [name for name in FILES if not (pdf_folder / name).is_file()]
    if workspace is None and missing:
        return {"skipped": f"{pdf_folder} lacks {', '.join(missing)}"}
    with tempfile.TemporaryDirectory() as folder:
        if workspace is None:
            workspace = Path(folder)
            _core("index", *(str(pdf_folder / name) for name in FILES), workspace=workspace)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        report = _core("disagree", "--drafts", str(DRAFTS), workspace=workspace)
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "passages": report["passages"],
        "queries": report["drafts"],
        "finished": len(report["findings"]),
        "seconds": round(seconds, 1),
        "processor_seconds": round(used, 1),
        "seconds_on_two_idle_cores_at_best": round(used / 2, 1),
    }


def _core(*arguments: str, workspace: Path) -> Any:
    command = [sys.executable, "-m", "core", *arguments, "--workspace", str(workspace), "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)
