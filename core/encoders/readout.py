"""From the states inside a backbone to one embedding, by a map that is linear in the tokens.

A backbone built from a language model is not an embedding model: a few of its dimensions are
hundreds of times larger than the others, and its last layer is about the next token. The readout
takes the residual stream after a few chosen layers, brings each token's state to unit root mean
square, standardises every dimension with fixed statistics, projects, and averages over the tokens
with a fixed weight per vocabulary entry. Nothing in it depends on the other texts of a batch, and
after the per-token scaling everything is linear, so that an embedding is the weighted sum of its
tokens' own contributions and late chunking gives exact shares.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from core.encoders.spec import Pooling
from core.errors import EncoderLoadError, WeightsMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

_SMALLEST_SUM = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """How hidden states become an embedding.

    Attributes:
        layers: Which points of the residual stream are read: 0 is the token embeddings, ``l`` the
            stream after layer ``l``, always *before* the backbone's final norm.
        offset: ``(len(layers) * hidden,)`` float32, subtracted from the normalised states.
        scale: ``(len(layers) * hidden,)`` float32, multiplied after that.
        projection: ``(len(layers) * hidden, dim)`` float32, or None to keep the dimensions.
        token_weights: ``(vocabulary,)`` float32, not negative; used by `Pooling.WEIGHTED_MEAN`.
        pooling: How the token contributions are averaged.
        epsilon: Added to the mean square before the root.
    """

    layers: tuple[int, ...]
    offset: Tensor
    scale: Tensor
    projection: Tensor | None
    token_weights: Tensor
    pooling: Pooling = Pooling.WEIGHTED_MEAN
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        """Refuse tensors whose shapes do not fit together."""
        if not self.layers or min(self.layers) < 0:
            msg = f"A readout needs at least one layer, none of them negative; got {self.layers}."
            raise EncoderLoadError(msg)
        width = int(self.offset.shape[0])
        shapes_fit = (
            self.offset.ndim == 1
            and self.scale.shape == self.offset.shape
            and width % len(self.layers) == 0
            and self.token_weights.ndim == 1
            and (self.projection is None or int(self.projection.shape[0]) == width)
        )
        if not shapes_fit:
            msg = (
                "The readout's tensors do not fit together: "
                f"{len(self.layers)} layers, offset {tuple(self.offset.shape)}, "
                f"scale {tuple(self.scale.shape)}, token weights {tuple(self.token_weights.shape)}."
            )
            raise WeightsMismatchError(msg)

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

    def with_pooling(self, pooling: Pooling) -> Readout:
        """The same readout, pooled another way (for controls)."""
        return replace(self, pooling=pooling)

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

    def contributions(self, states: Sequence[Tensor]) -> Tensor:
        """Each token's own contribution: ``(batch, length, dim)`` float32.

        ``unit(shares @ contributions)`` is the embedding.
        """
        return self.project(self.normalised(states))

    def shares(self, token_ids: Tensor, pooled: Tensor) -> Tensor:
        """How much each token counts in the mean.

        Args:
            token_ids: ``(batch, length)`` int64.
            pooled: ``(batch, length)``, 1 where a token belongs to the caller's text; 0 on padding
                and on prompt tokens, which are read by the backbone but never pooled.

        Returns:
            ``(batch, length)`` float32; every row sums to 1, or to 0 where nothing is pooled. Where
            all pooled tokens have weight 0 they count the same.
        """
        mask = pooled.float()
        if self.pooling is Pooling.LAST_TOKEN:
            places = torch.arange(mask.shape[1], device=mask.device) + 1
            last = (mask * places).argmax(dim=1, keepdim=True)
            weights = torch.zeros_like(mask).scatter_(1, last, 1.0) * mask
        elif self.pooling is Pooling.WEIGHTED_MEAN:
            weights = self.token_weights.to(token_ids.device)[token_ids] * mask
            empty = weights.sum(dim=1, keepdim=True) <= _SMALLEST_SUM
            weights = torch.where(empty, mask, weights)
        else:
            weights = mask
        return weights / weights.sum(dim=1, keepdim=True).clamp(min=_SMALLEST_SUM)

    def raw_embeddings(self, states: Sequence[Tensor], shares: Tensor) -> Tensor:
        """Pool, then project: ``(batch, dim)`` float32, not yet unit length.

        Pooling first costs one small product per text instead of one per token; the result is the
        same because the projection is affine and the shares sum to 1.
        """
        return self.project(torch.einsum("bl,bld->bd", shares, self.normalised(states)))


@contextmanager
def tapped_layers(backbone: nn.Module, layers: Sequence[int]) -> Iterator[list[Tensor]]:
    """Collect the residual stream after some layers while the backbone runs inside the block.

    Hooks, and not ``output_hidden_states``: the stock classes apply their final norm to the last
    entry of that tuple, and keep every layer alive.

    Args:
        backbone: A stock decoder with ``embed_tokens`` and ``layers``.
        layers: Points to read, 0 for the token embeddings.

    Yields:
        A list that holds, after a forward call, one ``(batch, length, hidden)`` tensor for each
        entry of ``layers``, in that order. It is filled anew by each forward call.

    Raises:
        EncoderLoadError: If the backbone has fewer layers than asked for.
    """
    blocks = backbone.get_submodule("layers")
    depth = len(list(blocks.children()))
    if max(layers) > depth:
        msg = f"The readout reads layer {max(layers)}, but the backbone has {depth} layers only."
        raise EncoderLoadError(msg)
    found: list[Tensor] = []
    kept: dict[int, Tensor] = {}

    def keeper(layer: int) -> object:
        def keep(_module: nn.Module, _inputs: object, output: object) -> None:
            state = output[0] if isinstance(output, tuple) else output
            if not isinstance(state, torch.Tensor):
                msg = f"Layer {layer} of the backbone gave no tensor."
                raise EncoderLoadError(msg)
            kept[layer] = state
            if len(kept) == len(set(layers)):
                found[:] = [kept[wanted] for wanted in layers]
                kept.clear()

        return keep

    handles = []
    for layer in sorted(set(layers)):
        module = (
            backbone.get_submodule("embed_tokens")
            if layer == 0
            else blocks.get_submodule(str(layer - 1))
        )
        handles.append(module.register_forward_hook(keeper(layer)))  # type: ignore[arg-type]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
