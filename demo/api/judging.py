"""Endpoints: grades, and the measures of the systems."""

from __future__ import annotations

from typing import Any

from core.codec import to_jsonable
from core.evaluation.grades import grades_of, keep_grade
from core.evaluation.judging import measure_judgments
from demo.api.door import Door, verb


def add(door: Door) -> None:
    """Add the endpoints."""

    @verb
    def judge(
        query: str, passage_id: str, grade: int, library: str = "", visitor: str = ""
    ) -> bool:
        """Keep a grade for a passage: 0 not relevant, 1 related, 2 answers in part, 3 answers it.

        Args:
            query: What was asked.
            passage_id: The passage.
            grade: 0 to 3.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        with door.library(visitor, library) as lent:
            keep_grade(lent, query, passage_id, int(grade))
        return True

    @verb
    def judgments(library: str = "", visitor: str = "") -> dict[str, Any]:
        """Return grades by query and passage id, under the library's chunking now.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        with door.library(visitor, library, look=True) as lent:
            return grades_of(lent)

    @verb
    def judged_report(library: str = "", visitor: str = "") -> dict[str, Any]:
        """Measure every system on the judged queries, with the conclusion that they allow.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        found = door.experiment(visitor, library, measure_judgments, heavy=True)
        return {
            "words": list(found.words),
            "judgments": found.judgments,
            "unjudged": dict(found.unjudged),
            "p_holm": dict(found.p_holm),
            "more_judgments": dict(found.more_judgments),
            "systems": {
                system.system_id: to_jsonable(system.measures) for system in found.measured.systems
            },
            "difference": to_jsonable(found.measured.difference),
        }
