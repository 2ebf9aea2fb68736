"""The packed forward: Llama-shaped networks on a CPU, without padding.

The stock classes spend a good part of a CPU pass on things that are not the model: padding, mask
tensors, elementwise passes over freshly mapped memory. Here texts lie one after another, so every
matrix product sees real tokens only; texts of equal length share one attention call and need no
mask; norms are folded into the matrices after them; residuals are added inside the products; work
is cut into blocks that stay in cache. `tests/encoders/test_packed.py` proves it equal to the stock
classes; `tests/tools/bench/bench_encoders.py` measures it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

from core.encoders.architectures import ARCHITECTURES
from core.encoders.pooling import FINAL_LAYER
from core.encoders.spec import Attention

StockPart: TypeAlias = Any  # stock classes type their parts as Tensor | Module

_ROW_BLOCK = 1024
_SIZES = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps",
)  # fmt: skip
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


def plain_llama(fields: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> StockPart | None:
    """Stand-in for the stock class of a Llama config that leaves nothing to the class's defaults.

    Such a config, the bundled pair's, runs without the transformers library, whose import takes
    longer than everything else until the first answer. None for every other one, and for tensors
    that are not float32. The stand-in hands its tensors to `PackedForward`, which empties them.
    """
    rotary = fields.get("rope_parameters") or {}
    usual = (
        set(rotary) == {"rope_type", "rope_theta"}
        and rotary["rope_type"] == "default"
        and fields.get("hidden_act", "silu") == "silu"
        and not fields.get("attention_bias")
        and not fields.get("mlp_bias")
        and "rope_scaling" not in fields
        and all(isinstance(fields.get(name), int | float) for name in _SIZES)
    )
    if not usual or any(tensor.dtype != torch.float32 for tensor in tensors.values()):
        return None
    steps = torch.arange(0, fields["head_dim"], 2, dtype=torch.int64).float() / fields["head_dim"]
    frequencies = 1.0 / (float(rotary["rope_theta"]) ** steps)

    def rotary_emb(_: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        turned = positions.float()[..., None] * frequencies  # (1, length, head_dim / 2)
        return turned.cos(), turned.sin()

    return SimpleNamespace(
        config=SimpleNamespace(**{"hidden_act": "silu", **fields}),
        rotary_emb=rotary_emb,
        parameters=lambda: iter(tensors.values()),
        state_dict=lambda: tensors,
    )


def llama_tensors(config: StockPart) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a plain Llama: no biases, no norms on heads."""
    hidden, inner = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "embed_tokens.weight": (config.vocab_size, hidden),
        "norm.weight": (hidden,),
    }
    for layer in range(config.num_hidden_layers):
        stem = f"layers.{layer}"
        shapes |= {
            f"{stem}.input_layernorm.weight": (hidden,),
            f"{stem}.post_attention_layernorm.weight": (hidden,),
            f"{stem}.self_attn.q_proj.weight": (queries, hidden),
            f"{stem}.self_attn.k_proj.weight": (keys, hidden),
            f"{stem}.self_attn.v_proj.weight": (keys, hidden),
            f"{stem}.self_attn.o_proj.weight": (hidden, queries),
            f"{stem}.mlp.gate_proj.weight": (inner, hidden),
            f"{stem}.mlp.up_proj.weight": (inner, hidden),
            f"{stem}.mlp.down_proj.weight": (hidden, inner),
        }
    return shapes


def packed_fits(architecture: str, config: object) -> bool:
    """Whether the packed forward covers a stock configuration."""
    rotary = getattr(config, "rope_parameters", None) or {}
    return (
        ARCHITECTURES[architecture].packed
        and rotary.get("rope_type", "default") in _STATIC_ROTARY
        and getattr(config, "hidden_act", "") in _ACTIVATIONS
    )


class PackedForward:
    """A Llama, Qwen2 or Qwen3 stack that has taken over a stock model's tensors.

    The model (float32 on the CPU), or the stand-in of `plain_llama`, is left without layers; its
    tensors are fused one layer after another, so that the weights never lie in memory twice.
    """

    def __init__(self, module: StockPart) -> None:
        config = module.config
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        stated = getattr(config, "head_dim", None)
        self._head_dim = stated or config.hidden_size // self._heads
        self._epsilon = config.rms_norm_eps
        self._scaling = self._head_dim**-0.5
        self._rotary = module.rotary_emb
        tensors = module.state_dict()
        module.layers = torch.nn.ModuleList()
        self._embeddings = _plain(tensors.pop("embed_tokens.weight"))
        self._final_norm = _plain(tensors.pop("norm.weight"))
        self._angles = torch.empty(0, self._head_dim // 2, dtype=torch.complex64)
        self._blocks = [
            self._fused(tensors, f"layers.{n}.") for n in range(config.num_hidden_layers)
        ]

    def run(
        self,
        token_ids: torch.Tensor,
        lengths: Sequence[int],
        *,
        attention: Attention,
        layers: Sequence[int],
    ) -> list[torch.Tensor]:
        """Send packed texts through the stack.

        ``token_ids`` are ``(total,)`` int64, texts one after another; equal lengths side by side share
        their attention call. Layers are state indices, as in `Backbone.run`.

        Returns:
            For each wanted layer ``(total, hidden)`` float32.
        """
        groups = [(length, len(list(same))) for length, same in groupby(lengths)]
        positions = torch.cat([torch.arange(length) for length in lengths])
        angles = self._angles_until(max(lengths))[positions][:, None, :]  # (total, 1, head_dim/2)
        hidden = self._embeddings[token_ids]
        deepest = len(self._blocks) if FINAL_LAYER in layers else max(layers)
        states: dict[int, torch.Tensor] = {0: hidden.clone()} if 0 in layers else {}
        attended = torch.empty(len(token_ids), self._heads * self._head_dim)
        for number in range(deepest):
            self._attend(number, hidden, attended, angles, groups, attention)
            self._transform(number, hidden)
            if number + 1 in layers:
                states[number + 1] = hidden.clone()
        if FINAL_LAYER in layers:
            states[FINAL_LAYER] = self._unit_mean_square(hidden) * self._final_norm
        return [states[layer] for layer in layers]

    def _attend(
        self,
        number: int,
        hidden: torch.Tensor,
        attended: torch.Tensor,
        angles: torch.Tensor,
        groups: Sequence[tuple[int, int]],
        attention: Attention,
    ) -> None:
        """Add one layer's attention to ``hidden``, in place."""
        block = self._blocks[number]
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

    def _transform(self, number: int, hidden: torch.Tensor) -> None:
        """Add one layer's feed-forward part to ``hidden``, in place, in blocks that stay cached."""
        block = self._blocks[number]
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
        """Rotary angles of at least the first positions, ``(positions, head_dim / 2)``, kept."""
        if len(self._angles) < length:
            # the stock class's own, so that every scaling recipe it knows is in them
            cos, sin = self._rotary(torch.zeros(1), torch.arange(length)[None, :])
            half = self._head_dim // 2
            self._angles = torch.complex(cos[0, :, :half].float(), sin[0, :, :half].float())
        return self._angles

    def _fused(self, tensors: dict[str, torch.Tensor], stem: str) -> _Block:
        """Take one layer's tensors out of the dictionary."""

        def take(name: str) -> torch.Tensor:
            return tensors.pop(f"{stem}{name}")

        def perhaps(name: str) -> torch.Tensor | None:
            tensor = tensors.pop(f"{stem}{name}", None)
            return None if tensor is None else _plain(tensor)

        before, after = take("input_layernorm.weight"), take("post_attention_layernorm.weight")
        query_norm, key_norm = (perhaps(f"self_attn.{x}_norm.weight") for x in "qk")
        biases = [perhaps(f"self_attn.{x}_proj.bias") for x in "qkv"]
        gate_up_biases = [perhaps(f"mlp.{x}_proj.bias") for x in ("gate", "up")]
        qkv_bias = gate_up_bias = None
        if biases[0] is not None and biases[1] is not None and biases[2] is not None:
            query, key, value = biases[0], biases[1], biases[2]
            query, key = (
                self._interleaved(query, self._heads),
                self._interleaved(key, self._kv_heads),
            )
            qkv_bias = torch.cat([query, key, value])
        if gate_up_biases[0] is not None and gate_up_biases[1] is not None:
            gate_up_bias = torch.cat([gate_up_biases[0], gate_up_biases[1]])
        qkv = torch.cat(
            [
                self._interleaved(take("self_attn.q_proj.weight"), self._heads),
                self._interleaved(take("self_attn.k_proj.weight"), self._kv_heads),
                take("self_attn.v_proj.weight"),
            ]
        )
        gate_up = torch.cat([take("mlp.gate_proj.weight"), take("mlp.up_proj.weight")])
        return _Block(
            qkv=_plain(qkv.mul_(before)),
            qkv_bias=qkv_bias,
            query_norm=None if query_norm is None else self._interleaved(query_norm, 1),
            key_norm=None if key_norm is None else self._interleaved(key_norm, 1),
            out=_plain(take("self_attn.o_proj.weight")),
            out_bias=perhaps("self_attn.o_proj.bias"),
            gate_up=_plain(gate_up.mul_(after)),
            gate_up_bias=gate_up_bias,
            down=_plain(take("mlp.down_proj.weight")),
            down_bias=perhaps("mlp.down_proj.bias"),
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
