"""Vector generations: durable, cheap to append to, and never read as empty when damaged."""

from __future__ import annotations

import json
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
from core.store import files
from core.store.vectors import MERGE_FACTOR, VectorFolder, folder_name, text_key
from tests.store.helpers import FACTS, FINGERPRINT, rows_for


def open_folder(path: Path, *, read_only: bool = False) -> tuple[VectorFolder, list[str]]:
    damage: list[str] = []
    folder = VectorFolder(
        path,
        FINGERPRINT,
        on_damage=lambda where, sentence: damage.append(f"{where.name}: {sentence}"),
        quarantine=shutil.rmtree,
        read_only=read_only,
    )
    return folder, damage


def texts(first: int, last: int) -> list[str]:
    return [f"text {number}" for number in range(first, last)]


def keys(names: list[str]) -> list[bytes]:
    return [text_key(name) for name in names]


def append(folder: VectorFolder, names: list[str]) -> int:
    return folder.append(FACTS, keys(names), rows_for(names))


def assert_holds(folder: VectorFolder, names: list[str]) -> None:
    assert folder.missing(keys(names)) == []
    assert np.array_equal(folder.vectors(keys(names)), rows_for(names))


def test_what_was_appended_comes_back_in_the_order_asked(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    assert append(folder, ["a", "b", "c"]) == 3
    assert folder.missing(keys(["c", "x", "a", "x"])) == [1]  # a repeat is listed once
    assert np.array_equal(folder.vectors(keys(["c", "a", "c"])), rows_for(["c", "a", "c"]))
    again, damage = open_folder(tmp_path / "v")
    assert_holds(again, ["b", "a", "c"])
    assert (again.dimension, again.facts, damage) == (8, FACTS, [])


def test_a_text_is_kept_once(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    assert append(folder, ["a", "a", "b"]) == 2
    assert append(folder, ["b", "a"]) == 0
    assert len(folder) == 2
    assert len(list((tmp_path / "v").glob("gen-*"))) == 1  # nothing new, nothing written


def test_queries_and_passages_are_kept_apart() -> None:
    assert text_key("hello") != text_key("hello", kind=TextKind.QUERY)


def test_many_appends_stay_few_segments_and_write_each_row_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = files.write_bytes

    def counting(descriptor: int, block: memoryview) -> None:
        written.append(len(block))
        write(descriptor, block)

    monkeypatch.setattr(files, "write_bytes", counting)
    folder, _ = open_folder(tmp_path / "v")
    costs = []
    for number in range(3 * MERGE_FACTOR**2):
        written.clear()
        append(folder, texts(10 * number, 10 * number + 10))
        costs.append(sum(written))
    names = texts(0, 30 * MERGE_FACTOR**2)
    assert_holds(folder, names)
    assert len(list((tmp_path / "v").glob("gen-*/embeddings.npy"))) < 3 * MERGE_FACTOR
    # the last third costs about what the first third did: cost does not grow with the corpus
    third = len(costs) // 3
    assert sum(costs[-third:]) < 2 * sum(costs[:third])
    again, damage = open_folder(tmp_path / "v")
    assert_holds(again, names[::-1])
    assert damage == []


def test_the_manifest_names_everything_that_counts(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, ["a"])
    append(folder, ["b", "c"])
    name, digest = (tmp_path / "v" / "CURRENT").read_text().split()
    manifest_path = tmp_path / "v" / name / "manifest.json"
    manifest = json.loads(manifest_path.read_text())
    assert name == "gen-000002"
    assert files.file_sha256(manifest_path) == digest
    assert manifest["shape"] == [3, 8]
    assert manifest["dtype"] == "float32"
    assert manifest["fingerprint"] == FINGERPRINT
    for segment in manifest["segments"]:
        path = tmp_path / "v" / segment["generation"] / "embeddings.npy"
        assert files.file_sha256(path) == segment["embeddings_sha256"]


def test_the_generation_before_stays_until_the_next_success(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    for number in range(MERGE_FACTOR):  # the last append joins all segments into one
        append(folder, texts(number, number + 1))
    generations = sorted(path.name for path in (tmp_path / "v").glob("gen-*"))
    assert generations == [f"gen-{number:06d}" for number in range(1, MERGE_FACTOR + 1)]
    open_folder(tmp_path / "v")  # opening keeps it as well
    assert sorted(path.name for path in (tmp_path / "v").glob("gen-*")) == generations
    append(folder, ["next"])
    names = {path.name for path in (tmp_path / "v").glob("gen-*")}
    assert names == {f"gen-{MERGE_FACTOR:06d}", f"gen-{MERGE_FACTOR + 1:06d}"}


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


HURTS = [flip, cut_short, lengthen, empty, pickled, Path.unlink]


@pytest.mark.parametrize("name", ["embeddings.npy", "keys.npy"])
@pytest.mark.parametrize("hurt", HURTS, ids=lambda hurt: hurt.__name__)
def test_a_damaged_segment_is_reported_and_the_others_stay(
    tmp_path: Path, name: str, hurt: Callable[[Path], None]
) -> None:
    folder, _ = open_folder(tmp_path / "v")
    for first in (0, 10, 20):
        append(folder, texts(first, first + 10))
    hurt(tmp_path / "v" / "gen-000002" / name)
    again, damage = open_folder(tmp_path / "v")
    assert len(damage) == 1
    assert "10 vectors are set aside and will be embedded again" in damage[0]
    assert_holds(again, texts(0, 10) + texts(20, 30))
    assert again.missing(keys(texts(0, 30))) == list(range(10, 20))
    append(again, texts(10, 20))  # embedded again
    last, damage = open_folder(tmp_path / "v")
    assert_holds(last, texts(0, 30))
    assert damage == []


@pytest.mark.parametrize("hurt", [flip, cut_short, empty, Path.unlink], ids=lambda h: h.__name__)
def test_a_damaged_manifest_falls_back_to_the_generation_before(
    tmp_path: Path, hurt: Callable[[Path], None]
) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, texts(0, 10))
    append(folder, texts(10, 20))
    hurt(tmp_path / "v" / "gen-000002" / "manifest.json")
    again, damage = open_folder(tmp_path / "v")
    assert damage
    assert_holds(again, texts(0, 10))
    assert again.missing(keys(texts(10, 20))) == list(range(10))
    last, damage = open_folder(tmp_path / "v")
    assert_holds(last, texts(0, 10))
    assert damage == []


@pytest.mark.parametrize("content", [b"", b"gen-9", b"../../etc/passwd 00", b"\xff\xfe"])
def test_a_damaged_current_finds_the_newest_generation(tmp_path: Path, content: bytes) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, texts(0, 10))
    append(folder, texts(10, 20))
    (tmp_path / "v" / "CURRENT").write_bytes(content)
    again, damage = open_folder(tmp_path / "v")
    assert "CURRENT is damaged" in damage[0]
    assert_holds(again, texts(0, 20))


def test_everything_damaged_is_reported_and_starts_anew(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, ["a"])
    flip(tmp_path / "v" / "gen-000001" / "manifest.json")
    again, damage = open_folder(tmp_path / "v")
    assert damage
    assert len(again) == 0
    append(again, ["a"])
    last, damage = open_folder(tmp_path / "v")
    assert_holds(last, ["a"])
    assert damage == []


def test_another_encoders_manifest_is_not_believed(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, ["a"])
    damage: list[str] = []
    other = VectorFolder(
        tmp_path / "v",
        "f" * 64,
        on_damage=lambda _, sentence: damage.append(sentence),
        quarantine=None,
        read_only=True,
    )
    assert "another encoder" in damage[0]
    assert len(other) == 0


def test_reading_only_reports_and_changes_nothing(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, texts(0, 10))
    append(folder, texts(10, 20))
    flip(tmp_path / "v" / "gen-000001" / "embeddings.npy")
    before = sorted(path for path in tmp_path.rglob("*"))
    again, damage = open_folder(tmp_path / "v", read_only=True)
    assert damage
    assert_holds(again, texts(10, 20))
    with pytest.raises(StoreError, match="reading only"):
        append(again, ["x"])
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_left_overs_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, ["a"])
    (tmp_path / "v" / ".tmp-gen-000002").mkdir()
    shutil.copytree(tmp_path / "v" / "gen-000001", tmp_path / "v" / "gen-000007")  # not swapped in
    again, damage = open_folder(tmp_path / "v")
    assert_holds(again, ["a"])
    assert damage == []
    assert {path.name for path in (tmp_path / "v").iterdir()} == {"CURRENT", "gen-000001"}


def test_discarded_vectors_are_gone_from_the_disk(tmp_path: Path) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, texts(0, 10))
    append(folder, texts(10, 20))
    assert folder.discard(keys(["text 3", "text 4", "unknown"])) == 2
    secret = rows_for(["text 3"])[0].tobytes()
    assert not any(secret in path.read_bytes() for path in tmp_path.rglob("*.npy"))
    kept = [name for name in texts(0, 20) if name not in ("text 3", "text 4")]
    assert_holds(folder, kept)
    again, damage = open_folder(tmp_path / "v")
    assert_holds(again, kept)
    assert damage == []
    assert folder.discard(keys(texts(0, 20))) == 18
    assert len(open_folder(tmp_path / "v")[0]) == 0


@pytest.mark.parametrize("allowed_bytes", range(0, 2600, 100))
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
    if allowed_bytes in (0, 2500):  # the limits tried must include both outcomes
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
def test_everything_is_synced_before_the_swap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = open_folder(tmp_path / "v")
    append(folder, ["a"])
    synced: list[str] = []
    replace = Path.replace

    def recording_sync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def recording_replace(path: Path, target: Path) -> Path:
        synced.append(f"swap {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", recording_sync)
    monkeypatch.setattr(Path, "replace", recording_replace)
    append(folder, ["b"])
    generation = ".tmp-gen-000002"
    assert synced == [
        *("embeddings.npy", "keys.npy", "manifest.json", generation, "v"),
        *(".tmp-CURRENT", "swap CURRENT", "v"),
    ]
