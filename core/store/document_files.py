"""A document's folder: its facts, its serialised record, and the file as it was given.

It appears by one rename and says by hashes what it holds, so it can be read without the database.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from core.errors import WorkspaceDamagedError
from core.store.files import (
    TEMPORARY_PREFIX,
    disk_errors,
    file_sha256,
    read_errors,
    remove_tree,
    sync_folder,
    write_new,
)
from core.store.records import StoredDocument

DOC_ID = re.compile(r"d[0-9a-f]{16}")
REMOVED_PREFIX = ".removed-"  # of a folder whose document is being forgotten
_PARTS = ("source", "record")


def write_document(
    parent: Path,
    stored: StoredDocument,
    *,
    source: bytes,
    record: bytes,
    set_aside: Callable[[Path], None],
) -> None:
    """Write a document's folder; one that is already there is set aside.

    Args:
        parent: The folder of documents.
        stored: The document's line.
        source: The bytes of the file.
        record: The document serialised.
        set_aside: Moves a damaged folder out of the way.

    Raises:
        DiskFullError: The state before stays.
    """
    final = parent / stored.doc_id
    temporary = parent / f"{TEMPORARY_PREFIX}{stored.doc_id}"
    try:
        with disk_errors(final):
            parent.mkdir(exist_ok=True)
            remove_tree(temporary)
            temporary.mkdir()
        facts = {
            **asdict(stored),
            "source_sha256": write_new(temporary / "source", [memoryview(source)]),
            "record_sha256": write_new(temporary / "record", [memoryview(record)]),
        }
        content = json.dumps(facts, indent=1).encode()
        write_new(temporary / "facts.json", [memoryview(content)])
        with disk_errors(final):
            sync_folder(temporary)
            if final.exists():  # a repair: the same document once more
                set_aside(final)
            temporary.rename(final)
            sync_folder(parent)
    except BaseException:
        remove_tree(temporary)
        raise


def read_part(folder: Path, name: str) -> bytes:
    """Return a document's ``source`` or ``record`` after checking its hash.

    Raises:
        WorkspaceDamagedError: If it is not what was written.
        StoreError: If it cannot be read just now.
    """
    try:
        with read_errors(folder / name):
            facts = json.loads((folder / "facts.json").read_bytes())
            content = (folder / name).read_bytes()
        expected = facts[f"{name}_sha256"]
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError) as exc:
        raise WorkspaceDamagedError(
            f"{folder / name} is damaged or missing. Upload the document again."
        ) from exc
    if hashlib.sha256(content).hexdigest() != expected:
        raise WorkspaceDamagedError(
            f"{folder / name} is damaged: its hash is wrong. Upload the document again."
        )
    return content


def stored_in(folder: Path) -> StoredDocument | None:
    """Return the line of a document whose folder is whole; None for any other folder.

    Raises:
        StoreError: If it cannot be read just now.
    """
    try:
        with read_errors(folder):
            facts = json.loads((folder / "facts.json").read_bytes())
            hashes = {name: file_sha256(folder / name) for name in _PARTS}
        stored = StoredDocument(
            **{name: facts[name] for name in StoredDocument.__dataclass_fields__}
        )
        stored = replace(
            stored, scanned_pages=tuple(stored.scanned_pages), warnings=tuple(stored.warnings)
        )
        whole = stored.doc_id == folder.name and all(
            hashes[name] == facts[f"{name}_sha256"] for name in _PARTS
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return stored if whole else None
