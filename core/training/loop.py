"""The loop of both stages: optimiser, learning rate, checkpoints, budget, progress."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.errors import EncoderLoadError
from core.monitor import Monitor, Progress, SilentMonitor

_CLIP_NORM = 1.0
_FLOOR = 0.05  # of the learning rate at the last step
_WARM_UP = 20  # steps


@dataclass(frozen=True, slots=True)
class Schedule:
    """Length of a stage and its learning rate.

    The rate rises for 20 steps, stays, and falls in a line over the last share of the steps: a run
    whose end is not yet decided can go on from any checkpoint (Hu et al. 2024, WSD).

    Attributes:
        steps: Optimiser steps in all.
        learning_rate: While it stays.
        falling: Share of the steps over which it falls.
        minutes: Stop with a checkpoint after this time; a later call goes on. None: no limit.
        checkpoint_every: Steps between checkpoints.
    """

    steps: int
    learning_rate: float
    falling: float = 0.2
    minutes: float | None = None
    checkpoint_every: int = 20

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        left = (self.steps - step) / max(1.0, self.falling * self.steps)
        return self.learning_rate * max(_FLOOR, min(1.0, (step + 1) / _WARM_UP, left))


def train(
    parameters: Mapping[str, nn.Parameter],
    step: Callable[[int], tuple[dict[str, float], int]],
    *,
    schedule: Schedule,
    checkpoint: Path,
    stage: str,
    slower: Mapping[str, float] | None = None,
    monitor: Monitor | None = None,
) -> dict[str, Any]:
    """Run the steps of a stage, from its checkpoint if there is one.

    A step depends on its number and the parameters alone (its randomness is drawn from a generator
    seeded with the number), so that stopping and going on gives the uninterrupted run's weights.

    Args:
        parameters: Trained parameters by name.
        step: Given the step's number, accumulates gradients; returns loss parts and tokens read.
        schedule: How long and how fast.
        checkpoint: File of the state.
        stage: Name for progress.
        slower: Parameters that learn at a share of the rate, by name.
        monitor: Informed after every step; asked whether to stop.

    Returns:
        The log: steps, tokens, seconds, and one dict of losses a step.
    """
    monitor = monitor or SilentMonitor()
    shares = dict.fromkeys(parameters, 1.0) | dict(slower or {})
    optimiser = torch.optim.AdamW(
        [{"params": [parameter]} for parameter in parameters.values()],
        lr=schedule.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )
    log: dict[str, Any] = {"step": 0, "tokens": 0, "seconds": 0.0, "losses": []}
    if checkpoint.exists():
        state = read_checkpoint(checkpoint)
        load_parameters(checkpoint, parameters)
        optimiser.load_state_dict(state["optimiser"])
        log |= state["log"]
    started = time.monotonic()
    while log["step"] < schedule.steps and not monitor.stop_requested():
        begun = time.monotonic()
        if schedule.minutes is not None and begun - started > schedule.minutes * 60:
            break
        for group, share in zip(optimiser.param_groups, shares.values(), strict=True):
            group["lr"] = schedule.rate(log["step"]) * share
        optimiser.zero_grad(set_to_none=True)
        losses, tokens = step(log["step"])
        torch.nn.utils.clip_grad_norm_(
            [parameter for parameter in parameters.values() if parameter.grad is not None],
            _CLIP_NORM,
        )
        optimiser.step()
        log["step"] += 1
        log["tokens"] += tokens
        log["seconds"] += time.monotonic() - begun
        log["losses"].append(losses)
        told = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
        speed = log["tokens"] / max(log["seconds"], 1e-9)
        detail = f"{told} · {log['tokens']:,} tokens · {speed:.0f} tokens/s"
        monitor.report(Progress(stage, log["step"], schedule.steps, detail))
        if log["step"] % schedule.checkpoint_every == 0:
            _save(checkpoint, parameters, optimiser, log)
    _save(checkpoint, parameters, optimiser, log)
    return log


def _save(
    path: Path,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    log: Mapping[str, object],
) -> None:
    state = {
        "parameters": {name: parameter.detach().cpu() for name, parameter in parameters.items()},
        "optimiser": optimiser.state_dict(),
        "log": dict(log),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".writing")
    torch.save(state, beside)
    beside.replace(path)  # a run killed while writing leaves the older checkpoint whole


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint; tensors and plain values only.

    Raises:
        EncoderLoadError: If it cannot be read.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as exc:
        msg = f"{path} is not a readable checkpoint: {exc}. Delete it to start again."
        raise EncoderLoadError(msg) from exc


def load_parameters(path: Path, parameters: Mapping[str, nn.Parameter]) -> None:
    """Copy a checkpoint's values into the parameters of the same names.

    Raises:
        EncoderLoadError: If a parameter is missing there.
    """
    saved = read_checkpoint(path)["parameters"]
    with torch.no_grad():
        for name, parameter in parameters.items():
            if name not in saved:
                msg = f"{path} holds no {name}; was it made with other options?"
                raise EncoderLoadError(msg)
            parameter.copy_(saved[name])
