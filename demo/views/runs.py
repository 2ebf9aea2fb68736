"""The sidebar's part for imported runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import CoreError
from demo import texts
from demo.importing import Importing
from demo.presenters import frame, library
from demo.toolkit import gr
from demo.views.wiring import PRIVATE, Shared, event_text, html_part


@dataclass(frozen=True, slots=True)
class RunsPart:
    """The part's components."""

    add: gr.UploadButton
    said: gr.HTML
    listed: gr.HTML


def build() -> RunsPart:
    """Place the part."""
    with gr.Accordion(texts.RUNS_TITLE, open=False, elem_id="bf-runs-box"):
        html_part("bf-runs-how", frame.hint(texts.RUNS_HOW))
        add = gr.UploadButton(
            texts.RUNS_ADD,
            file_count="multiple",
            size="sm",
            variant="secondary",
            elem_id="bf-runs-add",
        )
        said = html_part("bf-runs-said")
        listed = html_part("bf-runs")
    return RunsPart(add, said, listed)


def wire(part: RunsPart, shared: Shared, importing: Importing) -> None:
    """Connect the part to its verbs."""
    place = [shared.visitor, shared.library]
    out = [part.said, part.listed]

    def add(files: Any, visitor: Any, library_id: str) -> tuple[Any, ...]:  # noqa: ANN401
        try:
            made = importing.add(visitor, library_id, files or [])
            words = texts.RUNS_ADDED.format(names=", ".join(one.run.name[:60] for one in made))
            return None, library.notice(words), importing.shown(visitor, library_id)
        except CoreError as error:
            return None, library.trouble(str(error)), gr.skip()

    def remove(event: gr.EventData, visitor: Any, library_id: str) -> tuple[Any, ...]:  # noqa: ANN401
        try:
            importing.remove(visitor, library_id, event_text(event, "run"))
            return "", importing.shown(visitor, library_id)
        except CoreError as error:
            return library.trouble(str(error)), gr.skip()

    def opened(visitor: Any, library_id: str) -> tuple[Any, ...]:  # noqa: ANN401
        try:
            return "", importing.shown(visitor, library_id)
        except CoreError as error:
            return library.trouble(str(error)), ""

    part.add.upload(add, [part.add, *place], [part.add, *out], **PRIVATE)
    shared.bridge.do_remove_run(remove, place, out, **PRIVATE)
    shared.library.change(opened, place, out, **PRIVATE)
