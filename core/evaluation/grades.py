"""Grades that people gave: kept on characters of a file, so that they survive another chunking.

A grade from 0 to 3 is kept on characters of a file (`core.records.Judgment`), not on a passage.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from core.comparison.export import quepid_ratings, query_id_of, to_trec_qrels
from core.errors import CoreError, InvalidQueryError, InvalidSettingError
from core.records import Judgment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from core.comparison.records import Comparison
    from core.library.library import Library
    from core.records import Passage

GRADES = (0, 1, 2, 3)
_HALF = 0.5


def judge(query_text: str, passage: Passage, *, sha256: str, grade: int) -> Judgment:
    """Return a judgment of a passage, kept on the characters of its file.

    Raises:
        InvalidSettingError: If the grade is not 0, 1, 2 or 3.
    """
    if grade not in GRADES:
        raise InvalidSettingError(f"The grade is {grade}; choose 0, 1, 2 or 3.")
    return Judgment(
        query_text=query_text,
        sha256=sha256,
        page_number=passage.page_first,
        start=passage.start,
        end=passage.end,
        grade=grade,
    )


def project(
    judgments: Iterable[Judgment], passages: Iterable[Passage], *, sha256_of: Mapping[str, str]
) -> dict[str, dict[str, int]]:
    """Grades by query text and passage id, under the present chunking.

    A passage takes over a grade above 0 when it holds at least half of the judged characters, or
    lies at least half among them. It takes over a 0 only when at least half of it was judged: the
    rest of a longer passage may well be relevant. Of several grades the highest counts; of several
    judgments of the same characters the last. ``sha256_of`` has each document's file hash.
    """
    latest = {
        (one.query_text, one.sha256, one.start, one.end): one for one in judgments
    }  # a dict keeps the last
    by_file: dict[str, list[Passage]] = {}
    for passage in passages:
        sha256 = sha256_of.get(passage.doc_id)
        if sha256 is not None:
            by_file.setdefault(sha256, []).append(passage)
    grades: dict[str, dict[str, int]] = {}
    for judgment in latest.values():
        for passage in by_file.get(judgment.sha256, ()):
            if _takes_over(judgment, passage):
                row = grades.setdefault(judgment.query_text, {})
                before = row.get(passage.passage_id, judgment.grade)
                row[passage.passage_id] = max(before, judgment.grade)
    return grades


def keep_grade(library: Library, query: str, passage_id: str, grade: int) -> None:
    """Keep a grade on the characters of the passage's file.

    Raises:
        InvalidQueryError: If the query is blank.
        InvalidSettingError: If the grade is not 0, 1, 2 or 3.
        UnknownNameError: If there is no such passage.
    """
    if not query.strip():
        raise InvalidQueryError("A judgment needs the query it is about.")
    passage = library.passage(passage_id)
    sha256 = library.document(passage.doc_id).sha256
    library.judge([judge(query, passage, sha256=sha256, grade=grade)])


def grades_of(library: Library) -> dict[str, dict[str, int]]:
    """Return all grades of a library, by query text and passage id of its chunking now."""
    judgments = library.judgments()
    if not judgments:
        return {}
    return project(judgments, library.passages(), sha256_of=_sha256_of(library))


def grades_on(library: Library, comparison: Comparison) -> dict[str, int]:
    """Return the grades that were given for a comparison's query, by passage id.

    Passages of another chunking (in a saved comparison) and documents that are gone have none.
    """
    text = comparison.query.text
    judgments = library.judgments(text)
    if not judgments:
        return {}
    passages = []
    for compared in comparison.passages:
        with suppress(CoreError):
            passages.append(library.passage(compared.passage_id))
    return project(judgments, passages, sha256_of=_sha256_of(library)).get(text, {})


def answers_on(library: Library, comparison: Comparison) -> frozenset[str]:
    """Return the passages known to answer a comparison's query: the sample's, and the judged."""
    known = {passage for passage, grade in grades_on(library, comparison).items() if grade > 0}
    text = comparison.query.text.strip()
    for example in library.examples():
        if example.text.strip() == text:
            known.update(example.relevant)
    return frozenset(known)


def judgments_as(grades: Mapping[str, Mapping[str, int]], form: str) -> str:
    """Return grades by query text and passage id as ``quepid`` ratings, else as TREC qrels."""
    if form == "quepid":
        return quepid_ratings(
            [(text, one, row[one]) for text, row in sorted(grades.items()) for one in sorted(row)]
        )
    return to_trec_qrels(
        sorted(
            (query_id_of(text), passage_id, grade)
            for text, row in grades.items()
            for passage_id, grade in row.items()
        )
    )


def _sha256_of(library: Library) -> dict[str, str]:
    # from the lines about documents: reading each whole for this would take seconds
    return {stored.doc_id: stored.sha256 for stored in library.workspace.documents()}


def _takes_over(judgment: Judgment, passage: Passage) -> bool:
    overlap = min(judgment.end, passage.end) - max(judgment.start, passage.start)
    if overlap <= 0:
        return False
    if overlap >= _HALF * (passage.end - passage.start):
        return True
    return judgment.grade > 0 and overlap >= _HALF * (judgment.end - judgment.start)
