"""Fetch a checkpoint, or only its description; what is here already is not fetched again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import hf_hub_download, snapshot_download

from core.encoders.fetch.blob import fetch_blob
from core.encoders.fetch.cached import SMALL_FILES, complete_folder, is_weights
from core.encoders.fetch.explained import explained
from core.encoders.fetch.machine import require_memory
from core.encoders.fetch.plan import plan_fetch
from core.encoders.fetch.progress import DownloadProgress
from core.errors import EncoderTooLargeError, EncoderUnavailableError
from core.monitor import Monitor, SilentMonitor, raise_if_stopped

if TYPE_CHECKING:
    from core.encoders.spec import EncoderSpec


def fetch_checkpoint(
    spec: EncoderSpec,
    *,
    cache_dir: Path | None = None,
    offline: bool = False,
    device: str = "cpu",
    monitor: Monitor | None = None,
    endpoint: str | None = None,
) -> Path:
    """Return a checkpoint's folder, fetching what is missing; a stopped download goes on later.

    Args:
        spec: A hub checkpoint.
        cache_dir: Where checkpoints are kept; None keeps huggingface_hub's own rule.
        offline: Use what is on the machine or nothing.
        device: Where it will run; decides how much memory it needs.
        monitor: Sees progress in bytes, may stop.
        endpoint: Another hub; None keeps huggingface_hub's own rule (HF_ENDPOINT).

    Raises:
        EncoderTooLargeError: If it does not fit in memory or on disk.
        EncoderUnavailableError: If it is neither here nor to be had.
        EncoderLoadError: If it has no safetensors weights.
        StoppedError: If the monitor asks to stop.
    """
    require_memory(spec, device)
    folder = complete_folder(spec, cache_dir)
    if folder is not None:
        return folder
    plan = plan_fetch(spec, cache_dir=cache_dir, device=device, offline=offline, endpoint=endpoint)
    if plan.refusal:
        raise (EncoderUnavailableError if plan.gated else EncoderTooLargeError)(plan.refusal)
    watcher = monitor or SilentMonitor()
    progress = DownloadProgress(watcher, spec.label, plan.download_bytes + plan.kept_bytes)
    path = ""
    for name in plan.files:
        raise_if_stopped(watcher)
        with explained(spec.label, spec.checkpoint, spec.revision, endpoint):
            if is_weights(name):
                fetch_blob(spec, name, plan.revision, cache_dir, endpoint, progress)
            path = hf_hub_download(
                spec.checkpoint,
                name,
                revision=plan.revision,
                cache_dir=cache_dir,
                endpoint=endpoint,
                tqdm_class=progress.bar_class(),
            )
    depth = len(Path(plan.files[-1]).parts)
    return Path(path).parents[depth - 1]


def fetch_description(
    checkpoint: str,
    *,
    revision: str = "",
    cache_dir: Path | None = None,
    offline: bool = False,
    endpoint: str | None = None,
) -> Path:
    """Return a folder with a checkpoint's config and tokenizer files, without its weights.

    Raises:
        EncoderUnavailableError: If they are neither here nor to be had.
    """
    with explained(checkpoint, checkpoint, revision, endpoint):
        return Path(
            snapshot_download(
                checkpoint,
                revision=revision or None,
                cache_dir=cache_dir,
                local_files_only=offline,
                allow_patterns=sorted(SMALL_FILES),
                endpoint=endpoint,
                tqdm_class=DownloadProgress(SilentMonitor(), checkpoint, 0).bar_class(),
            )
        )
