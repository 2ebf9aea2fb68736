"""The Disagree view: find where the encoders part without asking anything."""

from __future__ import annotations

# The UI toolkit reads the handlers' annotations when it wires them, so these are real imports.
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core.errors import CoreError
from core.experiments.drafts import DraftKind
from demo import texts
from demo.experiments import Experiments, wanted_findings
from demo.presenters import frame
from demo.toolkit import gr
from demo.views.wiring import PRIVATE, Shared, html_part

QUERY_LENGTHS = {
    "any": None,
    "short (up to 6 words)": (0, 6),
    "medium (7 to 20)": (7, 20),
    "long (over 20)": (21, 100_000),
}
PASSAGE_LENGTHS = {
    "any": None,
    "short (up to 400 characters)": (0, 400),
    "medium (to 1,000)": (401, 1000),
    "long (over 1,000)": (1001, 100_000_000),
}
DEPTHS = {
    "anywhere": None,
    "first third": (0.0, 1 / 3),
    "middle": (1 / 3, 2 / 3),
    "last third": (2 / 3, 1.0),
}


@dataclass(frozen=True, slots=True)
class DisagreeView:
    """The view's components."""

    count: gr.Slider
    run: gr.Button
    stop: gr.Button
    document: gr.Dropdown
    kinds: gr.Dropdown
    query_length: gr.Dropdown
    passage_length: gr.Dropdown
    depth: gr.Dropdown
    filters: gr.Row
    verdict: gr.HTML
    out: gr.HTML


def build() -> DisagreeView:
    """Place the view's parts."""
    html_part("bf-disagree-head", frame.section(texts.DISAGREE_TITLE, texts.DISAGREE_INTRO))
    with gr.Row(elem_classes="controls"):
        count = gr.Slider(50, 2000, value=300, step=50, label="Drafted queries")
        run = gr.Button(
            "Find disagreements",
            variant="primary",
            elem_id="bf-disagree-run",
            scale=0,
            min_width=210,
        )
        stop = gr.Button(
            texts.STOP,
            variant="stop",
            elem_id="bf-disagree-stop",
            scale=0,
            min_width=80,
            visible=False,  # nothing runs yet
        )
    verdict = html_part("bf-verdict")
    # nothing to filter before something was found
    with gr.Row(elem_classes="controls filters", visible=False) as filters:
        document = gr.Dropdown([], label="Document", multiselect=True, elem_id="bf-disagree-doc")
        kinds = gr.Dropdown(
            [kind.value for kind in DraftKind], label="Kind of draft", multiselect=True
        )
        query_length = gr.Dropdown(list(QUERY_LENGTHS), value="any", label="Length of the query")
        passage_length = gr.Dropdown(
            list(PASSAGE_LENGTHS), value="any", label="Length of the passage"
        )
        depth = gr.Dropdown(list(DEPTHS), value="anywhere", label="Place in the document")
    out = html_part("bf-disagree", frame.hint(texts.DISAGREE_BLANK))
    return DisagreeView(
        count,
        run,
        stop,
        document,
        kinds,
        query_length,
        passage_length,
        depth,
        filters,
        verdict,
        out,
    )


def wire(  # noqa: C901  closures over the components, wired at the end
    view: DisagreeView, shared: Shared, experiments: Experiments
) -> None:
    """Connect the view to its experiment."""

    def wanted(docs: Any, kinds: Any, query: str, passage: str, depth: str) -> Any:  # noqa: ANN401
        return wanted_findings(
            doc_ids=docs,
            kinds=kinds,
            query_words=QUERY_LENGTHS.get(query),
            passage_chars=PASSAGE_LENGTHS.get(passage),
            depth=DEPTHS.get(depth),
        )

    def run(
        visitor: Any,  # noqa: ANN401
        library: str,
        count: float,
        *filters: Any,  # noqa: ANN401
    ) -> Iterator[tuple[Any, ...]]:
        found = experiments.disagree(visitor, library, int(count), wanted(*filters))
        for html, running in found:
            said = "" if running or 'class="notice bad"' in html else verdict(visitor, library)
            yield html, said, gr.update(visible=running), gr.update(visible=bool(said))

    def verdict(visitor: Any, library: str) -> str:  # noqa: ANN401
        try:
            return experiments.verdict(visitor, library)
        except CoreError:
            return ""

    def kept(visitor: Any, library: str) -> tuple[Any, ...]:  # noqa: ANN401
        """Another library was opened: show its last result, or nothing."""
        html = verdict(visitor, library)
        listed = experiments.filtered(visitor, library, wanted_findings()) if html else None
        return html, listed or frame.hint(texts.DISAGREE_BLANK), gr.update(visible=bool(html))

    def resume(visitor: Any, library: str) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
        """Watch a run that goes on since before a reload."""
        seen = False
        try:
            for html, running in experiments.disagreeing(visitor, library):
                seen = True
                said = "" if running or 'class="notice bad"' in html else verdict(visitor, library)
                yield html, said, gr.update(visible=running), gr.update(visible=bool(said))
        except CoreError:
            pass  # no such visitor or library (any more): nothing to watch
        if not seen:
            yield (gr.skip(),) * 4

    def refilter(visitor: Any, library: str, *filters: Any) -> Any:  # noqa: ANN401
        html = experiments.filtered(visitor, library, wanted(*filters))
        return gr.skip() if html is None else html

    def documents(visitor: Any, library: str) -> Any:  # noqa: ANN401
        return gr.update(choices=experiments.documents(visitor, library))

    def stop(visitor: Any, library: str) -> None:  # noqa: ANN401
        experiments.stop(visitor, library)

    place = [shared.visitor, shared.library]
    filters = [view.document, view.kinds, view.query_length, view.passage_length, view.depth]
    view.run.click(
        run,
        [*place, view.count, *filters],
        [view.out, view.verdict, view.stop, view.filters],
        concurrency_limit=16,
        **PRIVATE,
    )
    for item in filters:
        item.input(refilter, [*place, *filters], view.out, **PRIVATE)
    shared.library.change(kept, place, [view.verdict, view.out, view.filters], **PRIVATE).then(
        resume,
        place,
        [view.out, view.verdict, view.stop, view.filters],
        concurrency_limit=64,
        **PRIVATE,
    )
    view.document.focus(documents, place, view.document, **PRIVATE)
    view.stop.click(stop, place, None, queue=False, **PRIVATE)
