from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.encoders.pool import LoadState
from core.library import EncoderStatus, ExampleQuery
from core.monitor import Progress
from core.records import DocumentReport, Family, IngestionReport, Page, SkippedFile, TextSource
from core.store import StoredComparison
from demo.jobs import Snapshot
from demo.presenters import frame, library, measures, page, plots, summary
from demo.presenters.page import DrawnPassage

HOSTILE = "<script>alert(1)</script>\u202e.pdf"


def report(**changes: Any) -> Any:
    made = {
        "doc_id": "d1", "name": "a.pdf", "pages": 311, "pages_with_text": 287,
        "scanned_pages": tuple(range(12, 36)), "passages": 900, "tokens": 120_000,
    }  # fmt: skip
    return DocumentReport(**{**made, **changes})


def test_an_ingestion_line_names_scanned_pages_and_what_to_do() -> None:
    html = library.documents([report()], removable=True)
    assert (
        "287 of 311 pages have text; pages 12-35 look scanned: run OCR, for example ocrmypdf"
        in html
    )


def test_a_saved_comparison_says_which_clock_its_time_is_of() -> None:
    html = library.saved([StoredComparison("c1", "2026-11-23T01:50:07+00:00", "why?", "pair")])
    assert "2026-11-23 01:50 UTC" in html


def test_the_sample_library_offers_no_remove_button() -> None:
    assert 'data-act="remove"' in library.documents([report()], removable=True)
    assert 'data-act="remove"' not in library.documents([report()], removable=False)


def test_what_an_upload_came_to() -> None:
    made = IngestionReport(
        documents=(report(pages=3, pages_with_text=3, scanned_pages=(), passages=7),),
        skipped=(
            SkippedFile("bad.pdf", "bad.pdf is damaged; save it again."),
            SkippedFile("locked.pdf", "locked.pdf is encrypted.", needs_password=True),
        ),
        seconds=2.0,
    )
    html = library.ingestion(made, {"token-1": "locked.pdf"})
    assert "bad.pdf is damaged; save it again." in html
    assert 'data-token="token-1"' in html
    assert 'type="password"' in html
    assert "locked.pdf is encrypted. Type its password" in html


@pytest.mark.parametrize(
    "html",
    [
        library.documents([report(name=HOSTILE, warnings=(HOSTILE,))], removable=True),
        library.ingestion(IngestionReport((), (SkippedFile(HOSTILE, HOSTILE),)), {"t": HOSTILE}),
        library.saved([StoredComparison(HOSTILE, HOSTILE, HOSTILE, HOSTILE)]),
        library.arms(
            [EncoderStatus("a", Family.DIFFUSION, HOSTILE, LoadState.FAILED, HOSTILE, 0, 1)]
        ),
        library.trouble(HOSTILE),
        frame.examples([ExampleQuery("q", HOSTILE, HOSTILE, ())]),
        frame.failure(HOSTILE, HOSTILE),
        frame.pane_problem(HOSTILE),
    ],
)
def test_hostile_names_are_text_everywhere(html: Any) -> None:
    assert "<script" not in html
    assert "\u202e" not in html


def test_progress_shows_each_stage_once_with_its_latest_count() -> None:
    snapshot = Snapshot(
        kind="index",
        stages=(Progress("reading", 2, 3, "b.pdf"), Progress("embedding (diffusion)", 10, 40)),
        running=True,
        stopping=False,
        seconds=61.2,
    )
    html = library.progress(snapshot)
    assert "2 / 3" in html
    assert "b.pdf" in html
    assert "10 / 40" in html
    assert "width:25%" in html
    assert "1 min 01 s" in html


def test_progress_says_how_long_where_it_can_be_told_and_how_to_stop() -> None:
    stages = (Progress("embedding (diffusion)", 10, 40), Progress("hiding keys", 1, 9))
    left = {"embedding (diffusion)": 93.0, "hiding keys": 30.0}
    snapshot = Snapshot("index", stages, running=True, stopping=False, seconds=31.0, left=left)
    html = library.progress(snapshot, stop="stop-experiment")
    assert "about 95 s left" in html
    assert html.count("left") == 1  # the steps of the other stage are not alike
    assert 'data-act="stop-experiment"' in html
    assert "data-act" not in library.progress(snapshot)


def test_one_line_for_each_measure_and_how_it_is_computed(comparison: Any) -> None:
    html = measures.measures(comparison)
    for name in ("Overlap@5", "Jaccard@5", "RBO", "Kendall"):
        assert name in html
    agreement = comparison.arms_agreement
    assert f"{agreement.overlap:.2f}" in html
    assert f"p = {agreement.rbo_p:.2f}" in html
    assert html.count("how is this computed") == 4


def test_the_exact_string_is_one_click_away(comparison: Any) -> None:
    html = summary.received(comparison)
    assert html.startswith("<details")
    assert "query: sluice gate built of oak" in html
    assert "6 tokens" in html


def test_no_summary_is_longer_than_three_sentences_and_all_are_shown(comparison: Any) -> None:
    html = summary.summary(comparison)
    shown = re.findall(r"<p>(.*?)</p>", html)
    assert 1 <= len(comparison.summary) <= 3
    assert len(shown) == len(comparison.summary)


def test_boxes_of_both_arms_have_two_colours_two_outlines_and_two_shapes() -> None:
    html = page.page_image(
        b"png",
        Page(3, 0, 10, 612.0, 792.0, np.zeros((10, 4), np.float32), TextSource.PDFIUM),
        [
            DrawnPassage("both", [(10.0, 20.0, 110.0, 32.0)],
                         [(Family.DIFFUSION, 2), (Family.AUTOREGRESSIVE, 7)], True),
            DrawnPassage("other", [(10.0, 200.0, 110.0, 212.0)], [(Family.AUTOREGRESSIVE, 1)], False),
        ],
    )  # fmt: skip
    assert 'viewBox="0 0 612.0 792.0"' in html
    assert html.count('class="box-dif"') == 1
    assert html.count('class="box-aut"') == 2
    assert re.search(r'<circle class="flag-dif".*?>2</text>', html)
    assert re.search(r'<rect class="flag-aut".*?>7</text>', html)
    # the selected passage is drawn last, on top; the other one can be clicked
    assert html.index('data-pid="other"') < html.index('class="drawn"')


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6))
def test_ticks_cover_the_range_in_even_round_steps(low: Any, width: Any) -> None:
    ticks = plots.nice_ticks(low, low + width)
    assert ticks[0] <= low + 1e-9 * max(1, abs(low))
    assert ticks[-1] >= low + width - 1e-9 * max(1, abs(low))
    assert 2 <= len(ticks) <= 12
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    assert max(steps) - min(steps) < 1e-6 * max(1.0, abs(low) + width)


def test_every_passage_of_the_comparison_is_a_point_with_its_text(comparison: Any) -> None:
    html = plots.score_plot(comparison)
    for passage in comparison.passages:
        assert f'data-pid="{passage.passage_id}"' in html
    assert "z for diffusion" in html
    assert "z for autoregressive" in html


def test_a_point_says_bm25_only_for_what_bm25_has_in_its_top_k(comparison: Any) -> None:
    shallow = dataclasses.replace(comparison, k=1)
    html = plots.score_plot(shallow)
    bm25 = shallow.columns[2].info.system_id
    arms = (shallow.arm_a, shallow.arm_b)
    expected = {
        passage.passage_id
        for passage in shallow.passages
        if passage.standing(bm25).rank == 1 and all(passage.standing(arm).rank != 1 for arm in arms)
    }
    points = re.findall(r'<g class="pt".*?</g>', html, flags=re.DOTALL)
    crossed = {p for p in shallow.passages for point in points
               if f'data-pid="{p.passage_id}"' in point and "lex-mark" in point}  # fmt: skip
    assert {passage.passage_id for passage in crossed} == expected
    assert any("lex-dot" in point for point in points)  # the rest is in nobody's top
    assert "only BM25" in html
    assert "in no top 1<" in html


def test_a_comparison_without_calibration_says_why_there_is_no_plot(world: Any) -> None:
    world.encoders["late"].failing = "The weights are damaged."
    html = plots.score_plot(world.library("sample").ask("sluice", k=5))
    assert "<svg" not in html
    assert "needs calibrated scores" in html


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


def test_examples_stand_in_the_four_groups_in_order() -> None:
    queries = [ExampleQuery("1", "reasoning", "r", ()), ExampleQuery("2", "lookup", "l", ())]
    html = frame.examples(queries)
    assert html.index("lookup (1)") < html.index("reasoning (1)")
