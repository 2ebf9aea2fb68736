"""Which files of a checkpoint are taken, and what of them is on this machine already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from core.errors import EncoderLoadError, EncoderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.encoders.spec import EncoderSpec

SMALL_FILES = frozenset(
    {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.json",
        "merges.txt",
        "modules.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
    }
)
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SHARD_PREFIX = "model-"
_SHARD_SUFFIX = ".safetensors"


def is_weights(name: str) -> bool:
    """Whether a file holds weights: large, and worth going on with after Stop."""
    return name.endswith(_SHARD_SUFFIX)


def wanted_files(spec: EncoderSpec, names: Iterable[str]) -> tuple[str, ...]:
    """Return which of a repository's files are fetched, in order, the weights last.

    Raises:
        EncoderLoadError: If it has no safetensors weights.
    """
    present = set(names)
    small = sorted(present & SMALL_FILES)
    if _WEIGHTS in present:
        return (*small, _WEIGHTS)
    shards = sorted(
        name
        for name in present
        if name.startswith(_SHARD_PREFIX) and name.endswith(_SHARD_SUFFIX) and "/" not in name
    )
    if _INDEX in present and shards:
        return (*small, _INDEX, *shards)
    msg = (
        f"{spec.checkpoint} has no safetensors weights; Bifocal opens no other kind, since pickle "
        "files can run code. Choose a checkpoint saved as safetensors."
    )
    raise EncoderLoadError(msg)


def complete_folder(spec: EncoderSpec, cache_dir: Path | None) -> Path | None:
    """Return the folder of a checkpoint that is wholly on this machine, or None."""
    try:
        folder = Path(
            snapshot_download(
                spec.checkpoint,
                revision=spec.revision or None,
                cache_dir=cache_dir,
                local_files_only=True,
                allow_patterns=["config.json"],
            )
        )
    except (EntryNotFoundError, LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    if not (folder / "config.json").is_file():
        return None
    if (folder / _WEIGHTS).is_file():
        return folder
    if (folder / _INDEX).is_file():
        from core.encoders.backbone import weight_files  # one reader of shard indexes

        try:
            weight_files(folder)
        except EncoderUnavailableError:
            return None
        return folder
    return None


def cached_files(
    spec: EncoderSpec, revision: str, files: Iterable[str], cache_dir: Path | None
) -> set[str]:
    """Return which of these files are here at a commit."""
    found = set()
    for name in files:
        try:
            hf_hub_download(
                spec.checkpoint, name, revision=revision, cache_dir=cache_dir, local_files_only=True
            )
        except (EntryNotFoundError, LocalEntryNotFoundError):
            continue
        found.add(name)
    return found


def kept_bytes(spec: EncoderSpec, digest: str, cache_dir: Path | None) -> int:
    """Return how many bytes an earlier, stopped try has left of a file."""
    part = blobs_folder(spec, cache_dir) / f"{digest}.part"
    return part.stat().st_size if digest and part.is_file() else 0


def blobs_folder(spec: EncoderSpec, cache_dir: Path | None) -> Path:
    """Return where huggingface_hub keeps what the files of a checkpoint hold, by hash."""
    folder = repo_folder_name(repo_id=spec.checkpoint, repo_type="model")
    return (cache_dir or Path(constants.HF_HUB_CACHE)) / folder / "blobs"
