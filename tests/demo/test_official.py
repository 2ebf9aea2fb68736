"""Official results with the paper's cells beside them: apart, and never mixed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import pytest

from core.evaluation.mteb_adapter import BenchmarkResult
from core.experiments import paper
from core.records import Family
from demo.presenters.official import official

ENCODERS = {"dif": ("Ours, both ways", Family.DIFFUSION), "aut": ("Ours", Family.AUTOREGRESSIVE)}


def result(task: str, value: float, **more: Any) -> BenchmarkResult:
    one = BenchmarkResult(task, "dif", "test", "default", "", value, {})
    return replace(one, **more)


def cells(html: str, task: str) -> list[str]:
    """The text of a row's cells."""
    import re

    row = html[html.index(f">{task}<") :]
    row = row[: row.index("</tr>")]
    return [re.sub(r"<[^>]*>", " ", cell).strip() for cell in row.split("</td>")][:-1]


def test_a_task_stands_beside_what_the_paper_printed() -> None:
    html = official(
        [result("LEMBQMSumRetrieval", 0.312), result("LEMBQMSumRetrieval", 0.2, encoder_id="aut")],
        ENCODERS,
    )
    here, there, ours, best, source = cells(html, "LEMBQMSumRetrieval")
    assert (here.split()[-1], there) == ("31.2", "20.0")
    # Table 2 of the paper: DiffEmbed 43.8; of the baselines with the same data Mistral+LLM2Vec 40.0
    assert (ours, best) == ("43.8", "40.0")
    assert source == "Mistral+LLM2Vec; nDCG@10; arXiv 2505.15045 v1, Table 2"
    assert html.index("Ours, both ways") < html.index(">Ours<") < html.index("DiffEmbed")


def test_lengths_are_averaged_as_the_paper_does_and_missing_ones_are_told() -> None:
    values = {"test_256": 1.0, "test_4096": 0.5, "test_8192": 0.1}
    html = official(
        [result("LEMBPasskeyRetrieval", v, split=split) for split, v in values.items()], ENCODERS
    )
    short = cells(html[html.index("Passkey \u22644k") - 80 :], "LEMBPasskeyRetrieval")
    assert "75.0" in short[0]
    assert "2 of 5 lengths" in short[0]
    assert short[1] == "100.0"
    assert "1 of 3 lengths" in html
    assert "its cut inputs allow 29.2 at most" in html


def test_a_task_that_is_not_in_the_paper_has_no_cells_of_it() -> None:
    (_here, ours, best, source) = cells(official([result("TRECCOVID", 0.5)], ENCODERS), "TRECCOVID")
    assert (ours, best, source) == ("\u2013", "\u2013", "")


def test_names_from_elsewhere_are_escaped_and_two_revisions_told_apart() -> None:
    html = official(
        [
            result("<img src=x>", 0.5, encoder_id="org__<b>m</b>", revision="a" * 16),
            result("<img src=x>", 0.6, encoder_id="org__<b>m</b>", revision="b" * 16),
        ],
        ENCODERS,
        problem="<script>",
    )
    assert "<img" not in html
    assert "<b>m" not in html
    assert "<script>" not in html
    assert "org/&lt;b&gt;m&lt;/b&gt;" in html
    assert "aaaaaaaa<" in html


def test_nothing_yet_says_how() -> None:
    assert "python -m core benchmark --tasks" in official((), ENCODERS)


@pytest.mark.parametrize(
    ("task", "split", "subset", "cell"),
    [
        ("BrightRetrieval", "standard", "aops", ("bright", "AoPS")),
        ("BrightRetrieval", "standard", "pony", None),
        ("BrightAopsRetrieval", "standard", "default", ("bright", "AoPS")),
        ("LEMBNeedleRetrieval", "test_4096", "default", ("longembed", "Needle \u22644k")),
        ("LEMBNeedleRetrieval", "test_8192", "default", ("longembed", "Needle >4k")),
        ("LEMBNeedleRetrieval", "train", "default", None),
        ("STS17", "test", "en-en", ("mteb", "STS17")),
        ("STS17", "test", "ko-ko", None),
        ("Unknown", "test", "default", None),
    ],
)
def test_where_a_task_stands_in_the_paper(
    task: str, split: str, subset: str, cell: tuple[str, str] | None
) -> None:
    found = paper.place_of(task, split, subset)
    assert (None if found is None else (found.table_id, found.column)) == cell
    if found is not None:
        assert paper.table(found.table_id).value("DiffEmbed", found.column) > 0


@pytest.mark.skipif(importlib.util.find_spec("mteb") is None, reason="mteb is not installed")
@pytest.mark.filterwarnings("default")
def test_every_task_of_the_paper_is_one_of_mtebs() -> None:
    import mteb

    known = {task.metadata.name for task in mteb.get_tasks(exclude_superseded=False)}
    named = {one.task for one in paper._PAPER.mteb} | set(paper._PAPER.by_length)
    assert named <= known
