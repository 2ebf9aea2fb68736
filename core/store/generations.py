"""Vectors in the layout before this one: generations of segments. Read once, written anew, removed.

CURRENT                   name and sha256 of the manifest that counts
gen-000007/
embeddings.npy        (n, dim) float32
keys.npy              (n, 32) uint8
manifest.json         every segment that belongs to generation 7, with hashes
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.store.files import file_sha256, read_errors, remove_tree

_GENERATION = re.compile(r"gen-\d{6,}")


def has_generations(folder: Path) -> bool:
    """Whether a folder of vectors is, or was, of this layout."""
    return (folder / "CURRENT").exists() or bool(_generations(folder))


def read_generations(
    folder: Path, on_damage: Callable[[Path, str], None], quarantine: Callable[[Path], None] | None
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Yield keys and rows of every segment that is whole; report and set aside the others.

    Raises:
        StoreError: If a file cannot be read just now; nothing was changed.
    """
    for segment in _segments(folder, on_damage):
        path = folder / str(segment["generation"])
        try:
            with read_errors(path):
                for name in ("embeddings", "keys"):
                    _require(file_sha256(path / f"{name}.npy") == segment[f"{name}_sha256"])
                keys = np.load(path / "keys.npy", allow_pickle=False)
                rows = np.load(path / "embeddings.npy", mmap_mode="r", allow_pickle=False)
        except (FileNotFoundError, ValueError, KeyError, EOFError, RecursionError) as exc:
            on_damage(path, f"{path} is damaged: {exc}. Its vectors will be embedded again.")
            if quarantine is not None and path.is_dir():
                quarantine(path)
            continue
        yield keys, rows


def remove_generations(folder: Path) -> None:
    """Delete everything of this layout."""
    (folder / "CURRENT").unlink(missing_ok=True)
    for path in _generations(folder):
        remove_tree(path)


def _generations(folder: Path) -> list[Path]:
    """Return generation folders, newest first."""
    return sorted((p for p in folder.iterdir() if _GENERATION.fullmatch(p.name)), reverse=True)


def _segments(folder: Path, on_damage: Callable[[Path, str], None]) -> list[dict[str, Any]]:
    """Return the segments of the manifest that counts, or of the newest that can be read."""
    named, digest = "", ""
    with read_errors(folder):
        if (folder / "CURRENT").exists():
            words = (folder / "CURRENT").read_bytes().decode("ascii", "replace").split()
            named, digest = words if len(words) == 2 else ("?", "")
    names = [path.name for path in _generations(folder)]
    for name in sorted(names, key=lambda one: one != named):  # the one that counts first
        path = folder / name / "manifest.json"
        try:
            with read_errors(path):
                content = path.read_bytes()
            _require(name != named or hashlib.sha256(content).hexdigest() == digest)
            segments: list[dict[str, Any]] = json.loads(content)["segments"]
            if all(_GENERATION.fullmatch(segment["generation"]) for segment in segments):
                return segments
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError) as exc:
            on_damage(path, f"{path} is damaged: {exc}.")
    return []


def _require(sound: bool) -> None:  # noqa: FBT001  one fact, named by the caller
    if not sound:
        raise ValueError("its hash is wrong")
