"""Damaged files are reported, set aside and rebuilt from what is intact; a full disk hurts nobody."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.errors import DiskFullError, StoreError, WorkspaceDamagedError
from core.records import Judgment
from core.settings import WorkspaceSettings
from core.store import files
from core.store.vectors import folder_name
from core.store.workspace import Workspace
from tests.store.helpers import FACTS, FINGERPRINT, cut, make_document, rows_for

TEXTS = [f"Document number {number} has some text of its own." for number in range(4)]


def fill(folder: Path) -> list[str]:
    """A workspace with four documents, vectors, a comparison, judgments and settings."""
    doc_ids = []
    with Workspace.open(folder) as store:
        for number, text in enumerate(TEXTS):
            document, source = make_document(text, name=f"{number}.txt")
            store.put_document(document, source=source, record=source * 2)
            passages = cut(document)
            store.put_passages("k", document.doc_id, passages)
            texts = [passage.text for passage in passages]
            store.append(FINGERPRINT, FACTS, texts, rows_for(texts))
            doc_ids.append(document.doc_id)
        store.put_settings(WorkspaceSettings(k=30))
        store.put_judgments([Judgment(f"q{n}", "aa", 1, n, n + 1, 2) for n in range(200)])
        store.save_comparison(b"payload", query="why?", pair_id="p")
    return doc_ids


def assert_documents_and_vectors_are_whole(store: Workspace, doc_ids: list[str]) -> None:
    assert [stored.doc_id for stored in store.documents()] == doc_ids
    for doc_id, text in zip(doc_ids, TEXTS, strict=True):
        assert store.document_source(doc_id) == text.encode()
        assert store.document_record(doc_id) == text.encode() * 2
        texts = [passage.text for passage in cut(make_document(text)[0])]
        assert np.array_equal(store.vectors(FINGERPRINT, texts), rows_for(texts))


def delete(path: Path) -> None:
    path.unlink()


def truncate_to_nothing(path: Path) -> None:
    path.write_bytes(b"")


def overwrite_header(path: Path) -> None:
    path.write_bytes(b"not a database at all" + path.read_bytes()[21:])


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def replace_with_noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(20_000))


HURTS = [delete, truncate_to_nothing, overwrite_header, cut_in_half, replace_with_noise]


@pytest.mark.parametrize("hurt", HURTS, ids=lambda hurt: hurt.__name__)
def test_a_damaged_database_costs_no_document_and_no_vector(
    tmp_path: Path, hurt: Callable[[Path], None]
) -> None:
    doc_ids = fill(tmp_path / "w")
    hurt(tmp_path / "w" / "workspace.sqlite")
    with Workspace.open(tmp_path / "w") as store:
        (record,) = store.damage()
        assert "workspace.sqlite was" in record.message
        assert_documents_and_vectors_are_whole(store, doc_ids)
        if hurt is not delete:
            assert list((tmp_path / "w" / "quarantine").glob("*/workspace.sqlite"))
    with Workspace.open(tmp_path / "w") as store:  # repaired once and for all
        assert len(store.damage()) == 1


def test_an_old_log_is_not_played_into_the_rebuilt_database(tmp_path: Path) -> None:
    doc_ids = fill(tmp_path / "w")
    crashed = tmp_path / "crashed"
    with Workspace.open(tmp_path / "w") as store:
        for number in range(50):
            store.put_fact(f"fact {number}", "x" * 500)
        assert (tmp_path / "w" / "workspace.sqlite-wal").stat().st_size > 0
        shutil.copytree(tmp_path / "w", crashed)  # as a power cut would leave it
    path = crashed / "workspace.sqlite"
    path.write_bytes(path.read_bytes()[:4096] + bytes([7]) * (path.stat().st_size - 4096))
    with Workspace.open(crashed) as store:
        assert store.damage()
        assert_documents_and_vectors_are_whole(store, doc_ids)
    for suffix in ("-wal", "-shm"):
        assert not (crashed / f"workspace.sqlite{suffix}").exists()
    with Workspace.open(crashed) as store:
        assert len(store.damage()) == 1


def test_rows_that_can_still_be_read_are_saved(tmp_path: Path) -> None:
    doc_ids = fill(tmp_path / "w")
    path = tmp_path / "w" / "workspace.sqlite"
    connection = sqlite3.connect(path)
    page_size = connection.execute("PRAGMA page_size").fetchone()[0]
    # the tree of passages: nothing else lives on its pages
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name='passages'")
    page = root.fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * page_size : page * page_size] = bytes([7]) * page_size
    path.write_bytes(content)
    with Workspace.open(tmp_path / "w") as store:
        assert "200 judgments, 1 comparisons, the settings" in store.damage()[0].message
        assert len(store.judgments()) == 200
        assert store.settings().k == 30
        comparison = store.comparisons()[0]
        assert store.comparison(comparison.comparison_id) == b"payload"
        assert_documents_and_vectors_are_whole(store, doc_ids)


@pytest.mark.parametrize("seed", range(25))
def test_random_damage_is_never_read_as_something_else(tmp_path: Path, seed: int) -> None:
    doc_ids = fill(tmp_path / "w")
    path = tmp_path / "w" / "workspace.sqlite"
    generator = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(generator.choice([1, 10, 200])):
        content[generator.randrange(len(content))] = generator.randrange(256)
    path.write_bytes(content)
    with Workspace.open(tmp_path / "w") as store:
        # documents are files of their own and are all there, whatever happened to the tables
        assert {stored.doc_id for stored in store.documents()} >= set(doc_ids)
        for doc_id, text in zip(doc_ids, TEXTS, strict=True):
            assert store.document_source(doc_id) == text.encode()
        allowed = {p.text for text in TEXTS for p in cut(make_document(text)[0])}
        assert {p.text for p in store.passages("k")} <= allowed
        for comparison in store.comparisons():
            with contextlib.suppress(WorkspaceDamagedError):  # reported, not read
                assert store.comparison(comparison.comparison_id) == b"payload"
        store.settings()


def test_damage_met_while_running_is_repaired_at_the_next_start(tmp_path: Path) -> None:
    doc_ids = fill(tmp_path / "w")
    with Workspace.open(tmp_path / "w") as store:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT  # as SQLite sets it
        with (
            pytest.raises(WorkspaceDamagedError, match="Start Bifocal again"),
            store._database_errors(),
        ):
            raise error
    with Workspace.open(tmp_path / "w") as store:
        assert "was damaged and set aside" in store.damage()[0].message
        assert_documents_and_vectors_are_whole(store, doc_ids)
    with Workspace.open(tmp_path / "w") as store:
        assert len(store.damage()) == 1


def test_a_flipped_letter_in_a_passage_is_noticed(tmp_path: Path) -> None:
    doc_ids = fill(tmp_path / "w")
    connection = sqlite3.connect(tmp_path / "w" / "workspace.sqlite")
    connection.execute("UPDATE passages SET text = 'Dokument n' WHERE text = 'Document n'")
    connection.execute("UPDATE passages SET unit = 'nonsense' WHERE doc_id = ?", (doc_ids[0],))
    connection.commit()
    connection.close()
    with Workspace.open(tmp_path / "w") as store:
        assert store.passages("k") == ()
        assert "cut again" in store.damage()[0].message
        assert store.chunked("k") == {}


def test_damaged_documents_are_said_so_and_never_half_read(tmp_path: Path) -> None:
    doc_ids = fill(tmp_path / "w")
    documents = tmp_path / "w" / "documents"
    (documents / doc_ids[0] / "source").write_bytes(b"changed")
    (documents / doc_ids[1] / "record").unlink()
    (documents / doc_ids[2] / "facts.json").write_bytes(b"{")
    with Workspace.open(tmp_path / "w") as store:
        assert store.document_record(doc_ids[0])  # intact beside the damaged source
        with pytest.raises(WorkspaceDamagedError, match="hash is wrong"):
            store.document_source(doc_ids[0])
        with pytest.raises(WorkspaceDamagedError, match="Upload the document again"):
            store.document_record(doc_ids[1])
        with pytest.raises(WorkspaceDamagedError):
            store.document_source(doc_ids[2])


def test_a_lost_document_folder_is_reported(tmp_path: Path) -> None:
    doc_ids = fill(tmp_path / "w")
    shutil.rmtree(tmp_path / "w" / "documents" / doc_ids[0])
    with Workspace.open(tmp_path / "w") as store:
        assert [stored.doc_id for stored in store.documents()] == doc_ids[1:]
        assert "upload it again" in store.damage()[0].message
    shutil.rmtree(tmp_path / "w" / "documents")
    with Workspace.open(tmp_path / "w") as store:
        assert store.documents() == ()
        assert "upload them again" in store.damage()[-1].message


def test_a_damaged_document_without_its_line_is_set_aside(tmp_path: Path) -> None:
    doc_ids = fill(tmp_path / "w")
    (tmp_path / "w" / "documents" / doc_ids[0] / "source").write_bytes(b"changed")
    (tmp_path / "w" / "workspace.sqlite").unlink()
    with Workspace.open(tmp_path / "w") as store:
        assert [stored.doc_id for stored in store.documents()] == doc_ids[1:]
        assert any("set aside" in record.message for record in store.damage())
        assert list((tmp_path / "w" / "quarantine").glob(f"*/{doc_ids[0]}/source"))


def test_damaged_vectors_are_set_aside_and_counted_missing(tmp_path: Path) -> None:
    fill(tmp_path / "w")
    rows = next((tmp_path / "w").glob("vectors/*/000002-*.npy"))
    rows.write_bytes(rows.read_bytes()[:-1])
    texts = [p.text for text in TEXTS for p in cut(make_document(text)[0])]
    with Workspace.open(tmp_path / "w") as store:
        missing = store.missing(FINGERPRINT, texts)
        assert 0 < len(missing) < len(set(texts))
        assert "embedded again" in store.damage()[0].message
        assert list((tmp_path / "w" / "quarantine").glob(f"*/{rows.name}"))


def test_damaged_results_comparisons_and_settings_are_not_believed(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "w") as store:
        store.cache_result("key", b"value")
        comparison_id = store.save_comparison(b"payload", query="why?", pair_id="p")
        store.put_fact("settings", '{"k": "many"}')
    connection = sqlite3.connect(tmp_path / "w" / "workspace.sqlite")
    connection.execute("UPDATE results SET value = X'00'")
    connection.execute("UPDATE comparisons SET payload = X'00'")
    connection.commit()
    connection.close()
    with Workspace.open(tmp_path / "w") as store:
        assert store.cached_result("key") is None
        with pytest.raises(WorkspaceDamagedError, match="Ask its query again"):
            store.comparison(comparison_id)
        assert store.settings() == WorkspaceSettings()
        assert len(store.damage()) == 2


def test_reading_only_refuses_a_damaged_database(tmp_path: Path) -> None:
    fill(tmp_path / "w")
    cut_in_half(tmp_path / "w" / "workspace.sqlite")
    with pytest.raises(WorkspaceDamagedError, match="Open the workspace for writing once"):
        Workspace.open(tmp_path / "w", read_only=True)


# -- a full disk ---------------------------------------------------------------------------


@pytest.mark.parametrize("fails_at", range(6))
def test_a_full_disk_leaves_the_documents_that_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    doc_ids = fill(tmp_path / "w")
    write, calls = files.write_bytes, []

    def full(descriptor: int, block: memoryview) -> None:
        calls.append(len(block))
        if len(calls) > fails_at:
            write(descriptor, block[: len(block) // 2])
            raise OSError(28, "No space left on device")
        write(descriptor, block)

    document, source = make_document("One document too many.")
    with Workspace.open(tmp_path / "w") as store:
        with monkeypatch.context() as patched:
            patched.setattr(files, "write_bytes", full)
            if fails_at < 3:  # source, record, facts
                with pytest.raises(DiskFullError, match="Free some space"):
                    store.put_document(document, source=source, record=b"r")
            else:
                store.put_document(document, source=source, record=b"r")
                store.remove_document(document.doc_id)
        assert_documents_and_vectors_are_whole(store, doc_ids)
        store.put_document(document, source=source, record=b"r")  # there is room again
    with Workspace.open(tmp_path / "w") as store:
        assert len(store.documents()) == 5
        assert store.damage() == ()


def test_a_document_can_be_removed_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doc_ids = fill(tmp_path / "w")

    def full(descriptor: int, block: memoryview) -> None:
        if bytes(block[:6]) == b"\x93NUMPY":  # the keys find room, vectors none
            raise OSError(28, "No space left on device")
        os.write(descriptor, block)

    with Workspace.open(tmp_path / "w") as store:
        gone = [p.text for p in store.passages("k") if p.doc_id == doc_ids[0]]
        with monkeypatch.context() as patched:
            patched.setattr(files, "write_bytes", full)
            store.remove_document(doc_ids[0])
        assert [stored.doc_id for stored in store.documents()] == doc_ids[1:]
        assert store.missing(FINGERPRINT, gone) == []
    with Workspace.open(tmp_path / "w") as store:  # there is room again
        # The other documents have the other passages too.
        assert [gone[i] for i in store.missing(FINGERPRINT, gone)] == ["umber 0 ha"]
        assert list((tmp_path / "w" / "documents").glob(".removed-*")) == []
        assert [stored.doc_id for stored in store.documents()] == doc_ids[1:]
        assert store.damage() == ()


def test_a_full_disk_under_sqlite_leaves_the_tables(tmp_path: Path) -> None:
    fill(tmp_path / "w")
    with Workspace.open(tmp_path / "w") as store:
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DiskFullError, match="Free some space"):
            store.cache_result("big", bytes(1_000_000))
        assert store.cached_result("big") is None
        assert len(store.judgments()) == 200
        store._connection.execute("PRAGMA max_page_count = 1000000")
        store.cache_result("big", bytes(1_000_000))
        assert store.cached_result("big") == bytes(1_000_000)


def test_a_full_disk_at_the_start_leaves_the_lock_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, block: memoryview) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_bytes", full)
        with pytest.raises(DiskFullError) as caught:
            Workspace.open(tmp_path / "w")
    Workspace.open(tmp_path / "w").close()
    # The failed attempt is still referred to: no collector freed its lock.
    assert caught.tb is not None


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="could not be written"):
        Workspace.open(tmp_path / "file" / "w")


# -- what cannot be read just now --------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_what_cannot_be_read_just_now_is_an_error_that_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """65 visitors at a limit of 1,024 files once set 10 of 10 healthy vector files aside."""
    doc_ids = fill(tmp_path / "w")
    before = {path: path.stat().st_size for path in (tmp_path / "w").rglob("*.npy")}

    def refused(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    texts = [passage.text for text in TEXTS for passage in cut(make_document(text)[0])]
    with Workspace.open(tmp_path / "w") as store, monkeypatch.context() as patched:
        patched.setattr(Path, "open", refused)
        patched.setattr(Path, "read_bytes", refused)
        for read in (
            lambda: store.vectors(FINGERPRINT, texts),
            lambda: store.document_source(doc_ids[0]),
            lambda: store.document_record(doc_ids[0]),
        ):
            with pytest.raises(StoreError, match="Nothing was changed"):
                read()
    with Workspace.open(tmp_path / "w") as store:
        assert store.damage() == ()
        assert_documents_and_vectors_are_whole(store, doc_ids)
    assert {path: path.stat().st_size for path in (tmp_path / "w").rglob("*.npy")} == before
    assert not (tmp_path / "w" / "quarantine").exists()


def test_documents_that_cannot_be_read_at_the_start_are_not_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doc_ids = fill(tmp_path / "w")
    (tmp_path / "w" / "workspace.sqlite").unlink()  # they are found again by their folders

    def refused(_path: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refused)
        with pytest.raises(StoreError, match="Nothing was changed"):
            Workspace.open(tmp_path / "w")
    with Workspace.open(tmp_path / "w") as store:
        assert_documents_and_vectors_are_whole(store, doc_ids)


# -- vectors of version 0.1 --------------------------------------------------------------------

OLD = Path(__file__).resolve().parents[1] / "golden" / "workspace-0.1.zip"


def old_vectors(folder: Path) -> dict[str, str]:
    """Unpack the workspace that version 0.1 wrote; returns a fingerprint and folder per encoder."""
    with zipfile.ZipFile(OLD) as stored:
        stored.extractall(folder)
    return {
        str(json.loads(manifest.read_bytes())["fingerprint"]): manifest.parents[1].name
        for manifest in folder.glob("vectors/*/gen-*/manifest.json")
    }


def test_vectors_of_version_0_1_are_taken_over_bit_for_bit(tmp_path: Path) -> None:
    for fingerprint, name in old_vectors(tmp_path / "w").items():
        folder = tmp_path / "w" / "vectors" / name
        wanted = np.concatenate([np.load(p) for p in sorted(folder.glob("gen-*/embeddings.npy"))])
        keys = np.concatenate([np.load(p) for p in sorted(folder.glob("gen-*/keys.npy"))])
        for read_only in (True, False, False):  # looking changes nothing; then it is written anew
            with Workspace.open(tmp_path / "w", read_only=read_only) as store:
                vectors = store._vector_folder(folder_name(fingerprint))
                assert np.array_equal(vectors.vectors([bytes(key) for key in keys]), wanted)
                assert store.damage() == ()
            assert bool(list(folder.glob("gen-*"))) == read_only
        assert not (folder / "CURRENT").exists()


def test_a_damaged_segment_of_version_0_1_is_set_aside(tmp_path: Path) -> None:
    fingerprint, name = next(iter(old_vectors(tmp_path / "w").items()))
    rows = next((tmp_path / "w" / "vectors" / name).glob("gen-*/embeddings.npy"))
    rows.write_bytes(rows.read_bytes()[:-1])
    with Workspace.open(tmp_path / "w") as store:
        count = store.vector_count(fingerprint)
        assert "embedded again" in store.damage()[0].message
    assert list((tmp_path / "w" / "quarantine").glob("*/gen-*/embeddings.npy"))
    with Workspace.open(tmp_path / "w") as store:
        assert store.vector_count(fingerprint) == count
        assert len(store.damage()) == 1


@pytest.mark.parametrize("content", [b"", b"gen-9", b"../../etc/passwd 00", b"\xff\xfe"])
def test_a_damaged_current_of_version_0_1_finds_the_newest_generation(
    tmp_path: Path, content: bytes
) -> None:
    fingerprint, name = next(iter(old_vectors(tmp_path / "w").items()))
    (tmp_path / "w" / "vectors" / name / "CURRENT").write_bytes(content)
    with Workspace.open(tmp_path / "w") as store:
        assert store.vector_count(fingerprint) == 8
