"""The page as a whole: its wiring, its launch options, and its verbs over the wire."""

from __future__ import annotations

import base64
import gzip
import json
import re
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from demo import style
from demo.security import CLOSED_PREFIXES, CONTENT_POLICY, FRAMED_BY_NO_PAGE
from demo.ui import launch_options
from tests.demo.wire import ApiError, asked, call, get, server, through_client, through_mcp

PUBLIC = {
    "start", "libraries", "create_library", "delete_library", "attention_switch", "growing_text",
    "hidden_key", "documents", "remove_document", "settings",
    "page_image", "index", "search", "compare", "received", "export", "saved", "saved_comparison",
    "explain_query", "late_context", "token_shares", "library_map",
    "disagree", "explain", "edit_last_sentence", "fairness", "judge", "judgments", "judged_report",
    "encoders", "choose_encoders", "add_encoder", "remove_encoder",
    "pair_costs", "use_pair", "runs", "add_run", "remove_run",
}  # fmt: skip

NEEDS_MORE = {
    "delete_library", "remove_document", "page_image", "explain", "edit_last_sentence",
    "attention_switch", "growing_text", "hidden_key", "add_encoder", "remove_encoder",
    "pair_costs", "use_pair", "remove_run", "saved_comparison", "judge", "judged_report",
    "late_context",
}  # fmt: skip


def test_launch_options_close_the_loose_defaults(hosted: Any) -> None:
    services = hosted.services
    options = launch_options(services)
    assert options["server_name"] == "127.0.0.1"
    for name in ("share", "run_history", "enable_monitoring", "pwa", "show_error", "mcp_server"):
        assert options[name] is False, name
    assert options["strict_cors"] is True
    assert options["allowed_paths"] == []
    assert options["max_file_size"] == services.limits.upload_bytes


def test_style_and_script_name_no_other_host() -> None:
    for text in (style.style_sheet(), style.script()):
        hosts = re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}", text)
        assert [host for host in hosts if "www.w3.org" not in host] == []
        assert "@import" not in text
    for font in style.theme()._font:
        assert not hasattr(font, "stylesheet") or font.stylesheet()["url"] is None


def luminance(colour: Any) -> Any:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Any, two: Any) -> Any:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("block", [":root", ".dark"])
def test_every_ink_can_be_read_on_every_ground(block: Any) -> None:
    css = style.style_sheet()
    rules = css[css.index(block) :]
    tokens = dict(re.findall(r"--([\w-]+): (#[0-9a-fA-F]{6})", rules[: rules.index("}")]))
    grounds = [tokens["paper"], tokens["wash"]]
    for ink in ("ink", "muted", "dif-ink", "aut-ink", "lex-ink"):
        for ground in grounds:
            assert contrast(tokens[ink], ground) >= 4.5, (ink, ground)
    assert contrast(tokens["dif-ink"], tokens["dif-wash"]) >= 4.5
    assert contrast(tokens["aut-ink"], tokens["aut-wash"]) >= 4.5
    assert contrast(tokens["ink"], tokens["mark"]) >= 4.5


# -- over the wire -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local() -> Iterator[Any]:
    with server("mcp") as url:
        yield url


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Any]:
    with server("hosted") as url:
        yield url


def test_every_public_verb_has_a_name_and_everything_else_is_private(local: Any) -> None:
    events = json.loads(get(f"{local}/config")[2])["dependencies"]
    public = {event["api_name"] for event in events if event["api_visibility"] == "public"}
    assert public == PUBLIC
    assert all(e["api_visibility"] == "private" for e in events if e["api_name"] not in PUBLIC)


def test_the_page_is_compressed_in_transit(local: Any) -> None:
    request = urllib.request.Request(f"{local}/", headers={"Accept-Encoding": "gzip"})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        sent = answer.read()
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(sent) < 100_000 < len(gzip.decompress(sent))


def test_opening_a_library_never_writes_over_an_answer(local: Any) -> None:
    """These events run on arrival too, beside a quick visitor's first question."""
    config = json.loads(get(f"{local}/config")[2])
    name = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
    opened = [
        event
        for event in config["dependencies"]
        if any((name.get(i), what) == ("bf-library", "change") for i, what in event["targets"])
    ]
    written = {name.get(output) for event in opened for output in event["outputs"]}
    assert {"bf-documents", "bf-notice"} <= written
    assert not written & {"bf-summary", "bf-columns", "bf-lower", "bf-query"}


def test_every_public_verb_says_what_it_does(local: Any) -> None:
    info = json.loads(get(f"{local}/gradio_api/info")[2])["named_endpoints"]
    for name in PUBLIC:
        assert info[f"/{name}"]["description"], name


def test_the_page_comes_with_its_policy_and_loads_nothing_from_elsewhere(local: Any) -> None:
    status, headers, text = get(local)
    assert status == 200
    assert headers["content-security-policy"] == f"{CONTENT_POLICY}; {FRAMED_BY_NO_PAGE}"
    assert headers["x-content-type-options"] == "nosniff"
    loaded = re.findall(r'(?:src|href)="(https?://[^"]+)"', text)
    assert [link for link in loaded if not link.startswith(local)] == []


@pytest.mark.parametrize("path", CLOSED_PREFIXES)
def test_routes_that_are_not_used_are_closed(local: Any, path: Any) -> None:
    assert get(f"{local}{path}x")[0] == 404


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    ["/", "/config", "/gradio_api/upload", "/gradio_api/call/libraries", "/gradio_api/mcp/"],
)
def test_another_origin_is_refused_on_every_route(local: Any, path: Any, method: Any) -> None:
    own = local.removeprefix("http://")
    # The question that a browser sends ahead of one that carries JSON, and the one itself.
    headers = {"Origin": "http://evil.localhost:1", "Access-Control-Request-Method": "POST"}
    status, given = asked(local, method, path, {**headers, "Host": own})
    assert (status, given.get("access-control-allow-origin")) == (403, None)
    for name in ("x.localhost", "localhost.", "evil.example"):
        status, given = asked(local, method, path, {**headers, "Host": name})
        assert (status, given.get("access-control-allow-origin")) == (421, None)


def test_every_verb_answers_through_the_toolkits_own_client(local: Any, tmp_path: Any) -> None:
    path = tmp_path / "tide.txt"
    path.write_text("The tide turns twice a day.", "utf-8")
    found, compared, mistake, indexed, documents = through_client(
        local,
        ("/search", {"query": "sluice gate of oak", "k": 5}, []),
        ("/compare", {"query": "sluice gate of oak", "k": 5}, []),
        ("/compare", {"query": " "}, []),
        ("/index", {}, [str(path)]),
        ("/documents", {"library": "my-documents"}, []),
    )
    assert found[1][0]["rank"] == 1
    assert len(compared[1]["columns"]) == 3
    assert mistake[0] == "error"
    assert "Type a question" in mistake[1]
    assert indexed[1]["documents"][0]["name"] == "tide.txt"
    assert [one["name"] for one in documents[1]] == ["tide.txt"]


def test_a_path_on_the_servers_disk_is_not_an_upload(local: Any) -> None:
    stolen = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(ApiError):
        call(local, "index", [stolen], "my-documents", "", "", "")
    assert "hostname" not in [one["name"] for one in call(local, "documents", "my-documents", "")]


def test_a_file_may_come_inline(local: Any) -> None:
    inline = {"name": "../moon.txt", "base64": base64.b64encode(b"The moon pulls.").decode()}
    made = call(local, "create_library", "Inline", "")["library_id"]
    report = call(local, "index", [inline], made, "", "", "")
    assert [one["name"] for one in report["documents"]] == ["moon.txt"]
    for bad in (
        {"name": "a.txt"},
        {"name": "a.txt", "base64": "?"},
        "a.txt",
        {"path": "/etc/hosts"},
    ):
        with pytest.raises(ApiError, match="as name and base64"):
            call(local, "index", [bad], made, "", "", "")


def test_an_address_is_no_file_and_is_not_fetched(local: Any) -> None:
    class Seen(BaseHTTPRequestHandler):
        asked: ClassVar[list[str]] = []

        def do_GET(self) -> None:
            self.asked.append(self.path)

    with HTTPServer(("127.0.0.1", 0), Seen) as other:
        other.timeout = 0.2
        address = f"http://127.0.0.1:{other.server_port}/x.txt"
        for path in (address, "https://example.org/x.txt"):
            file = {"path": path, "meta": {"_type": "gradio.FileData"}}
            with pytest.raises(ApiError, match="no address is fetched"):
                call(local, "index", [file], "my-documents", "", "", "")
            with pytest.raises(ApiError, match="no address is fetched"):
                call(local, "search", file, "", 5, "", "")
        other.handle_request()
        assert Seen.asked == []


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("search", ["tide", "", "ten", "", ""], "k is 'ten'; give a whole number"),
        ("search", ["tide", "", 2.5, "", ""], "k is 2.5; give a whole number"),
        ("search", ["tide", "", True, "", ""], "k is True; give a whole number"),
        ("compare", [["tide"], 5, "", ""], "query is .'tide'.; give a text"),
        ("compare", ["tide", {}, "", ""], "k is {}; give a whole number"),
        ("judge", ["a" * 100_001, "p", 1, "", ""], "query has 100,001 characters; up to 100,000"),
        ("received", ["a" * 100_001, "", ""], "query has 100,001 characters; up to 100,000"),
        ("create_library", ["a" * 10_001, ""], "label has 10,001 characters; up to 10,000"),
        ("index", ["a.txt", "", "", "", ""], "files is 'a.txt'; give a list"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_value_of_the_wrong_kind_or_length_is_named(
    local: Any, name: str, values: Any, words: str
) -> None:
    with pytest.raises(ApiError, match=words):
        call(local, name, *values)


def test_a_body_that_is_too_long_is_refused(local: Any) -> None:
    with pytest.raises(urllib.error.HTTPError, match="413") as refused:
        call(local, "received", "a" * 9_000_000, "", "")
    refused.value.close()


def test_every_tool_can_be_called_over_mcp(local: Any) -> None:
    """Each once, with what its schema asks for; a sentence is an answer too."""
    outcomes = through_mcp(local)
    assert set(outcomes) == PUBLIC
    failed = {name: text for name, (is_error, text) in outcomes.items() if is_error}
    assert set(failed) <= NEEDS_MORE, failed
    assert [text for text in failed.values() if "did not expect" in text] == []
    assert "tides.txt" in outcomes["index"][1]


def test_two_visitors_over_the_wire_see_their_own_libraries_only(shared_server: Any) -> None:
    anna, bert = call(shared_server, "start"), call(shared_server, "start")
    made = call(shared_server, "create_library", "Anna's", anna)
    assert "Anna's" in [one["label"] for one in call(shared_server, "libraries", anna)]
    assert "Anna's" not in [one["label"] for one in call(shared_server, "libraries", bert)]
    with pytest.raises(ApiError, match="was removed"):
        call(shared_server, "documents", made["library_id"], bert)
    with pytest.raises(ApiError, match="session is not known"):
        call(shared_server, "libraries", "")
    with pytest.raises(ApiError, match="session is not known"):
        call(shared_server, "libraries", "../" + anna)
