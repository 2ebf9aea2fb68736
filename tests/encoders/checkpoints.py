"""Tiny checkpoints with the stock models they came from: what tests compare the loader with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.encoders.bundled import write_bundled
from core.encoders.spec import Attention, EncoderSpec, Pooling
from core.records import Family
from tests.encoders.tiny import (
    HIDDEN,
    MAX_TOKENS,
    RECIPES,
    VOCABULARY,
    tiny_model,
    tiny_tokenizer,
    write_tiny_checkpoint,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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
        if self.spec.attention is Attention.BIDIRECTIONAL and self.spec.family is Family.DIFFUSION:
            mask = torch.zeros(1, 1, len(ids), len(ids))  # nothing is hidden
        with torch.inference_mode():
            states: torch.Tensor = self.model(input_ids=tokens, attention_mask=mask)[0]
        return states[0]


def write_checkpoint(name: str, folder: Path, *, seed: int = 0) -> Checkpoint:
    """Write the tiny checkpoint of a recipe and return it with its stock model."""
    spec = write_tiny_checkpoint(name, folder, seed=seed)
    return Checkpoint(folder, spec, tiny_model(name, seed=seed))


def write_tiny_bundled(assets: Path) -> str:
    """Write a bundled folder around a tiny Llama under ``assets/encoders``; return its name."""
    torch.manual_seed(5)
    model = tiny_model("llama-3", seed=5)
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

    def facts(attention: Attention, name: str) -> dict[str, object]:
        return {
            "encoder_id": name,
            "label": name,
            "attention": attention,
            "pooling": Pooling.WEIGHTED_MEAN,
            "layers": (1, 2),
            "query_prompt": "question: ",
            "passage_prompt": "letter: ",
            "max_tokens": MAX_TOKENS,
            "dimension": 12,
            "parameters": 1,
            "licence": "Apache-2.0",
            "trained_on": "Nothing: random.",
        }

    write_bundled(
        assets / "encoders" / "tiny",
        config={**RECIPES["llama-3"].fields, "head_dim": 8},
        tokenizer_json=tiny_tokenizer().to_str(),
        base=base,
        adapters={Family.DIFFUSION: adapter(1), Family.AUTOREGRESSIVE: adapter(2)},
        encoders={
            Family.DIFFUSION: facts(Attention.BIDIRECTIONAL, "tiny-diffusion"),
            Family.AUTOREGRESSIVE: facts(Attention.CAUSAL, "tiny-autoregressive"),
        },
    )
    return "tiny"
