"""Vectors of one encoder on disk: generations of segments, each with a hashed manifest.

    vectors/<fingerprint>/
        CURRENT                   name and sha256 of the manifest that counts
        gen-000007/
            embeddings.npy        the rows this generation brought, (n, dim) float32
            keys.npy              their keys, (n, 32) uint8: sha256 of what was embedded
            manifest.json         every segment that belongs to generation 7, oldest first

An append writes only its own rows, so its cost does not grow with the corpus. Small segments are
joined eight at a time, so there are never many and each row is rewritten a handful of times at
most. `CURRENT` is swapped last, in one step; what the generation before needs stays until the
next success. A damaged segment is set aside and its rows count as missing; the others stay.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.encoders.spec import TextKind
from core.errors import IndexMismatchError, StoreError, WorkspaceDamagedError
from core.store.files import (
    TEMPORARY_PREFIX,
    array_blocks,
    disk_errors,
    open_array,
    remove_tree,
    sync_folder,
    write_atomically,
    write_new,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

MANIFEST_FORMAT = 1
KEY_BYTES = 32
MERGE_FACTOR = 8  # this many neighbours of one size class become one segment
MAX_MERGED_ROWS = 65_536  # larger segments are never rewritten
_GENERATION = re.compile(r"gen-(\d{6,})")
_FINGERPRINT = re.compile(r"[0-9a-f]{16,}")


def text_key(text: str, *, kind: TextKind = TextKind.PASSAGE) -> bytes:
    """Return the 32-byte key of a text: sha256 of its UTF-8, queries set apart by a prefix."""
    encoded = text.encode("utf-8", "surrogatepass")
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


@dataclass(frozen=True, slots=True)
class Segment:
    """Some rows on disk, as the manifest lists them. ``level``: how often they were joined."""

    generation: str
    rows: int
    level: int
    embeddings_sha256: str
    keys_sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class _OpenSegment:
    entry: Segment
    first_row: int
    embeddings: NDArray[np.float32]
    keys: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Manifest:
    number: int
    fingerprint: str
    facts: Mapping[str, Any]
    dimension: int
    segments: tuple[Segment, ...]

    def to_bytes(self) -> bytes:
        content = {
            "format": MANIFEST_FORMAT,
            "number": self.number,
            "fingerprint": self.fingerprint,
            "encoder": dict(self.facts),
            "shape": [sum(segment.rows for segment in self.segments), self.dimension],
            "dtype": "float32",
            "segments": [asdict(segment) for segment in self.segments],
        }
        return json.dumps(content, indent=1, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: Path) -> _Manifest:
        try:
            fields = json.loads(content)
            if fields["format"] > MANIFEST_FORMAT:
                msg = f"{where} was written by a newer Bifocal; update Bifocal to read it."
                raise StoreError(msg)
            segments = tuple(Segment(**segment) for segment in fields["segments"])
            manifest = cls(
                number=int(fields["number"]),
                fingerprint=str(fields["fingerprint"]),
                facts=dict(fields["encoder"]),
                dimension=int(fields["shape"][1]),
                segments=segments,
            )
            sound = (
                fields["dtype"] == "float32"
                and fields["shape"][0] == sum(segment.rows for segment in segments)
                and all(_GENERATION.fullmatch(segment.generation) for segment in segments)
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as exc:
            raise WorkspaceDamagedError(f"{where} is damaged: {exc}.") from exc
        if not sound:
            raise WorkspaceDamagedError(f"{where} is damaged: its numbers do not add up.")
        return manifest


class VectorFolder:
    """The vectors of one encoder fingerprint. Safe to use from several threads.

    Opening checks every length and hash once; after that reads are plain memory maps.

    Args:
        folder: ``vectors/<fingerprint>`` of a workspace.
        fingerprint: Of the encoder.
        on_damage: Called with a path and a sentence for everything found damaged.
        quarantine: Where damaged files go; None to leave them (read-only workspaces).
        read_only: Refuse to write.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        *,
        on_damage: Callable[[Path, str], None],
        quarantine: Callable[[Path], None] | None,
        read_only: bool = False,
    ) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._on_damage = on_damage
        self._quarantine = quarantine
        self._read_only = read_only
        self._lock = threading.RLock()
        self._segments: tuple[_OpenSegment, ...] = ()
        self._row_of: dict[bytes, int] = {}
        self._number = 0
        self._dimension = 0
        self._facts: Mapping[str, Any] = {}
        self._previous: frozenset[str] = frozenset()
        if folder.is_dir():
            self._open()

    # -- reading ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def dimension(self) -> int:
        """Of the embeddings; 0 while there are none."""
        return self._dimension

    @property
    def facts(self) -> Mapping[str, Any]:
        """Facts of the encoder in the manifest."""
        return self._facts

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Return positions in ``keys`` that have no vector; a repeated key is listed once."""
        seen: set[bytes] = set()
        positions = []
        with self._lock:
            for position, key in enumerate(keys):
                if key not in self._row_of and key not in seen:
                    seen.add(key)
                    positions.append(position)
        return positions

    def vectors(self, keys: Sequence[bytes]) -> NDArray[np.float32]:
        """Return ``(len(keys), dim)`` float32 in the order asked.

        Raises:
            IndexMismatchError: If one of them is missing.
        """
        with self._lock:
            segments = self._segments
            try:
                rows = np.fromiter((self._row_of[key] for key in keys), np.int64, len(keys))
            except KeyError as exc:
                msg = (
                    "Some passages have no vectors yet for this encoder; "
                    "embed what is missing and search again."
                )
                raise IndexMismatchError(msg) from exc
        gathered = np.empty((len(keys), self._dimension), np.float32)
        for segment in segments:
            inside = np.flatnonzero(
                (rows >= segment.first_row) & (rows < segment.first_row + segment.entry.rows)
            )
            if inside.size:
                gathered[inside] = segment.embeddings[rows[inside] - segment.first_row]
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
            if self._dimension not in (0, embeddings.shape[1]) and len(embeddings):
                msg = (
                    f"Vectors of dimension {embeddings.shape[1]} do not belong beside the stored "
                    f"ones of dimension {self._dimension}: equal fingerprint, different encoder."
                )
                raise IndexMismatchError(msg)
            fresh = self.missing(keys)
            if not fresh:
                return 0
            new_keys = np.frombuffer(b"".join(keys[i] for i in fresh), np.uint8)
            self._grow(facts, new_keys.reshape(-1, KEY_BYTES), embeddings[fresh])
            return len(fresh)

    def discard(self, unwanted: Collection[bytes]) -> int:
        """Forget vectors at once, in all generations; returns how many were there.

        Only segments that hold one of them are rewritten.
        """
        self._require_writable()
        with self._lock:
            present = {key for key in unwanted if key in self._row_of}
            if not present:
                return 0
            kept: list[_OpenSegment] = []
            keys: list[NDArray[np.uint8]] = []
            rows: list[NDArray[np.float32]] = []
            for segment in self._segments:
                stays = np.array([key not in present for key in _split_keys(segment.keys)], bool)
                if stays.all():
                    kept.append(segment)
                elif stays.any():
                    keys.append(segment.keys[stays])
                    rows.append(segment.embeddings[stays])
            self._write_generation(
                self._facts,
                kept,
                np.concatenate(keys) if keys else np.empty((0, KEY_BYTES), np.uint8),
                np.concatenate(rows) if rows else np.empty((0, self._dimension), np.float32),
                level=0,
            )
            self._row_of = {}
            for segment in self._segments:
                self._index(segment)
            self._previous = frozenset()  # the generation before still holds them: let it go
            self._remove_unused()
            return len(present)

    def _grow(
        self,
        facts: Mapping[str, Any],
        keys: NDArray[np.uint8],
        embeddings: NDArray[np.float32],
    ) -> None:
        """Add a segment, joining the last ones when enough of one size class stand together."""
        level = 0
        kept = list(self._segments)
        joined: list[_OpenSegment] = []
        while True:
            tail = kept[-(MERGE_FACTOR - 1) :]
            rows = len(keys) + sum(segment.entry.rows for segment in [*tail, *joined])
            if (
                len(tail) < MERGE_FACTOR - 1
                or any(segment.entry.level != level for segment in tail)
                or rows > MAX_MERGED_ROWS
            ):
                break
            joined = [*tail, *joined]
            kept = kept[: -len(tail)]
            level += 1
        first_row = sum(segment.entry.rows for segment in self._segments)
        if joined:
            all_keys = np.concatenate([*(segment.keys for segment in joined), keys])
            all_rows = np.concatenate([*(segment.embeddings for segment in joined), embeddings])
        else:
            all_keys, all_rows = keys, embeddings
        self._write_generation(facts, kept, all_keys, all_rows, level=level)
        # Joining keeps the order, so the rows that were there keep their numbers.
        for offset, key in enumerate(_split_keys(keys)):
            self._row_of[key] = first_row + offset
        self._remove_unused()

    def _write_generation(
        self,
        facts: Mapping[str, Any],
        kept: Sequence[_OpenSegment],
        keys: NDArray[np.uint8],
        embeddings: NDArray[np.float32],
        *,
        level: int,
    ) -> None:
        """Write, sync, swap `CURRENT`, and only then change the memory."""
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            numbers = [self._number, *(number for number, _ in self._generations())]
        number = max(numbers) + 1
        name = f"gen-{number:06d}"
        temporary = self._folder / f"{TEMPORARY_PREFIX}{name}"
        remove_tree(temporary)
        try:
            with disk_errors(temporary):
                temporary.mkdir()
            entries = [segment.entry for segment in kept]
            if len(keys):
                entries.append(
                    Segment(
                        generation=name,
                        rows=len(keys),
                        level=level,
                        embeddings_sha256=write_new(
                            temporary / "embeddings.npy", array_blocks(embeddings)
                        ),
                        keys_sha256=write_new(temporary / "keys.npy", array_blocks(keys)),
                    )
                )
            manifest = _Manifest(
                number=number,
                fingerprint=self._fingerprint,
                facts=facts,
                dimension=int(embeddings.shape[1]),
                segments=tuple(entries),
            )
            digest = write_new(temporary / "manifest.json", [memoryview(manifest.to_bytes())])
            with disk_errors(temporary):
                sync_folder(temporary)
                temporary.rename(self._folder / name)
                sync_folder(self._folder)
            write_atomically(self._folder / "CURRENT", f"{name} {digest}\n".encode())
        except BaseException:
            remove_tree(temporary)
            if (self._folder / name).is_dir() and self._read_current()[0] != name:
                remove_tree(self._folder / name)
            raise
        self._previous = frozenset(
            [f"gen-{self._number:06d}", *(segment.entry.generation for segment in self._segments)]
        )
        opened = list(kept)
        first_row = 0
        for position, segment in enumerate(opened):
            opened[position] = _OpenSegment(
                segment.entry, first_row, segment.embeddings, segment.keys
            )
            first_row += segment.entry.rows
        if len(keys):
            # Just written and synced by us: mapped without reading it all again.
            mapped: NDArray[np.float32] = np.load(
                self._folder / name / "embeddings.npy", mmap_mode="r", allow_pickle=False
            )
            opened.append(_OpenSegment(entries[-1], first_row, mapped, np.array(keys)))
        self._segments = tuple(opened)
        self._number = number
        self._dimension = manifest.dimension
        self._facts = facts

    def _require_writable(self) -> None:
        if self._read_only:
            raise StoreError("This workspace was opened for reading only.")

    def _remove_unused(self) -> None:
        """Delete files that neither this generation nor the one before needs."""
        needed = {segment.entry.generation for segment in self._segments} | self._previous
        needed.add(f"gen-{self._number:06d}")
        for _, path in self._generations():
            if path.name not in needed:
                remove_tree(path)

    # -- opening ---------------------------------------------------------------------------

    def _generations(self) -> list[tuple[int, Path]]:
        """Return generation folders with their numbers, oldest first."""
        found = []
        for path in self._folder.iterdir():
            match = _GENERATION.fullmatch(path.name)
            if match:
                found.append((int(match[1]), path))
        return sorted(found)

    def _read_current(self) -> tuple[str, str]:
        """Return the name and manifest hash in `CURRENT`; empty when there is no such file."""
        try:
            words = (self._folder / "CURRENT").read_bytes().decode("ascii", "replace").split()
        except FileNotFoundError:
            return "", ""
        return (words[0], words[1]) if len(words) == 2 else ("?", "?")

    def _read_manifest(self, name: str, *, sha256: str | None) -> _Manifest:
        path = self._folder / name / "manifest.json"
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise WorkspaceDamagedError(f"{path} cannot be read: {exc.strerror}.") from exc
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise WorkspaceDamagedError(f"{path} is damaged: its hash is wrong.")
        manifest = _Manifest.from_bytes(content, where=path)
        if manifest.fingerprint != self._fingerprint:
            msg = f"{path} is damaged: it belongs to another encoder ({manifest.fingerprint[:16]})."
            raise WorkspaceDamagedError(msg)
        return manifest

    def _open(self) -> None:
        manifest, damaged, broken = self._find_manifest()
        if manifest is not None:
            self._number = manifest.number
            self._dimension = manifest.dimension
            self._facts = manifest.facts
            broken |= {segment.generation for segment in self._open_segments(manifest)}
        if self._read_only:
            return
        if manifest is not None and (damaged or broken):
            self._write_generation(
                self._facts,
                self._segments,
                np.empty((0, KEY_BYTES), np.uint8),
                np.empty((0, self._dimension), np.float32),
                level=0,
            )
            self._previous = frozenset()
        elif manifest is not None:
            self._previous = self._needed_before(manifest.number)
        for generation in sorted(broken):
            if self._quarantine and (self._folder / generation).is_dir():
                self._quarantine(self._folder / generation)
        self._clean_up()

    def _find_manifest(self) -> tuple[_Manifest | None, bool, set[str]]:
        """Return the manifest that counts, whether `CURRENT` failed, and unreadable generations."""
        name, sha256 = self._read_current()
        if name and _GENERATION.fullmatch(name):
            try:
                return self._read_manifest(name, sha256=sha256), False, set()
            except WorkspaceDamagedError as exc:
                self._report(self._folder / name / "manifest.json", str(exc))
        elif not name and len(self._generations()) <= 1:
            # Killed before the very first swap: nothing is damaged, the one generation counts.
            return self._newest_sound_manifest()[0], True, set()
        else:
            self._report(self._folder / "CURRENT", f"{self._folder / 'CURRENT'} is damaged.")
        manifest, broken = self._newest_sound_manifest()
        return manifest, True, broken

    def _newest_sound_manifest(self) -> tuple[_Manifest | None, set[str]]:
        """Return the newest manifest that can be read, and the generations whose cannot."""
        broken: set[str] = set()
        for _, path in reversed(self._generations()):
            try:
                return self._read_manifest(path.name, sha256=None), broken
            except WorkspaceDamagedError as exc:
                broken.add(path.name)
                self._report(path / "manifest.json", str(exc))
        return None, broken

    def _needed_before(self, number: int) -> frozenset[str]:
        """Files of the generation before ``number``; none when it cannot be read."""
        for older, path in reversed(self._generations()):
            if older < number:
                try:
                    manifest = self._read_manifest(path.name, sha256=None)
                except WorkspaceDamagedError:
                    continue  # it no longer counts; the current one is sound
                return frozenset(
                    [path.name, *(segment.generation for segment in manifest.segments)]
                )
        return frozenset()

    def _open_segments(self, manifest: _Manifest) -> list[Segment]:
        """Open the intact segments; return the damaged ones."""
        opened: list[_OpenSegment] = []
        lost: list[Segment] = []
        first_row = 0
        for entry in manifest.segments:
            folder = self._folder / entry.generation
            try:
                embeddings = open_array(
                    folder / "embeddings.npy",
                    shape=(entry.rows, manifest.dimension),
                    dtype="float32",
                    sha256=entry.embeddings_sha256,
                )
                keys = open_array(
                    folder / "keys.npy",
                    shape=(entry.rows, KEY_BYTES),
                    dtype="uint8",
                    sha256=entry.keys_sha256,
                )
            except WorkspaceDamagedError as exc:
                lost.append(entry)
                self._report(
                    folder, f"{exc} {entry.rows} vectors are set aside and will be embedded again."
                )
                continue
            segment = _OpenSegment(
                entry, first_row, embeddings.astype(np.float32, copy=False), np.array(keys)
            )
            opened.append(segment)
            self._index(segment)
            first_row += entry.rows
        self._segments = tuple(opened)
        return lost

    def _index(self, segment: _OpenSegment) -> None:
        for offset, key in enumerate(_split_keys(segment.keys)):
            self._row_of[key] = segment.first_row + offset

    def _clean_up(self) -> None:
        """Remove half-made files of a killed process, and old generations."""
        if self._read_only:
            return
        for path in self._folder.iterdir():
            if path.name.startswith(TEMPORARY_PREFIX):
                if path.is_dir():
                    remove_tree(path)
                else:
                    path.unlink(missing_ok=True)
        self._remove_unused()

    def _report(self, path: Path, sentence: str) -> None:
        self._on_damage(path, sentence)


def _split_keys(keys: NDArray[np.uint8]) -> list[bytes]:
    """Return ``(n, 32)`` uint8 as ``n`` byte strings."""
    joined = keys.tobytes()
    return [joined[start : start + KEY_BYTES] for start in range(0, len(joined), KEY_BYTES)]


def relative_to(path: Path, folder: Path) -> str:
    """Return a path as shown in damage records: below the workspace, with forward slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()
