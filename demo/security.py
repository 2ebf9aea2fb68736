"""What every response of the page carries, and what the server never answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
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
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space",
    )
)
_HEADERS = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
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


class SecurityHeaders:
    """Adds the headers to every response and answers 404 on closed routes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0] not in _NAMES]
                message["headers"] = [*kept, *_HEADERS]
            await send(message)

        if path.startswith(CLOSED_PREFIXES):
            refusal = PlainTextResponse("Not offered here.", status_code=404)
            await refusal(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)


_NAMES = frozenset(name for name, _ in _HEADERS)


def middleware() -> list[Middleware]:
    """Return what `launch(app_kwargs=...)` takes."""
    return [Middleware(SecurityHeaders)]
