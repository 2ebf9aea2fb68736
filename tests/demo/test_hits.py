"""The page pane of one hit, and the nearest sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.records import Family
from tests.demo.conftest import last
from tests.dom import parse


def test_every_card_is_marked_when_it_is_first_shown(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    tree = parse(screen.columns)
    assert len(tree.all("mark")) == len(tree.all("div.hit")) > 0


def test_the_pane_shows_page_boxes_and_what_was_received(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    shown = handlers.sessions.shown("local", screen.token).comparison
    html = handlers.comparing.pane("local", screen.token, shown.passages[0].passage_id)
    assert "data:image/png;base64," in html
    assert parse(html).all("path.region")
    assert "What each encoder received" in html
    assert "passage: " in html


def test_a_passage_that_is_no_hit_opens_without_ranks_and_reasons(handlers: Any) -> None:
    with handlers.sessions.library("local", "sample") as bench:
        passage = bench.passages()[-1]
    html = handlers.comparing.pane("local", "", passage.passage_id, library_id="sample")
    assert parse(html).all("path.region")
    assert not parse(html).all("div.standing")
    assert 'data-act="evidence"' not in html
    gone = handlers.comparing.pane("local", "", "no-such-passage", library_id="sample")
    assert "is not in this library" in gone
    assert "no longer in memory" in handlers.comparing.pane("local", "", passage.passage_id)


def test_the_pane_calls_a_score_from_elsewhere_no_cosine(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    found = handlers.sessions.shown("local", screen.token).comparison
    first, second, lexical = found.columns
    from_elsewhere = replace(lexical, info=replace(lexical.info, family=Family.IMPORTED))
    changed = replace(found, columns=(first, second, from_elsewhere))
    token = handlers.sessions.show("local", "sample", changed, {})
    html = handlers.comparing.pane("local", token, lexical.ranking.hits[0].passage_id)
    shown = html[html.index("Imported") :][:200]
    assert "score " in shown
    assert "cosine" not in shown


def test_a_page_that_is_not_there_is_refused_in_words(handlers: Any) -> None:
    screen = last(handlers.comparing.compare("local", "sample", "sluice gate of oak"))
    shown = handlers.sessions.shown("local", screen.token).comparison
    html = handlers.comparing.pane("local", screen.token, shown.passages[0].passage_id, 99)
    assert "has no page 99" in html
