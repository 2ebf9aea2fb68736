"""The user's own grades, put onto the passages as the library has them now."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from core.errors import CoreError
from core.evaluation.judging import project

if TYPE_CHECKING:
    from core.comparison.records import Comparison
    from core.library import Library


def grades_of(bench: Library) -> dict[str, dict[str, int]]:
    """Return all judgments of a library, by query text and passage id of its chunking now."""
    judgments = bench.judgments()
    if not judgments:
        return {}
    return project(judgments, bench.passages(), sha256_of=_sha256_of(bench))


def grades_on(bench: Library, comparison: Comparison) -> dict[str, int]:
    """Return the grades that were given for a comparison's query, by passage id.

    Passages of another chunking (in a saved comparison) and documents that are gone have none.
    """
    judgments = bench.judgments(comparison.query.text)
    if not judgments:
        return {}
    passages = []
    for compared in comparison.passages:
        with suppress(CoreError):
            passages.append(bench.passage(compared.passage_id))
    grades = project(judgments, passages, sha256_of=_sha256_of(bench))
    return grades.get(comparison.query.text, {})


def _sha256_of(bench: Library) -> dict[str, str]:
    # from the lines about documents: reading each whole for this would take seconds
    return {stored.doc_id: stored.sha256 for stored in bench.workspace.documents()}


def answers_on(bench: Library, comparison: Comparison) -> frozenset[str]:
    """Return the passages known to answer a comparison's query: the sample's, and the judged."""
    known = {passage for passage, grade in grades_on(bench, comparison).items() if grade > 0}
    text = comparison.query.text.strip()
    for example in bench.examples():
        if example.text.strip() == text:
            known.update(example.relevant)
    return frozenset(known)
