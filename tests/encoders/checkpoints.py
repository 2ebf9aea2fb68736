"""Tiny random checkpoints with the real layouts' tensor names and config fields.

Each is written as a folder of safetensors, config.json and tokenizer.json, as its publisher's is, from
a stock model whose own forward pass is the independent computation that tests compare with.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    Qwen2Config,
    Qwen2Model,
    Qwen3Config,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from core.encoders.bundled import ArmFacts, write_bundled
from core.encoders.spec import Attention, EncoderSpec, Pooling
from core.records import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HIDDEN = 32
END_TOKEN = 3
VOCABULARY = 96
MAX_TOKENS = 48
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
TEXTS = (
    "the old harbour and the sea",
    "wind",
    "a late letter of the captain and the crew of the new ship answer the question",
    "green glass",
    "storm light on dark water, fire on the bridge tower at night",
    "the river",
    "proof of a number",
    "old old old old stone",
)


def tiny_tokenizer(*, end: bool = False) -> Tokenizer:
    """Words of `WORDS`, all else unknown; like Qwen3-Embedding's it may append an end token."""
    vocabulary = {"<pad>": 0, "<unk>": 1, "<s>": 2, "<end>": END_TOKEN}
    for word in WORDS:
        vocabulary.setdefault(word, len(vocabulary))
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<pad>", "<unk>", "<s>", "<end>"])
    if end:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A <end>", special_tokens=[("<end>", END_TOKEN)]
        )
    return tokenizer


def bert_tokenizer() -> Tokenizer:
    """The same words between ``<s>`` and ``<end>``, as BERT has [CLS] and [SEP]."""
    tokenizer = tiny_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A <end>", special_tokens=[("<s>", 2), ("<end>", END_TOKEN)]
    )
    return tokenizer


@dataclass(frozen=True)
class Checkpoint:
    """A folder as published, its spec, and the stock model it came from."""

    folder: Path
    spec: EncoderSpec
    model: Any

    def states(self, ids: Sequence[int]) -> torch.Tensor:
        """Final states of one text by the stock class alone, ``(length, hidden)``."""
        tokens = torch.tensor([list(ids)])
        mask = None
        if self.spec.attention is Attention.BIDIRECTIONAL and self.spec.family in {
            Family.DIFFUSION,
            Family.AUTOREGRESSIVE,
        }:
            mask = torch.zeros(1, 1, len(ids), len(ids))  # nothing is hidden
        with torch.inference_mode():
            states: torch.Tensor = self.model(input_ids=tokens, attention_mask=mask)[0]
        return states[0]


@dataclass(frozen=True)
class Recipe:
    """How a tiny checkpoint of one layout is made."""

    architecture: str
    attention: Attention
    pooling: Pooling
    family: Family
    build: Callable[[], Any]
    config: Callable[[Any], dict[str, Any]]
    rename: Callable[[str], str]
    others: Callable[[Any], dict[str, torch.Tensor]] = lambda _: {}
    end_token: int | None = None
    query_prompt: str = ""


_DECODER: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
}


def _qwen3(**changes: Any) -> Any:
    return Qwen3Model(
        Qwen3Config(**{**_DECODER, "num_key_value_heads": 2, "head_dim": 16, **changes})
    )


def _qwen2() -> Any:
    return Qwen2Model(Qwen2Config(**{**_DECODER, "num_key_value_heads": 2, "rope_theta": 1e6}))


def _llama(**changes: Any) -> Any:
    return LlamaModel(
        LlamaConfig(**{**_DECODER, "num_key_value_heads": 2, "rope_theta": 100_000.0, **changes})
    )


def _gpt2(vocabulary: int = VOCABULARY) -> Any:
    return GPT2Model(
        GPT2Config(
            vocab_size=vocabulary,
            n_positions=64,
            n_embd=HIDDEN,
            n_layer=2,
            n_head=4,
            bos_token_id=2,
            eos_token_id=3,
        )
    )


def _stock_config(model_type: str, **changes: Any) -> Callable[[Any], dict[str, Any]]:
    def config(model: Any) -> dict[str, Any]:
        stated = model.config.to_dict()
        rope = stated.pop("rope_parameters", None)
        if rope:  # published configs have the older field
            stated["rope_theta"] = rope["rope_theta"]
        stated.pop("layer_types", None)
        return {**stated, "model_type": model_type, **changes}

    return config


def _llada_config(model: Any) -> dict[str, Any]:
    stock = model.config
    return {
        "model_type": "llada",
        "auto_map": {"AutoModel": "modeling_llada.LLaDAModelLM"},
        "activation_type": "silu",
        "alibi": False,
        "attention_layer_norm": False,
        "block_type": "llama",
        "d_model": stock.hidden_size,
        "embedding_size": stock.vocab_size,
        "eos_token_id": 3,
        "include_bias": False,
        "include_qkv_bias": False,
        "input_emb_norm": False,
        "layer_norm_type": "rms",
        "mask_token_id": 90,
        "max_sequence_length": stock.max_position_embeddings,
        "mlp_hidden_size": stock.intermediate_size,
        "multi_query_attention": None,
        "n_heads": stock.num_attention_heads,
        "n_kv_heads": stock.num_key_value_heads,
        "n_layers": stock.num_hidden_layers,
        "pad_token_id": 3,
        "rms_norm_eps": stock.rms_norm_eps,
        "rope": True,
        "rope_theta": stock.rope_parameters["rope_theta"],
        "scale_logits": False,
        "vocab_size": stock.vocab_size,
        "weight_tying": False,
    }


def _llada_name(name: str) -> str:
    head = {"embed_tokens.weight": "wte.weight", "norm.weight": "ln_f.weight"}
    if name in head:
        return f"model.transformer.{head[name]}"
    parts = {
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
    match = re.fullmatch(r"layers\.(\d+)\.(.+)\.weight", name)
    assert match is not None
    return f"model.transformer.blocks.{match[1]}.{parts[match[2]]}.weight"


def _head(model: Any) -> dict[str, torch.Tensor]:
    weight = model.get_input_embeddings().weight
    return {"lm_head.weight": torch.randn_like(weight)}


def _prefixed(prefix: str) -> Callable[[str], str]:
    return lambda name: f"{prefix}{name}"


def _diffugpt_name(name: str) -> str:
    return "embed_tokens.weight" if name == "wte.weight" else f"denoise_model.{name}"


BIDIRECTIONAL, CAUSAL = Attention.BIDIRECTIONAL, Attention.CAUSAL
MEAN, LAST, FIRST = Pooling.MEAN, Pooling.LAST_TOKEN, Pooling.FIRST_TOKEN
DIFFUSION, AUTOREGRESSIVE = Family.DIFFUSION, Family.AUTOREGRESSIVE

RECIPES: dict[str, Recipe] = {
    "pplx-embed": Recipe(
        "qwen3",
        BIDIRECTIONAL,
        MEAN,
        DIFFUSION,
        _qwen3,
        _stock_config(
            "bidirectional_pplx_qwen3",
            architectures=["PPLXQwen3Model"],
            auto_map={"AutoModel": "modeling.PPLXQwen3Model"},
            use_sliding_window=False,
            rope_theta=1_000_000,
        ),
        _prefixed(""),
    ),
    "qwen3-embedding": Recipe(
        "qwen3",
        CAUSAL,
        LAST,
        AUTOREGRESSIVE,
        _qwen3,
        _stock_config("qwen3", architectures=["Qwen3ForCausalLM"]),
        _prefixed(""),
        end_token=END_TOKEN,
        query_prompt="Instruct: {instruction}\nQuery:",
    ),
    "dllm-mdlm": Recipe(
        "qwen3",
        BIDIRECTIONAL,
        MEAN,
        DIFFUSION,
        _qwen3,
        _stock_config("a2d-qwen3", architectures=["A2DQwen3LMHeadModel"]),
        _prefixed("model."),
        others=_head,
    ),
    "dream": Recipe(
        "qwen2",
        BIDIRECTIONAL,
        MEAN,
        DIFFUSION,
        _qwen2,
        _stock_config(
            "Dream",
            architectures=["DreamModel"],
            mask_token_id=90,
            full_attn_mask=True,
            use_sliding_window=False,
            max_window_layers=28,
        ),
        _prefixed("model."),
        others=_head,
        end_token=END_TOKEN,
        query_prompt="the old ",
    ),
    "qwen2.5": Recipe(
        "qwen2",
        CAUSAL,
        MEAN,
        AUTOREGRESSIVE,
        _qwen2,
        _stock_config("qwen2", use_sliding_window=False, sliding_window=131072),
        _prefixed("model."),
        others=_head,
    ),
    "llada": Recipe(
        "llama",
        BIDIRECTIONAL,
        MEAN,
        DIFFUSION,
        lambda: _llama(num_key_value_heads=4, rope_theta=500_000.0),
        _llada_config,
        _llada_name,
        others=lambda model: {
            "model.transformer.ff_out.weight": _head(model)["lm_head.weight"],
        },
    ),
    "llama-3": Recipe(
        "llama",
        CAUSAL,
        MEAN,
        AUTOREGRESSIVE,
        _llama,
        _stock_config("llama", rope_scaling=None),
        _prefixed("model."),
        others=_head,
    ),
    "diffugpt-m": Recipe(
        "gpt2",
        BIDIRECTIONAL,
        MEAN,
        DIFFUSION,
        lambda: _gpt2(VOCABULARY + 4),  # resized after the config was written
        _stock_config("gpt2", vocab_size=VOCABULARY),
        _diffugpt_name,
        others=_head,
    ),
    "gpt2": Recipe(
        "gpt2",
        CAUSAL,
        MEAN,
        AUTOREGRESSIVE,
        _gpt2,
        _stock_config("gpt2"),
        _prefixed(""),
        others=lambda _: {
            f"h.{layer}.attn.bias": torch.tril(torch.ones(1, 1, 64, 64)) for layer in range(2)
        },
    ),
    "minilm": Recipe(
        "bert",
        BIDIRECTIONAL,
        MEAN,
        Family.REFERENCE,
        lambda: BertModel(
            BertConfig(
                vocab_size=VOCABULARY,
                hidden_size=HIDDEN,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=64,
                max_position_embeddings=64,
            ),
            add_pooling_layer=False,
        ),
        _stock_config("bert"),
        _prefixed(""),
        others=lambda _: {
            "pooler.dense.weight": torch.randn(HIDDEN, HIDDEN),
            "pooler.dense.bias": torch.randn(HIDDEN),
            "embeddings.position_ids": torch.arange(64)[None],
        },
    ),
    "multilingual-e5": Recipe(
        "xlm-roberta",
        BIDIRECTIONAL,
        FIRST,
        Family.REFERENCE,
        lambda: XLMRobertaModel(
            XLMRobertaConfig(
                vocab_size=VOCABULARY,
                hidden_size=HIDDEN,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=64,
                max_position_embeddings=66,
                type_vocab_size=1,
                pad_token_id=1,
            ),
            add_pooling_layer=False,
        ),
        _stock_config("xlm-roberta"),
        _prefixed("roberta."),
        query_prompt="the ",
    ),
}


def write_checkpoint(name: str, folder: Path, *, seed: int = 0) -> Checkpoint:
    """Write the tiny checkpoint of a recipe and return it with its stock model."""
    recipe = RECIPES[name]
    torch.manual_seed(seed)
    model = recipe.build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # large enough that attention is far from uniform, biases and norms not at their start
            parameter.add_(0.25 * torch.randn_like(parameter))
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {recipe.rename(key): value.clone() for key, value in model.state_dict().items()}
    tensors.update(recipe.others(model))
    save_file(tensors, folder / "model.safetensors")
    config = recipe.config(model)
    if recipe.architecture == "qwen3":
        # the model above was built with the default base; state the one it has
        config["rope_theta"] = model.config.rope_parameters["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config, default=str), encoding="utf-8")
    reference = recipe.family is Family.REFERENCE
    tokenizer = bert_tokenizer() if reference else tiny_tokenizer(end=name == "qwen3-embedding")
    tokenizer.save(str(folder / "tokenizer.json"))
    spec = EncoderSpec(
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
        parameters=0,
        appends_end_token=recipe.end_token,
    )
    model.requires_grad_(requires_grad=False)
    return Checkpoint(folder, spec, model)


def write_tiny_bundled(assets: Path) -> str:
    """Write a bundled folder around a tiny Llama under ``assets/encoders``; return its name."""
    torch.manual_seed(5)
    model = _llama().eval()
    generator = np.random.default_rng(5)
    base = {name: value.numpy() for name, value in model.state_dict().items()}
    width = 2 * HIDDEN

    def adapter(seed: int) -> dict[str, Any]:
        own = np.random.default_rng(seed)
        return {
            "layers.1.mlp.down_proj.down": own.normal(size=(2, 64)).astype(np.float32),
            "layers.1.mlp.down_proj.up": own.normal(size=(HIDDEN, 2)).astype(np.float32),
            "readout.offset": generator.normal(size=width).astype(np.float32) * 0.1,
            "readout.scale": generator.uniform(0.5, 2, size=width).astype(np.float32),
            "readout.projection": generator.normal(size=(width, 12)).astype(np.float32),
            "readout.token_weights": generator.uniform(0.1, 2, VOCABULARY).astype(np.float32),
        }

    def facts(attention: Attention, name: str) -> ArmFacts:
        return ArmFacts(
            encoder_id=name,
            label=name,
            attention=attention,
            pooling=Pooling.WEIGHTED_MEAN,
            layers=(1, 2),
            query_prompt="question: ",
            passage_prompt="letter: ",
            max_tokens=MAX_TOKENS,
            dimension=12,
            parameters=1,
            licence="Apache-2.0",
            trained_on="Nothing: random.",
        )

    write_bundled(
        assets / "encoders" / "tiny",
        config={**_DECODER, "num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": END_TOKEN},
        tokenizer_json=tiny_tokenizer().to_str(),
        base=base,
        adapters={Family.DIFFUSION: adapter(1), Family.AUTOREGRESSIVE: adapter(2)},
        arms={
            Family.DIFFUSION: facts(Attention.BIDIRECTIONAL, "tiny-diffusion"),
            Family.AUTOREGRESSIVE: facts(Attention.CAUSAL, "tiny-autoregressive"),
        },
    )
    return "tiny"
