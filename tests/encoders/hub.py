"""A hub on this machine: the few answers that huggingface_hub asks for, over plain HTTP."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class LocalHub:
    """Serves folders as repositories.

    Attributes:
        repositories: Folder by id.
        refusals: Status and error code by id, for gated and missing repositories.
        requests: Method, path and range of every request, in order.
        gated: Ids that say they want an accepted licence.
        commit: What "main" is.
        delay_seconds: Waited before every 64 KiB of a file, to have time for Stop.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Path] = {}
        self.refusals: dict[str, tuple[int, str]] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.endpoint = ""
        self.gated: set[str] = set()
        self.commit = COMMIT
        self.delay_seconds = 0.0

    def files(self, repository: str) -> dict[str, bytes]:
        folder = self.repositories[repository]
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    @override
    def log_message(self, *_args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        wanted = self.headers.get("Range", "")
        self.hub.requests.append((self.command, path, wanted))
        path = path.replace("/datasets/", "/", 1) if path.startswith("/datasets/") else path
        path = path.replace("refs/convert/parquet", "refs-convert-parquet")
        parts = path.strip("/").split("/")
        is_api = parts[:2] in (["api", "models"], ["api", "datasets"])
        repository = "/".join(parts[2:4] if is_api else parts[:2])
        open_info = is_api and repository in self.hub.gated  # a gated repository says what it is
        if repository in self.hub.refusals and not open_info:
            status, code = self.hub.refusals[repository]
            self._send(status, b"{}", {"X-Error-Code": code}, body=body)
        elif repository not in self.hub.repositories:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)
        elif is_api and "tree" in parts:
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                for name, data in self.hub.files(repository).items()
            ]
            self._send(200, json.dumps(entries).encode(), {}, body=body)
        elif is_api:
            self._send(200, self._info(repository), {}, body=body)
        else:
            self._file(repository, "/".join(parts[4:]), wanted, body=body)

    def _info(self, repository: str) -> bytes:
        return json.dumps(
            {
                "_id": "1",
                "id": repository,
                "modelId": repository,
                "sha": self.hub.commit,
                "private": False,
                "gated": "auto" if repository in self.hub.gated else False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "cardData": {"license": "apache-2.0"},
                "siblings": [
                    {"rfilename": name, "size": len(data), **_large(name, data)}
                    for name, data in self.hub.files(repository).items()
                ],
            }
        ).encode()

    def _file(self, repository: str, name: str, wanted: str, *, body: bool) -> None:
        data = self.hub.files(repository).get(name)
        if data is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body=body)
            return
        etag = hashlib.sha256(data).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": self.hub.commit, "Accept-Ranges": "bytes"}
        if wanted.startswith("bytes="):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._send(206, data[start:], headers, body=body)
        else:
            self._send(200, data, headers, body=body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        if not self.hub.delay_seconds:
            self.wfile.write(data)
            return
        for start in range(0, len(data), 1 << 16):
            time.sleep(self.hub.delay_seconds)
            self.wfile.write(data[start : start + (1 << 16)])


def _large(name: str, data: bytes) -> dict[str, object]:
    """What a hub says about files it keeps as large ones."""
    if not name.endswith(".safetensors"):
        return {}
    digest = hashlib.sha256(data).hexdigest()
    return {"lfs": {"sha256": digest, "size": len(data), "pointerSize": 134}}


@contextmanager
def serving() -> Iterator[LocalHub]:
    """Run a hub for the length of a with block."""
    hub = LocalHub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
