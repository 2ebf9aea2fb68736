"""The hot path on CPUs: Llama-shaped forward passes without padding.

The stock classes spend a good part of a CPU pass on things that are not the model: padding, mask
tensors, elementwise passes over freshly mapped memory. Here texts lie one after another, so every
matrix product sees real tokens only; texts of equal length share one attention call and need no
mask; norms are folded into the matrices after them; residuals are added inside the products; work
is cut into blocks that stay in cache. `tests/encoders/test_lean.py` proves it equal to the stock
classes; `tests/bench/bench_encoders.py` says what it is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

from core.encoders.pooling import FINAL_LAYER
from core.encoders.spec import Attention

if TYPE_CHECKING:
    from collections.abc import Sequence


StockModule: TypeAlias = Any  # stock classes type their parts as Tensor | Module

_ROW_BLOCK = 1024
_LEAN_ARCHITECTURES = frozenset({"llama", "qwen2", "qwen3"})
_STATIC_ROTARY = frozenset({"default", "linear", "llama3", "yarn"})
_ACTIVATIONS = frozenset({"silu", "swish"})


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One layer's matrices, fused and with the norms folded in."""

    qkv: torch.Tensor  # ((heads + 2 * kv_heads) * head_dim, hidden)
    qkv_bias: torch.Tensor | None
    query_norm: torch.Tensor | None  # (head_dim,), Qwen3
    key_norm: torch.Tensor | None
    out: torch.Tensor  # (hidden, heads * head_dim)
    out_bias: torch.Tensor | None
    gate_up: torch.Tensor  # (2 * intermediate, hidden)
    gate_up_bias: torch.Tensor | None
    down: torch.Tensor  # (hidden, intermediate)
    down_bias: torch.Tensor | None


def lean_fits(architecture: str, config: object) -> bool:
    """Whether the lean forward covers a stock configuration."""
    rotary = getattr(config, "rope_parameters", None) or {}
    return (
        architecture in _LEAN_ARCHITECTURES
        and rotary.get("rope_type", "default") in _STATIC_ROTARY
        and getattr(config, "hidden_act", "") in _ACTIVATIONS
    )


class LeanDecoder:
    """A Llama, Qwen2 or Qwen3 stack taken over from a loaded stock module.

    Args:
        module: A stock ``LlamaModel``, ``Qwen2Model`` or ``Qwen3Model`` with its weights, float32
            on CPU. Its layers are emptied one by one while they are taken over, so that the
            weights never lie in memory twice.
    """

    def __init__(self, module: StockModule) -> None:
        config = module.config
        self._heads = int(config.num_attention_heads)
        self._kv_heads = int(config.num_key_value_heads)
        hidden = int(config.hidden_size)
        self._head_dim = int(getattr(config, "head_dim", None) or hidden // self._heads)
        self._epsilon = float(config.rms_norm_eps)
        self._scaling = self._head_dim**-0.5
        self._embeddings = _plain(module.embed_tokens.weight)
        self._final_norm = _plain(module.norm.weight)
        self._rotary = module.rotary_emb
        self._angles = torch.empty(0, self._head_dim // 2, dtype=torch.complex64)
        self._blocks: list[_Block] = []
        for place, layer in enumerate(module.layers):
            self._blocks.append(self._fused(layer))
            module.layers[place] = torch.nn.Identity()

    def run(
        self,
        token_ids: torch.Tensor,
        lengths: Sequence[int],
        *,
        attention: Attention,
        layers: Sequence[int],
    ) -> list[torch.Tensor]:
        """Send packed texts through the stack.

        Args:
            token_ids: ``(total,)`` int64, texts one after another.
            lengths: Tokens of each text; equal lengths side by side share their attention call.
            attention: Direction.
            layers: Wanted states as state indices (see `TokenReadout`).

        Returns:
            For each wanted layer ``(total, hidden)`` float32.
        """
        groups = [(length, len(list(same))) for length, same in groupby(lengths)]
        positions = torch.cat([torch.arange(length) for length in lengths])
        angles = self._angles_until(max(lengths))[positions][:, None, :]  # (total, 1, head_dim/2)
        hidden = self._embeddings[token_ids]
        deepest = len(self._blocks) if FINAL_LAYER in layers else max(layers)
        kept: dict[int, torch.Tensor] = {0: hidden.clone()} if 0 in layers else {}
        attended = torch.empty(len(token_ids), self._heads * self._head_dim)
        for number, block in enumerate(self._blocks[:deepest], start=1):
            self._attend(block, hidden, attended, angles, groups, attention)
            self._transform(block, hidden)
            if number in layers:
                kept[number] = hidden.clone()
        if FINAL_LAYER in layers:
            kept[FINAL_LAYER] = self._unit_mean_square(hidden) * self._final_norm
        return [kept[layer] for layer in layers]

    def _attend(
        self,
        block: _Block,
        hidden: torch.Tensor,
        attended: torch.Tensor,
        angles: torch.Tensor,
        groups: Sequence[tuple[int, int]],
        attention: Attention,
    ) -> None:
        """Add one layer's attention to ``hidden``, in place."""
        total = len(hidden)
        heads, kv_heads, head_dim = self._heads, self._kv_heads, self._head_dim
        projected = F.linear(self._unit_mean_square(hidden), block.qkv, block.qkv_bias)
        projected = projected.view(total, heads + 2 * kv_heads, head_dim)
        turned = projected[:, : heads + kv_heads]  # queries and keys, head_dim interleaved
        if block.query_norm is not None and block.key_norm is not None:
            queries, keys = turned[:, :heads], turned[:, heads:]
            queries.mul_(self._inverse_root(queries)).mul_(block.query_norm)
            keys.mul_(self._inverse_root(keys)).mul_(block.key_norm)
        pairs = turned.view(total, heads + kv_heads, head_dim // 2, 2)
        torch.view_as_complex(pairs).mul_(angles)
        start = 0
        for length, count in groups:
            end = start + length * count
            rows = projected[start:end].view(count, length, heads + 2 * kv_heads, head_dim)
            if attention is Attention.BACKWARD:
                rows = rows.flip(1)  # backward attention is causal attention read from the end
            rows = rows.transpose(1, 2)  # (count, heads, length, head_dim)
            mixed = F.scaled_dot_product_attention(
                rows[:, :heads],
                rows[:, heads : heads + kv_heads],
                rows[:, heads + kv_heads :],
                is_causal=attention is not Attention.BIDIRECTIONAL and length > 1,
                scale=self._scaling,
                enable_gqa=heads != kv_heads,
            ).transpose(1, 2)
            if attention is Attention.BACKWARD:
                mixed = mixed.flip(1)
            attended[start:end].view(count, length, heads, head_dim).copy_(mixed)
            start = end
        hidden.addmm_(attended, block.out.t())
        if block.out_bias is not None:
            hidden.add_(block.out_bias)

    def _transform(self, block: _Block, hidden: torch.Tensor) -> None:
        """Add one layer's feed-forward part to ``hidden``, in place, in blocks that stay cached."""
        half = len(block.gate_up) // 2
        for rows in torch.split(hidden, _ROW_BLOCK):
            both = F.linear(self._unit_mean_square(rows), block.gate_up, block.gate_up_bias)
            inner = F.silu(both[:, :half]).mul_(both[:, half:])
            rows.addmm_(inner, block.down.t())
            if block.down_bias is not None:
                rows.add_(block.down_bias)

    def _inverse_root(self, states: torch.Tensor) -> torch.Tensor:
        """One over the root mean square of the last dimension, epsilon inside the root."""
        norm: torch.Tensor = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
        return norm.square_().div_(states.shape[-1]).add_(self._epsilon).rsqrt_()

    def _unit_mean_square(self, states: torch.Tensor) -> torch.Tensor:
        return states * self._inverse_root(states)

    def _angles_until(self, length: int) -> torch.Tensor:
        """Rotary angles of the first positions as complex numbers, ``(positions, head_dim / 2)``.

        Taken from the stock class, so that every scaling recipe it knows is in them.
        """
        if len(self._angles) < length:
            positions = torch.arange(length)[None, :]
            cos, sin = self._rotary(torch.zeros(1), positions)
            half = self._head_dim // 2
            self._angles = torch.complex(cos[0, :, :half].float(), sin[0, :, :half].float())
        return self._angles

    def _fused(self, layer: StockModule) -> _Block:
        attention, mlp = layer.self_attn, layer.mlp
        before, after = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        query, key, value = attention.q_proj, attention.k_proj, attention.v_proj
        query_norm = getattr(attention, "q_norm", None)
        key_norm = getattr(attention, "k_norm", None)
        return _Block(
            qkv=_plain(
                torch.cat(
                    [
                        self._interleaved(query.weight, self._heads),
                        self._interleaved(key.weight, self._kv_heads),
                        value.weight,
                    ]
                )
                * before
            ),
            qkv_bias=None
            if query.bias is None
            else _plain(
                torch.cat(
                    [
                        self._interleaved(query.bias, self._heads),
                        self._interleaved(key.bias, self._kv_heads),
                        value.bias,
                    ]
                )
            ),
            query_norm=None if query_norm is None else self._interleaved(query_norm.weight, 1),
            key_norm=None if key_norm is None else self._interleaved(key_norm.weight, 1),
            out=_plain(attention.o_proj.weight),
            out_bias=_optional(attention.o_proj.bias),
            gate_up=_plain(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]) * after),
            gate_up_bias=None
            if mlp.gate_proj.bias is None
            else _plain(torch.cat([mlp.gate_proj.bias, mlp.up_proj.bias])),
            down=_plain(mlp.down_proj.weight),
            down_bias=_optional(mlp.down_proj.bias),
        )

    def _interleaved(self, rows: torch.Tensor, heads: int) -> torch.Tensor:
        """Put the two halves of every head side by side.

        Rotary embedding turns entry ``i`` of a head together with entry ``i + head_dim / 2``. Side
        by side, such a pair is one complex number and the turn one multiplication. Queries and keys
        are rearranged alike, so their products stay the same.
        """
        split = rows.view(heads, 2, self._head_dim // 2, *rows.shape[1:])
        return _plain(split.transpose(1, 2).reshape(rows.shape))


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous()


def _optional(tensor: torch.Tensor | None) -> torch.Tensor | None:
    return None if tensor is None else _plain(tensor)
