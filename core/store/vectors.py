"""Vectors of one encoder on disk: files of rows that appear by one rename and never change.

    vectors/<encoder>/
        encoder.json                what made them, for people
        000001-<32 hex digits>.npy  records of a key (32 bytes) and a row (dim float32)

A file's name carries the beginning of its sha256, so it says itself whether it is whole; a damaged
one is set aside and its rows count as missing. The key is the sha256 of what was embedded; where a
crash left a key in two files, both rows are the same. An append writes its own rows only, small
files are joined when the folder is opened, and no file stays open in between.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from core.encoders.spec import TextKind
from core.errors import DiskFullError, IndexMismatchError, StoreError
from core.normal import embedding_form
from core.store.files import (
    TEMPORARY_PREFIX,
    array_blocks,
    disk_errors,
    file_sha256,
    read_errors,
    remove_tree,
    sync_folder,
    write_atomically,
    write_new,
)
from core.store.generations import has_generations, read_generations, remove_generations

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

KEY_BYTES = 32
HASH_CHARS = 32
FACTS_FILE = "encoder.json"
JOIN_FROM_FILES = 16  # so many small files become one when the folder is opened
JOINED_ROWS = 16_384  # larger files are never rewritten
_FILE = re.compile(rf"(\d{{6,}})-([0-9a-f]{{{HASH_CHARS}}})\.npy")
_FINGERPRINT = re.compile(r"[0-9a-f]{16,}")


def text_key(text: str, *, kind: TextKind = TextKind.PASSAGE) -> bytes:
    """Return the 32-byte key of a text: sha256 of the encoders' input, queries set apart."""
    encoded = embedding_form(text).encode("utf-8", "surrogatepass")
    # A query and a passage of equal text have different prompts, so different vectors.
    prefix = b"query\0" if kind is TextKind.QUERY else b""
    return hashlib.sha256(prefix + encoded).digest()


def in_context(chunking: str, passage_id: str, text: str) -> str:
    """Key of a passage that is embedded in the context of its document.

    Its vector depends on what surrounds it, so equal texts in two places are two vectors. The
    chunking belongs to it: the windows over a long document begin at passages.

    Args:
        chunking: Key of the chunking.
        passage_id: Of the passage.
        text: Its text.
    """
    return f"in context\0{chunking}\0{passage_id}\0{text}"


def folder_name(fingerprint: str) -> str:
    """Return the folder of a fingerprint: its first 16 hex digits."""
    if _FINGERPRINT.fullmatch(fingerprint):
        return fingerprint[:16]
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:16]


class _File(NamedTuple):
    """Some rows on disk; ``array`` where they cannot be written as a file of this layout."""

    path: Path
    first_row: int
    rows: int
    array: NDArray[np.void] | None = None

    def records(self) -> NDArray[np.void]:
        """Return the records; no file stays open for longer than they are used."""
        if self.array is not None:
            return self.array
        with read_errors(self.path):
            mapped: NDArray[np.void] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return mapped


class VectorFolder:
    """The vectors of one encoder fingerprint. Safe to use from several threads.

    Opening checks every length and hash once; after that reads are plain memory maps.

    Args:
        folder: ``vectors/<encoder>`` of a workspace.
        on_damage: Called with a path and a sentence for everything found damaged.
        quarantine: Moves damaged files away; None to leave them (read-only workspaces).
        read_only: Refuse to write.

    Raises:
        StoreError: If a file cannot be read just now; nothing was changed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_damage: Callable[[Path, str], None],
        quarantine: Callable[[Path], None] | None,
        read_only: bool = False,
    ) -> None:
        self._folder = folder
        self._on_damage = on_damage
        self._quarantine = quarantine
        self._read_only = read_only
        self._lock = threading.RLock()
        self._files: tuple[_File, ...] = ()
        self._row_of: dict[bytes, int] = {}
        self._dimension = 0
        self._number = 0  # of the last file
        if folder.is_dir():
            self._open()

    # -- reading ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def dimension(self) -> int:
        """Of the embeddings; 0 while there are none."""
        return self._dimension

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Return positions in ``keys`` that have no vector; a repeated key is listed once."""
        with self._lock:
            unseen = {
                key: position
                for position, key in reversed(list(enumerate(keys)))
                if key not in self._row_of
            }
        return sorted(unseen.values())

    def vectors(self, keys: Sequence[bytes]) -> NDArray[np.float32]:
        """Return ``(len(keys), dim)`` float32 in the order asked.

        Raises:
            IndexMismatchError: If one of them is missing.
            StoreError: If a file cannot be read just now; nothing was changed.
        """
        with self._lock:
            files = self._files
            try:
                rows = np.fromiter((self._row_of[key] for key in keys), np.int64, len(keys))
            except KeyError:
                raise _missing() from None
            gathered = np.empty((len(keys), self.dimension), np.float32)
            for file in files:
                inside = np.flatnonzero(
                    (rows >= file.first_row) & (rows < file.first_row + file.rows)
                )
                if inside.size:
                    try:
                        gathered[inside] = file.records()["row"][rows[inside] - file.first_row]
                    except FileNotFoundError:
                        self._on_damage(file.path, f"{file.path} is gone; it is embedded again.")
                        self._keep([one for one in files if one is not file])
                        raise _missing() from None
        return gathered

    # -- writing ---------------------------------------------------------------------------

    def append(
        self,
        facts: Mapping[str, Any],
        keys: Sequence[bytes],
        embeddings: NDArray[np.float32],
    ) -> int:
        """Add rows durably; keys already present are left out. Returns how many were new.

        Raises:
            IndexMismatchError: If the shape does not fit, or a number is not finite.
            DiskFullError: If there is no room; the state before stays.
        """
        self._require_writable()
        embeddings = np.asarray(embeddings, np.float32)
        if embeddings.ndim != 2 or len(embeddings) != len(keys):
            msg = f"{len(keys)} texts came with vectors of shape {embeddings.shape}."
            raise IndexMismatchError(msg)
        if not np.isfinite(embeddings).all():
            raise IndexMismatchError("The encoder gave a vector that is not finite.")
        with self._lock:
            if len(embeddings) and self.dimension not in (0, embeddings.shape[1]):
                msg = (
                    f"Vectors of dimension {embeddings.shape[1]} do not belong beside the stored "
                    f"ones of dimension {self.dimension}: equal fingerprint, different encoder."
                )
                raise IndexMismatchError(msg)
            fresh = self.missing(keys)
            if fresh:
                if not (self._folder / FACTS_FILE).exists():
                    with disk_errors(self._folder):
                        self._folder.mkdir(parents=True, exist_ok=True)
                    content = json.dumps(dict(facts), indent=1, sort_keys=True)
                    write_atomically(self._folder / FACTS_FILE, content.encode())
                records = _records([keys[i] for i in fresh], embeddings[fresh])
                self._keep([*self._files, self._write(records)], added=True)
            return len(fresh)

    def discard(self, unwanted: Collection[bytes]) -> int:
        """Forget vectors at once; returns how many were there.

        Only files that hold one of them are rewritten.

        Raises:
            DiskFullError: If there is no room; all of them stay.
        """
        self._require_writable()
        with self._lock:
            present = [key for key in unwanted if key in self._row_of]
            gone = set(present)
            files: list[_File] = []
            replaced: list[Path] = []
            for file in self._files if gone else ():
                records = file.records()
                stays = np.array([key not in gone for key in _keys(records)], bool)
                if stays.all():
                    files.append(file)
                    continue
                replaced.append(file.path)
                if stays.any():
                    files.append(self._write(records[stays]))
            if replaced:
                self._keep(files)
                self._remove(replaced)
            return len(present)

    def _write(self, records: NDArray[np.void]) -> _File:
        """Write a file of records, synced; it is there from the rename on."""
        self._number += 1
        temporary = self._folder / f"{TEMPORARY_PREFIX}{self._number:06d}.npy"
        digest = write_new(temporary, array_blocks(records))
        path = self._folder / f"{self._number:06d}-{digest[:HASH_CHARS]}.npy"
        with disk_errors(path):
            temporary.rename(path)
            sync_folder(self._folder)
        return _File(path, 0, len(records))

    def _keep(self, files: Sequence[_File], *, added: bool = False) -> None:
        """Know these files from now on; ``added`` when only the last one is new."""
        numbered: list[_File] = []
        first_row = 0
        for file in files:
            numbered.append(file._replace(first_row=first_row))
            first_row += file.rows
        if not added:
            self._row_of = {}
        for file in numbered[-1:] if added else numbered:
            records = file.records()
            self._dimension = int(records.dtype["row"].shape[0])
            for offset, key in enumerate(_keys(records)):
                self._row_of[key] = file.first_row + offset
        if not numbered:
            self._dimension = 0
        self._files = tuple(numbered)

    def _remove(self, paths: Sequence[Path]) -> None:
        with disk_errors(self._folder):
            for path in paths:
                path.unlink(missing_ok=True)
            sync_folder(self._folder)

    def _require_writable(self) -> None:
        if self._read_only:
            raise StoreError("This workspace was opened for reading only.")

    # -- opening ---------------------------------------------------------------------------

    def _open(self) -> None:
        with read_errors(self._folder):
            paths = sorted(self._folder.iterdir())
        files = []
        for path in paths:
            match = _FILE.fullmatch(path.name)
            if match:
                self._number = max(self._number, int(match[1]))
                rows = self._sound_rows(path, match[2])
                if rows:
                    files.append(_File(path, 0, rows))
            elif path.name.startswith(TEMPORARY_PREFIX) and not self._read_only:
                remove_tree(path)
                path.unlink(missing_ok=True)
        self._keep(files)
        if has_generations(self._folder):
            self._take_over_generations()
        if not self._read_only:
            with contextlib.suppress(DiskFullError):  # it can be done another time
                self._join_small_files()

    def _sound_rows(self, path: Path, digest: str) -> int:
        """Return how many rows a file has; 0 for a damaged one, which is set aside."""
        with read_errors(path):
            sound = file_sha256(path).startswith(digest)
            records = np.load(path, mmap_mode="r", allow_pickle=False) if sound else None
        if records is not None:
            return len(records)
        sentence = f"{path} is damaged: its hash is wrong. Its vectors will be embedded again."
        self._on_damage(path, sentence)
        if self._quarantine is not None:
            self._quarantine(path)
        return 0

    def _take_over_generations(self) -> None:
        """Write the vectors of an earlier layout as files of this one."""
        files = list(self._files)
        for keys, rows in read_generations(self._folder, self._on_damage, self._quarantine):
            joined = keys.tobytes()
            split = [joined[at : at + KEY_BYTES] for at in range(0, len(joined), KEY_BYTES)]
            fresh = self.missing(split)
            if fresh:
                records = _records([split[i] for i in fresh], rows[fresh])
                if self._read_only:
                    files.append(_File(self._folder, 0, len(records), records))
                else:
                    files.append(self._write(records))
                self._keep(files)
        if not self._read_only:
            remove_generations(self._folder)

    def _join_small_files(self) -> None:
        small = [file for file in self._files if file.rows < JOINED_ROWS // 2]
        if len(small) < JOIN_FROM_FILES:
            return
        files = [file for file in self._files if file not in small]
        group: list[_File] = []
        for file in [*small, None]:
            if group and (file is None or sum(f.rows for f in group) + file.rows > JOINED_ROWS):
                files.append(self._write(np.concatenate([one.records() for one in group])))
                group = []
            if file is not None:
                group.append(file)
        self._keep(files)
        self._remove([file.path for file in small])


def _records(keys: Sequence[bytes], rows: NDArray[np.float32]) -> NDArray[np.void]:
    dtype = np.dtype([("key", f"V{KEY_BYTES}"), ("row", "<f4", (rows.shape[1],))])
    records = np.empty(len(keys), dtype)
    records["key"] = np.frombuffer(b"".join(keys), f"V{KEY_BYTES}")
    records["row"] = rows
    return records


def _keys(records: NDArray[np.void]) -> list[bytes]:
    """Return the keys of records as byte strings."""
    joined = records["key"].tobytes()
    return [joined[start : start + KEY_BYTES] for start in range(0, len(joined), KEY_BYTES)]


def _missing() -> IndexMismatchError:
    return IndexMismatchError(
        "Some passages have no vectors yet for this encoder; embed what is missing and search again."
    )


def relative_to(path: Path, folder: Path) -> str:
    """Return a path as shown in damage records: below the workspace, with forward slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()
