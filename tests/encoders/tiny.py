"""Checkpoint fixtures: tiny random checkpoints in every published layout.

Each has its publisher's tensor names, config fields and quirks, made from a small stock model, and
goes through the same loader as the real one; the docs' table of pairs is built on them too.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from core.encoders.architectures import ARCHITECTURES
from core.encoders.checkpoint import stock_classes
from core.encoders.spec import Attention, EncoderSpec, Pooling
from core.errors import UnknownNameError
from core.records import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

HIDDEN = 32
LAYERS = 2
VOCABULARY = 96
POSITIONS = 128
MAX_TOKENS = 48
PADDING_TOKEN, UNKNOWN_TOKEN, START_TOKEN, END_TOKEN = range(4)
SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "<end>")
WORDS = [
    "the",
    "of",
    "and",
    "a",
    "river",
    "sea",
    "old",
    "new",
    "glass",
    "harbour",
    "wind",
    "late",
    "early",
    "ship",
    "crew",
    "captain",
    "letter",
    "answer",
    "question",
    "proof",
    "number",
    "green",
    "blue",
    "stone",
    "bridge",
    "tower",
    "night",
    "day",
    "storm",
    "light",
    "dark",
    "water",
    "fire",
]
_SPREAD = 0.25
_RESIZED_BY = 4  # rows that DiffuGPT-m's embedding has beyond its config's vocabulary

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the tiny checkpoint of one layout is made.

    Attributes:
        architecture: Stock class family.
        family: What the real one is.
        attention: How the real one attends when it embeds.
        pooling: How it pools.
        fields: Config fields of the stock class.
        config: Stock config fields to the published config.json.
        published_name: Stock tensor name to the published one.
        other_tensors: What a published file holds besides, from the tiny model's own tensors.
        end_token: Id that closes every text, or None.
        appends_itself: Whether the published tokenizer adds that id.
        wraps: Whether the tokenizer puts start and end tokens around every text, as BERT's does.
        query_prompt: Prefix of queries.
    """

    architecture: str
    family: Family
    attention: Attention
    pooling: Pooling
    fields: Mapping[str, Any]
    config: Callable[[Mapping[str, Any]], dict[str, Any]]
    published_name: Callable[[str], str]
    other_tensors: Callable[[Tensors], Tensors] = lambda _: {}
    end_token: int | None = None
    appends_itself: bool = False
    wraps: bool = False
    query_prompt: str = ""


def tiny_tokenizer(*, appends_end: bool = False, wraps: bool = False) -> Tokenizer:
    """Return a tokenizer of `WORDS`; every other word is unknown."""
    vocabulary = {name: place for place, name in enumerate(SPECIAL_TOKENS)}
    for word in WORDS:
        vocabulary.setdefault(word, len(vocabulary))
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL_TOKENS[UNKNOWN_TOKEN]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    template = "<s> $A <end>" if wraps else "$A <end>" if appends_end else ""
    if template:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[("<s>", START_TOKEN), ("<end>", END_TOKEN)]
        )
    return tokenizer


def tiny_model(name: str, *, seed: int = 0) -> Any:
    """Return the stock model behind a recipe's checkpoint, its weights far from their start."""
    recipe = _recipe(name)
    config_class, model_class = stock_classes(recipe.architecture)
    torch.manual_seed(seed)
    options = dict(ARCHITECTURES[recipe.architecture].options)
    model = model_class(config_class(**recipe.fields), **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # large enough that attention is far from uniform, biases and norms not at their start
            parameter.add_(_SPREAD * torch.randn_like(parameter))
    model.requires_grad_(requires_grad=False)
    return model


def write_tiny_checkpoint(name: str, folder: Path, *, seed: int = 0) -> EncoderSpec:
    """Write a recipe's checkpoint as its publisher would; return the spec that describes it.

    Raises:
        UnknownNameError: If there is no such recipe.
    """
    recipe = _recipe(name)
    model = tiny_model(name, seed=seed)
    own: Tensors = {key: value.clone() for key, value in model.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    published = {recipe.published_name(key): value for key, value in own.items()}
    save_file({**published, **recipe.other_tensors(own)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(recipe.config(recipe.fields)), encoding="utf-8")
    tokenizer = tiny_tokenizer(appends_end=recipe.appends_itself, wraps=recipe.wraps)
    tokenizer.save(str(folder / "tokenizer.json"))
    return EncoderSpec(
        encoder_id=name,
        label=name,
        family=recipe.family,
        checkpoint=f"local:{folder}",
        revision="",
        architecture=recipe.architecture,
        attention=recipe.attention,
        pooling=recipe.pooling,
        query_prompt=recipe.query_prompt,
        passage_prompt="",
        default_instruction="answer the question",
        max_tokens=MAX_TOKENS,
        dimension=HIDDEN,
        licence="Apache-2.0",
        trained_on="Nothing: random.",
        parameters=sum(value.numel() for value in own.values()),
        appends_end_token=recipe.end_token,
    )


def _recipe(name: str) -> Recipe:
    try:
        return RECIPES[name]
    except KeyError:
        msg = f"There is no tiny checkpoint {name!r}. Known: {', '.join(RECIPES)}."
        raise UnknownNameError(msg) from None


def _decoder(**changes: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": 64,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": POSITIONS,
        "rms_norm_eps": 1e-6,
        "bos_token_id": START_TOKEN,
        "eos_token_id": END_TOKEN,
        **changes,
    }


def _rope(theta: float) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}


def _gpt2(vocabulary: int = VOCABULARY) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "n_positions": 64,
        "n_embd": HIDDEN,
        "n_layer": LAYERS,
        "n_head": 4,
        "bos_token_id": START_TOKEN,
        "eos_token_id": END_TOKEN,
    }


def _bert(**changes: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 66,
        **changes,
    }


def _published(model_type: str, **changes: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The stock fields with what the publisher's config.json has besides, or instead."""

    def config(fields: Mapping[str, Any]) -> dict[str, Any]:
        stated = dict(fields)
        rope = stated.pop("rope_parameters", None)
        if rope:  # published configs have the older field
            stated["rope_theta"] = rope["rope_theta"]
        return {**stated, "model_type": model_type, "torch_dtype": "bfloat16", **changes}

    return config


def _llada_config(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model_type": "llada",
        "auto_map": {"AutoModel": "modeling_llada.LLaDAModelLM"},
        "activation_type": "silu",
        "alibi": False,
        "attention_layer_norm": False,
        "block_type": "llama",
        "d_model": fields["hidden_size"],
        "embedding_size": fields["vocab_size"],
        "eos_token_id": END_TOKEN,
        "include_bias": False,
        "include_qkv_bias": False,
        "input_emb_norm": False,
        "layer_norm_type": "rms",
        "mask_token_id": VOCABULARY - 1,
        "max_sequence_length": fields["max_position_embeddings"],
        "mlp_hidden_size": fields["intermediate_size"],
        "multi_query_attention": None,
        "n_heads": fields["num_attention_heads"],
        "n_kv_heads": fields["num_key_value_heads"],
        "n_layers": fields["num_hidden_layers"],
        "rms_norm_eps": fields["rms_norm_eps"],
        "rope": True,
        "rope_theta": fields["rope_parameters"]["rope_theta"],
        "scale_logits": False,
        "vocab_size": fields["vocab_size"],
        "weight_tying": False,
    }


_LLADA_PARTS = {
    "self_attn.q_proj": "q_proj",
    "self_attn.k_proj": "k_proj",
    "self_attn.v_proj": "v_proj",
    "self_attn.o_proj": "attn_out",
    "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ff_norm",
}


def _llada_name(name: str) -> str:
    match = re.fullmatch(r"layers\.(\d+)\.(.+)\.weight", name)
    if match is None:
        head = {"embed_tokens.weight": "wte.weight", "norm.weight": "ln_f.weight"}
        return f"model.transformer.{head[name]}"
    return f"model.transformer.blocks.{match[1]}.{_LLADA_PARTS[match[2]]}.weight"


def _prefixed(prefix: str) -> Callable[[str], str]:
    return lambda name: f"{prefix}{name}"


def _denoiser_name(name: str) -> str:
    if name in {"wte.weight", "embed_tokens.weight"}:
        return "embed_tokens.weight"
    return f"denoise_model.{name}"


def _head(name: str = "lm_head.weight") -> Callable[[Tensors], Tensors]:
    def tensors(own: Tensors) -> Tensors:
        table = own["embed_tokens.weight"] if "embed_tokens.weight" in own else own["wte.weight"]
        return {name: torch.randn_like(table)}

    return tensors


def _causal_constants(_own: Tensors) -> Tensors:
    lower = torch.tril(torch.ones(1, 1, 64, 64))
    return {f"h.{layer}.attn.bias": lower.clone() for layer in range(LAYERS)}


def _pooler(_own: Tensors) -> Tensors:
    return {
        "pooler.dense.weight": torch.randn(HIDDEN, HIDDEN),
        "pooler.dense.bias": torch.randn(HIDDEN),
        "embeddings.position_ids": torch.arange(66)[None],
    }


_DIFFUSION = (Family.DIFFUSION, Attention.BIDIRECTIONAL, Pooling.MEAN)
_AUTOREGRESSIVE = (Family.AUTOREGRESSIVE, Attention.CAUSAL, Pooling.MEAN)
_QWEN3 = _decoder(head_dim=16, **_rope(1_000_000.0))
_QWEN2 = _decoder(**_rope(1_000_000.0))

RECIPES: dict[str, Recipe] = {
    "pplx-embed": Recipe(
        "qwen3",
        *_DIFFUSION,
        _QWEN3,
        _published(
            "bidirectional_pplx_qwen3",
            architectures=["PPLXQwen3Model"],
            auto_map={"AutoModel": "modeling.PPLXQwen3Model"},
            use_sliding_window=False,
        ),
        _prefixed(""),
    ),
    "qwen3-embedding": Recipe(
        "qwen3",
        Family.AUTOREGRESSIVE,
        Attention.CAUSAL,
        Pooling.LAST_TOKEN,
        _QWEN3,
        _published("qwen3", architectures=["Qwen3ForCausalLM"], use_sliding_window=False),
        _prefixed(""),
        end_token=END_TOKEN,
        appends_itself=True,
        query_prompt="Instruct: {instruction}\nQuery:",
    ),
    "dllm-mdlm": Recipe(
        "qwen3",
        *_DIFFUSION,
        _QWEN3,
        _published("a2d-qwen3", architectures=["A2DQwen3LMHeadModel"]),
        _prefixed("model."),
        _head(),
    ),
    "qwen3": Recipe(
        "qwen3",
        *_AUTOREGRESSIVE,
        _QWEN3,
        _published("qwen3", architectures=["Qwen3ForCausalLM"]),
        _prefixed("model."),
        _head(),
    ),
    "dream": Recipe(
        "qwen2",
        *_DIFFUSION,
        _QWEN2,
        _published(
            "Dream",
            architectures=["DreamModel"],
            auto_map={"AutoModel": "modeling_dream.DreamModel"},
            mask_token_id=VOCABULARY - 1,
            full_attn_mask=True,
            use_sliding_window=False,
            sliding_window=None,
            max_window_layers=28,
        ),
        _prefixed("model."),
        _head(),
        end_token=END_TOKEN,
        query_prompt="the old ",
    ),
    "qwen2.5": Recipe(
        "qwen2",
        *_AUTOREGRESSIVE,
        _QWEN2,
        _published("qwen2", use_sliding_window=False, sliding_window=131_072),
        _prefixed("model."),
        _head(),
        end_token=END_TOKEN,
        query_prompt="the old ",
    ),
    "llada": Recipe(
        "llama",
        *_DIFFUSION,
        _decoder(num_key_value_heads=4, **_rope(500_000.0)),
        _llada_config,
        _llada_name,
        _head("model.transformer.ff_out.weight"),
    ),
    "llama-3": Recipe(
        "llama",
        *_AUTOREGRESSIVE,
        _decoder(**_rope(500_000.0)),
        _published("llama", rope_scaling=None),
        _prefixed("model."),
        _head(),
        end_token=None,
    ),
    "diffugpt-m": Recipe(
        "gpt2",
        *_DIFFUSION,
        _gpt2(VOCABULARY + _RESIZED_BY),
        _published("gpt2", vocab_size=VOCABULARY),
        _denoiser_name,
        _head(),
    ),
    "diffullama": Recipe(
        "llama",
        *_DIFFUSION,
        _decoder(num_key_value_heads=4, **_rope(10_000.0)),
        _published("llama"),
        _denoiser_name,
        _head(),
    ),
    "gpt2": Recipe(
        "gpt2",
        *_AUTOREGRESSIVE,
        _gpt2(),
        _published("gpt2"),
        _prefixed(""),
        _causal_constants,
    ),
    "minilm": Recipe(
        "bert",
        Family.REFERENCE,
        Attention.BIDIRECTIONAL,
        Pooling.MEAN,
        _bert(),
        _published("bert", position_embedding_type="absolute"),
        _prefixed(""),
        _pooler,
        wraps=True,
    ),
    "multilingual-e5": Recipe(
        "xlm-roberta",
        Family.REFERENCE,
        Attention.BIDIRECTIONAL,
        Pooling.FIRST_TOKEN,
        _bert(type_vocab_size=1, pad_token_id=UNKNOWN_TOKEN),
        _published("xlm-roberta"),
        _prefixed("roberta."),
        wraps=True,
        query_prompt="the ",
    ),
}

# which tiny checkpoint stands for which real one
CHECKPOINT_OF: dict[str, str] = {
    "pplx-embed-0.6b": "pplx-embed",
    "pplx-embed-4b": "pplx-embed",
    "pplx-embed-context-0.6b": "pplx-embed",
    "qwen3-embedding-0.6b": "qwen3-embedding",
    "qwen3-embedding-4b": "qwen3-embedding",
    "qwen3-embedding-0.6b-late": "qwen3-embedding",
    "dream-7b": "dream",
    "qwen2.5-7b": "qwen2.5",
    "llada-8b": "llada",
    "llama-3-8b": "llama-3",
    "qwen3-0.6b-mdlm": "dllm-mdlm",
    "qwen3-0.6b": "qwen3",
    "diffugpt-s": "diffugpt-m",
    "diffugpt-m": "diffugpt-m",
    "gpt2": "gpt2",
    "gpt2-medium": "gpt2",
    "all-minilm-l6-v2": "minilm",
    "bge-small-en-v1.5": "minilm",
    "e5-small-v2": "minilm",
    "gte-small": "minilm",
}
