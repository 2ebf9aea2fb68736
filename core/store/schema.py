"""The tables of ``workspace.sqlite``, and how a damaged file is salvaged row by row.

SQLite notices broken pages but not a flipped bit inside a cell, so what is expensive or precious
carries a sha256 of its own, checked whenever it is read.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

SCHEMA_VERSION = 1
APPLICATION_ID = 0x42494643  # "BIFC" in the file header

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY, value TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS documents (
    doc_id TEXT PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    media_type TEXT NOT NULL, size_bytes INTEGER NOT NULL, pages INTEGER NOT NULL,
    pages_with_text INTEGER NOT NULL, scanned_pages TEXT NOT NULL, chars INTEGER NOT NULL,
    warnings TEXT NOT NULL, added TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS chunkings (
    chunking_key TEXT NOT NULL, doc_id TEXT NOT NULL, passages INTEGER NOT NULL,
    tokens INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (chunking_key, doc_id)
);
CREATE TABLE IF NOT EXISTS passages (
    chunking_key TEXT NOT NULL, passage_id TEXT NOT NULL, doc_id TEXT NOT NULL,
    start INTEGER NOT NULL, end INTEGER NOT NULL, page_first INTEGER NOT NULL,
    page_last INTEGER NOT NULL, unit TEXT NOT NULL, token_count INTEGER NOT NULL,
    text TEXT NOT NULL, PRIMARY KEY (chunking_key, passage_id)
);
CREATE INDEX IF NOT EXISTS passages_by_document ON passages (doc_id);
CREATE TABLE IF NOT EXISTS comparisons (
    comparison_id TEXT PRIMARY KEY, created TEXT NOT NULL, query TEXT NOT NULL,
    pair_id TEXT NOT NULL, payload BLOB NOT NULL, sha256 TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS judgments (
    query_text TEXT NOT NULL, sha256 TEXT NOT NULL, page_number INTEGER NOT NULL,
    start INTEGER NOT NULL, end INTEGER NOT NULL, grade INTEGER NOT NULL,
    PRIMARY KEY (query_text, sha256, start, end)
);
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY, created TEXT NOT NULL, value BLOB NOT NULL, sha256 TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS damage (
    damage_number INTEGER PRIMARY KEY AUTOINCREMENT, found TEXT NOT NULL, what TEXT NOT NULL,
    message TEXT NOT NULL
);
"""

# Documents are left out, they are files of their own; passages are cut again from them.
SALVAGED_TABLES = ("facts", "comparisons", "judgments", "damage", "results")

# A damaged file can put bytes that are no text into SQLite's own error messages.
READ_ERRORS = (sqlite3.Error, UnicodeDecodeError)


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open the database; transactions are explicit, any thread may use it (one at a time)."""
    if not read_only:
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    else:
        # A closed workspace has no -wal file; `immutable` then lets it lie on a read-only disk.
        closed = not path.with_name(path.name + "-wal").exists()
        suffix = "?mode=ro&immutable=1" if closed else "?mode=ro"
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}{suffix}",
            uri=True,
            check_same_thread=False,
            isolation_level=None,
        )
    connection.execute("PRAGMA cell_size_check=ON")  # notices damage before it is followed
    return connection


def is_sound(connection: sqlite3.Connection) -> bool:
    """Whether SQLite itself finds nothing wrong; an error of its own may be no damage."""
    return bool(connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)])


def salvage(damaged: Path, connection: sqlite3.Connection) -> dict[str, int]:
    """Copy every row that can still be read into a fresh database.

    Args:
        damaged: The damaged file, already moved aside.
        connection: To the fresh database, its tables made.

    Returns:
        How many rows were saved, by table.
    """
    saved = dict.fromkeys(SALVAGED_TABLES, 0)
    try:
        source = sqlite3.connect(damaged, isolation_level=None)
    except READ_ERRORS:
        return saved
    with contextlib.closing(source):
        for table in SALVAGED_TABLES:
            saved[table] = _salvage_table(source, connection, table)
    return saved


def _salvage_table(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    names = ", ".join(f'"{column}"' for column in columns)
    marks = ", ".join("?" for _ in columns)
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our names
    saved = 0
    # Forwards until the damage, then backwards from the other end.
    for direction in ("ASC", "DESC"):
        query = f"SELECT {names} FROM {table} ORDER BY rowid {direction}"  # noqa: S608 - our names
        try:
            for row in source.execute(query):
                with contextlib.suppress(sqlite3.IntegrityError):  # a row made of garbage
                    saved += target.execute(insert, row).rowcount
        except (*READ_ERRORS, OverflowError):
            continue
        break
    return saved
