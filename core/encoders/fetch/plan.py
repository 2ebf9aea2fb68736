"""What a checkpoint costs on this machine, said before anything of it is fetched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url

from core.encoders.fetch.cached import cached_files, complete_folder, kept_bytes, wanted_files
from core.encoders.fetch.explained import explained, require_online
from core.encoders.fetch.machine import (
    WORKING_BYTES,
    disk_present,
    expected_seconds,
    memory_needed,
    memory_present,
    memory_refusal,
)
from core.encoders.fetch.sizes import gibibytes, size_words
from core.encoders.registry import LOCAL_PREFIX, from_hub
from core.errors import EncoderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.encoders.spec import EncoderSpec


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What a user is told before a download.

    Attributes:
        checkpoint: Hub id, or the folder of a local one.
        revision: The commit that will be fetched.
        files: Names, in order.
        download_bytes: Still to be fetched; what is on the machine already is not counted.
        licence: As the hub states it, else as the spec does.
        gated: The hub asks for an accepted licence and a login.
        memory_needed_bytes: While it loads and runs.
        memory_present_bytes: Free now, on the device that would run it.
        disk_present_bytes: Free where checkpoints are kept.
        seconds_per_1000_passages: Expected embedding time for passages of 160 tokens.
        refusal: Why it cannot work here, in a sentence; "" when it can.
        encoder_id: Whose checkpoint it is.
        label: Its name for people.
        family: Its lens.
        kept_bytes: Of what is still to come whole: fetched by an earlier try, and not again.
        revision_origin: Where the commit comes from if Bifocal does not state it itself.
    """

    checkpoint: str
    revision: str
    files: tuple[str, ...]
    download_bytes: int
    licence: str
    gated: bool
    memory_needed_bytes: int
    memory_present_bytes: int
    disk_present_bytes: int
    seconds_per_1000_passages: float
    refusal: str = ""
    encoder_id: str = ""
    label: str = ""
    family: str = ""
    kept_bytes: int = 0
    revision_origin: str = ""


@dataclass(frozen=True, slots=True)
class PairPlan:
    """What using several encoders together costs: they are in memory at the same time.

    Attributes:
        plans: One for each encoder.
        download_bytes: Of all, still to be fetched.
        memory_needed_bytes: With all of them loaded.
        memory_present_bytes: Free now.
        disk_present_bytes: Free where checkpoints are kept.
        refusal: Why they cannot work here, in a sentence; "" when they can.
    """

    plans: tuple[FetchPlan, ...]
    download_bytes: int
    memory_needed_bytes: int
    memory_present_bytes: int
    disk_present_bytes: int
    refusal: str = ""


def plan_fetch(
    spec: EncoderSpec,
    *,
    cache_dir: Path | None = None,
    device: str = "cpu",
    offline: bool = False,
    in_memory: bool = False,
    endpoint: str | None = None,
) -> FetchPlan:
    """Say what an encoder costs on this machine. Fetches no weights.

    The hub is asked only about a checkpoint that is not wholly here.

    Args:
        spec: A hub checkpoint, or a local one.
        cache_dir: Where checkpoints are kept; None keeps huggingface_hub's own rule.
        device: Where it would run.
        offline: Do not ask the hub.
        in_memory: It is loaded already and needs no more memory.
        endpoint: Another hub; None keeps huggingface_hub's own rule (HF_ENDPOINT).

    Raises:
        EncoderUnavailableError: If the hub cannot be asked, or does not have it.
        EncoderLoadError: If it has no safetensors weights.
    """
    place = cache_dir or Path(constants.HF_HUB_CACHE)
    disk = disk_present(place)
    plan = FetchPlan(
        checkpoint=spec.checkpoint.removeprefix(LOCAL_PREFIX),
        revision=spec.revision,
        files=(),
        download_bytes=0,
        licence=spec.licence,
        gated=False,
        memory_needed_bytes=0 if in_memory else memory_needed(spec, device),
        memory_present_bytes=memory_present(device),
        disk_present_bytes=disk,
        seconds_per_1000_passages=expected_seconds(spec.parameters, device),
        encoder_id=spec.encoder_id,
        label=spec.label,
        family=spec.family.value,
        revision_origin=spec.revision_origin,
    )
    refusal = memory_refusal(spec, plan.memory_needed_bytes, plan.memory_present_bytes, device)
    plan = replace(plan, refusal=refusal)
    if in_memory or not from_hub(spec):
        return plan
    folder = complete_folder(spec, cache_dir)
    if folder is not None:
        return replace(plan, revision=folder.name)
    require_online(spec, offline=offline)
    api = HfApi(endpoint=endpoint)
    with explained(spec.label, spec.checkpoint, spec.revision, endpoint):
        info = api.model_info(spec.checkpoint, revision=spec.revision or None, files_metadata=True)
    sizes = {entry.rfilename: int(entry.size or 0) for entry in info.siblings or ()}
    digests = {entry.rfilename: str(entry.lfs.sha256) for entry in info.siblings or () if entry.lfs}
    files = wanted_files(spec, sizes)
    revision = str(info.sha)
    cached = cached_files(spec, revision, files, cache_dir)
    card: Any = info.card_data
    missing = [name for name in files if name not in cached]
    kept = sum(kept_bytes(spec, digests.get(name, ""), cache_dir) for name in missing)
    download = sum(sizes[name] for name in missing) - kept
    if not refusal and download > disk:
        refusal = (
            f"{spec.label} needs {size_words(download)} on disk and {place} has {gibibytes(disk)} "
            "left. Free some space or set HF_HOME to a larger disk."
        )
    if not refusal and info.gated:
        refusal = _gate(spec, revision, endpoint)
    return replace(
        plan,
        revision=revision,
        files=files,
        download_bytes=download,
        kept_bytes=kept,
        licence=str(getattr(card, "license", None) or spec.licence),
        gated=bool(info.gated),
        refusal=refusal,
    )


def plan_together(plans: Sequence[FetchPlan], *, device: str = "cpu") -> PairPlan:
    """Add plans up: two encoders that fit one by one need not fit together.

    Args:
        plans: At least one.
        device: Where they would run, for the sentence.
    """
    idle = sum(1 for plan in plans if plan.memory_needed_bytes)
    needed = sum(plan.memory_needed_bytes for plan in plans) - max(idle - 1, 0) * WORKING_BYTES
    present = min(plan.memory_present_bytes for plan in plans)
    disk = min(plan.disk_present_bytes for plan in plans)
    download = sum(plan.download_bytes for plan in plans)
    refusal = next((plan.refusal for plan in plans if plan.refusal), "")
    names = " and ".join(plan.label or plan.checkpoint for plan in plans)
    if not refusal and needed > present:
        refusal = (
            f"{names} fit one at a time, but a comparison has both in memory: about "
            f"{gibibytes(needed)} on {device}, and {gibibytes(present)} is free. Close other "
            "programs, choose a smaller pair, or run on a larger machine."
        )
    if not refusal and download > disk:
        refusal = (
            f"{names} need {size_words(download)} on disk and {gibibytes(disk)} is left. Free some "
            "space or set HF_HOME to a larger disk."
        )
    return PairPlan(tuple(plans), download, needed, present, disk, refusal)


def resolve_revision(
    spec: EncoderSpec,
    *,
    cache_dir: Path | None = None,
    offline: bool = False,
    fresh: bool = False,
    endpoint: str | None = None,
) -> str:
    """Return the commit that a checkpoint's revision ("main", say) means: here, else on the hub.

    Args:
        spec: A hub checkpoint.
        cache_dir: Where checkpoints are kept; None keeps huggingface_hub's own rule.
        offline: Do not ask the hub.
        fresh: Ask the hub even if a whole copy is here.
        endpoint: Another hub; None keeps huggingface_hub's own rule (HF_ENDPOINT).

    Raises:
        EncoderUnavailableError: If it is not here and the hub cannot be asked.
    """
    folder = None if fresh else complete_folder(spec, cache_dir)
    if folder is not None:
        return folder.name
    require_online(spec, offline=offline)
    with explained(spec.label, spec.checkpoint, spec.revision, endpoint):
        info = HfApi(endpoint=endpoint).model_info(spec.checkpoint, revision=spec.revision or None)
    return str(info.sha)


def _gate(spec: EncoderSpec, revision: str, endpoint: str | None) -> str:
    """Return why a gated checkpoint would be refused to this user; "" when it would not."""
    url = hf_hub_url(spec.checkpoint, "config.json", revision=revision, endpoint=endpoint)
    try:
        with explained(spec.label, spec.checkpoint, spec.revision, endpoint):
            get_hf_file_metadata(url, endpoint=endpoint)
    except EncoderUnavailableError as exc:
        return str(exc)
    return ""
