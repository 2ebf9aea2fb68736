"""Judging from the page: a blind pool for the query on screen, a grade a key, a report."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.errors import CoreError
from core.evaluation.grades import grades_of, judgments_as, keep_grade
from core.evaluation.judging import PoolItem, measure_judgments, pooled
from demo.presenters import judge as shown
from demo.presenters import library

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.library.library import Library
    from demo.handlers import Handlers

ROUNDS_KEPT = 200
_FILES = {"qrels": ("judgments.qrels", "text/plain"), "quepid": ("ratings.csv", "text/csv")}


@dataclass(frozen=True, slots=True)
class Round:
    """A visitor's judging of one query: the pool, and the position in it."""

    query: str
    items: tuple[PoolItem, ...]
    position: int

    @property
    def done(self) -> bool:
        """Whether every pooled passage was seen."""
        return self.position >= len(self.items)


class Judging:
    """The Judge view's verbs."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.sessions = handlers.sessions
        self.services = handlers.services
        self._rounds: OrderedDict[tuple[str, str], Round] = OrderedDict()
        self._lock = threading.Lock()

    def _keep(self, visitor: str, library_id: str, round_: Round) -> None:
        with self._lock:
            self._rounds[visitor, library_id] = round_
            self._rounds.move_to_end((visitor, library_id))
            while len(self._rounds) > ROUNDS_KEPT:
                self._rounds.popitem(last=False)

    def start(self, visitor_id: object, library_id: str, query: str) -> Iterator[str]:
        """Pool the top hits of every system for a query and show the first, blind."""
        try:
            visitor = self.sessions.require(visitor_id)
            job = self.sessions.jobs.start(
                (visitor, library_id, "compare"),
                "compare",
                lambda bench, monitor: pooled(bench, query, monitor=monitor),
            )
            if not job.wait(0.2):
                for snapshot in job.watch():
                    if snapshot.running:
                        yield library.progress(snapshot)
            items = job.outcome()
            with self.sessions.library(visitor, library_id) as bench:
                # Begin with what has no grade yet.
                first = next((i for i, item in enumerate(items) if item.grade is None), len(items))
                round_ = Round(query, items, first)
                self._keep(visitor, library_id, round_)
                yield self._card(bench, round_)
        except CoreError as error:
            yield library.trouble(str(error))

    def grade(self, visitor_id: object, library_id: str, key: str) -> str:
        """Take a key: 0 to 3 grades and goes on, ``s`` skips, ``b`` goes back."""
        try:
            visitor = self.sessions.require(visitor_id)
            with self.sessions.library(visitor, library_id) as bench:
                with self._lock:
                    round_ = self._rounds.get((visitor, library_id))
                if round_ is None:
                    return library.notice("Start with a query first.")
                if key == "b":
                    round_ = replace(round_, position=max(0, round_.position - 1))
                elif round_.done:
                    return self._card(bench, round_)
                elif key == "s":
                    round_ = replace(round_, position=round_.position + 1)
                elif key in {"0", "1", "2", "3"}:
                    item = round_.items[round_.position]
                    keep_grade(bench, round_.query, item.passage_id, int(key))
                    items = list(round_.items)
                    items[round_.position] = replace(item, grade=int(key))
                    round_ = replace(round_, items=tuple(items), position=round_.position + 1)
                self._keep(visitor, library_id, round_)
                return self._card(bench, round_)
        except CoreError as error:
            return library.trouble(str(error))

    def _card(self, bench: Library, round_: Round) -> str:
        if round_.done:
            return shown.finished(round_.query, [item.grade for item in round_.items])
        item = round_.items[round_.position]
        passage = bench.passage(item.passage_id)
        name = next((r.name for r in bench.documents() if r.doc_id == passage.doc_id), "")
        return shown.card(
            round_.query,
            passage,
            name,
            number=round_.position + 1,
            count=len(round_.items),
            grade=item.grade,
        )

    def report(self, visitor_id: object, library_id: str) -> Iterator[str]:
        """Ask every judged query again and measure every system on the judgments."""
        try:
            key = (self.sessions.require(visitor_id), library_id, "experiment")
            job = self.sessions.jobs.start(key, "experiment", measure_judgments)
            for snapshot in job.watch():
                if snapshot.running:
                    yield library.progress(snapshot)
            yield shown.report(job.outcome())
        except CoreError as error:
            yield library.trouble(str(error))

    def export(self, visitor_id: object, library_id: str, kind: str) -> dict[str, Any]:
        """Return the judgments as a download: TREC qrels or Quepid ratings."""
        with self.sessions.library(visitor_id, library_id, look=True) as bench:
            text = judgments_as(grades_of(bench), kind)
        name, mime = _FILES.get(kind, _FILES["qrels"])
        return {"do": "download", "name": name, "mime": mime, "text": text}
