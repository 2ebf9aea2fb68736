from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from demo.security import (
    CLOSED_PREFIXES,
    CONTENT_POLICY,
    FRAMED_BY_A_SPACE,
    FRAMED_BY_NO_PAGE,
    UPLOAD_PATH,
    Guard,
    folder_bytes,
    sweep,
)
from tests.loops import run


async def inner(scope: Any, receive: Any, send: Any) -> None:
    scope["reached"] = True
    more = scope["type"] == "http"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError  # as the toolkit's own routes do
        more = message.get("more_body", False)
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
    body: tuple[bytes, ...] = (b"",),
    stated: int | None = None,
    **options: Any,
) -> tuple[dict[str, Any], list[Any]]:
    headers = [(b"host", host.encode()) for host in hosts]
    headers += [(b"origin", origin.encode()) for origin in origins]
    headers += [] if stated is None else [(b"content-length", str(stated).encode())]
    scope = {"type": kind, "path": path, "root_path": root, "method": method, "headers": headers}
    sent: list[Any] = []
    parts = iter(body)

    async def receive() -> Any:
        part = next(parts)
        return {"type": "http.request", "body": part, "more_body": part is not body[-1]}

    async def send(message: Any) -> None:
        sent.append(message)

    own = {"host": "127.0.0.1", "body_bytes": 10, "upload_bytes": 100, "uploads": Path("none")}
    guard = Guard(inner, **{**own, **options})
    run(guard(scope, receive, send))
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


# -- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stated", [None, 11, 3], ids=["none", "true", "false"])
@pytest.mark.parametrize("root", ["", "/bifocal"])
def test_a_body_that_is_too_long_is_refused_whatever_it_says_of_itself(
    stated: int | None, root: str
) -> None:
    scope, sent = ask(root + "/config", root=root, body=(b"a" * 6, b"b" * 5), stated=stated)
    assert [message["status"] for message in sent if "status" in message] == [413]
    assert "reached" not in scope or stated != 11
    assert ask("/config", body=(b"a" * 5, b"b" * 5), stated=10)[1][0]["status"] == 200


def test_an_upload_may_be_longer_than_another_request() -> None:
    assert ask(UPLOAD_PATH, body=(b"a" * 100,), stated=100)[1][0]["status"] == 200
    assert ask(UPLOAD_PATH + "/", body=(b"a" * 101,), stated=101)[1][0]["status"] == 413


def test_a_failure_of_the_app_is_no_cut_off_request() -> None:
    with pytest.raises(RuntimeError):  # a body without an end
        ask("/config", body=())


def test_a_shared_server_takes_so_many_bytes_of_uploads_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "a1").mkdir()
    (tmp_path / "a1" / "a.pdf").write_bytes(b"a" * 60)
    (tmp_path / "tmp4").write_bytes(b"a" * 10)  # of an upload that was cut off
    (tmp_path / "a1" / "own-1").mkdir()
    os.link(tmp_path / "a1" / "a.pdf", tmp_path / "a1" / "own-1" / "a.pdf")
    (tmp_path / "a1" / "own-2").mkdir()
    (tmp_path / "a1" / "own-2" / "b.pdf").write_bytes(b"b" * 5)  # waits for its password
    assert folder_bytes(tmp_path) == 75
    shared: dict[str, Any] = {"uploads": tmp_path, "uploads_bytes": 100}
    assert ask(UPLOAD_PATH, stated=25, **shared)[1][0]["status"] == 200
    assert ask(UPLOAD_PATH, stated=26, **shared)[1][0]["status"] == 503
    assert ask(UPLOAD_PATH, stated=31, uploads=tmp_path)[1][0]["status"] == 200


def test_what_nobody_came_for_is_swept_and_what_a_job_took_in_stays(tmp_path: Path) -> None:
    (tmp_path / "a1" / "own-1").mkdir(parents=True)
    for name in ("tmp4", "a1/a.pdf", "a1/own-1/a.pdf"):
        (tmp_path / name).write_bytes(b"a")
    assert sweep(tmp_path, older_than_seconds=60.0) == 0
    assert sweep(tmp_path, older_than_seconds=-1.0) == 2
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.pdf"]
    assert (tmp_path / "a1" / "own-1" / "a.pdf").exists()
    assert sweep(tmp_path / "none") == 0
