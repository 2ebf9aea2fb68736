"""How checkpoints call things: tensor names and config fields of every supported layout, as data.

Each layout turns a published checkpoint into a stock transformers class: prefixes to strip, names to
change, tensors an encoder may leave aside, config fields to take over. What is not listed here is
not ignored; it is an error. Sources: the checkpoints' own code and public ports, listed with each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import EncoderLoadError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_ROPE_FIELDS = ("rope_theta", "rope_scaling", "rope_parameters")
_DECODER_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "attention_bias",
    "mlp_bias",
    "use_sliding_window",
    "layer_types",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    *_ROPE_FIELDS,
)
_GPT2_FIELDS = (
    "vocab_size",
    "n_positions",
    "n_embd",
    "n_layer",
    "n_head",
    "n_inner",
    "activation_function",
    "layer_norm_epsilon",
    "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx",
    "reorder_and_upcast_attn",
    "bos_token_id",
    "eos_token_id",
)
_BERT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "pad_token_id",
    "position_embedding_type",
)
DECODER_ARCHITECTURES = ("llama", "qwen2", "qwen3", "gpt2")
REFERENCE_ARCHITECTURES = ("bert", "xlm-roberta", "roberta")


@dataclass(frozen=True, slots=True)
class CheckpointLayout:
    """One way in which checkpoints of an architecture are published.

    Attributes:
        layout_id: Short name.
        architecture: Stock class family: a key of `core.encoders.backbone.STOCK_CLASSES`.
        model_types: Values of config.json's ``model_type`` that mean this layout.
        required_fields: Config fields without which the layout's sizes would be guesses.
        fields: Config fields taken over under their own name; all others are left out.
        renamed_fields: Config field of the checkpoint to field of the stock class.
        fixed_fields: Stock fields that the layout decides.
        must_be: Config fields that would mean another network if they had another value.
        prefixes: Leading parts of tensor names that are dropped, first match only.
        renamed: Regular expression to replacement, on names without prefix.
        ignored: Full-match expressions (prefix dropped, before renaming) of tensors that an encoder
            does not run: output heads and saved constants.
        marker: Prefix that a tensor must have for this layout, to tell two of one model type apart.
        vocabulary_from_tensor: The embedding's rows say how large the vocabulary is, since the
            config was written before it was resized.
    """

    layout_id: str
    architecture: str
    model_types: tuple[str, ...]
    required_fields: tuple[str, ...]
    fields: tuple[str, ...]
    renamed_fields: tuple[tuple[str, str], ...] = ()
    fixed_fields: tuple[tuple[str, Any], ...] = ()
    must_be: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    prefixes: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    marker: str = ""
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
        missing = [name for name in self.required_fields if config.get(name) is None]
        if missing:
            msg = (
                f"config.json lacks {', '.join(missing)}, which a {self.layout_id} checkpoint "
                "must state. Download the checkpoint again."
            )
            raise EncoderLoadError(msg)
        for name, allowed in self.must_be:
            if name in config and config[name] not in allowed:
                msg = (
                    f"config.json says {name} = {config[name]!r}; Bifocal can run only "
                    f"{' or '.join(repr(value) for value in allowed)} without remote code."
                )
                raise EncoderLoadError(msg)
        chosen = {name: config[name] for name in self.fields if config.get(name) is not None}
        for theirs, ours in self.renamed_fields:
            if config.get(theirs) is not None:
                chosen[ours] = config[theirs]
        chosen.update(self.fixed_fields)
        return chosen


_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)
_HEAD = (r"lm_head\.weight", r"lm_head\.bias", r"score\.weight")
_SAVED_CONSTANTS = (
    r"(.*\.)?rotary_emb\.inv_freq",
    r"h\.\d+\.attn\.(bias|masked_bias)",
)
_FULL_ATTENTION_ONLY = (("use_sliding_window", (False, None)),)

LAYOUTS: tuple[CheckpointLayout, ...] = (
    CheckpointLayout(
        # DiffuLLaMA, arXiv 2410.17891: the same dump as DiffuGPT's around a Llama.
        layout_id="diffullama",
        architecture="llama",
        model_types=("llama",),
        required_fields=_SIZES,
        fields=_DECODER_FIELDS,
        prefixes=("denoise_model.",),
        ignored=(*_HEAD, *_SAVED_CONSTANTS),
        marker="denoise_model.",
        vocabulary_from_tensor=True,
    ),
    CheckpointLayout(
        layout_id="llama",
        architecture="llama",
        model_types=("llama", "a2d-llama"),
        required_fields=_SIZES,
        fields=_DECODER_FIELDS,
        must_be=(("hidden_act", ("silu",)),),
        prefixes=("model.",),
        ignored=(*_HEAD, *_SAVED_CONSTANTS),
    ),
    CheckpointLayout(
        # Dream, arXiv 2508.15487: a Qwen2.5 skeleton under its own model type.
        layout_id="qwen2",
        architecture="qwen2",
        model_types=("qwen2", "Dream", "dream", "a2d-qwen2"),
        required_fields=_SIZES,
        fields=_DECODER_FIELDS,
        must_be=_FULL_ATTENTION_ONLY,
        prefixes=("model.",),
        ignored=(*_HEAD, *_SAVED_CONSTANTS),
    ),
    CheckpointLayout(
        # pplx-embed, arXiv 2602.11151: Qwen3 names without prefix; dLLM, arXiv 2602.22661.
        layout_id="qwen3",
        architecture="qwen3",
        model_types=("qwen3", "bidirectional_pplx_qwen3", "pplx_contextual_qwen3", "a2d-qwen3"),
        required_fields=(*_SIZES, "head_dim"),
        fields=_DECODER_FIELDS,
        must_be=_FULL_ATTENTION_ONLY,
        prefixes=("model.",),
        ignored=(*_HEAD, *_SAVED_CONSTANTS),
    ),
    CheckpointLayout(
        # LLaDA, arXiv 2502.09992: OLMo's names and config fields, Llama's network.
        layout_id="llada",
        architecture="llama",
        model_types=("llada",),
        required_fields=(
            "d_model",
            "n_heads",
            "n_layers",
            "mlp_hidden_size",
            "vocab_size",
            "rope_theta",
            "rms_norm_eps",
            "max_sequence_length",
        ),
        fields=("vocab_size", "rope_theta", "rms_norm_eps"),
        renamed_fields=(
            ("d_model", "hidden_size"),
            ("n_heads", "num_attention_heads"),
            ("n_heads", "num_key_value_heads"),  # replaced by n_kv_heads where there is one
            ("n_kv_heads", "num_key_value_heads"),
            ("n_layers", "num_hidden_layers"),
            ("mlp_hidden_size", "intermediate_size"),
            ("max_sequence_length", "max_position_embeddings"),
            ("embedding_size", "vocab_size"),  # the padded size, which the tensor has
        ),
        fixed_fields=(("hidden_act", "silu"),),
        must_be=(
            ("block_type", ("llama",)),
            ("layer_norm_type", ("rms",)),
            ("activation_type", ("silu",)),
            ("include_bias", (False, None)),
            ("include_qkv_bias", (False, None)),
            ("rope", (True,)),
            ("alibi", (False, None)),
            ("attention_layer_norm", (False, None)),
            ("scale_logits", (False, None)),
            ("input_emb_norm", (False, None)),
            ("multi_query_attention", (False, None)),
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
    CheckpointLayout(
        # DiffuGPT, arXiv 2410.17891: a dump of the training class, embeddings kept apart.
        layout_id="diffugpt",
        architecture="gpt2",
        model_types=("gpt2",),
        required_fields=("n_embd", "n_layer", "n_head", "n_positions"),
        fields=_GPT2_FIELDS,
        prefixes=("denoise_model.",),
        ignored=(*_HEAD, *_SAVED_CONSTANTS),
        renamed=((r"^embed_tokens\.weight$", "wte.weight"),),
        marker="denoise_model.",
        vocabulary_from_tensor=True,
    ),
    CheckpointLayout(
        layout_id="gpt2",
        architecture="gpt2",
        model_types=("gpt2",),
        required_fields=("vocab_size", "n_embd", "n_layer", "n_head", "n_positions"),
        fields=_GPT2_FIELDS,
        prefixes=("transformer.",),
        ignored=(*_HEAD, *_SAVED_CONSTANTS),
    ),
    CheckpointLayout(
        layout_id="bert",
        architecture="bert",
        model_types=("bert",),
        required_fields=(*_SIZES, "max_position_embeddings"),
        fields=_BERT_FIELDS,
        must_be=(("position_embedding_type", ("absolute", None)),),
        prefixes=("bert.",),
        ignored=(r"pooler\..*", r"cls\..*", r"embeddings\.position_ids"),
    ),
    CheckpointLayout(
        layout_id="xlm-roberta",
        architecture="xlm-roberta",
        model_types=("xlm-roberta",),
        required_fields=(*_SIZES, "max_position_embeddings"),
        fields=_BERT_FIELDS,
        must_be=(("position_embedding_type", ("absolute", None)),),
        prefixes=("roberta.",),
        ignored=(r"pooler\..*", r"lm_head\..*", r"embeddings\.position_ids"),
    ),
    CheckpointLayout(
        layout_id="roberta",
        architecture="roberta",
        model_types=("roberta",),
        required_fields=(*_SIZES, "max_position_embeddings"),
        fields=_BERT_FIELDS,
        must_be=(("position_embedding_type", ("absolute", None)),),
        prefixes=("roberta.",),
        ignored=(r"pooler\..*", r"lm_head\..*", r"embeddings\.position_ids"),
    ),
)


def find_layout(model_type: str, tensor_names: Collection[str]) -> CheckpointLayout:
    """Return the layout of a checkpoint.

    Args:
        model_type: config.json's ``model_type``.
        tensor_names: Names of all its tensors.

    Raises:
        EncoderLoadError: If no layout is known for it.
    """
    for layout in LAYOUTS:
        if model_type in layout.model_types and (
            not layout.marker or any(name.startswith(layout.marker) for name in tensor_names)
        ):
            return layout
    known = ", ".join(sorted({name for layout in LAYOUTS for name in layout.model_types}))
    msg = (
        f"config.json has model_type {model_type!r}, which Bifocal cannot run without remote code. "
        f"It can run: {known}."
    )
    raise EncoderLoadError(msg)
