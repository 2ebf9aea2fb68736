"""The user's own grades, put onto the passages as the library has them now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import CoreError
from core.evaluation.judging import project

if TYPE_CHECKING:
    from core.comparison.records import Comparison
    from core.workbench import Workbench


def grades_of(bench: Workbench) -> dict[str, dict[str, int]]:
    """Return all judgments of a library, by query text and passage id of its chunking now."""
    judgments = bench.judgments()
    if not judgments:
        return {}
    sha256_of = {
        report.doc_id: bench.document(report.doc_id).sha256 for report in bench.documents()
    }
    return project(judgments, bench.library.passages(), sha256_of=sha256_of)


def grades_on(bench: Workbench, comparison: Comparison) -> dict[str, int]:
    """Return the grades that were given for a comparison's query, by passage id.

    Passages of another chunking (in a saved comparison) and documents that are gone have none.
    """
    judgments = bench.judgments(comparison.query.text)
    if not judgments:
        return {}
    passages, sha256_of = [], {}
    for compared in comparison.passages:
        try:
            passage = bench.passage(compared.passage_id)
            sha256_of[passage.doc_id] = bench.document(passage.doc_id).sha256
        except CoreError:
            continue
        passages.append(passage)
    return project(judgments, passages, sha256_of=sha256_of).get(comparison.query.text, {})
