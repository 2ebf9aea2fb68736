"""Endpoints: ask, and read saved answers."""

from __future__ import annotations

from typing import Any

from core.comparison.records import Comparison, to_fields
from core.errors import InvalidQueryError, UnknownNameError
from demo.api.door import Door, fields, listed, verb
from demo.comparing import exported


def add(door: Door) -> None:
    """Add the endpoints."""

    @verb
    def search(
        query: str, system: str = "", k: int = 10, library: str = "", visitor: str = ""
    ) -> list[dict[str, Any]]:
        """Return one system's hits for a query, best first.

        Args:
            query: What to ask.
            system: An encoder's id or `bm25`; empty for the diffusion encoder.
            k: How many, 5 to 50.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        comparison = _compared(door, query, k, library, visitor)
        wanted = system or comparison.encoder_a
        column = comparison.column(wanted)
        if column.failure:
            raise UnknownNameError(column.failure)
        found = []
        for hit in column.ranking.hits[: comparison.k]:
            passage = comparison.passage(hit.passage_id)
            standing = passage.standing(wanted)
            found.append(
                {
                    "rank": hit.rank,
                    "score": hit.score,
                    "z": standing.z,
                    "percentile": standing.percentile,
                    "passage_id": hit.passage_id,
                    "document": passage.document,
                    "page_first": passage.page_first,
                    "page_last": passage.page_last,
                    "text": passage.text,
                }
            )
        return found

    @verb
    def compare(query: str, k: int = 10, library: str = "", visitor: str = "") -> dict[str, Any]:
        """Ask both encoders and BM25 the same query and say where their rankings part.

        Args:
            query: What to ask.
            k: Depth, 5 to 50.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        return to_fields(_compared(door, query, k, library, visitor))

    @verb
    def received(query: str, library: str = "", visitor: str = "") -> dict[str, Any]:
        """Return the exact string each encoder gets for a query, with its token counts.

        Args:
            query: What would be asked.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        if not query.strip():
            raise InvalidQueryError("The query is empty; type a question.")
        with door.library(visitor, library) as lent:
            return fields(lent.received(query))

    @verb
    def export(
        query: str, format: str = "csv", k: int = 10, library: str = "", visitor: str = ""
    ) -> str:
        """Compare, and return the comparison as text in a format for other programs.

        Args:
            query: What to ask.
            format: `csv`, `json`, `trec` or `html` (a report in one file).
            k: Depth, 5 to 50.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        with door.library(visitor, library) as lent:
            return exported(lent, lent.ask(query, k=int(k)), format)[2]

    @verb
    def saved(library: str = "", visitor: str = "") -> list[dict[str, Any]]:
        """List saved comparisons, newest first.

        Args:
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        with door.library(visitor, library, look=True) as lent:
            return listed(lent.saved_comparisons())

    @verb
    def saved_comparison(
        comparison_id: str, library: str = "", visitor: str = ""
    ) -> dict[str, Any]:
        """Return a saved comparison exactly as it was.

        Args:
            comparison_id: From `saved`.
            library: Id; empty for the sample library.
            visitor: From `start`; empty when run locally.
        """
        with door.library(visitor, library, look=True) as lent:
            return to_fields(lent.load_comparison(comparison_id))


def _compared(door: Door, query: str, k: int, library: str, visitor: str) -> Comparison:
    with door.library(visitor, library) as lent:
        return lent.ask(query, k=int(k))
