"""From a spec to an encoder in memory: bundled folder, local folder or hub checkpoint."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psutil
import torch
from tokenizers import Tokenizer

from core.encoders.architectures import ARCHITECTURES, CONFIG_FILE, read_json
from core.encoders.bundled import load_bundled
from core.encoders.checkpoint import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    build_backbone,
    digest_of,
    load_backbone,
)
from core.encoders.encoder import EncoderOptions, LoadedEncoder
from core.encoders.pooling import LastLayerReadout
from core.encoders.spec import BUNDLED_PREFIX, ENCODERS_FOLDER, LOCAL_PREFIX, EncoderSpec
from core.encoders.tokens import TOKENIZER_FILE, TextTokenizer, read_tokenizer
from core.errors import EncoderLoadError, InvalidSettingError, WeightsMismatchError
from core.monitor import Monitor

_AUTO = "auto"
_CPU = "cpu"


def load_encoder(
    spec: EncoderSpec,
    *,
    assets: Path,
    device: str = _AUTO,
    options: EncoderOptions | None = None,
    adapter: Path | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
    packed: bool = True,
    monitor: Monitor | None = None,
) -> LoadedEncoder:
    """Load an encoder and prove its attention.

    Args:
        spec: From the registry, or one of your own.
        assets: Bifocal's assets folder, for bundled encoders.
        device: ``auto`` (CUDA, MPS, CPU, whichever is there first), or one of them.
        options: Limit, instruction, quantisation, dimensions, centring.
        adapter: A PEFT LoRA folder to merge (checkpoints only); the spec's own unless given.
        cache_dir: Where hub checkpoints are kept; None keeps huggingface_hub's own rule.
        offline: Never touch the network.
        packed: False keeps a checkpoint's network whole, so that it can be moved later.
        monitor: Watches a download, and may stop it.

    Raises:
        EncoderUnavailableError: If it is not on this machine and cannot be fetched now.
        EncoderTooLargeError: If it does not fit this machine's memory.
        EncoderLoadError: If something about it is not as stated.
    """
    where = choose_device(device)
    if spec.checkpoint.startswith(BUNDLED_PREFIX):
        folder = assets / ENCODERS_FOLDER / spec.checkpoint.removeprefix(BUNDLED_PREFIX)
        return _load_bundled(spec, folder, device=where, options=options)
    if spec.checkpoint.startswith(LOCAL_PREFIX):
        folder = Path(spec.checkpoint.removeprefix(LOCAL_PREFIX))
    else:
        from core.encoders.hub import Hub  # huggingface_hub only when it is needed

        folder = Hub(cache_dir, offline=offline).fetch(spec, device=where, monitor=monitor)
    if adapter is None and spec.adapter:
        adapter = Path(spec.adapter)
    return load_folder(spec, folder, device=where, options=options, adapter=adapter, packed=packed)


def load_folder(
    spec: EncoderSpec,
    folder: Path,
    *,
    device: str = _CPU,
    options: EncoderOptions | None = None,
    adapter: Path | None = None,
    packed: bool = True,
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
        packed=packed,
    )
    if backbone.hidden_size != spec.dimension:
        raise WeightsMismatchError(
            f"{folder} gives {backbone.hidden_size} dimensions, {spec.label} should have "
            f"{spec.dimension}. It is another checkpoint than the one stated."
        )
    digest = report.digest
    if adapter is not None:
        files = [adapter / ADAPTER_CONFIG, adapter / ADAPTER_WEIGHTS]
        digest = hashlib.sha256((digest + digest_of(files)).encode()).hexdigest()
    backbone.probe(spec.attention, name=spec.label)
    tokenizer = TextTokenizer(
        checkpoint_tokenizer(folder, report.layout.architecture),
        end_token=spec.appends_end_token,
        empty_token=_empty_token(folder),
    )
    readout = LastLayerReadout(backbone.hidden_size, spec.pooling)
    return LoadedEncoder(
        spec,
        backbone=backbone,
        readout=readout,
        tokenizer=tokenizer,
        weights_digest=digest,
        options=options or EncoderOptions(),
    )


def _load_bundled(
    spec: EncoderSpec, folder: Path, *, device: str, options: EncoderOptions | None
) -> LoadedEncoder:
    encoder = load_bundled(folder, spec.family)
    if spec.revision and encoder.revision != spec.revision:
        raise WeightsMismatchError(
            f"{folder} is not the bundled pair that was listed; restart Bifocal."
        )
    tensors = encoder.state
    for name in list(tensors):
        tensors[name] = tensors[name].to(compute_dtype(device))
    backbone = build_backbone("llama", encoder.fields, tensors, source=str(folder), device=device)
    backbone.probe(spec.attention, name=spec.label)
    end = encoder.fields.get("eos_token_id")
    empty = end if isinstance(end, int) else 0
    return LoadedEncoder(
        spec,
        backbone=backbone,
        readout=encoder.readout.to(device),
        tokenizer=TextTokenizer(
            encoder.tokenizer, end_token=spec.appends_end_token, empty_token=empty
        ),
        weights_digest=encoder.digest,
        options=options or EncoderOptions(),
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
        raise InvalidSettingError(
            f"The device {device!r} cannot be used here ({exc}). Choose auto or cpu."
        ) from exc
    return device


def compute_dtype(device: str) -> torch.dtype:
    """Return the type every encoder runs in on a device, both of a pair alike."""
    return torch.bfloat16 if device.startswith("cuda") else torch.float32


def set_threads(threads: int) -> int:
    """Set torch's threads; 0 takes every physical core this process may use. Returns the number."""
    if threads < 1:
        physical = psutil.cpu_count(logical=False) or 1
        try:
            usable = len(psutil.Process().cpu_affinity())
        except (AttributeError, psutil.Error):  # not offered on macOS
            usable = physical
        threads = max(1, min(physical, usable))
    torch.set_num_threads(threads)
    return threads


def checkpoint_tokenizer(folder: Path, architecture: str) -> Tokenizer:
    """Return a checkpoint's fast tokenizer, made from vocabulary and merges where it has no other.

    Raises:
        EncoderLoadError: If it has neither.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return read_tokenizer(folder / TOKENIZER_FILE)
    stock = ARCHITECTURES[architecture].tokenizer_class
    if stock and (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        import transformers  # rarely needed

        made = getattr(transformers, stock).from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        tokenizer: Tokenizer = made.backend_tokenizer
        return tokenizer
    raise EncoderLoadError(
        f"{folder} holds no {TOKENIZER_FILE}. Use a checkpoint with a fast tokenizer."
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
