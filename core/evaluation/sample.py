"""Every system measured on the sample library's queries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from core.evaluation.evaluate import measure_runs
from core.evaluation.records import Evaluation, Measured
from core.evaluation.render import part_fields, to_fields
from core.library.sample import load_sample_queries, sample_qrels
from core.records import LEXICAL, Family, Query, SystemInfo

if TYPE_CHECKING:
    from pathlib import Path

    from core.library.library import Library
    from core.monitor import Monitor

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
