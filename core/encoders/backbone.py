"""A network with its weights: tokens in, states out, any attention direction, and the proof of it.

Transformers' decoder classes are causal unless told otherwise, and most ways of telling them work
only for an unpadded or only for a padded batch. Here the direction is passed on every call, and
`Backbone.probe` proves it on both kinds of batch before an encoder is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import nn

from core.encoders.architectures import ARCHITECTURES
from core.encoders.packed import PackedForward, packed_fits
from core.encoders.pooling import FINAL_LAYER
from core.encoders.spec import Attention
from core.errors import AttentionProbeError, EncoderLoadError

_PROBE_TOLERANCE = 1e-5
_PROBE_SHORT = 7
_PROBE_LONG = 11


@dataclass(frozen=True, slots=True, eq=False)
class StateBlock:
    """Some texts of a batch, after the backbone."""

    rows: tuple[int, ...]  # which texts of the batch they are
    token_ids: torch.Tensor  # ``(rows, length)`` int64; 0 on padding
    attention_mask: torch.Tensor  # ``(rows, length)`` int64, 1 = real token, right-padded
    # one ``(rows, length, hidden)`` tensor for each layer asked for
    states: tuple[torch.Tensor, ...]


class Backbone:
    """A network on a device.

    Args:
        module: A stock model in evaluation mode, on ``device``, or the stand-in of `plain_llama`.
        architecture: Name in the table of architectures.
        device: Where it is.
        packed: Take the stack over into the packed forward where that is possible (float32 on CPU).
    """

    def __init__(
        self, module: nn.Module, architecture: str, *, device: str, packed: bool = True
    ) -> None:
        config: Any = module.config
        self.architecture = ARCHITECTURES[architecture]
        self.device = device
        self.hidden_size = int(config.hidden_size)
        self.depth = int(config.num_hidden_layers)
        self.vocabulary = int(config.vocab_size)
        self.max_positions = int(config.max_position_embeddings)
        if self.architecture.offset_positions:
            self.max_positions -= int(config.pad_token_id) + 1
        self.dtype = next(module.parameters()).dtype
        self.parameters = sum(weight.numel() for weight in module.parameters())
        self.tensors = len(module.state_dict())
        self._lock = threading.Lock()
        self._packed: PackedForward | None = None
        self._module: nn.Module | None = module
        fits = device == "cpu" and self.dtype == torch.float32
        if packed and fits and packed_fits(architecture, config):
            self._packed = PackedForward(module)
            self._module = None

    @property
    def is_packed(self) -> bool:
        """Whether the packed forward runs, which needs no padding."""
        return self._packed is not None

    def run(
        self,
        texts: Sequence[Sequence[int]],
        *,
        attention: Attention,
        layers: Sequence[int] = (FINAL_LAYER,),
    ) -> list[StateBlock]:
        """Send token ids through the network, at least one a text. Sorted by length they waste nothing.

        ``layers`` are the wanted states: 0 is the token embeddings, ``i`` the stream after layer ``i``
        before any final norm, -1 the states after the final norm.

        Returns:
            Blocks that together hold every text once.
        """
        with torch.inference_mode(), self._lock:
            if self._packed is not None:
                return _run_packed(self._packed, texts, attention, layers)
            return [self._run_stock(texts, attention, layers)]

    def moved(self, device: str, dtype: torch.dtype) -> Backbone:
        """Return this network on another device; its weights go there and this one is used up.

        Raises:
            EncoderLoadError: If the packed forward has taken the network apart (``packed=False``
                keeps it whole).
        """
        # first there, then the type: converting on the CPU would hold the weights twice
        module = self._whole().to(device).to(dtype)
        return Backbone(module, self.architecture.name, device=device, packed=False)

    def probe(self, attention: Attention, *, name: str) -> None:
        """Prove that attention goes the way it should, on an unpadded and on a padded batch.

        Raises:
            AttentionProbeError: If it does not.
        """

        def states_of(texts: Sequence[Sequence[int]]) -> list[torch.Tensor]:
            states: dict[int, torch.Tensor] = {}
            for block in self.run(texts, attention=attention):
                for place, row in enumerate(block.rows):
                    states[row] = block.states[0][place, : len(texts[row])]
            return [states[row] for row in range(len(texts))]

        probe_attention(states_of, vocabulary=self.vocabulary, attention=attention, name=name)

    def _whole(self) -> nn.Module:
        if self._module is None:
            raise EncoderLoadError(
                "The backbone has been taken apart and cannot be moved; load the encoder again."
            )
        return self._module

    def _run_stock(
        self, texts: Sequence[Sequence[int]], attention: Attention, layers: Sequence[int]
    ) -> StateBlock:
        module = self._whole()
        longest = max(len(text) for text in texts)
        token_ids = torch.zeros(len(texts), longest, dtype=torch.int64)
        mask = torch.zeros(len(texts), longest, dtype=torch.int64)
        for row, text in enumerate(texts):
            token_ids[row, : len(text)] = torch.tensor(text, dtype=torch.int64)
            mask[row, : len(text)] = 1
        padded = any(len(text) != longest for text in texts)
        token_ids, mask = token_ids.to(self.device), mask.to(self.device)
        inner = any(layer != FINAL_LAYER for layer in layers)
        before_norm: list[torch.Tensor] = []
        hook = None
        if inner and self.architecture.final_norm:
            # the stock classes put their final norm over the last entry of hidden_states
            norm = module.get_submodule(self.architecture.final_norm)
            hook = norm.register_forward_pre_hook(lambda _, inputs: before_norm.append(inputs[0]))
        try:
            output = module(
                input_ids=token_ids,
                output_hidden_states=inner,
                **self._stock_call(mask, attention, padded=padded),
            )
        finally:
            if hook is not None:
                hook.remove()
        every = list(output.hidden_states) if inner else []
        if before_norm:
            every[-1] = before_norm[0].view_as(every[-1])
        states = tuple(
            output.last_hidden_state if layer == FINAL_LAYER else every[layer] for layer in layers
        )
        return StateBlock(tuple(range(len(texts))), token_ids, mask, states)

    def _stock_call(
        self, mask: torch.Tensor, attention: Attention, *, padded: bool
    ) -> dict[str, Any]:
        """Arguments of a stock forward; encoder classes see both sides unless masked."""
        if self.architecture.decoder:
            arguments = stock_arguments(mask, attention, self.dtype, padded=padded)
            return {**arguments, "use_cache": False}
        if attention is Attention.BIDIRECTIONAL:
            return {"attention_mask": mask if padded else None}
        return {"attention_mask": attention_bias(mask, attention, self.dtype)}


def _run_packed(
    stack: PackedForward,
    texts: Sequence[Sequence[int]],
    attention: Attention,
    layers: Sequence[int],
) -> list[StateBlock]:
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    lengths = [len(texts[row]) for row in order]
    packed = torch.tensor([token for row in order for token in texts[row]], dtype=torch.int64)
    states = stack.run(packed, lengths, attention=attention, layers=layers)
    blocks = []
    start = 0
    for length, same in groupby(order, key=lambda row: len(texts[row])):
        rows = tuple(same)
        end = start + len(rows) * length
        blocks.append(
            StateBlock(
                rows=rows,
                token_ids=packed[start:end].view(len(rows), length),
                attention_mask=torch.ones(len(rows), length, dtype=torch.int64),
                states=tuple(layer[start:end].view(len(rows), length, -1) for layer in states),
            )
        )
        start = end
    return blocks


def attention_bias(
    attention_mask: torch.Tensor, attention: Attention, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Additive mask for a right-padded batch: 0 where a query token may look, else the minimum.

    Every query row keeps at least one open key (padding rows too, which look at the real tokens or
    at themselves), so that a softmax never meets a row of minima only.

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
    padded: bool,
) -> dict[str, Any]:
    """Arguments of a stock decoder's forward for this attention.

    No mask is built where none is needed: an unpadded batch, and a causal right-padded one, in
    which padding comes after every real token and so is never seen. Needs transformers 5.3 or
    later, whose decoders take ``is_causal`` on every call.
    """
    if attention is Attention.CAUSAL:
        return {"attention_mask": None, "is_causal": True}
    if attention is Attention.BIDIRECTIONAL and not padded:
        return {"attention_mask": None, "is_causal": False}
    return {"attention_mask": attention_bias(attention_mask, attention, dtype), "is_causal": False}


def probe_attention(
    states_of: Callable[[Sequence[Sequence[int]]], Sequence[torch.Tensor]],
    *,
    vocabulary: int,
    attention: Attention,
    name: str,
) -> None:
    """Prove which way attention goes: change one end of a text, look at the other end.

    Two batches are tried, a lone text (no padding) and one beside a longer text (padding in a
    padded implementation), since each has code paths of its own. ``states_of`` gives each text's
    ``(length, hidden)`` states for its token ids.

    Raises:
        AttentionProbeError: If a token sees what it must not, or misses what it must see.
    """
    # ids spread over the vocabulary, away from the reserved ones at its start
    text = [(vocabulary // 3 + 37 * i) % vocabulary for i in range(_PROBE_SHORT)]
    other_end = [*text[:-1], (text[-1] + vocabulary // 2) % vocabulary]
    other_start = [(text[0] + vocabulary // 2) % vocabulary, *text[1:]]
    longer = [(vocabulary // 5 + 53 * i) % vocabulary for i in range(_PROBE_LONG)]
    for batch_name, neighbours in (("an unpadded", []), ("a padded", [longer])):
        base, end_changed, start_changed = (
            states_of([one, *neighbours])[0] for one in (text, other_end, other_start)
        )
        for changed, position, blind, subject, object_ in (
            (end_changed, 0, Attention.CAUSAL, "first", "last"),
            (start_changed, -1, Attention.BACKWARD, "last", "first"),
        ):
            sees = _moved(base[position], changed[position])
            if sees == (attention is blind):
                raise AttentionProbeError(
                    f"{name}: attention should be {attention.value}, but on {batch_name} batch the "
                    f"{subject} token does{'' if sees else ' not'} see the {object_} one. "
                    "The encoder is not used; check the checkpoint's architecture and the "
                    "installed transformers version."
                )


def _moved(before: torch.Tensor, after: torch.Tensor) -> bool:
    """Whether any entry of a state changed beyond rounding; a non-finite state counts as moved."""
    before, after = before.float(), after.float()
    scale = before.abs() + before.abs().mean() + 1e-12
    change = ((after - before).abs() / scale).max()
    return not bool(change <= _PROBE_TOLERANCE)
