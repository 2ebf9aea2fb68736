"""A document's folder, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import WorkspaceDamagedError
from core.store.document_files import read_part, stored_in, write_document
from tests.store.test_rows import DOCUMENT


def _write(parent: Path, source: bytes = b"%PDF") -> list[Path]:
    moved: list[Path] = []

    def set_aside(path: Path) -> None:
        moved.append(path)
        path.rename(parent.parent / "aside")

    write_document(parent, DOCUMENT, source=source, record=b"read", set_aside=set_aside)
    return moved


def test_a_folder_gives_back_what_was_written(tmp_path: Path) -> None:
    parent = tmp_path / "documents"
    assert _write(parent) == []
    folder = parent / DOCUMENT.doc_id
    assert [path.name for path in parent.iterdir()] == [DOCUMENT.doc_id]
    assert stored_in(folder) == DOCUMENT
    assert (read_part(folder, "source"), read_part(folder, "record")) == (b"%PDF", b"read")


def test_an_earlier_folder_is_set_aside(tmp_path: Path) -> None:
    parent = tmp_path / "documents"
    _write(parent)
    assert _write(parent, b"%PDF again") == [parent / DOCUMENT.doc_id]
    assert read_part(parent / DOCUMENT.doc_id, "source") == b"%PDF again"
    assert (tmp_path / "aside" / "source").read_bytes() == b"%PDF"


@pytest.mark.parametrize("name", ["source", "record"])
def test_a_flipped_byte_is_noticed(tmp_path: Path, name: str) -> None:
    parent = tmp_path / "documents"
    _write(parent)
    folder = parent / DOCUMENT.doc_id
    (folder / name).write_bytes(b"%PDg")
    assert stored_in(folder) is None
    with pytest.raises(WorkspaceDamagedError, match="its hash is wrong"):
        read_part(folder, name)


def test_a_folder_without_facts_or_of_another_name_is_no_document(tmp_path: Path) -> None:
    parent = tmp_path / "documents"
    _write(parent)
    folder = (parent / DOCUMENT.doc_id).rename(parent / "d9999999999999999")
    assert stored_in(folder) is None
    (folder / "facts.json").unlink()
    assert stored_in(folder) is None
    with pytest.raises(WorkspaceDamagedError, match="damaged or missing"):
        read_part(folder, "source")
