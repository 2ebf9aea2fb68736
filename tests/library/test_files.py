"""Files on their way in."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import LimitExceededError, PdfReadError, UsageError
from core.library.ingest import SourceFile


def test_bytes_and_paths_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    assert SourceFile("a.txt", path=tmp_path / "a.txt").read(limit_bytes=5) == b"hello"
    assert SourceFile("a.txt", b"hello").read(limit_bytes=1) == b"hello"


def test_a_path_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.pdf").open("wb") as stream:
        stream.truncate(300 * 1024 * 1024)  # a hole, no real bytes
    with pytest.raises(LimitExceededError, match="300 MiB; files up to 200 MiB"):
        SourceFile("big.pdf", path=tmp_path / "big.pdf").read(limit_bytes=200 * 1024 * 1024)


def test_a_path_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(PdfReadError, match="could not be read"):
        SourceFile("a.pdf", path=tmp_path / "a.pdf").read(limit_bytes=10)


def test_bytes_or_path_not_both() -> None:
    for options in ({}, {"data": b"", "path": Path("x")}):
        with pytest.raises(UsageError, match="either"):
            SourceFile("a", **options)  # type: ignore[arg-type]
