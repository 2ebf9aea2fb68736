"""Which tokens see which: explicit masks, stock-forward arguments, and the proof at load time.

Transformers' decoder classes are causal unless told otherwise, and most ways of telling them work
only for an unpadded or only for a padded batch. Here the direction is passed on every call, and
`probe_attention` proves it on both kinds of batch before an encoder is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from core.encoders.spec import Attention
from core.errors import AttentionProbeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PROBE_TOLERANCE = 1e-5
_PROBE_SHORT = 7
_PROBE_LONG = 11


def attention_bias(
    attention_mask: torch.Tensor,
    attention: Attention,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Return an additive mask: 0 where a query token may look, the type's minimum elsewhere.

    Every query row keeps at least one open key (padding rows too, which look at the real tokens or
    at themselves), so that a softmax never meets a row of minima only.

    Args:
        attention_mask: ``(batch, seq_len)``, 1 = real token, right-padded.
        attention: Direction.
        dtype: Of the states it is added to.

    Returns:
        ``(batch, 1, seq_len, seq_len)``; a float mask, because eager attention *adds* a bool mask.
    """
    batch, length = attention_mask.shape
    device = attention_mask.device
    allowed = attention_mask.bool()[:, None, None, :].expand(batch, 1, length, length)
    if attention is not Attention.BIDIRECTIONAL:
        positions = torch.arange(length, device=device)
        distance = positions[:, None] - positions[None, :]  # query minus key
        open_side = distance >= 0 if attention is Attention.CAUSAL else distance <= 0
        allowed = allowed & open_side
    diagonal = torch.eye(length, dtype=torch.bool, device=device)
    allowed = allowed | (diagonal & ~attention_mask.bool()[:, None, :, None])
    bias = torch.zeros(batch, 1, length, length, dtype=dtype, device=device)
    return bias.masked_fill_(~allowed, torch.finfo(dtype).min)


def stock_arguments(
    attention_mask: torch.Tensor,
    attention: Attention,
    dtype: torch.dtype = torch.float32,
    *,
    padded: bool | None = None,
) -> dict[str, Any]:
    """Return what a stock decoder's forward must be given to attend this way.

    No mask is built where none is needed: an unpadded batch, and a causal right-padded one, in
    which padding comes after every real token and so is never seen. Needs transformers 5.3 or
    later, whose decoders take ``is_causal`` on every call.

    Args:
        attention_mask: ``(batch, seq_len)``, 1 = real token, right-padded.
        attention: Direction.
        dtype: Of the states.
        padded: Whether there is padding, when the caller knows; else it is looked up.

    Returns:
        ``attention_mask`` and ``is_causal`` keyword arguments.
    """
    if padded is None:
        padded = not bool(attention_mask.all())
    if attention is Attention.CAUSAL:
        return {"attention_mask": None, "is_causal": True}
    if attention is Attention.BIDIRECTIONAL and not padded:
        return {"attention_mask": None, "is_causal": False}
    return {
        "attention_mask": attention_bias(attention_mask, attention, dtype),
        "is_causal": False,
    }


def probe_attention(
    states_of: Callable[[Sequence[Sequence[int]]], Sequence[torch.Tensor]],
    *,
    vocabulary: int,
    attention: Attention,
    name: str,
) -> None:
    """Prove which way attention goes: change one end of a text, look at the other end.

    Two batches are tried, a lone text (no padding) and one beside a longer text (padding in a
    padded implementation), since each has code paths of its own.

    Args:
        states_of: Token ids of several texts to each text's ``(length, hidden)`` states.
        vocabulary: Number of token ids to draw from.
        attention: The direction that has to be found.
        name: Of the encoder, for the message.

    Raises:
        AttentionProbeError: If a token sees what it must not, or misses what it must see.
    """
    # ids spread over the vocabulary, away from the reserved ones at its start
    text = [(vocabulary // 3 + 37 * i) % vocabulary for i in range(_PROBE_SHORT)]
    other_end = [*text[:-1], (text[-1] + vocabulary // 2) % vocabulary]
    other_start = [(text[0] + vocabulary // 2) % vocabulary, *text[1:]]
    longer = [(vocabulary // 5 + 53 * i) % vocabulary for i in range(_PROBE_LONG)]
    sees_forward = attention in (Attention.BIDIRECTIONAL, Attention.BACKWARD)
    sees_back = attention in (Attention.BIDIRECTIONAL, Attention.CAUSAL)
    for batch_name, neighbours in (("an unpadded", []), ("a padded", [longer])):
        base = states_of([text, *neighbours])[0]
        end_changed = states_of([other_end, *neighbours])[0]
        start_changed = states_of([other_start, *neighbours])[0]
        for changed, position, wanted, question in (
            (end_changed, 0, sees_forward, "the first token see the last one"),
            (start_changed, -1, sees_back, "the last token see the first one"),
        ):
            seen = _moved(base[position], changed[position])
            if seen != wanted:
                msg = (
                    f"{name}: attention should be {attention.value}, but on {batch_name} batch "
                    f"{question.replace(' see', ' does' + ('' if seen else ' not') + ' see', 1)}. "
                    "The encoder is not used; check the checkpoint's architecture and the "
                    "installed transformers version."
                )
                raise AttentionProbeError(msg)


def _moved(before: torch.Tensor, after: torch.Tensor) -> bool:
    """Whether any entry of a state changed beyond rounding; a non-finite state counts as moved."""
    before, after = before.float(), after.float()
    scale = before.abs() + before.abs().mean() + 1e-12
    change = ((after - before).abs() / scale).max()
    return not bool(change <= _PROBE_TOLERANCE)
