"""The pair picker: a pair that has to be fetched is shown with its costs before it is."""

from __future__ import annotations

# The UI toolkit reads the handlers' annotations when it wires them, so these are real imports.
from collections.abc import Callable, Iterator
from typing import Any

from core.errors import CoreError
from demo import texts
from demo.fetching import Fetching
from demo.presenters import library, offer
from demo.toolkit import gr
from demo.views.sidebar import Sidebar, screen_outputs, screen_values
from demo.views.wiring import PRIVATE, Shared, event_text, html_part


def build() -> gr.HTML:
    """Place the offer: below the header, above every view."""
    return html_part("bf-offer")


def wire(  # noqa: C901  closures over the components, wired at the end
    part: gr.HTML,
    shared: Shared,
    side: Sidebar,
    examples: gr.HTML,
    fetching: Fetching,
    watched: Callable[..., Any],
) -> None:
    """Connect the picker."""
    handlers = shared.handlers
    screen = screen_outputs(side, shared, examples)
    idle = gr.update(visible=False)
    rest = 2 + len(screen)  # progress, Stop, and the library's parts

    def still(html: str) -> tuple[Any, ...]:
        return html, *([gr.skip()] * rest)

    def screened(visitor: Any, library_id: str, html: str) -> tuple[Any, ...]:  # noqa: ANN401
        """The offer, and the picker set back to the pair in use."""
        shown = handlers.libraries.screen(visitor, library_id)
        return html, gr.skip(), gr.skip(), *screen_values(shown)

    def choose(visitor: Any, library_id: str, pair_id: str) -> Iterator[Any]:  # noqa: ANN401
        try:
            settings = handlers.indexing.with_pair(visitor, library_id, pair_id)
            yield still(offer.asking(fetching.label(pair_id)))
            html = fetching.shown(visitor, library_id, pair_id)
            if html is not None:
                yield screened(visitor, library_id, html)
                return
            if handlers.indexing.change_settings(visitor, library_id, settings) is not None:
                for row in watched(visitor, library_id):
                    yield "", *row
                return
            shown = handlers.libraries.screen(visitor, library_id)
            yield "", library.notice(texts.SETTINGS_KEPT), idle, *screen_values(shown)
        except CoreError as error:
            yield "", library.trouble(str(error)), idle, *([gr.skip()] * len(screen))

    def look(event: gr.EventData, visitor: Any, library_id: str) -> Iterator[Any]:  # noqa: ANN401
        yield from choose(visitor, library_id, event_text(event, "pair"))

    def watching(visitor: Any, library_id: str) -> Iterator[Any]:  # noqa: ANN401
        """Show a library's download until it ends, and the embedding that follows it."""
        done = False
        yield still("")
        try:
            for html, running in fetching.watch(visitor, library_id):
                yield still(html)
                done = not running and not html
        except CoreError as error:
            yield "", library.trouble(str(error)), idle, *([gr.skip()] * len(screen))
            return
        if done:
            for row in watched(visitor, library_id):
                yield "", *row

    def take(event: gr.EventData, visitor: Any, library_id: str) -> Iterator[Any]:  # noqa: ANN401
        try:
            fetching.take(visitor, library_id, event_text(event, "pair"))
        except CoreError as error:
            yield "", library.trouble(str(error)), idle, *([gr.skip()] * len(screen))
            return
        yield from watching(visitor, library_id)

    def keep(visitor: Any, library_id: str) -> str:  # noqa: ANN401
        fetching.dismiss(visitor, library_id)
        return ""

    place = [shared.visitor, shared.library]
    outputs = [part, side.progress, side.stop, *screen]
    long: dict[str, Any] = {**PRIVATE, "concurrency_limit": 64}
    shared.pair.input(choose, [*place, shared.pair], outputs, **long)
    shared.bridge.do_look_pair(look, place, outputs, **long)
    shared.bridge.do_take_pair(take, place, outputs, **long)
    shared.bridge.do_keep_pair(keep, place, part, **PRIVATE)
    shared.bridge.do_stop_fetch(fetching.stop, place, None, queue=False, **PRIVATE)
    # A library that is opened, on arrival too, may have a download of its own under way.
    shared.library.change(watching, place, outputs, **long)
