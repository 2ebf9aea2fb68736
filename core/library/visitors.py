"""A workspace for each visitor of a shared server, that no one else can open.

A visitor is known by an unguessable id and nothing else. On the disk the folder is named by a
hash of the id, so that a listing of the folder gives nobody's id away and no id is ever a path.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from core.errors import LimitExceededError, StoreError, UnknownNameError
from core.settings import MEBIBYTE
from core.store import Workspace, remove_tree, tree_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TIME_TO_LIVE_SECONDS = 6 * 3600.0
MAX_VISITORS = 64
MAX_BYTES_EACH = 1024 * MEBIBYTE
NOTE_EVERY_SECONDS = 60.0
IDLE_SECONDS = 15 * 60.0  # a visitor who did nothing for so long may make room for another
_VISITOR_ID = re.compile(r"[A-Za-z0-9_-]{32}")
_FOLDER = re.compile(r"visitor-[0-9a-f]{64}")
_LAST_USED = "last-used"

T = TypeVar("T")


@dataclass(slots=True)
class _Visit(Generic[T]):
    folder: Path
    last_used: float
    workspace: Workspace | None = None
    built: T | None = None
    users: int = 0
    noted: float = 0.0  # when the time of the last use was written down


class WorkspaceRoot(Generic[T]):
    """All visitors' workspaces on a shared server. Safe to use from several threads.

    Args:
        folder: Holds a folder per visitor; best on a disk that nothing else writes to.
        build: Makes what handlers use (a library, a workbench) from an open workspace.
        end: Told when what was built is not used any more, before its workspace is closed.
        time_to_live_seconds: A visitor unused for so long is removed.
        max_visitors: Most at once; then idle ones go first, and new ones are refused.
        max_bytes_each: Most that one visitor may keep.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        *,
        build: Callable[[Workspace], T],
        end: Callable[[T], None] | None = None,
        time_to_live_seconds: float = TIME_TO_LIVE_SECONDS,
        max_visitors: int = MAX_VISITORS,
        max_bytes_each: int = MAX_BYTES_EACH,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._build = build
        self._end_built = end
        self._time_to_live_seconds = time_to_live_seconds
        self._max_visitors = max_visitors
        self._max_bytes_each = max_bytes_each
        self._clock = clock
        self._lock = threading.RLock()
        self._expired_at = 0.0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._visits: dict[str, _Visit[T]] = {}  # by folder name
        for path in folder.iterdir():  # of an earlier run of the server
            if _FOLDER.fullmatch(path.name):
                self._visits[path.name] = _Visit(path, _read_last_used(path))

    def create(self) -> str:
        """Return the id of a new visitor: 32 unguessable characters, URL-safe.

        Raises:
            StoreError: If there are too many visitors right now.
        """
        visitor_id = secrets.token_urlsafe(24)
        with self._lock:
            self.expire()
            if len(self._visits) >= self._max_visitors:
                self._make_room()
            name = _folder_name(visitor_id)
            path = self._folder / name
            path.mkdir(mode=0o700)
            self._visits[name] = _Visit(path, self._clock())
            self._touch(self._visits[name])
        return visitor_id

    @contextlib.contextmanager
    def use(self, visitor_id: str) -> Iterator[T]:
        """Lend what was built for a visitor; it is not removed while somebody uses it.

        Raises:
            UnknownNameError: If there is no such visitor, or no more.
        """
        with self._lock:
            if self._clock() - self._expired_at >= NOTE_EVERY_SECONDS:
                self.expire()
            visit = self._visit(visitor_id)
            if visit.built is None:
                visit.workspace = Workspace.open(visit.folder / "workspace")
                try:
                    visit.built = self._build(visit.workspace)
                except BaseException:
                    visit.workspace.close()
                    visit.workspace = None
                    raise
            built = visit.built
            visit.users += 1
            self._touch(visit)
        try:
            yield built
        finally:
            with self._lock:
                visit.users -= 1
                self._touch(visit)

    def require_room(self, visitor_id: str, extra_bytes: int) -> None:
        """Raise `LimitExceededError` when a visitor would keep more than is allowed."""
        with self._lock:
            folder = self._visit(visitor_id).folder
        kept = tree_bytes(folder)
        if kept + extra_bytes > self._max_bytes_each:
            msg = (
                f"This would exceed the {self._max_bytes_each / MEBIBYTE:,.0f} MiB each visitor "
                "may keep here. Remove documents first, or run Bifocal on your own machine."
            )
            raise LimitExceededError(msg)

    def remove(self, visitor_id: str) -> None:
        """End a visit and delete everything that was kept for it.

        Raises:
            UnknownNameError: If there is no such visitor.
            StoreError: If somebody is using it right now.
        """
        with self._lock:
            visit = self._visit(visitor_id)
            if visit.users:
                raise StoreError("This visit is in use; stop what is running and try again.")
            self._end(visit)

    def expire(self) -> int:
        """Remove visitors whose time is over and who are not in use; returns how many."""
        with self._lock:
            self._expired_at = self._clock()
            limit = self._expired_at - self._time_to_live_seconds
            over = [v for v in self._visits.values() if v.last_used < limit and not v.users]
            for visit in over:
                self._end(visit)
            return len(over)

    def close(self) -> None:
        """Close all workspaces; what they keep stays until its time is over."""
        with self._lock:
            for visit in self._visits.values():
                self._close_visit(visit)

    def __len__(self) -> int:
        return len(self._visits)

    def _visit(self, visitor_id: str) -> _Visit[T]:
        """Return the visit with this id, checked strictly before it means anything."""
        if _VISITOR_ID.fullmatch(visitor_id):
            visit = self._visits.get(_folder_name(visitor_id))
            over = self._clock() - self._time_to_live_seconds
            if visit is not None and (visit.users or visit.last_used >= over):
                return visit
        msg = "This visit has ended and its documents were removed. Reload the page to start anew."
        raise UnknownNameError(msg)

    def _make_room(self) -> None:
        idle = [
            visit
            for visit in self._visits.values()
            if not visit.users and visit.last_used <= self._clock() - IDLE_SECONDS
        ]
        if not idle:
            msg = (
                "Too many people are using this server right now. Try again in a few minutes, "
                "or run Bifocal on your own machine."
            )
            raise StoreError(msg)
        self._end(min(idle, key=lambda visit: visit.last_used))

    def _end(self, visit: _Visit[T]) -> None:
        self._visits.pop(visit.folder.name, None)
        self._close_visit(visit)
        remove_tree(visit.folder)

    def _close_visit(self, visit: _Visit[T]) -> None:
        if visit.built is not None and self._end_built is not None:
            self._end_built(visit.built)
        if visit.workspace is not None:
            visit.workspace.close()
        visit.workspace = visit.built = None

    def _touch(self, visit: _Visit[T]) -> None:
        visit.last_used = self._clock()
        if visit.last_used - visit.noted >= NOTE_EVERY_SECONDS:
            visit.noted = visit.last_used
            # A full disk must not end a visit; in memory the time is right anyway.
            with contextlib.suppress(OSError):
                (visit.folder / _LAST_USED).write_text(f"{visit.last_used}\n")


def _folder_name(visitor_id: str) -> str:
    return f"visitor-{hashlib.sha256(visitor_id.encode()).hexdigest()}"


def _read_last_used(folder: Path) -> float:
    try:
        return float((folder / _LAST_USED).read_text())
    except (OSError, ValueError):
        return 0.0  # expires at once
