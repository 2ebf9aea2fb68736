"""What both stages share: optimiser, learning-rate curve, checkpoints, budget and progress."""

from __future__ import annotations

import math
import pickle
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from core.errors import EncoderLoadError
from core.monitor import Monitor, Progress, SilentMonitor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import nn

_CLIP_NORM = 1.0
_FLOOR = 0.1  # of the learning rate at the last step


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast a stage learns.

    Attributes:
        steps: Optimiser steps in all; fixed beforehand so that a run can be repeated.
        learning_rate: At its highest.
        warmup: Share of the steps in which it rises.
        budget_minutes: Stop with a checkpoint after this time; a later call goes on. None: no limit.
        checkpoint_every: Steps between checkpoints.
        until: Stop with a checkpoint at this step of the plan; a later call goes on. None: no limit.
            What a budget is to the clock this is to the steps: it gives two arms equal ones.
    """

    steps: int
    learning_rate: float
    warmup: float = 0.06
    budget_minutes: float | None = None
    checkpoint_every: int = 10
    until: int | None = None

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear rise, then a cosine down to a tenth."""
        rising = max(1, round(self.steps * self.warmup))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        progress = (step - rising) / max(1, self.steps - rising)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self.learning_rate * (_FLOOR + (1 - _FLOOR) * cosine)


@dataclass(slots=True)
class Log:
    """What a stage has done so far; part of its checkpoint.

    Attributes:
        step: Steps finished.
        tokens: Tokens read.
        seconds: Time spent in steps.
        losses: One entry per step: the named parts of the loss.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[dict[str, float]] = field(default_factory=list)


def train(
    parameters: Mapping[str, nn.Parameter],
    step: Callable[[int], tuple[dict[str, float], int]],
    *,
    schedule: Schedule,
    checkpoint: Path | None,
    stage: str,
    slower: Mapping[str, float] | None = None,
    monitor: Monitor | None = None,
) -> Log:
    """Run the steps of a stage, from its checkpoint if there is one.

    A step must depend on its number and the parameters alone (its randomness drawn from a generator
    seeded with the number), so that stopping and going on gives what an uninterrupted run gives.

    Args:
        parameters: What is trained, by name.
        step: Given the step's number, accumulates gradients; returns loss parts and tokens read.
        schedule: How long and how fast.
        checkpoint: Where the state is kept; None keeps none.
        stage: Name for progress.
        slower: Parameters that learn at a share of the rate, by name.
        monitor: Told after every step; asked whether to stop.

    Returns:
        The log; ``log.step < schedule.steps`` when stopped early.
    """
    watcher = monitor or SilentMonitor()
    shares = dict.fromkeys(parameters, 1.0) | dict(slower or {})
    optimiser = torch.optim.AdamW(
        [{"params": [parameter]} for parameter in parameters.values()],
        lr=schedule.learning_rate,
        weight_decay=0.0,
    )
    log = Log()
    if checkpoint is not None and checkpoint.exists():
        log = _restore(checkpoint, parameters, optimiser)
    started = time.monotonic()
    last = schedule.steps if schedule.until is None else min(schedule.until, schedule.steps)
    while log.step < last:
        if watcher.stop_requested() or _spent(started, schedule):
            break
        begun = time.monotonic()
        for group, share in zip(optimiser.param_groups, shares.values(), strict=True):
            group["lr"] = schedule.rate(log.step) * share
        optimiser.zero_grad(set_to_none=True)
        parts, tokens = step(log.step)
        torch.nn.utils.clip_grad_norm_(
            [parameter for parameter in parameters.values() if parameter.grad is not None],
            _CLIP_NORM,
        )
        optimiser.step()
        log.step += 1
        log.tokens += tokens
        log.seconds += time.monotonic() - begun
        log.losses.append(parts)
        watcher.report(Progress(stage, log.step, schedule.steps, _told(log, schedule)))
        if checkpoint is not None and log.step % schedule.checkpoint_every == 0:
            _save(checkpoint, parameters, optimiser, log)
    if checkpoint is not None:
        _save(checkpoint, parameters, optimiser, log)
    return log


def _spent(started: float, schedule: Schedule) -> bool:
    minutes = schedule.budget_minutes
    return minutes is not None and time.monotonic() - started > minutes * 60


def _told(log: Log, schedule: Schedule) -> str:
    parts = " ".join(f"{name} {value:.4f}" for name, value in log.losses[-1].items())
    speed = log.tokens / max(log.seconds, 1e-9)
    left = log.seconds / log.step * (schedule.steps - log.step) / 60
    return f"{parts} · {speed:.0f} tokens/s · {left:.1f} min left"


def _save(
    path: Path,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    log: Log,
) -> None:
    state = {
        "parameters": {name: parameter.detach().cpu() for name, parameter in parameters.items()},
        "optimiser": optimiser.state_dict(),
        "log": {
            "step": log.step,
            "tokens": log.tokens,
            "seconds": log.seconds,
            "losses": log.losses,
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".writing")
    torch.save(state, beside)
    beside.replace(path)  # a run killed while writing leaves the older checkpoint whole


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content; tensors and plain values only.

    Raises:
        EncoderLoadError: If it cannot be read.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as exc:
        msg = f"{path} is not a readable checkpoint: {exc}. Delete it to start again."
        raise EncoderLoadError(msg) from exc
    return dict(state)


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


def _restore(
    path: Path,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
) -> Log:
    load_parameters(path, parameters)
    state = read_checkpoint(path)
    optimiser.load_state_dict(state["optimiser"])
    return Log(**state["log"])
