"""The bundled format: exact storage, hashes, strictness; and the pair that ships."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaModel

from core.encoders.bundled import (
    adapter_file,
    dequantised,
    load_bundled,
    merged,
    read_manifest,
    restored,
    write_bundled,
)
from core.encoders.spec import Attention, Pooling
from core.errors import EncoderLoadError, EncoderUnavailableError, WeightsMismatchError
from core.records import Family

SHIPPED = Path(__file__).parents[2] / "assets" / "encoders"
CONFIG = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 2,
}


def facts(attention: Attention, name: str) -> dict[str, object]:
    return {
        "encoder_id": name,
        "label": name,
        "attention": attention,
        "pooling": Pooling.WEIGHTED_MEAN,
        "layers": (0, 1),
        "query_prompt": "query: ",
        "passage_prompt": "passage: ",
        "max_tokens": 64,
        "dimension": 5,
        "parameters": 7,
        "licence": "Apache-2.0",
        "trained_on": "nothing",
    }


def four_bits(rows: int, columns: int, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shape = (rows, columns // 32)
    return {
        "codes": generator.integers(0, 256, (rows, columns // 2), dtype=np.uint8),
        "scale": generator.uniform(0.01, 0.02, shape).astype(np.float16),
        "minimum": generator.uniform(-0.2, -0.1, shape).astype(np.float16),
    }


def tiny_base() -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    shapes = {
        "self_attn.q_proj": (32, 32),
        "self_attn.k_proj": (16, 32),
        "self_attn.v_proj": (16, 32),
        "self_attn.o_proj": (32, 32),
        "mlp.gate_proj": (64, 32),
        "mlp.up_proj": (64, 32),
        "mlp.down_proj": (32, 64),
    }
    for seed, (name, (rows, columns)) in enumerate(shapes.items()):
        blocks = four_bits(rows, columns, seed)
        stem = f"layers.0.{name}"
        arrays |= {f"{stem}.{part}": array for part, array in blocks.items()}
    generator = np.random.default_rng(9)
    arrays["embed_tokens.codes"] = generator.integers(-127, 128, (64, 32), dtype=np.int8)
    arrays["embed_tokens.scale"] = np.full((64, 1), 0.01, dtype=np.float16)
    for name in ("layers.0.input_layernorm", "layers.0.post_attention_layernorm", "norm"):
        arrays[f"{name}.weight"] = np.ones(32, dtype=np.float32)
    return arrays


def tiny_adapter(seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "layers.0.self_attn.q_proj.down": generator.normal(size=(2, 32)).astype(np.float16),
        "layers.0.self_attn.q_proj.up": generator.normal(size=(32, 2)).astype(np.float16),
        "readout.offset": np.zeros(64, dtype=np.float32),
        "readout.scale": np.ones(64, dtype=np.float32),
        "readout.projection": generator.normal(size=(64, 5)).astype(np.float16),
        "readout.token_weights": np.ones(64, dtype=np.float32),
    }


def tiny_tokenizer() -> str:
    words = ["<unk>", "<|im_start|>", "<|im_end|>", "a", "b", "<", "|", "im_start", "_", ">"]
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Punctuation()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return str(tokenizer.to_str())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "tiny-pair"
    write_bundled(
        place,
        config=CONFIG,
        tokenizer_json=tiny_tokenizer(),
        base=tiny_base(),
        adapters={Family.DIFFUSION: tiny_adapter(1), Family.AUTOREGRESSIVE: tiny_adapter(2)},
        encoders={
            Family.DIFFUSION: facts(Attention.BIDIRECTIONAL, "tiny-diffusion"),
            Family.AUTOREGRESSIVE: facts(Attention.CAUSAL, "tiny-autoregressive"),
        },
    )
    return place


def test_four_bit_blocks_follow_the_formula() -> None:
    # one block: byte 0 = 0x21 holds code 1 for weight 0 and code 2 for weight 16
    codes = np.zeros((1, 16), dtype=np.uint8)
    codes[0, 0] = 0x21
    scale, minimum = np.array([[0.5]], np.float16), np.array([[-1.0]], np.float16)
    row = dequantised(codes, scale, minimum)[0]
    assert row[0] == -0.5
    assert row[16] == 0.0
    assert row[1] == -1.0


def test_eight_bit_blocks_follow_the_formula() -> None:
    codes = np.zeros((1, 64), dtype=np.int8)
    codes[0, [0, 32]] = -4, 6
    row = dequantised(codes, np.array([[0.25, 0.5]], np.float16))[0]
    assert row[0] == -1.0
    assert row[32] == 3.0


def test_blocks_with_wrong_scales_are_refused() -> None:
    stored: dict[str, np.ndarray] = {
        "x.codes": np.zeros((1, 64), np.int8),
        "x.scale": np.zeros((1, 1), np.float16),
    }
    with pytest.raises(WeightsMismatchError, match="scales of x do not fit"):
        restored(stored)


def test_merging_adds_the_product_and_touches_nothing_else() -> None:
    base = restored(tiny_base())
    adapter = tiny_adapter(1)
    got = merged(base, adapter)
    name = "layers.0.self_attn.q_proj"
    up, down = adapter[f"{name}.up"], adapter[f"{name}.down"]
    expected = base[f"{name}.weight"] + up.astype(np.float32) @ down.astype(np.float32)
    np.testing.assert_array_equal(got.pop(f"{name}.weight"), expected)
    for other, array in got.items():
        assert array is base[other]


def test_an_adapter_for_another_base_is_refused() -> None:
    base = restored(tiny_base())
    stranger = {
        "layers.7.mlp.up_proj.down": np.zeros((2, 32)),
        "layers.7.mlp.up_proj.up": np.zeros((64, 2)),
    }
    with pytest.raises(WeightsMismatchError, match="no counterpart"):
        merged(base, stranger)
    misshapen = tiny_adapter(1) | {"layers.0.self_attn.q_proj.down": np.zeros((2, 31))}
    with pytest.raises(WeightsMismatchError, match="q_proj"):
        merged(base, misshapen)


def test_a_written_pair_loads_strictly_into_the_stock_class(folder: Path) -> None:
    encoders = {
        family: load_bundled(folder, family) for family in (Family.DIFFUSION, Family.AUTOREGRESSIVE)
    }
    for encoder in encoders.values():
        LlamaModel(LlamaConfig(**encoder.fields)).load_state_dict(encoder.state, strict=True)
        assert encoder.readout.dimension == 5
    name = "layers.0.self_attn.q_proj.weight"
    diffusion, autoregressive = (encoder.state[name] for encoder in encoders.values())
    assert not torch.equal(diffusion, autoregressive)
    shared = "layers.0.mlp.up_proj.weight"
    assert torch.equal(*(encoder.state[shared] for encoder in encoders.values()))


def test_specs_come_from_the_manifest_alone(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "manifest.json":
            path.unlink()
    specs = read_manifest(folder).specs
    assert specs[Family.DIFFUSION].attention is Attention.BIDIRECTIONAL
    assert specs[Family.AUTOREGRESSIVE].attention is Attention.CAUSAL
    assert specs[Family.DIFFUSION].revision == read_manifest(folder).digest


def test_a_text_cannot_issue_special_tokens(folder: Path) -> None:
    tokenizer = load_bundled(folder, Family.DIFFUSION).tokenizer
    assert 1 not in tokenizer.encode("<|im_start|>").ids


@pytest.mark.parametrize(
    "name", ["base.safetensors", "config.json", "tokenizer.json", "diffusion.safetensors"]
)
def test_a_changed_file_is_noticed(folder: Path, name: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(WeightsMismatchError, match=name):
        load_bundled(folder, Family.DIFFUSION)


def test_a_missing_file_is_told_by_name(folder: Path) -> None:
    (folder / adapter_file(Family.DIFFUSION)).unlink()
    with pytest.raises(EncoderUnavailableError, match=r"diffusion\.safetensors"):
        load_bundled(folder, Family.DIFFUSION)
    with pytest.raises(EncoderUnavailableError, match=r"manifest\.json cannot be read"):
        read_manifest(folder / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"arms": {"diffusion": {}}}, "differ"),
        ({"arms": {"telepathic": {}}}, "not a manifest"),
        ({"files": 3}, "not a manifest"),
    ],
    ids=["newer", "facts missing", "unknown family", "no files"],
)
def test_a_manifest_of_another_kind_is_refused(
    folder: Path, change: dict[str, object], message: str
) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(EncoderLoadError, match=message):
        read_manifest(folder)


def shipped_folders() -> list[Path]:
    return sorted(path.parent for path in SHIPPED.glob("*/manifest.json"))


@pytest.mark.parametrize("family", [Family.DIFFUSION, Family.AUTOREGRESSIVE])
@pytest.mark.parametrize("shipped", shipped_folders(), ids=lambda path: path.name)
def test_the_shipped_pair_loads_whole_and_quickly(shipped: Path, family: Family) -> None:
    load_bundled(shipped, family)  # imports and file cache
    started = time.process_time()
    encoder = load_bundled(shipped, family)
    assert time.process_time() - started < 4.0  # 2 s of wall time on two idle cores
    with torch.device("meta"):
        expected = LlamaModel(LlamaConfig(**encoder.fields)).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in encoder.state.items()} == {
        name: tuple(tensor.shape) for name, tensor in expected.items()
    }
    assert sum(path.stat().st_size for path in shipped.iterdir()) < 110e6
