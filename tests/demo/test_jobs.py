from __future__ import annotations

import threading
from typing import Any

import pytest

from core.errors import CoreError, StoppedError
from core.monitor import Progress, raise_if_stopped
from demo.jobs import Job, Jobs

KEY = ("visitor", "library", "index")


def test_the_outcome_is_what_the_work_returned() -> None:
    job = Jobs().start(KEY, "index", lambda _: 42)
    assert job.outcome() == 42
    assert not job.snapshot().running


def test_an_error_of_ours_is_told_in_its_own_words() -> None:
    def work(_: Any) -> None:
        raise CoreError("The disk is full; free some space.")

    job = Jobs().start(KEY, "index", work)
    with pytest.raises(CoreError, match="disk is full"):
        job.outcome()
    assert job.snapshot().error == "The disk is full; free some space."


def test_a_bug_is_told_without_its_text(caplog: Any) -> None:
    def work(_: Any) -> None:
        raise ZeroDivisionError("secret path /home/x")

    job = Jobs().start(KEY, "index", work)
    job.wait()
    assert "ZeroDivisionError" in job.snapshot().error
    assert "secret" not in job.snapshot().error
    assert "secret" in caplog.text


def test_stop_reaches_the_work_and_is_no_failure() -> None:
    begun = threading.Event()

    def work(monitor: Any) -> None:
        begun.set()
        while True:
            raise_if_stopped(monitor)

    jobs = Jobs()
    job = jobs.start(KEY, "index", work)
    begun.wait(5)
    assert jobs.stop(KEY)
    with pytest.raises(StoppedError):
        job.outcome()
    assert job.snapshot().stopped
    assert not jobs.stop(KEY)  # nothing runs any more


def test_the_time_left_is_foretold_from_the_time_a_stage_was_at_work(monkeypatch: Any) -> None:
    now = [0.0]
    monkeypatch.setattr("demo.jobs.time.monotonic", lambda: now[0])
    job = Job("index", lambda _: None)
    for at, stage, done in (
        (0, "embedding (one)", 10),  # 10 were here already
        (30, "embedding (one)", 20),  # the encoder was loaded: this says nothing of its pace
        (33, "embedding (one)", 35),  # too short to tell
        (36, "embedding (one)", 50),  # 30 in 6 s: the last 50 take 10 s
        (37, "embedding (two)", 0),
        (60, "embedding (one)", 50),  # the other's time is not this one's
    ):
        now[0] = at
        job.report(Progress(stage, done, 100))
        if at == 33:
            assert job.snapshot().left == {}
    assert job.snapshot().left == {"embedding (one)": pytest.approx(10.0)}
    job.report(Progress("embedding (one)", 100, 100))
    assert job.snapshot().left == {}


def test_a_second_job_under_a_running_key_is_refused() -> None:
    go = threading.Event()
    jobs = Jobs()
    first = jobs.start(KEY, "index", lambda _: go.wait(5))
    with pytest.raises(CoreError, match="busy"):
        jobs.start(KEY, "index", lambda _: None)
    go.set()
    first.wait()
    jobs.start(KEY, "index", lambda _: None).wait()


def test_watching_sees_the_latest_progress_and_ends_with_the_outcome() -> None:
    def work(monitor: Any) -> None:
        for done in range(3):
            monitor.report(Progress("reading", done + 1, 3, f"{done}.pdf"))

    seen = list(Jobs().start(KEY, "index", work).watch(every_seconds=0.01))
    assert seen[-1].running is False
    assert seen[-1].stages == (Progress("reading", 3, 3, "2.pdf"),)


def test_heavy_jobs_take_turns_and_the_second_says_that_it_waits() -> None:
    go = threading.Event()
    jobs = Jobs(heavy_at_once=1)
    first = jobs.start(("a",), "index", lambda _: go.wait(5), heavy=True)
    while first.snapshot().waiting:
        pass
    second = jobs.start(("b",), "index", lambda _: "done", heavy=True)
    assert second.snapshot().waiting
    go.set()
    assert second.outcome() == "done"


def test_a_waiting_job_can_be_stopped() -> None:
    go = threading.Event()
    jobs = Jobs(heavy_at_once=1)
    jobs.start(("a",), "index", lambda _: go.wait(5), heavy=True)
    second = jobs.start(("b",), "index", lambda _: "done", heavy=True)
    second.stop()
    with pytest.raises(StoppedError):
        second.outcome()
    go.set()
