"""Asking, waiting, keeping and exporting a comparison."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from core.encoders.pool import LoadState
from core.errors import UnknownNameError
from core.library.encoders import EncoderStatus
from core.monitor import Progress, raise_if_stopped
from core.records import Family
from tests.demo.conftest import last


def test_a_comparison_comes_with_summary_columns_plot_and_measures(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    assert screen.token
    assert 'class="hit dif"' in screen.columns
    assert 'class="hit aut"' in screen.columns
    assert "Overlap@10" in screen.lower
    assert 'class="summary"' in screen.summary


def test_a_slow_comparison_says_what_it_waits_for(world: Any) -> None:
    held = world.encoders["late"].hold = threading.Event()
    screens = world.handlers().comparing.compare("local", "sample", "sluice")
    first = next(screens)
    assert "Asking" in first.summary
    assert 'aria-busy="true"' in first.columns
    held.set()
    assert 'class="hit dif"' in last(screens).columns


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_query_asks_for_one(handlers: Any, text: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", text))
    assert "Type a question first." in screen.columns
    assert screen.token == ""


def test_an_empty_library_says_how_to_fill_it(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "my-documents", "sluice"))
    assert "Add documents first" in screen.columns


@pytest.mark.parametrize("text", ["\U0001f30a tide", "\u6f6e\u6c50", "x" * 100_000, "</script><b>"])
def test_odd_queries_get_an_answer(handlers: Any, text: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", text))
    assert screen.token
    assert "</script>" not in screen.columns


def test_a_question_to_a_half_embedded_library_is_answered_while_the_rest_is_embedded(
    handlers: Any, world: Any, monkeypatch: Any
) -> None:
    bench = world.library("sample")
    begun = []

    def embed(self: Any, *, monitor: Any) -> None:
        begun.append(self)
        while True:
            monitor.report(Progress("embedding (A)", 1, 5))
            raise_if_stopped(monitor)
            time.sleep(0.01)

    encoder = EncoderStatus("a", Family.DIFFUSION, "A", LoadState.READY, "", 1, 5)
    monkeypatch.setattr(type(bench), "encoder_status", lambda _: (encoder,))
    monkeypatch.setattr(type(bench), "index", embed)
    monkeypatch.setattr("demo.comparing.STALLED_SECONDS", 0.0)
    monkeypatch.setattr("demo.comparing.POLL_SECONDS", 0.02)
    screens = list(handlers.comparing.compare("local", "sample", "sluice"))
    assert any("1 / 5" in one.summary or "1 of 5" in one.summary for one in screens[:-1])
    assert screens[-1].token
    assert last(handlers.comparing.compare("local", "sample", "oak")).token
    assert len(begun) == 1  # it was not begun again
    assert handlers.libraries.encoders_notice("local", "sample") == ""  # its progress says it
    assert handlers.indexing.stop("local", "sample")
    assert handlers.sessions.jobs.get(("local", "sample", "index")).wait(20)
    assert "1 of 5" in handlers.libraries.encoders_notice("local", "sample")
    monkeypatch.undo()
    assert handlers.libraries.encoders_notice("local", "sample") == ""
    assert handlers.libraries.encoders_notice("nobody", "sample") is None


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
