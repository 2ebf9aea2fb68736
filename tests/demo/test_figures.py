"""The Laboratory's pictures, the measured figures and the paper's tables as HTML."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from core.evaluation.runs import KeptRun, RunLine, compare_runs
from core.experiments import growing, hidden_key
from core.experiments import paper as data
from core.experiments.context import SystemName
from core.experiments.growing import GrowingText, Growth, GrowthPoint
from core.experiments.hidden_key import HiddenKeyMap, KeyCell
from demo.presenters import benchmarks, paper
from tests.dom import parse

if TYPE_CHECKING:
    from pathlib import Path

A = SystemName("dif", "Diffusion <encoder>", "diffusion")
B = SystemName("aut", "Autoregressive encoder", "autoregressive")


def cell(depth: float, length: int, a: float, b: float, ceiling: float = 1.0) -> KeyCell:
    return KeyCell(depth, length, length, length, a, b, 0.5, ceiling, ceiling, ceiling, ceiling)


def hidden(**changes: object) -> HiddenKeyMap:
    made = {
        "a": A, "b": B, "depths": (0.0, 1.0), "lengths": (256, 1024), "copies": 4, "chance": 0.25,
        "cells": (
            cell(0.0, 256, 1.0, 0.75), cell(1.0, 256, 1.0, 1.0),
            cell(0.0, 1024, 0.5, 0.25), cell(1.0, 1024, math.nan, 0.0, 0.25),
        ),
        "truncation_a": 512, "truncation_b": 512, "notes": ("A note <here>.",), "stopped": False,
        "problem": "",
    }  # fmt: skip
    return HiddenKeyMap(**{**made, **changes})  # type: ignore[arg-type]


def test_a_hidden_key_map_has_a_cell_for_every_depth_and_length_of_three_systems() -> None:
    html = hidden_key.show(hidden())
    assert html.count("<svg") == 3
    # 4 cells each; the one that failed for A is drawn empty
    assert html.count('class="heatcell"') == 11
    assert html.count('class="nocell"') == 1
    # the line where truncation begins, for both encoders and not for BM25
    assert html.count('class="limit"') == 2
    assert "of 25%" in html
    assert "<encoder>" not in html
    assert "<here>" not in html


def test_means_over_depth_are_printed_with_the_ceiling() -> None:
    html = hidden_key.show(hidden())
    row = re.search(r'<tr><th scope="row">256</th>(.*?)</tr>', html)
    assert row is not None
    # A: (1 + 1) / 2, B: (0.75 + 1) / 2, BM25: 0.5
    assert re.findall(r">([^<]+)</td>", row[1])[:3] == ["100%", "88%", "50%"]


def test_a_stopped_map_and_a_failed_encoder_say_so() -> None:
    html = hidden_key.show(hidden(stopped=True, problem="The encoder failed."))
    assert "Stopped" in html
    assert "The encoder failed." in html


def test_growing_text_draws_rank_and_score_and_says_where_reading_ends() -> None:
    points = (
        GrowthPoint(0, 10, 100, 100, True, 0.5, 2.0, 1),
        GrowthPoint(0, 90, 800, 512, False, 0.3, math.nan, 30),
    )
    html = growing.show(
        GrowingText("q", "p", Growth.BOTH, 300, A, B, points, points[:1], (), False, "")
    )
    assert html.count("<svg") == 2
    assert "no longer reads the whole passage from 800 tokens on" in html
    assert "30th" in html


def test_claims_shrink_against_the_best_baseline_trained_on_the_same_data() -> None:
    html = paper.claims()
    # +20.2 against Llama3+LLM2Vec becomes +3.6 against the best (62.2 - 58.6)
    assert "+20.2" in html
    assert "+3.6" in html


@pytest.mark.parametrize("table", [item.table_id for item in data.TABLES])
def test_every_table_of_the_paper_is_shown_whole_with_its_source(table: str) -> None:
    found = data.table(table)
    html = paper.table(table, "")
    for row in found.rows:
        assert row.system.replace("<", "&lt;") in html
    assert found.source in html


def test_a_chosen_baseline_is_marked_and_subtracted() -> None:
    html = paper.table("longembed", "Llama3")
    assert 'class="chosen"' in html
    assert "DiffEmbed minus Llama3, points" in html
    # 62.2 - 32.3
    assert "+29.9" in html


def test_cells_that_measure_truncation_carry_a_mark() -> None:
    html = paper.table("longembed", "Llama3")
    assert f"29.3{paper.MARK}" in html
    assert f"14.0{paper.MARK}" not in html


def test_the_training_curve_has_both_lines() -> None:
    html = paper.training_curve()
    assert 'class="line-dif"' in html
    assert 'class="line-aut"' in html


# -- measured ------------------------------------------------------------------------------

EVALUATION = {
    "dataset": "<b>sets</b>",
    "notes": ["Every text was cut <b>."],
    "systems": [
        {
            "id": "dif", "family": "diffusion",
            "measures": {"nDCG@10": {"value": 0.5, "low": 0.4, "high": 0.6}},
        },
        {"id": "bm25", "family": "lexical", "measures": {"nDCG@10": {"value": 0.25}}},
    ],
    "difference": {"nDCG@10": {"value": -0.1, "low": -0.2, "high": 0.0, "p_value": 0.04}},
    "queries": 300,
}  # fmt: skip


def test_an_evaluation_is_a_table_with_intervals_and_the_difference() -> None:
    html = benchmarks.benchmarks([("x", EVALUATION)])
    assert "0.500" in html
    assert "[0.400, 0.600]" in html
    assert "\u22120.100" in html
    assert "p 0.040" in html
    assert "<b>sets" not in html


def test_every_collection_has_a_line_on_top_and_its_figures_folded_below() -> None:
    encoders = [
        {"id": name, "family": name, "measures": {"nDCG@10": {"value": value}}}
        for name, value in (("diffusion", 0.5), ("autoregressive", 0.6))
    ]
    both = {**EVALUATION, "systems": encoders}
    tree = parse(benchmarks.benchmarks([("x", both), ("y", {**both, "dataset": "second"})]))
    overview = tree.all("table")[0]
    # the difference first, then both encoders
    assert [cell.text.split()[0] for cell in overview.all("td")[:3]] == [
        "\u22120.100",
        "0.500",
        "0.600",
    ]
    assert len(overview.all("th", scope="row")) == 2
    folded = tree.all("details.collection")
    assert ["open" in one.attributes for one in folded] == [True, False]
    assert folded[1].one("b").text == "second"


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (-0.2, -0.01, "Autoregressive is ahead by 0.100 nDCG@10."),
        (-0.2, 0.0, "No difference is shown: \u22120.100 nDCG@10, within chance."),
        (None, None, "The difference is \u22120.100 nDCG@10, without an interval."),
    ],
)
def test_a_sentence_says_what_a_table_shows(low: object, high: object, says: str) -> None:
    gap = {"value": -0.1, "low": low, "high": high}
    other = {"id": "aut", "family": "autoregressive", "measures": {"nDCG@10": {"value": 0.6}}}
    systems = [EVALUATION["systems"][0], other]  # type: ignore[index]
    changed = EVALUATION | {"systems": systems, "difference": {"nDCG@10": gap}}
    html = benchmarks.benchmarks([("x", changed)])
    assert says in html
    ahead = int(says.startswith("Auto"))
    assert f"on 0 of 1 line the diffusion encoder is ahead by more than chance, on {ahead}" in html


def test_the_papers_tables_begin_with_their_averages_and_a_sentence() -> None:
    html = paper.table("longembed", "Mistral+LLM2Vec")
    assert "DiffEmbed is ahead of Mistral+LLM2Vec on 5 of 8 columns." in html
    heads = re.findall(r'<th class="r"[^>]*>([^<]+)</th>', html)
    assert heads[:2] == ["samples", "Avg"]


def test_ticks_of_thousands_are_written_alike() -> None:
    html = paper.training_curve()
    for tick in ("2k", "8k", "10k"):
        assert f">{tick}</text>" in html
    assert ">8000<" not in html


def test_other_figures_are_shown_as_they_are() -> None:
    figures = {"seconds": 2.5, "fine": True, "runs": [1, 2], "inner": {"n_items": 1200},
               "rows": [{"a": 1}, {"a": 2}]}  # fmt: skip
    html = benchmarks.benchmarks([("speed", figures)])
    for text in ("2.500", "yes", "1, 2", "1,200", "n items"):
        assert text in html


def test_a_damaged_file_is_left_out_and_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{", "utf-8")
    (tmp_path / "list.json").write_text("[]", "utf-8")
    (tmp_path / "good.json").write_text(json.dumps(EVALUATION), "utf-8")
    assert [name for name, _ in benchmarks.read_results(tmp_path)] == ["good"]
    assert "Measure any collection" in benchmarks.benchmarks([])
    assert benchmarks.read_results(None) == []


def test_a_collection_is_named_in_words_and_a_sample_says_so() -> None:
    assert benchmarks.title("scifact", {"dataset": "scifact"}) == "Scientific claims (SciFact)"
    sample = {"dataset": "scifact", "notes": ["Sample: 1,000 of 5,183 documents."]}
    assert benchmarks.title("scifact_controls", sample).endswith(", with controls, a sample")
    assert benchmarks.title("mine", {"dataset": "<own>"}) == "<own>"
    content = {"dataset": "<own>", "systems": [{"id": "rrf", "measures": {"nDCG@10": 0.5}}]}
    html = benchmarks.benchmarks([("mine", content)])
    assert "both encoders fused" in html
    assert "<own>" not in html


def test_kept_runs_escape_what_their_files_say() -> None:
    evil = "<img src=x onerror=alert(1)>"
    run = KeptRun(
        name=evil,
        made=evil,
        identity={evil: evil},
        query_ids=(evil,),
        clusters=(0,),
        figures={evil: {"nDCG@10": (0.25,)}},
        texts=(evil,),
    )
    other = replace(run, identity={}, figures={evil: {"nDCG@10": (0.75,)}})
    html = benchmarks.runs_compared(compare_runs(run, other))
    assert "<img" not in html
    assert html.index("unknown") < html.index("0.250")
    assert "+0.500" in html
    line = RunLine(evil, evil, evil, 1, (evil,), None, named=True, content="")
    assert "<img" not in benchmarks.kept_runs([line], [evil])
