"""The Laboratory view: the same query and passage under several experiments."""

from __future__ import annotations

# The UI toolkit reads the handlers' annotations when it wires them, so these are real imports.
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from core.errors import CoreError
from core.experiments.experiment import Experiment, Field, Kind, Place
from core.experiments.registry import offered
from demo import texts
from demo.experiments import Experiments
from demo.presenters import frame
from demo.toolkit import gr
from demo.views.wiring import COMMAND_JS, PRIVATE, Shared, event_text, html_part


@dataclass(frozen=True, slots=True)
class Tab:
    """One experiment's fields, button and place."""

    experiment: Experiment[Any]
    names: tuple[str, ...]
    inputs: tuple[Any, ...]
    run: gr.Button
    out: gr.HTML


@dataclass(frozen=True, slots=True)
class LaboratoryView:
    """The view's components."""

    query: gr.Textbox
    document: gr.Dropdown
    passage: gr.Dropdown
    stop: gr.Button
    tabs: tuple[Tab, ...]


def build() -> LaboratoryView:
    """Place the view's parts: fields that experiments share, and a tab for each."""
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
    shared = {Kind.QUERY: query, Kind.PASSAGE: passage, Kind.DOCUMENT: document}
    with gr.Tabs(elem_id="bf-lab-tabs"):
        tabs = tuple(_tab(one, shared) for one in offered(Place.LABORATORY))
    return LaboratoryView(query, document, passage, stop, tabs)


def _tab(experiment: Experiment[Any], shared: dict[Kind, Any]) -> Tab:
    with gr.Tab(experiment.title):
        inputs: dict[str, Any] = {}
        with gr.Row(elem_classes="controls"):
            for field in experiment.fields:
                if field.kind in shared:
                    inputs[field.name] = shared[field.kind]
                elif field.label:
                    inputs[field.name] = component(field)
        elem_id = f"bf-{experiment.name}"
        with gr.Row(elem_classes="controls"):
            run = gr.Button(
                "Run", variant="primary", elem_id=f"{elem_id}-run", scale=0, min_width=110
            )
            html_part(f"{elem_id}-words", frame.hint(experiment.hint))
        return Tab(experiment, tuple(inputs), tuple(inputs.values()), run, html_part(elem_id))


def component(field: Field) -> Any:  # noqa: ANN401
    """Return the component that asks for a field of an experiment's own."""
    if field.kind is Kind.TEXT:
        return gr.Textbox(str(field.default), label=field.label, max_length=field.most)
    if field.kind is Kind.CHOICE:
        choices = [(label, value) for value, label in field.choices.items()]
        return gr.Radio(choices, value=field.default, label=field.label)
    if field.choices:
        return gr.Dropdown(list(field.choices), value=field.default, label=field.label)
    least = field.least if field.least % field.step == 0 else field.step
    return gr.Slider(
        least, field.most, value=int(field.default), step=field.step, label=field.label
    )


def wire(view: LaboratoryView, shared: Shared, experiments: Experiments) -> Callable[..., Any]:
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

    outs = [tab.out for tab in view.tabs]

    before = gr.State("")

    def moved(
        visitor: Any,  # noqa: ANN401
        library: str,
        token: str,
        query: str,
        before: str,
    ) -> tuple[Any, ...]:
        """Another library was opened: its documents, and no pictures of the one before."""
        # none at the start, where an address may have brought a picture already
        pictures = ("" if before not in {"", library} else gr.skip() for _ in outs)
        try:
            return *enter(visitor, library, token, "", query), library, *pictures
        except CoreError:
            return (gr.skip(),) * (5 + len(outs))

    shared.library.change(
        moved,
        [*place, shared.token, shared.query, before],
        [view.query, view.document, view.passage, view.stop, before, *outs],
        **PRIVATE,
    )
    view.document.input(choose, [*place, view.document], view.passage, **PRIVATE)
    view.stop.click(stop, place, None, queue=False, **PRIVATE)
    for tab in view.tabs:
        tab.run.click(
            _studying(tab, experiments),
            [*place, shared.token, *tab.inputs],
            [tab.out, view.stop],
            concurrency_limit=16,
            **PRIVATE,
        )
        tab.run.click(_address(tab), list(tab.inputs), shared.command, **PRIVATE).then(
            None, shared.command, None, js=COMMAND_JS, api_visibility="private"
        )

    shared.bridge.do_chosen(_choosing(experiments), place, shared.command, **PRIVATE).then(
        None, shared.command, None, js=COMMAND_JS, api_visibility="private"
    )
    own = [part for tab in view.tabs for part in (*tab.inputs, tab.out)]
    shared.bridge.do_study(
        _again(view, experiments),
        [*place, shared.token],
        [*dict.fromkeys([*own, view.document, view.passage, view.stop])],
        concurrency_limit=16,
        **PRIVATE,
    )
    return enter


def _again(view: LaboratoryView, experiments: Experiments) -> Callable[..., Iterator[Any]]:
    """Function that runs an experiment with the inputs that the page's address names."""

    def again(event: gr.EventData, visitor: Any, library: str, token: str) -> Iterator[Any]:  # noqa: ANN401
        title = event_text(event, "x")
        tab = next((one for one in view.tabs if one.experiment.title == title), None)
        try:
            given = json.loads(event_text(event, "i"))
        except (ValueError, RecursionError):
            given = None
        if tab is None or not isinstance(given, dict):
            yield {}
            return
        values = {
            name: given[name]
            for name in tab.names
            if isinstance(given.get(name), str | int | float)
        }
        fields = dict(zip(tab.names, tab.inputs, strict=True))
        shown = {fields[name]: value for name, value in values.items()}
        passage = values.get("passage_id")
        if isinstance(passage, str):
            doc_id = passage.partition(":")[0]
            shown[view.document] = doc_id
            choices = experiments.passages(visitor, library, doc_id)
            shown[view.passage] = gr.update(choices=choices, value=passage)
        for html, running in experiments.study(visitor, library, token, tab.experiment, values):
            yield {**shown, tab.out: html, view.stop: gr.update(visible=running)}

    return again


def _choosing(experiments: Experiments) -> Callable[..., dict[str, Any]]:
    """Function that lists passages chosen in an experiment's picture."""

    def chosen(event: gr.EventData, visitor: Any, library: str) -> dict[str, Any]:  # noqa: ANN401
        name, ids = event_text(event, "x"), event_text(event, "ids").split()
        try:
            values = json.loads(event_text(event, "i"))
        except (ValueError, RecursionError):
            values = {}
        html = experiments.chosen(visitor, library, name, values, ids)
        return {"do": "chosen", "html": html}

    return chosen


def _address(tab: Tab) -> Callable[..., dict[str, Any]]:
    """Function that puts an experiment and its inputs into the page's address."""

    def address(*values: Any) -> dict[str, Any]:  # noqa: ANN401
        inputs = json.dumps(dict(zip(tab.names, values, strict=True)))
        return {"do": "at", "to": {"x": tab.experiment.title, "i": inputs}}

    return address


def _studying(tab: Tab, experiments: Experiments) -> Callable[..., Iterator[tuple[str, Any]]]:
    """Function of a tab's button: yields HTML, and whether Stop is there."""

    def study(
        visitor: Any,  # noqa: ANN401
        library: str,
        token: str,
        *values: Any,  # noqa: ANN401
    ) -> Iterator[tuple[str, Any]]:
        chosen = dict(zip(tab.names, values, strict=True))
        for html, running in experiments.study(visitor, library, token, tab.experiment, chosen):
            yield html, gr.update(visible=running)

    return study
