from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from core.errors import CoreError, StoppedError
from core.monitor import Progress, raise_if_stopped
from demo.jobs import Job, Jobs

KEY = ("visitor", "library", "index")


class Lender:
    """Lends nothing, and counts how many have it."""

    lent = 0
    hosted = False

    @contextmanager
    def library(self, _visitor_id: str, _library_id: str) -> Iterator[None]:
        self.lent += 1
        try:
            yield None
        finally:
            self.lent -= 1


def jobs_for(lender: Lender | None = None) -> Any:
    return Jobs(lender or Lender())  # type: ignore[arg-type]  # as much of it as is used


def test_the_outcome_is_what_the_work_returned() -> None:
    job = jobs_for().start(KEY, "index", lambda *_, **__: 42)
    assert job.outcome() == 42
    assert not job.snapshot().running


def test_an_error_of_ours_is_told_in_its_own_words() -> None:
    def work(_library: Any, *, monitor: Any) -> None:
        raise CoreError("The disk is full; free some space.")

    job = jobs_for().start(KEY, "index", work)
    with pytest.raises(CoreError, match="disk is full"):
        job.outcome()
    assert job.snapshot().error == "The disk is full; free some space."


def test_a_bug_is_told_without_its_text(caplog: Any) -> None:
    def work(_library: Any, *, monitor: Any) -> None:
        raise ZeroDivisionError("secret path /home/x")

    job = jobs_for().start(KEY, "index", work)
    job.wait()
    assert "ZeroDivisionError" in job.snapshot().error
    assert "secret" not in job.snapshot().error
    assert "secret" in caplog.text


def test_stop_reaches_the_work_and_is_no_failure() -> None:
    begun = threading.Event()

    def work(_library: Any, *, monitor: Any) -> None:
        begun.set()
        while True:
            raise_if_stopped(monitor)

    jobs = jobs_for()
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
    job: Any = Job("index", lambda *_, **__: None, None, lease=ExitStack())  # type: ignore[arg-type]
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
    jobs = jobs_for()
    first = jobs.start(KEY, "index", lambda *_, **__: go.wait(5))
    with pytest.raises(CoreError, match="busy"):
        jobs.start(KEY, "index", lambda *_, **__: None)
    go.set()
    first.wait()
    jobs.start(KEY, "index", lambda *_, **__: None).wait()


def test_patient_jobs_wait_for_each_other_and_all_run() -> None:
    go, done = threading.Event(), []
    jobs = jobs_for()
    jobs.start(KEY, "index", lambda *_, **__: go.wait(5), heavy=True)

    def second(number: int) -> None:
        work = lambda *_, **__: done.append(number)  # noqa: E731
        jobs.start(KEY, "index", work, heavy=True, patient=True).wait()

    waiting = [threading.Thread(target=second, args=(number,)) for number in range(4)]
    for thread in waiting:
        thread.start()
    assert done == []
    go.set()
    for thread in waiting:
        thread.join(10)
    assert sorted(done) == [0, 1, 2, 3]


def test_on_a_shared_server_no_wait_holds_a_thread() -> None:
    lender, go = Lender(), threading.Event()
    lender.hosted = True
    jobs = jobs_for(lender)
    first = jobs.start(KEY, "index", lambda *_, **__: go.wait(5), heavy=True)
    with pytest.raises(CoreError, match="busy"):
        jobs.start(KEY, "index", lambda *_, **__: None, heavy=True, patient=True)
    go.set()
    first.wait()


def test_watching_sees_the_latest_progress_and_ends_with_the_outcome() -> None:
    def work(_library: Any, *, monitor: Any) -> None:
        for done in range(3):
            monitor.report(Progress("reading", done + 1, 3, f"{done}.pdf"))

    seen = list(jobs_for().start(KEY, "index", work).watch(every_seconds=0.01))
    assert seen[-1].running is False
    assert seen[-1].stages == (Progress("reading", 3, 3, "2.pdf"),)


def test_heavy_jobs_take_turns_and_the_second_says_that_it_waits() -> None:
    go = threading.Event()
    jobs = jobs_for()
    first = jobs.start(("a", "library", "index"), "index", lambda *_, **__: go.wait(5), heavy=True)
    while first.snapshot().waiting:
        pass
    second = jobs.start(("b", "library", "index"), "index", lambda *_, **__: "done", heavy=True)
    assert second.snapshot().waiting
    go.set()
    assert second.outcome() == "done"


def test_the_visitor_served_longest_ago_is_next() -> None:
    go, order, jobs = threading.Event(), [], jobs_for()

    def heavy(visitor: str, library: str) -> Any:
        def work(_library: Any, *, monitor: Any) -> None:
            go.wait(20)
            order.append(visitor + library)

        return jobs.start((visitor, library, "index"), "index", work, heavy=True)

    started = [heavy("a", "1")]
    while started[0].snapshot().waiting:
        pass
    started += [heavy(*name) for name in ("a2", "a3", "b1", "c1")]
    while len(jobs._turns.waiting) < 4:
        pass
    go.set()
    for job in started:
        job.outcome()
    # a has had a turn when b and c have not, and waits for both.
    assert order[:3] == ["a1", "b1", "c1"]
    assert sorted(order[3:]) == ["a2", "a3"]


def test_on_a_shared_server_a_visitor_has_one_heavy_job_at_a_time() -> None:
    go, lender = threading.Event(), Lender()
    lender.hosted = True
    jobs = jobs_for(lender)
    first = jobs.start(("a", "1", "index"), "index", lambda *_, **__: go.wait(20), heavy=True)
    with pytest.raises(CoreError, match="long work at hand"):
        jobs.start(("a", "2", "experiment"), "disagree", lambda *_, **__: None, heavy=True)
    assert jobs.start(("a", "2", "compare"), "compare", lambda *_, **__: 1).outcome() == 1
    second = jobs.start(("b", "1", "index"), "index", lambda *_, **__: 2, heavy=True)
    go.set()
    first.outcome()
    assert second.outcome() == 2
    assert lender.lent == 0
    jobs.start(("a", "2", "experiment"), "disagree", lambda *_, **__: None, heavy=True).outcome()


def test_a_waiting_job_can_be_stopped() -> None:
    go = threading.Event()
    jobs = jobs_for()
    jobs.start(("a", "library", "index"), "index", lambda *_, **__: go.wait(5), heavy=True)
    second = jobs.start(("b", "library", "index"), "index", lambda *_, **__: "done", heavy=True)
    second.stop()
    with pytest.raises(StoppedError):
        second.outcome()
    go.set()


def test_a_library_is_lent_for_as_long_as_its_job_runs_or_waits() -> None:
    go, lender = threading.Event(), Lender()
    jobs = jobs_for(lender)
    first = jobs.start(("a", "library", "index"), "index", lambda *_, **__: go.wait(5), heavy=True)
    second = jobs.start(("b", "library", "index"), "index", lambda *_, **__: None, heavy=True)
    assert lender.lent == 2  # the second waits, and has its library already
    with pytest.raises(CoreError, match="busy"):
        jobs.start(("a", "library", "index"), "index", lambda *_, **__: None)
    assert lender.lent == 2
    go.set()
    first.wait()
    second.wait()
    assert lender.lent == 0


def test_only_the_last_finished_jobs_are_kept(monkeypatch: Any) -> None:
    monkeypatch.setattr("demo.jobs.JOBS_KEPT", 3)
    jobs = jobs_for()
    for number in range(6):
        jobs.start((f"{number}", "library", "index"), "index", lambda *_, **__: None).wait()
    known = [number for number in range(6) if jobs.get((f"{number}", "library", "index"))]
    assert known == [3, 4, 5]
