"""Token states to one embedding. Padding is on the right and never counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from core.encoders.spec import Pooling
from core.errors import EncodingError

if TYPE_CHECKING:
    from collections.abc import Sequence

FINAL_LAYER = -1


def pooling_weights(
    attention_mask: torch.Tensor,
    pooling: Pooling,
    token_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return how much each token counts: rows sum to 1, padding is exactly 0.

    Args:
        attention_mask: ``(batch, seq_len)``, 1 = token that may count; not changed. Real tokens stand
            at the left of each row; prompt tokens before them may be left out (0).
        pooling: How tokens are weighted.
        token_weights: ``(batch, seq_len)`` non-negative weights for `Pooling.WEIGHTED_MEAN`. Where
            a text's weights are all zero its tokens count alike.

    Returns:
        ``(batch, seq_len)`` float32.

    Raises:
        EncodingError: If a row has no token that may count, or the weighted mean has no weights.
    """
    mask = attention_mask.bool()
    if not bool(mask.any(dim=1).all()):
        msg = "A text came to pooling without a single token; this is a fault in the encoder."
        raise EncodingError(msg)
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
            msg = "Weighted mean pooling needs a weight per token; the encoder's readout has none."
            raise EncodingError(msg)
        weights = token_weights.float() * equal
        weights = torch.where(weights.sum(dim=1, keepdim=True) > 0, weights, equal)
    return weights / weights.sum(dim=1, keepdim=True)


def pool(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Pool padded states.

    Args:
        states: ``(batch, seq_len, hidden)``; whatever stands in padding, NaN too, has no influence.
        weights: ``(batch, seq_len)`` from `pooling_weights`.

    Returns:
        ``(batch, hidden)`` float32.
    """
    states = states.float().masked_fill(weights[:, :, None] == 0, 0.0)
    return torch.einsum("bl,blh->bh", weights, states)


class LastLayerReadout:
    """The usual readout: the backbone's states after its final norm, as they are."""

    def __init__(self, hidden_size: int, pooling: Pooling) -> None:
        self._hidden_size = hidden_size
        self._pooling = pooling

    @property
    def layers(self) -> tuple[int, ...]:
        """Only the states after the final norm."""
        return (FINAL_LAYER,)

    @property
    def dimension(self) -> int:
        """The backbone's width."""
        return self._hidden_size

    def normalised(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the states unchanged, float32."""
        return states[0].float()

    def project(self, normalised: torch.Tensor) -> torch.Tensor:
        """Return what is given."""
        return normalised

    def shares(self, token_ids: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 (protocol)
        """Return the pooling weights of ``(batch, length)``; tokens of a mean count alike."""
        return pooling_weights(pooled, self._pooling)

    def to(self, device: torch.device | str) -> LastLayerReadout:  # noqa: ARG002 (protocol)
        """Return itself; it has no numbers to move."""
        return self


def require_right_padding(attention_mask: torch.Tensor) -> None:
    """Refuse a batch in which padding stands before a real token.

    Positions would be counted from the padding (GPT-2's learned ones change the result), and the
    mask-free causal path would let real tokens see it.

    Raises:
        EncodingError: If a row of ``(batch, seq_len)`` goes from 0 back to 1.
    """
    mask = attention_mask.bool()
    if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        msg = "The batch is not right-padded; this is a fault in the encoder."
        raise EncodingError(msg)
