"""Shared wiring of the views: common components and the script's way to the handlers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demo.toolkit import gr

if TYPE_CHECKING:
    from demo.handlers import Handlers

# Events that the page's script sends; each name, after ``do_``, is a method of the bridge.
SIGNALS = (
    "ask",
    "pick",
    "page",
    "save",
    "export",
    "equal",
    "remove",
    "password",
    "ocr",
    "forget",
    "embed",
    "open_saved",
    "evidence",
    "grade",
    "open_disagreement",
    "look_pair",
    "take_pair",
    "keep_pair",
    "stop_fetch",
    "stop_experiment",
    "stop_index",
    "remove_run",
    "study",
    "chosen",
)
COMMAND_JS = "(command) => { window.bifocal && window.bifocal.run(command); }"


@dataclass(frozen=True, slots=True)
class Shared:
    """Components that more than one view reads or writes."""

    handlers: Handlers
    visitor: gr.BrowserState
    library: gr.Radio
    pair: gr.Radio
    token: gr.State
    query: gr.Textbox
    bridge: gr.HTML
    command: gr.JSON


def html_part(elem_id: str, value: str = "") -> gr.HTML:
    """Return a place for a presenter's HTML, styled by Bifocal's own sheet alone."""
    return gr.HTML(value, elem_id=elem_id, apply_default_css=False)


def bridge() -> gr.HTML:
    """Return the component through which the page's script reaches the server."""
    names = " ".join(f"'do_{name}'" for name in SIGNALS)
    return gr.HTML(
        "",
        elem_id="bf-bridge",
        visible="hidden",
        js_on_load=f"window.bifocalTrigger = trigger; /* sends {names} */",
    )


def event_text(event: gr.EventData, name: str) -> str:
    """Return a field of an event from the page's script as text; hostile until checked."""
    data = event._data if isinstance(event._data, dict) else {}
    value = data.get(name)
    return value if isinstance(value, str) else "" if value is None else str(value)


def event_number(event: gr.EventData, name: str) -> int | None:
    """Return a field of an event as a whole number, None when it is none."""
    text = event_text(event, name)
    return int(text) if text.lstrip("-").isdigit() and len(text) < 12 else None


PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
