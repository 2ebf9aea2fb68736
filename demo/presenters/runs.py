"""Imported runs: their contents, the part in this library, and their queries to ask."""

from __future__ import annotations

from collections.abc import Sequence

from core.comparison.runs import KeptRun
from core.render import Html, render
from demo import texts


def runs(kept: Sequence[KeptRun]) -> Html:
    """Return the runs that a library shows as columns."""
    rows = []
    for one in kept:
        asked = [one.run.queries[key] for key in one.run.rankings if one.run.queries.get(key)]
        rows.append((one, one.matched.whole_documents + one.matched.unmatched, asked))
    return render("runs", runs=rows, none_yet=texts.RUNS_NONE, no_texts=texts.RUNS_NO_TEXTS)
