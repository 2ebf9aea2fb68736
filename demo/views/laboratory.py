"""The Laboratory view: the same query and passage under several experiments."""

from __future__ import annotations

# The UI toolkit reads the handlers' annotations when it wires them, so these are real imports.
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from core.errors import CoreError
from core.experiments.growing import Growth
from core.experiments.last_sentence import DEFAULT_EDIT
from demo import texts
from demo.experiments import Experiments
from demo.presenters import frame
from demo.toolkit import gr
from demo.views.wiring import PRIVATE, Shared, html_part

Shown = tuple[str, Any]  # an experiment's HTML, and whether Stop is there


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment's button and place."""

    run: gr.Button
    out: gr.HTML


@dataclass(frozen=True, slots=True)
class LaboratoryView:
    """The view's components."""

    query: gr.Textbox
    document: gr.Dropdown
    passage: gr.Dropdown
    stop: gr.Button
    edit: Experiment
    replacement: gr.Textbox
    switch: Experiment
    grow: Experiment
    growth: gr.Radio
    key: Experiment
    longest: gr.Dropdown
    copies: gr.Slider
    fairness: Experiment


def build() -> LaboratoryView:
    """Place the view's parts."""
    html_part("bf-lab-head", frame.section(texts.LAB_TITLE, texts.LAB_INTRO))
    with gr.Row(elem_classes="controls"):
        query = gr.Textbox(label="Query", lines=1, max_lines=4, elem_id="bf-lab-query", scale=2)
        document = gr.Dropdown([], label="Document", elem_id="bf-lab-doc", scale=1)
        passage = gr.Dropdown([], label="Passage", elem_id="bf-lab-passage", scale=2)
        stop = gr.Button(
            texts.STOP,
            variant="stop",
            elem_id="bf-lab-stop",
            scale=0,
            min_width=80,
            visible=False,  # nothing runs yet
        )
    with gr.Tabs(elem_id="bf-lab-tabs"):
        with gr.Tab("Last sentence"):
            edit, replacement = _edit()
        with gr.Tab("Attention"):
            switch = _experiment(texts.LAB_SWITCH, "bf-switch")
        with gr.Tab("Growing text"):
            with gr.Row(elem_classes="controls"):
                growth = gr.Radio(
                    [
                        ("on both sides", Growth.BOTH.value),
                        ("before the passage", Growth.BEFORE.value),
                        ("after it", Growth.AFTER.value),
                    ],
                    value=Growth.BOTH.value,
                    label="Text is added",
                )
            grow = _experiment(texts.LAB_GROW, "bf-grow")
        with gr.Tab("Hidden key"):
            with gr.Row(elem_classes="controls"):
                longest = gr.Dropdown(
                    [512, 1024, 2048, 4096], value=1024, label="Longest text in tokens"
                )
                copies = gr.Slider(2, 20, value=6, step=1, label="Keys per cell")
            key = _experiment(texts.LAB_KEY, "bf-key")
        with gr.Tab("Fairness"):
            fairness = _experiment(texts.LAB_FAIRNESS, "bf-fairness")
    return LaboratoryView(
        query, document, passage, stop, edit, replacement, switch, grow, growth, key, longest,
        copies, fairness,
    )  # fmt: skip


def _edit() -> tuple[Experiment, gr.Textbox]:
    with gr.Row(elem_classes="controls"):
        replacement = gr.Textbox(DEFAULT_EDIT, label="New last sentence", max_length=2000)
    return _experiment(texts.LAB_EDIT, "bf-edit"), replacement


def _experiment(words: str, elem_id: str) -> Experiment:
    with gr.Row(elem_classes="controls"):
        run = gr.Button("Run", variant="primary", elem_id=f"{elem_id}-run", scale=0, min_width=110)
        html_part(f"{elem_id}-words", frame.hint(words))
    return Experiment(run, html_part(elem_id))


def wire(  # noqa: C901  closures over the components, wired at the end
    view: LaboratoryView, shared: Shared, experiments: Experiments
) -> Callable[..., Any]:
    """Connect the experiments; returns the event that fills the fields."""
    place = [shared.visitor, shared.library]

    def enter(visitor: Any, library: str, token: str, chosen: str, query: str) -> tuple[Any, ...]:  # noqa: ANN401
        text, doc_id, passage_id = experiments.start_from(visitor, library, token, chosen)
        return (
            text or query,
            gr.update(choices=experiments.documents(visitor, library), value=doc_id or None),
            gr.update(
                choices=experiments.passages(visitor, library, doc_id), value=passage_id or None
            ),
            gr.update(visible=experiments.running(visitor, library)),
        )

    def choose(visitor: Any, library: str, doc_id: str) -> Any:  # noqa: ANN401
        choices = experiments.passages(visitor, library, doc_id or "")
        return gr.update(choices=choices, value=choices[0][1] if choices else None)

    def stop(visitor: Any, library: str) -> None:  # noqa: ANN401
        experiments.stop(visitor, library)

    def edit(visitor: Any, library: str, passage: str, new: str) -> Iterator[Shown]:  # noqa: ANN401
        yield from _shown(experiments.edit(visitor, library, passage or "", new or ""))

    def switch(visitor: Any, library: str, query: str, passage: str) -> Iterator[Shown]:  # noqa: ANN401
        yield from _shown(experiments.switch(visitor, library, query or "", passage or ""))

    def grow(
        visitor: Any,  # noqa: ANN401
        library: str,
        query: str,
        passage: str,
        side: str,
    ) -> Iterator[Shown]:
        yield from _shown(experiments.grow(visitor, library, query or "", passage or "", side))

    def key(
        visitor: Any,  # noqa: ANN401
        library: str,
        doc_id: str,
        longest: float,
        copies: float,
    ) -> Iterator[Shown]:
        yield from _shown(
            experiments.hidden_key(visitor, library, doc_id or "", int(longest), int(copies))
        )

    def fairness(visitor: Any, library: str, token: str, query: str) -> Iterator[Shown]:  # noqa: ANN401
        yield from _shown(experiments.fairness(visitor, library, token, query or ""))

    outs = [one.out for one in (view.edit, view.switch, view.grow, view.key, view.fairness)]

    def moved(visitor: Any, library: str, token: str, query: str) -> tuple[Any, ...]:  # noqa: ANN401
        """Another library was opened: its documents, and no pictures of the one before."""
        try:
            return *enter(visitor, library, token, "", query), *("" for _ in outs)
        except CoreError:
            return (gr.skip(),) * (4 + len(outs))

    many: dict[str, Any] = {**PRIVATE, "concurrency_limit": 16}
    shared.library.change(
        moved,
        [*place, shared.token, shared.query],
        [view.query, view.document, view.passage, view.stop, *outs],
        **PRIVATE,
    )
    view.document.input(choose, [*place, view.document], view.passage, **PRIVATE)
    view.stop.click(stop, place, None, queue=False, **PRIVATE)
    for experiment, work, fields in (
        (view.edit, edit, [view.passage, view.replacement]),
        (view.switch, switch, [view.query, view.passage]),
        (view.grow, grow, [view.query, view.passage, view.growth]),
        (view.key, key, [view.document, view.longest, view.copies]),
        (view.fairness, fairness, [shared.token, view.query]),
    ):
        experiment.run.click(work, [*place, *fields], [experiment.out, view.stop], **many)
    return enter


def _shown(stream: Iterator[tuple[str, bool]]) -> Iterator[Shown]:
    for html, running in stream:
        yield html, gr.update(visible=running)
