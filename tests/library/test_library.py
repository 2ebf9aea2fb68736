"""Adding, stopping, removing, re-chunking and searching: what a user notices of a library."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path

import pypdf
import pytest
from typing_extensions import override

from core.comparison.records import Comparison
from core.documents import read_document
from core.errors import (
    DiskFullError,
    EmptyLibraryError,
    EncoderUnavailableError,
    EncodingError,
    UnknownNameError,
    WorkspaceDamagedError,
)
from core.library import ingest, views
from core.library.ingest import SourceFile
from core.monitor import Monitor, Progress
from core.records import Document, Judgment, Query, Unit
from core.render.verdict import count_line
from core.search import MemoryAnswer
from core.settings import ChunkingSettings, ExtractionLimits
from core.store import embedding, files
from core.store.workspace import Workspace
from tests.library.conftest import CHUNKING, StoppingMonitor, Tiny, open_tiny
from tests.library.tiny import BM25, RRF, TinyEncoder, make_library

FRUIT = SourceFile("fruit.txt", b"Bananas are yellow. Pears are green and sweet.")
ZEBRAS = SourceFile("zebras.md", b"# Zebras\n\nZebras live in Africa. They have stripes.")
LONG = SourceFile(
    "long.txt", " ".join(f"Sentence number {i} says a thing." for i in range(60)).encode()
)


def search(tiny: Tiny, text: str, *, k: int = 5) -> dict[str, MemoryAnswer]:
    systems = [tiny.d.info, tiny.a.info, BM25, RRF]
    return tiny.library.view(systems).searcher.search(Query("q1", text), k=k)


def searched(tiny: Tiny) -> tuple[str, ...]:
    """Ids of the passages that a question is answered over."""
    return tuple(tiny.library.view([tiny.d.info, tiny.a.info, BM25]).searcher.passage_ids)


def rechunk(tiny: Tiny, chunking: ChunkingSettings, monitor: Monitor | None = None) -> None:
    settings = replace(tiny.library.settings, chunking=chunking)
    tiny.library.change_settings(settings, monitor=monitor)


def embedded(tiny: Tiny) -> list[int]:
    return [line.passages_embedded for line in tiny.library.encoder_status()]


def test_files_are_added_and_found(tiny: Tiny) -> None:
    report = tiny.library.add([FRUIT, ZEBRAS])
    assert [(d.name, d.pages, d.passages) for d in report.documents] == [
        ("fruit.txt", 1, 1),
        ("zebras.md", 1, 1),
    ]
    assert report.skipped == ()
    assert report.passages_embedded == {"tiny-d": 2, "tiny-a": 2}
    assert not report.stopped
    assert tiny.library.documents() == report.documents
    results = search(tiny, "zebras stripes")
    for name in ("tiny-d", "tiny-a", "bm25"):
        passage = tiny.library.passage(results[name].ranking.hits[0].passage_id)
        assert "stripes" in passage.text
        document = tiny.library.document(passage.doc_id)
        assert document.text[passage.start : passage.end] == passage.text


def test_nothing_is_embedded_a_second_time(tiny: Tiny, tmp_path: Path) -> None:
    tiny.library.add([FRUIT, ZEBRAS])
    tiny.workspace.close()
    again = open_tiny(tmp_path / "w")
    with again.workspace:
        report = again.library.index()
        assert report.passages_embedded == {"tiny-d": 0, "tiny-a": 0}
        assert report.passages_reused == {"tiny-d": 2, "tiny-a": 2}
        assert again.d.encoded == []
        assert search(again, "zebras")["tiny-d"].ranking.hits


def test_a_bad_file_is_skipped_and_the_others_go_on(tiny: Tiny) -> None:
    bad = [
        SourceFile("noise.pdf", b"\x00\x01\x02 nothing"),
        SourceFile("empty.txt", b""),
        SourceFile("blank.txt", b"  \n "),
        SourceFile("a/../b\u202e<img>.exe", b"MZ\x00\x00"),
        SourceFile("gone.txt", path=Path("/nowhere/gone.txt")),
        SourceFile("cut.pdf", b"%PDF-1.7\n%%EOF"),
    ]
    report = tiny.library.add([*bad, FRUIT])
    assert [d.name for d in report.documents] == ["fruit.txt"]
    assert len(report.skipped) == len(bad)
    for skipped in report.skipped:
        assert len(skipped.reason) > 20
        assert "/" not in skipped.name
        assert "\u202e" not in skipped.name


def test_a_crash_of_the_reader_costs_one_file(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_document

    def crashing(data: bytes, name: str, **options: object) -> Document:
        if name == "fruit.txt":
            raise RuntimeError("inside")
        return read(data, name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest, "read_document", crashing)
    report = tiny.library.add([FRUIT, ZEBRAS])
    assert [skipped.name for skipped in report.skipped] == ["fruit.txt"]
    assert "RuntimeError" in report.skipped[0].reason
    assert [d.name for d in report.documents] == ["zebras.md"]


def encrypted_pdf() -> bytes:
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(200, 200)
    font = pypdf.generic.DictionaryObject(
        {
            pypdf.generic.NameObject("/Type"): pypdf.generic.NameObject("/Font"),
            pypdf.generic.NameObject("/Subtype"): pypdf.generic.NameObject("/Type1"),
            pypdf.generic.NameObject("/BaseFont"): pypdf.generic.NameObject("/Helvetica"),
        }
    )
    page[pypdf.generic.NameObject("/Resources")] = pypdf.generic.DictionaryObject(
        {
            pypdf.generic.NameObject("/Font"): pypdf.generic.DictionaryObject(
                {pypdf.generic.NameObject("/F1"): font}
            )
        }
    )
    content = pypdf.generic.DecodedStreamObject()
    content.set_data(b"BT /F1 12 Tf 20 100 Td (The secret word is walnut.) Tj ET")
    page[pypdf.generic.NameObject("/Contents")] = writer._add_object(content)
    writer.encrypt("open sesame", algorithm="AES-256")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def test_an_encrypted_pdf_asks_for_its_password(tiny: Tiny, tmp_path: Path) -> None:
    data = encrypted_pdf()
    report = tiny.library.add([SourceFile("a.pdf", data), SourceFile("b.pdf", data, password="no")])
    assert [skipped.needs_password for skipped in report.skipped] == [True, True]
    report = tiny.library.add([SourceFile("a.pdf", data, password="open sesame")])
    assert report.skipped == ()
    doc_id = report.documents[0].doc_id
    assert "walnut" in tiny.library.document(doc_id).text
    assert tiny.library._holdings.passwords[doc_id] == "open sesame"  # for showing its pages
    tiny.workspace.close()
    everything = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"open sesame" not in everything  # never on the disk


def test_the_same_bytes_are_one_document(tiny: Tiny) -> None:
    again = replace(FRUIT, name="copy.txt")
    report = tiny.library.add([FRUIT, again])
    assert [d.duplicate_of for d in report.documents] == [None, "fruit.txt"]
    report = tiny.library.add([again])
    assert report.documents[0].duplicate_of == "fruit.txt"
    assert [d.name for d in tiny.library.documents()] == ["fruit.txt"]
    assert len(tiny.library.passages()) == 1
    assert tiny.d.encoded == [tiny.library.passages()[0].text]


def test_a_removed_document_is_gone_at_once(tiny: Tiny) -> None:
    tiny.library.add([FRUIT, ZEBRAS])
    search(tiny, "zebras")
    fruit = next(d for d in tiny.library.documents() if d.name == "fruit.txt")
    tiny.library.remove(fruit.doc_id)
    assert [d.name for d in tiny.library.documents()] == ["zebras.md"]
    results = search(tiny, "bananas pears")
    assert all(fruit.doc_id not in p for p in results["bm25"].places)
    assert tiny.workspace.vector_count(tiny.d.passage_fingerprint) == 1
    with pytest.raises(UnknownNameError):
        tiny.library.document(fruit.doc_id)
    tiny.library.add([FRUIT])  # and may come back
    assert len(tiny.library.documents()) == 2


def test_a_document_removed_while_others_are_indexed_is_gone_at_once(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "VIEW_AGE_FACTOR", 1e9)  # the last view serves on
    tiny.library.add([FRUIT, ZEBRAS])
    search(tiny, "zebras")
    fruit = next(d for d in tiny.library.documents() if d.name == "fruit.txt")
    with tiny.library._ingesting:
        tiny.library.remove(fruit.doc_id)
        assert all(fruit.doc_id not in p for p in searched(tiny))


def test_removing_the_last_document_leaves_an_empty_library(tiny: Tiny) -> None:
    tiny.library.add([FRUIT])
    tiny.library.remove(tiny.library.documents()[0].doc_id)
    with pytest.raises(EmptyLibraryError, match="Add documents first"):
        search(tiny, "bananas")


def test_the_order_of_the_upload_changes_nothing(tmp_path: Path) -> None:
    answers = []
    for number, order in enumerate(([FRUIT, ZEBRAS, LONG], [LONG, ZEBRAS, FRUIT])):
        tiny = open_tiny(tmp_path / str(number))
        with tiny.workspace:
            for file in order:
                tiny.library.add([file])
            ids = [passage.passage_id for passage in tiny.library.passages()]
            assert ids == sorted(ids)
            results = search(tiny, "a thing with stripes", k=50)
            answers.append([answer.ranking for answer in results.values()])
    assert answers[0] == answers[1]


def test_rechunking_keeps_documents_and_judgments_and_going_back_is_free(tiny: Tiny) -> None:
    tiny.library.add([LONG, FRUIT])
    documents = tiny.workspace.documents()
    before = tiny.library.passages()
    judged = before[3]
    judgment = Judgment("q", documents[1].sha256, 1, judged.start, judged.end, 3)
    tiny.workspace.put_judgments([judgment])
    finer = ChunkingSettings(chunk_tokens=40, overlap_tokens=8)
    encoded = len(tiny.d.encoded)
    rechunk(tiny, finer)
    after = tiny.library.passages()
    assert len(tiny.d.encoded) > encoded
    assert tiny.library.settings.chunking == finer
    assert {p.passage_id for p in after} != {p.passage_id for p in before}
    assert tiny.workspace.documents() == documents
    assert tiny.workspace.judgments() == (judgment,)
    assert searched(tiny) == tuple(p.passage_id for p in after)
    encoded = len(tiny.d.encoded)
    rechunk(tiny, CHUNKING)
    assert tiny.library.passages() == before
    assert len(tiny.d.encoded) == encoded


def test_whole_documents_can_be_the_unit(tiny: Tiny) -> None:
    tiny.library.add([LONG, FRUIT])
    rechunk(tiny, ChunkingSettings(unit=Unit.DOCUMENT))
    passages = tiny.library.passages()
    assert [p.unit for p in passages] == [Unit.DOCUMENT, Unit.DOCUMENT]
    assert len(searched(tiny)) == 2


def test_stop_while_rechunking_leaves_the_old_chunking(tiny: Tiny) -> None:
    tiny.library.add([LONG, FRUIT])
    stop = StoppingMonitor(lambda progress: progress.stage == "chunking")
    rechunk(tiny, ChunkingSettings(chunk_tokens=64, overlap_tokens=0), monitor=stop)
    assert tiny.library.settings.chunking == CHUNKING
    assert search(tiny, "bananas")["tiny-d"].ranking.hits


def test_stop_between_files_keeps_what_was_finished_and_goes_on_later(tiny: Tiny) -> None:
    stop = StoppingMonitor(lambda p: p.stage == "reading" and p.detail.startswith("zebras"))
    report = tiny.library.add([FRUIT, ZEBRAS, LONG], monitor=stop)
    assert report.stopped
    assert [d.name for d in report.documents] == ["fruit.txt"]
    report = tiny.library.add([FRUIT, ZEBRAS, LONG])
    assert [d.duplicate_of for d in report.documents] == ["fruit.txt", None, None]
    assert not report.stopped
    assert len(tiny.library.documents()) == 3


def test_a_closed_tab_while_embedding_loses_nothing_that_was_done(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "FIRST_BLOCK_TEXTS", 4)
    monkeypatch.setattr(embedding, "MAX_BLOCK_TEXTS", 4)
    monkeypatch.setattr(ingest, "FIRST_GROUP_PASSAGES", 4)
    stop = StoppingMonitor(lambda p: "Tiny-A" in p.stage and p.done >= 8)
    report = tiny.library.add([FRUIT, LONG], monitor=stop)
    assert report.stopped
    done = len(tiny.d.encoded)
    assert done > 4
    # what is not in both encoders is in neither column
    view = tiny.library.view([tiny.d.info, tiny.a.info, BM25])
    assert view.waiting == len(tiny.library.passages()) - embedded(tiny)[1] > 0
    assert len(view.searcher.passage_ids) == len(view.passages) == embedded(tiny)[1]
    assert count_line(tiny.library.ask("fruit")).endswith("passages so far")
    report = tiny.library.index()
    assert not report.stopped
    assert len(tiny.d.encoded) == len(set(tiny.d.encoded)), "nothing was embedded twice"
    assert tiny.library.view([tiny.d.info, tiny.a.info]).waiting == 0


def test_progress_names_stage_file_and_count(tiny: Tiny) -> None:
    monitor = StoppingMonitor()
    tiny.library.add([FRUIT, ZEBRAS], monitor=monitor)
    stages = list(dict.fromkeys(progress.stage for progress in monitor.seen))
    assert stages == ["reading", "chunking", "embedding (Tiny-D)", "embedding (Tiny-A)"]
    assert any("zebras.md (file 2 of 2)" in progress.detail for progress in monitor.seen)
    assert all(0 <= p.done <= p.total for p in monitor.seen)
    reading = [p for p in monitor.seen if p.stage == "reading"]
    assert reading[1].detail == "pages of fruit.txt (file 1 of 2)"  # a count of pages says so
    assert reading[-1] == Progress("reading", 2, 2)  # at the end, of files
    both = [p.stage for p in monitor.seen].index("embedding (Tiny-A)")
    assert monitor.seen[both - 1] == Progress("embedding (Tiny-D)", 0, monitor.seen[both].total)


def test_searching_before_embedding_says_what_to_do(tiny: Tiny) -> None:
    with pytest.raises(EmptyLibraryError, match="Add documents first"):
        search(tiny, "x")
    tiny.library.add([FRUIT], embed=False)
    with pytest.raises(EmptyLibraryError, match="not embedded yet"):
        search(tiny, "x")


def test_an_encoder_that_cannot_be_had_stands_in_its_place(tiny: Tiny) -> None:
    tiny.library.add([FRUIT])
    tiny.a.unavailable = "Its weights are not on this machine."
    library = make_library(tiny.workspace, tiny.d, tiny.a)
    searcher = library.view([tiny.d.info, tiny.a.info, BM25]).searcher
    results = searcher.search(Query("q", "pears"), k=1)
    assert results["tiny-a"].failure == "Its weights are not on this machine."
    assert results["tiny-d"].ranking.hits
    with pytest.raises(EncoderUnavailableError):  # after the other encoder has finished
        library.add([ZEBRAS])
    assert len(library.view([tiny.d.info]).passages) == 2


def test_an_encoder_that_fails_half_way_does_not_stop_the_other(tiny: Tiny) -> None:
    tiny.a.fails_on = "Zebras"
    with pytest.raises(EncodingError):
        tiny.library.add([FRUIT, ZEBRAS])
    assert embedded(tiny)[0] == 2
    assert len(tiny.library.documents()) == 2


def test_a_disk_that_fills_up_keeps_what_was_finished(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.library.add([FRUIT])
    write, room = files.write_bytes, [3000]

    def full(descriptor: int, block: memoryview) -> None:
        room[0] -= len(block)
        if room[0] < 0:
            raise OSError(28, "No space left on device")
        write(descriptor, block)

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_bytes", full)
        with pytest.raises(DiskFullError, match="Free some space"):
            tiny.library.add([ZEBRAS, LONG])
    assert search(tiny, "bananas")["tiny-d"].ranking.hits
    tiny.library.add([ZEBRAS, LONG])
    assert len(tiny.library.documents()) == 3
    assert tiny.library.view([tiny.d.info, tiny.a.info]).waiting == 0
    assert tiny.workspace.damage() == ()


def test_a_damaged_record_is_read_again_from_the_file(tiny: Tiny, tmp_path: Path) -> None:
    tiny.library.add([FRUIT])
    doc_id = tiny.library.documents()[0].doc_id
    (tmp_path / "w" / "documents" / doc_id / "record").write_bytes(b"damaged")
    assert "Bananas" in tiny.library.document(doc_id).text
    assert "read again" in tiny.workspace.damage()[0].message
    fresh = make_library(tiny.workspace, TinyEncoder(unavailable="Gone."))
    assert "Bananas" in fresh.document(doc_id).text
    assert len(tiny.workspace.damage()) == 1
    for name in ("record", "source"):
        (tmp_path / "w" / "documents" / doc_id / name).write_bytes(b"damaged")
    last = make_library(tiny.workspace, TinyEncoder(unavailable="Gone."))
    with pytest.raises(WorkspaceDamagedError, match="Upload the document again"):
        last.document(doc_id)
    tiny.library.add([FRUIT])  # uploading it again heals it
    assert "Bananas" in last.document(doc_id).text


def test_a_lost_database_costs_a_new_cut_and_no_embedding(tmp_path: Path) -> None:
    tiny = open_tiny(tmp_path / "w")
    with tiny.workspace:
        tiny.library.add([LONG, FRUIT])
        expected = tiny.library.passages()
    (tmp_path / "w" / "workspace.sqlite").unlink()
    again = open_tiny(tmp_path / "w")
    with again.workspace:
        assert again.library.passages() == expected
        assert search(again, "bananas")["tiny-d"].ranking.hits
        assert again.d.encoded == ["bananas"]  # the query, nothing else


def test_the_background_is_computed_once(tiny: Tiny, tmp_path: Path) -> None:
    tiny.library.add([FRUIT, ZEBRAS, LONG])
    view = tiny.library.view([tiny.d.info, tiny.a.info])
    background = tiny.library.background(tiny.d, view)
    assert background.samples > 10
    encoded = len(tiny.d.encoded)
    again = tiny.library.background(tiny.d, view)
    assert len(tiny.d.encoded) == encoded
    assert again == background


def test_searching_goes_on_while_more_is_indexed(tiny: Tiny) -> None:
    tiny.library.add([FRUIT, ZEBRAS])
    tiny.d.seconds_per_text = tiny.a.seconds_per_text = 0.01
    failures: list[BaseException] = []

    def index() -> None:
        try:
            tiny.library.add([LONG])
        except BaseException as exc:  # noqa: BLE001 - shown below
            failures.append(exc)

    worker = threading.Thread(target=index)
    worker.start()
    searches = 0
    while worker.is_alive():
        results = search(tiny, f"pears {searches}")
        searched = {tuple(answer.places) for answer in results.values() if answer.places}
        assert len(searched) == 1  # every system over the same passages
        assert {p.split(":")[0] for p in searched.pop()} >= {
            d.doc_id for d in tiny.library.documents() if d.name != "long.txt"
        }
        searches += 1
    worker.join()
    assert failures == []
    assert searches > 2
    assert len(search(tiny, "pears")["bm25"].places) == len(tiny.library.passages()) > 2


def test_several_handlers_at_once(tiny: Tiny) -> None:
    failures: list[BaseException] = []

    def handle(number: int) -> None:
        try:
            file = SourceFile(f"{number}.txt", f"Handler {number} adds this text.".encode())
            tiny.library.add([file])
            results = search(tiny, f"handler {number}")
            assert results["bm25"].ranking.hits
            tiny.library.documents()
        except BaseException as exc:  # noqa: BLE001 - shown below
            failures.append(exc)

    threads = [threading.Thread(target=handle, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(tiny.library.documents()) == 8


def test_a_view_over_the_same_corpus_is_made_once(tiny: Tiny) -> None:
    tiny.library.add([FRUIT])
    systems = [tiny.d.info, BM25]
    assert tiny.library.view(systems) is tiny.library.view(systems)
    assert tiny.library.view(systems) is not tiny.library.view([tiny.a.info, BM25])


def test_limits_reach_the_reader(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "w") as workspace:
        library = make_library(workspace, TinyEncoder(), limits=ExtractionLimits(file_bytes=10))
        report = library.add([FRUIT])
        assert "too large" in report.skipped[0].reason


def test_unknown_passages_are_said_so(tiny: Tiny) -> None:
    with pytest.raises(UnknownNameError, match="not in this library"):
        tiny.library.passage("d0:0-1")


def test_words_alone_answer_while_no_passage_is_in_both_encoders(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.library.add([FRUIT], embed=False)
    whole = len(tiny.library.passages())
    asked: list[Comparison] = []

    class Asking(StoppingMonitor):
        @override
        def report(self, progress: Progress) -> None:
            if "embedding" in progress.stage and not asked:
                asked.append(tiny.library.ask("fruit"))
            super().report(progress)

    tiny.library.index(monitor=Asking())
    early, late = asked[0], tiny.library.ask("fruit")
    assert [bool(column.failure) for column in early.columns] == [True, True, False]
    assert early.column(BM25.system_id).ranking == late.column(BM25.system_id).ranking
    assert (early.waiting, late.waiting) == (whole, 0)
    assert count_line(early) == count_line(late)
