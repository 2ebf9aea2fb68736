"""Two visitors on one server: every verb checks who asks."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import CoreError, UnknownNameError
from core.settings import WorkspaceSettings
from demo.handlers import Handlers
from tests.demo.conftest import last, upload


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
