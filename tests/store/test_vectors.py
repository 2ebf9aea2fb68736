"""Vector files: durable, cheap to append to, and never read as empty when damaged."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.encoders.spec import TextKind
from core.errors import DiskFullError, IndexMismatchError, StoreError
from core.store import files, vectors
from core.store.vectors import JOIN_FROM_FILES, VectorFolder, folder_name, text_key
from tests.store.helpers import FACTS, rows_for


def open_folder(path: Path, *, read_only: bool = False) -> tuple[VectorFolder, list[str]]:
    damage: list[str] = []
    folder = VectorFolder(
        path,
        on_damage=lambda where, sentence: damage.append(f"{where.name}: {sentence}"),
        quarantine=None if read_only else set_aside,
        read_only=read_only,
    )
    return folder, damage


def set_aside(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def texts(first: int, last: int) -> list[str]:
    return [f"text {number}" for number in range(first, last)]


def keys(names: list[str]) -> list[bytes]:
    return [text_key(name) for name in names]


def append(folder: VectorFolder, names: list[str]) -> int:
    return folder.append(FACTS, keys(names), rows_for(names))


def assert_holds(folder: VectorFolder, names: list[str]) -> None:
    assert folder.missing(keys(names)) == []
    assert np.array_equal(folder.vectors(keys(names)), rows_for(names))


def stored(path: Path) -> list[Path]:
    return sorted(path.glob("0*.npy"))


def test_what_was_appended_comes_back_in_the_order_asked(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    assert append(folder, ["a", "b", "c"]) == 3
    assert folder.missing(keys(["c", "x", "a", "x"])) == [1]  # a repeat is listed once
    assert np.array_equal(folder.vectors(keys(["c", "a", "c"])), rows_for(["c", "a", "c"]))
    again, damage = open_folder(tmp_path / "v")
    assert_holds(again, ["b", "a", "c"])
    assert (again.dimension, damage) == (8, [])
    assert FACTS["encoder_id"] in (tmp_path / "v" / "encoder.json").read_text()


def test_a_text_is_kept_once(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    assert append(folder, ["a", "a", "b"]) == 2
    assert append(folder, ["b", "a"]) == 0
    assert len(folder) == 2
    assert len(stored(tmp_path / "v")) == 1  # nothing new, nothing written


def test_queries_and_passages_are_kept_apart() -> None:
    assert text_key("hello") != text_key("hello", kind=TextKind.QUERY)


def test_an_append_writes_its_own_rows_and_small_files_are_joined_at_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "JOINED_ROWS", 100)
    folder, _ = open_folder(tmp_path / "v")
    for number in range(2 * JOIN_FROM_FILES):
        append(folder, texts(10 * number, 10 * number + 10))
    sizes = {path.stat().st_size for path in stored(tmp_path / "v")}
    assert max(sizes) < 2000  # ten rows of 64 bytes and a header: what was there is not rewritten
    again, damage = open_folder(tmp_path / "v")
    assert_holds(again, texts(0, 20 * JOIN_FROM_FILES)[::-1])
    assert len(stored(tmp_path / "v")) == 4  # 320 rows, at most 100 in each
    last, damage = open_folder(tmp_path / "v")
    assert_holds(last, texts(0, 20 * JOIN_FROM_FILES))
    assert damage == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_file_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    folder, _ = open_folder(tmp_path / "v")
    for number in range(10):
        append(folder, texts(number, number + 1))
    assert_holds(folder, texts(0, 10))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# -- damage ------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x40
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 7)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def pickled(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


HURTS = [flip, cut_short, lengthen, empty, pickled]


@pytest.mark.parametrize("hurt", HURTS, ids=lambda hurt: hurt.__name__)
def test_a_damaged_file_is_reported_and_set_aside_and_the_others_stay(
    tmp_path: Path, hurt: Callable[[Path], None]
) -> None:
    folder, _ = open_folder(tmp_path / "v")
    for first in (0, 10, 20):
        append(folder, texts(first, first + 10))
    hurt(stored(tmp_path / "v")[1])
    again, damage = open_folder(tmp_path / "v")
    assert len(damage) == 1
    assert "will be embedded again" in damage[0]
    assert len(stored(tmp_path / "v")) == 2
    assert_holds(again, texts(0, 10) + texts(20, 30))
    assert again.missing(keys(texts(0, 30))) == list(range(10, 20))
    append(again, texts(10, 20))  # embedded again
    last, damage = open_folder(tmp_path / "v")
    assert_holds(last, texts(0, 30))
    assert damage == []


def test_a_file_that_is_gone_counts_as_missing(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, texts(0, 10))
    append(folder, texts(10, 20))
    stored(tmp_path / "v")[0].unlink()
    with pytest.raises(IndexMismatchError, match="embed what is missing"):
        folder.vectors(keys(texts(0, 20)))
    assert folder.missing(keys(texts(0, 20))) == list(range(10))
    append(folder, texts(0, 10))
    assert_holds(open_folder(tmp_path / "v")[0], texts(0, 20))


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ENOMEM])
def test_what_cannot_be_read_just_now_is_an_error_and_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, texts(0, 10))
    before = sorted(tmp_path.rglob("*"))

    def refused(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refused)
        damage: list[str] = []
        with pytest.raises(StoreError, match="Nothing was changed"):
            VectorFolder(
                tmp_path / "v", on_damage=lambda _, s: damage.append(s), quarantine=set_aside
            )
        patched.setattr(np, "load", refused)
        with pytest.raises(StoreError, match="Nothing was changed"):
            folder.vectors(keys(texts(0, 10)))
    assert damage == []
    assert sorted(tmp_path.rglob("*")) == before
    assert_holds(folder, texts(0, 10))


def test_reading_only_reports_and_changes_nothing(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, texts(0, 10))
    append(folder, texts(10, 20))
    flip(stored(tmp_path / "v")[0])
    before = sorted(tmp_path.rglob("*"))
    again, damage = open_folder(tmp_path / "v", read_only=True)
    assert damage
    assert_holds(again, texts(10, 20))
    with pytest.raises(StoreError, match="reading only"):
        append(again, ["x"])
    assert sorted(tmp_path.rglob("*")) == before


def test_left_overs_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, ["a"])
    (tmp_path / "v" / ".tmp-000002.npy").write_bytes(b"half")
    twice = stored(tmp_path / "v")[0]
    shutil.copy(
        twice, twice.with_name(twice.name.replace("000001", "000002"))
    )  # joined, not removed
    again, damage = open_folder(tmp_path / "v")
    assert_holds(again, ["a"])
    assert len(again) == 1
    assert damage == []
    assert not list((tmp_path / "v").glob(".tmp*"))


def test_discarded_vectors_are_gone_from_the_disk(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, texts(0, 10))
    append(folder, texts(10, 20))
    assert folder.discard(keys(["text 3", "text 4", "unknown"])) == 2
    secret = rows_for(["text 3"])[0].tobytes()
    assert not any(secret in path.read_bytes() for path in tmp_path.rglob("*.npy"))
    others = [name for name in texts(0, 20) if name not in ("text 3", "text 4")]
    assert_holds(folder, others)
    again, damage = open_folder(tmp_path / "v")
    assert_holds(again, others)
    assert damage == []
    assert folder.discard(keys(texts(0, 20))) == 18
    assert len(open_folder(tmp_path / "v")[0]) == 0
    append(folder, ["text 3"])
    assert_holds(open_folder(tmp_path / "v")[0], ["text 3"])


@pytest.mark.parametrize("allowed_bytes", range(0, 1300, 100))
def test_a_full_disk_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed_bytes: int
) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, texts(0, 10))
    with monkeypatch.context() as patched:
        patched.setattr(files, "write_bytes", limited(allowed_bytes))
        try:
            append(folder, texts(10, 20))
            full = False
        except DiskFullError:
            full = True
    if allowed_bytes in (0, 1200):  # the limits tried must include both outcomes
        assert full == (allowed_bytes == 0)
    for opened in (folder, open_folder(tmp_path / "v")[0]):
        assert_holds(opened, texts(0, 10) if full else texts(0, 20))
        assert len(opened) == (10 if full else 20)
    assert not list((tmp_path / "v").glob(".tmp*"))
    append(folder, texts(10, 30))  # there is room again
    assert_holds(open_folder(tmp_path / "v")[0], texts(0, 30))


def limited(allowed_bytes: int) -> Callable[[int, memoryview], None]:
    """A writer on a disk with so much room left."""
    left = [allowed_bytes]
    write = files.write_bytes

    def writer(descriptor: int, block: memoryview) -> None:
        if len(block) > left[0]:
            write(descriptor, block[: left[0]])
            left[0] = 0
            raise OSError(28, "No space left on device")
        left[0] -= len(block)
        write(descriptor, block)

    return writer


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (np.ones((2, 8), np.float32), "1 texts came with"),
        (np.ones(8, np.float32), "1 texts came with"),
        (np.full((1, 8), np.nan, np.float32), "not finite"),
        (np.ones((1, 9), np.float32), "dimension 9"),
    ],
    ids=["rows", "axes", "nan", "dimension"],
)
def test_rows_that_cannot_belong_are_refused(
    tmp_path: Path, rows: NDArray[np.float32], match: str
) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, ["a"])
    with pytest.raises(IndexMismatchError, match=match):
        folder.append(FACTS, keys(["b"]), rows)
    assert len(open_folder(tmp_path / "v")[0]) == 1


def test_missing_vectors_are_an_error_not_zeros(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, ["a"])
    with pytest.raises(IndexMismatchError, match="embed what is missing"):
        folder.vectors(keys(["a", "b"]))


def test_folder_names_are_short_and_never_a_path() -> None:
    assert folder_name("0123456789abcdef" * 4) == "0123456789abcdef"
    assert "/" not in folder_name("../../etc")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_everything_is_synced_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, ["a"])
    steps: list[str] = []
    rename = Path.rename

    def recording_sync(descriptor: int) -> None:
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def recording_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", recording_sync)
    monkeypatch.setattr(Path, "rename", recording_rename)
    append(folder, ["b"])
    assert steps == [".tmp-000002.npy", "rename", "v"]


def test_texts_that_encoders_get_alike_have_one_key() -> None:
    assert text_key("gr\u00f6\u00dfer") == text_key("gro\u0308\u00dfer")
    assert text_key("\uff21\uff22") == text_key("AB")
