"""The entry: options to services, and the real program as a user starts and ends it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import app
from core.encoders.pool import load_encoder
from core.errors import StoreError, UnknownNameError
from core.settings import MEBIBYTE, OWN_ID, SAMPLE_ID
from demo.options import AppOptions, parse
from demo.services import Services
from tests.tools.lock import ROOT

START_SECONDS = 150.0  # far more than it takes, for machines that do other things as well
STOP_SECONDS = 60.0
_OWN = ("BIFOCAL_", "GRADIO_")


def options_for(tmp_path: Path, *arguments: str) -> AppOptions:
    return parse(["--data", str(tmp_path / "data"), "--offline", *arguments], {})


@pytest.fixture
def services_for(tmp_path: Path) -> Iterator[Callable[..., Services]]:
    made = []

    def make(*arguments: str) -> Services:
        options = options_for(tmp_path, *arguments)
        made.append(app.make_visitors(options))
        return app.make_services(options, made[-1])

    yield make
    for visitors in made:
        visitors.close()


# -- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "--port is 70000"),
        (["--device", "abacus"], "--device is 'abacus'"),
        (["--keep-hours", "0"], "--keep-hours is 0"),
    ],
)
def test_an_option_that_cannot_work_ends_with_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert app.main(arguments) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


def test_help_lists_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app.main(["--help"])
    assert ended.value.code == 0
    assert "--hosted" in capsys.readouterr().out


def test_an_unknown_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app.main(["--frobnicate"])
    assert ended.value.code == 2
    assert "--frobnicate" in capsys.readouterr().err


def test_where_libraries_are_kept(tmp_path: Path) -> None:
    assert app.data_folder(options_for(tmp_path)) == tmp_path / "data"
    own = app.data_folder(parse([], {}))
    assert own.name == "bifocal"
    visitors = app.data_folder(parse(["--hosted"], {}))
    assert visitors != own


# -- services ----------------------------------------------------------------------------------


def test_options_reach_the_services(services_for: Callable[..., Services]) -> None:
    services = services_for("--upload-mebibytes", "7")
    assert services.limits.upload_bytes == 7 * MEBIBYTE
    assert {pair.pair_id for pair in services.pairs()} >= {"pplx-0.6b", "dream-7b"}
    visitors = services.visitors
    line = visitors.create(visitors.new(), "Harbour")
    visitors.delete("local", line.library_id)
    with pytest.raises(UnknownNameError), visitors.library("local", line.library_id):
        pass
    with pytest.raises(StoreError):
        visitors.delete("local", SAMPLE_ID)


def test_hosted_visitors_are_kept_apart(services_for: Callable[..., Services]) -> None:
    services = services_for("--hosted", "--keep-hours", "3")
    visitors = services.visitors
    assert (services.hosted, visitors.keep_hours) == (True, 3)
    assert (services.runs, services.official) == (None, None)  # of the machine's user
    one, two = visitors.new(), visitors.new()
    assert one != two
    assert visitors.known(one)
    assert not visitors.known("local")
    with pytest.raises(UnknownNameError), visitors.library("local", OWN_ID):
        pass
    line = visitors.create(one, "Mine")
    with pytest.raises(UnknownNameError), visitors.library(two, line.library_id):
        pass


# -- ZeroGPU -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_elsewhere_encoders_are_loaded_as_ever(value: str) -> None:
    assert app.encoder_loader({}) is load_encoder
    assert app.encoder_loader({"SPACES_ZERO_GPU": value}) is load_encoder


def test_on_a_zero_gpu_space_they_run_in_lent_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    decorated: list[Any] = []

    def gpu(*, duration: Callable[..., int]) -> Callable[[Any], Any]:
        def decorate(function: Any) -> Any:
            decorated.append((function.__name__, callable(duration)))
            return function

        return decorate

    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=gpu))
    assert app.encoder_loader({"SPACES_ZERO_GPU": "true"}) is not load_encoder
    # Before the page is launched, which is when the host looks for decorated functions.
    assert decorated == [("run_task", True)]


# -- the program -------------------------------------------------------------------------------


@dataclass
class Program:
    """A running ``python app.py``."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int
    uploads: Path

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()


def start(folder: Path, *arguments: str, **environment: str) -> Program:
    (folder / "tmp").mkdir(parents=True)
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--data", str(folder / "data"), "--offline", *arguments],
            cwd=ROOT,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith(_OWN)},
                "TMPDIR": str(folder / "tmp"),
                **environment,
            },
        )
    return Program(process, log, 0, folder / "tmp")


def wait_for(program: Program, done: Callable[[], bool]) -> None:
    limit = time.monotonic() + START_SECONDS
    while not done():
        assert time.monotonic() < limit, program.said()
        time.sleep(0.2)


def up(program: Program) -> Program:
    """Wait until it is up, or has ended."""
    pattern = re.compile(r"is at http://127\.0\.0\.1:(\d+)")
    wait_for(
        program,
        lambda: program.process.poll() is not None or pattern.search(program.said()) is not None,
    )
    found = pattern.search(program.said())
    assert found is not None, program.said()
    program.port = int(found[1])
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    # Behind a proxy that is not there: what goes by way of it fails.
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    running = start(tmp_path_factory.mktemp("app") / "one", "--port", "0", **proxy)
    try:
        yield up(running)
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()


def test_it_serves_a_page_without_anything_from_another_host(program: Program) -> None:
    status, page = program.get("/")
    assert status == 200
    assert "Bifocal" in page
    hosts = set(re.findall(r"(?:src|href)=[\"']https?://([^/\"']+)", page))
    assert hosts <= {"127.0.0.1", f"127.0.0.1:{program.port}"}, hosts


def test_it_serves_no_file_of_the_user(program: Program) -> None:
    for path in (
        f"/gradio_api/file={program.log}",
        f"/gradio_api/file={program.log.parent / 'data'}",
        "/gradio_api/file=app.py",
        "/gradio_api/file=../../etc/passwd",
    ):
        status, _body = program.get(path)
        assert status in {403, 404}, path


def test_monitoring_is_closed(program: Program) -> None:
    status, _body = program.get("/monitoring")
    assert status in {403, 404}


def test_a_port_in_use_ends_with_what_to_do(program: Program, tmp_path: Path) -> None:
    second = start(tmp_path / "two", "--port", str(program.port))
    assert second.process.wait(START_SECONDS) == 1
    assert "--port 0" in second.said()
    assert str(program.port) in second.said()
    assert "Traceback" not in second.said()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit there")
def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    program = """
import resource
hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4096)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
import app
app.prepare_process()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=150)


def test_a_data_folder_that_is_a_file_ends_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").write_text("a file")
    for arguments in ([], ["--hosted"]):
        assert app.main(["--data", str(tmp_path / "data"), *arguments]) == 1
        assert "Choose another with --data." in capsys.readouterr().err


@pytest.mark.parametrize("ending", [False, True])
def test_a_library_closed_under_the_warm_up_is_a_failure_unless_the_program_ends(
    ending: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def closed() -> None:
        raise StoreError("This workspace is closed.")

    leaving = threading.Event()
    if ending:
        leaving.set()
    visitors: Any = SimpleNamespace(prepare=closed)
    app.warm_up(visitors, leaving=leaving)
    assert ("could not be made ready" in caplog.text) is not ending


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl+C is another thing there")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_the_signal_that_ends_services_end_it_cleanly(
    how: signal.Signals, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # The last test of the program: it is over after this.
    interrupted = how is signal.SIGINT
    running: Program = (
        request.getfixturevalue("program")
        if interrupted
        else up(start(tmp_path / "three", "--port", "0"))
    )
    running.process.send_signal(how)
    assert running.process.wait(STOP_SECONDS) == 0
    assert "Traceback" not in running.said()
    assert list(running.uploads.glob("bifocal-uploads-*")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl+C is another thing there")
def test_leaving_while_a_thread_is_inside_torch_is_clean(tmp_path: Path) -> None:
    # An ordinary end would abort: C++ frames of the daemon thread are torn down under torch.
    program = """
import os, sys, tempfile, threading, time
import app, torch
torch.set_num_threads(1)
def work():
    while True:
        torch.ones(300, 300) @ torch.ones(300, 300)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
app.leave(3)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 3, done.stderr
