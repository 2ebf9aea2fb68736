from __future__ import annotations

import asyncio
from typing import Any

import pytest

from demo.security import (
    CLOSED_PREFIXES,
    CONTENT_POLICY,
    FRAMED_BY_A_SPACE,
    FRAMED_BY_NO_PAGE,
    Guard,
)


async def inner(scope: Any, _receive: Any, send: Any) -> None:
    scope["reached"] = True
    headers = [(b"content-type", b"text/html"), (b"referrer-policy", b"unsafe-url")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


def ask(
    path: str = "/",
    *,
    root: str = "",
    kind: str = "http",
    hosts: tuple[str, ...] = ("127.0.0.1:7860",),
    origins: tuple[str, ...] = (),
    method: str = "GET",
    **options: Any,
) -> tuple[dict[str, Any], list[Any]]:
    headers = [(b"host", host.encode()) for host in hosts]
    headers += [(b"origin", origin.encode()) for origin in origins]
    scope = {"type": kind, "path": path, "root_path": root, "method": method, "headers": headers}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(inner, **{"host": "127.0.0.1", **options})
    asyncio.run(guard(scope, None, send))  # type: ignore[arg-type]
    return scope, sent


def status(*hosts: str, origins: tuple[str, ...] = (), **options: Any) -> int:
    return int(ask(hosts=hosts, origins=origins, **options)[1][0]["status"])


def test_every_answer_carries_the_policy_once() -> None:
    _, sent = ask("/")
    headers = sent[0]["headers"]
    policy = f"{CONTENT_POLICY}; {FRAMED_BY_NO_PAGE}".encode()
    assert (b"content-security-policy", policy) in headers
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


def test_the_lifespan_passes_unchanged_and_a_websocket_is_closed() -> None:
    scope, sent = ask(kind="lifespan")
    assert "reached" in scope
    assert b"content-security-policy" not in dict(sent[0]["headers"])
    scope, sent = ask(kind="websocket")
    assert "reached" not in scope
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_policy_names_no_host_that_the_page_could_load_from() -> None:
    assert "http" not in CONTENT_POLICY


def test_only_a_space_may_show_a_shared_page_in_a_frame() -> None:
    _, sent = ask(framed=True)
    policy = f"{CONTENT_POLICY}; {FRAMED_BY_A_SPACE}".encode()
    assert (b"content-security-policy", policy) in sent[0]["headers"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:7860", "127.0.0.1:7860", "127.9.9.9", "[::1]:7860", "[::1]"],
)
def test_this_machine_is_reached_under_its_loopback_names(host: str) -> None:
    assert status(host) == 200
    assert status(host, host="192.168.1.5") == 200


@pytest.mark.parametrize(
    "hosts",
    [
        ("x.localhost:7860",),
        ("localhost.:7860",),
        ("evil.localhost:7860",),
        ("evil.example",),
        ("192.168.1.5",),
        ("127.0.0.1.evil.example",),
        ("evil.example@localhost",),
        ("localhost/evil",),
        ("[::1",),
        ("",),
        (),
        ("localhost", "evil.example"),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/", "/gradio_api/mcp/", "/gradio_api/upload", "/config"])
def test_any_other_name_is_misdirected(hosts: tuple[str, ...], path: str) -> None:
    scope, sent = ask(path, hosts=hosts)
    assert "reached" not in scope
    assert sent[0]["status"] == 421


def test_a_name_given_at_the_start_is_answered() -> None:
    assert status("Box.lan:7860", host="box.lan") == 200
    assert status("[fd00::5]:7860", host="fd00::5") == 200
    assert status("", host="::1") == 421
    assert status("bifocal.example.org", allow_hosts=("bifocal.example.org",)) == 200
    assert status("other.example.org", allow_hosts=("bifocal.example.org",)) == 421
    assert status("other.example.org", allow_hosts=("*",)) == 200


def test_a_server_at_every_address_answers_addresses_and_no_unknown_name() -> None:
    # A foreign name can be bound to this machine; an address cannot be bound to another one.
    for host in ("0.0.0.0", "::"):
        assert status("192.168.1.5:7860", host=host) == 200
        assert status("[fd00::5]:7860", host=host) == 200
        assert status("evil.example:7860", host=host) == 421


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "origins",
    [
        ("http://evil.example",),
        ("http://evil.localhost:7860",),
        ("http://localhost:7860",),  # another server of this machine, or this under another name
        ("http://127.0.0.1:7861",),
        ("null",),
        ("",),
        ("http://127.0.0.1:7860", "http://evil.example"),
    ],
    ids=str,
)
def test_a_page_of_another_origin_is_refused(origins: tuple[str, ...], method: str) -> None:
    scope, sent = ask(origins=origins, method=method)
    assert "reached" not in scope
    assert sent[0]["status"] == 403


def test_the_pages_own_requests_are_answered() -> None:
    assert status("127.0.0.1:7860", origins=("http://127.0.0.1:7860",)) == 200
    assert status("Localhost:7860", origins=("http://localhost:7860",)) == 200
    assert status("a.example", origins=("https://a.example",), allow_hosts=("*",)) == 200
    # A proxy that puts a name of its own into Host, for a page under the name that was given.
    named = {"allow_hosts": ("a.example",)}
    assert status("127.0.0.1:7860", origins=("https://a.example",), **named) == 200
    assert status("127.0.0.1:7860", origins=("https://b.example",), **named) == 403
    assert status("127.0.0.1:7860", origins=("https://a.example:81",), **named) == 403
    assert status("a.example:81", allow_hosts=("a.example:81",)) == 200
    assert status("a.example", origins=("https://b.example",), allow_hosts=("*",)) == 403
