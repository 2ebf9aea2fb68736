"""Runs from elsewhere: what they hold, what of it is in this library, and their queries to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.render import escape, join
from core.words import plural, shortened
from demo import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.comparison.runs import KeptRun

MOST_QUERIES = 50
_LABEL_CHARS = 60


def runs(kept: Sequence[KeptRun]) -> str:
    """Return the runs that a library shows as columns."""
    if not kept:
        return f'<div class="bf"><p class="meta">{escape(texts.RUNS_NONE)}</p></div>'
    return f'<div class="bf"><ul class="docs">{join(_run(one) for one in kept)}</ul></div>'


def _run(kept: KeptRun) -> str:
    run = kept.run
    name = shortened(run.name, _LABEL_CHARS)
    lost = kept.matched.whole_documents + kept.matched.unmatched
    known = [run.queries[query_id] for query_id in run.rankings if run.queries.get(query_id)]
    asked = join(
        f'<li><button class="link" data-act="ask" data-text="{escape(text)}" dir="auto">'
        f"{escape(shortened(text, 120))}</button></li>"
        for text in known[:MOST_QUERIES]
    )
    more = ""
    if asked:
        title = texts.RUNS_ASK.format(count=plural(len(known), "query", "queries"))
        more = f'<details class="meta"><summary>{escape(title)}</summary><ul>{asked}</ul></details>'
    elif not known:
        more = f'<span class="note">{escape(texts.RUNS_NO_TEXTS)}</span>'
    return (
        f'<li><bdi class="name" title="{escape(run.name)}">{escape(name)}</bdi>'
        f'<button class="x" data-act="remove-run" data-run="{escape(kept.run_id)}" '
        f'aria-label="remove the run {escape(name)}" title="remove this column">\u00d7</button>'
        f'<span class="meta num">{plural(len(run.rankings), "query", "queries")}</span>'
        f'<span class="{"note" if lost else "meta"}">{escape(kept.matched.words)}</span>{more}</li>'
    )
