"""One library, two encoders and BM25, joined from the real parts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.encoders.pool import LoadState
from core.encoders.spec import TextKind
from core.errors import (
    AllowanceExceededError,
    EmptyLibraryError,
    EncoderUnavailableError,
    InvalidDepthError,
    InvalidQueryError,
    UnknownNameError,
    WorkspaceDamagedError,
)
from core.experiments.context import Context
from core.experiments.experiment import Experiment, Field, Kind
from core.experiments.run import open_context, run
from core.library.allowance import Allowance, VisitorLimits
from core.library.ingest import SourceFile
from core.library.library import Library
from core.records import Family, Judgment, Unit
from core.render import escape
from core.settings import ChunkingSettings
from tests.libraries import AUTOREGRESSIVE, DIFFUSION, TEXTS, Loader, make_library, sources
from tests.pdfs import PROSE, plain_pdf

A, B = DIFFUSION.encoder_id, AUTOREGRESSIVE.encoder_id


@pytest.fixture
def load() -> Loader:
    return Loader()


@pytest.fixture
def bench(tmp_path: Path, load: Loader) -> Iterator[Library]:
    made = make_library(tmp_path / "w", load)
    yield made
    made.close()


@pytest.fixture
def filled(bench: Library) -> Library:
    bench.add(sources())
    return bench


def test_adding_embeds_with_both_encoders_once(bench: Library, load: Loader) -> None:
    report = bench.add(sources())
    assert {line.name for line in report.documents} == set(TEXTS)
    assert report.passages_embedded == {A: 3, B: 3}
    again = bench.add(sources())
    assert all(line.duplicate_of for line in again.documents)
    assert [load.encoders[name].total_encoded for name in (A, B)] == [3, 3]


def test_comparing_fills_three_columns_and_finds_the_passage(filled: Library) -> None:
    comparison = filled.ask("who hunts mice at night", k=5)
    assert [column.info.system_id for column in comparison.columns] == [A, B, "bm25"]
    assert [column.info.family for column in comparison.columns] == [
        Family.DIFFUSION,
        Family.AUTOREGRESSIVE,
        Family.LEXICAL,
    ]
    for column in comparison.columns:
        best = comparison.passage(column.ranking.hits[0].passage_id)
        assert best.document == "owls.md", column.info.system_id
    assert (comparison.corpus_size, comparison.k, comparison.unit) == (3, 5, Unit.PASSAGE)
    assert comparison.summary


def test_both_encoders_run_at_the_smaller_limit(filled: Library) -> None:
    assert filled.encoders.token_limit() == 256  # 512 and 256
    comparison = filled.ask("tides")
    assert [column.max_tokens for column in comparison.columns] == [256, 256, 0]
    assert comparison.equal_limits
    filled.change_settings(replace(filled.settings, max_tokens=16))
    assert filled.encoders.token_limit() == 16
    filled.change_settings(replace(filled.settings, max_tokens=400))
    assert filled.encoders.token_limit() == 256  # more than an encoder has is not to be had


def test_each_encoder_reads_to_its_own_limit_only_where_the_user_says_so(filled: Library) -> None:
    filled.change_settings(replace(filled.settings, own_limits=True))
    assert [filled.encoders.token_limit(name) for name in (A, B)] == [512, 256]
    unequal = filled.ask("tides")
    assert [column.max_tokens for column in unequal.columns] == [512, 256, 0]
    assert unequal.equal_limits is False  # the comparison records which
    filled.change_settings(replace(filled.settings, own_limits=False))
    assert filled.ask("tides").equal_limits is True


def test_a_failed_encoder_is_told_in_its_column_and_the_others_answer(tmp_path: Path) -> None:
    load = Loader()
    bench = make_library(tmp_path / "w", load)
    bench.add(sources())
    bench.close()
    broken = Loader({B: EncoderUnavailableError("The hub cannot be reached; try later.")})
    bench = make_library(tmp_path / "w", broken)
    comparison = bench.ask("who hunts mice at night")
    good, bad, lexical = comparison.columns
    assert "hub cannot be reached" in bad.failure
    assert not bad.ranking.hits
    assert good.ranking.hits
    assert lexical.ranking.hits
    encoders = {encoder.system_id: encoder for encoder in bench.encoder_status()}
    assert (encoders[A].state, encoders[B].state) == (LoadState.READY, LoadState.FAILED)
    assert "hub cannot be reached" in encoders[B].problem
    with pytest.raises(EncoderUnavailableError):
        open_context(bench)  # an experiment needs both
    bench.close()


def test_a_failed_encoder_keeps_documents_when_adding(tmp_path: Path) -> None:
    bench = make_library(tmp_path / "w", Loader({A: EncoderUnavailableError("No hub.")}))
    with pytest.raises(EncoderUnavailableError, match="No hub"):
        bench.add(sources())
    assert len(bench.documents()) == 3
    column = bench.ask("owl").column(B)  # the other encoder was embedded all the same
    assert column.ranking.hits
    bench.close()


def test_encoders_tell_their_state_without_loading(bench: Library, load: Loader) -> None:
    assert [encoder.state for encoder in bench.encoder_status()] == ["not loaded", "not loaded"]
    assert load.loaded == []
    bench.add(sources())
    assert [
        (encoder.passages_embedded, encoder.passages) for encoder in bench.encoder_status()
    ] == [
        (3, 3),
        (3, 3),
    ]


def test_other_chunking_cuts_anew_and_uses_vectors_that_fit(filled: Library, load: Loader) -> None:
    before = filled.settings
    whole = replace(before, chunking=ChunkingSettings(unit=Unit.DOCUMENT))
    filled.change_settings(whole)
    assert filled.passage_count() == 3
    assert filled.ask("owl").unit is Unit.DOCUMENT
    counted = load.encoders[A].total_encoded
    filled.change_settings(before)
    report = filled.index()
    assert report.passages_embedded.get(A, 0) == 0
    assert load.encoders[A].total_encoded == counted


def test_another_instruction_embeds_no_passage_again(filled: Library) -> None:
    filled.change_settings(replace(filled.settings, query_instruction="find the passage "))
    assert filled.index().passages_embedded in ({}, {A: 0, B: 0})
    received = filled.received("owl")
    assert {name: text.text for name, text in received.items()} == {
        A: "find the passage owl",
        B: "find the passage owl",
    }


def test_an_unknown_pair_changes_nothing(filled: Library) -> None:
    before = filled.settings
    with pytest.raises(UnknownNameError, match="no pair"):
        filled.change_settings(replace(before, pair_id="nobody"))
    assert filled.settings == before


@pytest.mark.parametrize("text", ["", "   \n", "x" * 100_001], ids=["empty", "blank", "too long"])
def test_queries_that_cannot_be_asked(filled: Library, text: str) -> None:
    with pytest.raises(InvalidQueryError):
        filled.ask(text)


def test_a_query_of_100_000_characters_emoji_and_cjk_are_answered(filled: Library) -> None:
    for text in ("owl " * 25_000, "🦉🦉", "夜にネズミを狩る", "\udc80 owl"):
        comparison = filled.ask(text)
        assert len(comparison.columns) == 3
        assert " " not in comparison.query.query_id


@pytest.mark.parametrize("k", [0, 4, 51, -1])
def test_depths_outside_the_range_are_refused(filled: Library, k: int) -> None:
    with pytest.raises(InvalidDepthError, match="from 5 to 50"):
        filled.ask("owl", k=k)


def test_an_empty_library_says_so(bench: Library) -> None:
    with pytest.raises(EmptyLibraryError):
        bench.ask("owl")
    with pytest.raises(EmptyLibraryError):
        open_context(bench)
    assert bench.examples() == ()


def test_the_best_sentence_is_a_range_of_the_passage(filled: Library) -> None:
    hit = filled.ask("mice at night").column(A).ranking.hits[0].passage_id
    start, end = filled.best_sentences("mice at night", [hit])[hit]
    assert filled.passage(hit).text[start:end].strip() == "The barn owl hunts mice at night."


def test_no_heading_is_the_best_sentence_and_rows_have_none(bench: Library) -> None:
    # the heading and the row name the query's words, the sentence does not
    guide = "# Mice at night\n\nThe barn owl hears them under the snow."
    rows = "Mice at night 12.40\n\nMice by day 9.10\n\nfax: 202-493-2251."
    bench.add([SourceFile("a.md", data=guide.encode()), SourceFile("b.md", data=rows.encode())])
    texts = {one.passage_id: one.text for one in bench.passages()}
    best = bench.best_sentences("mice at night", tuple(texts))
    marked = [texts[passage_id][slice(*span)] for passage_id, span in best.items()]
    assert marked == ["The barn owl hears them under the snow."]


def test_what_a_passage_was_received_as(filled: Library) -> None:
    text = filled.passages()[0].text
    received = filled.received(text, kind=TextKind.PASSAGE)
    assert {name: one.text for name, one in received.items()} == {A: text, B: text}


def test_pages_and_boxes_of_a_pdf(bench: Library) -> None:
    bench.add([SourceFile("locks.pdf", data=plain_pdf([PROSE, "Second page. " * 20]))])
    (document,) = bench.documents()
    hit = bench.ask("upper gate at dawn").column(A).ranking.hits[0].passage_id
    view = bench.page_view(document.doc_id, 1, [hit, "d0:0-1"], width_pixels=300)
    assert view.png.startswith(b"\x89PNG")
    assert list(view.boxes) == [hit]  # a passage that is not here has none
    assert view.boxes[hit]
    assert all(0 <= left < right <= view.width for left, _, right, _ in view.boxes[hit])
    with pytest.raises(UnknownNameError, match="pages 1 to 2, not 3"):
        bench.page_view(document.doc_id, 3)


def test_plain_text_has_no_page_images(filled: Library) -> None:
    doc_id = next(line.doc_id for line in filled.documents() if line.name == "tides.txt")
    with pytest.raises(UnknownNameError, match="no page images"):
        filled.page_view(doc_id, 1)


def test_a_saved_comparison_comes_back_as_it_was(filled: Library) -> None:
    comparison = filled.ask("who hunts mice at night")
    kept = filled.save_comparison(comparison)
    assert filled.load_comparison(kept) == comparison
    (line,) = filled.saved_comparisons()
    assert (line.comparison_id, line.query) == (kept, "who hunts mice at night")
    with pytest.raises(UnknownNameError):
        filled.load_comparison("../../etc/passwd")


def test_a_damaged_saved_comparison_is_damaged_not_empty(filled: Library) -> None:
    kept = filled.workspace.save_comparison(b'{"query": 3}', query="owl", pair_id="p")
    with pytest.raises(WorkspaceDamagedError, match="ask the query again"):
        filled.load_comparison(kept)


def test_judgments_are_kept_and_replaced(filled: Library) -> None:
    passage = filled.passages()[0]
    document = filled.document(passage.doc_id)
    judged = Judgment("owl", document.doc_id, 1, passage.start, passage.end, 2)
    filled.judge([judged])
    filled.judge([replace(judged, grade=0)])
    assert [judgment.grade for judgment in filled.judgments("owl")] == [0]
    assert filled.judgments("other") == ()


def test_removing_a_document_removes_its_passages(filled: Library) -> None:
    doc_id = next(line.doc_id for line in filled.documents() if line.name == "owls.md")
    filled.remove(doc_id)
    comparison = filled.ask("who hunts mice at night")
    assert all(passage.document != "owls.md" for passage in comparison.passages)
    assert filled.passage_count() == 2


@dataclass(frozen=True, slots=True)
class Counted:
    passages: int
    label: str
    stopped: bool = False


def test_an_experiment_runs_once_and_anew_on_another_corpus(filled: Library) -> None:
    runs = []

    def count(context: Context, *, label: str, monitor: object) -> Counted:
        runs.append(len(context.corpus.passages))
        return Counted(len(context.corpus.passages), label, stopped=label == "half")

    field = Field("label", Kind.TEXT, "A word.", default="x")
    counting = Experiment("count", "count", "Count", "Count.", (field,), Counted, count, escape)
    assert run(filled, counting, {}) == Counted(3, "x")
    assert run(filled, counting, {"label": "x"}) == Counted(3, "x")
    assert runs == [3]
    assert run(filled, counting, {"label": "y"}) == Counted(3, "y")
    filled.add(sources({"new.txt": "Peat burns slowly in the old stove."}))
    assert run(filled, counting, {}).passages == 4
    assert runs == [3, 3, 4]
    for _ in range(2):  # what was stopped half-way is shown and not kept
        assert run(filled, counting, {"label": "half"}).stopped
    assert runs == [3, 3, 4, 4, 4]


def test_the_bench_is_made_once_per_corpus(filled: Library) -> None:
    first = open_context(filled)
    assert open_context(filled) is first
    assert [encoder.system_id for encoder in first.encoders] == [A, B]
    filled.add(sources({"new.txt": "Peat burns slowly in the old stove."}))
    assert open_context(filled) is not first


def test_two_threads_may_ask_while_a_third_adds(filled: Library) -> None:
    problems: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(3):
                filled.ask("who hunts mice at night")
        except BaseException as error:  # noqa: BLE001  told to the test
            problems.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    filled.add(sources({"new.txt": "Peat burns slowly in the old stove."}))
    for thread in threads:
        thread.join()
    assert problems == []


# -- a visitor's share -------------------------------------------------------------------------


def test_queries_a_minute_are_counted_in_a_sliding_window() -> None:
    now = [0.0]
    allowance = Allowance(VisitorLimits(queries_per_minute=2), clock=lambda: now[0])
    allowance.take_query()
    now[0] = 30.0
    allowance.take_query()
    now[0] = 40.0
    with pytest.raises(AllowanceExceededError, match="Wait 20 s"):
        allowance.take_query()
    now[0] = 60.0  # the first one is a minute ago
    allowance.take_query()


def test_drawings_are_counted_apart_from_queries_and_made_one_after_another() -> None:
    limits = VisitorLimits(queries_per_minute=1, drawings_per_minute=2)
    allowance = Allowance(limits, clock=lambda: 0.0)
    allowance.take_query()
    begun, go = threading.Event(), threading.Event()

    def draw() -> None:
        with allowance.drawing():
            begun.set()
            go.wait(20)

    first, second = threading.Thread(target=draw), threading.Thread(target=draw)
    first.start()
    assert begun.wait(20)
    begun.clear()
    second.start()
    assert not begun.wait(0.05)  # it waits for the first
    with pytest.raises(AllowanceExceededError, match="2 drawings a minute"), allowance.drawing():
        pass
    go.set()
    first.join()
    second.join()
    assert begun.is_set()


def test_a_visitor_who_asks_too_much_is_told_to_wait(tmp_path: Path) -> None:
    bench = make_library(
        tmp_path / "w", allowance=Allowance(VisitorLimits(queries_per_minute=1, documents=3))
    )
    bench.add(sources())
    bench.ask("owl")
    with pytest.raises(AllowanceExceededError, match="1 queries a minute"):
        bench.ask("owl")
    with pytest.raises(AllowanceExceededError, match="up to 3 documents; this one has 3"):
        bench.add(sources({"d.txt": "One more."}))
    assert len(bench.documents()) == 3
    bench.close()


def test_a_visitors_bytes_are_limited_before_anything_is_read() -> None:
    allowance = Allowance(VisitorLimits(bytes_each=10), kept_bytes=lambda: 6)
    allowance.require_room([SourceFile("a.txt", data=b"1234")], held=0)
    with pytest.raises(AllowanceExceededError, match="may keep 0 MiB"):
        allowance.require_room([SourceFile("a.txt", data=b"12345")], held=0)
    missing = SourceFile("gone.txt", path=Path("nowhere"))
    allowance.require_room([missing], held=0)  # reading it will say what is wrong


def test_the_next_start_knows_what_is_embedded_without_loading(tmp_path: Path) -> None:
    first = make_library(tmp_path / "w")
    first.add(sources())
    first.close()
    loader = Loader()
    again = make_library(tmp_path / "w", loader)
    assert [line.passages_embedded for line in again.encoder_status()] == [3, 3]
    assert loader.loaded == []
    again.close()
