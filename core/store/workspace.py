"""The workspace: one folder that holds documents, passages, vectors, settings and judgments.

    workspace.sqlite      facts, passages, comparisons, judgments, cached results (WAL)
    documents/<doc_id>/   facts.json, record (the read document), source (the file as given)
    vectors/<encoder>/    files of rows, see `core.store.vectors`
    quarantine/           damaged files, set aside and never read again
    workspace.lock        held while a process has the workspace open; workspace.owner says which

Whatever moment a process dies at, the next one finds the old or the new state: documents appear
and vanish by one rename, tables change in transactions, vectors come and go as whole files.
Documents and vectors can be read without the database, so a damaged database costs little.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import filelock
import numpy as np
from numpy.typing import NDArray

from core.encoders.spec import TextKind
from core.errors import (
    DiskFullError,
    StoreError,
    UnknownNameError,
    WorkspaceDamagedError,
    WorkspaceNotFoundError,
)
from core.records import Document, Judgment, Passage
from core.settings import WorkspaceSettings
from core.store import schema
from core.store.document_files import DOC_ID, REMOVED_PREFIX, read_part, stored_in, write_document
from core.store.files import (
    TEMPORARY_PREFIX,
    disk_errors,
    read_errors,
    remove_tree,
    sync_folder,
    write_atomically,
)
from core.store.opening import (
    DAMAGED_MARK,
    DATABASE,
    connect_or_rebuild,
    connect_read_only,
    lock_folder,
    set_aside,
    translated,
)
from core.store.records import (
    DOCUMENT_COLUMNS,
    PASSAGE_COLUMNS,
    DamageRecord,
    StoredComparison,
    StoredDocument,
    document_of,
    document_row,
    marks,
    passage_of,
    passage_row,
    passages_sha256,
    settings_from_json,
    settings_to_json,
    sha256_of,
    storable,
)
from core.store.vectors import VectorFolder, folder_name, in_context, relative_to, text_key

MAX_CACHED_RESULT_BYTES = 256 * 1024 * 1024


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Workspace:
    """A folder on disk, open in one process at a time. Use `Workspace.open`.

    Safe to use from several threads.
    """

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        lock: filelock.BaseFileLock | None,
        *,
        read_only: bool,
    ) -> None:
        """Take over an open database; only `open` calls this."""
        self.folder = folder
        self.read_only = read_only
        self._connection = connection
        self._file_lock = lock
        self._lock = threading.RLock()
        self._vectors: dict[str, VectorFolder] = {}
        self._damage: list[DamageRecord] = []
        self._closed = False

    # -- opening and closing ---------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path, *, create: bool = True, read_only: bool = False) -> Workspace:
        """Open a workspace, making it when there is none; repair the traces of a crash.

        Args:
            folder: Where it is or shall be.
            create: Make a new one when there is none.
            read_only: Take no lock and write nothing; damage is reported, not repaired.

        Raises:
            WorkspaceNotFoundError: Nothing is there and ``create`` is off (or reading only).
            WorkspaceLockedError: Another process has it open.
            WorkspaceVersionError: A newer Bifocal wrote it.
            WorkspaceDamagedError: The database is damaged and the workspace is read-only.
            DiskFullError: There is no room to make it.
        """
        exists = any((folder / name).exists() for name in (DATABASE, "documents", "vectors"))
        if not exists and (read_only or not create):
            raise WorkspaceNotFoundError(
                f"There is no Bifocal workspace at {folder}. Check the path, or index files first."
            )
        if read_only:
            connection = connect_read_only(folder / DATABASE)
            return cls(folder, connection, None, read_only=True)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = lock_folder(folder)
        try:
            connection, damage = connect_or_rebuild(folder)
            workspace = cls(folder, connection, lock, read_only=False)
            for what, message in damage:
                workspace.record_damage(what, message)
            try:
                workspace._finish_interrupted_work()
            except BaseException:
                connection.close()
                raise
        except BaseException:
            lock.release()
            raise
        return workspace

    def close(self) -> None:
        """Close the database and let another process in. Closing twice is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._vectors.clear()
            if not self.read_only:
                with contextlib.suppress(sqlite3.Error):  # a full disk must not keep us open
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
            if self._file_lock is not None:
                (self.folder / "workspace.owner").unlink(missing_ok=True)
                self._file_lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- damage ----------------------------------------------------------------------------

    def damage(self) -> tuple[DamageRecord, ...]:
        """Return everything that was ever found damaged here, oldest first."""
        if self.read_only:
            return tuple(self._damage)
        rows = self._rows("SELECT found, what, message FROM damage ORDER BY damage_number")
        return tuple(DamageRecord(*row) for row in rows)

    def record_damage(self, what: str, message: str) -> None:
        """Remember a damage and its treatment."""
        record = DamageRecord(_now(), what, message)
        self._damage.append(record)
        if not self.read_only:
            with self._transaction() as connection:
                connection.execute(
                    "INSERT INTO damage (found, what, message) VALUES (?, ?, ?)",
                    (record.found, record.what, record.message),
                )

    def _set_aside(self, path: Path) -> None:
        set_aside(self.folder, path)

    # -- documents -------------------------------------------------------------------------

    def put_document(self, document: Document, *, source: bytes, record: bytes) -> StoredDocument:
        """Keep a document whole: its line, its serialised record and the file as given.

        A document that is already there is replaced.

        Args:
            document: As read.
            source: The bytes of the file.
            record: The document serialised (``core.documents.document_to_bytes``).

        Raises:
            DiskFullError: The state before stays.
        """
        self._require_writable()
        if not DOC_ID.fullmatch(document.doc_id):
            raise UnknownNameError(f"{document.doc_id!r} is not a document id.")
        stored = StoredDocument.of(document, added=_now())
        with self._lock:
            write_document(
                self.folder / "documents",
                stored,
                source=source,
                record=record,
                set_aside=self._set_aside,
            )
            self._insert_document(stored)
        return stored

    def documents(self) -> tuple[StoredDocument, ...]:
        """Return a line per document, ordered by name, then id."""
        rows = self._rows(
            f"SELECT {DOCUMENT_COLUMNS} FROM documents ORDER BY name, doc_id"  # noqa: S608 - ours
        )
        return tuple(document_of(row) for row in rows)

    def has_document(self, doc_id: str) -> bool:
        """Whether a document is here."""
        return bool(self._rows("SELECT 1 FROM documents WHERE doc_id = ?", (doc_id,)))

    def stored_document(self, doc_id: str) -> StoredDocument:
        """Return the line about one document.

        Raises:
            UnknownNameError: If it is not here.
        """
        for stored in self.documents():
            if stored.doc_id == doc_id:
                return stored
        raise _unknown_document(doc_id)

    def document_source(self, doc_id: str) -> bytes:
        """Return the file as it was given.

        Raises:
            UnknownNameError: If the document is not here.
            WorkspaceDamagedError: If the stored file is not what it was.
        """
        return self._document_file(doc_id, "source")

    def document_record(self, doc_id: str) -> bytes:
        """Return the serialised document; errors as in `document_source`."""
        return self._document_file(doc_id, "record")

    def remove_document(self, doc_id: str) -> None:
        """Forget a document, its passages, and vectors that no other document needs.

        Judgments stay: they name the file's hash and count again when the file comes back.

        Raises:
            UnknownNameError: If it is not here.
        """
        self._require_writable()
        with self._lock:
            if not self.has_document(doc_id):
                raise _unknown_document(doc_id)
            parent = self.folder / "documents"
            with disk_errors(parent):
                if (parent / doc_id).exists():
                    remove_tree(parent / f"{REMOVED_PREFIX}{doc_id}")
                    (parent / doc_id).rename(parent / f"{REMOVED_PREFIX}{doc_id}")
                else:  # its files are gone already; a marker lets a crash finish the work
                    (parent / f"{REMOVED_PREFIX}{doc_id}").mkdir(parents=True, exist_ok=True)
                sync_folder(parent)
            self._finish_removal(doc_id)

    def _finish_removal(self, doc_id: str) -> None:
        """Forget the rest of a document, its files first: a full disk has room after that."""
        marker = self.folder / "documents" / f"{REMOVED_PREFIX}{doc_id}"
        noted = marker / "vectors"  # their keys, for when the passages are gone that say them
        if noted.exists():
            keys = noted.read_bytes()
        else:
            rows = self._rows(
                "SELECT chunking_key, passage_id, text FROM passages WHERE doc_id = ?", (doc_id,)
            )
            texts = {text for (_, _, text) in rows} | {in_context(*row) for row in rows}
            keys = b"".join(text_key(text) for text in texts)
            remove_tree(marker)
            with contextlib.suppress(OSError, DiskFullError):
                marker.mkdir(parents=True)
                write_atomically(noted, keys)
        with self._transaction() as connection:
            for table in ("passages", "chunkings", "documents"):
                connection.execute(f"DELETE FROM {table} WHERE doc_id = ?", (doc_id,))  # noqa: S608
        others = {text_key(text) for (text,) in self._rows("SELECT text FROM passages")}
        with contextlib.suppress(DiskFullError):  # then the next start forgets them
            self._forget_vectors({keys[i : i + 32] for i in range(0, len(keys), 32)} - others)
            remove_tree(marker)

    def _insert_document(self, stored: StoredDocument) -> None:
        with self._transaction() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO documents ({DOCUMENT_COLUMNS}) "  # noqa: S608 - our names
                f"VALUES ({marks(DOCUMENT_COLUMNS)})",
                document_row(stored),
            )

    def _document_file(self, doc_id: str, name: str) -> bytes:
        if not DOC_ID.fullmatch(doc_id) or not self.has_document(doc_id):
            raise _unknown_document(doc_id)
        return read_part(self.folder / "documents" / doc_id, name)

    # -- passages --------------------------------------------------------------------------

    def put_passages(self, chunking_key: str, doc_id: str, passages: Sequence[Passage]) -> None:
        """Keep the passages of one document under one chunking, replacing earlier ones."""
        with self._transaction() as connection:
            self._write_passages(connection, chunking_key, doc_id, passages)

    def _write_passages(
        self,
        connection: sqlite3.Connection,
        chunking_key: str,
        doc_id: str,
        passages: Sequence[Passage],
    ) -> None:
        ordered = sorted(passages, key=lambda passage: passage.passage_id)
        where = (chunking_key, doc_id)
        connection.execute("DELETE FROM passages WHERE chunking_key = ? AND doc_id = ?", where)
        connection.executemany(
            f"INSERT INTO passages (chunking_key, {PASSAGE_COLUMNS}) "  # noqa: S608 - our names
            f"VALUES (?, {marks(PASSAGE_COLUMNS)})",
            [(chunking_key, *passage_row(passage)) for passage in ordered],
        )
        connection.execute(
            "INSERT OR REPLACE INTO chunkings (chunking_key, doc_id, passages, tokens, sha256) "
            "VALUES (?, ?, ?, ?, ?)",
            (
                *where,
                len(ordered),
                sum(passage.token_count for passage in ordered),
                passages_sha256(ordered),
            ),
        )

    def chunked(self, chunking_key: str) -> dict[str, tuple[int, int]]:
        """Return ``{doc_id: (passages, tokens)}`` of the documents cut under a chunking."""
        rows = self._rows(
            "SELECT doc_id, passages, tokens FROM chunkings WHERE chunking_key = ?", (chunking_key,)
        )
        return {doc_id: (passages, tokens) for doc_id, passages, tokens in rows}

    def passages(self, chunking_key: str) -> tuple[Passage, ...]:
        """Return all passages of a chunking, ordered by id, after checking their hashes.

        A document whose passages are damaged counts as not chunked from then on.
        """
        with self._lock:
            rows = self._rows(
                f"SELECT {PASSAGE_COLUMNS} FROM passages "  # noqa: S608 - our names
                "WHERE chunking_key = ? ORDER BY passage_id",
                (chunking_key,),
            )
            expected = dict(
                self._rows(
                    "SELECT doc_id, sha256 FROM chunkings WHERE chunking_key = ?", (chunking_key,)
                )
            )
        by_document: dict[str, list[Passage]] = {doc_id: [] for doc_id in expected}
        for row in rows:
            with contextlib.suppress(ValueError, TypeError):  # a damaged unit: the hash tells
                by_document.setdefault(row[1], []).append(passage_of(row))
        for doc_id, passages in list(by_document.items()):
            if passages_sha256(passages) == expected.get(doc_id):
                continue
            del by_document[doc_id]
            self.record_damage(
                DATABASE, f"The passages of document {doc_id} were damaged; they are cut again."
            )
            if not self.read_only:
                with self._transaction() as connection:
                    for table in ("passages", "chunkings"):
                        connection.execute(
                            f"DELETE FROM {table} WHERE chunking_key = ? AND doc_id = ?",  # noqa: S608
                            (chunking_key, doc_id),
                        )
        found = (passage for passages in by_document.values() for passage in passages)
        return tuple(sorted(found, key=lambda passage: passage.passage_id))

    # -- vectors ---------------------------------------------------------------------------

    def missing(
        self, fingerprint: str, texts: Sequence[str], *, kind: TextKind = TextKind.PASSAGE
    ) -> list[int]:
        """Return positions in ``texts`` that have no vector yet; a repeated text only once."""
        return self._vector_folder(folder_name(fingerprint)).missing(
            [text_key(t, kind=kind) for t in texts]
        )

    def append(
        self,
        fingerprint: str,
        facts: Mapping[str, Any],
        texts: Sequence[str],
        embeddings: NDArray[np.float32],
        *,
        kind: TextKind = TextKind.PASSAGE,
    ) -> int:
        """Add vectors durably; returns how many were new.

        Args:
            fingerprint: Of the encoder.
            facts: About the encoder, JSON-able; kept in the manifest for people to read.
            texts: What was embedded, without prompts.
            embeddings: ``(len(texts), dim)`` float32, finite.
            kind: Queries and passages are kept apart.

        Raises:
            IndexMismatchError: If the shape does not fit what is stored.
            DiskFullError: The state before stays.
        """
        keys = [text_key(text, kind=kind) for text in texts]
        return self._vector_folder(folder_name(fingerprint)).append(
            {**facts, "fingerprint": fingerprint}, keys, embeddings
        )

    def vectors(
        self, fingerprint: str, texts: Sequence[str], *, kind: TextKind = TextKind.PASSAGE
    ) -> NDArray[np.float32]:
        """Return ``(len(texts), dim)`` float32 in the order given.

        Raises:
            IndexMismatchError: If one is missing.
        """
        return self._vector_folder(folder_name(fingerprint)).vectors(
            [text_key(t, kind=kind) for t in texts]
        )

    def vector_count(self, fingerprint: str) -> int:
        """Return how many vectors an encoder has here."""
        return len(self._vector_folder(folder_name(fingerprint)))

    def _vector_folder(self, name: str) -> VectorFolder:
        with self._lock:
            folder = self._vectors.get(name)
            if folder is None:
                folder = self._vectors[name] = VectorFolder(
                    self.folder / "vectors" / name,
                    on_damage=lambda path, sentence: self.record_damage(
                        relative_to(path, self.folder), sentence
                    ),
                    quarantine=None if self.read_only else self._set_aside,
                    read_only=self.read_only,
                )
            return folder

    def _forget_vectors(self, keys: Collection[bytes]) -> None:
        if (self.folder / "vectors").is_dir():
            with read_errors(self.folder / "vectors"):
                names = sorted(path.name for path in (self.folder / "vectors").iterdir())
            for name in names:
                self._vector_folder(name).discard(keys)

    # -- settings --------------------------------------------------------------------------

    def settings(self) -> WorkspaceSettings:
        """Return the stored settings; the defaults while there are none.

        Damaged settings are reported and replaced by the defaults.
        """
        rows = self._rows("SELECT value FROM facts WHERE name = 'settings'")
        if not rows:
            return WorkspaceSettings()
        try:
            return settings_from_json(rows[0][0])
        except WorkspaceDamagedError as exc:
            self.record_damage(DATABASE, f"{exc} The defaults are used; set yours again.")
            if not self.read_only:
                self.put_settings(WorkspaceSettings())
            return WorkspaceSettings()

    def put_settings(self, settings: WorkspaceSettings) -> None:
        """Keep settings."""
        self.put_fact("settings", settings_to_json(settings))

    def fact(self, name: str) -> str | None:
        """Return a small named text kept here, or None."""
        rows = self._rows("SELECT value FROM facts WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def put_fact(self, name: str, value: str) -> None:
        """Keep a small named text."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # -- comparisons -----------------------------------------------------------------------

    def save_comparison(self, payload: bytes, *, query: str, pair_id: str) -> str:
        """Keep a comparison; returns the unguessable id that its permalink uses."""
        comparison_id = secrets.token_urlsafe(12)
        query = storable(query)
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO comparisons (comparison_id, created, query, pair_id, payload, sha256) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (comparison_id, _now(), query, pair_id, payload, sha256_of(payload)),
            )
        return comparison_id

    def comparisons(self) -> tuple[StoredComparison, ...]:
        """Return saved comparisons without their content, newest first."""
        rows = self._rows(
            "SELECT comparison_id, created, query, pair_id FROM comparisons "
            "ORDER BY created DESC, rowid DESC"
        )
        return tuple(StoredComparison(*row) for row in rows)

    def comparison(self, comparison_id: str) -> bytes:
        """Return the content of a saved comparison.

        Raises:
            UnknownNameError: If there is none with this id.
            WorkspaceDamagedError: If it is not what was saved.
        """
        rows = self._rows(
            "SELECT payload, sha256 FROM comparisons WHERE comparison_id = ?", (comparison_id,)
        )
        if not rows:
            raise UnknownNameError(
                "This saved comparison is not in this workspace; it may have been removed."
            )
        payload, sha256 = rows[0]
        if sha256_of(payload) != sha256:
            raise WorkspaceDamagedError(
                f"The saved comparison {comparison_id} is damaged. Ask its query again."
            )
        return bytes(payload)

    # -- judgments -------------------------------------------------------------------------

    def put_judgments(self, judgments: Iterable[Judgment]) -> None:
        """Keep judgments; the same query and characters are judged once, the last one counts."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO judgments "
                "(query_text, sha256, page_number, start, end, grade) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (storable(j.query_text), j.sha256, j.page_number, j.start, j.end, j.grade)
                    for j in judgments
                ],
            )

    def judgments(self, query_text: str | None = None) -> tuple[Judgment, ...]:
        """Return judgments of one query, or all, in order of query, file and place."""
        where, arguments = (
            ("", ()) if query_text is None else (" WHERE query_text = ?", (query_text,))
        )
        rows = self._rows(
            "SELECT query_text, sha256, page_number, start, end, grade FROM judgments"  # noqa: S608
            f"{where} ORDER BY query_text, sha256, start, end",
            arguments,
        )
        return tuple(Judgment(*row) for row in rows)

    # -- results of long computations ------------------------------------------------------

    def cached_result(self, key: str) -> bytes | None:
        """Value kept under a key, or None; a damaged value counts as none."""
        rows = self._rows("SELECT value, sha256 FROM results WHERE key = ?", (key,))
        if not rows:
            return None
        value, sha256 = rows[0]
        if sha256_of(value) != sha256:
            self.record_damage(DATABASE, "A cached result was damaged; it is computed again.")
            return None
        return bytes(value)

    def cache_result(self, key: str, value: bytes) -> None:
        """Keep a result under a key; the oldest go when all together exceed 256 MiB."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO results (key, created, value, sha256) VALUES (?, ?, ?, ?)",
                (key, _now(), value, sha256_of(value)),
            )
            total = connection.execute("SELECT SUM(LENGTH(value)) FROM results").fetchone()[0]
            while total > MAX_CACHED_RESULT_BYTES:
                oldest, size = connection.execute(
                    "SELECT key, LENGTH(value) FROM results ORDER BY created, rowid LIMIT 1"
                ).fetchone()
                connection.execute("DELETE FROM results WHERE key = ?", (oldest,))
                total -= size

    # -- putting right ---------------------------------------------------------------------

    def _finish_interrupted_work(self) -> None:
        """Bring folders and tables together after a crash or a rebuilt database."""
        parent = self.folder / "documents"
        if not parent.is_dir():
            if self._rows("SELECT 1 FROM documents LIMIT 1"):
                self.record_damage(
                    "documents", "The folder of documents is gone; upload them again."
                )
                for stored in self.documents():
                    self._finish_removal(stored.doc_id)
            return
        on_disk = set()
        with read_errors(parent):
            paths = sorted(parent.iterdir())
        for path in paths:
            if path.name.startswith(TEMPORARY_PREFIX):
                remove_tree(path)
            elif path.name.startswith(REMOVED_PREFIX):
                self._finish_removal(path.name.removeprefix(REMOVED_PREFIX))
            elif DOC_ID.fullmatch(path.name):
                on_disk.add(path.name)
        in_table = {stored.doc_id for stored in self.documents()}
        for doc_id in sorted(on_disk - in_table):
            self._adopt(parent / doc_id)
        for doc_id in sorted(in_table - on_disk):
            self.record_damage(
                f"documents/{doc_id}", f"The files of document {doc_id} are gone; upload it again."
            )
            self._finish_removal(doc_id)

    def _adopt(self, folder: Path) -> None:
        """Put a document that is whole on disk back into the table."""
        stored = stored_in(folder)
        if stored is None:
            self._set_aside(folder)
            self.record_damage(
                f"documents/{folder.name}",
                f"The files of document {folder.name} are damaged and were set aside; "
                "upload it again.",
            )
            return
        self._insert_document(stored)

    # -- SQLite ----------------------------------------------------------------------------

    def _require_writable(self) -> None:
        if self.read_only:
            raise StoreError("This workspace was opened for reading only.")

    def _rows(self, query: str, arguments: Sequence[object] = ()) -> list[Any]:
        with self._lock, self._database_errors():
            return self._connection.execute(query, arguments).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        self._require_writable()
        with self._lock, self._database_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back itself
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _database_errors(self) -> Iterator[None]:
        if self._closed:
            raise StoreError("This workspace is closed.")
        try:
            yield
        except schema.READ_ERRORS as exc:
            told = translated(exc, self.folder / DATABASE)
            if isinstance(told, WorkspaceDamagedError) and not self.read_only:
                with contextlib.suppress(OSError):  # found when opening, if this cannot be written
                    (self.folder / DAMAGED_MARK).touch()
            raise told from exc


def _unknown_document(doc_id: str) -> UnknownNameError:
    return UnknownNameError(f"There is no document {doc_id[:40]!r} in this library.")
