from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import CoreError, InvalidSettingError, UnknownNameError, UsageError
from core.monitor import Progress, raise_if_stopped
from core.records import Document, Family, Passage
from core.settings import WorkspaceSettings
from core.workbench import ArmStatus
from demo.handlers import Handlers
from demo.indexing import settings_from
from demo.starters import drafted


def last(stream: Any) -> Any:
    return list(stream)[-1]


def upload(folder: Any, name: Any, data: Any = b"The tide turns twice a day. Boats wait.") -> Any:
    path = folder / name
    path.write_bytes(data)
    return path


def test_arriving_shows_the_sample_library_with_its_examples(handlers: Any) -> None:
    visitor, screen = handlers.libraries.arrive("")
    assert visitor == "local"
    assert screen.library_id == "sample"
    assert "tides.txt" in screen.documents
    assert 'data-act="remove"' not in screen.documents
    for group in ("lookup", "paraphrase", "long-range", "reasoning"):
        assert f"{group} (1)" in screen.examples


def test_a_link_to_a_library_that_is_not_there_leads_to_the_default(handlers: Any) -> None:
    assert handlers.libraries.arrive("local", "nobody's")[1].library_id == "sample"


def test_a_comparison_comes_with_summary_columns_plot_and_measures(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    assert screen.token
    assert 'class="hit dif"' in screen.columns
    assert 'class="hit aut"' in screen.columns
    assert "Overlap@10" in screen.lower
    assert 'class="summary"' in screen.summary


def test_the_nearest_sentences_are_marked_after_the_columns_are_shown(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    assert "<mark>" not in screen.columns
    marked = handlers.comparing.marked("local", screen.token)
    assert marked.count("<mark>") == marked.count('class="hit ')
    assert handlers.comparing.marked("nobody", screen.token) is None


def test_marks_that_come_too_late_are_not_shown(handlers: Any) -> None:
    first = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    second = last(handlers.comparing.compare("local", "sample", "bread"))
    assert handlers.comparing.marked("local", first.token) is None
    assert handlers.comparing.marked("local", second.token) is not None


def test_a_slow_comparison_says_what_it_waits_for(handlers: Any, libraries: Any) -> None:
    libraries.open_library("local", "sample").slow_seconds = 0.6
    screens = list(handlers.comparing.compare("local", "sample", "sluice"))
    assert "Loading the encoders" in screens[0].columns
    assert 'aria-busy="true"' in screens[0].columns
    assert 'class="hit dif"' in screens[-1].columns


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_query_asks_for_one(handlers: Any, text: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", text))
    assert "Type a question first." in screen.columns
    assert screen.token == ""


def test_an_empty_library_says_how_to_fill_it(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "mine", "sluice"))
    assert "add a document first" in screen.columns


@pytest.mark.parametrize("text", ["\U0001f30a tide", "\u6f6e\u6c50", "x" * 100_000, "</script><b>"])
def test_odd_queries_get_an_answer(handlers: Any, text: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", text))
    assert screen.token
    assert "</script>" not in screen.columns


def test_the_pane_shows_page_boxes_and_what_was_received(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    shown = handlers.sessions.shown("local", screen.token).comparison
    html = handlers.comparing.pane("local", screen.token, shown.passages[0].passage_id)
    assert "data:image/png;base64," in html
    assert 'class="box-' in html
    assert "What each encoder received" in html
    assert "passage: " in html


def test_the_pane_calls_a_score_from_elsewhere_no_cosine(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    found = handlers.sessions.shown("local", screen.token).comparison
    first, second, lexical = found.columns
    from_elsewhere = replace(lexical, info=replace(lexical.info, family=Family.IMPORTED))
    token = handlers.sessions.show(
        "local", "sample", replace(found, columns=(first, second, from_elsewhere))
    )
    html = handlers.comparing.pane("local", token, lexical.ranking.hits[0].passage_id)
    shown = html[html.index("Imported") :][:200]
    assert "score " in shown
    assert "cosine" not in shown


def test_a_page_that_is_not_there_is_refused_in_words(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    shown = handlers.sessions.shown("local", screen.token).comparison
    html = handlers.comparing.pane("local", screen.token, shown.passages[0].passage_id, 99)
    assert "has no page 99" in html


def test_what_is_saved_comes_back_exactly(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    command, listed, summary = handlers.comparing.save("local", screen.token)
    assert "sluice gate of oak" in listed
    assert ">saved</button>" in summary
    again = handlers.comparing.open_saved("local", "sample", command["comparison"])
    assert again.columns == screen.columns
    assert again.lower == screen.lower


def test_a_dead_permalink_says_so(handlers: Any) -> None:
    assert "not here" in handlers.comparing.open_saved("local", "sample", "c99").columns


@pytest.mark.parametrize("kind", ["csv", "json", "trec", "html"])
def test_an_export_is_text_for_the_page_and_no_file(handlers: Any, kind: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    command = handlers.comparing.export("local", screen.token, kind)
    assert command["do"] == "download"
    assert command["text"]
    assert "path" not in command
    if kind == "json":
        assert json.loads(command["text"])["query"]["text"] == "sluice gate of oak"
    if kind == "trec":
        # qid Q0 docid rank score tag
        assert all(len(line.split()) == 6 for line in command["text"].splitlines())


def test_an_unknown_export_is_refused(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice"))
    with pytest.raises(UnknownNameError, match="choose csv"):
        handlers.comparing.export("local", screen.token, "exe")


def test_uploads_never_change_the_sample(handlers: Any, tmp_path: Any) -> None:
    library, job, remark = handlers.indexing.upload("local", "sample", [upload(tmp_path, "a.txt")])
    assert job is not None
    job.outcome()
    assert library == "mine"
    assert "sample library stays as it is" in remark
    assert "a.txt" in handlers.libraries.screen("local", "mine").documents
    assert "a.txt" not in handlers.libraries.screen("local", "sample").documents


def test_the_screen_before_a_question_is_about_the_library_that_is_open(
    handlers: Any, tmp_path: Any
) -> None:
    text = b"The sluice gate was built of oak in 1840. It opens when the tide falls below the sill."
    assert "This library is empty" in handlers.libraries.blank("local", "mine")
    handlers.indexing.upload("local", "mine", [upload(tmp_path, "a.txt", text)])[1].outcome()
    own = handlers.libraries.blank("local", "mine")
    assert "Ask your documents a question" in own
    assert 'data-view="disagree"' in own
    # what is offered is drafted from this library, not taken from the sample
    assert all(
        "sluice" in asked or "tide" in asked for asked in re.findall('data-text="([^"]*)', own)
    )
    assert handlers.libraries.blank("nobody", "mine") is None


def test_a_question_to_a_half_embedded_library_shows_progress_and_a_stop_that_lasts(
    handlers: Any, monkeypatch: Any
) -> None:
    bench = handlers.services.open_library("local", "sample")
    begun = []

    def embed(self: Any, *, monitor: Any) -> None:
        begun.append(self)
        while True:
            monitor.report(Progress("embedding (A)", 1, 5))
            raise_if_stopped(monitor)
            time.sleep(0.01)

    arm = ArmStatus("a", Family.DIFFUSION, "A", "ready", "", 1, 5)
    monkeypatch.setattr(type(bench), "arms", lambda _: (arm,))
    monkeypatch.setattr(type(bench), "embed_missing", embed)
    monkeypatch.setattr("demo.comparing.STALLED_SECONDS", 0.0)
    monkeypatch.setattr("demo.comparing.POLL_SECONDS", 0.02)
    screens = []
    for screen in handlers.comparing.compare("local", "sample", "sluice"):
        screens.append(screen.columns)
        if 'data-act="stop-index"' in screen.columns:
            handlers.indexing.stop("local", "sample")
    assert any("1 / 5" in html for html in screens)
    assert "Stopped" in screens[-1]
    assert len(begun) == 1  # it was not begun again
    assert "1 of 5" in handlers.libraries.arms_notice("local", "sample")
    monkeypatch.undo()
    assert handlers.libraries.arms_notice("local", "sample") == ""
    assert handlers.libraries.arms_notice("nobody", "sample") is None


def test_questions_to_begin_with_come_from_all_documents() -> None:
    # 900 passages of which the rules can make nothing stand before the few they can read
    text = "A sluice gate is a barrier that slides in grooves. " * 4
    passages = [
        *(Passage(f"d1:{at:08d}", "d1", 0, 9, "\u2200x \u2208 X.", 1, 1) for at in range(900)),
        *(Passage(f"d2:{at:08d}", "d2", 0, len(text), text, 1, 1) for at in range(90)),
    ]
    documents = {
        name: Document(name, name, name, "text/plain", body, (), 1)
        for name, body in (("d1", "\u2200x \u2208 X."), ("d2", text))
    }
    found = drafted(SimpleNamespace(document=documents.__getitem__), passages)  # type: ignore[arg-type]  # all it reads
    assert [one.text for one in found] == ["What is a sluice gate?"]


def test_equal_limits_asks_the_query_on_screen_again_or_the_one_given(handlers: Any) -> None:
    shown = last(handlers.comparing.compare("local", "sample", "sluice gate built of oak"))
    again = last(handlers.comparing.equal_limits("local", shown.token))
    assert again.token
    assert again.token != shown.token
    other = last(handlers.comparing.equal_limits("local", "", "sample", "sluice"))
    assert handlers.sessions.shown("local", other.token).comparison.query.text == "sluice"
    assert (
        "Ask a question first"
        in last(handlers.comparing.equal_limits("local", "", "sample", " ")).columns
    )


def test_an_uploaded_file_is_deleted_when_it_was_read(handlers: Any, tmp_path: Any) -> None:
    path = upload(tmp_path, "a.txt")
    handlers.indexing.upload("local", "mine", [path])[1].outcome()
    assert not path.exists()


def test_documents_are_listed_while_they_are_still_embedded(
    handlers: Any, libraries: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    bench = libraries.open_library("local", "mine")
    begun, go = threading.Event(), threading.Event()
    add_files = bench.add_files

    def slowly(files: Any, *, monitor: Any) -> Any:
        report = add_files(files, monitor=monitor)
        begun.set()
        go.wait(20)
        return report

    unready = [replace(arm, passages=7, passages_embedded=0) for arm in bench.arms()]
    monkeypatch.setattr(type(bench), "arms", lambda _: tuple(unready))
    monkeypatch.setattr(bench, "add_files", slowly)
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
    assert not path.exists()
    assert handlers.sessions.held("local", "mine") == {}


def test_skipping_an_encrypted_file_deletes_it(handlers: Any, tmp_path: Any) -> None:
    path = upload(tmp_path, "locked.txt", b"LOCKED")
    handlers.indexing.upload("local", "mine", [path])[1].outcome()
    (token,) = handlers.sessions.held("local", "mine")
    handlers.indexing.forget_file("local", token)
    assert not path.exists()


def test_a_document_can_be_removed_but_not_from_the_sample(handlers: Any, tmp_path: Any) -> None:
    handlers.indexing.upload("local", "mine", [upload(tmp_path, "a.txt")])[1].outcome()
    doc_id = handlers.services.open_library("local", "mine").documents()[0].doc_id
    assert "a.txt" not in handlers.libraries.remove_document("local", "mine", doc_id).documents
    sample = handlers.services.open_library("local", "sample").documents()[0].doc_id
    with pytest.raises(UsageError, match="sample library stays"):
        handlers.libraries.remove_document("local", "sample", sample)


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
    assert not files[1].exists()


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


# -- two visitors --------------------------------------------------------------------------


def test_what_one_visitor_has_is_nobody_elses(hosted: Any, tmp_path: Any) -> None:
    handlers = Handlers(hosted.services())
    anna, _ = handlers.libraries.arrive("")
    bert, _ = handlers.libraries.arrive("")
    assert anna != bert
    handlers.indexing.upload(anna, "mine", [upload(tmp_path, "anna.txt")])[1].outcome()  # type: ignore[union-attr]
    token = last(handlers.comparing.compare(anna, "mine", "tide")).token
    comparison_id = handlers.comparing.save(anna, token)[0]["comparison"]
    assert "anna.txt" not in handlers.libraries.screen(bert, "mine").documents
    assert "no longer in memory" in handlers.comparing.pane(bert, token, "x")
    with pytest.raises(UnknownNameError):
        handlers.comparing.save(bert, token)
    with pytest.raises(UnknownNameError):
        handlers.comparing.export(bert, token, "csv")
    assert "not here" in handlers.comparing.open_saved(bert, "mine", comparison_id).columns


def test_a_held_file_is_its_visitors_alone(hosted: Any, tmp_path: Any) -> None:
    handlers = Handlers(hosted.services())
    anna, _ = handlers.libraries.arrive("")
    bert, _ = handlers.libraries.arrive("")
    handlers.indexing.upload(anna, "mine", [upload(tmp_path, "l.txt", b"LOCKED")])[1].outcome()  # type: ignore[union-attr]
    (token,) = handlers.sessions.held(anna, "mine")
    for attempt in (
        lambda: handlers.indexing.password(bert, token, "x"),
        lambda: handlers.indexing.forget_file(bert, token),
    ):
        with pytest.raises(UnknownNameError):
            attempt()
    assert handlers.sessions.held(anna, "mine")


@pytest.mark.parametrize("visitor", ["", "nobody", "../etc", None, 7, ["visitor-1"], "x" * 500])
def test_every_verb_checks_the_visitor(hosted: Any, visitor: Any) -> None:
    handlers = Handlers(hosted.services())
    handlers.libraries.arrive("")
    for call in (
        lambda: handlers.libraries.screen(visitor, "mine"),
        lambda: handlers.libraries.create(visitor, "x"),
        lambda: handlers.comparing.save(visitor, "t"),
        lambda: handlers.comparing.export(visitor, "t", "csv"),
        lambda: handlers.indexing.upload(visitor, "mine", []),
        lambda: handlers.indexing.password(visitor, "t", "x"),
        lambda: handlers.indexing.forget_file(visitor, "t"),
        lambda: list(handlers.indexing.watch(visitor, "mine")),
        lambda: handlers.indexing.embed(visitor, "mine"),
        lambda: handlers.indexing.with_pair(visitor, "mine", "letters"),
        lambda: handlers.indexing.change_settings(visitor, "mine", WorkspaceSettings()),
        lambda: handlers.indexing.stop(visitor, "mine"),
        lambda: handlers.libraries.remove_document(visitor, "mine", "d"),
    ):
        with pytest.raises(CoreError, match="session is not known"):
            call()
    assert (
        "session is not known" in last(handlers.comparing.compare(visitor, "mine", "tide")).columns
    )
    assert "session is not known" in handlers.comparing.pane(visitor, "t", "p")


def test_an_id_of_another_server_gets_a_new_one(hosted: Any) -> None:
    handlers = Handlers(hosted.services())
    visitor, _ = handlers.libraries.arrive("visitor-of-yesterday")
    assert visitor == "visitor-1"
    assert handlers.libraries.arrive(visitor)[0] == visitor
