"""Uploads, passwords, settings and pairs: what goes into a library."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from core.errors import CoreError, InvalidSettingError, UnknownNameError, UsageError
from core.settings import WorkspaceSettings
from demo.handlers import Handlers
from demo.indexing import settings_from
from tests.demo.conftest import last, upload
from tests.demo.fakes import FakeLibraries


def test_uploads_never_change_the_sample(handlers: Any, tmp_path: Any) -> None:
    library, job, remark = handlers.indexing.upload("local", "sample", [upload(tmp_path, "a.txt")])
    assert job is not None
    job.outcome()
    assert library == "mine"
    assert "sample library stays as it is" in remark
    assert "a.txt" in handlers.libraries.screen("local", "mine").documents
    assert "a.txt" not in handlers.libraries.screen("local", "sample").documents


def test_four_visitors_who_upload_the_same_file_at_once_all_keep_it(tmp_path: Any) -> None:
    handlers: Any = Handlers(FakeLibraries(hosted=True).services())
    handout = upload(tmp_path, "handout.txt")  # the same bytes are at the same path
    jobs = {}
    for _ in range(4):
        visitor = handlers.sessions.start("")
        jobs[visitor] = handlers.indexing.upload(visitor, "mine", [handout])[1]
    for visitor, job in jobs.items():
        assert job.outcome().skipped == ()
        assert "handout.txt" in handlers.libraries.screen(visitor, "mine").documents


def test_a_job_deletes_what_it_took_in_and_nothing_else(handlers: Any, tmp_path: Any) -> None:
    path = upload(tmp_path, "a.txt")
    handlers.indexing.upload("local", "mine", [path])[1].outcome()
    assert list(tmp_path.iterdir()) == [path]


def test_a_job_that_is_stopped_before_its_turn_leaves_nothing(handlers: Any, tmp_path: Any) -> None:
    begun, go = threading.Event(), threading.Event()

    def held_up(_: Any) -> None:
        begun.set()
        go.wait(20)

    first = handlers.sessions.jobs.start(("x",), "index", held_up, heavy=True)
    assert begun.wait(20)
    path = upload(tmp_path, "a.txt")
    _, job, _ = handlers.indexing.upload("local", "mine", [path])
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(CoreError, match="busy"):
        handlers.indexing.upload("local", "mine", [path])
    assert len(list(tmp_path.iterdir())) == 2
    job.stop()
    assert job.wait(20)
    assert list(tmp_path.iterdir()) == [path]
    go.set()
    first.outcome()


def test_an_upload_that_was_swept_is_named(handlers: Any, tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=r"gone\.txt is no longer on the server; upload it again"):
        handlers.indexing.upload("local", "mine", [tmp_path / "gone.txt"])
    assert list(tmp_path.iterdir()) == []


def test_documents_are_listed_while_they_are_still_embedded(
    handlers: Any, libraries: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    bench = libraries.open_library("local", "mine")
    begun, go = threading.Event(), threading.Event()
    add_files = bench.add

    def slowly(files: Any, *, monitor: Any) -> Any:
        report = add_files(files, monitor=monitor)
        begun.set()
        go.wait(20)
        return report

    unready = [replace(arm, passages=7, passages_embedded=0) for arm in bench.encoder_status()]
    monkeypatch.setattr(type(bench), "encoder_status", lambda _: tuple(unready))
    monkeypatch.setattr(bench, "add", slowly)
    assert not handlers.indexing.files_read("local", "mine")
    _, job, _ = handlers.indexing.upload("local", "mine", [upload(tmp_path, "tide-tables.txt")])
    assert begun.wait(20)
    assert handlers.indexing.files_read("local", "mine")
    now = handlers.libraries.screen("local", "mine")
    assert "tide-tables.txt" in now.documents
    assert now.notice == ""  # "go on" beside a job that goes on would be two answers
    go.set()
    job.outcome()
    assert "go on" in handlers.libraries.screen("local", "mine").notice


def test_a_bad_file_is_named_and_the_others_are_read(handlers: Any, tmp_path: Any) -> None:
    files = [upload(tmp_path, "empty.txt", b""), upload(tmp_path, "good.txt")]
    handlers.indexing.upload("local", "mine", files)[1].outcome()
    html, running = last(handlers.indexing.watch("local", "mine"))
    assert not running
    assert "empty.txt holds no text." in html
    assert "Read 1 document" in html


def test_an_encrypted_file_waits_for_its_password_and_is_read_then(
    handlers: Any, tmp_path: Any
) -> None:
    path = upload(tmp_path, "locked.txt", b"LOCKED secret tide tables")
    handlers.indexing.upload("local", "mine", [path])[1].outcome()
    html, _ = last(handlers.indexing.watch("local", "mine"))
    assert "locked.txt is encrypted. Type its password" in html
    (token,) = handlers.sessions.held("local", "mine")
    library, job = handlers.indexing.password("local", token, "open sesame")
    job.outcome()
    assert library == "mine"
    assert "locked.txt" in handlers.libraries.screen("local", "mine").documents
    assert handlers.sessions.held("local", "mine") == {}
    assert list(tmp_path.iterdir()) == [path]


def test_a_password_typed_while_the_library_is_busy_loses_no_file(
    handlers: Any, tmp_path: Any
) -> None:
    path = upload(tmp_path, "locked.txt", b"LOCKED secret tide tables")
    handlers.indexing.upload("local", "mine", [path])[1].outcome()
    (token,) = handlers.sessions.held("local", "mine")
    go = threading.Event()
    other = handlers.sessions.jobs.start(("local", "mine", "index"), "index", lambda _: go.wait(20))
    with pytest.raises(CoreError, match="busy"):
        handlers.indexing.password("local", token, "open sesame")
    go.set()
    other.outcome()
    handlers.indexing.password("local", token, "open sesame")[1].outcome()
    assert "locked.txt" in handlers.libraries.screen("local", "mine").documents


def test_skipping_an_encrypted_file_deletes_it(handlers: Any, tmp_path: Any) -> None:
    path = upload(tmp_path, "locked.txt", b"LOCKED")
    handlers.indexing.upload("local", "mine", [path])[1].outcome()
    (token,) = handlers.sessions.held("local", "mine")
    handlers.indexing.forget_file("local", token)
    assert list(tmp_path.iterdir()) == [path]


def test_only_so_many_files_are_taken_at_once(libraries: Any, tmp_path: Any) -> None:
    import dataclasses

    services = libraries.services()
    limits = dataclasses.replace(services.limits, files_per_upload=1)
    handlers = Handlers(dataclasses.replace(services, limits=limits))
    files = [upload(tmp_path, "a.txt"), upload(tmp_path, "b.txt")]
    _, job, remark = handlers.indexing.upload("local", "mine", files)
    assert job is not None
    job.outcome()
    assert "first 1 files" in remark
    documents = handlers.libraries.screen("local", "mine").documents
    assert "a.txt" in documents
    assert "b.txt" not in documents


def test_settings_are_kept_and_bad_ones_refused(handlers: Any) -> None:
    now = handlers.services.open_library("local", "sample").settings
    new = settings_from(now, k=20, unit="passage", chunk_tokens=90, overlap_tokens=0,
                        instruction=" find ", max_tokens=0)  # fmt: skip
    handlers.indexing.change_settings("local", "sample", new).outcome()
    kept = handlers.services.open_library("local", "sample").settings
    assert (kept.k, kept.query_instruction) == (20, "find")
    with pytest.raises(InvalidSettingError):
        settings_from(now, k=500, unit="passage", chunk_tokens=90, overlap_tokens=0,
                      instruction="", max_tokens=0)  # fmt: skip


def test_a_pair_that_is_not_on_offer_is_refused(handlers: Any) -> None:
    assert isinstance(handlers.indexing.with_pair("local", "sample", "twins"), WorkspaceSettings)
    with pytest.raises(UnknownNameError):
        handlers.indexing.with_pair("local", "sample", "nonsense")
