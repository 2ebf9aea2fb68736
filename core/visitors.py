"""Whose library it is: every visitor's libraries, lent for as long as the work with them lasts.

Run locally there is one visitor, whose libraries stay. Hosted, a visitor is known by an unguessable
id and nothing else, and what they keep is removed after a time. On the disk their folder is named
by a hash of the id, so that a listing gives no id away and no id is ever a path. A visitor takes up
one of the server's places when they first do something; looking at the sample library takes none.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import secrets
import shutil
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from core.encoders.pool import EncoderPool
from core.errors import CoreError, InvalidSettingError, StoreError, UnknownNameError
from core.library.allowance import Allowance, VisitorLimits
from core.library.library import Library
from core.library.shipped import SAMPLE_FOLDER, seed_sample
from core.settings import OWN_ID, SAMPLE_ID, ExtractionLimits
from core.store.files import remove_tree, tree_bytes
from core.store.workspace import Workspace

CountTokens = Callable[[Sequence[str]], Sequence[int]]

logger = logging.getLogger(__name__)

LABELS = {SAMPLE_ID: "Sample library", OWN_ID: "My documents"}
LOCAL_VISITOR = "local"
LIBRARIES_EACH = 20
LIBRARIES_EACH_HOSTED = 3
MAX_LABEL_CHARS = 60
MAX_VISITORS = 64
MAX_UNUSED_IDS = 4096
ADDRESS_SHARE = 3  # an address has at most so many places for each one that is free
IDLE_SECONDS = 15 * 60.0  # a visitor who did nothing for so long may make room for another
CLOSE_AFTER_SECONDS = 10 * 60.0  # hosted: an open library nobody uses lets go of its files
MAX_OPEN_IDLE = 8  # locally: so many unused libraries stay open
TIDY_EVERY_SECONDS = 60.0
_VISITOR_ID = re.compile(r"[A-Za-z0-9_-]{32}")
_LIBRARY_ID = re.compile(r"sample|my-documents|lib-[0-9a-z]{16}")
_FOLDER = re.compile(r"visitor-[0-9a-f]{64}")
_LABEL_FACT = "label"
_LAST_USED = "last-used"
_GONE = "This visit has ended and its documents were removed. Reload the page to start anew."


@dataclass(frozen=True, slots=True)
class LibraryLine:
    """A library as a list names it."""

    library_id: str  # opaque
    label: str  # name for people. Hostile text: escape it.
    documents: int = 0  # how many it holds
    passages: int = 0  # under its current chunking
    is_sample: bool = False  # it came with Bifocal and takes no uploads


@dataclass(slots=True)
class _Open:
    """An open library and how many use it."""

    library: Library
    last_used: float
    users: int = 0
    removed: bool = False  # its folder goes with the last user


@dataclass(slots=True)
class _Visit:
    """A visitor's place: their folder of libraries and those that are open."""

    folder: Path
    address: str
    last_used: float
    allowance: Allowance | None = None
    users: int = 0
    noted: float = 0.0  # when the time of the last use was written down
    lock: threading.RLock = field(default_factory=threading.RLock)  # guards what follows
    open: dict[str, _Open] = field(default_factory=dict)
    lines: dict[str, LibraryLine] = field(default_factory=dict)  # of closed libraries
    passwords: dict[str, dict[str, str]] = field(default_factory=dict)  # by library, by document


class Visitors:
    """All visitors of this server. Safe to use from several threads.

    Args:
        folder: The data folder.
        pool: The encoders.
        count_tokens: The neutral counter.
        assets: Bifocal's assets folder.
        limits: What reading one file may cost.
        hosted: Many visitors, kept apart.
        keep_hours: How long an unused visitor is kept when hosted.
        visitor_limits: What one visitor may use when hosted.
        max_visitors: Places when hosted; idle visitors make room, then new ones are refused.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        *,
        pool: EncoderPool,
        count_tokens: CountTokens,
        assets: Path,
        limits: ExtractionLimits | None = None,
        hosted: bool = False,
        keep_hours: int = 24,
        visitor_limits: VisitorLimits | None = None,
        max_visitors: int = MAX_VISITORS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.pool = pool
        self.hosted = hosted
        self.keep_hours = keep_hours
        self._count_tokens = count_tokens
        self._sample = assets / SAMPLE_FOLDER
        self._limits = limits
        self._visitor_limits = visitor_limits or VisitorLimits()
        self._max_visitors = max_visitors
        self._clock = clock
        self._template = folder / "sample-template"
        self._template_lock = threading.RLock()  # guards what follows
        self._template_ready = False
        self._shared_sample: Library | None = None
        self._lock = threading.RLock()  # held for moments, guards what follows
        self._tidied_at = 0.0
        self._unused: OrderedDict[str, str] = OrderedDict()  # ids' hashes and their addresses
        self._visits: dict[str, _Visit] = {}
        self._folder = folder / ("visitors" if hosted else "libraries")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not hosted:
            self._visits[_name(LOCAL_VISITOR)] = _Visit(self._folder, "", clock())
            return
        for path in self._folder.iterdir():  # of an earlier run of the server
            if _FOLDER.fullmatch(path.name):
                self._visits[path.name] = self._visit_in(path, path.name, _read_last_used(path))

    # -- visitors --------------------------------------------------------------------------

    def new(self, address: str = "") -> str:
        """Return an id for a new visitor; run locally it is always the same one.

        Args:
            address: Where they come from; places are shared fairly between addresses.
        """
        if not self.hosted:
            return LOCAL_VISITOR
        visitor_id = secrets.token_urlsafe(24)
        with self._lock:
            self._unused[_name(visitor_id)] = address
            if len(self._unused) > MAX_UNUSED_IDS:
                most = Counter(self._unused.values()).most_common(1)[0][0]
                del self._unused[next(n for n, from_ in self._unused.items() if from_ == most)]
        return visitor_id

    def known(self, visitor_id: str) -> bool:
        """Whether an id was given out here and its time is not over."""
        name = _name(visitor_id)
        with self._lock:
            return name in self._unused or self._current(name) is not None

    # -- libraries -------------------------------------------------------------------------

    @contextlib.contextmanager
    def library(self, visitor_id: str, library_id: str, *, look: bool = False) -> Iterator[Library]:
        """Lend a library; neither it nor its visitor is removed before the block ends.

        Args:
            visitor_id: Whose.
            library_id: Which.
            look: Nothing is asked or changed: the sample library then needs no place.

        Raises:
            UnknownNameError: If there is no such visitor or library, or no more.
            StoreError: If its workspace cannot be opened, or no place is free.
        """
        if not _LIBRARY_ID.fullmatch(library_id):
            raise UnknownNameError("There is no such library. Choose one from the list.")
        if look and library_id == SAMPLE_ID and self._has_no_place(visitor_id):
            yield self._sample_to_look_at()
            return
        with self._visit(visitor_id) as visit:
            with visit.lock:
                lent = self._opened(visit, library_id)
                lent.users += 1
            try:
                yield lent.library
            finally:
                with visit.lock:
                    lent.users -= 1
                    lent.last_used = self._clock()
                    if lent.removed and not lent.users:
                        self._delete_now(visit, library_id)

    def libraries(self, visitor_id: str) -> tuple[LibraryLine, ...]:
        """Return every library: the sample, the visitor's own, then the others by label."""
        if self._has_no_place(visitor_id):
            sample = self._sample_to_look_at()
            return (_line_of(sample, SAMPLE_ID), LibraryLine(OWN_ID, LABELS[OWN_ID]))
        with self._visit(visitor_id) as visit:
            names = [SAMPLE_ID, OWN_ID]
            names += sorted(p.name for p in visit.folder.iterdir() if p.name.startswith("lib-"))
            lines = [
                self._line(visit, name)
                for name in names
                if _LIBRARY_ID.fullmatch(name)
                and not (name in visit.open and visit.open[name].removed)
            ]
        rest = sorted(lines[2:], key=lambda line: (line.label.casefold(), line.library_id))
        return (*lines[:2], *rest)

    def create(self, visitor_id: str, label: str) -> LibraryLine:
        """Make an empty library.

        Raises:
            InvalidSettingError: If the label is empty or too long.
            StoreError: If there are too many libraries.
        """
        label = " ".join("".join(c for c in label if c.isprintable()).split())
        if not label or len(label) > MAX_LABEL_CHARS:
            raise InvalidSettingError(
                f"Give the library a name of 1 to {MAX_LABEL_CHARS} characters."
            )
        most = LIBRARIES_EACH_HOSTED if self.hosted else LIBRARIES_EACH
        with self._visit(visitor_id) as visit, visit.lock:
            if len(self.libraries(visitor_id)) >= most:
                raise StoreError(f"There are {most} libraries already; remove one first.")
            library_id = "lib-" + secrets.token_hex(8)
            (visit.folder / library_id).mkdir(mode=0o700)
            self._opened(visit, library_id).library.workspace.put_fact(_LABEL_FACT, label)
            return self._line(visit, library_id)

    def delete(self, visitor_id: str, library_id: str) -> None:
        """Remove a library and everything in it, as soon as no work uses it.

        Raises:
            UnknownNameError: If there is none.
            StoreError: If it is one that cannot be removed.
        """
        if library_id == SAMPLE_ID:
            raise StoreError("The sample library stays; open another library instead.")
        with self.library(visitor_id, library_id), self._visit(visitor_id) as visit, visit.lock:
            visit.open[library_id].removed = True

    # -- the server's life -----------------------------------------------------------------

    def prepare(self) -> None:
        """Make the sample library ready before the first visitor asks for it."""
        if self.hosted:
            self._sample_to_look_at()
        else:
            with self.library(LOCAL_VISITOR, SAMPLE_ID):
                pass

    def complete(self) -> None:
        """Embed the sample library's missing passages: none, unless its shipped vectors do not fit.

        Raises:
            EncoderError: If an encoder of its pair cannot be loaded.
        """
        if not self.hosted:
            with self.library(LOCAL_VISITOR, SAMPLE_ID) as library:
                library.warm()
            return
        with self._template_lock:
            self._made_template()
            if self._shared_sample is not None:
                self._shared_sample.close()
                self._shared_sample = None
            with contextlib.closing(self._library(Workspace.open(self._template))) as library:
                library.warm()

    def expire(self) -> int:
        """Remove unused visitors whose time is over; returns their number."""
        if not self.hosted:
            return 0
        with self._lock:
            over = self._clock() - self.keep_hours * 3600.0
            ended = [v for v in self._visits.values() if v.last_used < over and not v.users]
            for visit in ended:
                self._end(visit)
            return len(ended)

    def close(self) -> None:
        """Close every library; visitors' files stay until their time is over."""
        with self._lock:
            visits = list(self._visits.values())
        for visit in visits:
            _close_all(visit)
        with self._template_lock:
            if self._shared_sample is not None:
                self._shared_sample.close()
                self._shared_sample = None

    # -- places ----------------------------------------------------------------------------

    def _current(self, name: str) -> _Visit | None:
        """Return the visit of this name while its time is not over."""
        visit = self._visits.get(name)
        if visit is None or not self.hosted or visit.users:
            return visit
        return visit if visit.last_used >= self._clock() - self.keep_hours * 3600.0 else None

    def _has_no_place(self, visitor_id: str) -> bool:
        """Whether an id was given out and has not been used yet."""
        with self._lock:
            return _name(visitor_id) in self._unused

    @contextlib.contextmanager
    def _visit(self, visitor_id: str) -> Iterator[_Visit]:
        name = _name(visitor_id)
        with self._lock:
            self._tidy()
            if name in self._unused:
                self._give_place(name)
            visit = self._current(name)
            if visit is None:
                raise UnknownNameError(_GONE)
            visit.users += 1
            self._touch(visit)
        try:
            yield visit
        finally:
            with self._lock:
                visit.users -= 1
                self._touch(visit)

    def _give_place(self, name: str) -> None:
        """Make a folder for a visitor at their first use.

        Raises:
            StoreError: If no place is free, or their address has its share.
        """
        if len(self._visits) >= self._max_visitors:
            self.expire()
        if len(self._visits) >= self._max_visitors:
            idle = [
                visit
                for visit in self._visits.values()
                if not visit.users and visit.last_used <= self._clock() - IDLE_SECONDS
            ]
            if not idle:
                raise StoreError(
                    "Too many people are using this server right now. Try again in a few minutes, "
                    "or run Bifocal on your own machine."
                )
            self._end(min(idle, key=lambda visit: visit.last_used))
        address = self._unused[name]
        held = sum(visit.address == address for visit in self._visits.values())
        if held and held >= ADDRESS_SHARE * (self._max_visitors - len(self._visits)):
            raise StoreError(
                "Too many people at your address are using this server right now. Try again in a "
                "few minutes, or run Bifocal on your own machine."
            )
        path = self._folder / name
        self._visits[name] = self._visit_in(path, address, self._clock())
        del self._unused[name]

    def _visit_in(self, path: Path, address: str, last_used: float) -> _Visit:
        folder = path / "libraries"
        for part in (path, folder):
            part.mkdir(mode=0o700, exist_ok=True)
        kept_bytes = partial(_own_bytes, folder, self._template)
        allowance = Allowance(self._visitor_limits, kept_bytes=kept_bytes)
        return _Visit(folder, address, last_used, allowance)

    def _end(self, visit: _Visit) -> None:
        self._visits.pop(visit.folder.parent.name, None)
        _close_all(visit)
        remove_tree(visit.folder.parent)

    def _touch(self, visit: _Visit) -> None:
        visit.last_used = self._clock()
        if self.hosted and visit.last_used - visit.noted >= TIDY_EVERY_SECONDS:
            visit.noted = visit.last_used
            # A full disk must not end a visit; in memory the time is right anyway.
            with contextlib.suppress(OSError):
                (visit.folder.parent / _LAST_USED).write_text(f"{visit.last_used}\n")

    def _tidy(self) -> None:
        """Now and then end visits whose time is over, and close unused libraries."""
        now = self._clock()
        if now - self._tidied_at < TIDY_EVERY_SECONDS:
            return
        self._tidied_at = now
        self.expire()
        for visit in self._visits.values():
            if not visit.lock.acquire(blocking=False):
                continue  # at work
            try:
                unused = [
                    (one.last_used, name) for name, one in visit.open.items() if not one.users
                ]
                unused.sort(reverse=True)
                if self.hosted:
                    unused = [one for one in unused if one[0] <= now - CLOSE_AFTER_SECONDS]
                else:
                    unused = unused[MAX_OPEN_IDLE:]
                for _, name in unused:
                    visit.lines[name] = self._line(visit, name)
                    visit.open.pop(name).library.close()
            finally:
                visit.lock.release()

    # -- one visitor's libraries -----------------------------------------------------------

    def _opened(self, visit: _Visit, library_id: str) -> _Open:
        """Return a library of a visit, opening it when needed; the visit's lock is held."""
        lent = visit.open.get(library_id)
        path = visit.folder / library_id
        if (lent is not None and lent.removed) or not (library_id in LABELS or path.is_dir()):
            raise UnknownNameError("That library was removed. Choose another.")
        if lent is None:
            if library_id == SAMPLE_ID and self.hosted and not path.exists():
                _copy_tree(self._made_template(), path)
            library = self._library(
                Workspace.open(path),
                sample=library_id == SAMPLE_ID,
                allowance=visit.allowance,
                passwords=visit.passwords.setdefault(library_id, {}),
            )
            lent = visit.open[library_id] = _Open(library, self._clock())
            visit.lines.pop(library_id, None)
        return lent

    def _line(self, visit: _Visit, library_id: str) -> LibraryLine:
        with visit.lock:
            if library_id in visit.lines:
                return visit.lines[library_id]
            try:
                return _line_of(self._opened(visit, library_id).library, library_id)
            except CoreError:
                if library_id in LABELS:
                    raise
                logger.exception("library %s cannot be opened", library_id)
                return LibraryLine(library_id, "(cannot be opened)")

    def _delete_now(self, visit: _Visit, library_id: str) -> None:
        visit.open.pop(library_id).library.close()
        visit.passwords.pop(library_id, None)
        remove_tree(visit.folder / library_id)

    def _library(
        self,
        workspace: Workspace,
        *,
        sample: bool = True,
        allowance: Allowance | None = None,
        passwords: dict[str, str] | None = None,
    ) -> Library:
        """Return the library of an open workspace; a sample library is filled when it is empty."""
        try:
            library = Library(
                workspace,
                pool=self.pool,
                count_tokens=self._count_tokens,
                limits=None if sample else self._limits,
                sample=self._sample if sample else None,
                allowance=allowance,
                passwords=passwords,
            )
            if sample and not workspace.read_only:
                seed_sample(library, self._sample)
        except BaseException:
            workspace.close()
            raise
        return library

    # -- the sample library of a shared server ---------------------------------------------

    def _sample_to_look_at(self) -> Library:
        """The sample library for readers: one for all, never written to."""
        with self._template_lock:
            if self._shared_sample is None:
                template = Workspace.open(self._made_template(), read_only=True)
                self._shared_sample = self._library(template)
            return self._shared_sample

    def _made_template(self) -> Path:
        """Return a closed workspace with the sample library in it, made once per server."""
        with self._template_lock:
            if not self._template_ready:
                done = self._template / ".complete"
                if not done.exists():
                    remove_tree(self._template)
                with contextlib.closing(self._library(Workspace.open(self._template))) as library:
                    library.passages()  # cut, should this version cut otherwise
                done.touch()
                self._template_ready = True
        return self._template


def _line_of(library: Library, library_id: str) -> LibraryLine:
    label = LABELS.get(library_id) or library.workspace.fact(_LABEL_FACT) or library_id
    return LibraryLine(
        library_id,
        label,
        len(library.workspace.documents()),
        library.passage_count(),
        is_sample=library_id == SAMPLE_ID,
    )


def _close_all(visit: _Visit) -> None:
    with visit.lock:
        for lent in visit.open.values():
            lent.library.close()
        visit.open.clear()


def _own_bytes(folder: Path, template: Path) -> int:
    """Bytes of a visitor's libraries on the disk, without those of the shipped sample."""
    came_with = tree_bytes(template) if (folder / SAMPLE_ID).exists() else 0
    return max(0, tree_bytes(folder) - came_with)


def _copy_tree(source: Path, target: Path) -> None:
    partial_copy = target.with_name(target.name + ".partial")
    remove_tree(partial_copy)
    shutil.copytree(source, partial_copy, ignore=shutil.ignore_patterns("*.lock", "*.owner"))
    partial_copy.rename(target)


def _name(visitor_id: str) -> str:
    """Folder name of a visitor's id; "" for an impossible id."""
    if visitor_id != LOCAL_VISITOR and not _VISITOR_ID.fullmatch(visitor_id):
        return ""
    return f"visitor-{hashlib.sha256(visitor_id.encode()).hexdigest()}"


def _read_last_used(folder: Path) -> float:
    try:
        return float((folder / _LAST_USED).read_text())
    except (OSError, ValueError):
        return 0.0  # expires at once
