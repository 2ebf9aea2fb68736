"""The model card's tables say what the figures say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.tools import card

if TYPE_CHECKING:
    from pathlib import Path


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def system(name: str, family: str, value: float) -> dict[str, Any]:
    measures = ("nDCG@10", "Recall@100", "Accuracy@1")
    return {
        "id": name,
        "family": family,
        "measures": {measure: interval(value) for measure in measures},
    }


def evaluation(name: str) -> dict[str, Any]:
    systems = [system("d", "diffusion", 0.5), system("a", "autoregressive", 0.25)]
    return {
        "dataset": name,
        "systems": systems,
        "difference": {"nDCG@10": {**interval(0.25), "p_value": 0.04}},
        "queries": 1200,
        "passages": 7,
        "notes": [
            "Cut.",
            "D was cut at 9 tokens on 5 % of them.",
            "A was cut at 9 tokens on 5 % of them.",
        ],
        "controls": [
            {"id": "d", "attention": "bidirectional", "pooling": "mean", "against": None},
            {
                "id": "a",
                "attention": "causal",
                "pooling": "last token",
                "against": {"arm": "d", "difference": {"nDCG@10": interval(-0.25)}},
            },
        ],
        "lengths": [
            {"length": length, "systems": systems, "queries": 3, "passages": 4}
            for length in (256, 1024)
        ],
    }


def write(folder: Path, name: str, content: dict[str, Any]) -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def test_a_set_without_figures_is_said_to_be_unmeasured(tmp_path: Path) -> None:
    write(tmp_path, "scifact.json", evaluation("scifact"))
    table = card.sets_table(tmp_path).splitlines()
    assert table[2] == (
        "| scifact | 1,200 | each by itself | 7 | 0.500 [0.400, 0.600] | 0.250 [0.150, 0.350] |  |  | "
        "+0.250 [+0.150, +0.350], p = 0.040 |"
    )
    assert table[3] == "| scitldr_test | not measured | | | | | | | |"
    assert "- scifact: Cut." in table


def test_accuracy_stands_under_its_length(tmp_path: Path) -> None:
    write(tmp_path, "needle_pd_controls.json", evaluation("needle_pd"))
    text = card.lengths_table(tmp_path)
    assert "**needle_pd**, with controls" in text
    assert "| Accuracy@1 | 256 | 1,024 |" in text
    assert "| d | 0.50 | 0.50 |" in text
    assert card.controls_table(tmp_path) == "Not measured."
    # the encoders' own table is left out where the controls were measured at the same lengths
    write(tmp_path, "needle_pd.json", evaluation("needle_pd"))
    assert card.lengths_table(tmp_path) == text
    longer = evaluation("needle_pd")
    longer["lengths"].append({**longer["lengths"][0], "length": 4096})
    write(tmp_path, "needle_pd.json", longer)
    assert card.lengths_table(tmp_path).startswith("**needle_pd**, both encoders and BM25:")
    assert card.lengths_table(tmp_path).endswith(text)


def test_controls_are_listed_one_by_one(tmp_path: Path) -> None:
    write(tmp_path, "scifact_controls.json", evaluation("scifact"))
    text = card.controls_table(tmp_path)
    assert (
        "| a | causal, last token | 0.250 [0.150, 0.350] | -0.250 [-0.350, -0.150] | "
        "0.250 [0.150, 0.350] |"
    ) in text
    assert "| d | bidirectional, mean | 0.500 [0.400, 0.600] |  | 0.500 [0.400, 0.600] |" in text
    assert text.endswith("Cut. All 2 systems were cut at 9 tokens on 5 % of them.")


def test_each_seed_has_a_row_with_its_own_differences(tmp_path: Path) -> None:
    assert card.seeds_table(tmp_path) == "Not measured."
    names = {
        "bifocal-diffusion-135m": 0.5,
        "bifocal-autoregressive-135m": 0.25,
        "bolted": 0.2,
        "diffusion-seed-1": 0.4,
        "autoregressive-seed-1": 0.3,
        "bolted-seed-1": 0.1,
    }
    against = {"bolted": -0.05, "diffusion-seed-1": 0.1, "bolted-seed-1": -0.2}
    measured = {
        "dataset": "scifact",
        "systems": [system(name, "", value) for name, value in names.items()],
        "difference": {"nDCG@10": interval(0.25)},
        "controls": [
            {"id": name, "against": {"difference": {"nDCG@10": interval(value)}}}
            for name, value in against.items()
        ],
    }
    (tmp_path / "seeds").mkdir()
    write(tmp_path / "seeds", "scifact.json", measured)
    first, second = card.seeds_table(tmp_path).splitlines()[2:]
    assert first.startswith("| scifact | 0 | 0.500 [0.400, 0.600] | 0.250 ")
    assert first.endswith("| +0.250 [+0.150, +0.350] | -0.050 [-0.150, +0.050] |")
    assert second.startswith("| scifact | 1 | 0.400 [0.300, 0.500] | 0.300 ")
    assert second.endswith("| +0.100 [+0.000, +0.200] | -0.200 [-0.300, -0.100] |")


def test_each_trained_part_is_compared_with_all_adapters(tmp_path: Path) -> None:
    assert card.parts_table(tmp_path) == "Not measured."
    names = [f"autoregressive-part-{part}" for part in ("adapters", "upper", "full")]
    against = {"difference": {"nDCG@10": interval(-0.05)}}
    measured = {
        "dataset": "scifact",
        "systems": [system(name, "autoregressive", 0.5) for name in names],
        "controls": [{"id": name, "against": against} for name in names],
    }
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts", "scifact.json", measured)
    assert card.parts_table(tmp_path).splitlines()[2:] == [
        "| scifact | adapters of all eight layers | 0.500 [0.400, 0.600] |  |",
        "| scifact | adapters of layers 5 to 8 | 0.500 [0.400, 0.600] | -0.050 [-0.150, +0.050] |",
        "| scifact | all matrices, no adapters | 0.500 [0.400, 0.600] | -0.050 [-0.150, +0.050] |",
    ]


def test_token_losses_stand_beside_the_unigram_level(tmp_path: Path) -> None:
    assert card.language_table(tmp_path) == "Not measured."
    losses = {
        "masked token loss": {"encoder": {"0.1": 3.0, "0.9": 6.0}},
        "next token loss": {"encoder": 3.25},
        "unigram": 7.4,
        "tokens": 3072,
        "infilling": [{"masked": "a [MASK]", "filled": "a b"}],
    }
    write(tmp_path, "pair-language.json", losses)
    table = card.language_table(tmp_path)
    assert "| encoder | 3.00 | 6.00 |" in table
    assert "| unigram counts | 7.40 | 7.40 |" in table
    assert "- `a [MASK]` → `a b`" in table


def test_storage_and_speed_mode_say_what_became_of_the_rankings(tmp_path: Path) -> None:
    assert card.storage_table(tmp_path) == card.speed_mode_table(tmp_path) == "Not measured."
    agreement = {
        "dataset": "scifact",
        "encoder_id": "d",
        "queries": 300,
        "passages": 1000,
        "mean_cosine": 0.999996,
        "lowest_cosine": 0.99,
        "mean_rbo": 0.96,
        "lowest_rbo": 0.5,
        "same_top": 0.25,
    }
    speed = {
        "encoder_id": "d",
        "float_tokens_per_second": 2000.4,
        "fast_tokens_per_second": 3600.0,
        "ratio": 1.8,
    }
    write(tmp_path, "pair-storage.json", {"agreement": [agreement]})
    variant = {"options": {"outliers": 16, "float_down": True}, "speed": [speed]}
    variant["agreement"] = [agreement]
    measured = {"agreement": [agreement], "speed": [speed], "variants": [variant]}
    write(tmp_path, "pair-speed-mode.json", measured)
    row = "| scifact | d | 1,300 | 1.00000 (0.99000) | 0.9600 (0.500) | 25 % |"
    assert row in card.storage_table(tmp_path)
    assert row in card.speed_mode_table(tmp_path)
    assert "| d | 2,000 | 3,600 | 1.80 |" in card.speed_mode_table(tmp_path)
    kept = "16 channels of each product, each layer's last product"
    assert f"| {kept} | d | 1.80 | 0.9600 (scifact) |" in card.speed_mode_table(tmp_path)
