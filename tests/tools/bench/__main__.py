"""``make bench``: measure everything the docs state and write it down.

Every figure comes out of one run on one machine; what counts are the ratios. ``--only NAME`` runs
one part, ``--write`` renews ``assets/benchmarks/bench.json`` and its README table.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.data import ROOT
from tests.tools.bench import (
    bench_app,
    bench_documents,
    bench_encoders,
    bench_evaluation,
    bench_laboratory,
    bench_search,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = ROOT / "assets" / "benchmarks" / "bench.json"
PDF_FOLDER = ROOT.parent / "shared" / "data" / "pdf"


def parts(workspace: Path | None = None) -> dict[str, Callable[[], Any]]:
    """Return what can be measured here, by name.

    Args:
        workspace: A library of about 1,000 passages for the part "disagreements".
    """
    found: dict[str, Callable[[], Any]] = {
        "start-up": bench_app.start_up,
        "extraction": lambda: bench_documents.bench_extraction(
            PDF_FOLDER if PDF_FOLDER.is_dir() else None
        ),
        "embedding against sentence-transformers": bench_encoders.against_sentence_transformers,
        "bundled arms": bench_encoders.bundled_speed,
        "query latency": bench_search.all_query_latencies,
        "growth": bench_app.growth_cost,
        "how often 95 % intervals hold": bench_evaluation.coverage,
        "how often an interval that is watched ever misses": bench_evaluation.looks,
        "how the gate answers releases at the edge of what it allows": bench_evaluation.releases,
        "disagreements": lambda: bench_laboratory.disagreements(PDF_FOLDER, workspace),
    }
    if PDF_FOLDER.is_dir():
        found["indexing memory"] = lambda: bench_app.indexing_memory(PDF_FOLDER)
    return found


def readme(kept: dict[str, Any]) -> str:
    """Return the figures as a page for people."""
    lines = [
        "# Measured",
        "",
        "Written by `make bench` (`python -m tests.tools.bench --write`); `bench.json` holds the same.",
        "What counts are the ratios, each measured within one run; absolute figures are of the "
        "machine named beside them.",
        "The other files here are written by `python -m core evaluate --json` and "
        "`python -m core sample --write`.",
    ]
    for name, found in kept.items():
        machine = found["machine"]
        lines += [
            "",
            f"## {name[:1].upper()}{name[1:]}",
            "",
            f"{machine['cores']} cores, {machine['memory_gibibytes']} GiB, "
            f"load {machine['load_before']} before it began.",
            "",
            *_rows(found["figures"]),
        ]
    return "\n".join(lines) + "\n"


def _rows(figures: Any) -> list[str]:
    """Return a table: a row per measurement, or per figure when there is one measurement."""
    if isinstance(figures, list):
        columns = list(figures[0])
        return [
            "| " + " | ".join(column.replace("_", " ") for column in columns) + " |",
            "|" + "---|" * len(columns),
            *("| " + " | ".join(str(line[c]) for c in columns) + " |" for line in figures),
        ]
    return [
        "| figure | value |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {value} |" for name, value in _flat(figures)),
    ]


def _flat(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}: ")
        else:
            found.append((prefix + name, value))
    return found


def main(arguments: list[str]) -> int:
    """Measure, print, and keep on demand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(parts()))
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--workspace", type=Path, help="for disagreements: a library made before")
    options = parser.parse_args(arguments)
    available = parts(options.workspace)
    kept: dict[str, Any] = {}
    if TARGET.exists():
        kept = json.loads(TARGET.read_text(encoding="utf-8"))
    for name in options.only or available:
        found = {"machine": bench_app.machine(), "figures": available[name]()}
        sys.stdout.write(json.dumps({name: found}, indent=1) + "\n")
        sys.stdout.flush()
        if isinstance(found["figures"], dict) and "skipped" in found["figures"]:
            continue  # what was measured elsewhere stands
        kept[name] = found
        if options.write:
            TARGET.parent.mkdir(parents=True, exist_ok=True)
            TARGET.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            TARGET.with_name("README.md").write_text(readme(kept), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
