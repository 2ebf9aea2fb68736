"""Tables of the bundled pair's model card, made from the figures in ``assets/benchmarks``.

``python -m tests.tools.docs --write`` renews them; ``make check`` says when they are stale.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.tools.lock import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FIGURES = ROOT / "assets" / "benchmarks"
CARD = "assets/encoders/smollm2-135m-pair/MODEL_CARD.md"
SETS = (
    "scifact",
    "scitldr_test",
    "qmsum",
    "theoremqa_theorems",
    "stacks_lemma_refs",
    "rarb_arc_challenge",
)
BY_LENGTH = ("passkey_pd", "needle_pd")
_MAIN = "nDCG@10"
_ACCURACY = "Accuracy@1"
_LANGUAGE = "pair-language.json"
_STORAGE = "pair-storage.json"
_SPEED_MODE = "pair-speed-mode.json"


def sets_table(folder: Path = FIGURES) -> str:
    """Both encoders, BM25 and fusion on every data set, with the paired difference."""
    rows = [
        "| set | queries | clusters | documents | diffusion | autoregressive | BM25 | RRF of both | "
        "diffusion minus autoregressive |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    notes = []
    for name in SETS:
        measured = _read(folder / f"{name}.json")
        if measured is None:
            rows.append(f"| {name} | not measured | | | | | | | |")
            continue
        cells = [_of_family(measured, family) for family in _FAMILIES]
        clusters = measured.get("clusters")
        rows.append(
            f"| {name} | {measured['queries']:,} | {clusters or _ONE_BY_ONE} | "
            f"{measured['passages']:,} | {' | '.join(cells)} | {_difference(measured)} |"
        )
        notes += [f"- {name}: {note}" for note in measured["notes"]]
    return "\n".join([*rows, "", *notes]).rstrip()


def lengths_table(folder: Path = FIGURES) -> str:
    """Share of queries whose right document comes first, by nominal length."""
    blocks = []
    for name in BY_LENGTH:
        encoders, controls = _read(folder / f"{name}.json"), _read(folder / f"{name}_controls.json")
        # controls stand beside the encoders: where they have every length, that table says it all
        if encoders is not None and (controls is None or _lengths(controls) != _lengths(encoders)):
            blocks.append(f"**{name}**, both encoders and BM25:\n\n{_by_length(encoders)}")
        if controls is not None:
            blocks.append(f"**{name}**, with controls:\n\n{_by_length(controls)}")
    return "\n\n".join(blocks) or "Not measured."


def controls_table(folder: Path = FIGURES) -> str:
    """Every control on a sample, one table a data set."""
    blocks = []
    for path in sorted(folder.glob("*_controls.json")):
        measured = _read(path)
        if measured is None or measured["dataset"] in BY_LENGTH:
            continue
        made = {one["id"]: one for one in measured["controls"]}
        rows = [
            f"| {measured['dataset']} | attention, pooling | nDCG@10 | minus its encoder | Recall@100 |",
            "|---|---|---|---|---|",
        ]
        rows += [
            f"| {one['id']} | {_how(made.get(one['id']))} | {_interval(one['measures'][_MAIN])} | "
            f"{_against(made.get(one['id']))} | {_interval(one['measures']['Recall@100'])} |"
            for one in measured["systems"]
            if one["family"] != "fusion"  # of two controls it says nothing
        ]
        told = [f"{measured['queries']:,} queries, {measured['passages']:,} documents."]
        blocks.append("\n".join([*rows, "", " ".join([*told, *_together(measured["notes"])])]))
    return "\n\n".join(blocks) or "Not measured."


def seeds_table(folder: Path = FIGURES) -> str:
    """Both encoders and the mask-removed baseline from each seed of stage 2, on the same samples."""
    rows = [
        "| set | seed | diffusion | autoregressive | bolted | diffusion minus autoregressive | "
        "bolted minus autoregressive |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted((folder / "seeds").glob("*.json")):
        measured = _read(path) or {}
        value = {one["id"]: one["measures"][_MAIN] for one in measured["systems"]}
        made = {one["id"]: one for one in measured["controls"]}
        shipped = measured["difference"][_MAIN]
        for seed, (diffusion, autoregressive, bolted) in enumerate(_SEEDS):
            gap = _signed(shipped) if seed == 0 else _against(made[diffusion])
            cells = [_interval(value[key]) for key in (diffusion, autoregressive, bolted)]
            rows.append(
                f"| {measured['dataset']} | {seed} | {' | '.join(cells)} | {gap} | "
                f"{_against(made[bolted])} |"
            )
    return "\n".join(rows) if len(rows) > 2 else "Not measured."


def parts_table(folder: Path = FIGURES) -> str:
    """What stage 2 trained in the same minutes: adapters, those of the upper half, all matrices."""
    rows = ["| set | trained in stage 2 | nDCG@10 | minus all adapters |", "|---|---|---|---|"]
    for path in sorted((folder / "parts").glob("*.json")):
        measured = _read(path) or {}
        value = {one["id"]: one["measures"][_MAIN] for one in measured["systems"]}
        made = {one["id"]: one for one in measured["controls"]}
        for key, words in _PARTS.items():
            compared = _against(made[key]) if key != next(iter(_PARTS)) else ""
            rows.append(
                f"| {measured['dataset']} | {words} | {_interval(value[key])} | {compared} |"
            )
    return "\n".join(rows) if len(rows) > 2 else "Not measured."


def language_table(folder: Path = FIGURES) -> str:
    """Token losses of the encoders and their base on held-out text, and infilling samples."""
    measured = _read(folder / _LANGUAGE)
    if measured is None:
        return "Not measured."
    masked: Mapping[str, Mapping[str, float]] = measured["masked token loss"]
    ratios = list(next(iter(masked.values())))
    rows = [
        f"| nats per masked token, by mask ratio | {' | '.join(ratios)} |",
        f"|---|{'---|' * len(ratios)}",
    ]
    rows += [
        f"| {name} | {' | '.join(f'{losses[ratio]:.2f}' for ratio in ratios)} |"
        for name, losses in masked.items()
    ]
    unigram = measured["unigram"]
    rows.append(f"| unigram counts | {' | '.join([f'{unigram:.2f}'] * len(ratios))} |")
    rows += ["", "| nats per next token | |", "|---|---|"]
    rows += [f"| {name} | {loss:.3f} |" for name, loss in measured["next token loss"].items()]
    rows += [f"| unigram counts | {unigram:.2f} |", ""]
    rows.append(f"{measured['tokens']:,} held-out tokens in sequences of 128.")
    rows += ["", "Infilling samples (30 % masked, most certain token first, no choice among runs):"]
    rows += ["", *(f"- `{one['masked']}` → `{one['filled']}`" for one in measured["infilling"])]
    return "\n".join(rows)


def storage_table(folder: Path = FIGURES) -> str:
    """How far the stored encoders' vectors and rankings are from the trained ones."""
    measured = _read(folder / _STORAGE)
    return "Not measured." if measured is None else "\n".join(_agreement(measured["agreement"]))


def speed_mode_table(folder: Path = FIGURES) -> str:
    """What 8-bit products gain in speed and cost in rankings."""
    measured = _read(folder / _SPEED_MODE)
    if measured is None:
        return "Not measured."
    rows = [
        "| encoder | float32, tokens per core-second | 8 bits | times as fast |",
        "|---|---|---|---|",
    ]
    rows += [
        f"| {one['encoder_id']} | {one['float_tokens_per_second']:,.0f} | "
        f"{one['fast_tokens_per_second']:,.0f} | {one['ratio']:.2f} |"
        for one in measured["speed"]
    ]
    rows += ["", *_agreement(measured["agreement"])]
    variants = measured.get("variants", ())
    if variants:
        rows += ["", "| kept in float32 | encoder | times as fast | RBO@10 |", "|---|---|---|---|"]
    for variant in variants:
        options = variant["options"]
        kept = [f"{options['outliers']} channels of each product"] * bool(options["outliers"])
        kept += ["each layer's last product"] * options["float_down"]
        rows += [
            f"| {', '.join(kept)} | {speed['encoder_id']} | {speed['ratio']:.2f} | "
            f"{one['mean_rbo']:.4f} ({one['dataset']}) |"
            for speed, one in zip(variant["speed"], variant["agreement"], strict=True)
        ]
    return "\n".join(rows)


BLOCKS = {
    "pair-storage": storage_table,
    "pair-speed-mode": speed_mode_table,
    "pair-sets": sets_table,
    "pair-lengths": lengths_table,
    "pair-controls": controls_table,
    "pair-seeds": seeds_table,
    "pair-parts": parts_table,
    "pair-language": language_table,
}

_ONE_BY_ONE = "each by itself"  # measured before queries were clustered
_FAMILIES = ("diffusion", "autoregressive", "lexical", "fusion")
_SEEDS = (
    ("bifocal-diffusion-135m", "bifocal-autoregressive-135m", "bolted"),
    ("diffusion-seed-1", "autoregressive-seed-1", "bolted-seed-1"),
)
_PARTS = {
    "autoregressive-part-adapters": "adapters of all eight layers",
    "autoregressive-part-upper": "adapters of layers 5 to 8",
    "autoregressive-part-full": "all matrices, no adapters",
}


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return fields


def _of_family(measured: Mapping[str, Any], family: str) -> str:
    found = [one for one in measured["systems"] if one["family"] == family]
    return _interval(found[0]["measures"][_MAIN]) if found else ""


def _difference(measured: Mapping[str, Any]) -> str:
    one = measured["difference"].get(_MAIN)
    if one is None:
        return ""
    return f"{_signed(one)}, p = {one['p_value']:.3f}"


def _how(control: Mapping[str, Any] | None) -> str:
    return f"{control['attention']}, {control['pooling']}" if control else ""


def _against(control: Mapping[str, Any] | None) -> str:
    """A control's paired difference from the encoder whose weights it has, where both were measured."""
    if control is None or not control["against"]:
        return ""
    return _signed(control["against"]["difference"][_MAIN])


def _together(notes: Sequence[str]) -> list[str]:
    """The notes, those on systems that were cut alike in one sentence."""
    alike: dict[str, list[str]] = {}
    for note in notes:
        name, cut, rest = note.partition(" was cut at ")
        alike.setdefault(f"cut at {rest}" if cut else note, []).append(name)
    return [
        f"All {len(names)} systems were {said}"
        if said.startswith("cut at ") and len(names) > 1
        else f"{names[0]} was {said}"
        if said.startswith("cut at ")
        else said
        for said, names in alike.items()
    ]


def _agreement(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "| set | encoder | texts | cosine, mean (lowest) | RBO@10, mean (lowest) | same ten |",
        "|---|---|---|---|---|---|",
        *(
            f"| {one['dataset']} | {one['encoder_id']} | {one['queries'] + one['passages']:,} | "
            f"{one['mean_cosine']:.5f} ({one['lowest_cosine']:.5f}) | "
            f"{one['mean_rbo']:.4f} ({one['lowest_rbo']:.3f}) | {100 * one['same_top']:.0f} % |"
            for one in rows
        ),
    ]


def _lengths(measured: Mapping[str, Any]) -> list[int]:
    return [part["length"] for part in measured["lengths"]]


def _by_length(measured: Mapping[str, Any]) -> str:
    parts: Sequence[Mapping[str, Any]] = measured["lengths"]
    rows = [
        f"| {_ACCURACY} | {' | '.join(format(part['length'], ',') for part in parts)} |",
        f"|---|{'---|' * len(parts)}",
    ]
    for place, system in enumerate(parts[0]["systems"]):
        cells = [part["systems"][place]["measures"][_ACCURACY]["value"] for part in parts]
        rows.append(f"| {system['id']} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    queries = ", ".join(f"{part['queries']:,}" for part in parts)
    documents = ", ".join(f"{part['passages']:,}" for part in parts)
    return "\n".join([*rows, "", f"Queries: {queries}; documents: {documents}."])


def _interval(one: Mapping[str, Any]) -> str:
    ends = f"[{one['low']:.3f}, {one['high']:.3f}]" if one["low"] is not None else "(no interval)"
    return f"{one['value']:.3f} {ends}"


def _signed(one: Mapping[str, Any]) -> str:
    ends = f"[{one['low']:+.3f}, {one['high']:+.3f}]" if one["low"] is not None else "(no interval)"
    return f"{one['value']:+.3f} {ends}"
