"""The Judge view: grade blind, by mouse or by keys, and see the measures."""

from __future__ import annotations

# The UI toolkit reads the handlers' annotations when it wires them, so these are real imports.
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core.errors import CoreError
from demo import texts
from demo.judging import Judging
from demo.presenters import frame
from demo.toolkit import gr
from demo.views.wiring import COMMAND_JS, PRIVATE, Shared, event_text, html_part


@dataclass(frozen=True, slots=True)
class JudgeView:
    """The view's components."""

    query: gr.Textbox
    start: gr.Button
    card: gr.HTML
    measure: gr.Button
    qrels: gr.Button
    quepid: gr.Button
    report: gr.HTML


def build() -> JudgeView:
    """Place the view's parts."""
    html_part("bf-judge-head", frame.section(texts.JUDGE_TITLE, texts.JUDGE_INTRO))
    with gr.Row(elem_classes="controls"):
        query = gr.Textbox(label="Query", lines=1, max_lines=4, elem_id="bf-judge-query", scale=3)
        start = gr.Button(
            "Judge", variant="primary", elem_id="bf-judge-start", scale=0, min_width=110
        )
    card = html_part("bf-judge")
    with gr.Row(elem_classes="controls"):
        measure = gr.Button("What the judgments say", size="sm", elem_id="bf-judge-measure")
        qrels = gr.Button("Download qrels", size="sm", elem_id="bf-judge-qrels")
        quepid = gr.Button("Download Quepid ratings", size="sm", elem_id="bf-judge-quepid")
    report = html_part("bf-judge-report")
    return JudgeView(query, start, card, measure, qrels, quepid, report)


def wire(view: JudgeView, shared: Shared, judging: Judging) -> None:
    """Connect the view to its handlers."""

    def start(visitor: Any, library: str, query: str) -> Iterator[str]:  # noqa: ANN401
        yield from judging.start(visitor, library, query or "")

    def grade(event: gr.EventData, visitor: Any, library: str) -> str:  # noqa: ANN401
        return judging.grade(visitor, library, event_text(event, "key"))

    def report(visitor: Any, library: str) -> Iterator[str]:  # noqa: ANN401
        yield from judging.report(visitor, library)

    def export(visitor: Any, library: str, kind: str) -> Any:  # noqa: ANN401
        try:
            return judging.export(visitor, library, kind)
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def qrels(visitor: Any, library: str) -> Any:  # noqa: ANN401
        return export(visitor, library, "qrels")

    def quepid(visitor: Any, library: str) -> Any:  # noqa: ANN401
        return export(visitor, library, "quepid")

    place = [shared.visitor, shared.library]
    gr.on([view.start.click, view.query.submit], start, [*place, view.query], view.card, **PRIVATE)
    shared.bridge.do_grade(grade, place, view.card, **PRIVATE)
    view.measure.click(report, place, view.report, **PRIVATE)
    for button, make in ((view.qrels, qrels), (view.quepid, quepid)):
        button.click(make, place, shared.command, **PRIVATE).then(
            None, shared.command, None, js=COMMAND_JS, api_visibility="private"
        )
