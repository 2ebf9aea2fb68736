"""Stage 1: the same tokens in the same order, each arm with the objective of its family.

The diffusion arm gets two losses. *Token loss*: each sequence draws a mask ratio t, that share of
its tokens is replaced by the mask vector, and the arm, attending in both directions, predicts the
masked tokens (cross-entropy; the base's shift is kept: position i - 1 predicts token i). This makes
it a masked-diffusion language model. *Dense loss*: from a masked input it must also give, at every
position, the states that the frozen causal base has on the clean text. It carries the base's
knowledge over to full attention at a fraction of the tokens, because every position teaches.

The autoregressive arm gets next-token cross-entropy on every one of the same batches: equal tokens,
at a higher price per token, because only its objective always runs at full depth. Its dense targets
would be its own states, so there is nothing to learn from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from core.encoders.spec import Attention
from core.records import Family
from core.training.schedule import Log, Schedule, train

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from core.encoders.readout import Readout
    from core.monitor import Monitor
    from core.training.network import AdaptedNetwork


@dataclass(frozen=True, slots=True)
class AdaptationOptions:
    """Settings of stage 1.

    Attributes:
        batch: Sequences a step.
        micro_batch: Sequences that go through the network at once.
        token_loss_every: The diffusion arm's token loss (full depth) is taken on every n-th step
            only, because it costs four times what the dense loss costs; 1 takes it on every step.
        dense_ratio: Highest mask ratio on steps with the dense loss alone.
        token_ratio: Lowest and highest mask ratio on steps with the token loss.
        dense_weight: Weight of the dense loss; 0 leaves it out (the ablation), and with it the
            steps without token loss.
        seed: Of masks and ratios.
        precision: Compute type inside the network.
    """

    batch: int = 8
    micro_batch: int = 8
    token_loss_every: int = 3
    dense_ratio: float = 0.4
    token_ratio: tuple[float, float] = (0.1, 1.0)
    dense_weight: float = 1.0
    seed: int = 0
    precision: torch.dtype = torch.float32


def adapt(
    network: AdaptedNetwork,
    family: Family,
    sequences: NDArray[np.int64],
    *,
    readout: Readout,
    options: AdaptationOptions,
    schedule: Schedule,
    checkpoint: Path | None,
    monitor: Monitor | None = None,
) -> Log:
    """Run stage 1 for one arm.

    Args:
        network: At full depth.
        family: Decides objective and attention.
        sequences: ``(n, length)`` token ids; step s reads rows ``s * batch`` and following, from
            the beginning again when they are used up.
        readout: Its layers and statistics define the dense targets; its highest layer is how deep
            the encoder will be.
        options: Settings.
        schedule: How long and how fast.
        checkpoint: Where the state is kept.
        monitor: Told after every step.
    """
    layers = [layer for layer in readout.layers if layer > 0]
    targets = _DenseTargets(readout)
    depth = max(layers)

    def rows(step: int) -> Tensor:
        first = step * options.batch
        chosen = [(first + row) % len(sequences) for row in range(options.batch)]
        return torch.from_numpy(sequences[chosen])

    def step(number: int) -> tuple[dict[str, float], int]:
        token_step = number % options.token_loss_every == 0
        ids = rows(number)
        with_dense = family is Family.DIFFUSION and options.dense_weight > 0
        if family is Family.DIFFUSION and not (with_dense or token_step):
            return {}, 0  # the ablation: without dense targets nothing is learned on this batch
        ratios, draws = _noise(ids, number=number, token_step=token_step, options=options)
        sums: dict[str, float] = {}
        for at in range(0, len(ids), options.micro_batch):
            part = slice(at, at + options.micro_batch)
            share = len(ids[part]) / len(ids)
            batch = ids[part].to(network.device)
            masked = (draws[part] < ratios[part]).to(network.device)
            with torch.autocast(
                network.device.type,
                dtype=options.precision,
                enabled=options.precision is not torch.float32,
            ):
                if family is Family.AUTOREGRESSIVE:
                    losses = {"next token": next_token_loss(network, batch)}
                else:
                    losses = {}
                    states, final = network.states(
                        batch,
                        attention=Attention.BIDIRECTIONAL,
                        layers=layers,
                        masked=masked,
                        depth=None if token_step else depth,
                    )
                    if with_dense:
                        clean = targets.of(network, batch, depth=depth)
                        distance = targets.distance(states, clean)
                        losses["dense"] = options.dense_weight * distance
                    if token_step:
                        losses["masked token"] = masked_token_loss(network, final, batch, masked)
            loss = torch.stack(list(losses.values())).sum() * share
            torch.autograd.backward(loss)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) * share
        return sums, ids.numel()

    return train(
        network.trained(),
        step,
        schedule=schedule,
        checkpoint=checkpoint,
        stage=f"adapting ({family.value})",
        monitor=monitor,
    )


def next_token_loss(network: AdaptedNetwork, token_ids: Tensor) -> Tensor:
    """Mean cross-entropy of every token given those before it, in nats."""
    _, final = network.states(token_ids, attention=Attention.CAUSAL, layers=[])
    logits = network.logits(final[:, :-1])
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), token_ids[:, 1:].flatten())


def masked_token_loss(
    network: AdaptedNetwork,
    final: Tensor,
    token_ids: Tensor,
    masked: Tensor,
) -> Tensor:
    """Mean cross-entropy of the masked tokens, in nats; position i - 1 predicts token i.

    The first token of a sequence has no position before it and is not counted.
    """
    wanted = masked[:, 1:]
    logits = network.logits(final[:, :-1][wanted])
    if logits.shape[0] == 0:
        return final.sum() * 0.0
    return nn.functional.cross_entropy(logits.float(), token_ids[:, 1:][wanted])


def _noise(
    ids: Tensor,
    *,
    number: int,
    token_step: bool,
    options: AdaptationOptions,
) -> tuple[Tensor, Tensor]:
    """Mask ratio of each sequence, and a uniform draw for each token, from the step's number."""
    generator = torch.Generator().manual_seed(options.seed * 1_000_003 + number)
    low, high = options.token_ratio if token_step else (0.0, options.dense_ratio)
    ratios = low + (high - low) * torch.rand(len(ids), 1, generator=generator)
    return ratios, torch.rand(ids.shape, generator=generator)


class _DenseTargets:
    """The frozen causal base's states, standardised as the readout standardises them."""

    def __init__(self, readout: Readout) -> None:
        width = int(readout.offset.shape[0]) // len(readout.layers)
        kept = [at for at, layer in enumerate(readout.layers) if layer > 0]
        columns = torch.cat([torch.arange(at * width, (at + 1) * width) for at in kept])
        self._readout = readout
        self._layers = [readout.layers[at] for at in kept]
        self._offset = readout.offset[columns]
        self._scale = readout.scale[columns]

    def of(self, network: AdaptedNetwork, token_ids: Tensor, *, depth: int) -> Tensor:
        network.switch_adapters(active=False)
        try:
            with torch.no_grad():
                states, _ = network.states(
                    token_ids, attention=Attention.CAUSAL, layers=self._layers, depth=depth
                )
        finally:
            network.switch_adapters(active=True)
        return self._standardised(states)

    def distance(self, states: list[Tensor], clean: Tensor) -> Tensor:
        return nn.functional.smooth_l1_loss(self._standardised(states), clean)

    def _standardised(self, states: list[Tensor]) -> Tensor:
        normalised = self._readout.normalised(states)
        return (normalised - self._offset.to(normalised)) * self._scale.to(normalised)
