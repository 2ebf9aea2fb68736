"""Between the stages: statistics and a first projection for the readout, from training texts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from core.encoders.backbone import build_backbone
from core.encoders.readout import Readout
from core.encoders.spec import Attention, Pooling
from core.training.contrastive import divergence, info_nce
from core.training.pairs import tokenised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from core.training.network import AdaptedNetwork
    from core.training.pairs import TokenBatch

_TINY = 1e-6
_TOKENS_AT_ONCE = 4096


def plain_readout(
    *,
    layers: Sequence[int],
    hidden: int,
    token_weights: NDArray[np.float32],
    pooling: Pooling = Pooling.WEIGHTED_MEAN,
) -> Readout:
    """A readout without statistics and projection."""
    width = len(layers) * hidden
    return Readout(
        layers=tuple(layers),
        offset=torch.zeros(width),
        scale=torch.ones(width),
        projection=None,
        token_weights=torch.from_numpy(token_weights),
        pooling=pooling,
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
    """The normalised states of each text, pooled: ``(n, width)`` float32.

    Everything that comes after it in the readout is affine, so a projection can be learned from
    these alone, with batches of thousands and no further pass through the backbone.
    """
    padding_id = int(network.backbone.config.pad_token_id or 0)
    whole = tokenised(
        texts, prompt=prompt, tokenizer=tokenizer, max_tokens=max_tokens, padding_id=padding_id
    )
    lengths = whole.attention_mask.sum(dim=1)
    rows = torch.zeros(len(texts), readout.matrix_shape[0])
    if network.device.type == "cpu":
        _fill_lean(rows, network, readout, whole, lengths.tolist(), attention=attention)
        return rows
    moved = readout.to(network.device)
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


def _fill_lean(
    rows: Tensor,
    network: AdaptedNetwork,
    readout: Readout,
    whole: TokenBatch,
    lengths: Sequence[int],
    *,
    attention: Attention,
) -> None:
    """Embed with the product's own CPU path, which needs no padding."""
    depth = max(readout.layers)
    fields = {**network.backbone.config.to_dict(), "num_hidden_layers": depth}
    backbone = build_backbone("llama", fields, network.merged(layers=depth), source="training")
    for chosen in _by_length(lengths):
        texts = [whole.token_ids[row, : lengths[row]].tolist() for row in chosen]
        for block in backbone.run(texts, attention=attention, layers=readout.layers):
            places = [chosen[row] for row in block.rows]
            pooled = whole.pooled[places, : block.token_ids.shape[1]]
            shares = readout.shares(block.token_ids, pooled)
            rows[places] = torch.einsum("bl,bld->bd", shares, readout.normalised(block.states))


def standardised_on(readout: Readout, pooled: Tensor) -> Readout:
    """The readout with the mean and spread of some pooled states as its statistics."""
    return _standardised(readout, pooled)


def discriminant_projection(
    queries: Tensor,
    passages: Tensor,
    *,
    dimension: int,
    shrinkage: float,
) -> Tensor:
    """The directions in which texts differ most, measured by how little true pairs differ there.

    Linear discriminant analysis with every pair as a class (Fisher 1936): the generalised
    eigenvectors of the covariance of all texts against that of the differences within pairs. In
    closed form, so it costs one pass through the backbone and nothing else.

    Args:
        queries: ``(n, width)`` standardised pooled states.
        passages: The same for the positives.
        dimension: Of the embedding.
        shrinkage: How much of the mean variance is added to every direction of the within-pair
            covariance; the pairs are few against its size.

    Returns:
        ``(width, dimension)`` float32. The direction that tells queries from passages is left out:
        prompts and style separate the sides, and that must not decide similarity.
    """
    side = nn.functional.normalize(queries.mean(dim=0) - passages.mean(dim=0), dim=0)
    left, right = queries - queries.mean(dim=0), passages - passages.mean(dim=0)
    both = torch.cat([left, right])
    total = both.T @ both / len(both)
    within = (left - right).T @ (left - right) / len(left)
    within = within + shrinkage * within.diagonal().mean() * torch.eye(len(within))
    lower = torch.linalg.cholesky(within)
    half = torch.linalg.solve_triangular(lower, total, upper=False)
    whitened = torch.linalg.solve_triangular(lower, half.T, upper=False)
    _, vectors = torch.linalg.eigh((whitened + whitened.T) / 2)
    axes = torch.linalg.solve_triangular(lower.T, vectors[:, -dimension:].flip(-1), upper=True)
    # an eigenvector's sign is arbitrary; fix it so that runs can be compared
    axes = axes * torch.sign(axes[axes.abs().argmax(dim=0), torch.arange(axes.shape[1])])
    axes = axes - side[:, None] * (side @ axes)[None]
    scaled: Tensor = axes * (dimension / axes.pow(2).sum()).sqrt()
    return scaled


def learned_projection(
    start: Tensor,
    queries: Tensor,
    passages: Tensor,
    *,
    sources: Sequence[str],
    steps: int,
    batch: int,
    learning_rate: float,
    temperature: float,
    teacher: tuple[Tensor, Tensor] | None,
    teacher_weight: float,
    pull: float,
    seed: int,
) -> Tensor:
    """Learn a projection from standardised pooled states, from a given start.

    Args:
        start: ``(width, dim)``.
        queries: ``(n, width)`` standardised pooled states.
        passages: The same for the positives.
        sources: Where each pair is from; pairs of other sources are easy negatives, so half of
            the batches hold one source only.
        steps: Of Adam.
        batch: Pairs a step.
        learning_rate: At the start, as a share of the start's mean absolute entry; falls to 0.
        temperature: Of InfoNCE.
        teacher: Teacher's rows for queries and passages, or None.
        teacher_weight: Of the divergence from the teacher.
        pull: Weight of the squared relative distance from the start: the pairs are few against the
            matrix's entries.
        seed: Of the batches.

    Returns:
        ``(width, dim)`` float32.
    """
    projection = nn.Parameter(start.clone())
    rate = learning_rate * float(start.abs().mean())
    optimiser = torch.optim.Adam([projection], lr=rate)
    generator = np.random.default_rng(seed)
    names = np.array(sources)
    kinds = sorted(set(sources))
    sizes = np.array([(names == kind).sum() for kind in kinds], dtype=float)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
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
        loss = loss + pull * (projection - start).pow(2).sum() / start.pow(2).sum()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return projection.detach().clone()


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
