"""Memory and answer times of a shared server while visitors work on it.

``python -m tests.tools.visitors --visitors 20 --minutes 60`` starts the app as a shared server.
Each visitor adds documents of his own, asks, looks at pages, saves, removes and starts again, one
step every ``--pace`` seconds. Printed every minute: memory of the server and its workers, and the
time that `compare` took. ``--heavy`` has one visitor ask for Disagree of 2,000 drafts six at a time.
"""

from __future__ import annotations

import argparse
import base64
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from gradio_client import Client  # type: ignore[import-untyped]

from core.settings import OWN_ID
from tests.pdfs import plain_pdf

ROOT = Path(__file__).parents[2]
WORDS = [
    "lock",
    "gate",
    "barge",
    "river",
    "owl",
    "vole",
    "snow",
    "tide",
    "harbour",
    "storm",
    "keeper",
    "paddle",
    "chamber",
    "gravel",
    "pellet",
    "moon",
    "water",
    "summer",
    "morning",
    "engine",
    "ledger",
    "bridge",
    "signal",
    "field",
    "winter",
    "lamp",
    "stone",
    "road",
    "measure",
]


def pdf(seed: int, pages: int) -> bytes:
    """Make a PDF of sentences drawn at random, so that no two visitors share a passage."""
    draw = random.Random(seed)
    return plain_pdf(
        [
            " ".join(" ".join(draw.choices(WORDS, k=12)).capitalize() + "." for _ in range(14))
            for _ in range(pages)
        ]
    )


def work(url: str, number: int, until: float, pace: float, seconds: list[float]) -> None:
    """Be one visitor until the time is up."""
    draw = random.Random(number)
    while time.monotonic() < until:
        try:
            client = Client(url, verbose=False, analytics_enabled=False)
            me = client.predict(api_name="/start")
            while time.monotonic() < until:
                for step in range(20):
                    time.sleep(draw.uniform(0.5, 1.5) * pace)
                    _one_step(client, me, step, draw, seconds)
        except Exception as exc:  # noqa: BLE001 - a refusal is counted, the visitor comes again
            print(f"visitor {number}: {exc!s:.120}", flush=True)  # noqa: T201
            time.sleep(pace)


def _one_step(client: Any, me: str, step: int, draw: random.Random, seconds: list[float]) -> None:
    if step % 10 == 0:
        content = base64.b64encode(pdf(draw.randrange(10**9), 6)).decode()
        file = {"name": f"notes-{draw.randrange(10**6)}.pdf", "base64": content}
        client.predict([file], "", "", me, api_name="/index")
    elif step % 10 == 9:
        for line in client.predict(OWN_ID, me, api_name="/documents")[:-2]:
            client.predict(line["doc_id"], OWN_ID, me, api_name="/remove_document")
    elif step % 10 == 5:
        line = client.predict(OWN_ID, me, api_name="/documents")[0]
        client.predict(line["doc_id"], 1, 800, OWN_ID, me, api_name="/page_image")
    else:
        query = " ".join(draw.choices(WORDS, k=6))
        started = time.monotonic()
        client.predict(query, 10, draw.choice(["", OWN_ID]), me, api_name="/compare")
        seconds.append(time.monotonic() - started)


def hog(url: str, until: float) -> None:
    """Ask for six heavy experiments at a time until the time is up."""
    client = Client(url, verbose=False, analytics_enabled=False)
    me = client.predict(api_name="/start")
    while time.monotonic() < until:
        for job in [client.submit(2000, api_name="/disagree", visitor=me) for _ in range(6)]:
            try:
                job.result(timeout=600)
            except Exception as exc:  # noqa: BLE001 - refused: that is what is measured
                print(f"heavy: {exc!s:.120}", flush=True)  # noqa: T201
                time.sleep(5)


def mebibytes(process: psutil.Process) -> float:
    """Memory of a process and its children, pages they share counted once each."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 2**20


def main() -> None:
    """Start the server, let visitors work, print a line a minute."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--pace", type=float, default=20, help="seconds between two steps")
    parser.add_argument("--heavy", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "app.py", "--hosted", "--port", "0", "--data", folder],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        url = next(
            word.rstrip("/")
            for line in server.stdout
            for word in line.split()
            if word.startswith("http://")
        )
        threading.Thread(target=server.stdout.read, daemon=True).start()
        process, seconds = psutil.Process(server.pid), list[float]()
        started = time.monotonic()
        until = started + asked.minutes * 60
        for number in range(asked.visitors):
            threading.Thread(
                target=work, args=(url, number, until, asked.pace, seconds), daemon=True
            ).start()
        if asked.heavy:
            threading.Thread(target=hog, args=(url, until), daemon=True).start()
        while time.monotonic() < until:
            time.sleep(60)
            recent, seconds[:] = sorted(seconds), []
            times = (
                f"{len(recent)} answers, half within {statistics.median(recent):.2f} s, "
                f"95 % within {recent[int(len(recent) * 0.95)]:.2f} s"
                if recent
                else "no answer"
            )
            print(  # noqa: T201
                f"{(time.monotonic() - started) / 60:.0f} min: {mebibytes(process):,.0f} MiB, "
                f"own {process.memory_info().rss / 2**20:,.0f} MiB, {process.num_fds()} files; "
                f"{times}",
                flush=True,
            )
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
