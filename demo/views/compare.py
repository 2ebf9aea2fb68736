"""The Compare view: one question, the summary, the ranked columns, the plot, the page pane."""

from __future__ import annotations

# The UI toolkit reads the handlers' annotations when it wires them, so these are real imports.
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import CoreError
from demo import texts
from demo.presenters import frame
from demo.toolkit import gr
from demo.views.wiring import COMMAND_JS, PRIVATE, Shared, event_number, event_text, html_part

if TYPE_CHECKING:
    from demo.comparing import CompareScreen
    from demo.experiments import Experiments


@dataclass(frozen=True, slots=True)
class CompareView:
    """The view's components, for wiring."""

    examples: gr.HTML
    summary: gr.HTML
    columns: gr.HTML
    blank: gr.HTML
    live: gr.HTML
    lower: gr.HTML
    go: gr.Button


@dataclass(frozen=True, slots=True)
class Pane:
    """The page pane: the page itself, the evidence below it, and which hit it is about."""

    page: gr.HTML
    evidence: gr.HTML
    selected: gr.State


def build_query() -> tuple[gr.Textbox, gr.Button]:
    """Place the query box."""
    with gr.Row(elem_id="bf-ask"):
        query = gr.Textbox(
            placeholder=texts.QUERY_PLACEHOLDER,
            show_label=False,
            container=False,
            lines=1,
            max_lines=8,
            elem_id="bf-query",
            autofocus=False,
        )
        go = gr.Button(texts.COMPARE, variant="primary", elem_id="bf-go")
    return query, go


def build(go: gr.Button) -> CompareView:
    """Place the view's parts below the query box."""
    examples = html_part("bf-examples")
    html_part("bf-stale", frame.stale())
    summary = html_part("bf-summary")
    columns = html_part("bf-columns")
    # A place of its own, hidden while the columns hold anything: what invites to a first question
    # is renewed when a library is opened or filled, and must never overwrite an answer.
    blank = html_part("bf-blank")
    live = html_part("bf-live")
    lower = html_part("bf-lower")
    return CompareView(examples, summary, columns, blank, live, lower, go)


def wire(  # noqa: C901  closures over the components, wired at the end
    view: CompareView, shared: Shared, pane: Pane, saved: gr.HTML, experiments: Experiments
) -> None:
    """Connect the view to its handlers."""
    handlers = shared.handlers
    screen = [view.summary, view.columns, view.lower, shared.token]

    def compare(query: str, visitor: Any, library: str) -> Iterator[tuple[str, str, str, str]]:  # noqa: ANN401
        for shown in handlers.comparing.compare(visitor, library, query):
            yield parts(shown)

    def ask(event: gr.EventData, visitor: Any, library: str) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
        for shown in handlers.comparing.compare(visitor, library, event_text(event, "text")):
            yield parts(shown)

    def pick(
        event: gr.EventData,
        visitor: Any,  # noqa: ANN401
        token: str,
        library: str,
    ) -> tuple[str, str, str]:
        chosen = event_text(event, "pid")
        pending = experiments.pending(visitor, token, chosen)
        opened = handlers.comparing.pane(visitor, token, chosen, library_id=library)
        return opened, pending, chosen

    def why(event: gr.EventData, visitor: Any, token: str) -> Iterator[str]:  # noqa: ANN401
        brief = event_text(event, "brief") == "1"
        for html, _ in experiments.evidence(visitor, token, event_text(event, "pid"), brief=brief):
            yield html

    def stop_experiment(visitor: Any, token: str) -> None:  # noqa: ANN401
        experiments.stop_shown(visitor, token)

    def page(event: gr.EventData, visitor: Any, token: str, library: str) -> str:  # noqa: ANN401
        return handlers.comparing.pane(
            visitor,
            token,
            event_text(event, "pid"),
            event_number(event, "page"),
            library_id=library,
        )

    def save(visitor: Any, token: str) -> tuple[Any, str, str]:  # noqa: ANN401
        try:
            command, listed, summary = handlers.comparing.save(visitor, token)
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error
        gr.Info(texts.SAVED_NOTE, duration=4)
        return command, listed, summary

    def export(event: gr.EventData, visitor: Any, token: str) -> Any:  # noqa: ANN401
        try:
            return handlers.comparing.export(visitor, token, event_text(event, "kind"))
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def equal(
        event: gr.EventData,
        visitor: Any,  # noqa: ANN401
        token: str,
        library: str,
    ) -> Iterator[tuple[str, str, str, str]]:
        for shown in handlers.comparing.equal_limits(
            visitor, token, library, event_text(event, "text")
        ):
            yield parts(shown)

    def open_saved(event: gr.EventData, visitor: Any, library: str) -> tuple[Any, ...]:  # noqa: ANN401
        name = event_text(event, "id")
        shown = handlers.comparing.open_saved(visitor, library, name)
        text = ""
        if shown.token:
            text = handlers.sessions.shown(visitor, shown.token).comparison.query.text
        command = {"do": "link", "library": library, "comparison": name}
        return *parts(shown), text, command

    # A question asked while another is still being answered is answered after it, never dropped.
    together: dict[str, Any] = {**PRIVATE, "concurrency_limit": 8, "trigger_mode": "always_last"}
    tokened = [shared.visitor, shared.token]
    gr.on(
        [shared.query.submit, view.go.click],
        compare,
        [shared.query, shared.visitor, shared.library],
        screen,
        **together,
    )
    shared.bridge.do_ask(ask, [shared.visitor, shared.library], screen, **together)
    latest: dict[str, Any] = {**PRIVATE, "concurrency_limit": 8, "trigger_mode": "always_last"}
    explaining = shared.bridge.do_evidence(
        why,
        [shared.visitor, shared.token],
        pane.evidence,
        concurrency_limit=8,
        trigger_mode="multiple",
        **PRIVATE,
    )
    shared.bridge.do_pick(
        pick,
        [*tokened, shared.library],
        [pane.page, pane.evidence, pane.selected],
        cancels=[explaining],  # an explanation is of one passage: it ends with the choice of it
        **latest,
    )
    shared.bridge.do_stop_experiment(stop_experiment, tokened, None, queue=False, **PRIVATE)
    shared.bridge.do_page(page, [*tokened, shared.library], pane.page, **latest)
    shared.bridge.do_equal(equal, [*tokened, shared.library], screen, **together)
    shared.bridge.do_save(
        save, [shared.visitor, shared.token], [shared.command, saved, view.summary], **PRIVATE
    ).then(None, shared.command, None, js=COMMAND_JS, api_visibility="private")
    shared.bridge.do_export(export, [shared.visitor, shared.token], shared.command, **PRIVATE).then(
        None, shared.command, None, js=COMMAND_JS, api_visibility="private"
    )
    shared.bridge.do_open_saved(
        open_saved,
        [shared.visitor, shared.library],
        [*screen, shared.query, shared.command],
        **PRIVATE,
    ).then(None, shared.command, None, js=COMMAND_JS, api_visibility="private")


def parts(shown: CompareScreen) -> tuple[str, str, str, str]:
    """Return a screen as the outputs' values."""
    return shown.summary, shown.columns, shown.lower, shown.token


def empty(blank: str) -> tuple[str, str, str, str, str]:
    """Values that clear the screen and invite to a first question."""
    return "", "", "", "", blank
