"""LoRA adapters merge as the peft library applies them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel, Qwen2ForCausalLM

from core.encoders.checkpoint import load_backbone, merge_adapter
from core.encoders.loading import load_folder
from core.encoders.spec import Attention, TextKind
from core.errors import EncoderLoadError, EncoderUnavailableError, WeightsMismatchError
from tests.encoders.checkpoints import TEXTS
from tests.encoders.tiny import tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.encoders.checkpoints import Checkpoint

# peft reads a name that transformers is about to drop
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

TEXT = [4, 9, 17, 30, 22]


def adapted(name: str, folder: Path, **options: Any) -> Any:
    """Wrap the tiny model with peft, give it random matrices, save the adapter as peft does."""
    stock = tiny_model(name)
    whole = (GPT2LMHeadModel if name == "gpt2" else Qwen2ForCausalLM)(stock.config)
    setattr(whole, whole.base_model_prefix, stock)
    torch.manual_seed(1)
    wrapped: Any = get_peft_model(whole, LoraConfig(r=4, lora_alpha=8, **options))
    with torch.no_grad():
        for key, parameter in wrapped.named_parameters():
            if "lora_" in key:
                parameter.normal_(std=0.3)
    wrapped.save_pretrained(folder)
    return wrapped.eval()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("qwen2.5", {"target_modules": ["q_proj", "v_proj", "down_proj"]}),
        ("qwen2.5", {"target_modules": ["q_proj"], "use_rslora": True}),
        (
            "qwen2.5",
            {
                "target_modules": ["q_proj", "k_proj"],
                "rank_pattern": {"k_proj": 2},
                "alpha_pattern": {"k_proj": 16},
            },
        ),
        ("gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": True}),
    ],
)
def test_merged_weights_are_what_peft_computes(
    name: str,
    options: dict[str, Any],
    tmp_path: Path,
    checkpoint_of: Callable[[str], Checkpoint],
) -> None:
    wrapped = adapted(name, tmp_path, **options)
    backbone, _ = load_backbone(checkpoint_of(name).folder, adapter=tmp_path)
    (block,) = backbone.run([TEXT], attention=Attention.CAUSAL)
    base = wrapped.base_model.model
    with torch.inference_mode():
        wanted = getattr(base, base.base_model_prefix)(torch.tensor([TEXT]))[0]
    torch.testing.assert_close(block.states[0], wanted, atol=2e-5, rtol=1e-4)


def test_an_adapter_changes_vectors_and_fingerprint(
    tmp_path: Path, checkpoint_of: Callable[[str], Checkpoint]
) -> None:
    adapted("qwen2.5", tmp_path, target_modules=["q_proj"])
    checkpoint = checkpoint_of("qwen2.5")
    plain = load_folder(checkpoint.spec, checkpoint.folder)
    merged = load_folder(checkpoint.spec, checkpoint.folder, adapter=tmp_path)
    assert plain.fingerprint != merged.fingerprint
    kind = TextKind.PASSAGE
    assert np.abs(plain.encode(TEXTS, kind=kind) - merged.encode(TEXTS, kind=kind)).max() > 1e-3


def test_what_is_not_plain_lora_is_refused(tmp_path: Path) -> None:
    adapted("qwen2.5", tmp_path, target_modules=["q_proj"])
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    for changes, message in (
        ({"peft_type": "IA3"}, "plain LoRA only"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "biases"),
    ):
        (tmp_path / "adapter_config.json").write_text(json.dumps({**config, **changes}))
        with pytest.raises(EncoderLoadError, match=message):
            merge_adapter({}, tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "r": 3}))
    weights = {f"layers.{n}.self_attn.q_proj.weight": torch.zeros(32, 32) for n in range(2)}
    with pytest.raises(WeightsMismatchError, match="rank 4"):
        merge_adapter(dict(weights), tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsMismatchError, match="does not have"):
        merge_adapter({}, tmp_path)
    small = {name: torch.zeros(4, 4) for name in weights}
    with pytest.raises(WeightsMismatchError, match=r"\(32, 32\)"):
        merge_adapter(small, tmp_path)
    save_file({**tensors, "strange": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(EncoderLoadError, match="no LoRA matrix"):
        merge_adapter(dict(weights), tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"broken")
    with pytest.raises(WeightsMismatchError, match="not a whole"):
        merge_adapter(dict(weights), tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(EncoderUnavailableError, match="holds no adapter_model"):
        merge_adapter(dict(weights), tmp_path)
