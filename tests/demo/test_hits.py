"""The page pane of one hit, and the nearest sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.records import Family
from tests.demo.conftest import last


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
