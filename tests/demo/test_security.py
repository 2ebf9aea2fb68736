from __future__ import annotations

import asyncio
from typing import Any

import pytest

from demo.security import CLOSED_PREFIXES, CONTENT_POLICY, SecurityHeaders


async def inner(scope: Any, _receive: Any, send: Any) -> None:
    scope["reached"] = True
    headers = [(b"content-type", b"text/html"), (b"referrer-policy", b"unsafe-url")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


def ask(path: str, *, root: str = "", kind: str = "http") -> tuple[dict[str, Any], list[Any]]:
    scope = {"type": kind, "path": path, "root_path": root, "method": "GET", "headers": []}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(SecurityHeaders(inner)(scope, None, send))  # type: ignore[arg-type]
    return scope, sent


def test_every_answer_carries_the_policy_once() -> None:
    _, sent = ask("/")
    headers = sent[0]["headers"]
    assert (b"content-security-policy", CONTENT_POLICY.encode()) in headers
    assert [value for name, value in headers if name == b"referrer-policy"] == [b"no-referrer"]
    assert (b"content-type", b"text/html") in headers


@pytest.mark.parametrize("path", CLOSED_PREFIXES)
@pytest.mark.parametrize("root", ["", "/bifocal"])
def test_closed_routes_never_reach_the_page(path: str, root: str) -> None:
    scope, sent = ask(root + path + "/anything", root=root)
    assert "reached" not in scope
    assert sent[0]["status"] == 404


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/upload", "/gradio_api/queue/join"])
def test_what_the_page_needs_is_open(path: str) -> None:
    assert "reached" in ask(path)[0]


def test_what_is_not_http_passes_unchanged() -> None:
    scope, sent = ask("/", kind="lifespan")
    assert "reached" in scope
    assert (b"content-security-policy", CONTENT_POLICY.encode()) not in sent[0]["headers"]


def test_the_policy_names_no_host_that_the_page_could_load_from() -> None:
    rules = dict(rule.split(" ", 1) for rule in CONTENT_POLICY.split("; "))
    for name, sources in rules.items():
        if name != "frame-ancestors":  # who may show the page, not what it loads
            assert "http" not in sources, name
