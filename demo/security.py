"""Headers of every response, and the requests that the server refuses."""

from __future__ import annotations

import ipaddress
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The UI toolkit builds its event functions from strings, so script needs 'unsafe-eval'; what the
# policy is for is that nothing, not even a mistake of ours, can reach another host.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
FRAMED_BY_A_SPACE = "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
FRAMED_BY_NO_PAGE = "frame-ancestors 'none'"
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
# Routes of the toolkit that Bifocal does not use: uploads are read by the server and by nobody
# else, so no file is ever served back; nothing is proxied; no state is written to share a link.
CLOSED_PREFIXES = (
    "/gradio_api/file=",
    "/gradio_api/file/",
    "/gradio_api/proxy=",
    "/gradio_api/stream/",
    "/gradio_api/deep_link",
    "/gradio_api/run-history",
    "/gradio_api/vibe",
    "/gradio_api/undo-vibe",
    "/gradio_api/component_server",
    "/gradio_api/process_recording",
    "/gradio_api/profiling",
    "/gradio_api/monitoring",
    "/file=",
    "/file/",
    "/proxy=",
    "/monitoring",
    "/runs",
    "/run-history",
    "/deep_link",
    "/component_server",
)


class Guard:
    """ASGI middleware over the whole app: refuses what is not for it, adds the headers.

    A name that is not the server's own may lead to it all the same (DNS rebinding, ``x.localhost``),
    and a page of another site may send requests here: neither is answered, on any route.

    Args:
        app: Answers the rest.
        host: Address that the server listens on; it may be reached under that name.
        allow_hosts: Further names, with a port where their pages have one; ``*`` for every name,
            where a proxy has checked it.
        framed: Whether a Space's page may show this one in a frame.
    """

    def __init__(
        self, app: ASGIApp, *, host: str, allow_hosts: Sequence[str] = (), framed: bool = False
    ) -> None:
        self.app = app
        self._any_address = host in {"", "0.0.0.0", "::", "[::]"}  # noqa: S104  compared, not bound
        self._sites = {name.lower() for name in allow_hosts}
        self._names = {_name(name) for name in self._sites} | {host.strip("[]").lower()} - {""}
        ancestors = FRAMED_BY_A_SPACE if framed else FRAMED_BY_NO_PAGE
        policy = f"{CONTENT_POLICY}; {ancestors}".encode()
        self._headers = ((b"content-security-policy", policy), *_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # a websocket: nothing here speaks it
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in self._headers}
                kept = [pair for pair in message["headers"] if pair[0] not in names]
                message["headers"] = [*kept, *self._headers]
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        given = {name: _values(scope, name) for name in (b"host", b"origin")}
        host = given[b"host"][0] if len(given[b"host"]) == 1 else ""
        if not self._is_own(host):
            return PlainTextResponse(
                "Bifocal does not answer under this name. Start it with --allow-host NAME to reach "
                "it under a name of your own.",
                status_code=421,
            )
        for origin in given[b"origin"]:
            if origin.partition("://")[2] not in {host, *self._sites}:
                return PlainTextResponse(
                    "Bifocal answers its own page only, and this request comes from another site.",
                    status_code=403,
                )
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
        if path.startswith(CLOSED_PREFIXES):
            return PlainTextResponse("Not offered here.", status_code=404)
        return None

    def _is_own(self, host: str) -> bool:
        name = _name(host)
        if name and (name == "localhost" or not self._names.isdisjoint({name, "*"})):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address or address.is_loopback  # an address is not re-bound


def _values(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for name, value in scope["headers"] if name == wanted]


def _name(host: str) -> str:
    """Return the name in ``name:port``; "" when it is no host."""
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return ""
    return parts.hostname or "" if parts.netloc == host and "@" not in host else ""


def guarding(**options: Any) -> Callable[[Any], AbstractAsyncContextManager[None]]:  # noqa: ANN401
    """Return the lifespan for ``launch(app_kwargs=...)`` that puts a `Guard` around the app.

    The toolkit puts layers of its own around every middleware that it is given, one of which
    answers requests; here the guard goes around them all, before the first connection.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:  # noqa: ANN401  the toolkit's app
        app.middleware_stack = Guard(app.middleware_stack, **options)
        yield

    return lifespan
