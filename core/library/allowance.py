"""Allowance of one visitor of a shared server: queries a minute, documents, bytes."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core.errors import AllowanceExceededError
from core.library.ingest import SourceFile
from core.settings import MEBIBYTE

_MINUTE_SECONDS = 60.0
_ELSEWHERE = "or run Bifocal on your own machine, where nothing is limited."


@dataclass(frozen=True, slots=True)
class VisitorLimits:
    """Allowance of one visitor."""

    queries_per_minute: int = 30  # comparisons in any 60 seconds
    drawings_per_minute: int = 240  # pages drawn in any 60 seconds
    documents: int = 100  # most in one library
    bytes_each: int = 1024 * MEBIBYTE  # most that all libraries of a visitor may take on the disk


class Allowance:
    """One visitor's share, over all their libraries. Safe to use from several threads.

    Args:
        limits: What is allowed.
        kept_bytes: How much the visitor keeps now.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        limits: VisitorLimits,
        *,
        kept_bytes: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._kept_bytes = kept_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._drawing = threading.Lock()
        self._taken: dict[str, deque[float]] = {"queries": deque(), "drawings": deque()}

    def take_query(self) -> None:
        """Count one query.

        Raises:
            AllowanceExceededError: Too many within a minute; the message says how long to wait.
        """
        self._take("queries", self._limits.queries_per_minute, "answers")

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """Count one page and let it be drawn, after others of this visitor's.

        Raises:
            AllowanceExceededError: Too many within a minute; the message says how long to wait.
        """
        self._take("drawings", self._limits.drawings_per_minute, "makes")
        with self._drawing:
            yield

    def _take(self, kind: str, most: int, verb: str) -> None:
        taken = self._taken[kind]
        with self._lock:
            now = self._clock()
            while taken and taken[0] <= now - _MINUTE_SECONDS:
                taken.popleft()
            if len(taken) >= most:
                wait = max(1, math.ceil(taken[0] + _MINUTE_SECONDS - now))
                raise AllowanceExceededError(
                    f"This server {verb} {most} {kind} a minute for each visitor. Wait "
                    f"{wait} s and ask again, {_ELSEWHERE}"
                )
            taken.append(now)

    def require_room(self, files: Sequence[SourceFile], *, held: int) -> None:
        """Refuse files that would exceed a visitor's allowance, before any is read.

        Args:
            files: What is about to be added.
            held: How many documents the library holds.

        Raises:
            AllowanceExceededError: Too many documents, or too many bytes.
        """
        most = self._limits.documents
        if held + len(files) > most:
            raise AllowanceExceededError(
                f"A library on this server holds up to {most} documents; this one has {held} and "
                f"you added {len(files)}. Remove some or add fewer, {_ELSEWHERE}"
            )
        self.require_bytes(sum(_size(file) for file in files))

    def require_bytes(self, extra: int) -> None:
        """Refuse bytes that would exceed a visitor's allowance.

        Raises:
            AllowanceExceededError: Too many bytes.
        """
        if self._kept_bytes() + extra > self._limits.bytes_each:
            raise AllowanceExceededError(
                f"Each visitor may keep {self._limits.bytes_each / MEBIBYTE:,.0f} MiB on this "
                f"server. Remove documents first, {_ELSEWHERE}"
            )


def _size(file: SourceFile) -> int:
    if file.data is not None:
        return len(file.data)
    try:
        return file.path.stat().st_size if file.path is not None else 0
    except OSError:
        return 0  # reading it will say what is wrong
