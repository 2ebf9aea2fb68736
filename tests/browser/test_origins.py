"""A page of another site, open in the browser of a user whose Bifocal runs on the same machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from typing_extensions import override

from tests.demo.wire import call

ATTACK = """
async (base) => {
  const sent = [];
  const ask = async (path, options) => {
    try {
      const answer = await fetch(base + path, options);
      sent.push([path, answer.type, answer.status, (await answer.text()).slice(0, 200)]);
    } catch (error) { sent.push([path, "error", 0, ""]); }
  };
  const label = {data: ["Stolen", ""]};
  const form = () => { const it = new FormData(); it.append("files", new Blob(["x"]), "x.txt"); return it; };
  await ask("/config", {});
  await ask("/gradio_api/call/create_library", {method: "POST", body: JSON.stringify(label)});
  await ask("/gradio_api/call/create_library", {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(label),
  });
  await ask("/gradio_api/upload", {method: "POST", body: form()});
  await ask("/gradio_api/upload", {method: "POST", mode: "no-cors", body: form()});
  return sent;
}
"""


class Page(BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>evil</title>")

    @override
    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def evil_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "name", ["localhost", "x.localhost", "localhost.", "[::ffff:127.0.0.1]", "evil.localhost"]
)
def test_a_page_of_another_origin_reads_and_changes_nothing(
    browser: Any, local_url: Any, evil_port: int, name: str
) -> None:
    before = call(local_url, "libraries", "")
    context = browser.new_context()
    page = context.new_page()
    answered: list[tuple[str, int]] = []
    page.goto(f"http://evil.localhost:{evil_port}/")
    page.on("response", lambda answer: answered.append((answer.url, answer.status)))
    seen = page.evaluate(ATTACK, f"http://{name}:{urlsplit(local_url).port}")
    context.close()
    assert answered, "nothing reached the server: the test shows nothing"
    assert {status for _, status in answered} <= {403, 421}, answered
    assert [one for one in seen if one[2] == 200] == []
    assert call(local_url, "libraries", "") == before
