"""Load a checkpoint folder strictly: no remote code, no pickle, every tensor accounted for.

A checkpoint is a folder with config.json and safetensors files. Its config is rewritten in memory to
a stock transformers class and its tensors are renamed, both as the table of architectures says; every
tensor has to be there with the right shape and with numbers in it, none more and none less, except
those that the layout lists as no part of an encoder. A PEFT LoRA adapter is merged without that
library.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from core.encoders.architectures import ARCHITECTURES, CONFIG_FILE, Layout, find_layout, read_json
from core.encoders.backbone import Backbone
from core.encoders.packed import llama_tensors, plain_llama
from core.errors import EncoderLoadError, EncoderUnavailableError, WeightsMismatchError

WEIGHTS_FILE = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_NAMES_SHOWN = 4
_ADAPTER_PREFIXES = (
    "base_model.model.model.",
    "base_model.model.transformer.",
    "base_model.model.",
)
_ADAPTER_PART = re.compile(r"^(?P<module>.+)\.lora_(?P<side>[AB])(\.default)?\.weight$")
_NOT_MERGED = ("use_dora", "modules_to_save", "trainable_token_indices", "lora_bias")


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Account of a strict load."""

    layout: Layout  # the checkpoint's layout
    matched: int  # tensors that run
    ignored: tuple[str, ...]  # names of tensors that the layout leaves aside
    digest: str  # SHA-256 over the weights files


def load_backbone(
    folder: Path,
    *,
    architecture: str = "",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    adapter: Path | None = None,
    packed: bool = True,
) -> tuple[Backbone, LoadReport]:
    """Load a checkpoint folder strictly, weights in one file or sharded with an index.

    An architecture that is stated has to be the config's; a PEFT LoRA ``adapter`` is merged.

    Raises:
        EncoderUnavailableError: If a file is missing.
        EncoderLoadError: If the config means a network that no stock class computes.
        WeightsMismatchError: If a tensor is missing, extra, of another shape or not finite, or a
            file is not safetensors.
    """
    config = read_json(folder / CONFIG_FILE)
    files = weight_files(folder)
    path_of = {name: path for path in files for name in _tensor_names(path)}
    layout = find_layout(str(config.get("model_type", "")), path_of)
    if architecture and layout.architecture != architecture:
        raise EncoderLoadError(
            f"{folder} is a {layout.architecture} checkpoint, not {architecture} as stated."
        )
    fields = layout.stock_fields(config)
    tensors = _read_tensors(path_of, layout, dtype)
    matched = len(tensors)
    if layout.vocabulary_from_tensor:
        table = tensors.get("wte.weight", tensors.get("embed_tokens.weight"))
        if table is not None:
            fields["vocab_size"] = len(table)
    if adapter is not None:
        transposed = ARCHITECTURES[layout.architecture].transposed
        merge_adapter(tensors, adapter, transposed=transposed)
    backbone = build_backbone(
        layout.architecture, fields, tensors, source=str(folder), device=device, packed=packed
    )
    ignored = tuple(sorted(name for name in path_of if layout.stock_name(name) is None))
    report = LoadReport(layout, matched, ignored, digest_of(files))
    return backbone, report


def _read_tensors(
    path_of: Mapping[str, Path], layout: Layout, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Read the tensors that run, by their stock names."""
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(set(path_of.values())):
        with safe_open(path, framework="pt") as file:
            for name in (n for n, place in path_of.items() if place == path):
                stock = layout.stock_name(name)
                if stock in tensors:
                    raise WeightsMismatchError(
                        f"{path}: {name} and another are the same tensor, {stock}."
                    )
                if stock is not None:
                    tensors[stock] = file.get_tensor(name).to(dtype)
                    _require_finite(tensors[stock], name, path)
    return tensors


def build_backbone(
    architecture: str,
    fields: Mapping[str, Any],
    tensors: dict[str, torch.Tensor],
    *,
    source: str,
    device: str = "cpu",
    packed: bool = True,
) -> Backbone:
    """Put tensors into a stock class, strictly; each encoder gets a config object of its own.

    ``tensors`` have stock names and the dtype that runs; the dictionary is emptied, so that nothing
    lies in memory twice. ``source`` is for messages.

    Raises:
        EncoderLoadError: If the config is refused or asks for anything but full attention.
        WeightsMismatchError: If names or shapes differ.
    """
    stock = ARCHITECTURES[architecture]
    require = partial(_require_shapes, tensors=tensors, source=source)
    if architecture == "llama" and packed and device == "cpu":
        plain = plain_llama(fields, tensors)
        if plain is not None:
            require(llama_tensors(plain.config))
            return Backbone(plain, architecture, device=device)
    config_class, model_class = stock_classes(architecture)
    try:
        config = config_class(**fields)
    except Exception as exc:  # many kinds, from checks of its own
        raise EncoderLoadError(
            f"{source}: {CONFIG_FILE} is not a {architecture} configuration: {exc}"
        ) from exc
    sliding = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if sliding and not stock.local_attention:
        raise EncoderLoadError(
            f"{source}: layers with {', '.join(sorted(sliding))} are not supported."
        )
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        module = model_class(config, **dict(stock.options))
    require({name: tuple(weight.shape) for name, weight in module.state_dict().items()})
    module.load_state_dict(tensors, strict=True, assign=True)
    tensors.clear()
    _restore_constants(module, config)
    module.to(device)
    module.eval().requires_grad_(requires_grad=False)
    return Backbone(module, architecture, device=device, packed=packed)


def stock_classes(architecture: str) -> tuple[Any, Any]:
    """Return the stock config and model class of an architecture."""
    import transformers  # seconds to import, and the bundled pair on a CPU needs none of it

    stock = ARCHITECTURES[architecture]
    return getattr(transformers, stock.config_class), getattr(transformers, stock.model_class)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return a checkpoint's safetensors files.

    Raises:
        EncoderUnavailableError: If there are none, or a shard is missing.
    """
    single, index = folder / WEIGHTS_FILE, folder / WEIGHTS_INDEX
    if single.is_file():
        return (single,)
    if index.is_file():
        weight_map = read_json(index).get("weight_map", {})
        paths = tuple(folder / name for name in sorted({str(n) for n in weight_map.values()}))
        for path in paths:
            if path.parent != folder or not path.is_file():
                raise EncoderUnavailableError(
                    f"{path.name}, named in {index}, is not there. Download it again."
                )
        return paths
    pickles = sorted(path.name for path in folder.glob("*.bin"))
    why = (
        f" It holds {pickles[0]}, which Bifocal does not open: it can run code." if pickles else ""
    )
    raise EncoderUnavailableError(
        f"{folder} holds no {WEIGHTS_FILE}.{why} Use a checkpoint saved as safetensors."
    )


def digest_of(files: Sequence[Path]) -> str:
    """Return the SHA-256 over files, in order, hex."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()


def merge_adapter(
    tensors: dict[str, torch.Tensor], folder: Path, *, transposed: bool = False
) -> int:
    """Add ``scale * B @ A`` to every adapted matrix, in place, and return how many there are.

    LoRA (Hu et al. 2021, section 4.1), as PEFT stores it: ``scale = lora_alpha / r``, or
    ``lora_alpha / sqrt(r)`` with rsLoRA, with per-module ranks where the adapter has them. Stock
    matrices are ``(in, out)`` where ``transposed``, as GPT-2's are.

    Raises:
        EncoderUnavailableError: If a file is missing.
        EncoderLoadError: If it is another kind of adapter.
        WeightsMismatchError: If it does not belong to these weights.
    """
    config = require_plain_lora(folder)
    path = folder / ADAPTER_WEIGHTS
    try:
        stored = load_file(path)
    except SafetensorError as exc:
        raise WeightsMismatchError(
            f"{path} is not a whole safetensors file: {exc}. Save the adapter again."
        ) from exc
    sides: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in stored.items():
        match = _ADAPTER_PART.match(name)
        if match is None:
            raise EncoderLoadError(
                f"{path} holds {name}, which is no LoRA matrix; Bifocal merges plain LoRA only."
            )
        _require_finite(tensor, name, path)
        module = match["module"]
        prefix = next((p for p in _ADAPTER_PREFIXES if module.startswith(p)), "")
        sides.setdefault(module.removeprefix(prefix), {})[match["side"]] = tensor
    for module, parts in sides.items():
        _merge_matrix(tensors, module, parts, config, path, transposed=transposed)
    if not sides:
        raise WeightsMismatchError(f"{path} adapts nothing.")
    return len(sides)


def require_plain_lora(folder: Path) -> dict[str, Any]:
    """Return an adapter's configuration after a look at its files.

    Raises:
        EncoderUnavailableError: If a file is missing.
        EncoderLoadError: If it is another kind of adapter, or more than LoRA matrices.
    """
    if not folder.is_dir():
        raise EncoderUnavailableError(
            f"adapter: {folder} is no folder. Give the folder that holds {ADAPTER_CONFIG}."
        )
    if not (folder / ADAPTER_CONFIG).is_file():
        raise EncoderUnavailableError(
            f"adapter: {folder} holds no {ADAPTER_CONFIG}. Give a folder that PEFT saved."
        )
    config = read_json(folder / ADAPTER_CONFIG)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise EncoderLoadError(
            f"adapter: {folder} is of type {kind!r}; Bifocal merges plain LoRA only."
        )
    extra = [option for option in _NOT_MERGED if config.get(option)]
    if config.get("bias", "none") != "none":
        extra.append("trained biases")
    if extra:
        raise EncoderLoadError(f"adapter: {folder} uses {extra[0]}, which Bifocal cannot merge.")
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise EncoderUnavailableError(
            f"adapter: {folder} holds no {ADAPTER_WEIGHTS}; save it as safetensors, not pickle."
        )
    if "r" not in config or "lora_alpha" not in config:
        raise EncoderLoadError(
            f"adapter: {folder / ADAPTER_CONFIG} states no r or lora_alpha; save it again."
        )
    return config


def _merge_matrix(
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
        raise WeightsMismatchError(
            f"{path} adapts {module}, which the checkpoint does not have, or half of it is gone."
        )
    down, up = parts["A"].float(), parts["B"].float()
    rank = down.shape[0]
    stated = int(_for_module(config.get("rank_pattern"), module, config["r"]))
    if rank != stated:
        raise WeightsMismatchError(
            f"{path}: {module} has rank {rank}, {ADAPTER_CONFIG} says {stated}."
        )
    alpha = float(_for_module(config.get("alpha_pattern"), module, config["lora_alpha"]))
    scale = alpha / (rank**0.5 if config.get("use_rslora") else rank)
    change = scale * (up @ down)  # (out, in)
    if transposed:
        change = change.t()
    if change.shape != target.shape:
        raise WeightsMismatchError(
            f"{path}: {module} is {tuple(change.shape)}, the checkpoint's {tuple(target.shape)}."
        )
    tensors[name] = (target.float() + change).to(target.dtype)


def _for_module(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:  # noqa: ANN401 (JSON)
    for pattern, value in (patterns or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            return value
    return default


def _require_shapes(
    expected: Mapping[str, tuple[int, ...]], *, tensors: Mapping[str, torch.Tensor], source: str
) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = [
        f"{name} is {shapes[name]}, should be {expected[name]}"
        for name in sorted(expected.keys() & shapes.keys())
        if expected[name] != shapes[name]
    ]
    problems = [
        f"{words}: {_listed(names)}"
        for words, names in (
            ("missing", sorted(expected.keys() - shapes.keys())),
            ("not part of the architecture", sorted(shapes.keys() - expected.keys())),
            ("wrong shape", wrong),
        )
        if names
    ]
    if problems:
        raise WeightsMismatchError(
            f"{source}: the weights do not match their config ({'; '.join(problems)}). "
            "Download the checkpoint again, or check that it is what it says it is."
        )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _require_finite(tensor: torch.Tensor, name: str, path: Path) -> None:
    if tensor.is_floating_point() and tensor.numel():
        least, most = tensor.aminmax()  # both are NaN where any entry is
        if not (torch.isfinite(least) and torch.isfinite(most)):
            raise WeightsMismatchError(
                f"{path}: {name} holds NaN or infinity. Download the checkpoint again."
            )


def _restore_constants(module: nn.Module, config: Any) -> None:  # noqa: ANN401 (stock configs)
    """Make the buffers that checkpoints do not hold; they were laid out on the meta device."""
    rotary = getattr(module, "rotary_emb", None)
    if rotary is not None:
        module.rotary_emb = type(rotary)(config=config)
    for part in module.modules():
        for name, buffer in list(part.named_buffers(recurse=False)):
            if buffer.is_meta and name in {"position_ids", "token_type_ids"}:
                length = buffer.shape[1]
                value = torch.arange(length) if name == "position_ids" else torch.zeros(length)
                part.register_buffer(name, value[None, :].long(), persistent=False)
    left = [name for name, buffer in module.named_buffers() if buffer.is_meta]
    if left:
        raise EncoderLoadError(
            f"The stock class has constants that Bifocal does not know: {_listed(left)}."
        )


def _tensor_names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as exc:
        raise WeightsMismatchError(
            f"{path} is not a whole safetensors file: {exc}. Download it again."
        ) from exc
