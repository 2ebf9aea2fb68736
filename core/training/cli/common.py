"""What the commands of ``python -m core.training`` share: options, progress, loading."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from tokenizers import Tokenizer
from typing_extensions import override

from core.encoders.bundled import restored
from core.encoders.spec import Attention
from core.monitor import Progress
from core.records import Family
from core.training.conversion import first_layers
from core.training.export import read_converted
from core.training.network import AdaptedNetwork
from core.training.schedule import load_parameters

Work = Annotated[Path, typer.Option(help="Working folder: base, checkpoints, readouts.")]
Arm = Annotated[Family, typer.Option(help="diffusion or autoregressive.")]
Device = Annotated[str, typer.Option(help="cpu, cuda:0, mps.")]
Seed = Annotated[int, typer.Option(help="Of every random choice.")]
Budget = Annotated[float | None, typer.Option(help="Stop with a checkpoint after so many minutes.")]
Until = Annotated[int | None, typer.Option(help="Stop with a checkpoint at this step.")]
Pairs = Annotated[Path, typer.Option(help="Folder of *.jsonl.gz with query and positive.")]
Layers = Annotated[str, typer.Option(help="Layers that the readout reads, with commas.")]
Steps = Annotated[int, typer.Option(help="Optimiser steps.")]
LearningRate = Annotated[float, typer.Option(help="At its highest.")]
Rank = Annotated[int, typer.Option(help="Of the adapters.")]
Teacher = Annotated[Path | None, typer.Option(help="Folder of a teacher, if any.")]
TeacherWeight = Annotated[float, typer.Option(help="Of its divergence.")]
OtherAttention = Annotated[Attention | None, typer.Option(help="Another one, for controls.")]
Adapted = Annotated[bool, typer.Option(help="Start from stage 1; off for controls.")]
KeptName = Annotated[str, typer.Option(help="Name of what is kept; the arm's unless given.")]
ResultFile = Annotated[Path | None, typer.Option(help="File for the result as JSON.")]
HELD_OUT = 64


class EchoMonitor:
    """Progress as lines on the terminal."""

    def report(self, progress: Progress) -> None:
        """Print one line."""
        typer.echo(f"{progress.stage} {progress.done}/{progress.total} {progress.detail}")

    def stop_requested(self) -> bool:
        """Ctrl-C stops instead; the last checkpoint holds."""
        return False


class PacedMonitor(EchoMonitor):
    """The same, at most one line in a while; the last line of a piece of work always.

    Args:
        every: Seconds between lines.
    """

    def __init__(self, every: float = 5.0) -> None:
        self._every = every
        self._last = -every

    @override
    def report(self, progress: Progress) -> None:
        """Print one line now and then."""
        now = time.monotonic()
        if now - self._last >= self._every or progress.done == progress.total:
            self._last = now
            super().report(progress)


def adapted_network(
    work: Path,
    *,
    rank: int,
    seed: int,
    device: str,
    depth: int | None = None,
    stage1: Family | None = None,
) -> AdaptedNetwork:
    """The base of a working folder with adapters.

    Args:
        work: The folder.
        rank: Of the adapters.
        seed: Of their start.
        device: Where it runs.
        depth: How many layers; all by default.
        stage1: Whose trained adapters; new ones by default.
    """
    base = read_converted(work)
    count = depth or int(str(base.config["num_hidden_layers"]))
    network = AdaptedNetwork(
        {**base.config, "num_hidden_layers": count},
        restored(first_layers(base.arrays, count)),
        rank=rank,
        seed=seed,
    )
    network = network.to(device)
    if stage1 is not None:
        load_parameters(work / f"stage1_{stage1.value}.pt", network.trained())
    return network


def base_tokenizer(serialised: str) -> Tokenizer:
    """The base's tokenizer, which takes no text for a special token."""
    tokenizer = Tokenizer.from_str(serialised)
    tokenizer.encode_special_tokens = True
    return tokenizer


def precision(device: str) -> torch.dtype:
    """bfloat16 on a GPU; float32 on a CPU, where it is the fastest as well."""
    return torch.bfloat16 if device.startswith("cuda") else torch.float32
