"""Merge a PEFT LoRA adapter into plain weights, without the peft library and without pickle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.encoders.json_files import read_json
from core.errors import EncoderLoadError, EncoderUnavailableError, WeightsMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_PREFIXES = ("base_model.model.model.", "base_model.model.transformer.", "base_model.model.")
_PART = re.compile(r"^(?P<module>.+)\.lora_(?P<side>[AB])(\.default)?\.weight$")


def merge_adapter(
    tensors: dict[str, torch.Tensor], folder: Path, *, transposed: bool = False
) -> int:
    """Add ``scale * B @ A`` to every adapted matrix, in place of the dictionary's entries.

    LoRA (Hu et al. 2021, section 4.1), as PEFT stores it: ``scale = lora_alpha / r``, or
    ``lora_alpha / sqrt(r)`` with rsLoRA, with per-module ranks where the adapter has them.

    Args:
        tensors: Weights by stock name; adapted ones are replaced.
        folder: Holds adapter_config.json and adapter_model.safetensors.
        transposed: The stock matrices are ``(in, out)``, as GPT-2's are.

    Returns:
        How many matrices were adapted.

    Raises:
        EncoderUnavailableError: If a file is missing.
        EncoderLoadError: If it is another kind of adapter.
        WeightsMismatchError: If it does not belong to these weights.
    """
    config = read_json(folder / CONFIG_FILE)
    _require_plain_lora(config, folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        msg = f"{path} is missing; save the adapter as safetensors."
        raise EncoderUnavailableError(msg)
    try:
        stored = load_file(path)
    except SafetensorError as exc:
        msg = f"{path} is not a whole safetensors file: {exc}. Save the adapter again."
        raise WeightsMismatchError(msg) from exc
    sides: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in stored.items():
        match = _PART.match(name)
        if match is None:
            msg = f"{path} holds {name}, which is no LoRA matrix; Bifocal merges plain LoRA only."
            raise EncoderLoadError(msg)
        module = match["module"]
        for prefix in _PREFIXES:
            if module.startswith(prefix):
                module = module.removeprefix(prefix)
                break
        sides.setdefault(module, {})[match["side"]] = tensor
    for module, parts in sides.items():
        _merge_one(tensors, module, parts, config, path, transposed=transposed)
    if not sides:
        msg = f"{path} adapts nothing."
        raise WeightsMismatchError(msg)
    return len(sides)


def _merge_one(
    tensors: dict[str, torch.Tensor],
    module: str,
    parts: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    path: Path,
    *,
    transposed: bool,
) -> None:
    name = f"{module}.weight"
    target = tensors.get(name)
    if target is None or parts.keys() != {"A", "B"}:
        msg = f"{path} adapts {module}, which the checkpoint does not have, or half of it is gone."
        raise WeightsMismatchError(msg)
    down, up = parts["A"].float(), parts["B"].float()
    rank = down.shape[0]
    stated = int(_for_module(config.get("rank_pattern"), module, config["r"]))
    if rank != stated:
        msg = f"{path}: {module} has rank {rank}, {CONFIG_FILE} says {stated}."
        raise WeightsMismatchError(msg)
    alpha = float(_for_module(config.get("alpha_pattern"), module, config["lora_alpha"]))
    scale = alpha / (rank**0.5 if config.get("use_rslora") else rank)
    change = scale * (up @ down)  # (out, in)
    if transposed:
        change = change.t()
    if change.shape != target.shape:
        msg = f"{path}: {module} is {tuple(change.shape)}, the checkpoint's {tuple(target.shape)}."
        raise WeightsMismatchError(msg)
    tensors[name] = (target.float() + change).to(target.dtype)


def _require_plain_lora(config: Mapping[str, Any], folder: Path) -> None:
    kind = config.get("peft_type")
    if kind != "LORA" or "r" not in config or "lora_alpha" not in config:
        msg = f"{folder / CONFIG_FILE} describes {kind!r}; Bifocal merges LoRA adapters only."
        raise EncoderLoadError(msg)
    for option in ("use_dora", "modules_to_save", "trainable_token_indices", "lora_bias"):
        if config.get(option):
            msg = f"{folder / CONFIG_FILE} uses {option}, which Bifocal cannot merge."
            raise EncoderLoadError(msg)
    if config.get("bias", "none") != "none":
        msg = f"{folder / CONFIG_FILE} trains biases, which Bifocal cannot merge."
        raise EncoderLoadError(msg)


def _for_module(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:  # noqa: ANN401 (JSON)
    for pattern, value in (patterns or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            return value
    return default
