"""From a spec to an encoder in memory: bundled folder, local folder or hub checkpoint."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from core.encoders.backbone import (
    Backbone,
    LoadReport,
    build_backbone,
    digest_of,
    load_backbone,
)
from core.encoders.bundled import load_bundled
from core.encoders.encoder import EncoderOptions, LoadedEncoder
from core.encoders.json_files import CONFIG_FILE, read_json
from core.encoders.pooling import LastLayerReadout
from core.encoders.registry import BUNDLED_PREFIX, ENCODERS_FOLDER, LOCAL_PREFIX
from core.encoders.tokens import TOKENIZER_FILE, TextTokenizer, read_tokenizer
from core.errors import EncoderLoadError, InvalidSettingError, WeightsMismatchError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from core.encoders.spec import EncoderSpec
    from core.monitor import Monitor

_AUTO = "auto"
_CPU = "cpu"
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def load(
    spec: EncoderSpec,
    *,
    assets: Path,
    device: str = _AUTO,
    max_tokens: int = 0,
    query_instruction: str = "",
    options: EncoderOptions | None = None,
    adapter: Path | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
    lean: bool = True,
    monitor: Monitor | None = None,
) -> LoadedEncoder:
    """Load an encoder; see `core.encoders.registry.load_encoder`.

    ``lean=False`` keeps a checkpoint's network whole, so that it can be moved later.
    """
    chosen = options or EncoderOptions()
    chosen = replace(
        chosen,
        max_tokens=max_tokens or chosen.max_tokens,
        query_instruction=query_instruction or chosen.query_instruction,
    )
    where = choose_device(device)
    if spec.checkpoint.startswith(BUNDLED_PREFIX):
        folder = assets / ENCODERS_FOLDER / spec.checkpoint.removeprefix(BUNDLED_PREFIX)
        return _load_bundled(spec, folder, device=where, options=chosen)
    if spec.checkpoint.startswith(LOCAL_PREFIX):
        folder = Path(spec.checkpoint.removeprefix(LOCAL_PREFIX))
    else:
        from core.encoders.fetch import fetch_checkpoint  # huggingface_hub only when it is needed

        folder = fetch_checkpoint(
            spec, cache_dir=cache_dir, offline=offline, device=where, monitor=monitor
        )
    if adapter is None and spec.adapter:
        adapter = Path(spec.adapter)
    return load_folder(spec, folder, device=where, options=chosen, adapter=adapter, lean=lean)


def load_folder(
    spec: EncoderSpec,
    folder: Path,
    *,
    device: str = _CPU,
    options: EncoderOptions | None = None,
    adapter: Path | None = None,
    lean: bool = True,
) -> LoadedEncoder:
    """Load a checkpoint folder as a spec says, strictly, and prove its attention.

    Raises:
        EncoderLoadError: If something about it is not as the spec states.
    """
    backbone, report = load_backbone(
        folder,
        architecture=spec.architecture,
        device=device,
        dtype=compute_dtype(device),
        adapter=adapter,
        lean=lean,
    )
    if backbone.hidden_size != spec.dimension:
        msg = (
            f"{folder} gives {backbone.hidden_size} dimensions, {spec.label} should have "
            f"{spec.dimension}. It is another checkpoint than the one stated."
        )
        raise WeightsMismatchError(msg)
    digest = report.digest
    if adapter is not None:
        files = [adapter / name for name in _ADAPTER_FILES]
        digest = hashlib.sha256((digest + digest_of(files)).encode()).hexdigest()
    return _join(
        spec,
        backbone,
        tokenizer=checkpoint_tokenizer(folder, report),
        empty_token=_empty_token(folder),
        digest=digest,
        options=options,
    )


def choose_device(device: str) -> str:
    """Return the device to run on.

    Raises:
        InvalidSettingError: If it is not one torch knows, or not there.
    """
    if device == _AUTO:
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else _CPU
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as exc:
        msg = f"The device {device!r} cannot be used here ({exc}). Choose auto or cpu."
        raise InvalidSettingError(msg) from exc
    return device


def compute_dtype(device: str) -> torch.dtype:
    """Return the type every encoder runs in on a device, both arms alike."""
    return torch.bfloat16 if device.startswith("cuda") else torch.float32


def checkpoint_tokenizer(folder: Path, report: LoadReport) -> Tokenizer:
    """Return a checkpoint's fast tokenizer, made from vocabulary and merges where it has no other.

    Raises:
        EncoderLoadError: If it has neither.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return read_tokenizer(folder / TOKENIZER_FILE)
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    architecture = report.layout.architecture
    if vocabulary.is_file() and merges.is_file() and architecture in {"qwen2", "qwen3", "gpt2"}:
        from transformers import GPT2Tokenizer, Qwen2Tokenizer  # rarely needed

        stock = GPT2Tokenizer if architecture == "gpt2" else Qwen2Tokenizer
        made = stock.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        tokenizer: Tokenizer = made.backend_tokenizer
        return tokenizer
    msg = f"{folder} holds no {TOKENIZER_FILE}. Use a checkpoint with a fast tokenizer."
    raise EncoderLoadError(msg)


def _load_bundled(
    spec: EncoderSpec, folder: Path, *, device: str, options: EncoderOptions
) -> LoadedEncoder:
    arm = load_bundled(folder, spec.family)
    if spec.revision and arm.revision != spec.revision:
        msg = f"{folder} is not the bundled pair that was listed; restart Bifocal."
        raise WeightsMismatchError(msg)
    tensors = arm.state
    dtype = compute_dtype(device)
    for name in list(tensors):
        tensors[name] = tensors[name].to(dtype)
    backbone = build_backbone("llama", arm.fields, tensors, source=str(folder), device=device)
    backbone.probe(spec.attention, name=spec.label)
    end = arm.fields.get("eos_token_id")
    return LoadedEncoder(
        spec,
        backbone=backbone,
        readout=arm.readout,
        tokenizer=TextTokenizer(
            arm.tokenizer,
            end_token=spec.appends_end_token,
            empty_token=end if isinstance(end, int) else 0,
        ),
        weights_digest=arm.digest,
        options=options,
    )


def _join(
    spec: EncoderSpec,
    backbone: Backbone,
    *,
    tokenizer: Tokenizer,
    empty_token: int,
    digest: str,
    options: EncoderOptions | None,
) -> LoadedEncoder:
    backbone.probe(spec.attention, name=spec.label)
    texts = TextTokenizer(tokenizer, end_token=spec.appends_end_token, empty_token=empty_token)
    if spec.appends_end_token is not None and texts.closing_token != spec.appends_end_token:
        msg = f"{spec.label}: token {spec.appends_end_token} does not close the texts."
        raise EncoderLoadError(msg)
    return LoadedEncoder(
        spec,
        backbone=backbone,
        readout=LastLayerReadout(backbone.hidden_size, spec.pooling),
        tokenizer=texts,
        weights_digest=digest,
        options=options,
    )


def _empty_token(folder: Path) -> int:
    """Id that stands for a text without tokens: the config's end or padding token."""
    config = read_json(folder / CONFIG_FILE)
    for name in ("eos_token_id", "pad_token_id"):
        value = config.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, int):
            return value
    return 0
