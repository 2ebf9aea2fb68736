from __future__ import annotations

import dataclasses
import re
from typing import Any

from core.library import SourceFile
from core.records import Family
from demo.presenters import columns


def cards(html: Any, kind: Any) -> Any:
    return re.findall(rf'<li class="hit {kind}".*?</li>', html, flags=re.DOTALL)


def test_every_system_has_its_column_in_its_colour(comparison: Any) -> None:
    html = columns.columns(comparison, {})
    for kind, column in zip(("dif", "aut", "lex"), comparison.columns, strict=True):
        shown = cards(html, kind)
        assert len(shown) == min(comparison.k, len(column.ranking.hits))
        # Rank first: the large number of the first card is 1.
        assert '<span class="rank num">1</span>' in shown[0]


def test_a_hit_that_only_one_arm_has_says_so_and_where_it_is_in_the_other(comparison: Any) -> None:
    html = columns.columns(dataclasses.replace(comparison, k=1), {})
    first = comparison.columns[0].ranking.hits[0]
    there = comparison.passage(first.passage_id).standing("late").rank
    card = next(card for card in cards(html, "dif") if first.passage_id in card)
    if there == 1:
        assert "only here" not in card
    else:
        assert "only here" in card


def test_a_moved_hit_carries_its_places(comparison: Any) -> None:
    html = columns.columns(comparison, {})
    for hit in comparison.columns[0].ranking.hits[: comparison.k]:
        passage = comparison.passage(hit.passage_id)
        there = passage.standing("late").rank
        if there is not None and there <= comparison.k and there != hit.rank:
            card = next(card for card in cards(html, "dif") if hit.passage_id in card)
            sign = "+" if there > hit.rank else "\u2212"
            assert f"<b>{sign}{abs(there - hit.rank)}</b> against autoregressive" in card


def test_a_runs_score_is_called_nothing_more(comparison: Any) -> None:
    first, second, lexical = comparison.columns
    info = dataclasses.replace(lexical.info, family=Family.IMPORTED)
    columns_ = (first, second, dataclasses.replace(lexical, info=info))
    html = columns.columns(dataclasses.replace(comparison, columns=columns_), {})
    shown = html[html.index(info.label) :]
    assert "score as the run gives it" in shown
    assert ">cos " not in shown
    assert "raw cosine" not in shown


def test_a_failed_encoder_says_so_in_its_column_and_the_other_stands(world: Any) -> None:
    world.encoders["late"].failing = "The weights are damaged."
    html = columns.columns(world.library("sample").ask("sluice gate", k=5), {})
    assert "The weights are damaged." in html
    assert not cards(html, "aut")
    assert cards(html, "dif")
    assert "only here" not in "".join(cards(html, "dif"))


def test_hostile_documents_are_text(world: Any) -> None:
    library = world.library()
    text = b"<script>alert(2)</script> {{7*7}} ${8*8} sluice"
    library.add([SourceFile('<img src=x onerror="alert(1)">.txt', data=text)])
    html = columns.columns(library.ask("sluice </textarea><script>", k=5), {})
    assert "<script" not in html
    assert "<img" not in html
    assert "{{" not in html
    assert "${" not in html


def test_the_best_sentence_is_marked_and_what_is_far_before_it_is_folded() -> None:
    before = "Words come first. " * 20
    text = f"{before}The sluice gate is oak. More follows."
    start = len(before)
    html = columns.marked_text(text, (start, start + 23))
    assert "<mark>The sluice gate is oak.</mark> More follows." in html
    (folded,) = re.findall(r'<span class="far-text">(.*?)</span>', html)
    assert 0 < len(folded) <= columns.OPEN_CHARS - columns.LEAD_CHARS + 20


def test_a_range_outside_the_text_marks_nothing() -> None:
    assert "<mark>" not in columns.marked_text("short", (3, 99))


def test_fifty_long_hits_in_three_columns_stay_under_300_kilobytes(world: Any) -> None:
    words = "Sluice gates were built of oak and iron, and their keepers were paid in barley. "
    library = world.library()
    files = [SourceFile(f"{i}.txt", data=f"{i} {words * 90}".encode()) for i in range(12)]
    library.add(files)
    comparison = library.ask("sluice gates of oak", k=50)
    best = library.best_sentences("oak", [p.passage_id for p in comparison.passages])
    html = columns.columns(comparison, best)
    assert len(cards(html, "dif")) == 50
    assert len(html.encode()) < 300_000
