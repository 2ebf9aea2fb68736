"""Every system measured on the sample library's queries."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from core.evaluation.evaluate import measure_runs
from core.evaluation.records import Evaluation, Measured
from core.evaluation.render import part_fields, to_fields
from core.library.library import Library
from core.library.sample import QUERIES_FILE, load_sample_queries, sample_qrels
from core.monitor import Monitor
from core.records import LEXICAL, Family, Query, Ranking, SystemInfo

MEASURED_DEPTH = 100
FUSION = SystemInfo("rrf", Family.FUSION, "Both encoders fused (RRF)")
SAMPLE_NOTES = (
    "The same hand wrote documents and queries: the figures show tendencies, not the second "
    "decimal.",
    "Re-made by `python -m core sample --write`.",
)


def measure_sample(
    library: Library, folder: Path, *, monitor: Monitor | None = None
) -> dict[str, Any]:
    """Measure every system on the sample queries, all together and by group.

    Returns:
        The fields of `core.evaluation.render.to_fields`, and the same per group under ``groups``.
    """
    started = time.perf_counter()
    queries = load_sample_queries(folder)
    documents = [library.document(report.doc_id) for report in library.documents()]
    pair = library.encoders.pair()
    systems = [library.encoders.info(spec) for spec in pair]
    view = library.view([*systems, LEXICAL, FUSION])
    qrels = sample_qrels(queries, documents, view.passages)
    runs = view.searcher.run(
        [Query(query.query_id, query.text) for query in queries], k=MEASURED_DEPTH, monitor=monitor
    )
    infos = {info.system_id: info for info in (*systems, LEXICAL, FUSION)}

    def measured(wanted: set[str], name: str) -> Measured:
        return measure_runs(
            {query_id: grades for query_id, grades in qrels.items() if query_id in wanted},
            {
                system_id: (infos[system_id], [r for r in rankings if r.query_id in wanted])
                for system_id, rankings in runs.items()
            },
            name=name,
            passages=len(view.passages),
        )

    name = "Sample library"
    fields = to_fields(
        Evaluation(
            dataset=name,
            unit=library.settings.chunking.unit,
            whole=measured({query.query_id for query in queries}, name),
            lengths=(),
            pair=(pair[0].encoder_id, pair[1].encoder_id),
            seconds=time.perf_counter() - started,
            notes=SAMPLE_NOTES,
        )
    )
    groups = dict.fromkeys(query.group for query in queries)
    fields["groups"] = [
        {
            "group": group.value,
            **part_fields(
                measured({one.query_id for one in queries if one.group is group}, group.value)
            ),
        }
        for group in groups
    ]
    return fields


def parting(one: Ranking, other: Ranking, right: Collection[str]) -> float:
    """Return the difference of two rankings' reciprocal ranks of their nearest right passage."""
    nearest = (
        max((1 / hit.rank for hit in ranking.hits if hit.passage_id in right), default=0.0)
        for ranking in (one, other)
    )
    return abs(next(nearest) - next(nearest))


def order_sample(library: Library, folder: Path, *, monitor: Monitor | None = None) -> None:
    """Write the sample queries in the order of how far the two encoders part on the answer.

    The page offers the first query first, and each group in this order.
    """
    queries = load_sample_queries(folder)
    documents = [library.document(report.doc_id) for report in library.documents()]
    pair = [library.encoders.info(spec) for spec in library.encoders.pair()]
    view = library.view(pair)
    qrels = sample_qrels(queries, documents, view.passages)
    asked = [Query(query.query_id, query.text) for query in queries]
    runs = view.searcher.run(asked, k=MEASURED_DEPTH, monitor=monitor)
    apart = {
        one.query_id: parting(one, other, qrels[one.query_id])
        for one, other in zip(*(runs[info.system_id] for info in pair), strict=True)
    }
    path = folder / QUERIES_FILE
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    lines.sort(
        key=lambda line: (-apart[json.loads(line)["query_id"]], json.loads(line)["query_id"])
    )
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
