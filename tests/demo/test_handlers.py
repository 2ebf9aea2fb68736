"""Two visitors on one server: every verb checks who asks."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import CoreError, UnknownNameError
from core.settings import WorkspaceSettings
from tests.demo.conftest import last, upload
from tests.pdfs import encrypted_pdf


def test_what_one_visitor_has_is_nobody_elses(hosted: Any, tmp_path: Any) -> None:
    handlers = hosted.handlers()
    anna, _ = handlers.libraries.arrive("")
    bert, _ = handlers.libraries.arrive("")
    assert anna != bert
    handlers.indexing.upload(anna, "my-documents", [upload(tmp_path, "anna.txt")])[1].outcome()
    token = last(handlers.comparing.compare(anna, "my-documents", "tide")).token
    comparison_id = handlers.comparing.save(anna, token)[0]["comparison"]
    assert "anna.txt" not in handlers.libraries.screen(bert, "my-documents").documents
    assert "no longer in memory" in handlers.comparing.pane(bert, token, "x")
    with pytest.raises(UnknownNameError):
        handlers.comparing.save(bert, token)
    with pytest.raises(UnknownNameError):
        handlers.comparing.export(bert, token, "csv")
    assert "not here" in handlers.comparing.open_saved(bert, "my-documents", comparison_id).columns


def test_a_held_file_is_its_visitors_alone(hosted: Any, tmp_path: Any) -> None:
    handlers = hosted.handlers()
    anna, _ = handlers.libraries.arrive("")
    bert, _ = handlers.libraries.arrive("")
    locked = [upload(tmp_path, "l.pdf", encrypted_pdf())]
    handlers.indexing.upload(anna, "my-documents", locked)[1].outcome()
    (token,) = handlers.sessions.held(anna, "my-documents")
    with pytest.raises(UnknownNameError):
        handlers.indexing.password(bert, token, "x")
    with pytest.raises(UnknownNameError):
        handlers.indexing.forget_file(bert, token)
    assert handlers.sessions.held(anna, "my-documents")


@pytest.mark.parametrize("visitor", ["", "nobody", "../etc", None, 7, ["visitor-1"], "x" * 500])
def test_every_verb_checks_the_visitor(hosted: Any, visitor: Any) -> None:
    handlers = hosted.handlers()
    handlers.libraries.arrive("")
    for call in (
        lambda: handlers.libraries.screen(visitor, "my-documents"),
        lambda: handlers.libraries.create(visitor, "x"),
        lambda: handlers.comparing.save(visitor, "t"),
        lambda: handlers.comparing.export(visitor, "t", "csv"),
        lambda: handlers.indexing.upload(visitor, "my-documents", []),
        lambda: handlers.indexing.password(visitor, "t", "x"),
        lambda: handlers.indexing.forget_file(visitor, "t"),
        lambda: list(handlers.indexing.watch(visitor, "my-documents")),
        lambda: handlers.indexing.embed(visitor, "my-documents"),
        lambda: handlers.indexing.with_pair(visitor, "my-documents", "twins"),
        lambda: handlers.indexing.change_settings(visitor, "my-documents", WorkspaceSettings()),
        lambda: handlers.indexing.stop(visitor, "my-documents"),
        lambda: handlers.libraries.remove_document(visitor, "my-documents", "d"),
    ):
        with pytest.raises(CoreError, match="session is not known"):
            call()
    assert (
        "session is not known"
        in last(handlers.comparing.compare(visitor, "my-documents", "tide")).columns
    )
    assert "session is not known" in handlers.comparing.pane(visitor, "t", "p")


def test_an_id_of_another_server_gets_a_new_one(hosted: Any) -> None:
    handlers = hosted.handlers()
    visitor, _ = handlers.libraries.arrive("y" * 32)
    assert visitor != "y" * 32
    assert handlers.libraries.arrive(visitor)[0] == visitor


def test_looking_at_the_sample_library_takes_no_place(hosted: Any) -> None:
    handlers = hosted.handlers()
    visitor, screen = handlers.libraries.arrive("")
    for _ in range(100):  # more than there are places
        handlers.libraries.arrive("")
    assert "tides.pdf" in screen.documents
    assert hosted.visitors._visits == {}
    assert last(handlers.comparing.compare(visitor, "sample", "sluice gate")).token
    assert len(hosted.visitors._visits) == 1
