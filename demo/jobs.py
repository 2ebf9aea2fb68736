"""Long work that outlives the tab that started it: one thread, its progress, and a Stop.

The page watches a job and may go away; on its return it finds the job by its key and watches on.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from core.errors import CoreError, StoppedError
from core.monitor import raise_if_stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from core.library.library import Library
    from core.monitor import Monitor, Progress
    from core.visitors import Visitors

logger = logging.getLogger(__name__)
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
SERVED_KEPT = 1000  # visitors whose order of turns is remembered
Key = tuple[str, str, str]  # visitor, library, name
JOBS_KEPT = 256  # the oldest finished ones go first
PACE_SECONDS = 5.0  # of a stage's work before its end is foretold
BUSY = "This library is busy with something else. Wait until it is done, or press Stop."
AT_WORK = (
    "You have long work at hand here already, and each visitor has a turn of it at a time. Wait "
    "until it is done, or press Stop."
)
UNEXPECTED = (
    "Something went wrong that Bifocal did not expect ({kind}). What was finished before is kept. "
    "The log in the terminal has the details."
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a job stands at one moment."""

    kind: str  # what is being done: ``index``, ``compare``, ``disagree``...
    stages: tuple[Progress, ...]  # latest progress of each stage, in order of first appearance
    running: bool  # False once there is an outcome
    stopping: bool  # stop was pressed and the work has not ended yet
    seconds: float  # since the start
    error: str = ""  # sentence for the user; "" when all is well so far
    waiting: bool = False  # it has not begun: another job has the machine
    stopped: bool = False  # it ended because Stop was pressed
    # seconds that an unfinished stage still takes at its present pace, by stage; a stage of which
    # too little is known is missing
    left: Mapping[str, float] = field(default_factory=dict)


@dataclass
class _Pace:
    """How fast a stage goes, counting only the time in which it was the one at work.

    Its first step does not count: it has the encoder's loading in it, and often the longest texts.
    """

    first: int
    seconds: float = 0.0
    begun: bool = False

    def step(self, done: int, seconds: float) -> None:
        """Take in that the stage is at ``done`` now, after so many seconds of its work."""
        if self.begun:
            self.seconds += seconds
        elif done > self.first:
            self.first, self.begun = done, True

    def left(self, progress: Progress) -> float | None:
        """Seconds until the stage ends; None while there is too little to go by."""
        done = progress.done - self.first
        if self.seconds < PACE_SECONDS or done <= 0 or progress.done >= progress.total:
            return None
        return self.seconds / done * (progress.total - progress.done)


class Work(Protocol[R_co]):
    """Work of a job on its library."""

    def __call__(self, library: Library, /, *, monitor: Monitor) -> R_co:
        """Do it."""
        ...


class Job(Generic[T]):
    """One piece of work in a thread of its own. It is its own monitor.

    Args:
        kind: Of work.
        work: Gets the library and the job as its monitor.
        library: Lent until the work ends.
        lease: Closed when the work ends.
        turn: Taken before the work begins, and ended after it, where it waits for other work.
    """

    def __init__(
        self,
        kind: str,
        work: Work[T],
        library: Library,
        *,
        lease: contextlib.ExitStack,
        turn: Turn | None = None,
    ) -> None:
        self.kind = kind
        self.result: T | None = None
        self.error: CoreError | None = None
        self.detail: dict[str, object] = {}
        self._work: Callable[..., T] | None = partial(work, library)
        self._lease = lease
        self._turn = turn
        self._stages: dict[str, Progress] = {}
        self._paces: dict[str, _Pace] = {}
        self._latest = ("", 0.0)  # the stage last heard of, and when
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._done = threading.Event()
        self._waiting = turn is not None
        self._started = time.monotonic()
        self._ended: float | None = None
        # Who asked goes along: a host that lends GPUs by visitor reads it from the context.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name=f"bifocal-{kind}", daemon=True
        )

    def start(self) -> Job[T]:
        """Begin, and return self."""
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            with self._turn.taken(self) if self._turn else contextlib.nullcontext():
                self._waiting = False
                self._changed.set()
                # Let go of at the end: a finished job must not keep a library in memory.
                work, self._work = self._work, None
                self.result = work(monitor=self) if work is not None else None
        except CoreError as error:
            self.error = error
        except Exception as error:
            logger.exception("%s failed", self.kind)
            self.error = CoreError(UNEXPECTED.format(kind=type(error).__name__))
        finally:
            self._lease.close()
            self._ended = time.monotonic()
            self._done.set()
            self._changed.set()

    @property
    def heavy(self) -> bool:
        """Whether it takes turns with other heavy work."""
        return self._turn is not None

    # -- the monitor's side ----------------------------------------------------------------

    def report(self, progress: Progress) -> None:
        """Keep the latest progress of a stage."""
        now = time.monotonic()
        with self._lock:
            stage, since = self._latest
            before = self._stages.get(progress.stage)
            if before is None or progress.done < before.done or progress.total != before.total:
                self._paces[progress.stage] = _Pace(progress.done)  # begun, or begun anew
            else:
                at_work = now - since if stage == progress.stage else 0.0
                self._paces[progress.stage].step(progress.done, at_work)
            self._stages[progress.stage] = progress
            self._latest = (progress.stage, now)
        self._changed.set()

    def stop_requested(self) -> bool:
        """Whether Stop was pressed."""
        return self._stop.is_set()

    # -- the page's side -------------------------------------------------------------------

    def stop(self) -> None:
        """Ask the work to end at its next step."""
        self._stop.set()
        self._changed.set()

    @property
    def running(self) -> bool:
        """Whether there is no outcome yet."""
        return not self._done.is_set()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait for the outcome; returns whether there is one."""
        return self._done.wait(timeout_seconds)

    def snapshot(self) -> Snapshot:
        """Return how the job stands now."""
        with self._lock:
            stages = tuple(self._stages.values())
            paces = [(one.stage, self._paces[one.stage].left(one)) for one in stages]
        running = self.running
        stopped = isinstance(self.error, StoppedError)
        return Snapshot(
            kind=self.kind,
            stages=stages,
            running=running,
            stopping=running and self._stop.is_set(),
            seconds=(self._ended or time.monotonic()) - self._started,
            error=str(self.error) if self.error else "",
            waiting=running and self._waiting,
            stopped=stopped,
            left={stage: seconds for stage, seconds in paces if seconds is not None},
        )

    def watch(self, *, every_seconds: float = 0.25) -> Iterator[Snapshot]:
        """Yield snapshots, no more than one per interval, the last one with the outcome."""
        while self.running:
            yield self.snapshot()
            self._changed.clear()
            if not self._done.is_set():
                # Wake at least each second so that the clock on the page moves.
                self._changed.wait(1.0)
            self._done.wait(every_seconds)
        yield self.snapshot()

    def outcome(self) -> T:
        """Result of the work, or its error."""
        self._done.wait()
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # set whenever there was no error


@dataclass(eq=False)
class Turn:
    """One heavy job's place among those that wait."""

    turns: Turns
    visitor: str

    @contextlib.contextmanager
    def taken(self, monitor: Monitor) -> Iterator[None]:
        """Wait for the turn and hold it.

        Raises:
            StoppedError: Stop was pressed before it came.
        """
        turns = self.turns
        with turns.changed:
            turns.waiting.append(self)
            try:
                while turns.next() is not self:
                    raise_if_stopped(monitor)
                    turns.changed.wait(0.2)
                turns.working.append(self)
                turns.served.pop(self.visitor, None)
                turns.served[self.visitor] = None
                if len(turns.served) > SERVED_KEPT:
                    del turns.served[next(iter(turns.served))]
            finally:
                turns.waiting.remove(self)
        try:
            yield
        finally:
            with turns.changed:
                turns.working.remove(self)
                turns.changed.notify_all()


@dataclass
class Turns:
    """Turns of heavy work: one job of each visitor, the visitor served longest ago next."""

    at_once: int
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: list[Turn] = field(default_factory=list)
    working: list[Turn] = field(default_factory=list)
    served: dict[str, None] = field(default_factory=dict)  # visitors, the latest last

    def next(self) -> Turn | None:
        """Return the turn that may begin now; None while the machine is at work."""
        if len(self.working) >= self.at_once:
            return None
        order = {visitor: place for place, visitor in enumerate(self.served)}
        at_work = {turn.visitor for turn in self.working}
        free = [turn for turn in self.waiting if turn.visitor not in at_work]
        return min(free, key=lambda turn: order.get(turn.visitor, -1), default=None)


class Jobs:
    """Jobs by visitor, library and name. One at a time each; heavy work takes turns.

    Args:
        visitors: Lends a job its library for as long as it runs or waits.
        heavy_at_once: Most heavy jobs at work.
    """

    def __init__(self, visitors: Visitors, *, heavy_at_once: int = 1) -> None:
        self._visitors = visitors
        self._jobs: dict[Key, Job[Any]] = {}
        self._lock = threading.Lock()
        self._turns = Turns(heavy_at_once)

    def start(
        self,
        key: Key,
        kind: str,
        work: Work[T],
        *,
        heavy: bool = False,
        after: Callable[[], None] | None = None,
        patient: bool = False,
    ) -> Job[T]:
        """Start work on a library.

        Args:
            key: Visitor, library, and a name: one job of this name at a time.
            kind: Of work, for whoever looks for the job later.
            work: Gets the library and a monitor.
            heavy: It waits for other heavy work.
            after: Called when the job ends, even if it never began.
            patient: Wait for what is in its way, where others are refused; never on a shared server.

        Raises:
            UnknownNameError: There is no such visitor or library.
            CoreError: Something runs under this key already, or on a shared server other heavy
                work of this visitor.
        """
        job = None
        while job is None:
            with contextlib.ExitStack() as lease:
                library = lease.enter_context(self._visitors.library(key[0], key[1]))
                with self._lock:
                    current = self._in_the_way(key, heavy=heavy)
                    if current is None:
                        if after is not None:
                            lease.callback(after)
                        turn = Turn(self._turns, key[0]) if heavy else None
                        job = Job(kind, work, library, lease=lease.pop_all(), turn=turn)
                        self._keep(key, job)
                    elif not patient or self._visitors.hosted:  # a wait holds one of the threads
                        raise CoreError(BUSY if current is self._jobs.get(key) else AT_WORK)
            if job is None and current is not None:
                current.wait()
        return job.start()

    def _keep(self, key: Key, job: Job[Any]) -> None:
        self._jobs.pop(key, None)
        self._jobs[key] = job
        over = [name for name, one in self._jobs.items() if not one.running]
        for name in over[: max(0, len(self._jobs) - JOBS_KEPT)]:
            del self._jobs[name]

    def _in_the_way(self, key: Key, *, heavy: bool) -> Job[Any] | None:
        """Return the running job that keeps another from starting under a key."""
        running = {other: job for other, job in self._jobs.items() if job.running}
        if key in running or not (heavy and self._visitors.hosted):
            return running.get(key)
        return next(
            (job for other, job in running.items() if other[0] == key[0] and job.heavy), None
        )

    def get(self, key: Key) -> Job[object] | None:
        """Return the latest job under a key, running or done."""
        with self._lock:
            return self._jobs.get(key)

    def forget(self, key: Key) -> None:
        """Drop a finished job."""
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and not job.running:
                del self._jobs[key]

    def stop(self, key: Key) -> bool:
        """Press Stop; returns whether anything was running."""
        job = self.get(key)
        if job is None or not job.running:
            return False
        job.stop()
        return True
