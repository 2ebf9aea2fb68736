"""A random Llama small enough to train in milliseconds, and a tokenizer for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from core.training import preparation
from core.training.conversion import ConvertedBase, first_layers
from core.training.export import ATTENTION, TrainedEncoder, export
from core.training.network import AdaptedNetwork

if TYPE_CHECKING:
    from pathlib import Path

    from core.encoders.pooling import Readout
    from core.records import Family

VOCABULARY = 64
WORDS = [f"w{number}" for number in range(VOCABULARY - 4)]
CONFIG: dict[str, object] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "pad_token_id": 2,
    "tie_word_embeddings": True,
}


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shapes = {"embed_tokens.weight": (VOCABULARY, 32), "norm.weight": (32,)}
    for layer in range(3):
        stem = f"layers.{layer}"
        shapes |= {
            f"{stem}.self_attn.q_proj.weight": (32, 32),
            f"{stem}.self_attn.k_proj.weight": (16, 32),
            f"{stem}.self_attn.v_proj.weight": (16, 32),
            f"{stem}.self_attn.o_proj.weight": (32, 32),
            f"{stem}.mlp.gate_proj.weight": (48, 32),
            f"{stem}.mlp.up_proj.weight": (48, 32),
            f"{stem}.mlp.down_proj.weight": (32, 48),
            f"{stem}.input_layernorm.weight": (32,),
            f"{stem}.post_attention_layernorm.weight": (32,),
        }
    return {
        name: np.ones(shape, np.float32)
        if len(shape) == 1
        else generator.normal(scale=0.3, size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def network(seed: int = 0, layers: int = 2) -> AdaptedNetwork:
    arrays = first_layers(weights(), layers)
    return AdaptedNetwork({**CONFIG, "num_hidden_layers": layers}, arrays, rank=2, seed=seed)


def tokenizer() -> Tokenizer:
    entries = ["<unk>", "<s>", "</s>", ":", *WORDS]
    made = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(entries)}, unk_token="<unk>")
    )
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def stream(count: int = 900) -> np.ndarray:
    return np.random.default_rng(5).integers(4, VOCABULARY, count).astype(np.uint16)


def base() -> ConvertedBase:
    return ConvertedBase(config=CONFIG, tokenizer_json=str(tokenizer().to_str()), arrays=weights())


def readout(seed: int = 0) -> Readout:
    generator = torch.Generator().manual_seed(seed)
    plain = preparation.plain_readout(layer=2, hidden=32, vocabulary=VOCABULARY)
    return replace(plain, projection=torch.randn(32, 6, generator=generator))


def trained(seed: int) -> tuple[AdaptedNetwork, Readout]:
    net = network()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.adapters().values():
            module.up.normal_(std=0.2, generator=generator)
    return net, readout(seed)


def exported_pair(folder: Path) -> dict[Family, tuple[AdaptedNetwork, Readout]]:
    """Write a pair as it ships; return what it was made of."""
    nets = {family: trained(seed) for seed, family in enumerate(ATTENTION)}
    export(
        folder,
        base=base(),
        encoders={
            family: TrainedEncoder(net.exported(layers=2), readout, trained_on="a test")
            for family, (net, readout) in nets.items()
        },
        query_prompt="w0 ",
        passage_prompt="w1 ",
        max_tokens=32,
        licence="none",
    )
    return nets
