"""The table of architectures: which stock class runs a checkpoint, and how published ones differ.

An `Architecture` is a stock transformers class with the config fields it takes; a `Layout` is one way
in which checkpoints of it are published: their model types, tensor names and other names of fields.
Everything else is derived from these two tables: which model types can be loaded, which names a saved
encoder may have, what the packed forward covers, which tokenizer reads old vocabulary files. A field
or tensor that is listed nowhere is an error where it would change the vectors. Needs no torch.
Sources: the checkpoints' own code and public ports, listed with each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import EncoderLoadError, EncoderUnavailableError

CONFIG_FILE = "config.json"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A stock class."""

    name: str  # as in `EncoderSpec.architecture`
    config_class: str  # its configuration, in transformers
    model_class: str  # its model without a head, in transformers
    fields: tuple[str, ...]  # config fields taken over under their own name
    required: tuple[str, ...]  # config fields without which its sizes would be guesses
    # causal unless told otherwise on every call; others see both sides unless masked
    decoder: bool = True
    packed: bool = False  # the packed forward computes it (Llama's shape; `core.encoders.packed`)
    local_attention: bool = False  # layers with a sliding window belong to it
    options: tuple[tuple[str, Any], ...] = ()  # arguments of the model class
    # name of the norm after the last layer; "" where each layer has its own
    final_norm: str = "norm"
    transposed: bool = False  # matrices are ``(in, out)``
    # reads vocab.json and merges.txt where a checkpoint has no tokenizer.json
    tokenizer_class: str = ""
    offset_positions: bool = False  # positions are counted from the padding id on


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which checkpoints of an architecture are published."""

    name: str  # short name
    architecture: str  # name in `ARCHITECTURES`
    model_types: tuple[str, ...]  # values of config.json's ``model_type`` that mean this layout
    fields: tuple[str, ...] = ()  # config fields taken over; those of the architecture unless given
    # config fields that must be there; those of the architecture unless given
    required: tuple[str, ...] = ()
    # config field of the checkpoint to field of the stock class
    renamed_fields: tuple[tuple[str, str], ...] = ()
    # config fields that would mean another network if they had another value
    must_be: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    # leading parts of tensor names that are dropped, first match only
    prefixes: tuple[str, ...] = ()
    # regular expression to replacement, on names without prefix
    renamed: tuple[tuple[str, str], ...] = ()
    # full-match expressions (prefix dropped, before renaming) of tensors that an encoder does not
    # run: output heads and saved constants
    ignored: tuple[str, ...] = ()
    marker: str = ""  # prefix that a tensor must have, to tell two layouts of one model type apart
    # the embedding's rows say how large the vocabulary is, since the config was written before it
    # was resized
    vocabulary_from_tensor: bool = False

    def stock_name(self, name: str) -> str | None:
        """Return a tensor's name in the stock class, or None when an encoder leaves it aside."""
        for prefix in self.prefixes:
            if name.startswith(prefix):
                name = name.removeprefix(prefix)
                break
        if any(re.fullmatch(pattern, name) for pattern in self.ignored):
            return None
        for pattern, replacement in self.renamed:
            changed, count = re.subn(pattern, replacement, name)
            if count:
                return changed
        return name

    def stock_fields(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the stock class's config fields.

        Raises:
            EncoderLoadError: If a required field is missing, or a field has a value that means a
                network the stock class does not compute.
        """
        stock = ARCHITECTURES[self.architecture]
        missing = [n for n in self.required or stock.required if config.get(n) is None]
        if missing:
            raise EncoderLoadError(
                f"{CONFIG_FILE} lacks {', '.join(missing)}, which a {self.name} checkpoint must "
                "state. Download the checkpoint again."
            )
        for name, allowed in self.must_be:
            if name in config and config[name] not in allowed:
                raise EncoderLoadError(
                    f"{CONFIG_FILE} says {name} = {config[name]!r}; Bifocal can run only "
                    f"{' or '.join(repr(value) for value in allowed)} without remote code."
                )
        _require_plain(config)
        chosen = {n: config[n] for n in self.fields or stock.fields if config.get(n) is not None}
        for theirs, ours in self.renamed_fields:
            if config.get(theirs) is not None:
                chosen[ours] = config[theirs]
        return chosen


_SIZES = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
)  # fmt: skip
_ROTATION = ("rope_theta", "rope_scaling", "rope_parameters")
_DECODER_FIELDS = (
    *_SIZES, "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings",
    "rms_norm_eps", "attention_bias", "mlp_bias", "use_sliding_window", "layer_types",
    "pad_token_id", "bos_token_id", "eos_token_id", *_ROTATION,
)  # fmt: skip
_GPT2_SIZES = ("n_embd", "n_layer", "n_head", "n_positions")
_GPT2_FIELDS = (
    "vocab_size", *_GPT2_SIZES, "n_inner", "activation_function", "layer_norm_epsilon",
    "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn",
    "bos_token_id", "eos_token_id",
)  # fmt: skip
_BERT_FIELDS = (
    *_SIZES, "hidden_act", "max_position_embeddings", "type_vocab_size", "layer_norm_eps",
    "pad_token_id", "position_embedding_type",
)  # fmt: skip
_BERT: dict[str, Any] = {
    "fields": _BERT_FIELDS,
    "required": (*_SIZES, "max_position_embeddings"),
    "decoder": False,
    "options": (("add_pooling_layer", False),),
    "final_norm": "",
}

ARCHITECTURES: dict[str, Architecture] = {
    row.name: row
    for row in (
        Architecture(
            "llama", "LlamaConfig", "LlamaModel", _DECODER_FIELDS, _SIZES, packed=True
        ),
        Architecture(
            "qwen2", "Qwen2Config", "Qwen2Model", _DECODER_FIELDS, _SIZES, packed=True,
            tokenizer_class="Qwen2Tokenizer",
        ),
        Architecture(
            "qwen3", "Qwen3Config", "Qwen3Model", _DECODER_FIELDS, (*_SIZES, "head_dim"),
            packed=True, tokenizer_class="Qwen2Tokenizer",
        ),
        Architecture(
            "gpt2", "GPT2Config", "GPT2Model", _GPT2_FIELDS, ("vocab_size", *_GPT2_SIZES),
            final_norm="ln_f", transposed=True, tokenizer_class="GPT2Tokenizer",
        ),
        Architecture("bert", "BertConfig", "BertModel", **_BERT),
        Architecture("roberta", "RobertaConfig", "RobertaModel", offset_positions=True, **_BERT),
        Architecture(
            "xlm-roberta", "XLMRobertaConfig", "XLMRobertaModel", offset_positions=True, **_BERT
        ),
    )
}  # fmt: skip

_ROTATION_KINDS = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")
_HEAD = (r"lm_head\.weight", r"lm_head\.bias", r"score\.weight")
_CONSTANTS = (r"(.*\.)?rotary_emb\.inv_freq", r"h\.\d+\.attn\.(bias|masked_bias)")
_DECODER_IGNORED = (*_HEAD, *_CONSTANTS)
_BERT_IGNORED = (r"pooler\..*", r"cls\..*", r"lm_head\..*", r"embeddings\.position_ids")
_FULL_ATTENTION = (("use_sliding_window", (False, None)),)
_ABSOLUTE = (("position_embedding_type", ("absolute", None)),)

LAYOUTS: tuple[Layout, ...] = (
    Layout(  # DiffuLLaMA, arXiv 2410.17891: the same dump as DiffuGPT's around a Llama
        "diffullama",
        "llama",
        ("llama",),
        prefixes=("denoise_model.",),
        ignored=_DECODER_IGNORED,
        marker="denoise_model.",
        vocabulary_from_tensor=True,
    ),
    Layout(
        "llama",
        "llama",
        ("llama", "a2d-llama"),
        must_be=(("hidden_act", ("silu",)),),
        prefixes=("model.",),
        ignored=_DECODER_IGNORED,
    ),
    Layout(  # Dream, arXiv 2508.15487: a Qwen2.5 skeleton under its own model type
        "qwen2",
        "qwen2",
        ("qwen2", "Dream", "dream", "a2d-qwen2"),
        must_be=_FULL_ATTENTION,
        prefixes=("model.",),
        ignored=_DECODER_IGNORED,
    ),
    Layout(  # pplx-embed, arXiv 2602.11151: Qwen3 names without prefix; dLLM, arXiv 2602.22661
        "qwen3",
        "qwen3",
        ("qwen3", "bidirectional_pplx_qwen3", "pplx_contextual_qwen3", "a2d-qwen3"),
        must_be=_FULL_ATTENTION,
        prefixes=("model.",),
        ignored=_DECODER_IGNORED,
    ),
    Layout(  # LLaDA, arXiv 2502.09992: OLMo's names and config fields, Llama's network
        "llada",
        "llama",
        ("llada",),
        fields=("vocab_size", "rope_theta", "rms_norm_eps"),
        required=(
            "d_model", "n_heads", "n_layers", "mlp_hidden_size", "vocab_size", "rope_theta",
            "rms_norm_eps", "max_sequence_length",
        ),
        renamed_fields=(
            ("activation_type", "hidden_act"),
            ("d_model", "hidden_size"),
            ("n_heads", "num_attention_heads"),
            ("n_heads", "num_key_value_heads"),  # replaced by n_kv_heads where there is one
            ("n_kv_heads", "num_key_value_heads"),
            ("n_layers", "num_hidden_layers"),
            ("mlp_hidden_size", "intermediate_size"),
            ("max_sequence_length", "max_position_embeddings"),
            ("embedding_size", "vocab_size"),  # the padded size, which the tensor has
        ),
        must_be=(
            ("block_type", ("llama",)),
            ("layer_norm_type", ("rms",)),
            ("activation_type", ("silu",)),
            ("rope", (True,)),
            *(
                (name, (False, None))
                for name in (
                    "include_bias", "include_qkv_bias", "alibi", "attention_layer_norm",
                    "scale_logits", "input_emb_norm", "multi_query_attention",
                )
            ),
        ),
        prefixes=("model.transformer.", "transformer."),
        ignored=(r"ff_out\.weight",),  # the output head; the blocks' own are blocks.N.ff_out
        renamed=(
            (r"^wte\.weight$", "embed_tokens.weight"),
            (r"^ln_f\.weight$", "norm.weight"),
            (r"^blocks\.(\d+)\.([qkv])_proj\.weight$", r"layers.\1.self_attn.\2_proj.weight"),
            (r"^blocks\.(\d+)\.attn_out\.weight$", r"layers.\1.self_attn.o_proj.weight"),
            (r"^blocks\.(\d+)\.ff_proj\.weight$", r"layers.\1.mlp.gate_proj.weight"),
            (r"^blocks\.(\d+)\.up_proj\.weight$", r"layers.\1.mlp.up_proj.weight"),
            (r"^blocks\.(\d+)\.ff_out\.weight$", r"layers.\1.mlp.down_proj.weight"),
            (r"^blocks\.(\d+)\.attn_norm\.weight$", r"layers.\1.input_layernorm.weight"),
            (r"^blocks\.(\d+)\.ff_norm\.weight$", r"layers.\1.post_attention_layernorm.weight"),
        ),
    ),
    Layout(  # DiffuGPT, arXiv 2410.17891: a dump of the training class, embeddings kept apart
        "diffugpt",
        "gpt2",
        ("gpt2",),
        required=_GPT2_SIZES,
        prefixes=("denoise_model.",),
        ignored=_DECODER_IGNORED,
        renamed=((r"^embed_tokens\.weight$", "wte.weight"),),
        marker="denoise_model.",
        vocabulary_from_tensor=True,
    ),
    Layout("gpt2", "gpt2", ("gpt2",), prefixes=("transformer.",), ignored=_DECODER_IGNORED),
    *(
        Layout(
            name, name, (name,), must_be=_ABSOLUTE, prefixes=(prefix,), ignored=_BERT_IGNORED
        )
        for name, prefix in (("bert", "bert."), ("roberta", "roberta."), ("xlm-roberta", "roberta."))
    ),
)  # fmt: skip


def find_layout(model_type: str, tensor_names: Collection[str] | None = None) -> Layout:
    """Return the layout of a checkpoint by its ``model_type`` and, once known, its tensors' names.

    Raises:
        EncoderLoadError: If no layout is known for it.
    """
    for layout in LAYOUTS:
        marked = any(name.startswith(layout.marker) for name in tensor_names or ())
        if model_type in layout.model_types and (not layout.marker or marked):
            return layout
    known = ", ".join(sorted({name for layout in LAYOUTS for name in layout.model_types}))
    raise EncoderLoadError(
        f"{CONFIG_FILE} has model_type {model_type!r}, which Bifocal cannot run without remote "
        f"code. It can run: {known}."
    )


def _require_plain(config: Mapping[str, Any]) -> None:
    """Refuse quantised weights and kinds of rotation that no stock class here computes."""
    if config.get("quantization_config") is not None:
        raise EncoderLoadError(
            f"{CONFIG_FILE} has a quantization_config: the weights are quantised, which Bifocal does "
            "not read. Choose the checkpoint in float32, bfloat16 or float16 that they were made from."
        )
    stated = [
        config[n] for n in ("rope_parameters", "rope_scaling") if isinstance(config.get(n), dict)
    ]
    nested = [part for one in stated for part in one.values() if isinstance(part, dict)]
    for rotation in (config, *stated, *nested):
        kind = "default" if rotation is config else rotation.get("rope_type", rotation.get("type"))
        if kind not in (None, *_ROTATION_KINDS):
            raise EncoderLoadError(
                f"{CONFIG_FILE} asks for the rotary embedding {kind!r}; Bifocal knows "
                f"{', '.join(_ROTATION_KINDS)}. Choose another checkpoint."
            )
        if rotation.get("partial_rotary_factor") not in (None, 1):
            raise EncoderLoadError(
                f"{CONFIG_FILE} says partial_rotary_factor = {rotation['partial_rotary_factor']!r}; "
                "the networks that Bifocal runs turn whole heads. Choose another checkpoint."
            )


def parameters_of(fields: Mapping[str, Any]) -> int:
    """Estimate how many weights run from stock config fields, to tell whether they fit in memory."""
    hidden = int(fields.get("hidden_size") or fields["n_embd"])
    layers = int(fields.get("num_hidden_layers") or fields["n_layer"])
    inner = int(fields.get("intermediate_size") or fields.get("n_inner") or 4 * hidden)
    gated = 3 if "rms_norm_eps" in fields else 2
    heads = int(fields.get("num_attention_heads") or fields["n_head"])
    kv_heads = int(fields.get("num_key_value_heads") or heads)
    head = int(fields.get("head_dim") or hidden // heads)
    per_layer = 2 * hidden * head * (heads + kv_heads) + gated * hidden * inner
    return int(fields.get("vocab_size", 0)) * hidden + layers * per_layer


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a checkpoint folder.

    Raises:
        EncoderUnavailableError: If the file is not there.
        EncoderLoadError: If it is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise EncoderUnavailableError(
            f"{path} cannot be read. A checkpoint folder needs it; download it again."
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise EncoderLoadError(
            f"{path} is not JSON: {exc}. Download the checkpoint again."
        ) from exc
    if not isinstance(content, dict):
        raise EncoderLoadError(f"{path} is not a JSON object. Download the checkpoint again.")
    return content
