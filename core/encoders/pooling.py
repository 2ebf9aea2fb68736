"""Token states to one embedding: pooling, and the readouts that are built on it.

Padding is on the right and never counts. A readout makes something of each token's states, weighs the
tokens and maps the sum affinely; weights sum to 1, so pooling before the map gives the same embedding
as pooling after it, and an embedding is the weighted sum of its tokens' own contributions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from core.encoders.spec import Pooling
from core.errors import EncoderLoadError, EncodingError, WeightsMismatchError

FINAL_LAYER = -1


def pooling_weights(
    attention_mask: Tensor, pooling: Pooling, token_weights: Tensor | None = None
) -> Tensor:
    """Return how much each token counts, ``(batch, seq_len)`` float32: rows sum to 1, padding is 0.

    Real tokens (1 in the mask) stand at the left of each row; prompt tokens before them may be left
    out (0). `Pooling.WEIGHTED_MEAN` needs non-negative weights, ``(batch, seq_len)``; where a text's
    are all zero its tokens count alike.

    Raises:
        EncodingError: If a row has no token that may count, or the weighted mean has no weights.
    """
    mask = attention_mask.bool()
    if not bool(mask.any(dim=1).all()):
        raise EncodingError(
            "A text came to pooling without a single token; this is a fault in the encoder."
        )
    if pooling is Pooling.LAST_TOKEN:
        positions = torch.arange(mask.shape[1], device=mask.device)
        last = (mask * (positions + 1)).argmax(dim=1)
        return (positions[None, :] == last[:, None]).float()
    if pooling is Pooling.FIRST_TOKEN:
        positions = torch.arange(mask.shape[1], device=mask.device)
        return (positions[None, :] == mask.int().argmax(dim=1)[:, None]).float()
    equal = mask.float()
    weights = equal
    if pooling is Pooling.WEIGHTED_MEAN:
        if token_weights is None:
            raise EncodingError(
                "Weighted mean pooling needs a weight per token; the encoder's readout has none."
            )
        weights = token_weights.float() * equal
        weights = torch.where(weights.sum(dim=1, keepdim=True) > 0, weights, equal)
    return weights / weights.sum(dim=1, keepdim=True)


def pool(states: Tensor, weights: Tensor) -> Tensor:
    """Pool padded states by weights, ``(batch, hidden)`` float32.

    Whatever stands in padding, NaN too, has no influence.
    """
    states = states.float().masked_fill(weights[:, :, None] == 0, 0.0)
    return torch.einsum("bl,blh->bh", weights, states)


class LastLayerReadout:
    """The usual readout: the backbone's states after its final norm, as they are."""

    layers = (FINAL_LAYER,)

    def __init__(self, hidden_size: int, pooling: Pooling) -> None:
        self.dimension = hidden_size
        self._pooling = pooling

    def normalised(self, states: Sequence[Tensor]) -> Tensor:
        """Return the states of the one layer, float32."""
        return states[0].float()

    def project(self, normalised: Tensor) -> Tensor:
        """Return the states unchanged."""
        return normalised

    def shares(self, token_ids: Tensor, pooled: Tensor) -> Tensor:  # noqa: ARG002
        """Return the pooling weights of ``(batch, length)``; tokens of a mean count alike."""
        return pooling_weights(pooled, self._pooling)

    def to(self, device: torch.device | str) -> LastLayerReadout:  # noqa: ARG002
        """Return itself; it has no numbers to move."""
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """The bundled pair's readout: a map of inner layers that is linear in the tokens.

    A backbone built from a language model is not an embedding model: a few of its dimensions are
    hundreds of times larger than the others, and its last layer is about the next token. The readout
    takes the residual stream after a few chosen layers, brings each token's state to unit root mean
    square, standardises every dimension with fixed statistics, projects, and averages over the
    tokens with a fixed weight per vocabulary entry. Nothing in it depends on other texts.
    """

    # which points of the residual stream are read: 0 is the token embeddings, ``l`` the stream
    # after layer ``l``, always *before* the backbone's final norm
    layers: tuple[int, ...]
    offset: Tensor  # ``(len(layers) * hidden,)`` float32, subtracted from the normalised states
    scale: Tensor  # ``(len(layers) * hidden,)`` float32, multiplied after that
    # ``(len(layers) * hidden, dim)`` float32, or None to keep the dimensions
    projection: Tensor | None
    token_weights: (
        Tensor  # ``(vocabulary,)`` float32, not negative; used by `Pooling.WEIGHTED_MEAN`
    )
    pooling: Pooling = Pooling.WEIGHTED_MEAN  # how the token contributions are averaged
    epsilon: float = 1e-6  # added to the mean square before the root

    def __post_init__(self) -> None:
        """Refuse tensors whose shapes do not fit together."""
        if not self.layers or min(self.layers) < 0:
            raise EncoderLoadError(
                f"A readout needs at least one layer, none of them negative; got {self.layers}."
            )
        width = int(self.offset.shape[0])
        shapes_fit = (
            self.offset.ndim == 1
            and self.scale.shape == self.offset.shape
            and width % len(self.layers) == 0
            and self.token_weights.ndim == 1
            and (self.projection is None or int(self.projection.shape[0]) == width)
        )
        if not shapes_fit:
            raise WeightsMismatchError(
                "The readout's tensors do not fit together: "
                f"{len(self.layers)} layers, offset {tuple(self.offset.shape)}, "
                f"scale {tuple(self.scale.shape)}, token weights {tuple(self.token_weights.shape)}."
            )

    @property
    def dimension(self) -> int:
        """Of the embedding."""
        rows, columns = self.matrix_shape
        return columns or rows

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Width before the projection, and after it (0 when there is none)."""
        columns = 0 if self.projection is None else int(self.projection.shape[1])
        return int(self.offset.shape[0]), columns

    def to(self, device: torch.device | str) -> Readout:
        """The same readout with its tensors on another device."""
        return replace(
            self,
            offset=self.offset.to(device),
            scale=self.scale.to(device),
            projection=None if self.projection is None else self.projection.to(device),
            token_weights=self.token_weights.to(device),
        )

    def normalised(self, states: Sequence[Tensor]) -> Tensor:
        """Chosen layers' states side by side, each token at unit root mean square per layer.

        Args:
            states: One ``(batch, length, hidden)`` tensor for each entry of ``layers``.

        Returns:
            ``(batch, length, len(layers) * hidden)`` float32.
        """
        scaled = []
        for state in states:
            wide = state.float()
            mean_square = wide.pow(2).mean(dim=-1, keepdim=True)
            scaled.append(wide * torch.rsqrt(mean_square + self.epsilon))
        return torch.cat(scaled, dim=-1)

    def project(self, normalised: Tensor) -> Tensor:
        """Standardise and project the last dimension; affine, so it commutes with pooling."""
        standardised = (normalised - self.offset) * self.scale
        return standardised if self.projection is None else standardised @ self.projection

    def shares(self, token_ids: Tensor, pooled: Tensor) -> Tensor:
        """Weigh the tokens.

        Args:
            token_ids: ``(batch, length)`` int64.
            pooled: ``(batch, length)``, 1 where a token belongs to the caller's text; 0 on padding
                and on prompt tokens, which are read by the backbone but never pooled.

        Returns:
            ``(batch, length)`` float32, from `pooling_weights`.
        """
        weights = self.token_weights.to(token_ids.device)[token_ids]
        return pooling_weights(pooled, self.pooling, weights)

    def raw_embeddings(self, states: Sequence[Tensor], shares: Tensor) -> Tensor:
        """Pool, then project: ``(batch, dim)`` float32, not yet unit length.

        Pooling first costs one small product per text instead of one per token; the result is the
        same because the projection is affine and the shares sum to 1.
        """
        return self.project(torch.einsum("bl,bld->bd", shares, self.normalised(states)))


TokenReadout: TypeAlias = LastLayerReadout | Readout
