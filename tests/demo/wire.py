"""A served page and how to talk to it: plain HTTP, and the toolkit's own client in a process apart.

The toolkit leaves event loops and sockets to the garbage collector, and this project's tests treat
such leaks as errors; so both server and client live in processes of their own.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CLIENT = """
import json, sys
from gradio_client import Client, handle_file
url, calls = sys.argv[1], json.loads(sys.argv[2])
client, out = Client(url, verbose=False), []
for name, arguments, files in calls:
    arguments = {**arguments, **({"files": [handle_file(f) for f in files]} if files else {})}
    try:
        out.append(["ok", client.predict(api_name=name, **arguments)])
    except Exception as error:
        out.append(["error", str(error)])
print("RESULT" + json.dumps(out))
"""
MCP_CLIENT = """
import asyncio, base64, json, sys
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

given = {"query": "sluice gate of oak", "k": 5, "label": "Over MCP", "count": 4, "show": 2,
         "name": "a.trec", "text": "7 Q0 x 1 1 t", "files": [{"name": "tides.txt",
         "base64": base64.b64encode(b"The tide turns twice a day.").decode()}]}
kinds = {"string": "none-such", "integer": 1, "array": []}

async def main():
    out = {}
    async with streamablehttp_client(sys.argv[1] + "/gradio_api/mcp/") as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            for tool in (await session.list_tools()).tools:
                schema = tool.inputSchema
                wanted = schema.get("required", ())
                values = {name: given.get(name, kinds[schema["properties"][name]["type"]])
                          for name in wanted}
                answer = await session.call_tool(tool.name, values)
                out[tool.name] = [answer.isError, "".join(part.text for part in answer.content)]
    print("RESULT" + json.dumps(out))

asyncio.run(main())
"""


class ApiError(Exception):
    """What the server said instead of a result."""


@contextmanager
def server(*arguments: Any, module: Any = "tests.demo.serve") -> Iterator[Any]:
    """Start a server process; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    out = process.stdout
    try:
        url = next(line for line in out if line.startswith("http")).strip()
        yield url.rstrip("/")
    finally:
        process.terminate()
        process.wait(10)
        out.close()


def asked(url: str, method: str, path: str, headers: dict[str, str]) -> Any:
    """Return status and headers of one request, whose headers are given to the last one."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def get(url: Any) -> Any:
    """Return status, headers and text of a page."""
    request = urllib.request.Request(url)  # noqa: S310  our own server
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def call(url: Any, name: Any, *values: Any) -> Any:
    """Call an endpoint over REST; returns its first output."""
    body = json.dumps({"data": list(values)}).encode()
    request = urllib.request.Request(  # noqa: S310  our own server
        f"{url}/gradio_api/call/{name}", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        event = json.load(answer)["event_id"]
    _, _, stream = get(f"{url}/gradio_api/call/{name}/{event}")
    kind, data = "", ""
    for line in stream.splitlines():
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            data = line[6:]
    if kind != "complete":
        raise ApiError(data)
    return json.loads(data)[0]


def through_client(url: Any, *calls: Any) -> Any:
    """Run calls ``(name, arguments, files)`` through `gradio_client`; returns their outcomes."""
    return _result(CLIENT, url, json.dumps(calls))


def through_mcp(url: Any) -> Any:
    """Call every MCP tool once; returns whether it is an error, and its text, by name."""
    return _result(MCP_CLIENT, url)


def _result(program: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT")), None)
    assert line is not None, done.stderr[-2000:]
    return json.loads(line[6:])
