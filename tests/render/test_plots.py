from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.comparison.records import Comparison
from core.render import plots, systems
from tests.dom import parse
from tests.render.compared import failed
from tests.render.test_cards import HOSTILE


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6))
def test_ticks_cover_the_range_in_even_round_steps(low: Any, width: Any) -> None:
    ticks = plots.nice_ticks(low, low + width)
    assert ticks[0] <= low + 1e-9 * max(1, abs(low))
    assert ticks[-1] >= low + width - 1e-9 * max(1, abs(low))
    assert 2 <= len(ticks) <= 12
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    assert max(steps) - min(steps) < 1e-6 * max(1.0, abs(low) + width)


def test_every_passage_of_the_comparison_is_a_point_with_its_text(comparison: Comparison) -> None:
    tree = parse(plots.score_plot(comparison))
    points = {point.attributes["data-pid"]: point for point in tree.all("g.pt")}
    assert set(points) == {passage.passage_id for passage in comparison.passages}
    for passage in comparison.passages:
        assert passage.document in points[passage.passage_id].attributes["data-tip"]
    assert "z for diffusion" in tree.text
    assert "z for autoregressive" in tree.text


def test_a_point_says_bm25_only_for_what_bm25_has_in_its_top_k(comparison: Comparison) -> None:
    shallow = dataclasses.replace(comparison, k=1)
    tree = parse(plots.score_plot(shallow))
    bm25 = shallow.columns[2].info.system_id
    expected = {
        passage.passage_id
        for passage in shallow.passages
        if systems.in_top(shallow, passage, bm25)
        and not any(systems.in_top(shallow, passage, one) for one in systems.encoder_ids(shallow))
    }
    points = tree.all("g.pt")
    crossed = {one.attributes["data-pid"] for one in points if one.all("path.lex-mark")}
    assert crossed == expected
    assert any(one.all("circle.lex-dot") for one in points)  # the rest is in no top
    assert "only BM25" in tree.text
    assert "in no top 1" in tree.text


def test_a_comparison_without_calibration_says_why_there_is_no_plot(comparison: Comparison) -> None:
    tree = parse(plots.score_plot(failed(comparison, "The weights are damaged.")))
    assert not tree.all("svg")
    assert "needs calibrated scores" in tree.text


def test_hostile_text_stays_text(comparison: Comparison) -> None:
    passages = tuple(
        dataclasses.replace(one, text=HOSTILE, document=HOSTILE) for one in comparison.passages
    )
    evil = dataclasses.replace(comparison, passages=passages)
    chart = plots.line_chart(
        [(HOSTILE, "dif", [(1.0, 2.0)])],
        x_title=HOSTILE, y_title=HOSTILE, label=HOSTILE, rules=[(1.0, HOSTILE)],
    )  # fmt: skip
    for html in (plots.score_plot(evil), plots.rank_picture(evil), chart):
        assert not parse(html).all("script")
        assert "{{" not in html
        assert "\u202e" not in html


def test_a_line_chart_puts_rank_one_above_rank_ten() -> None:
    html = plots.line_chart(
        [("A", "dif", [(100.0, 1.0), (200.0, 10.0)])],
        x_title="x", y_title="rank", label="l", y_reversed=True,
    )  # fmt: skip
    (first, second) = re.findall(r'<circle class="dif-mark" cx="[\d.]+" cy="([\d.]+)"', html)
    assert float(first) < float(second)


def test_no_two_ticks_of_an_axis_read_alike() -> None:
    html = plots.line_chart(
        [("A", "dif", [(100.0, 7.03), (200.0, 7.24)])], x_title="x", y_title="z", label="l"
    )
    ticks = re.findall(r'text-anchor="end">([^<]+)</text>', html)
    assert ticks[:3] == ["7", "7.05", "7.10"]
    assert len(set(ticks)) == len(ticks)


def test_ranks_have_whole_ticks_even_when_all_are_first() -> None:
    html = plots.line_chart(
        [("A", "dif", [(100.0, 1.0)])], x_title="x", y_title="rank", label="l", y_reversed=True
    )
    ticks = re.findall(r'text-anchor="end">([^<]+)</text>', html)
    assert ticks
    assert all(tick.isdigit() for tick in ticks)
    assert len(set(ticks)) == len(ticks)
