"""Uploads, passwords, settings and pairs: what goes into a library."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from core.errors import CoreError, InvalidSettingError, UnknownNameError, UsageError
from core.settings import WorkspaceSettings
from demo.indexing import settings_from
from demo.services import PageLimits
from tests import tesseract
from tests.demo.conftest import last, upload
from tests.pdfs import PASSWORD, encrypted_pdf, partly_scanned_pdf, scanned_pdf


def test_uploads_never_change_the_sample(handlers: Any, tmp_path: Any) -> None:
    library, job, remark = handlers.indexing.upload("local", "sample", [upload(tmp_path, "a.txt")])
    assert job is not None
    job.outcome()
    assert library == "my-documents"
    assert "sample library stays as it is" in remark
    assert "a.txt" in handlers.libraries.screen("local", "my-documents").documents
    assert "a.txt" not in handlers.libraries.screen("local", "sample").documents


def test_four_visitors_who_upload_the_same_file_at_once_all_keep_it(
    hosted: Any, tmp_path: Any
) -> None:
    handlers = hosted.handlers()
    handout = upload(tmp_path, "handout.txt")  # the same bytes are at the same path
    jobs = {}
    for _ in range(4):
        visitor = handlers.sessions.start("")
        jobs[visitor] = handlers.indexing.upload(visitor, "my-documents", [handout])[1]
    for visitor, job in jobs.items():
        assert job.outcome().skipped == ()
        assert "handout.txt" in handlers.libraries.screen(visitor, "my-documents").documents


def test_a_job_deletes_what_it_took_in_and_nothing_else(handlers: Any, tmp_path: Any) -> None:
    path = upload(tmp_path, "a.txt")
    handlers.indexing.upload("local", "my-documents", [path])[1].outcome()
    assert list(tmp_path.iterdir()) == [path]


def test_a_job_that_is_stopped_before_its_turn_leaves_nothing(handlers: Any, tmp_path: Any) -> None:
    begun, go = threading.Event(), threading.Event()

    def held_up(*_: Any, **__: Any) -> None:
        begun.set()
        go.wait(20)

    first = handlers.sessions.jobs.start(("local", "sample", "index"), "index", held_up, heavy=True)
    assert begun.wait(20)
    path = upload(tmp_path, "a.txt")
    _, job, _ = handlers.indexing.upload("local", "my-documents", [path])
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(CoreError, match="busy"):
        handlers.indexing.index_files("local", "my-documents", [path], None)
    assert len(list(tmp_path.iterdir())) == 2
    job.stop()
    assert job.wait(20)
    assert list(tmp_path.iterdir()) == [path]
    go.set()
    first.outcome()


def test_an_upload_that_was_swept_is_named(handlers: Any, tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=r"gone\.txt is no longer on the server; upload it again"):
        handlers.indexing.upload("local", "my-documents", [tmp_path / "gone.txt"])
    assert list(tmp_path.iterdir()) == []


def test_documents_are_listed_while_they_are_still_embedded(
    handlers: Any, world: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    bench = world.library()
    begun, go = threading.Event(), threading.Event()
    add_files = bench.add

    def slowly(files: Any, *, monitor: Any) -> Any:
        report = add_files(files, monitor=monitor)
        begun.set()
        go.wait(20)
        return report

    unready = [
        replace(encoder, passages=7, passages_embedded=0) for encoder in bench.encoder_status()
    ]
    monkeypatch.setattr(type(bench), "encoder_status", lambda _: tuple(unready))
    monkeypatch.setattr(bench, "add", slowly)
    assert not handlers.indexing.files_read("local", "my-documents")
    _, job, _ = handlers.indexing.upload(
        "local", "my-documents", [upload(tmp_path, "tide-tables.txt")]
    )
    assert begun.wait(20)
    assert handlers.indexing.files_read("local", "my-documents")
    now = handlers.libraries.screen("local", "my-documents")
    assert "tide-tables.txt" in now.documents
    assert now.notice == ""  # "go on" beside a job that goes on would be two answers
    go.set()
    job.outcome()
    assert "go on" in handlers.libraries.screen("local", "my-documents").notice


def test_a_bad_file_is_named_and_the_others_are_read(handlers: Any, tmp_path: Any) -> None:
    files = [upload(tmp_path, "empty.txt", b""), upload(tmp_path, "good.txt")]
    handlers.indexing.upload("local", "my-documents", files)[1].outcome()
    html, running = last(handlers.indexing.watch("local", "my-documents"))
    assert not running
    assert "empty.txt&quot; is empty" in html
    assert "Read 1 document" in html


def test_an_encrypted_file_waits_for_its_password_and_is_read_then(
    handlers: Any, tmp_path: Any
) -> None:
    path = upload(tmp_path, "locked.pdf", encrypted_pdf())
    handlers.indexing.upload("local", "my-documents", [path])[1].outcome()
    html, _ = last(handlers.indexing.watch("local", "my-documents"))
    assert "locked.pdf" in html
    assert "Type its password" in html
    (token,) = handlers.sessions.held("local", "my-documents")
    handlers.indexing.password("local", token, "guess")[1].outcome()
    html, _ = last(handlers.indexing.watch("local", "my-documents"))
    assert "That password does not open locked.pdf" in html
    (token,) = handlers.sessions.held("local", "my-documents")
    library, job = handlers.indexing.password("local", token, PASSWORD)
    job.outcome()
    assert library == "my-documents"
    assert "locked.pdf" in handlers.libraries.screen("local", "my-documents").documents
    assert handlers.sessions.held("local", "my-documents") == {}
    assert list(tmp_path.iterdir()) == [path]


def test_a_scanned_file_waits_for_its_language_and_is_read_then(
    handlers: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tesseract.install(tmp_path / "bin", monkeypatch, [("Water", "fell", "for", "hours.")])
    (program / "fails").touch()
    path = upload(tmp_path, "scan.pdf", scanned_pdf())
    handlers.indexing.upload("local", "my-documents", [path])[1].outcome()
    html, _ = last(handlers.indexing.watch("local", "my-documents"))
    assert "scan.pdf has no readable text of its own. OCR (tesseract) can read" in html
    assert "ocrmypdf" not in html
    (token,) = handlers.sessions.held("local", "my-documents")
    with pytest.raises(CoreError, match="it has deu, eng"):
        handlers.indexing.read_scanned("local", "my-documents", token, "fra")
    handlers.indexing.read_scanned("local", "my-documents", token, "eng")[1].outcome()
    html, _ = last(handlers.indexing.watch("local", "my-documents"))
    assert "OCR failed (tesseract: Error opening data file)" in html
    (program / "fails").unlink()
    (token,) = handlers.sessions.held("local", "my-documents")
    handlers.indexing.read_scanned("local", "my-documents", token, "eng")[1].outcome()
    shown = handlers.libraries.screen("local", "my-documents").documents
    assert "Page 1 was read by OCR (tesseract, eng): letters may be wrong." in shown
    assert 'data-ask="ocr"' not in shown
    assert handlers.sessions.held("local", "my-documents") == {}
    assert sorted(tmp_path.iterdir()) == [program, path]


def test_scanned_pages_of_a_document_are_read_where_it_is(
    handlers: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = upload(tmp_path, "half.pdf", partly_scanned_pdf(["Two barges waited below.", ""]))
    tesseract.install(tmp_path / "bin", monkeypatch, [("Water", "fell", "for", "hours.")])
    handlers.indexing.upload("local", "my-documents", [path])[1].outcome()
    with handlers.sessions.library("local", "my-documents") as bench:
        (line,) = bench.documents()
    shown = handlers.libraries.screen("local", "my-documents").documents
    assert f'data-ask="ocr" data-token="{line.doc_id}"' in shown
    handlers.indexing.read_scanned("local", "my-documents", line.doc_id, "deu")[1].outcome()
    with handlers.sessions.library("local", "my-documents") as bench:
        (again,) = bench.documents()
        assert "Water fell for hours." in bench.document(again.doc_id).text
    assert (again.doc_id, again.pages_with_text) == (line.doc_id, 2)
    _, job = handlers.indexing.read_scanned("local", "my-documents", "d" + "0" * 16, "deu")
    with pytest.raises(CoreError):
        job.outcome()
    with pytest.raises(CoreError, match="sample library stays"):
        handlers.indexing.read_scanned("local", "sample", line.doc_id, "deu")


def test_without_tesseract_a_scanned_file_says_what_to_install(
    handlers: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = upload(tmp_path, "scan.pdf", scanned_pdf())
    handlers.indexing.upload("local", "my-documents", [path])[1].outcome()
    html, _ = last(handlers.indexing.watch("local", "my-documents"))
    assert "looks scanned. Run OCR first" in html
    assert "Install tesseract with the languages you need" in html
    assert handlers.sessions.held("local", "my-documents") == {}


def test_a_password_typed_while_the_library_is_busy_loses_no_file(
    handlers: Any, tmp_path: Any
) -> None:
    path = upload(tmp_path, "locked.pdf", encrypted_pdf())
    handlers.indexing.upload("local", "my-documents", [path])[1].outcome()
    (token,) = handlers.sessions.held("local", "my-documents")
    go = threading.Event()
    other = handlers.sessions.jobs.start(
        ("local", "my-documents", "index"), "index", lambda *_, **__: go.wait(20)
    )
    with pytest.raises(CoreError, match="busy"):
        handlers.indexing.password("local", token, PASSWORD)
    go.set()
    other.outcome()
    handlers.indexing.password("local", token, PASSWORD)[1].outcome()
    assert "locked.pdf" in handlers.libraries.screen("local", "my-documents").documents


def test_skipping_an_encrypted_file_deletes_it(handlers: Any, tmp_path: Any) -> None:
    path = upload(tmp_path, "locked.pdf", encrypted_pdf())
    handlers.indexing.upload("local", "my-documents", [path])[1].outcome()
    (token,) = handlers.sessions.held("local", "my-documents")
    handlers.indexing.forget_file("local", token)
    assert list(tmp_path.iterdir()) == [path]


def test_only_so_many_files_are_taken_at_once(world: Any, tmp_path: Any) -> None:
    handlers = world.handlers(limits=PageLimits(files_per_upload=1))
    files = [upload(tmp_path, "a.txt"), upload(tmp_path, "b.txt")]
    _, job, remark = handlers.indexing.upload("local", "my-documents", files)
    assert job is not None
    job.outcome()
    assert "first 1 files" in remark
    documents = handlers.libraries.screen("local", "my-documents").documents
    assert "a.txt" in documents
    assert "b.txt" not in documents


def test_settings_are_kept_and_bad_ones_refused(handlers: Any, world: Any) -> None:
    now = world.library("sample").settings
    new = settings_from(now, k=20, unit="passage", chunk_tokens=90, overlap_tokens=0,
                        instruction=" find ", max_tokens=0)  # fmt: skip
    handlers.indexing.change_settings("local", "sample", new).outcome()
    kept = world.library("sample").settings
    assert (kept.k, kept.query_instruction) == (20, "find")
    with pytest.raises(InvalidSettingError):
        settings_from(now, k=500, unit="passage", chunk_tokens=90, overlap_tokens=0,
                      instruction="", max_tokens=0)  # fmt: skip


def test_a_pair_that_is_not_on_offer_is_refused(handlers: Any) -> None:
    assert isinstance(handlers.indexing.with_pair("local", "sample", "twins"), WorkspaceSettings)
    with pytest.raises(UnknownNameError):
        handlers.indexing.with_pair("local", "sample", "nonsense")
