"""Headers of every response, the requests that the server refuses, and the upload folder."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOAD_PATH = "/gradio_api/upload"
SWEEP_EVERY_SECONDS, UPLOAD_SECONDS = 300.0, 1800.0  # the second: how long an upload is kept
READ_OFF_BYTES = 64 * 1024 * 1024
OWN_PREFIX = "own-"  # folders that a job made for itself, which it removes
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
    """ASGI middleware over the whole app: refuses foreign requests, adds the headers.

    A name that is not the server's own may lead to it all the same (DNS rebinding, ``x.localhost``),
    and a page of another site may send requests here: neither is answered, on any route.

    Args:
        app: Answers the rest.
        host: Address that the server listens on; it may be reached under that name.
        allow_hosts: Further names, with a port where their pages have one; ``*`` for every name,
            where a proxy has checked it.
        framed: Whether a Space's page may show this one in a frame.
        body_bytes: Largest body of a request that is no upload.
        upload_bytes: Largest body of an upload.
        uploads: Folder that uploads are in.
        uploads_bytes: Most that they may take together; None for a server of one's own.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        allow_hosts: Sequence[str] = (),
        framed: bool = False,
        body_bytes: int,
        upload_bytes: int,
        uploads: Path,
        uploads_bytes: int | None = None,
    ) -> None:
        self.app = app
        self._most = {UPLOAD_PATH: upload_bytes}
        self._body_bytes = body_bytes
        self._uploads = uploads
        self._uploads_bytes = uploads_bytes
        self._coming = 0  # bytes of uploads that are being sent
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

        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")).rstrip("/")
        most = self._most.get(path, self._body_bytes)
        stated = _number(_values(scope, b"content-length"))
        too_long = PlainTextResponse(
            f"This request is larger than the {most:,} bytes that are taken. Send less at once.",
            status_code=413,
        )
        refusal = self._refusal(scope, path) or (too_long if stated > most else None)
        if refusal is None and path == UPLOAD_PATH:
            refusal = await self._no_room(stated)
        if refusal is not None:
            await _read_off(receive, stated)
            await refusal(scope, receive, send_with_headers)
            return
        coming = stated if path == UPLOAD_PATH else 0
        self._coming += coming
        try:
            whole = await self._answer(scope, receive, send_with_headers, most)
        finally:
            self._coming -= coming
        if not whole:
            await too_long(scope, receive, send_with_headers)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, most: int) -> bool:
        """Let the app answer; returns False, and sends nothing, if the body is too long."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return message if taken <= most else {"type": "http.disconnect"}

        async def unless_too_long(message: Message) -> None:
            if taken <= most:
                await send(message)

        try:
            await self.app(scope, counted, unless_too_long)
        except Exception:
            if taken <= most:
                raise  # else it is the end of a request that was cut off
        return taken <= most

    async def _no_room(self, coming: int) -> PlainTextResponse | None:
        if self._uploads_bytes is None:
            return None
        held = await asyncio.to_thread(folder_bytes, self._uploads)
        if held + self._coming + coming <= self._uploads_bytes:
            return None
        return PlainTextResponse(
            "Too many uploads are waiting on this server. Try again in some minutes.",
            status_code=503,
        )

    def _refusal(self, scope: Scope, path: str) -> PlainTextResponse | None:
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


async def _read_off(receive: Receive, stated: int) -> None:
    """Read the rest of a request, within reason: a client that sends hears no answer."""
    left, more = min(stated, READ_OFF_BYTES), True
    while more and left > 0:
        message = await receive()
        more = message.get("more_body", False)
        left -= len(message.get("body", b""))


def _number(values: Sequence[str]) -> int:
    return int(values[0]) if values and values[0].isdecimal() else 0


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
    answers requests; here the guard goes around them all, before the first connection. Inside it
    answers are compressed: the page is 700 kB of markup.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:  # noqa: ANN401  the toolkit's app
        smaller = GZipMiddleware(app.middleware_stack, minimum_size=1_000, compresslevel=5)
        app.middleware_stack = Guard(smaller, **options)

        async def sweeping() -> None:
            while True:
                await asyncio.sleep(SWEEP_EVERY_SECONDS)
                await asyncio.to_thread(sweep, options["uploads"])

        sweeper = asyncio.create_task(sweeping())
        yield
        sweeper.cancel()

    return lifespan


def sweep(folder: Path, *, older_than_seconds: float = UPLOAD_SECONDS) -> int:
    """Delete uploads that no job took in, parts of those that were cut off among them.

    Args:
        folder: Of the uploads, and of nothing else. The folders of jobs in it stay.
        older_than_seconds: Since a file came, or since a job last took it in or ended.

    Returns:
        How many files were deleted.
    """
    swept = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # gone meanwhile
            old = time.time() - path.stat().st_ctime > older_than_seconds
            if old and path.is_file() and not path.parent.name.startswith(OWN_PREFIX):
                path.unlink()
                swept += 1
    return swept


def folder_bytes(folder: Path) -> int:
    """Return the bytes of the files in a folder; a file with two names counts once."""
    sizes = {}
    for path in folder.rglob("*"):
        with suppress(OSError):
            status = path.stat()
            sizes[status.st_dev, status.st_ino] = status.st_size if path.is_file() else 0
    return sum(sizes.values())
