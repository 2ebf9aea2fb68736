"""Commands that measure the pair: language model losses, controls."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from core.encoders.spec import Attention
from core.errors import UsageError
from core.evaluation.render import to_text
from core.evaluation.run import default_cache, length_list
from core.records import Family
from core.store import Workspace
from core.training import corpus
from core.training.cli.common import (
    HELD_OUT,
    Arm,
    Device,
    PacedMonitor,
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
from core.training.schedule import load_parameters

_SAMPLES = (
    "The heart pumps blood through the body, carrying oxygen to every cell.",
    "Water boils at one hundred degrees Celsius at sea level.",
    "The committee decided to postpone the meeting until the following week.",
)

PairFolder = Annotated[Path, typer.Option(help="Folder of the pair that ships.")]
Beir = Annotated[Path, typer.Option(help="Folder in BEIR's layout.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("measure")(measure_command)
    app.command("controls")(controls_command)


def measure_command(
    *,
    work: Work,
    arm: Arm,
    adapted: Annotated[bool, typer.Option(help="Off measures the untouched base.")] = True,
    length: Annotated[int, typer.Option(help="Tokens a sequence.")] = 128,
    count: Annotated[int, typer.Option(help="Held-out sequences.")] = HELD_OUT,
    rank: Annotated[int, typer.Option(help="Of the adapters.")] = 32,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Token losses on held-out text, and samples."""
    network = adapted_network(work, rank=rank, seed=seed, device=device)
    if adapted:
        load_parameters(work / f"stage1_{arm.value}.pt", network.trained())
    else:
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
        typer.Option(help="NAME[:ATTENTION[:FAMILY]] of a trained arm there; may be repeated."),
    ] = None,
    sample_passages: Annotated[
        int, typer.Option(help="Keep the relevant documents and so many in all; 0 keeps all.")
    ] = 0,
    lengths: Annotated[str, typer.Option(help="Only these nominal lengths, with commas.")] = "",
    max_tokens: Annotated[int, typer.Option(help="Limit of every system; 0: the arms' own.")] = 0,
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
            lengths=length_list(lengths),
            sample=sample_passages or None,
            seed=seed,
            monitor=PacedMonitor(),
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fields = json.dumps(measured.to_fields(), indent=2, allow_nan=False)
        out.write_text(fields + "\n", encoding="utf-8")
    except OSError as exc:
        msg = f"{out} cannot be written: {exc.strerror}. Choose another place."
        raise UsageError(msg) from exc
    typer.echo(to_text(measured.evaluation))
