"""Questions to begin with: a library's own examples, or a few drafted from its passages."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from core.errors import CoreError
from core.experiments.drafts import DraftKind, draft_queries
from demo import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.library.library import ExampleQuery, Library
    from core.records import Passage

STARTERS = 4  # questions offered on an empty screen
STARTER_PASSAGES = 300  # are read for them: the screen must not wait for a large library
STARTER_KINDS = (DraftKind.QUESTION, DraftKind.DEFINITION)


class Starters:
    """Drafts once for a library as it is, since that reads its passages."""

    def __init__(self) -> None:
        self._last: tuple[tuple[str, str, int], tuple[ExampleQuery, ...]] = (("", "", 0), ())

    def of(self, library_id: str, bench: Library) -> tuple[ExampleQuery, ...]:
        """A library's own examples, or else queries drafted from it."""
        examples = bench.examples()
        if examples or not bench.documents():
            return examples
        passages = bench.passages()
        key = (library_id, passages[0].passage_id if passages else "", len(passages))
        if self._last[0] != key:
            self._last = (key, drafted(bench, passages))
        return self._last[1]


def drafted(bench: Library, passages: Sequence[Passage]) -> tuple[ExampleQuery, ...]:
    """Return a few questions drafted from a library's own passages; none where no rule fits."""
    from core.library.library import ExampleQuery  # late: the page comes before its rooms

    # Spread over all documents: the first of them may be in a language the rules do not know.
    some = passages[:: max(1, -(-len(passages) // STARTER_PASSAGES))]
    doc_ids = {one.doc_id for one in some}
    for kinds in (STARTER_KINDS, (DraftKind.HEADING,)):
        with contextlib.suppress(CoreError):
            own = {doc_id: bench.document(doc_id).text for doc_id in doc_ids}
            found = draft_queries(some, own, count=STARTERS, seed=0, kinds=kinds)
            return tuple(
                ExampleQuery(draft.query_id, texts.DRAFTED, draft.text, (draft.passage_id,))
                for draft in found
            )
    return ()
