"""Stage 1: the same tokens in the same order, each encoder with the objective of its family.

Both are cut to the layers that ship, and both predict tokens from their last layer through a small
matrix, the bridge, and the base's tied output matrix; of its 49,152 tokens each step scores those
that it holds and the 8,192 most frequent, which is nearly twice as fast as all. The bridge starts as the least-squares map
from the base's states at that depth to its final states, so that a cut network is a language model
from the first step.

*Autoregressive*: next-token cross-entropy at every position. *Diffusion*: each sequence draws a mask
ratio, that share of its tokens is replaced by the mask vector, and the encoder, attending in both
directions, predicts them (the base's shift is kept: position i - 1 predicts token i). From the same
masked input it must also come near the frozen causal base's states on the clean text (dense loss);
its weight falls from 1 to 0 over the first 300 steps, because the base's states know nothing of
later tokens and would hold the encoder to that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.encoders.spec import Attention
from core.records import Family
from core.training.network import AdaptedNetwork

LENGTHS = (128, 256, 512, 1024)
TOKENS = 4096  # a step
HELD_OUT = 200_000  # tokens at the stream's end that no step reads
_DENSE_STEPS = 300
CANDIDATES = 8192  # most frequent tokens that every step scores
_BLOCK = 512  # positions whose scores over the vocabulary are in memory at once
_TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Bridge:
    """The map from a cut network's states to the base's final states, and the base's statistics.

    Attributes:
        weight: ``(hidden, hidden)`` float32.
        bias: ``(hidden,)`` float32.
        offsets: Mean of the unit-RMS states by layer: those of the dense loss.
        scales: One over their standard deviation, by layer.
    """

    weight: Tensor
    bias: Tensor
    offsets: dict[int, Tensor]
    scales: dict[int, Tensor]

    def standardised(self, states: Tensor, layer: int) -> Tensor:
        """Unit-RMS states of a layer by the base's mean and spread."""
        return (unit(states) - self.offsets[layer]) * self.scales[layer]


def unit(states: Tensor) -> Tensor:
    """States at unit root mean square."""
    return states * torch.rsqrt(states.pow(2).mean(-1, keepdim=True) + _TINY)


def windows(stream: NDArray[np.uint16], step: int, *, seed: int = 7) -> Tensor:
    """Token ids of a step, ``(TOKENS // length, length)``, from random places of the stream.

    The lengths take turns; what the last `HELD_OUT` tokens hold is never read.
    """
    length = LENGTHS[step % len(LENGTHS)]
    last = len(stream) - HELD_OUT - length
    starts = np.random.default_rng([seed, step]).integers(0, last, size=TOKENS // length)
    return torch.from_numpy(
        np.stack([stream[start : start + length].astype(np.int64) for start in starts])
    )


@torch.no_grad()
def fit_bridge(base: AdaptedNetwork, layers: int, batches: list[Tensor]) -> Bridge:
    """Least squares from the base's states after some layers to its final states.

    Args:
        base: At full depth.
        layers: Depth of the encoders.
        batches: Token ids, ``(n, length)`` each.
    """
    taps = (layers // 2, layers)
    inputs: dict[int, list[Tensor]] = {layer: [] for layer in taps}
    targets = []
    for ids in batches:
        states, final = base.states(ids, attention=Attention.CAUSAL, layers=taps)
        for layer, state in zip(taps, states, strict=True):
            inputs[layer].append(unit(state).flatten(0, 1))
        targets.append(final.flatten(0, 1))
    rows = {layer: torch.cat(parts) for layer, parts in inputs.items()}
    x = torch.cat([rows[layers], torch.ones(len(rows[layers]), 1)], dim=1).double()
    ridge = 1e-5 * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
    solved = torch.linalg.solve(x.T @ x + ridge, x.T @ torch.cat(targets).double()).float()
    return Bridge(
        weight=solved[:-1],
        bias=solved[-1],
        offsets={layer: part.mean(0) for layer, part in rows.items()},
        scales={layer: 1.0 / (part.std(0) + _TINY) for layer, part in rows.items()},
    )


def token_loss(inputs: Tensor, ids: Tensor, embeddings: Tensor) -> tuple[float, Tensor]:
    """Mean cross-entropy in nats, and a scalar whose gradient at the inputs is the loss's.

    Scores over the vocabulary are formed block by block and thrown away: those of a whole step
    would take a gigabyte.

    Args:
        inputs: ``(n, hidden)``, with a graph.
        ids: ``(n,)`` the right tokens.
        embeddings: ``(vocabulary, hidden)`` tied output matrix, frozen.
    """
    gradient = torch.empty_like(inputs)
    total = 0.0
    with torch.no_grad():
        for at in range(0, len(ids), _BLOCK):
            right = ids[at : at + _BLOCK]
            logits = inputs[at : at + _BLOCK] @ embeddings.T
            probabilities = logits.softmax(-1)
            picked = probabilities.gather(1, right[:, None])
            total -= float(picked.clamp_min(1e-30).log().sum())
            probabilities.scatter_add_(1, right[:, None], -torch.ones_like(picked))
            gradient[at : at + _BLOCK] = probabilities @ embeddings
    count = max(len(ids), 1)
    return total / count, (inputs * (gradient / count)).sum()


def noise(ids: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Mask ratio of each sequence ``(n, 1)`` and its masked places ``(n, length)`` bool.

    Three sequences in ten keep nearly everything (ratio below .15), as texts do when they are
    embedded; the others draw from .1 to 1.
    """
    generator = torch.Generator().manual_seed(step)
    draws = torch.rand(len(ids), 1, generator=generator)
    light = torch.rand(len(ids), 1, generator=generator) < 0.3
    ratios = torch.where(light, draws * 0.15, 0.1 + 0.9 * draws)
    return ratios, torch.rand(ids.shape, generator=generator) < ratios


def stage_one(
    network: AdaptedNetwork,
    family: Family,
    stream: NDArray[np.uint16],
    bridge: Bridge,
    *,
    micro_tokens: int = 2048,
    dense: float = 1.0,
) -> tuple[dict[str, nn.Parameter], Callable[[int], tuple[dict[str, float], int]]]:
    """Parameters of stage 1 and its step, for `core.training.loop.train`.

    Args:
        network: At the depth that ships.
        family: Decides objective and attention.
        stream: Token ids of the texts.
        bridge: From `fit_bridge`.
        micro_tokens: Tokens in the network at once.
        dense: Weight of the dense loss at the start; 0 for the ablation.
    """
    matrix, bias = nn.Parameter(bridge.weight.clone()), nn.Parameter(bridge.bias.clone())
    parameters = {**network.trained(), "bridge.w": matrix, "bridge.b": bias}
    network.learn_only(parameters.values())
    embeddings = network.backbone.embed_tokens.weight.detach()
    counts = np.bincount(stream[:-HELD_OUT], minlength=len(embeddings))
    frequent = torch.from_numpy(np.argsort(-counts, kind="stable")[:CANDIDATES].copy())
    taps = sorted(bridge.offsets)
    top = taps[-1]

    def predicted(states: Tensor) -> Tensor:
        return unit(states)[:, :-1] @ matrix + bias

    def scored(inputs: Tensor, right: Tensor) -> tuple[float, Tensor]:
        tokens = torch.unique(torch.cat([frequent, right]))
        return token_loss(inputs, torch.searchsorted(tokens, right), embeddings[tokens])

    def diffusion(ids: Tensor, masked: Tensor, kept: Tensor, weight: float) -> dict[str, Tensor]:
        states, _ = network.states(
            ids, attention=Attention.BIDIRECTIONAL, layers=taps, masked=masked
        )
        wanted = masked[:, 1:]
        value, loss = scored(predicted(states[-1])[wanted], ids[:, 1:][wanted])
        found = {"token": loss, "nats": torch.tensor(value)}
        if not weight:
            return found
        network.switch_adapters(active=False)
        with torch.no_grad():
            clean, _ = network.states(ids, attention=Attention.CAUSAL, layers=taps)
        network.switch_adapters(active=True)
        gap = torch.stack(
            [
                nn.functional.smooth_l1_loss(
                    bridge.standardised(one, layer),
                    bridge.standardised(two, layer),
                    reduction="none",
                )
                .mul(kept)
                .mean()
                for one, two, layer in zip(states, clean, taps, strict=True)
            ]
        ).mean()
        return {"dense": weight * gap, **found}

    def causal(ids: Tensor) -> dict[str, Tensor]:
        states, _ = network.states(ids, attention=Attention.CAUSAL, layers=[top])
        value, loss = scored(predicted(states[0]).flatten(0, 1), ids[:, 1:].flatten())
        return {"token": loss, "nats": torch.tensor(value)}

    def step(number: int) -> tuple[dict[str, float], int]:
        ids = windows(stream, number)
        ratios, masked = noise(ids, number)
        weight = dense * max(0.0, 1 - number / _DENSE_STEPS)
        rows = max(1, micro_tokens // ids.shape[1])
        sums: dict[str, float] = {}
        for at in range(0, len(ids), rows):
            part = slice(at, at + rows)
            share = len(ids[part]) / len(ids)
            if family is Family.DIFFUSION:
                kept = (1 - ratios[part])[..., None]
                losses = diffusion(ids[part], masked[part], kept, weight)
            else:
                losses = causal(ids[part])
            nats = losses.pop("nats")
            torch.autograd.backward(torch.stack(list(losses.values())).sum() * share)
            for name, value in {**losses, "token": nats}.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) * share
        return sums, ids.numel()

    return parameters, step


@torch.no_grad()
def losses_by_length(
    network: AdaptedNetwork,
    family: Family,
    stream: NDArray[np.uint16],
    parameters: dict[str, nn.Parameter],
    *,
    ratio: float = 0.3,
    count: int = 8,
) -> dict[int, float]:
    """Mean cross-entropy in nats on held-out text, by window length.

    Of masked tokens at one ratio for the diffusion encoder, of every next token for the other.
    """
    embeddings = network.backbone.embed_tokens.weight
    depth = network.depth
    losses = {}
    for length in LENGTHS:
        held = stream[-HELD_OUT:][: count * LENGTHS[-1]].astype(np.int64)
        ids = torch.from_numpy(held).reshape(-1, length)
        generator = torch.Generator().manual_seed(0)
        masked = torch.rand(ids.shape, generator=generator) < ratio
        values = []
        for at in range(0, len(ids), max(1, 2048 // length)):
            part = slice(at, at + max(1, 2048 // length))
            is_diffusion = family is Family.DIFFUSION
            states, _ = network.states(
                ids[part],
                attention=Attention.BIDIRECTIONAL if is_diffusion else Attention.CAUSAL,
                layers=[depth],
                masked=masked[part] if is_diffusion else None,
            )
            scored = masked[part][:, 1:] if is_diffusion else torch.ones_like(ids[part][:, 1:]) > 0
            inputs = unit(states[0])[:, :-1] @ parameters["bridge.w"] + parameters["bridge.b"]
            value, _ = token_loss(inputs[scored], ids[part][:, 1:][scored], embeddings)
            values.append((value, int(scored.sum())))
        losses[length] = sum(value * n for value, n in values) / sum(n for _, n in values)
    return losses
