"""``make bench``: measure everything the docs state and write it down.

Every figure comes out of one run on one machine; what counts are the ratios. ``--only NAME`` runs
one part, ``--write`` renews ``assets/benchmarks/bench.json`` and its README table.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from tests.bench import bench_app, bench_documents, bench_encoders, bench_search
from tests.data import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = ROOT / "assets" / "benchmarks" / "bench.json"
PDF_FOLDER = ROOT.parent / "shared" / "data" / "pdf"


def parts() -> dict[str, Callable[[], Any]]:
    """Return what can be measured here, by name."""
    found: dict[str, Callable[[], Any]] = {
        "start-up": bench_app.start_up,
        "extraction": bench_documents.bench_extraction,
        "embedding against sentence-transformers": bench_encoders.against_sentence_transformers,
        "bundled arms": bench_encoders.bundled_speed,
        "query latency": bench_search.all_query_latencies,
        "growth": bench_app.growth_cost,
    }
    if PDF_FOLDER.is_dir():
        found["indexing memory"] = lambda: bench_app.indexing_memory(PDF_FOLDER)
    return found


def main(arguments: list[str]) -> int:
    """Measure, print, and keep on demand."""
    available = parts()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(available))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    kept: dict[str, Any] = {}
    if TARGET.exists():
        kept = json.loads(TARGET.read_text(encoding="utf-8"))
    for name in options.only or available:
        found = {"machine": bench_app.machine(), "figures": available[name]()}
        sys.stdout.write(json.dumps({name: found}, indent=1) + "\n")
        sys.stdout.flush()
        kept[name] = found
        if options.write:
            TARGET.parent.mkdir(parents=True, exist_ok=True)
            TARGET.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
