"""The wheel is the whole program: installed elsewhere, it checks itself and answers a question."""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client  # type: ignore[import-untyped]

from tests.tools.lock import ROOT

LIMIT_SECONDS = 300.0


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an environment that has the wheel, and its dependencies by reference."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    names = ("pyproject.toml", "README.md", "LICENSE", "NOTICE.md", "app.py")
    for name in ("core", "demo", "assets"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in names:
        shutil.copy(ROOT / name, tree / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    options = ["--no-deps", "--no-index", "--no-build-isolation"]
    run([*pip, "wheel", *options, "--wheel-dir", str(folder), str(tree)])
    venv.create(folder / "env", with_pip=False)
    (library,) = (folder / "env").glob("lib/python*/site-packages")
    (library / "tested-set.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    (wheel,) = folder.glob("*.whl")
    python = folder / "env" / "bin" / "python"
    run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)])
    return folder / "env" / "bin"


def run(command: list[str], **options: Any) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        env=environment,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="scripts have another folder there")
def test_it_checks_itself(installed: Path, tmp_path: Path) -> None:
    assert re.fullmatch(r"bifocal \d+\.\d+\.\d+\n", run([str(installed / "bifocal"), "--version"]))
    report = run([str(installed / "bifocal"), "doctor"], cwd=tmp_path)
    assert "hashes good, attention bidirectional proved" in report
    where = run(
        [str(installed / "python"), "-c", "import core; print(core.__file__)"], cwd=tmp_path
    )
    assert Path(where.strip()).is_relative_to(installed.parent)


@pytest.mark.skipif(sys.platform == "win32", reason="scripts have another folder there")
def test_it_answers_a_question_over_http(installed: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [
        str(installed / "bifocal"),
        "--port",
        "0",
        "--offline",
        "--data",
        str(tmp_path / "d"),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command, cwd=tmp_path, stdout=stream, stderr=subprocess.STDOUT, env=environment
        )
    try:
        address = re.compile(r"is at (http://127\.0\.0\.1:\d+)")
        wait_for(lambda: address.search(log.read_text("utf-8")) is not None, log)
        found = address.search(log.read_text("utf-8"))
        assert found is not None
        client = Client(found[1], verbose=False, analytics_enabled=False)
        answer = client.predict("Who wrote the annual letter?", 10, "", "", api_name="/compare")
        assert "bm25" in json.dumps(answer)
    finally:
        server.terminate()
        server.wait(60)


def wait_for(done: Callable[[], bool], log: Path) -> None:
    limit = time.monotonic() + LIMIT_SECONDS
    while not done():
        assert time.monotonic() < limit, log.read_text("utf-8")
        time.sleep(0.2)
