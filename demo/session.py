"""State of one browser on the server.

A browser holds one opaque visitor id and nothing else. Behind it the server keeps the comparisons
that are on screen, files that wait for an answer, and running jobs, each under that id; every
handler passes the id through `Sessions.require`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UnknownNameError, UsageError
from demo.jobs import Jobs
from demo.security import OWN_PREFIX
from demo.toolkit import address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from core.comparison.records import Comparison
    from core.library.library import Library
    from core.visitors import Visitors

COMPARISONS_KEPT = 200
PENDING_FILES_KEPT = 50
PENDING_SECONDS = 3600.0
GONE = (
    "This page's session is not known to the server (any more). Reload the page to start a new "
    "one; a library that was kept only for a time may have been removed."
)


def new_token() -> str:
    """An id that cannot be guessed: 144 random bits."""
    return secrets.token_urlsafe(18)


@dataclass(frozen=True, slots=True)
class Shown:
    """A comparison on somebody's screen."""

    visitor_id: str
    library_id: str
    comparison: Comparison
    best: Mapping[str, tuple[int, int]]  # the nearest sentence of every hit


@dataclass(frozen=True, slots=True)
class PendingFile:
    """An uploaded file that waits for its password, or for the language of its scanned pages."""

    visitor_id: str
    library_id: str
    name: str
    path: Path
    since: float
    problem: str  # sentence above its field; "" before any try
    needs_ocr: bool
    password: str | None  # that opened it; in memory only


class Sessions:
    """The server's memory of visitors. Bounded: the oldest entries go first.

    Args:
        visitors: Whose ids count.
        heavy_at_once: Most long jobs at work.
    """

    def __init__(self, visitors: Visitors, *, heavy_at_once: int = 1) -> None:
        self.visitors = visitors
        self.jobs = Jobs(visitors, heavy_at_once=heavy_at_once)
        self._shown: OrderedDict[str, Shown] = OrderedDict()
        self._pending: OrderedDict[str, PendingFile] = OrderedDict()
        self._lock = threading.Lock()

    # -- visitors --------------------------------------------------------------------------

    def start(self, visitor_id: object) -> str:
        """Return the visitor's id: the one given if this server knows it, else a new one."""
        if isinstance(visitor_id, str) and self.visitors.known(visitor_id):
            return visitor_id
        return self.visitors.new(address())

    def require(self, visitor_id: object) -> str:
        """Return the id if this server gave it out.

        Raises:
            UnknownNameError: In every other case, always with the same words.
        """
        if not isinstance(visitor_id, str) or not self.visitors.known(visitor_id):
            raise UnknownNameError(GONE)
        return visitor_id

    def visitor_in(self, values: Sequence[object]) -> str:
        """Return the first known visitor's id among values, "" when there is none."""
        return next((v for v in values if isinstance(v, str) and self.visitors.known(v)), "")

    @contextmanager
    def library(
        self, visitor_id: object, library_id: str, *, look: bool = False
    ) -> Iterator[Library]:
        """Lend a library of a visitor's; as `Visitors.library`."""
        with self.visitors.library(self.require(visitor_id), library_id, look=look) as library:
            yield library

    # -- comparisons on screen -------------------------------------------------------------

    def show(
        self,
        visitor_id: str,
        library_id: str,
        comparison: Comparison,
        best: Mapping[str, tuple[int, int]],
    ) -> str:
        """Remember a comparison; returns the token by which its visitor finds it again."""
        token = new_token()
        with self._lock:
            self._shown[token] = Shown(visitor_id, library_id, comparison, best)
            while len(self._shown) > COMPARISONS_KEPT:
                del self._shown[_first_of_most(self._shown)]
        return token

    def shown(self, visitor_id: str, token: object) -> Shown:
        """Return a comparison of this visitor's.

        Raises:
            UnknownNameError: Not known, too old, or somebody else's.
        """
        with self._lock:
            shown = self._shown.get(token) if isinstance(token, str) else None
            if shown is None or shown.visitor_id != visitor_id:
                raise UnknownNameError(
                    "That comparison is no longer in memory. Ask again, or open a saved one."
                )
            self._shown.move_to_end(token)  # type: ignore[arg-type]  # a str: it was found
            return shown

    # -- files that wait for an answer -----------------------------------------------------

    def hold(
        self,
        visitor_id: str,
        library_id: str,
        name: str,
        path: Path,
        *,
        problem: str = "",
        needs_ocr: bool = False,
        password: str | None = None,
    ) -> str:
        """Keep a file that was taken in until its answer comes; returns a token."""
        token = new_token()
        with self._lock:
            self._pending[token] = PendingFile(
                visitor_id, library_id, name, path, time.monotonic(), problem, needs_ocr, password
            )
            over = time.monotonic() - PENDING_SECONDS
            stale = [key for key, file in self._pending.items() if file.since < over]
            dropped = [self._pending.pop(key) for key in stale]
            while len(self._pending) > PENDING_FILES_KEPT:
                dropped.append(self._pending.pop(_first_of_most(self._pending)))
        for file in dropped:
            discard(file.path)
        return token

    def held(self, visitor_id: str, library_id: str) -> dict[str, PendingFile]:
        """Files that wait for an answer in a library of this visitor's, by token."""
        with self._lock:
            return {
                token: file
                for token, file in self._pending.items()
                if (file.visitor_id, file.library_id) == (visitor_id, library_id)
            }

    def waiting(self, visitor_id: str, token: str) -> PendingFile:
        """Return a file that waits for an answer.

        Raises:
            UnknownNameError: Not waiting (any more), or somebody else's.
        """
        with self._lock:
            file = self._pending.get(token)
        if file is None or file.visitor_id != visitor_id:
            raise UnknownNameError("That file is no longer waiting; upload it again.")
        return file

    def release(self, token: str) -> None:
        """Let a waiting file go; gone already is fine."""
        with self._lock:
            self._pending.pop(token, None)


def _first_of_most(kept: Mapping[str, Shown | PendingFile]) -> str:
    """Return the oldest entry of the visitor with most: a visitor with few loses nothing."""
    most = Counter(one.visitor_id for one in kept.values()).most_common(1)[0][0]
    return next(key for key, one in kept.items() if one.visitor_id == most)


def take_in(path: Path) -> Path:
    """Give an uploaded file a second name in a folder of its own; returns that.

    The toolkit puts uploads of the same bytes at one path, so the upload itself stays: another
    visitor may be about to read it. What nobody reads any more is swept.

    Raises:
        UsageError: If the upload is gone.
    """
    if not path.is_file():
        raise UsageError(f"{path.name} is no longer on the server; upload it again.")
    own = Path(tempfile.mkdtemp(prefix=OWN_PREFIX, dir=path.parent), path.name)
    try:
        os.link(path, own)
    except OSError:  # a file system without links
        shutil.copyfile(path, own)
    return own


def discard(own: Path) -> None:
    """Delete the folder of `take_in`, if it is still there."""
    shutil.rmtree(own.parent, ignore_errors=True)
