import math

import pytest

from core.errors import UnknownNameError
from core.experiments.paper import (
    AVERAGE,
    CLAIMS,
    CUT_LENGTHS,
    PAPER_LIMIT,
    TABLES,
    TRAINING_CURVE,
    PaperTable,
    SystemKind,
    average_without_truncation,
    baselines,
    best_baseline,
    difference,
    differences,
    measures_truncation,
    table,
)

LONGEMBED, BRIGHT, FOLLOWIR, MTEB, ATTENTION, PPLX_ABLATION = TABLES


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.words)
def test_every_headline_is_recomputed_from_its_cells(claim) -> None:  # type: ignore[no-untyped-def]
    found = table(claim.table_id)
    assert difference(found, claim.system, claim.baseline, claim.column) == claim.stated


@pytest.mark.parametrize(
    ("found", "best", "points"),
    [
        (LONGEMBED, "Mistral+LLM2Vec", 3.6),  # 62.2 - 58.6
        (BRIGHT, "Qwen2.5", 2.6),  # 33.2 - 30.6
        (FOLLOWIR, "Mistral", -0.6),  # 20.9 - 21.5
        (MTEB, "Llama3+LLM2Vec", -1.38),  # 65.01 - 66.39
    ],
    ids=lambda value: value.table_id if isinstance(value, PaperTable) else str(value),
)
def test_against_the_best_baseline_the_headlines_shrink(
    found: PaperTable, best: str, points: float
) -> None:
    assert best_baseline(found) == best
    assert difference(found, "DiffEmbed", best) == points


def test_other_differences_stated_in_the_notes() -> None:
    assert difference(LONGEMBED, "DiffEmbed", "Qwen2.5+LLM2Vec") == 6.3
    assert difference(LONGEMBED, "DiffEmbed", "Qwen2.5") == 9.4
    assert difference(BRIGHT, "DiffEmbed", "Qwen2.5", "TheoQ") == 8.1
    assert difference(BRIGHT, "DiffEmbed", "Qwen2.5", "TheoT") == 4.2
    assert difference(BRIGHT, "DiffEmbed", "Qwen2.5", "AoPS") == -0.1
    assert difference(BRIGHT, "DiffEmbed", "Qwen2.5", "LeetCode") == -2.0
    assert difference(FOLLOWIR, "DiffEmbed", "Mistral", "Avg p-MRR") == 0.0
    assert differences(ATTENTION, "DiffEmbed, causal", "DiffEmbed, full") == {
        "TheoT": -37.8,
        "TheoQ": -47.6,
        "AoPS": -12.6,
        "LeetCode": -0.5,
    }
    assert difference(ATTENTION, "Mistral, causal", "Mistral, full", "LeetCode") == 14.2


def test_the_sober_counterweight() -> None:
    column = PPLX_ABLATION.columns[0].name
    assert best_baseline(PPLX_ABLATION, column) == "causal, last token"
    assert difference(PPLX_ABLATION, "diffusion, mean", "causal, last token", column) == 0.7
    assert difference(PPLX_ABLATION, "diffusion, mean", "causal, mean", column) == 1.8


def test_averages_follow_from_their_rows_but_for_the_known_one() -> None:
    # Llama3 on LongEmbed: (54.0 + 3.3 + 51.2 + 4.0 + 31.9 + 30.8 + 67.6 + 47.3) / 8 = 36.26, not 32.3
    misadded = [
        (found.table_id, row.system, column, round(mean, 2))
        for found in TABLES
        for column, names in found.averages.items()
        for row in found.rows
        for mean in [sum(found.value(row.system, name) for name in names) / len(names)]
        if abs(found.value(row.system, column) - mean) > 0.1 + 1e-9  # both are rounded
    ]
    assert misadded == [("longembed", "Llama3", AVERAGE, 36.26)]
    assert LONGEMBED.value("Llama3", AVERAGE) == 32.3


def test_the_cells_beyond_the_limit_measure_truncation() -> None:
    cut = [column for column in LONGEMBED.columns if column.ceiling is not None]
    assert [column.name for column in cut] == ["Passkey >4k", "Needle >4k"]
    # a key at a uniform depth is read in 4,096 of 8, 16 and 32 thousand tokens
    ceiling = 100 * sum(PAPER_LIMIT / length for length in CUT_LENGTHS) / len(CUT_LENGTHS)
    assert {column.ceiling for column in cut} == {round(ceiling, 1)} == {29.2}
    marked = [
        row.system
        for row in LONGEMBED.rows
        if measures_truncation(cut[0], LONGEMBED.value(row.system, cut[0].name))
    ]
    # Llama's 3.3 and 4.0 and Mistral's 22.0 lie below what truncation allows
    assert marked == ["E5-Mistral", "Mistral+LLM2Vec", "Qwen2.5", "Qwen2.5+LLM2Vec", "DiffEmbed"]
    assert not measures_truncation(LONGEMBED.columns[0], 29.2)


def test_the_average_can_leave_truncation_out() -> None:
    # (100 + 86.8 + 42.1 + 43.8 + 98.0 + 77.2) / 6
    assert average_without_truncation(LONGEMBED, "DiffEmbed") == 74.65
    assert average_without_truncation(BRIGHT, "DiffEmbed") == 33.15  # nothing to leave out


def test_the_training_curve_crosses_once() -> None:
    points = TRAINING_CURVE.points
    assert [dream > qwen for _, dream, qwen in points] == [False, True, True, True, True, True]
    assert list(points) == sorted(points)
    assert points[-1][1:] == (BRIGHT.value("DiffEmbed", "TheoQ"), BRIGHT.value("Qwen2.5", "TheoQ"))


@pytest.mark.parametrize("found", TABLES, ids=lambda found: found.table_id)
def test_tables_are_complete_and_name_their_source(found: PaperTable) -> None:
    assert found.source.startswith("arXiv")
    assert found.caveats
    assert len({row.system for row in found.rows}) == len(found.rows)
    for row in found.rows:
        assert len(row.values) == len(found.columns)
        assert all(math.isfinite(value) for value in row.values)
    assert any(row.kind is SystemKind.DIFFUSION for row in found.rows)


def test_baselines_leave_the_subject_out() -> None:
    assert "DiffEmbed" not in baselines(LONGEMBED)
    assert baselines(MTEB) == ("Llama3+LLM2Vec", "Mistral+LLM2Vec")


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match="there are longembed, bright"):
        table("beir")
    with pytest.raises(UnknownNameError, match="it has E5-Mistral"):
        difference(LONGEMBED, "DiffEmbed", "GPT")
    with pytest.raises(UnknownNameError, match="it has Passkey"):
        difference(LONGEMBED, "DiffEmbed", "Llama3", "FiQA")
