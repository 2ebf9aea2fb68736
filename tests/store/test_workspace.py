"""What a workspace keeps, for whom, and what it refuses."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.encoders.spec import TextKind
from core.errors import (
    StoreError,
    UnknownNameError,
    WorkspaceLockedError,
    WorkspaceNotFoundError,
    WorkspaceVersionError,
)
from core.records import Judgment, Unit
from core.settings import ChunkingSettings, WorkspaceSettings
from core.store import workspace
from core.store.workspace import Workspace
from tests.store.helpers import FACTS, FINGERPRINT, cut, make_document, rows_for


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "w") as opened:
        yield opened


def put(store: Workspace, text: str, *, name: str = "a.txt", key: str = "k") -> str:
    document, source = make_document(text, name=name)
    store.put_document(document, source=source, record=b"record of " + source)
    store.put_passages(key, document.doc_id, cut(document))
    return document.doc_id


def test_a_document_comes_back_as_it_was_put(store: Workspace) -> None:
    document, source = make_document("Some text of two pages.")
    stored = store.put_document(document, source=source, record=b"a record")
    assert store.documents() == (stored,)
    assert stored.name == "a.txt"
    assert (stored.pages, stored.pages_with_text, stored.chars) == (1, 1, 23)
    assert stored.warnings == ("Mind this.",)
    assert store.document_source(document.doc_id) == source
    assert store.document_record(document.doc_id) == b"a record"


def test_documents_are_ordered_by_name(store: Workspace) -> None:
    for name in ("b.txt", "c.txt", "a.txt"):
        put(store, f"text of {name}", name=name)
    assert [stored.name for stored in store.documents()] == ["a.txt", "b.txt", "c.txt"]


def test_everything_survives_closing(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "w") as store:
        doc_id = put(store, "twenty characters ok")
        store.append(FINGERPRINT, FACTS, ["x"], rows_for(["x"]))
        comparison_id = store.save_comparison(b"{}", query="why?", pair_id="p")
        store.cache_result("key", b"value")
        expected = store.documents()
    with Workspace.open(tmp_path / "w", create=False) as store:
        assert store.documents() == expected
        assert [p.text for p in store.passages("k")] == ["twenty cha", "racters ok"]
        assert store.chunked("k") == {doc_id: (2, 6)}
        assert np.array_equal(store.vectors(FINGERPRINT, ["x"]), rows_for(["x"]))
        assert store.comparison(comparison_id) == b"{}"
        assert store.cached_result("key") == b"value"
        assert store.damage() == ()


def test_passages_of_several_documents_are_ordered_by_id(store: Workspace) -> None:
    put(store, "first document with text")
    put(store, "second document with text")
    passages = store.passages("k")
    assert [p.passage_id for p in passages] == sorted(p.passage_id for p in passages)
    assert store.passages("another chunking") == ()
    assert all(p.unit is Unit.PASSAGE for p in passages)


def test_cutting_anew_replaces_one_documents_passages_only(store: Workspace) -> None:
    first, second = put(store, "first document"), put(store, "second document")
    document, _ = make_document("first document")
    store.put_passages("k", first, cut(document, size=100))
    counts = {doc_id: passages for doc_id, (passages, _) in store.chunked("k").items()}
    assert counts == {first: 1, second: 2}


def test_removing_a_document_takes_its_vectors_but_no_shared_ones(store: Workspace) -> None:
    gone, stays = put(store, "shared txtmine alone"), put(store, "shared txtother text")
    texts = ["shared txt", "mine alone", "other text"]
    store.append(FINGERPRINT, FACTS, texts, rows_for(texts))
    store.remove_document(gone)
    assert [stored.doc_id for stored in store.documents()] == [stays]
    assert {p.doc_id for p in store.passages("k")} == {stays}
    assert store.missing(FINGERPRINT, texts) == [1]
    assert not list((store.folder / "documents").glob(f"*{gone}*"))
    with pytest.raises(UnknownNameError, match="no document"):
        store.remove_document(gone)


@pytest.mark.parametrize("doc_id", ["../../../etc/passwd", "d" + "0" * 16, "", "d\0", "D" * 17])
def test_only_known_documents_are_read(store: Workspace, doc_id: str) -> None:
    with pytest.raises(UnknownNameError):
        store.document_source(doc_id)


def test_a_document_id_that_is_a_path_is_refused(store: Workspace) -> None:
    document, source = make_document("text")
    with pytest.raises(UnknownNameError):
        store.put_document(replace(document, doc_id="../evil"), source=source, record=b"")


def test_query_vectors_are_kept_apart(store: Workspace) -> None:
    store.append(FINGERPRINT, FACTS, ["x"], rows_for(["x"]))
    store.append(FINGERPRINT, FACTS, ["x"], -rows_for(["x"]), kind=TextKind.QUERY)
    assert store.vectors(FINGERPRINT, ["x"])[0, 0] > 0
    assert store.vectors(FINGERPRINT, ["x"], kind=TextKind.QUERY)[0, 0] < 0
    assert store.vector_count(FINGERPRINT) == 2


def test_settings_come_back(store: Workspace) -> None:
    assert store.settings() == WorkspaceSettings()
    settings = WorkspaceSettings(
        pair_id="other",
        k=25,
        chunking=ChunkingSettings(unit=Unit.DOCUMENT, chunk_tokens=64, overlap_tokens=0),
        query_instruction="Find the proof",
        max_tokens=512,
    )
    store.put_settings(settings)
    assert store.settings() == settings


def test_comparisons_are_listed_newest_first_and_found_by_id(store: Workspace) -> None:
    first = store.save_comparison(b"1", query="one", pair_id="p")
    second = store.save_comparison(b"2", query="two \ud800", pair_id="p")
    assert [c.comparison_id for c in store.comparisons()] == [second, first]
    assert store.comparison(first) == b"1"
    assert len(first) == 16  # 96 random bits, URL-safe
    with pytest.raises(UnknownNameError):
        store.comparison("' OR 1=1 --")


def test_judgments_are_kept_once_per_query_and_characters(store: Workspace) -> None:
    judgment = Judgment("why?", "aa", 1, 0, 10, 3)
    store.put_judgments([judgment, Judgment("how?", "aa", 1, 0, 10, 1)])
    store.put_judgments([replace(judgment, grade=2)])
    assert store.judgments("why?") == (replace(judgment, grade=2),)
    assert [j.query_text for j in store.judgments()] == ["how?", "why?"]


def test_old_results_make_room(store: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "MAX_CACHED_RESULT_BYTES", 100)
    for number in range(5):
        store.cache_result(f"key {number}", bytes(40))
    kept = [n for n in range(5) if store.cached_result(f"key {n}") is not None]
    assert kept == [3, 4]
    assert store.cached_result("nobody") is None


# -- who may open it -----------------------------------------------------------------------


def test_nothing_there_is_said_so(tmp_path: Path) -> None:
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(WorkspaceNotFoundError, match="no Bifocal workspace"):
            Workspace.open(tmp_path / "w", **options)
    assert not (tmp_path / "w").exists()


def test_a_second_opening_is_refused_and_names_the_first(store: Workspace) -> None:
    with pytest.raises(WorkspaceLockedError, match=rf"pid {os.getpid()}\).*Close that Bifocal"):
        Workspace.open(store.folder)
    store.close()
    Workspace.open(store.folder).close()


def test_a_second_process_is_refused(store: Workspace) -> None:
    program = (
        "import sys; from pathlib import Path; from core.store.workspace import Workspace\n"
        "try: Workspace.open(Path(sys.argv[1]))\n"
        "except Exception as exc: print(type(exc).__name__, exc)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(store.folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert done.stdout.startswith("WorkspaceLockedError")
    assert f"pid {os.getpid()}" in done.stdout


def test_a_newer_workspace_is_left_alone(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "w") as store:
        put(store, "text")
    connection = sqlite3.connect(tmp_path / "w" / "workspace.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (tmp_path / "w" / "workspace.sqlite").read_bytes()
    for read_only in (False, True):
        with pytest.raises(WorkspaceVersionError, match=r"newer Bifocal \(workspace version 99"):
            Workspace.open(tmp_path / "w", read_only=read_only)
    assert (tmp_path / "w" / "workspace.sqlite").read_bytes() == before
    with pytest.raises(WorkspaceVersionError):  # the lock was given back
        Workspace.open(tmp_path / "w")


def test_reading_only_needs_no_lock_and_changes_nothing(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "w") as store:
        doc_id = put(store, "twenty characters ok")
        store.append(FINGERPRINT, FACTS, ["x"], rows_for(["x"]))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with (
        Workspace.open(tmp_path / "w", read_only=True) as one,
        Workspace.open(tmp_path / "w", read_only=True) as two,
    ):
        assert one.document_record(doc_id) == two.document_record(doc_id)
        assert len(one.passages("k")) == 2
        assert np.array_equal(two.vectors(FINGERPRINT, ["x"]), rows_for(["x"]))
        for write in (
            lambda: one.put_settings(WorkspaceSettings()),
            lambda: one.remove_document(doc_id),
            lambda: one.append(FINGERPRINT, FACTS, ["y"], rows_for(["y"])),
        ):
            with pytest.raises(StoreError, match="reading only"):
                write()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_closed_workspace_says_so(tmp_path: Path) -> None:
    store = Workspace.open(tmp_path / "w")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.documents()


def test_others_on_the_machine_may_not_look_in(store: Workspace) -> None:
    put(store, "secret")
    assert (store.folder.stat().st_mode & 0o077) == 0
    sources = list(store.folder.glob("documents/*/source"))
    assert all((path.stat().st_mode & 0o077) == 0 for path in sources)


def test_many_threads_at_once(store: Workspace) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                doc_id = put(store, f"thread {number} step {step}")
                text = f"vector {number} {step}"
                store.append(FINGERPRINT, FACTS, [text], rows_for([text]))
                assert np.array_equal(store.vectors(FINGERPRINT, [text]), rows_for([text]))
                assert store.document_record(doc_id)
                store.passages("k")
        except BaseException as exc:  # noqa: BLE001 - shown below
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(store.documents()) == 30
    assert store.vector_count(FINGERPRINT) == 30
