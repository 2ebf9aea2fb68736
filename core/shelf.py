"""Which libraries a visitor has, and the workbench of each.

Run locally there is one visitor, whose libraries stay. Hosted, every visitor has a folder of their
own behind an id that cannot be guessed, and it is removed after a time (`WorkspaceRoot`).
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from core.errors import (
    CoreError,
    InvalidSettingError,
    StoreError,
    UnknownNameError,
)
from core.library import Allowance, Library, VisitorLimits
from core.library.shipped import SAMPLE_FOLDER, seed_sample
from core.library.visitors import WorkspaceRoot
from core.store import Workspace, remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from core.encoders.pool import EncoderPool
    from core.settings import ExtractionLimits

    CountTokens = Callable[[Sequence[str]], Sequence[int]]

logger = logging.getLogger(__name__)

SAMPLE_ID = "sample"
SAMPLE_LABEL = "Sample library"
OWN_ID = "my-documents"
OWN_LABEL = "My documents"
LOCAL_VISITOR = "local"
LIBRARIES_EACH = 20
LIBRARIES_EACH_HOSTED = 3
MAX_LABEL_CHARS = 60
_LIBRARY_ID = re.compile(r"sample|my-documents|lib-[0-9a-z]{16}")
_LABEL_FACT = "label"


@dataclass(frozen=True, slots=True)
class LibraryLine:
    """A library as a list names it.

    Attributes:
        library_id: Opaque.
        label: Name for people. Hostile text: escape it.
        documents: How many it holds.
        passages: Under its current chunking.
        is_sample: It came with Bifocal and takes no uploads.
    """

    library_id: str
    label: str
    documents: int
    passages: int
    is_sample: bool


class Shelf:
    """The libraries in one folder. Safe to use from several threads.

    Args:
        folder: Holds a workspace per library.
        make: Makes a workbench of an open workspace.
        make_sample: The same for the sample library, which it fills when it is empty.
        most: Most libraries.
        template: A closed workspace to copy the sample library from, where there is one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        make: Callable[[Workspace], Library],
        make_sample: Callable[[Workspace], Library],
        most: int = LIBRARIES_EACH,
        template: Path | None = None,
    ) -> None:
        self._folder = folder
        self._make = make
        self._make_sample = make_sample
        self._most = most
        self._template = template
        self._lock = threading.RLock()
        self._open: dict[str, Library] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def open(self, library_id: str) -> Library:
        """Return a library, opening it when needed.

        Raises:
            UnknownNameError: If there is no such library.
            StoreError: If its workspace cannot be opened; the message says why.
        """
        if not _LIBRARY_ID.fullmatch(library_id):
            raise UnknownNameError("There is no such library. Choose one from the list.")
        with self._lock:
            if library_id not in self._open:
                path = self._folder / library_id
                built_in = library_id in {SAMPLE_ID, OWN_ID}
                if not built_in and not path.is_dir():
                    raise UnknownNameError("That library was removed. Choose another.")
                if library_id == SAMPLE_ID and self._template and not path.exists():
                    _copy_tree(self._template, path)
                make = self._make_sample if library_id == SAMPLE_ID else self._make
                self._open[library_id] = make(Workspace.open(path))
            return self._open[library_id]

    def lines(self) -> tuple[LibraryLine, ...]:
        """Return every library: the sample, the visitor's own, then the others by label."""
        others = sorted(
            path.name
            for path in self._folder.iterdir()
            if _LIBRARY_ID.fullmatch(path.name) and path.name not in {SAMPLE_ID, OWN_ID}
        )
        found = [self._line(SAMPLE_ID), self._line(OWN_ID)]
        rest = []
        for library_id in others:
            try:
                rest.append(self._line(library_id))
            except CoreError:
                logger.exception("library %s cannot be opened", library_id)
                rest.append(LibraryLine(library_id, "(cannot be opened)", 0, 0, is_sample=False))
        return (*found, *sorted(rest, key=lambda line: (line.label.casefold(), line.library_id)))

    def create(self, label: str) -> LibraryLine:
        """Make an empty library.

        Raises:
            InvalidSettingError: If the label is empty or too long.
            StoreError: If there are too many libraries.
        """
        label = " ".join("".join(c for c in label if c.isprintable()).split())
        if not label or len(label) > MAX_LABEL_CHARS:
            msg = f"Give the library a name of 1 to {MAX_LABEL_CHARS} characters."
            raise InvalidSettingError(msg)
        with self._lock:
            if len(self.lines()) >= self._most:
                raise StoreError(f"There are {self._most} libraries already; remove one first.")
            library_id = "lib-" + secrets.token_hex(8)
            (self._folder / library_id).mkdir(mode=0o700)
            bench = self.open(library_id)
            bench.workspace.put_fact(_LABEL_FACT, label)
            return self._line(library_id)

    def delete(self, library_id: str) -> None:
        """Remove a library and everything in it.

        Raises:
            UnknownNameError: If there is none.
            StoreError: If it is one that cannot be removed.
        """
        if library_id == SAMPLE_ID:
            raise StoreError("The sample library stays; open another library instead.")
        self.open(library_id)
        with self._lock:
            self._open.pop(library_id).close()
            remove_tree(self._folder / library_id)

    def close(self) -> None:
        """Close every workspace."""
        with self._lock:
            for bench in self._open.values():
                bench.close()
            self._open.clear()

    def _line(self, library_id: str) -> LibraryLine:
        bench = self.open(library_id)
        label = {SAMPLE_ID: SAMPLE_LABEL, OWN_ID: OWN_LABEL}.get(library_id)
        if label is None:
            label = bench.workspace.fact(_LABEL_FACT) or library_id
        return LibraryLine(
            library_id=library_id,
            label=label,
            documents=len(bench.workspace.documents()),
            passages=bench.passage_count(),
            is_sample=library_id == SAMPLE_ID,
        )


class Shelves:
    """Every visitor's shelf: one that stays, or many that come and go.

    Args:
        folder: The data folder.
        pool: The encoders.
        count_tokens: The neutral counter.
        assets: Bifocal's assets folder.
        limits: What reading one file may cost.
        hosted: Many visitors, kept apart.
        keep_hours: How long an unused visitor is kept when hosted.
        visitor_limits: What one visitor may use when hosted.
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
    ) -> None:
        self.pool = pool
        self._visitor_limits = visitor_limits or VisitorLimits()
        self._count_tokens = count_tokens
        self._assets = assets
        self._limits = limits
        self._template_lock = threading.RLock()
        self._local: Shelf | None = None
        self._root: WorkspaceRoot[Shelf] | None = None
        self._template = folder / "sample-template"
        if hosted:
            self._root = WorkspaceRoot(
                folder / "visitors",
                build=self._visitor_shelf,
                end=Shelf.close,
                time_to_live_seconds=keep_hours * 3600.0,
            )
        else:
            self._local = Shelf(
                folder / "libraries", make=self._make, make_sample=self._make_sample
            )

    # -- visitors --------------------------------------------------------------------------

    def new_visitor(self) -> str:
        """Return an id for a new visitor; run locally it is always the same one."""
        return LOCAL_VISITOR if self._root is None else self._root.create()

    def known_visitor(self, visitor_id: str) -> bool:
        """Whether an id was given out here and its time is not over."""
        if self._root is None:
            return visitor_id == LOCAL_VISITOR
        try:
            with self._root.use(visitor_id):
                return True
        except UnknownNameError:
            return False

    def shelf(self, visitor_id: str) -> Shelf:
        """Return a visitor's shelf.

        Raises:
            UnknownNameError: If there is no such visitor, or no more.
        """
        if self._root is not None:
            with self._root.use(visitor_id) as shelf:
                return shelf
        if visitor_id != LOCAL_VISITOR or self._local is None:
            raise UnknownNameError("Reload the page to start anew.")
        return self._local

    def prepare(self) -> None:
        """Make the sample library ready before anybody asks for it."""
        if self._local is not None:
            self._local.open(SAMPLE_ID)
        else:
            self._sample_template()

    def complete(self) -> None:
        """Embed what the sample library lacks: nothing, unless its shipped vectors do not fit.

        Raises:
            EncoderError: If an arm of its pair cannot be loaded.
        """
        if self._local is not None:
            bench = self._local.open(SAMPLE_ID)
            bench.warm()
            return
        with self._template_lock, Workspace.open(self._template) as workspace:
            self._make_sample(workspace).index()

    def close(self) -> None:
        """Close every workspace."""
        if self._local is not None:
            self._local.close()
        if self._root is not None:
            self._root.close()

    # -- inside ----------------------------------------------------------------------------

    def _visitor_shelf(self, workspace: Workspace) -> Shelf:
        folder = workspace.folder.parent / "libraries"
        allowance = Allowance(self._visitor_limits, kept_bytes=partial(_own_bytes, folder))
        return Shelf(
            folder,
            make=partial(self._make, allowance=allowance),
            make_sample=partial(self._make_sample, allowance=allowance),
            most=LIBRARIES_EACH_HOSTED,
            template=self._sample_template(),
        )

    def _sample_template(self) -> Path:
        """Return a closed workspace with the sample library in it, made once per server."""
        with self._template_lock:
            done = self._template / ".complete"
            if not done.exists():
                if self._template.exists():
                    remove_tree(self._template)
                self._make_sample(Workspace.open(self._template)).close()
                done.touch()
        return self._template

    def _make(self, workspace: Workspace, *, allowance: Allowance | None = None) -> Library:
        return Library(
            workspace,
            pool=self.pool,
            count_tokens=self._count_tokens,
            limits=self._limits,
            allowance=allowance,
        )

    def _make_sample(self, workspace: Workspace, *, allowance: Allowance | None = None) -> Library:
        folder = self._assets / SAMPLE_FOLDER
        bench = Library(
            workspace,
            pool=self.pool,
            count_tokens=self._count_tokens,
            sample=folder,
            allowance=allowance,
        )
        seed_sample(bench, folder)
        return bench


def _own_bytes(folder: Path) -> int:
    """Return what a visitor's libraries take on the disk, the sample library left out."""
    total = 0
    for path in folder.rglob("*"):
        if SAMPLE_ID not in path.relative_to(folder).parts[:1]:
            try:
                total += path.stat().st_size if path.is_file() else 0
            except OSError:
                continue  # removed meanwhile
    return total


def _copy_tree(source: Path, target: Path) -> None:
    partial = target.with_name(target.name + ".partial")
    if partial.exists():
        remove_tree(partial)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns("*.lock", "*.owner"))
    partial.rename(target)
