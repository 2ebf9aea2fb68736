"""Between the stages: statistics and a first projection for the readout, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from core.encoders.pooling import Readout
from core.encoders.spec import Attention, Pooling
from core.training.contrastive import pooled_states
from core.training.data import TrainingPair, tokenised
from core.training.network import AdaptedNetwork

_TINY = 1e-6
_TEXTS_AT_ONCE = 32


def plain_readout(*, layer: int, hidden: int, vocabulary: int) -> Readout:
    """Readout of the last layer by plain mean, without statistics and projection."""
    return Readout(
        layers=(layer,),
        offset=torch.zeros(hidden),
        scale=torch.ones(hidden),
        projection=None,
        token_weights=torch.ones(vocabulary),
        pooling=Pooling.MEAN,
    )


@torch.no_grad()
def fitted_readout(
    network: AdaptedNetwork,
    pairs: Sequence[TrainingPair],
    *,
    attention: Attention,
    tokenizer: Tokenizer,
    prompts: tuple[str, str],
    limits: tuple[int, int],
    dimension: int,
    shrinkage: float = 1.0,
) -> Readout:
    """Standardise by the pooled states of some pairs, and project by linear discriminants.

    Args:
        network: After stage 1.
        pairs: A few thousand.
        attention: How the encoder attends.
        tokenizer: The base's.
        prompts: Of queries and of passages.
        limits: Tokens of queries and of passages.
        dimension: Of the embedding.
        shrinkage: See `discriminant_projection`.
    """
    readout = plain_readout(
        layer=network.depth,
        hidden=int(network.backbone.config.hidden_size),
        vocabulary=int(network.backbone.config.vocab_size),
    ).to(network.device)
    sides = []
    for column, prompt, limit in zip(("query", "positive"), prompts, limits, strict=True):
        texts = [getattr(pair, column) for pair in pairs]
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        rows = torch.zeros(len(texts), readout.matrix_shape[0])
        for at in range(0, len(order), _TEXTS_AT_ONCE):
            places = order[at : at + _TEXTS_AT_ONCE]
            batch = tokenised(
                [texts[place] for place in places],
                prompt=prompt,
                tokenizer=tokenizer,
                max_tokens=limit,
                padding_id=int(network.backbone.config.pad_token_id or 0),
            )
            rows[places] = pooled_states(network, readout, batch, attention=attention).cpu()
        sides.append(rows)
    both = torch.cat(sides)
    readout = replace(readout.to("cpu"), offset=both.mean(0), scale=1.0 / (both.std(0) + _TINY))
    queries, passages = (readout.project(rows) for rows in sides)
    projection = discriminant_projection(
        queries, passages, dimension=dimension, shrinkage=shrinkage
    )
    return replace(readout, projection=projection)


def discriminant_projection(
    queries: Tensor, passages: Tensor, *, dimension: int, shrinkage: float
) -> Tensor:
    """The directions in which texts differ most, measured by how little true pairs differ there.

    Linear discriminant analysis with every pair as a class (Fisher 1936): the generalised
    eigenvectors of the covariance of all texts against that of the differences within pairs.

    Args:
        queries: ``(n, width)`` standardised pooled states.
        passages: The same for the positives.
        dimension: Of the embedding.
        shrinkage: Share of the mean variance that is added to every direction of the within-pair
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
