"""Speed mode of the lean forward: matrix products in 8-bit integers, everything else in float32.

Weights are rounded once, with a scale per output column; the states that enter a product are rounded
as they come, with a scale per token. No scale looks at another token, so a vector does not depend on
what else is in the batch, and integer sums have no rounding. What single channels have too much of is
moved into the weights first (G. Xiao et al., "SmoothQuant", ICML 2023, section 4, with powers of two,
which are exact), from the largest values seen on a few calibration texts. The channels with the very
largest values may stay in float32 (T. Dettmers et al., "LLM.int8()", NeurIPS 2022, with fixed
channels). Embeddings, norms, rotary, attention itself and the readout are not touched.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from typing_extensions import override

from core.encoders.lean import LeanDecoder
from core.errors import EncoderLoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.encoders.spec import Attention

_LARGEST = 127.0
_TINY = 1e-12
_ROW_BLOCK = 1024  # tokens at a time: each integer product lays its weights out anew


@dataclass(frozen=True, slots=True)
class Int8Options:
    """How a network is rounded.

    Attributes:
        smoothing: SmoothQuant's alpha: 0 leaves the states as they are, 1 makes every channel alike.
        outliers: Channels of each product that stay in float32.
        float_down: Keep the product back from the feed-forward width in float32.
    """

    smoothing: float = 0.5
    outliers: int = 0
    float_down: bool = False


class _Scratch:
    """Memory that is used again: freshly mapped pages cost as much as a product in 8 bits."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def take(self, name: str, rows: int, columns: int, dtype: torch.dtype) -> torch.Tensor:
        """Return ``(rows, columns)`` with anything in it, valid until the same is asked again."""
        kept = self._kept.get((name, dtype))
        if kept is None or len(kept) < rows * columns:
            with torch.inference_mode(mode=False):  # so that it serves in and out of that mode
                kept = torch.empty(rows * columns, dtype=dtype)
            self._kept[name, dtype] = kept
        return kept[: rows * columns].view(rows, columns)


class _Int8Matrix:
    """A matrix ``(columns out, channels in)`` in 8 bits.

    Args:
        weight: Float32, with `divisor` already multiplied into its channels.
        divisor: ``(channels,)`` that states are divided by before they are rounded, or None where
            that has happened elsewhere.
        outliers: Channels that stay in float32.
    """

    def __init__(
        self, weight: torch.Tensor, *, divisor: torch.Tensor | None, outliers: torch.Tensor
    ) -> None:
        self._factor = None if divisor is None else 1.0 / divisor
        self._outliers = outliers if len(outliers) else None
        self._float_part = weight[:, outliers].t().contiguous()
        kept = weight.clone()
        kept[:, outliers] = 0.0
        scale = kept.abs().amax(dim=1, keepdim=True).clamp(min=_TINY) / _LARGEST
        self._scale = scale[:, 0].contiguous()
        self._codes = (kept / scale).round().to(torch.int8).t()

    def product(
        self, states: torch.Tensor, scratch: _Scratch, name: str = ""
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Multiply ``(tokens, channels)``.

        Args:
            states: Float32.
            scratch: Where the result lies until the next product of the same name.
            name: Which product of the layer it is.

        Returns:
            ``(tokens, columns)`` and the ``(tokens, 1)`` that its rows have to be multiplied by. A
            token's states may be scaled by any positive number: it comes out in the second alone.
        """
        rows, channels = states.shape
        columns = self._codes.shape[1]
        scaled = scratch.take("states", rows, channels, torch.float32)
        if self._factor is None:
            scaled.copy_(states)
        else:
            torch.mul(states, self._factor, out=scaled)
        large = None
        if self._outliers is not None:
            large = scaled[:, self._outliers]
            scaled.index_fill_(1, self._outliers, 0.0)
        # not linalg.vector_norm with ord=inf, which takes nine times as long
        magnitudes = scratch.take("magnitudes", rows, channels, torch.float32)
        largest = torch.abs(scaled, out=magnitudes).amax(dim=1, keepdim=True).clamp_(min=_TINY)
        codes = scratch.take("codes", rows, channels, torch.int8)
        codes.copy_(scaled.mul_(_LARGEST / largest).round_())
        sums = scratch.take("sums", rows, columns, torch.int32)
        torch._int_mm(codes, self._codes, out=sums)
        whole = scratch.take(name, rows, columns, torch.float32).copy_(sums).mul_(self._scale)
        scale = largest.div_(_LARGEST)
        if large is not None:
            whole.addmm_(large / scale, self._float_part)
        return whole, scale


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    qkv: _Int8Matrix
    out: _Int8Matrix
    gate_up: _Int8Matrix
    down: _Int8Matrix | None
    float_down: torch.Tensor


class Int8Decoder(LeanDecoder):
    """A lean stack with its products in 8 bits; made by `of`."""

    _layers: list[_Layer]
    _scratch: _Scratch

    @classmethod
    def of(
        cls,
        decoder: LeanDecoder,
        token_ids: torch.Tensor,
        lengths: Sequence[int],
        *,
        attention: Attention,
        options: Int8Options,
    ) -> Int8Decoder:
        """Round a stack; the float32 one stays as it is.

        Args:
            decoder: Without biases and norms on heads (plain Llama).
            token_ids: ``(total,)`` of the calibration texts, one after another.
            lengths: Tokens of each.
            attention: How the stack is meant to attend.
            options: How to round.

        Raises:
            EncoderLoadError: If the stack has biases or norms on heads.
        """
        blocks = decoder._blocks
        extra = ("qkv_bias", "query_norm", "key_norm", "out_bias", "gate_up_bias", "down_bias")
        if any(getattr(block, name) is not None for block in blocks for name in extra):
            msg = "Speed mode runs plain Llama stacks only; this one has biases or norms on heads."
            raise EncoderLoadError(msg)
        recorder = _Recorder.of(decoder)
        recorder.run(token_ids, lengths, attention=attention, layers=(len(blocks),))
        made = cls.__new__(cls)
        made.__dict__.update(decoder.__dict__)
        made._scratch = _Scratch()
        made._layers = [
            made._rounded(number, recorder.seen[number], options) for number in range(len(blocks))
        ]
        return made

    def _rounded(self, number: int, seen: dict[str, torch.Tensor], options: Int8Options) -> _Layer:
        block = self._blocks[number]
        qkv, gate_up = block.qkv.clone(), block.gate_up.clone()
        head, heads, kv_heads = self._head_dim, self._heads, self._kv_heads
        attending = _divisor(seen["state"], qkv, options)
        transforming = _divisor(seen["middle"], gate_up, options)
        inner = _divisor(seen["inner"], block.down, options)
        # several query heads read one value head, so their divisors have to be the same
        mixed = _divisor(seen["attended"], block.out, options)
        mixed = mixed.view(kv_heads, heads // kv_heads, head).amax(dim=1, keepdim=True)
        values = qkv[(heads + kv_heads) * head :]
        values.div_(mixed.reshape(-1, 1))
        shared = mixed.expand(-1, heads // kv_heads, -1).reshape(-1)
        half = len(gate_up) // 2
        if not options.float_down:
            gate_up[half:].div_(inner[:, None])

        def matrix(
            weight: torch.Tensor, divisor: torch.Tensor, largest: torch.Tensor, *, elsewhere: bool
        ) -> _Int8Matrix:
            places = (largest / divisor).topk(options.outliers).indices.sort().values
            return _Int8Matrix(
                weight * divisor, divisor=None if elsewhere else divisor, outliers=places
            )

        return _Layer(
            qkv=matrix(qkv, attending, seen["state"], elsewhere=False),
            out=matrix(block.out, shared, seen["attended"], elsewhere=True),
            gate_up=matrix(gate_up, transforming, seen["middle"], elsewhere=False),
            down=None
            if options.float_down
            else matrix(block.down, inner, seen["inner"], elsewhere=True),
            float_down=block.down,
        )

    @override
    def _projected(self, number: int, hidden: torch.Tensor) -> torch.Tensor:
        whole, scale = self._layers[number].qkv.product(hidden, self._scratch, "qkv")
        return whole.mul_(scale.mul_(self._inverse_root(hidden)))

    @override
    def _add_attended(self, number: int, attended: torch.Tensor, hidden: torch.Tensor) -> None:
        whole, scale = self._layers[number].out.product(attended, self._scratch, "out")
        hidden.addcmul_(whole, scale)

    @override
    def _transform(self, number: int, hidden: torch.Tensor) -> None:
        layer = self._layers[number]
        for rows in torch.split(hidden, _ROW_BLOCK):
            both, scale = layer.gate_up.product(rows, self._scratch, "gate_up")
            both.mul_(scale.mul_(self._inverse_root(rows)))
            half = both.shape[1] // 2
            inner = F.silu(both[:, :half], inplace=True).mul_(both[:, half:])
            if layer.down is None:
                rows.addmm_(inner, layer.float_down.t())
            else:
                whole, scale = layer.down.product(inner, self._scratch, "down")
                rows.addcmul_(whole, scale)


class _Recorder(LeanDecoder):
    """Runs in float32 and remembers the largest magnitude of every channel of every product."""

    seen: list[dict[str, torch.Tensor]]

    @classmethod
    def of(cls, decoder: LeanDecoder) -> _Recorder:
        made = cls.__new__(cls)
        made.__dict__.update(copy.copy(decoder.__dict__))
        made.seen = [{} for _ in decoder._blocks]
        return made

    def _see(self, number: int, name: str, states: torch.Tensor) -> None:
        self.seen[number][name] = states.abs().amax(dim=0)

    @override
    def _projected(self, number: int, hidden: torch.Tensor) -> torch.Tensor:
        self._see(number, "state", self._unit_mean_square(hidden))
        return super()._projected(number, hidden)

    @override
    def _add_attended(self, number: int, attended: torch.Tensor, hidden: torch.Tensor) -> None:
        self._see(number, "attended", attended)
        super()._add_attended(number, attended, hidden)

    @override
    def _transform(self, number: int, hidden: torch.Tensor) -> None:
        block = self._blocks[number]
        state = self._unit_mean_square(hidden)
        self._see(number, "middle", state)
        both = F.linear(state, block.gate_up)
        half = both.shape[1] // 2
        self._see(number, "inner", F.silu(both[:, :half]).mul_(both[:, half:]))
        super()._transform(number, hidden)


def _divisor(largest: torch.Tensor, weight: torch.Tensor, options: Int8Options) -> torch.Tensor:
    """Return what each channel's states are divided by, ``(channels,)``, powers of two."""
    states = largest.clamp(min=_TINY) ** options.smoothing
    weights = weight.abs().amax(dim=0).clamp(min=_TINY) ** (1.0 - options.smoothing)
    if options.smoothing == 0:
        return torch.ones_like(largest)
    ratio = states / weights
    # a channel's divisor counts against the others' only, so their middle is brought to 1
    exponents = torch.log2(ratio / ratio.median()).round().clamp(-12, 12)
    return torch.exp2(exponents)
