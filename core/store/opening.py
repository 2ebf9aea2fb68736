"""Open a workspace's database: one process at a time, and rescue a damaged one."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import filelock

from core.errors import (
    DiskFullError,
    StoreError,
    WorkspaceDamagedError,
    WorkspaceLockedError,
    WorkspaceVersionError,
)
from core.store import schema
from core.store.files import (
    TEMPORARY_PREFIX,
    disk_errors,
    read_errors,
    sync_folder,
    write_atomically,
)

DATABASE = "workspace.sqlite"
LOCK_SECONDS = 2.0  # a process killed a moment ago may have a child that has not let go yet
DAMAGED_MARK = "workspace.damaged"  # damage met while running: build anew at the next start


def lock_folder(folder: Path) -> filelock.BaseFileLock:
    """Keep other processes out of a workspace until the lock is released.

    Raises:
        WorkspaceLockedError: If another process is in it.
    """
    lock = filelock.FileLock(folder / "workspace.lock", timeout=LOCK_SECONDS, thread_local=False)
    with disk_errors(folder / "workspace.lock"):
        try:
            lock.acquire()
        except filelock.Timeout as exc:  # an OSError, so it must be met before `disk_errors` does
            try:
                owner = f"another process (pid {int((folder / 'workspace.owner').read_text())})"
            except (OSError, ValueError):
                owner = "another process"
            raise WorkspaceLockedError(
                f"The workspace {folder} is open in {owner}. Close that Bifocal first, "
                "or choose another workspace folder."
            ) from exc
    try:
        write_atomically(folder / "workspace.owner", f"{os.getpid()}\n".encode())
    except BaseException:
        lock.release()
        raise
    return lock


def connect_or_rebuild(folder: Path) -> tuple[sqlite3.Connection, list[tuple[str, str]]]:
    """Open the database; a damaged or lost one is set aside and built again from the rest."""
    path = folder / DATABASE
    with read_errors(folder):
        has_content = any(
            next((folder / name).iterdir(), None) is not None
            for name in ("documents", "vectors")
            if (folder / name).is_dir()
        )
        existed = path.exists()
    connection = None
    try:
        connection = schema.connect(path, read_only=False)
        if not (folder / DAMAGED_MARK).exists() and schema.is_sound(connection):
            version = _check_version(connection, path)
            if version == schema.SCHEMA_VERSION:
                return connection, []
            if version == 0 and not has_content:
                _create(connection)
                return connection, []
    except schema.READ_ERRORS as exc:
        told = translated(exc, path)
        if connection is not None:
            connection.close()
        if not isinstance(told, WorkspaceDamagedError):
            raise told from exc
    except WorkspaceVersionError:
        if connection is not None:
            connection.close()
        raise
    if connection is not None:
        connection.close()
    return _rebuild(folder, existed=existed)


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open a database for reading.

    Raises:
        WorkspaceVersionError: A newer Bifocal wrote it.
        WorkspaceDamagedError: It is damaged, or not of this version.
    """
    try:
        connection = schema.connect(path, read_only=True)
        sound = schema.is_sound(connection)
        if sound and _check_version(connection, path) == schema.SCHEMA_VERSION:
            return connection
        connection.close()
    except schema.READ_ERRORS as exc:
        told = translated(exc, path)
        if not isinstance(told, WorkspaceDamagedError):
            raise told from exc
    raise WorkspaceDamagedError(
        f"{path} is damaged. Open the workspace for writing once: what can be saved is saved."
    )


def translated(exc: Exception, path: Path) -> StoreError:
    """Sentence with a remedy for an error of SQLite's."""
    code = getattr(exc, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary == sqlite3.SQLITE_FULL:
        return DiskFullError(
            f"The disk is full: {path} could not be written. What was stored before is intact. "
            "Free some space and start again; work goes on from where it stopped."
        )
    undecodable = isinstance(exc, UnicodeDecodeError)
    if undecodable or primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return WorkspaceDamagedError(
            f"{path} is damaged. Start Bifocal again: it saves what can be read and "
            "builds the rest again from the documents."
        )
    return StoreError(f"{path} could not be used ({exc}). Check the disk and the permissions.")


def set_aside(folder: Path, path: Path, *, also: Sequence[Path] = (), keep: bool = False) -> Path:
    """Move something out of the way (or copy it); returns where it is now."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    target = folder / "quarantine" / f"{stamp}-{secrets.token_hex(3)}"
    with disk_errors(target):
        target.mkdir(parents=True)
        for part in (*also, path):
            if not part.exists():
                continue
            if keep:
                shutil.copy2(part, target / part.name)
            else:
                shutil.move(part, target / part.name)
        sync_folder(path.parent)
    return target / path.name


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > schema.SCHEMA_VERSION:
        raise WorkspaceVersionError(
            f"{path.parent} was written by a newer Bifocal (workspace version {version}; this one "
            f"reads up to {schema.SCHEMA_VERSION}). Update Bifocal, or choose another workspace."
        )
    return version


def _create(connection: sqlite3.Connection) -> None:
    connection.executescript(
        f"BEGIN IMMEDIATE; {schema.SCHEMA} PRAGMA application_id={schema.APPLICATION_ID}; "
        f"PRAGMA user_version={schema.SCHEMA_VERSION}; COMMIT;"
    )


def _rebuild(folder: Path, *, existed: bool) -> tuple[sqlite3.Connection, list[tuple[str, str]]]:
    """Make a fresh database from the readable rows of the damaged one."""
    path = folder / DATABASE
    beside = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]
    # Copied, not moved: a crash before the last step leaves the damage to be found again.
    damaged = set_aside(folder, path, also=beside, keep=True) if existed else None
    fresh = folder / f"{TEMPORARY_PREFIX}{DATABASE}"
    for suffix in ("", "-wal", "-shm"):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    try:
        with contextlib.closing(schema.connect(fresh, read_only=False)) as connection:
            _create(connection)
            saved: dict[str, int] = {}
            if damaged is not None:
                connection.execute("BEGIN")
                saved = schema.salvage(damaged, connection)
                connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with disk_errors(path):
            for leftover in beside:  # an old log must not be played into the new file
                leftover.unlink(missing_ok=True)
            fresh.replace(path)
            sync_folder(folder)
            (folder / DAMAGED_MARK).unlink(missing_ok=True)
        rebuilt = schema.connect(path, read_only=False)
    except schema.READ_ERRORS as exc:
        raise translated(exc, path) from exc
    if damaged is None:
        message = (
            f"{DATABASE} was missing. Documents and vectors are still here and are used; "
            "settings, judgments and saved comparisons are lost."
        )
    else:
        message = (
            f"{DATABASE} was damaged and set aside in {damaged.parent.name}. Saved from it: "
            f"{saved['judgments']} judgments, {saved['comparisons']} comparisons, "
            f"{'the' if saved['facts'] else 'no'} settings. Documents and vectors are files of "
            "their own and are used as they are; passages are cut again."
        )
    return rebuilt, [(DATABASE, message)]
