"""Write files so that a crash leaves the old or the new, never a half. All writing goes through here.

The pattern everywhere: write beside, sync the file, rename over, sync the folder. `write_bytes` is
the one function that puts bytes on the disk, so that a test can make it fail at any byte.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import DiskFullError, StoreError

BLOCK_BYTES = 8 * 1024 * 1024
TEMPORARY_PREFIX = ".tmp-"
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def write_bytes(descriptor: int, block: memoryview) -> None:
    """Write a whole block; the seam at which tests fill the disk."""
    while block:
        block = block[os.write(descriptor, block) :]


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into our errors, naming the file.

    Raises:
        DiskFullError: If there is no room (or a quota or file size limit is reached).
        StoreError: If the file may not be written at all.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise DiskFullError(
                f"The disk is full: {path} could not be written. What was stored before is intact. "
                "Free some space and start again; work goes on from where it stopped."
            ) from exc
        raise StoreError(
            f"{path} could not be written ({exc.strerror or exc}). Check the folder's permissions."
        ) from exc


@contextlib.contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Tell a file that cannot be read just now from a damaged one.

    Too many open files, a refused permission or a disk that fails says nothing about a file. One
    that is not there is: its `FileNotFoundError` passes.

    Raises:
        StoreError: If the operating system refuses; nothing was changed.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise StoreError(
            f"{path} could not be read ({exc.strerror or exc}). Nothing was changed; try again, and "
            "check the disk and the folder's permissions if it happens again."
        ) from exc


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder durable; a no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, blocks: Iterable[memoryview]) -> str:
    """Write a file inside a folder that is not yet read, synced; returns its sha256.

    Raises:
        DiskFullError: If there is no room; the partial file is removed.
    """
    digest = hashlib.sha256()
    with disk_errors(path):
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600
        )
        try:
            for block in blocks:
                for start in range(0, len(block), BLOCK_BYTES):
                    piece = block[start : start + BLOCK_BYTES]
                    digest.update(piece)
                    write_bytes(descriptor, piece)
            os.fsync(descriptor)
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        os.close(descriptor)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes) -> str:
    """Replace a file in one step; readers see the old or the new. Returns the sha256."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    digest = write_new(temporary, [memoryview(content)])
    with disk_errors(path):
        temporary.replace(path)
        sync_folder(path.parent)
    return digest


def array_blocks(array: NDArray[np.generic]) -> Iterator[memoryview]:
    """Yield the bytes of an ``.npy`` file holding ``array``, without copying the numbers."""
    contiguous = np.ascontiguousarray(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, np.lib.format.header_data_from_array_1_0(contiguous)
    )
    yield memoryview(header.getvalue())
    if contiguous.size:
        yield contiguous.reshape(-1).view(np.uint8).data


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove_tree(folder: Path) -> None:
    """Delete a folder as far as possible; files still open go at the next start."""
    shutil.rmtree(folder, ignore_errors=True)


def tree_bytes(folder: Path) -> int:
    """Return how many bytes the files below a folder hold."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # removed while we look
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
    return total
