"""The packed forward is the stock forward, layer by layer."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from core.encoders.backbone import attention_bias
from core.encoders.bundled import load_bundled
from core.encoders.checkpoint import build_backbone
from core.encoders.packed import PackedForward, packed_fits, plain_llama
from core.encoders.pooling import FINAL_LAYER
from core.encoders.spec import Attention
from core.errors import WeightsMismatchError
from core.records import Family
from tests.data import ROOT
from tests.encoders.checkpoints import write_tiny_bundled
from tests.encoders.tiny import LAYERS, RECIPES, tiny_model

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [[4], [9, 12, 30], [5, 7, 11], [8, 5, 11, 40, 41, 42, 43, 44, 45]]
LENGTHS = [len(text) for text in TEXTS]


@pytest.mark.parametrize("name", ["llama-3", "llada", "qwen2.5", "qwen3"])
@pytest.mark.parametrize("attention", tuple(Attention))
def test_every_layer_equals_the_stock_class(name: str, attention: Attention) -> None:
    stock = tiny_model(name)
    layers = (0, 1, LAYERS, FINAL_LAYER)
    packed = torch.tensor([token for text in TEXTS for token in text])
    with torch.inference_mode():
        found = PackedForward(tiny_model(name)).run(
            packed, LENGTHS, attention=attention, layers=layers
        )
    start = 0
    for text in TEXTS:
        seen: list[torch.Tensor] = []
        hook = stock.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # noqa: B023
        bias = attention_bias(torch.ones(1, len(text)), attention)
        with torch.inference_mode():
            output = stock(
                input_ids=torch.tensor([text]),
                attention_mask=bias,
                is_causal=False,
                output_hidden_states=True,
            )
        hook.remove()
        wanted = (output.hidden_states[0], output.hidden_states[1], seen[0], output[0])
        for ours, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(
                ours[start : start + len(text)], theirs[0], atol=2e-5, rtol=1e-5
            )
        start += len(text)


def test_rows_beyond_one_block_are_transformed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = torch.arange(4, 24)
    stack = PackedForward(tiny_model("llama-3"))
    whole = stack.run(packed, [20], attention=Attention.CAUSAL, layers=[FINAL_LAYER])[0]
    monkeypatch.setattr("core.encoders.packed._ROW_BLOCK", 7)
    cut = stack.run(packed, [20], attention=Attention.CAUSAL, layers=[FINAL_LAYER])[0]
    torch.testing.assert_close(whole, cut)


def test_scaled_rotary_positions_come_from_the_stock_class() -> None:
    scaling = {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        rope_parameters=scaling,
        max_position_embeddings=128,
    )
    torch.manual_seed(0)
    stock = LlamaModel(config).eval()  # type: ignore[no-untyped-call]
    ids = torch.arange(4, 64)
    with torch.inference_mode():
        wanted = stock(input_ids=ids[None], is_causal=True)[0][0]
        found = PackedForward(stock).run(
            ids, [60], attention=Attention.CAUSAL, layers=[FINAL_LAYER]
        )
    torch.testing.assert_close(found[0], wanted, atol=1e-5, rtol=1e-5)


def test_what_it_does_not_cover_stays_with_the_stock_class() -> None:
    assert packed_fits("llama", tiny_model("llama-3").config)
    assert not packed_fits("gpt2", tiny_model("gpt2").config)
    gelu = tiny_model("llama-3").config
    gelu.hidden_act = "gelu"
    assert not packed_fits("llama", gelu)
    dynamic = tiny_model("llama-3").config
    dynamic.rope_parameters = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    assert not packed_fits("llama", dynamic)


def test_a_plain_llama_runs_without_the_stock_class(tmp_path: Path) -> None:
    name = write_tiny_bundled(tmp_path)
    encoder = load_bundled(tmp_path / "encoders" / name, Family.AUTOREGRESSIVE)
    stock = LlamaModel(LlamaConfig(**encoder.fields))
    stock.load_state_dict(encoder.state, strict=True)
    backbone = build_backbone("llama", encoder.fields, encoder.state, source="tiny")
    text = [4, 9, 17, 30, 22]
    for attention in (Attention.BIDIRECTIONAL, Attention.CAUSAL):
        (block,) = backbone.run([text], attention=attention)
        with torch.inference_mode():
            wanted = stock(input_ids=torch.tensor([text]), is_causal=attention is Attention.CAUSAL)[
                0
            ]
        torch.testing.assert_close(block.states[0], wanted, atol=1e-5, rtol=1e-5)
    assert encoder.state == {}  # emptied, not held twice


def test_loading_the_bundled_pair_never_imports_transformers(tmp_path: Path) -> None:
    write_tiny_bundled(tmp_path)
    code = (
        "import sys; from pathlib import Path; "
        "from core.encoders.loading import load_encoder; from core.encoders.registry import read_registry; "
        "from core.encoders.spec import TextKind; "
        f"assets = Path({str(tmp_path)!r}); "
        "spec = read_registry(assets).encoder('tiny-diffusion'); "
        "load_encoder(spec, assets=assets, device='cpu').encode(['sea'], kind=TextKind.QUERY); "
        "sys.exit('transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
        {"hidden_act": "gelu"},
        {"attention_bias": True},
        {"head_dim": None},
        {"rms_norm_eps": None},
    ],
)
def test_what_leaves_something_to_defaults_is_not_plain(changes: dict[str, object]) -> None:
    fields = {**RECIPES["llama-3"].fields, "head_dim": 8}
    assert plain_llama(fields, {}) is not None
    assert plain_llama({**fields, **changes}, {}) is None


def test_a_plain_llama_is_loaded_strictly(tmp_path: Path) -> None:
    name = write_tiny_bundled(tmp_path)
    for change, message in (("drop", "missing"), ("add", "not part"), ("shape", "wrong shape")):
        encoder = load_bundled(tmp_path / "encoders" / name, Family.DIFFUSION)
        if change == "drop":
            del encoder.state["layers.1.mlp.up_proj.weight"]
        elif change == "add":
            encoder.state["layers.1.self_attn.q_proj.bias"] = torch.zeros(32)
        else:
            encoder.state["norm.weight"] = torch.ones(31)
        with pytest.raises(WeightsMismatchError, match=message):
            build_backbone("llama", encoder.fields, encoder.state, source="tiny")
