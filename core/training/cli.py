"""Make the bundled pair: python -m core.training convert, adapt, teach, contrast, measure, export."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from tokenizers import Tokenizer

from core.encoders.bundled import restored
from core.encoders.spec import Attention
from core.monitor import Progress
from core.records import Family
from core.training import adaptation, contrastive, data, facts, preparation, teacher
from core.training.conversion import convert, first_layers
from core.training.export import (
    ATTENTION,
    TrainedEncoder,
    export,
    read_converted,
    read_readout,
    write_converted,
    write_readout,
)
from core.training.loop import Schedule, load_parameters, train
from core.training.network import AdaptedNetwork

LAYERS, RANK, DIMENSION = 8, 64, 512
BATCH, GROUP = 64, 4
# Tokens and pairs of the long batches; the longer ones come in as the run goes on.
LONG = ((128, 48), (256, 32), (512, 24), (1024, 16), (2048, 12))
_FITTED = 4000  # pairs for statistics and the first projection

Work = Annotated[Path, typer.Option(help="Working folder: base, checkpoints, readouts.")]
EncoderFamily = Annotated[Family, typer.Option(help="diffusion or autoregressive.")]
Device = Annotated[str, typer.Option(help="cpu, cuda:0, mps.")]
Seed = Annotated[int, typer.Option(help="Of every random choice.")]
Minutes = Annotated[
    float | None, typer.Option(help="Stop with a checkpoint after so many minutes.")
]
Pairs = Annotated[Path, typer.Option(help="Folder of *.jsonl.gz with query and positive.")]
Steps = Annotated[int, typer.Option(help="Optimiser steps in all.")]
Rate = Annotated[float, typer.Option(help="Learning rate.")]
Name = Annotated[str, typer.Option(help="Name of a control; the family's unless given.")]

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)


class EchoMonitor:
    """Progress as lines on the terminal."""

    def report(self, progress: Progress) -> None:
        """Print one line."""
        typer.echo(f"{progress.stage} {progress.done}/{progress.total} {progress.detail}")

    def stop_requested(self) -> bool:
        """Ctrl-C stops instead; the last checkpoint holds."""
        return False


def network_of(work: Path, *, device: str, layers: int | None = LAYERS) -> AdaptedNetwork:
    """The base of a working folder with new adapters; None takes all layers."""
    base = read_converted(work)
    count = layers or int(str(base.config["num_hidden_layers"]))
    config = {**base.config, "num_hidden_layers": count}
    arrays = restored(first_layers(base.arrays, count))
    return AdaptedNetwork(config, arrays, rank=RANK, seed=0).to(device)


def tokenizer_of(work: Path) -> Tokenizer:
    """The base's tokenizer, which takes no text for a special token."""
    tokenizer = Tokenizer.from_str(read_converted(work).tokenizer_json)
    tokenizer.encode_special_tokens = True
    return tokenizer


def bridge_of(work: Path, *, device: str) -> adaptation.Bridge:
    """The bridge of a working folder, fitted at its first use."""
    path = work / "bridge.pt"
    if not path.exists():
        stream = np.load(work / "stream.npy", mmap_mode="r")
        batches = [adaptation.windows(stream, step)[:4] for step in range(3, 43, 4)]
        base = network_of(work, device=device, layers=None)
        bridge = adaptation.fit_bridge(base, LAYERS, [batch.to(device) for batch in batches])
        taps = {
            f"{layer}": (bridge.offsets[layer], bridge.scales[layer]) for layer in bridge.scales
        }
        torch.save({"w": bridge.weight, "b": bridge.bias, "taps": taps}, path)
    saved = torch.load(path, map_location=device, weights_only=True)
    return adaptation.Bridge(
        weight=saved["w"],
        bias=saved["b"],
        offsets={int(layer): pair[0] for layer, pair in saved["taps"].items()},
        scales={int(layer): pair[1] for layer, pair in saved["taps"].items()},
    )


@app.command("convert")
def convert_command(
    *,
    gguf: Annotated[Path, typer.Option(help="SmolLM2-135M-Instruct.Q4_1.gguf")],
    work: Work,
    texts: Annotated[Path, typer.Option(help="Folder of *.txt.gz to adapt on.")],
    chars: Annotated[int, typer.Option(help="Characters of the encyclopaedia.")] = 16_000_000,
    others: Annotated[int, typer.Option(help="Characters of any other file.")] = 1_000_000,
) -> None:
    """Convert the base and tokenise the texts."""
    write_converted(work, convert(gguf))
    files = data.text_files(texts)
    files.sort(key=lambda path: not path.name.startswith("wikipedia"))
    stream = data.token_stream(files, tokenizer_of(work), chars={"wikipedia": chars}, others=others)
    np.save(work / "stream.npy", stream)
    typer.echo(f"{len(stream):,} tokens of text in {work}")


@app.command("adapt")
def adapt_command(
    *,
    work: Work,
    family: EncoderFamily,
    steps: Steps = 750,
    learning_rate: Rate = 6e-4,
    dense: Annotated[float, typer.Option(help="Dense loss; 0 for the ablation.")] = 1.0,
    minutes: Minutes = None,
    device: Device = "cpu",
) -> None:
    """Stage 1: masked denoising under full attention, or next tokens under a causal mask."""
    network = network_of(work, device=device)
    parameters, step = adaptation.stage_one(
        network,
        family,
        np.load(work / "stream.npy", mmap_mode="r"),
        bridge_of(work, device=device),
        dense=dense,
    )
    log = train(
        parameters,
        step,
        schedule=Schedule(steps=steps, learning_rate=learning_rate, minutes=minutes),
        checkpoint=work / f"stage1_{family.value}.pt",
        stage=f"adapting ({family.value})",
        monitor=EchoMonitor(),
    )
    _keep(work / f"stage1_{family.value}.json", log)


@app.command("teach")
def teach_command(
    *,
    work: Work,
    pairs: Pairs,
    model: Annotated[Path, typer.Option(help="Folder of a sentence-transformers model.")],
    count: Annotated[int, typer.Option(help="Pairs, in the order of stage 2.")] = 100_000,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Compute the teacher's vectors of the pairs, once for both encoders."""
    chosen = [pair for batch in _short(work, pairs, seed=seed) for pair in batch][:count]
    texts = [text for pair in chosen for text in (pair.query, pair.positive)]
    teacher.teacher_rows(model, texts, cache=work / "teacher.npz", device=device)


@app.command("contrast")
def contrast_command(
    *,
    work: Work,
    family: EncoderFamily,
    pairs: Pairs,
    steps: Steps = 1600,
    learning_rate: Rate = 4e-4,
    attention: Annotated[Attention | None, typer.Option(help="Another one, for controls.")] = None,
    name: Name = "",
    minutes: Minutes = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Stage 2: pairs, a teacher's vectors, and long texts with the answer anywhere in them."""
    called, attends = name or family.value, attention or ATTENTION[family]
    network = network_of(work, device=device)
    load_parameters(work / f"stage1_{family.value}.pt", network.trained())
    short, tokenizer = _short(work, pairs, seed=seed), tokenizer_of(work)
    options = contrastive.ContrastiveOptions(
        precision=torch.bfloat16 if device.startswith("cuda") else torch.float32
    )
    start = work / f"readout_{called}.pt"
    if not start.exists():
        sample = [pair for batch in short for pair in batch][:_FITTED]
        readout = preparation.fitted_readout(
            network,
            sample,
            attention=attends,
            tokenizer=tokenizer,
            prompts=(contrastive.QUERY_PROMPT, contrastive.PASSAGE_PROMPT),
            limits=(options.query_tokens, options.passage_tokens),
            dimension=DIMENSION,
        )
        write_readout(start, readout)
    readout = read_readout(start)
    texts = [text for batch in short for pair in batch for text in (pair.query, pair.positive)]
    long = _long(work, short, tokenizer, steps=steps, seed=seed)
    parameters, step = contrastive.stage_two(
        network,
        readout,
        attention=attends,
        batches=lambda number: long(number) if number % 2 else short[number // 2 % len(short)],
        tokenizer=tokenizer,
        options=options,
        teacher=teacher.read_teacher(work / "teacher.npz", texts),
    )
    log = train(
        parameters,
        step,
        schedule=Schedule(steps=steps, learning_rate=learning_rate, minutes=minutes),
        checkpoint=work / f"stage2_{called}.pt",
        stage=f"contrasting ({called})",
        slower={"projection": 0.3},
        monitor=EchoMonitor(),
    )
    projection = parameters["projection"].detach().cpu()
    write_readout(work / f"final_{called}.pt", replace(readout, projection=projection))
    adapters = network.exported(layers=LAYERS)
    kept = {key: torch.from_numpy(array) for key, array in adapters.items()}
    torch.save(kept, work / f"adapters_{called}.pt")
    _keep(work / f"stage2_{called}.json", log)


@app.command("measure")
def measure_command(*, work: Work, family: EncoderFamily, device: Device = "cpu") -> None:
    """Loss on held-out text by window length, in nats."""
    network = network_of(work, device=device)
    stream = np.load(work / "stream.npy", mmap_mode="r")
    parameters, _ = adaptation.stage_one(network, family, stream, bridge_of(work, device=device))
    load_parameters(work / f"stage1_{family.value}.pt", parameters)
    losses = adaptation.losses_by_length(network, family, stream, parameters)
    _keep(work / f"language_{family.value}.json", {"nats by length": losses})
    typer.echo(json.dumps(losses))


@app.command("export")
def export_command(
    *,
    work: Work,
    out: Annotated[Path, typer.Option(help="Folder that ships.")],
    trained_on: Annotated[str, typer.Option(help="One sentence; {family} is replaced.")],
    diffusion: Name = "diffusion",
    autoregressive: Name = "autoregressive",
    max_tokens: Annotated[int, typer.Option(help="Limit of both encoders.")] = 4096,
) -> None:
    """Write base, adapters, readouts and manifest; a control takes its family's place by name."""
    names = {Family.DIFFUSION: diffusion, Family.AUTOREGRESSIVE: autoregressive}
    trained = {}
    for family, name in names.items():
        tensors = torch.load(work / f"adapters_{name}.pt", weights_only=True)
        trained[family] = TrainedEncoder(
            adapters={key: tensor.numpy() for key, tensor in tensors.items()},
            readout=read_readout(work / f"final_{name}.pt"),
            trained_on=trained_on.replace("{family}", family.value),
        )
    export(
        out,
        base=read_converted(work),
        encoders=trained,
        query_prompt=contrastive.QUERY_PROMPT,
        passage_prompt=contrastive.PASSAGE_PROMPT,
        max_tokens=max_tokens,
        licence="Apache-2.0",
    )
    total = sum(path.stat().st_size for path in out.iterdir())
    typer.echo(f"{out}: {total / 1e6:.1f} MB")


def _short(work: Path, folder: Path, *, seed: int) -> list[list[data.TrainingPair]]:
    """Mined batches of the natural pairs; kept in the working folder, mining takes minutes."""
    kept = work / f"batches_{seed}.json"
    if not kept.exists():
        pairs = data.read_pairs(folder, data.PAIR_CAPS, seed=seed)
        batches = data.neighbour_batches(pairs, batch=BATCH, group=GROUP, seed=seed)
        rows = [[(one.query, one.positive, one.source) for one in batch] for batch in batches]
        kept.write_text(json.dumps(rows), encoding="utf-8")
    read = json.loads(kept.read_text(encoding="utf-8"))
    return [[data.TrainingPair(*row) for row in batch] for batch in read]


def _long(
    work: Path,
    short: Sequence[Sequence[data.TrainingPair]],
    tokenizer: Tokenizer,
    *,
    steps: int,
    seed: int,
) -> contrastive.Batches:
    """Long batches by step: two in three of invented facts, one of natural pairs in filler."""
    stream = np.load(work / "stream.npy", mmap_mode="r")

    def batch(number: int) -> list[data.TrainingPair]:
        # A new length joins with every tenth of the steps until all take turns.
        known = min(len(LONG), 1 + 10 * number // steps)
        tokens, size = LONG[number // 2 % known]
        start = np.random.default_rng([seed, number]).integers(len(stream) - tokens)
        filler = tokenizer.decode(stream[start : start + tokens].tolist())
        return facts.long_batch(
            short[number % len(short)],
            filler,
            size=size,
            tokens=tokens,
            facts=number // 2 % 3 != 2,
            seed=seed * 1_000_003 + number,
        )

    return batch


def _keep(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
