"""The bundled pair on disk: one base, two adapters, one manifest. Sole owner of that format.

A folder holds

    manifest.json               format version, SHA-256 of every other file, facts of both encoders
    config.json                 the backbone's configuration (stock Llama, K layers)
    tokenizer.json              fast tokenizer
    base.safetensors            K layers and the token embeddings as 4- and 8-bit blocks, shared
    diffusion.safetensors       low-rank adapter and readout of the diffusion encoder
    autoregressive.safetensors  the same for the autoregressive encoder

A tensor ``X.weight`` of the base is stored as ``X.codes`` with ``X.scale`` and, for 4 bits,
``X.minimum``; small tensors are stored as they are. An adapter holds ``X.down`` (rank, in) and
``X.up`` (out, rank), scaling included: the merged matrix is ``weight + up @ down``. The blocks are the
very codes of the checkpoint that the base was made from (GGUF types Q4_1 and Q8_0, see ggml-common.h
of llama.cpp), taken apart into plain arrays: runs of 32 weights with a scale each, so that what runs
is bit for bit what was trained on and nothing is rounded twice. Reading the manifest needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save_file

from core.encoders.spec import BUNDLED_PREFIX, Attention, EncoderSpec, Pooling
from core.errors import EncoderLoadError, EncoderUnavailableError, WeightsMismatchError
from core.records import Family

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

    from core.encoders.pooling import Readout

FORMAT = 1
MANIFEST = "manifest.json"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
BASE = "base.safetensors"
BLOCK = 32
# of each encoder in the manifest: fields of its spec, and the layers that its readout reads
_FACTS = frozenset(
    (
        "encoder_id", "label", "attention", "pooling", "layers", "query_prompt", "passage_prompt",
        "max_tokens", "dimension", "parameters", "licence", "trained_on",
    )
)  # fmt: skip

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The bundled folder's table of contents."""

    digest: str  # SHA-256 of manifest.json itself: the revision of the pair
    files: Mapping[str, str]  # SHA-256 of every other file, by name
    specs: Mapping[Family, EncoderSpec]
    layers: Mapping[Family, tuple[int, ...]]  # points of the residual stream that the readout reads


@dataclass(frozen=True, slots=True, eq=False)
class BundledEncoder:
    """One encoder of the pair, ready to run."""

    fields: dict[str, Any]  # of ``LlamaConfig``; K layers
    state: dict[str, Tensor]  # every tensor of ``LlamaModel.state_dict()``, float32, adapter merged
    readout: Readout  # from hidden states to the embedding
    tokenizer: Tokenizer  # never takes text for special tokens; adds none; does not truncate or pad
    revision: str  # SHA-256 of the manifest
    # SHA-256 over everything that decides its vectors: base, adapter and readout, config, layers
    # read. Rewording the manifest leaves it as it is.
    digest: str


def adapter_file(family: Family) -> str:
    """Name of an encoder's own file."""
    return f"{family.value}.safetensors"


def read_manifest(folder: Path) -> Manifest:
    """Read and check manifest.json; no weights are touched.

    Raises:
        EncoderUnavailableError: If there is no such file.
        EncoderLoadError: If it is not a manifest of this format.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise EncoderUnavailableError(
            f"The bundled pair is not at {folder}: {MANIFEST} cannot be read. Reinstall Bifocal."
        ) from exc
    try:
        stated = json.loads(content)
        version = stated["format"]
        if version != FORMAT:
            raise EncoderLoadError(
                f"{path} has format {version}; this Bifocal reads format {FORMAT}. Update one."
            )
        digest = hashlib.sha256(content).hexdigest()
        specs = {
            Family(name): _spec(folder, Family(name), digest, facts)
            for name, facts in stated["arms"].items()
        }
        layers = {Family(n): tuple(map(int, f["layers"])) for n, f in stated["arms"].items()}
        files = {str(name): str(digest) for name, digest in stated["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise EncoderLoadError(
            f"{path} is not a manifest of a bundled pair: {exc}. Reinstall Bifocal."
        ) from exc
    return Manifest(digest=digest, files=files, specs=specs, layers=layers)


def load_bundled(folder: Path, family: Family) -> BundledEncoder:
    """Check, de-quantise and merge one encoder of the bundled pair.

    Raises:
        EncoderUnavailableError: If a file is missing.
        WeightsMismatchError: If a hash, a tensor name or a shape differs.
        EncoderLoadError: If the manifest or another file cannot be understood.
    """
    # Late: importing torch takes seconds, and specs must be readable without it.
    import torch
    from tokenizers import Tokenizer

    from core.encoders.pooling import Readout

    manifest = read_manifest(folder)
    spec = manifest.specs.get(family)
    if spec is None:
        raise EncoderLoadError(f"{folder / MANIFEST} describes no {family.value} encoder.")
    base = restored(load_tensors(_checked(folder, BASE, manifest)))
    adapter = load_tensors(_checked(folder, adapter_file(family), manifest))
    base = merged(base, adapter)
    pieces = readout_arrays(adapter)
    readout = Readout(
        layers=manifest.layers[family],
        pooling=spec.pooling,
        offset=torch.from_numpy(pieces["offset"]),
        scale=torch.from_numpy(pieces["scale"]),
        projection=torch.from_numpy(pieces["projection"]) if "projection" in pieces else None,
        token_weights=torch.from_numpy(pieces["token_weights"]),
    )
    if readout.dimension != spec.dimension:
        raise WeightsMismatchError(
            f"{adapter_file(family)} gives {readout.dimension} dimensions, "
            f"but {MANIFEST} says {spec.dimension}. Reinstall Bifocal."
        )
    tokenizer = Tokenizer.from_str(_checked(folder, TOKENIZER, manifest).decode("utf-8"))
    # A document that spells out a special token must not be able to issue one.
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return BundledEncoder(
        fields=json.loads(_checked(folder, CONFIG, manifest)),
        state={name: torch.from_numpy(array) for name, array in base.items()},
        readout=readout,
        tokenizer=tokenizer,
        revision=manifest.digest,
        digest=_encoder_digest(manifest, family),
    )


def restored(stored: Arrays) -> Arrays:
    """De-quantise every blocked tensor: ``X.codes`` and its scales become ``X.weight`` float32."""
    weights: Arrays = {}
    for name, array in stored.items():
        stem, _, kind = name.rpartition(".")
        if kind in {"scale", "minimum"}:
            continue
        if kind != "codes":
            weights[name] = array.astype(np.float32)
            continue
        try:
            scale = stored[f"{stem}.scale"]
        except KeyError as exc:
            raise WeightsMismatchError(
                f"{BASE} holds {name} but not {stem}.scale. Reinstall Bifocal."
            ) from exc
        try:
            weights[f"{stem}.weight"] = dequantised(array, scale, stored.get(f"{stem}.minimum"))
        except ValueError as exc:
            raise WeightsMismatchError(
                f"{BASE}: the scales of {stem} do not fit {array.shape}. Reinstall Bifocal."
            ) from exc
    return weights


def dequantised(
    codes: NDArray[Any], scale: NDArray[Any], minimum: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Return a matrix from its blocks, ``(rows, columns)`` float32: ``scale * code + minimum``.

    Args:
        codes: ``(rows, columns)`` int8; with a minimum ``(rows, columns // 2)`` uint8, in each run
            of 16 bytes the low halves the first 16 weights of a block, the high halves the last 16.
        scale: ``(rows, columns // 32)`` float16.
        minimum: ``(rows, columns // 32)`` float16, of 4-bit blocks.

    Raises:
        ValueError: If the shapes do not fit.
    """
    rows = len(codes)
    if minimum is None:
        blocks = codes.astype(np.float32).reshape(rows, -1, BLOCK)
    else:
        packed = codes.reshape(rows, -1, BLOCK // 2)
        blocks = np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.float32)
    for part in (scale,) if minimum is None else (scale, minimum):
        if part.shape != blocks.shape[:2]:
            raise ValueError(part.shape)
    blocks *= scale.astype(np.float32)[..., None]
    if minimum is not None:
        blocks += minimum.astype(np.float32)[..., None]
    return blocks.reshape(rows, -1)  # from (rows, blocks, 32)


def merged(base: Arrays, adapter: Arrays) -> Arrays:
    """Return the base with ``up @ down`` added to every adapted matrix.

    Raises:
        WeightsMismatchError: If the adapter speaks of a matrix that the base lacks, or its shape
            is another.
    """
    weights = dict(base)
    for name, down in adapter.items():
        stem, _, kind = name.rpartition(".")
        if kind != "down":
            continue
        target = weights.get(f"{stem}.weight")
        up = adapter.get(f"{stem}.up")
        if target is None or up is None:
            raise WeightsMismatchError(
                f"The adapter's {name} has no counterpart in the base. Reinstall Bifocal."
            )
        if up.shape != (target.shape[0], down.shape[0]) or down.shape[1] != target.shape[1]:
            raise WeightsMismatchError(
                f"The adapter of {stem} is {up.shape} x {down.shape}, the base {target.shape}. "
                "Reinstall Bifocal."
            )
        weights[f"{stem}.weight"] = target + up.astype(np.float32) @ down.astype(np.float32)
    return weights


def readout_arrays(adapter: Arrays) -> Arrays:
    """The readout's own tensors of an adapter file, float32, without their prefix."""
    prefix = "readout."
    pieces = {
        name.removeprefix(prefix): np.ascontiguousarray(array, dtype=np.float32)
        for name, array in adapter.items()
        if name.startswith(prefix)
    }
    missing = {"offset", "scale", "token_weights"} - pieces.keys()
    if missing:
        raise WeightsMismatchError(
            f"The adapter lacks the readout's {', '.join(sorted(missing))}. Reinstall Bifocal."
        )
    return pieces


def write_bundled(
    folder: Path,
    *,
    config: Mapping[str, object],
    tokenizer_json: str,
    base: Arrays,
    adapters: Mapping[Family, Arrays],
    encoders: Mapping[Family, Mapping[str, object]],
) -> Manifest:
    """Write a bundled folder, manifest last, and read the manifest back.

    ``base`` holds tensors as described at the top of this module, ``adapters`` each encoder's
    ``X.down``, ``X.up`` and ``readout.*``, ``encoders`` its `_FACTS`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / TOKENIZER).write_text(tokenizer_json, encoding="utf-8")
    save_file(base, folder / BASE)
    for family, arrays in adapters.items():
        save_file(arrays, folder / adapter_file(family))
    names = [CONFIG, TOKENIZER, BASE, *(adapter_file(family) for family in adapters)]
    stated = {
        "format": FORMAT,
        "files": {name: _digest(folder / name) for name in names},
        "arms": {family.value: dict(facts) for family, facts in encoders.items()},
    }
    (folder / MANIFEST).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
    return read_manifest(folder)


def _spec(folder: Path, family: Family, digest: str, stated: Mapping[str, Any]) -> EncoderSpec:
    if set(stated) != _FACTS:
        raise ValueError(
            f"its facts differ from the expected ones in: {', '.join(sorted(_FACTS ^ set(stated)))}"
        )
    return EncoderSpec(
        family=family,
        checkpoint=f"{BUNDLED_PREFIX}{folder.name}",
        revision=digest,
        architecture="llama",
        pools_prompt=False,
        **{
            **{name: value for name, value in stated.items() if name != "layers"},
            "attention": Attention(stated["attention"]),
            "pooling": Pooling(stated["pooling"]),
        },
    )


def _encoder_digest(manifest: Manifest, family: Family) -> str:
    names = (CONFIG, BASE, adapter_file(family))
    stated = [*(manifest.files.get(name, "") for name in names), list(manifest.layers[family])]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()


def _checked(folder: Path, name: str, manifest: Manifest) -> bytes:
    """A file's content, after comparing its hash with the manifest's."""
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise EncoderUnavailableError(f"{path} cannot be read. Reinstall Bifocal.") from exc
    if hashlib.sha256(content).hexdigest() != manifest.files.get(name):
        raise WeightsMismatchError(
            f"{path} is not the file that {MANIFEST} describes (SHA-256). Reinstall Bifocal."
        )
    return content


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
