"""Strict loading: every published layout, nothing missing, nothing extra, no code, no pickle."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.encoders.architectures import ARCHITECTURES, LAYOUTS, find_layout
from core.encoders.checkpoint import load_backbone, weight_files
from core.encoders.loading import load_folder
from core.encoders.pooling import FINAL_LAYER
from core.encoders.registry import read_registry
from core.encoders.spec import Attention, Pooling, TextKind
from core.errors import (
    EncoderLoadError,
    EncoderUnavailableError,
    WeightsMismatchError,
)
from tests.encoders.checkpoints import TEXTS
from tests.encoders.tiny import CHECKPOINT_OF, LAYERS, RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.encoders.checkpoints import Checkpoint


@pytest.fixture
def copy_of(checkpoint_of: Callable[[str], Checkpoint], tmp_path: Path) -> Callable[[str], Path]:
    def copy(name: str) -> Path:
        return shutil.copytree(checkpoint_of(name).folder, tmp_path / name)

    return copy


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value != "gone"}))


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize("name", RECIPES)
def test_vectors_equal_an_independent_computation(
    name: str, checkpoint_of: Callable[[str], Checkpoint]
) -> None:
    """The stock class alone, one text at a time, prompt and end token put on by hand."""
    checkpoint = checkpoint_of(name)
    spec = checkpoint.spec
    encoder = load_folder(spec, checkpoint.folder)
    vocabulary = json.loads((checkpoint.folder / "tokenizer.json").read_text())["model"]["vocab"]
    prompt = spec.query_prompt.replace("{instruction}", "answer the question")
    for text, found in zip(TEXTS, encoder.encode(TEXTS, kind=TextKind.QUERY), strict=True):
        words = (prompt + text).replace(",", " , ").replace(":", " : ").split()
        ids = [vocabulary.get(word, 1) for word in words]
        if RECIPES[name].wraps:
            ids = [2, *ids, 3]
        elif spec.appends_end_token is not None:
            ids = [*ids, 3]
        states = checkpoint.states(ids).numpy()
        pooled = {
            Pooling.MEAN: states.mean(axis=0),
            Pooling.LAST_TOKEN: states[-1],
            Pooling.FIRST_TOKEN: states[0],
        }[spec.pooling]
        np.testing.assert_allclose(found, pooled / np.linalg.norm(pooled), atol=1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_each_layout_is_recognised_and_wholly_used(
    name: str, checkpoint_of: Callable[[str], Checkpoint]
) -> None:
    checkpoint = checkpoint_of(name)
    _, report = load_backbone(checkpoint.folder)
    own = dict(checkpoint.model.state_dict())
    assert report.layout.architecture == RECIPES[name].architecture
    assert report.matched == len(own)
    assert set(report.ignored) == set(RECIPES[name].other_tensors(own))


def test_every_real_encoder_has_a_tiny_checkpoint(tmp_path: Path) -> None:
    for spec in read_registry(tmp_path).encoders.values():
        recipe = RECIPES[CHECKPOINT_OF[spec.encoder_id]]
        assert (recipe.architecture, recipe.attention) == (spec.architecture, spec.attention)


@pytest.mark.parametrize("name", RECIPES)
def test_a_missing_an_extra_and_a_misshapen_tensor_are_named(
    name: str, copy_of: Callable[[str], Path]
) -> None:
    folder = copy_of(name)
    every = load_file(folder / "model.safetensors")
    victim = next(key for key in sorted(every) if "att" in key and key.endswith("weight"))

    def drop(tensors: dict[str, torch.Tensor]) -> None:
        del tensors[victim]

    change_tensors(folder, drop)
    with pytest.raises(WeightsMismatchError, match="missing: "):
        load_backbone(folder)

    def misshape(tensors: dict[str, torch.Tensor]) -> None:
        tensors[victim] = torch.zeros(3, 5)

    change_tensors(folder, misshape)
    with pytest.raises(WeightsMismatchError, match=r"wrong shape: .* is \(3, 5\)"):
        load_backbone(folder)

    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors[victim] = every[victim]
        tensors["extra.weight"] = torch.zeros(2)

    change_tensors(folder, add)
    with pytest.raises(WeightsMismatchError, match=r"not part of the architecture: .*extra.weight"):
        load_backbone(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(
    value: float, copy_of: Callable[[str], Path]
) -> None:
    folder = copy_of("qwen3")

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = value

    change_tensors(folder, spoil)
    with pytest.raises(WeightsMismatchError, match=r"layers.1.mlp.up_proj.weight holds NaN or inf"):
        load_backbone(folder)


def test_a_tensor_under_two_names_is_refused(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("llama-3")

    def double(tensors: dict[str, torch.Tensor]) -> None:
        tensors["norm.weight"] = tensors["model.norm.weight"].clone()

    change_tensors(folder, double)
    with pytest.raises(WeightsMismatchError, match="same tensor"):
        load_backbone(folder)


def test_the_wrong_architecture_is_refused(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("qwen2.5")
    with pytest.raises(EncoderLoadError, match="qwen2 checkpoint, not llama"):
        load_backbone(folder, architecture="llama")
    change_config(folder, model_type="qwen3_5")
    with pytest.raises(EncoderLoadError, match="without remote code"):
        load_backbone(folder)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("qwen2.5", {"use_sliding_window": True}, "use_sliding_window = True"),
        ("qwen3", {"layer_types": ["full_attention", "sliding_attention"]}, "sliding_attention"),
        ("qwen3", {"head_dim": "gone"}, "lacks head_dim"),
        ("llada", {"block_type": "sequential"}, "block_type"),
        ("llada", {"alibi": True}, "alibi"),
        ("llada", {"d_model": "gone"}, "lacks d_model"),
        ("minilm", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ("llama-3", {"hidden_act": "gelu"}, "hidden_act"),
        (
            "qwen3",
            {"rope_scaling": {"rope_type": "spiral"}},
            "rotary embedding 'spiral'; Bifocal knows",
        ),
        ("llama-3", {"rope_parameters": {"type": "spiral"}}, "rotary embedding 'spiral'"),
        ("llada", {"rope_scaling": {"type": "spiral"}}, "rotary embedding 'spiral'"),
        ("qwen2.5", {"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5; the networks"),
        ("qwen3", {"rope_parameters": {"partial_rotary_factor": 0.25}}, "turn whole heads"),
        ("qwen3", {"quantization_config": {"bits": 4}}, "the weights are quantised"),
        ("minilm", {"quantization_config": {"bits": 8}}, "the weights are quantised"),
    ],
)
def test_a_config_that_means_another_network_is_refused(
    name: str, changes: dict[str, Any], message: str, copy_of: Callable[[str], Path]
) -> None:
    folder = copy_of(name)
    change_config(folder, **changes)
    with pytest.raises(EncoderLoadError, match=message):
        load_backbone(folder)


def test_code_in_a_checkpoint_never_runs(copy_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of("dream")
    (folder / "modeling_dream.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    load_backbone(folder)
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_are_not_opened(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("gpt2")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EncoderUnavailableError, match="which Bifocal does not open"):
        load_backbone(folder)


def test_a_broken_weights_file_is_named(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("gpt2")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(WeightsMismatchError, match="is not a whole safetensors file"):
        load_backbone(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(EncoderLoadError, match="not a JSON object"):
        load_backbone(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(EncoderLoadError, match="not JSON"):
        load_backbone(folder)
    (folder / "config.json").unlink()
    with pytest.raises(EncoderUnavailableError, match="cannot be read"):
        load_backbone(folder)


def test_shards_are_read_through_their_index(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("qwen3")
    whole, _ = load_backbone(folder)
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {
        "model-00001-of-00002.safetensors": names[: len(names) // 2],
        "model-00002-of-00002.safetensors": names[len(names) // 2 :],
    }
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()

    sharded, _ = load_backbone(folder)

    text = [[4, 9, 17, 30]]
    (one,) = whole.run(text, attention=Attention.CAUSAL)
    (two,) = sharded.run(text, attention=Attention.CAUSAL)
    assert torch.equal(one.states[0], two.states[0])
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(EncoderUnavailableError, match="model-00002-of-00002"):
        weight_files(folder)


def test_a_shard_index_cannot_reach_outside_its_folder(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("qwen3")
    (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    index = {"weight_map": {"model.norm.weight": "../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(EncoderUnavailableError, match="elsewhere"):
        weight_files(folder)


def test_a_resized_vocabulary_is_read_from_the_embedding(
    checkpoint_of: Callable[[str], Checkpoint],
) -> None:
    checkpoint = checkpoint_of("diffugpt-m")
    stated = json.loads((checkpoint.folder / "config.json").read_text())["vocab_size"]
    backbone, _ = load_backbone(checkpoint.folder)
    assert backbone.vocabulary == stated + 4


@pytest.mark.parametrize("name", ["gpt2", "minilm", "qwen3"])
def test_inner_layers_are_the_stream_before_the_final_norm(
    name: str, checkpoint_of: Callable[[str], Checkpoint]
) -> None:
    checkpoint = checkpoint_of(name)
    backbone, _ = load_backbone(checkpoint.folder, packed=False)
    text = [[2, 9, 17, 30]]
    layers = (0, LAYERS, FINAL_LAYER)
    (block,) = backbone.run(text, attention=checkpoint.spec.attention, layers=layers)
    model = checkpoint.model
    norm = {"gpt2": "ln_f", "qwen3": "norm"}.get(name)
    final = getattr(model, norm) if norm else torch.nn.Identity()
    torch.testing.assert_close(final(block.states[1]), block.states[2])
    states = model(torch.tensor(text), output_hidden_states=True).hidden_states
    torch.testing.assert_close(block.states[0], states[0])


def test_names_are_data_and_complete() -> None:
    assert {layout.architecture for layout in LAYOUTS} == set(ARCHITECTURES)
    assert find_layout("gpt2", ["wte.weight"]).name == "gpt2"
    assert find_layout("gpt2", ["denoise_model.h.0.ln_1.weight"]).name == "diffugpt"


def test_llada_with_fewer_key_heads_is_read_so() -> None:
    layout = find_layout("llada", [])
    config = {
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 2,
        "mlp_hidden_size": 64,
        "vocab_size": 90,
        "embedding_size": 96,
        "rope_theta": 5e5,
        "rms_norm_eps": 1e-5,
        "max_sequence_length": 128,
    }
    assert layout.stock_fields(config)["num_key_value_heads"] == 4
    grouped = layout.stock_fields({**config, "n_kv_heads": 2})
    assert grouped["num_key_value_heads"] == 2
    assert grouped["vocab_size"] == 96  # the padded size, which the tensor has
