"""Every system measured on the sample library's queries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from core.evaluation.evaluate import measure_runs
from core.evaluation.records import Evaluation
from core.evaluation.render import to_fields
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

    def measured(wanted: set[str], name: str) -> dict[str, Any]:
        part = measure_runs(
            {query_id: grades for query_id, grades in qrels.items() if query_id in wanted},
            {
                system_id: (infos[system_id], [r for r in rankings if r.query_id in wanted])
                for system_id, rankings in runs.items()
            },
            name=name,
            passages=len(view.passages),
        )
        evaluation = Evaluation(
            dataset=name,
            unit=library.settings.chunking.unit,
            whole=part,
            lengths=(),
            pair=(pair[0].encoder_id, pair[1].encoder_id),
            seconds=time.perf_counter() - started,
            notes=SAMPLE_NOTES,
        )
        return to_fields(evaluation)

    fields = measured({query.query_id for query in queries}, "Sample library")
    groups = dict.fromkeys(query.group for query in queries)
    fields["groups"] = [
        {
            "group": group.value,
            **{
                name: value
                for name, value in measured(
                    {query.query_id for query in queries if query.group is group}, group.value
                ).items()
                if name in {"systems", "difference", "queries", "clusters", "passages"}
            },
        }
        for group in groups
    ]
    return fields
