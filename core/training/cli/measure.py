"""Commands that measure the pair: language model losses, controls."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from core.encoders.bundled import bundled_specs
from core.encoders.encoder import LoadedEncoder
from core.encoders.int8 import Int8Options
from core.encoders.spec import Attention
from core.errors import UsageError
from core.evaluation.render import to_text
from core.evaluation.run import default_cache, number_list
from core.records import Family
from core.store import Workspace
from core.training import corpus
from core.training.agreement import (
    DEPTH,
    STORED_COSINE,
    STORED_RBO,
    Agreement,
    as_trained,
    load_times,
    measured_agreement,
)
from core.training.cli.common import (
    HELD_OUT,
    Arm,
    Device,
    PacedMonitor,
    Rank,
    ResultFile,
    Seed,
    Work,
    adapted_network,
    base_tokenizer,
)
from core.training.controls import ControlEncoders, chosen_controls, measure_controls
from core.training.export import read_converted
from core.training.language_model import (
    infill,
    masked_losses,
    next_token_losses,
    unigram_loss,
)
from core.training.speed_mode import (
    CALIBRATION,
    WANTED_RBO,
    WANTED_SPEED,
    batch_dependence,
    measured_speed,
)

_SAMPLES = (
    "The heart pumps blood through the body, carrying oxygen to every cell.",
    "Water boils at one hundred degrees Celsius at sea level.",
    "The committee decided to postpone the meeting until the following week.",
)

PairFolder = Annotated[Path, typer.Option(help="Folder of the pair that ships.")]
Beir = Annotated[Path, typer.Option(help="Folder in BEIR's layout.")]
BeirList = Annotated[
    list[Path] | None, typer.Option("--beir", help="Folder in BEIR's layout; may be repeated.")
]
Sample = Annotated[
    int, typer.Option(help="Keep the relevant documents and so many in all; 0 keeps all.")
]
MaxTokens = Annotated[int, typer.Option(help="Limit of every system; 0: the arms' own.")]
CacheRoot = Annotated[
    Path | None,
    typer.Option(help="Folder for a workspace each; those of `evaluate` by default."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("measure")(measure_command)
    app.command("controls")(controls_command)
    app.command("agreement")(agreement_command)
    app.command("speed-mode")(speed_mode_command)


def measure_command(
    *,
    work: Work,
    arm: Arm,
    adapted: Annotated[bool, typer.Option(help="Off measures the untouched base.")] = True,
    length: Annotated[int, typer.Option(help="Tokens a sequence.")] = 128,
    count: Annotated[int, typer.Option(help="Held-out sequences.")] = HELD_OUT,
    rank: Rank = 32,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Token losses on held-out text, and samples."""
    network = adapted_network(
        work, rank=rank, seed=seed, device=device, stage1=arm if adapted else None
    )
    if not adapted:
        network.switch_adapters(active=False)
    stream = np.load(work / "stream.npy")
    sequences = corpus.windows(stream, length=length, seed=seed)[-HELD_OUT:][:count]
    measured: dict[str, Any] = {
        "arm": arm.value,
        "adapted": adapted,
        "tokens": int(sequences.size),
        "unigram": unigram_loss(
            stream, sequences, vocabulary=int(network.backbone.config.vocab_size)
        ),
    }
    if arm is Family.DIFFUSION:
        losses = masked_losses(network, sequences, attention=Attention.BIDIRECTIONAL)
        measured["masked token loss"] = {str(ratio): loss for ratio, loss in losses.items()}
        tokenizer = base_tokenizer(read_converted(work).tokenizer_json)
        measured["infilling"] = [
            asdict(infill(network, tokenizer, text, ratio=0.3)) for text in _SAMPLES
        ]
    else:
        measured["next token loss"] = next_token_losses(network, sequences)
    path = work / f"language_{arm.value}{'' if adapted else '_base'}.json"
    path.write_text(json.dumps(measured, indent=2, ensure_ascii=False), encoding="utf-8")
    typer.echo(path.read_text(encoding="utf-8"))


def controls_command(
    *,
    pair_folder: PairFolder,
    beir: Beir,
    out: Annotated[Path, typer.Option(help="File for the result as JSON.")],
    only: Annotated[
        str, typer.Option(help="Only these systems, with commas; see the README.")
    ] = "",
    work: Annotated[Path | None, typer.Option(help="Working folder of further trained arms.")] = (
        None
    ),
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME[:ATTENTION[:FAMILY[:AGAINST]]] of a trained arm there; may be repeated."
        ),
    ] = None,
    sample_passages: Sample = 0,
    lengths: Annotated[str, typer.Option(help="Only these nominal lengths, with commas.")] = "",
    max_tokens: MaxTokens = 0,
    cache: Annotated[
        Path | None, typer.Option(help="Workspace for the vectors; that of `evaluate` by default.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Measure both arms, controls, further trained arms and BM25 on one data set."""
    controls = chosen_controls([key.strip() for key in only.split(",") if key.strip()], name or ())
    makers = ControlEncoders(pair_folder, work=work, max_tokens=max_tokens)
    with Workspace.open(cache or default_cache(beir)) as workspace:
        measured = measure_controls(
            beir,
            controls,
            makers,
            workspace=workspace,
            lengths=number_list(lengths),
            sample=sample_passages or None,
            seed=seed,
            monitor=PacedMonitor(),
        )
    _write_json(out, measured.to_fields())
    typer.echo(to_text(measured.evaluation))


def agreement_command(
    *,
    work: Work,
    pair_folder: PairFolder,
    beir: BeirList = None,
    sample_passages: Sample = 0,
    max_tokens: MaxTokens = 0,
    cache: CacheRoot = None,
    out: ResultFile = None,
    seed: Seed = 0,
) -> None:
    """Compare the arms as stored with the arms as trained, and time how they load."""
    specs = bundled_specs(pair_folder)
    loaded = load_times(pair_folder, list(specs.values()))
    for one in loaded:
        typer.echo(
            f"{one.encoder_id}: loaded in {one.seconds:.2f} s "
            f"({one.processor_seconds:.2f} s of processor time)"
        )
    makers = ControlEncoders(pair_folder, work=work, max_tokens=max_tokens)
    found: list[Agreement] = []
    for folder in beir or ():
        with Workspace.open(_cache(cache, folder)) as workspace:
            for family in specs:
                stored, trained = [
                    makers.encoder(control, corpus=(), workspace=workspace)
                    for control in (*chosen_controls([family.value]), as_trained(family))
                ]
                found.append(
                    _compared(folder, stored, trained, workspace, sample=sample_passages, seed=seed)
                )
    if found:
        close = min(one.lowest_cosine for one in found) >= STORED_COSINE
        alike = min(one.mean_rbo for one in found) >= STORED_RBO
        typer.echo(
            f"cosine of every text at least {STORED_COSINE}: {_yes(close)}; "
            f"RBO of the top {DEPTH} at least {STORED_RBO} on every set: {_yes(alike)}"
        )
    if out is not None:
        fields = {
            "loading": [asdict(one) for one in loaded],
            "agreement": [one.to_fields() for one in found],
        }
        _write_json(out, fields)


def speed_mode_command(
    *,
    pair_folder: PairFolder,
    beir: BeirList = None,
    sample_passages: Sample = 0,
    max_tokens: MaxTokens = 0,
    smoothing: Annotated[float, typer.Option(help="SmoothQuant's alpha, 0 to 1.")] = 0.5,
    outliers: Annotated[int, typer.Option(help="Channels of a product kept in float32.")] = 0,
    float_down: Annotated[
        bool, typer.Option("--float-down", help="Keep the last product of a layer in float32.")
    ] = False,
    rounds: Annotated[int, typer.Option(help="The best of so many counts; 0: no timing.")] = 5,
    cache: CacheRoot = None,
    out: ResultFile = None,
    seed: Seed = 0,
) -> None:
    """Measure both arms with 8-bit products against float32: speed, rankings, batches."""
    options = Int8Options(smoothing=smoothing, outliers=outliers, float_down=float_down)
    makers = ControlEncoders(pair_folder, max_tokens=max_tokens)
    forms = []
    for family in bundled_specs(pair_folder):
        (control,) = chosen_controls([family.value])
        plain = makers.encoder(control, corpus=())
        forms.append((plain, plain.in_int8(CALIBRATION, options)))
    fields: dict[str, Any] = {"options": asdict(options), "speed": [], "batch": [], "agreement": []}
    for plain, fast in forms:
        name = plain.spec.encoder_id
        if rounds:
            speed = measured_speed(plain, fast, rounds=rounds)
            fields["speed"].append(speed.to_fields())
            typer.echo(
                f"{name}: {speed.float_tokens_per_second:,.0f} tokens/s in float32, "
                f"{speed.fast_tokens_per_second:,.0f} in 8 bits, {speed.ratio:.2f} times "
                f"({speed.threads} threads)"
            )
        moved = {"float32": batch_dependence(plain), "8 bits": batch_dependence(fast)}
        fields["batch"].append({"encoder_id": name, **moved})
        typer.echo(
            f"{name}: alone or among others a vector moves by at most {moved['8 bits']:.1e} "
            f"({moved['float32']:.1e} in float32)"
        )
    for folder in beir or ():
        with Workspace.open(_cache(cache, folder)) as workspace:
            for plain, fast in forms:
                one = _compared(folder, plain, fast, workspace, sample=sample_passages, seed=seed)
                fields["agreement"].append(one.to_fields())
    fast_enough = [one["ratio"] >= WANTED_SPEED for one in fields["speed"]]
    alike = [one["mean_rbo"] >= WANTED_RBO for one in fields["agreement"]]
    typer.echo(
        f"{WANTED_SPEED} times as fast: {_yes(all(fast_enough)) if fast_enough else 'not measured'}; "
        f"RBO of the top {DEPTH} at least {WANTED_RBO} on every set: "
        f"{_yes(all(alike)) if alike else 'not measured'}"
    )
    if out is not None:
        _write_json(out, fields)


def _compared(
    beir: Path,
    first: LoadedEncoder,
    second: LoadedEncoder,
    workspace: Workspace,
    *,
    sample: int,
    seed: int,
) -> Agreement:
    """Measure how two forms of an arm agree on a data set, and say it."""
    one = measured_agreement(
        beir,
        first,
        second,
        workspace=workspace,
        sample=sample or None,
        seed=seed,
        monitor=PacedMonitor(),
    )
    typer.echo(
        f"{one.dataset} {one.encoder_id}: cosine {one.mean_cosine:.5f} (lowest "
        f"{one.lowest_cosine:.5f}), RBO@{DEPTH} {one.mean_rbo:.4f} (lowest {one.lowest_rbo:.3f}), "
        f"same ten {100 * one.same_top:.0f} %, {one.queries:,} queries, {one.passages:,} passages"
    )
    return one


def _yes(reached: bool) -> str:  # noqa: FBT001 (a word for it)
    return "yes" if reached else "no"


def _cache(root: Path | None, beir: Path) -> Path:
    return default_cache(beir) if root is None else root / beir.resolve().name


def _write_json(path: Path, fields: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(fields, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as exc:
        msg = f"{path} cannot be written: {exc.strerror}. Choose another place."
        raise UsageError(msg) from exc
