"""Between the stages: statistics and a first projection for the readout, from training texts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from core.encoders.readout import Readout
from core.encoders.spec import Attention
from core.training.contrastive import divergence, info_nce
from core.training.pairs import tokenised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from core.training.network import AdaptedNetwork

_TINY = 1e-6
_TOKENS_AT_ONCE = 4096


def plain_readout(
    *,
    layers: Sequence[int],
    hidden: int,
    token_weights: NDArray[np.float32],
) -> Readout:
    """A readout without statistics and projection."""
    width = len(layers) * hidden
    return Readout(
        layers=tuple(layers),
        offset=torch.zeros(width),
        scale=torch.ones(width),
        projection=None,
        token_weights=torch.from_numpy(token_weights),
    )


@torch.no_grad()
def token_statistics(
    network: AdaptedNetwork,
    readout: Readout,
    sequences: NDArray[np.int64],
) -> Readout:
    """Standardise by the frozen causal base's states at single tokens (for dense targets)."""
    network.switch_adapters(active=False)
    try:
        rows = []
        for at in range(0, len(sequences), 16):
            states, _ = network.states(
                torch.from_numpy(sequences[at : at + 16]).to(network.device),
                attention=Attention.CAUSAL,
                layers=readout.layers,
                depth=max(readout.layers),
            )
            rows.append(readout.normalised([state.cpu() for state in states]).flatten(0, 1))
    finally:
        network.switch_adapters(active=True)
    return _standardised(readout, torch.cat(rows))


@torch.no_grad()
def pooled_states(
    network: AdaptedNetwork,
    readout: Readout,
    texts: Sequence[str],
    *,
    prompt: str,
    attention: Attention,
    tokenizer: Tokenizer,
    max_tokens: int,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """The weighted mean of the normalised states of each text: ``(n, width)`` float32.

    Everything that comes after it in the readout is affine, so a projection can be learned from
    these alone, with batches of thousands and no further pass through the backbone.
    """
    padding_id = int(network.backbone.config.pad_token_id or 0)
    whole = tokenised(
        texts, prompt=prompt, tokenizer=tokenizer, max_tokens=max_tokens, padding_id=padding_id
    )
    lengths = whole.attention_mask.sum(dim=1)
    moved = readout.to(network.device)
    rows = torch.zeros(len(texts), readout.matrix_shape[0])
    for chosen in _by_length(lengths.tolist()):
        length = int(lengths[chosen].max())
        ids = whole.token_ids[chosen, :length].to(network.device)
        mask = whole.attention_mask[chosen, :length].to(network.device)
        with torch.autocast(
            network.device.type, dtype=precision, enabled=precision is not torch.float32
        ):
            states, _ = network.states(
                ids,
                attention=attention,
                layers=readout.layers,
                attention_mask=mask,
                depth=max(readout.layers),
            )
        shares = moved.shares(ids, whole.pooled[chosen, :length].to(network.device))
        rows[chosen] = torch.einsum("bl,bld->bd", shares, moved.normalised(states)).cpu()
    return rows


def standardised_on(readout: Readout, pooled: Tensor) -> Readout:
    """The readout with the mean and spread of some pooled states as its statistics."""
    return _standardised(readout, pooled)


def learned_projection(
    queries: Tensor,
    passages: Tensor,
    *,
    sources: Sequence[str],
    dimension: int,
    steps: int,
    batch: int,
    learning_rate: float,
    temperature: float,
    teacher: tuple[Tensor, Tensor] | None,
    teacher_weight: float,
    pull: float,
    seed: int,
) -> Tensor:
    """Learn a projection from standardised pooled states, starting at their principal axes.

    Args:
        queries: ``(n, width)`` standardised pooled states.
        passages: The same for the positives.
        sources: Where each pair is from; pairs of other sources are easy negatives, so half of
            the batches hold one source only.
        dimension: Of the embedding.
        steps: Of Adam.
        batch: Pairs a step.
        learning_rate: At the start; falls to 0 linearly.
        temperature: Of InfoNCE.
        teacher: Teacher's rows for queries and passages, or None.
        teacher_weight: Of the divergence from the teacher.
        pull: Weight of the squared distance from the start: the pairs are few against the
            matrix's entries.
        seed: Of the batches.

    Returns:
        ``(width, dimension)`` float32.
    """
    start = principal_axes(torch.cat([queries, passages]), dimension)
    projection = nn.Parameter(start.clone())
    optimiser = torch.optim.Adam([projection], lr=learning_rate)
    generator = np.random.default_rng(seed)
    names = np.array(sources)
    kinds = sorted(set(sources))
    sizes = np.array([(names == kind).sum() for kind in kinds], dtype=float)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        candidates = np.arange(len(names))
        if step % 2:
            kind = kinds[generator.choice(len(kinds), p=sizes / sizes.sum())]
            candidates = np.flatnonzero(names == kind)
        chosen = torch.from_numpy(
            generator.choice(candidates, size=min(batch, len(candidates)), replace=False)
        )
        left = nn.functional.normalize(queries[chosen] @ projection, dim=-1)
        right = nn.functional.normalize(passages[chosen] @ projection, dim=-1)
        similarities = left @ right.T
        loss = info_nce(
            similarities,
            excluded=torch.zeros_like(similarities, dtype=torch.bool),
            temperature=temperature,
        )
        if teacher is not None and teacher_weight > 0:
            loss = loss + teacher_weight * divergence(
                similarities,
                teacher[0][chosen] @ teacher[1][chosen].T,
                temperature=temperature,
                teacher_temperature=temperature,
            )
        loss = loss + pull * (projection - start).pow(2).sum() / dimension
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return projection.detach().clone()


def principal_axes(rows: Tensor, dimension: int) -> Tensor:
    """The directions of largest variance of some rows: ``(width, dimension)``, orthonormal."""
    centred = rows - rows.mean(dim=0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    axes: Tensor = vectors[:, -dimension:].flip(-1)
    # an eigenvector's sign is arbitrary; fix it so that runs can be compared
    signs = torch.sign(axes[axes.abs().argmax(dim=0), torch.arange(axes.shape[1])])
    signed: Tensor = axes * signs
    return signed


def with_projection(readout: Readout, projection: Tensor) -> Readout:
    """The readout with another projection."""
    return replace(readout, projection=projection)


def _standardised(readout: Readout, rows: Tensor) -> Readout:
    return replace(readout, offset=rows.mean(dim=0), scale=1.0 / (rows.std(dim=0) + _TINY))


def _by_length(lengths: Sequence[int]) -> list[list[int]]:
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    batches: list[list[int]] = []
    for row in order:
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= _TOKENS_AT_ONCE:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches
