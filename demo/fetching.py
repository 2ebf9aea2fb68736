"""Choosing a real pair: its cost is shown first, then it is fetched, with Stop and resume."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.encoders.pool import LoadState
from core.encoders.spec import BUNDLED_PREFIX
from core.errors import CoreError, StoppedError
from core.monitor import Progress, raise_if_stopped
from demo.presenters import library, offer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.encoders.hub import PairPlan
    from core.encoders.spec import Pair
    from core.library.library import Library
    from core.monitor import Monitor
    from demo.handlers import Handlers
    from demo.jobs import Job

FETCH = "fetch"
WAIT_SECONDS = 0.5
WORTH_SAYING_SECONDS = 120.0  # of embedding: less is simply done
_PLANNED_TOKENS = 160 * 1000  # what a plan's seconds are stated for


@dataclass(frozen=True, slots=True)
class Offer:
    """A chosen pair and its cost."""

    pair: Pair  # which
    plan: PairPlan  # sizes, licences, memory, and the refusal if it cannot be
    seconds: tuple[float, ...]  # to embed this library with each encoder of the plan
    passages: int  # how many that are
    now: str  # label of the pair in use


class Fetching:
    """The verbs of choosing a pair that may have to be fetched."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self._turn = threading.Lock()  # downloads of several visitors wait for each other

    def offer(self, visitor_id: object, library_id: str, pair_id: str) -> Offer | None:
        """Cost of a pair; None when it can be used at once.

        Raises:
            UnknownNameError: If the pair is not on offer.
            EncoderUnavailableError: If it is not here and the hub cannot be asked.
            EncoderLoadError: If it has no weights that Bifocal opens.
        """
        pair = self._chosen(visitor_id, library_id, pair_id)
        pool = self.handlers.services.visitors.pool
        wanted = [
            spec.encoder_id
            for spec in pool.registry.specs_of(pair_id)
            if not spec.checkpoint.startswith(BUNDLED_PREFIX)
            and pool.state(spec.encoder_id)[0] is not LoadState.READY
        ]
        if not wanted:
            return None
        plan = pool.plan_together(wanted)
        with self.handlers.sessions.library(visitor_id, library_id, look=True) as bench:
            reports, settings = bench.documents(), bench.settings
        share = sum(report.tokens for report in reports) / _PLANNED_TOKENS
        seconds = tuple(one.seconds_per_1000_passages * share for one in plan.plans)
        if not plan.refusal and not plan.download_bytes and sum(seconds) < WORTH_SAYING_SECONDS:
            return None
        now = pool.registry.pair(settings.pair_id).label
        return Offer(pair, plan, seconds, sum(report.passages for report in reports), now)

    def take(self, visitor_id: object, library_id: str, pair_id: str) -> Job[None]:
        """Fetch a pair and then use it; the library works on with the present pair meanwhile.

        Raises:
            UnknownNameError: If the pair is not on offer.
            CoreError: If a download for this library is under way already.
        """
        visitor = self.handlers.sessions.require(visitor_id)
        self._chosen(visitor, library_id, pair_id)

        def work(bench: Library, monitor: Monitor) -> None:
            with self._one_at_a_time(monitor):
                for spec in bench.pool.registry.specs_of(pair_id):
                    bench.pool.fetch(spec.encoder_id, monitor=monitor)
            settings = self.handlers.indexing.with_pair(visitor, library_id, pair_id)
            self.handlers.indexing.change_settings(visitor, library_id, settings)

        job = self.handlers.sessions.jobs.start((visitor, library_id, FETCH), FETCH, work)
        job.detail["pair"] = pair_id
        return job

    def stop(self, visitor_id: object, library_id: str) -> None:
        """Stop a download; arrived parts are kept."""
        self.handlers.indexing.stop(visitor_id, library_id, FETCH)

    def watch(self, visitor_id: object, library_id: str) -> Iterator[tuple[str, bool]]:
        """Yield ``(html, running)`` of a library's download; nothing when there is none."""
        visitor = self.handlers.sessions.require(visitor_id)
        key = (visitor, library_id, FETCH)
        job = self.handlers.sessions.jobs.get(key)
        if job is None:
            return
        pair_id = str(job.detail.get("pair", ""))
        for snapshot in job.watch():
            if snapshot.running:
                yield offer.underway(self.label(pair_id), library.progress(snapshot)), True
        if job.error is None:
            self.handlers.sessions.jobs.forget(key)
            yield "", False
        elif isinstance(job.error, StoppedError):
            yield offer.stopped(pair_id, self.label(pair_id)), False
        else:
            yield offer.interrupted(pair_id, self.label(pair_id), str(job.error)), False

    def dismiss(self, visitor_id: object, library_id: str) -> None:
        """Forget how a download ended; one under way goes on."""
        visitor = self.handlers.sessions.require(visitor_id)
        self.handlers.sessions.jobs.forget((visitor, library_id, FETCH))

    def shown(self, visitor_id: object, library_id: str, pair_id: str) -> str | None:
        """Return an offer, or why there is none, as HTML; None when the pair can simply be used."""
        try:
            made = self.offer(visitor_id, library_id, pair_id)
        except CoreError as error:
            return offer.interrupted(pair_id, self.label(pair_id), str(error))
        if made is None:
            return None
        return offer.offer(
            made.pair, made.plan, seconds=made.seconds, passages=made.passages, now=made.now
        )

    def label(self, pair_id: str) -> str:
        """Return a pair's name for people."""
        labels = {pair.pair_id: pair.label for pair in self.handlers.services.pairs()}
        return labels.get(pair_id, pair_id)

    @contextmanager
    def _one_at_a_time(self, monitor: Monitor) -> Iterator[None]:
        while not self._turn.acquire(timeout=WAIT_SECONDS):
            monitor.report(Progress("waiting for another download", 0, 0))
            raise_if_stopped(monitor)
        try:
            yield
        finally:
            self._turn.release()

    def _chosen(self, visitor_id: object, library_id: str, pair_id: str) -> Pair:
        self.handlers.indexing.with_pair(visitor_id, library_id, pair_id)  # is it on offer at all
        return self.handlers.services.visitors.pool.registry.pair(pair_id)
