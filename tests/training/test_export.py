"""What ships is what was trained: the product's encoder gives the training code's embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from core.encoders.bundled import read_manifest
from core.encoders.loading import load_encoder
from core.encoders.spec import Attention, Pooling, TextKind
from core.errors import EncoderUnavailableError
from core.records import Family
from core.training.contrastive import pooled_states
from core.training.data import tokenised
from core.training.export import ATTENTION, read_converted, write_converted
from tests.training.tiny import CONFIG, base, exported_pair, tokenizer, weights

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["w1 w2 w3", "w4", "w9 w8 w7 w6 w5"]


@pytest.mark.parametrize("family", [Family.DIFFUSION, Family.AUTOREGRESSIVE])
def test_the_exported_encoder_embeds_as_the_trained_one(family: Family, tmp_path: Path) -> None:
    folder = tmp_path / "encoders" / "tiny"
    nets = exported_pair(folder)
    spec = read_manifest(folder).specs[family]
    assert spec.dimension == 6
    assert spec.pooling is Pooling.MEAN
    assert spec.attention is ATTENTION[family]
    # two layers of 7,680 weights less the norms' 64 each, 64 x 32 embeddings, the norm, 32 x 6
    two_layers = 2 * (32 * 32 * 2 + 16 * 32 * 2 + 48 * 32 * 3 + 64)
    assert spec.parameters == two_layers + 64 * 32 + 32 + 32 * 6
    encoder = load_encoder(spec, assets=tmp_path, device="cpu")
    net, readout = nets[family]
    for kind, prompt in ((TextKind.QUERY, "w0 "), (TextKind.PASSAGE, "w1 ")):
        batch = tokenised(TEXTS, prompt=prompt, tokenizer=tokenizer(), max_tokens=32, padding_id=2)
        pooled = pooled_states(net, readout, batch, attention=ATTENTION[family])
        wanted = torch.nn.functional.normalize(readout.project(pooled), dim=-1)
        cosines = (encoder.encode(TEXTS, kind=kind) * wanted.detach().numpy()).sum(axis=1)
        assert cosines.min() > 0.999  # adapters and projection are stored as float16


def test_the_encoders_attend_differently() -> None:
    assert ATTENTION[Family.DIFFUSION] is Attention.BIDIRECTIONAL
    assert ATTENTION[Family.AUTOREGRESSIVE] is Attention.CAUSAL


def test_a_converted_base_is_read_back(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailableError, match="Run the convert step first"):
        read_converted(tmp_path)
    write_converted(tmp_path, base())
    again = read_converted(tmp_path)
    assert again.config == CONFIG
    np.testing.assert_array_equal(again.arrays["norm.weight"], weights()["norm.weight"])
