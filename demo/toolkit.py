"""The UI toolkit, imported once, without its development aid and without its downloads.

At every start the toolkit parses the source of each of its components to write type stubs beside
them; that is a third of its import time, and a page that opens fast is worth more than the stubs.
It leaves out components that have no source file, so during the import no class has one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

_getfile = inspect.getfile


def _getfile_of_no_class(of: Any) -> str:  # noqa: ANN401  as the original takes anything
    if isinstance(of, type):
        raise OSError
    return _getfile(of)


inspect.getfile = _getfile_of_no_class  # type: ignore[assignment]  # narrower on purpose
try:
    import gradio as gr
    from gradio.context import LocalContext
finally:
    inspect.getfile = _getfile


def _no_address(*_arguments: Any, **_options: Any) -> NoReturn:  # noqa: ANN401  whatever it is given
    raise gr.Error("A file has to be uploaded; no address is fetched.", print_exception=False)


# A value that says it is a file may name an address instead: the toolkit would fetch it.
for _name in ("ssrf_protected_download", "async_ssrf_protected_download", "save_url_to_cache"):
    setattr(gr.processing_utils, _name, _no_address)

__all__ = ["address", "gr", "share_queue"]


def address() -> str:
    """Return the address that the present call comes from; "" where there is none.

    Behind a proxy it is the last one that the proxy vouches for.
    """
    request = LocalContext.request.get(None)
    if request is None or request.client is None:
        return ""
    forwarded = dict(request.headers).get("x-forwarded-for", "").rsplit(",", 1)[-1].strip()
    return forwarded or str(request.client.host)


def share_queue(queue: Any, visitor_in: Callable[[Sequence[Any]], str], *, most: int) -> None:  # noqa: ANN401
    """Let one visitor have so many events in the toolkit's queue, so that others find room.

    Args:
        queue: The toolkit's.
        visitor_in: Returns the visitor named among an event's values, "" when there is none; such
            events count by the page that sends them.
        most: Events of one visitor that wait.
    """
    push = queue.push

    async def push_in_turn(body: Any, request: Any, username: str | None) -> Any:  # noqa: ANN401
        mine = visitor_in(body.data or ()) or body.session_hash
        waiting = [
            event.data
            for line in list(queue.event_queue_per_concurrency_id.values())
            for event in list(line.queue)
        ]
        if sum((visitor_in(one.data or ()) or one.session_hash) == mine for one in waiting) >= most:
            return False, "You have many requests waiting here. Wait for them.", "queue_full"
        return await push(body, request, username)

    queue.push = push_in_turn
