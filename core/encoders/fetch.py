"""Bring a checkpoint from the hub to this machine, after saying what it costs.

huggingface_hub does the talking, so HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and a stored login work as
its users know them. Only config, tokenizer and safetensors files are fetched: no code, no pickle.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch
from filelock import FileLock
from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    get_session,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # loaded lazily there
    build_hf_headers,
    hf_raise_for_status,
)
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from core.encoders.registry import LOCAL_PREFIX, from_hub
from core.encoders.spec import EncoderSpec
from core.errors import EncoderLoadError, EncoderTooLargeError, EncoderUnavailableError
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GIBIBYTE = 1024**3
_SMALL_FILES = frozenset(
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
# While loading, one tensor in the file's type and one layer's fused copy lie beside the weights;
# the rest is activations and what Python and torch themselves take.
_LOADING_SHARE = 1.12
_WORKING_BYTES = GIBIBYTE // 2
_PASSAGE_TOKENS = 160
_PASSAGES = 1000
_SUSTAINED_SHARE = 0.6  # of the matrix-product peak, over a whole forward pass
_PROBE_SIZE = 1024
_PROBE_SECONDS = 0.2
_SMALL_PARAMETERS = 500_000_000  # below, activations matter more than weights
_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 5
_SHA256_DIGITS = 64
_SETTLED_SECONDS = 2.0  # before a speed means anything
_MINUTE = 60
# the base class of the HTTP library that huggingface_hub uses, which changed over its versions
_TRANSPORT_ERROR: type[BaseException] = HfHubHTTPError.__mro__[1]
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CGROUP_USED = Path("/sys/fs/cgroup/memory.current")


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


def plan_together(plans: Sequence[FetchPlan], *, device: str = "cpu") -> PairPlan:
    """Add plans up: two encoders that fit one by one need not fit together.

    Args:
        plans: At least one.
        device: Where they would run, for the sentence.
    """
    idle = sum(1 for plan in plans if plan.memory_needed_bytes)
    needed = sum(plan.memory_needed_bytes for plan in plans) - max(idle - 1, 0) * _WORKING_BYTES
    present = min(plan.memory_present_bytes for plan in plans)
    disk = min(plan.disk_present_bytes for plan in plans)
    download = sum(plan.download_bytes for plan in plans)
    refusal = next((plan.refusal for plan in plans if plan.refusal), "")
    names = " and ".join(plan.label or plan.checkpoint for plan in plans)
    if not refusal and needed > present:
        refusal = (
            f"{names} fit one at a time, but a comparison has both in memory: about {_gib(needed)} "
            f"on {device}, and {_gib(present)} is free. Close other programs, choose a smaller "
            "pair, or run on a larger machine."
        )
    if not refusal and download > disk:
        refusal = (
            f"{names} need {_size(download)} on disk and {_gib(disk)} is left. Free some space or "
            "set HF_HOME to a larger disk."
        )
    return PairPlan(tuple(plans), download, needed, present, disk, refusal)


def memory_needed(spec: EncoderSpec, device: str) -> int:
    """Bytes that an encoder needs while it loads and runs: 4 a weight on CPU, 2 on CUDA."""
    size = 2 if device.startswith("cuda") else 4
    return int(spec.parameters * size * _LOADING_SHARE) + _WORKING_BYTES


def memory_present(device: str) -> int:
    """Bytes free on a device, and within the container's own limit where there is one."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
        used = _CGROUP_USED.read_text(encoding="ascii").strip()
        if limit.isdigit():
            free = min(free, int(limit) - int(used))
    except (OSError, ValueError):
        pass  # no such container: the machine's own figure stands
    return max(free, 0)


def require_memory(spec: EncoderSpec, device: str) -> None:
    """Refuse an encoder that does not fit.

    Raises:
        EncoderTooLargeError: With both figures.
    """
    refusal = _memory_refusal(spec, memory_needed(spec, device), memory_present(device), device)
    if refusal:
        raise EncoderTooLargeError(refusal)


def expected_seconds(
    parameters: int, device: str, *, passages: int = _PASSAGES, tokens: int = _PASSAGE_TOKENS
) -> float:
    """Expect an embedding time from a matrix product timed here and now (0.2 s).

    Two floating-point operations a weight and token, at the share of the peak that whole forward
    passes reach; attention, a few percent at this length, is left out.
    """
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    left = torch.randn(_PROBE_SIZE, _PROBE_SIZE, device=device, dtype=dtype)
    products = 0
    torch.matmul(left, left)
    _finish(device)
    start = time.perf_counter()
    while time.perf_counter() - start < _PROBE_SECONDS:
        torch.matmul(left, left)
        _finish(device)
        products += 1
    operations = 2 * _PROBE_SIZE**3 * products / (time.perf_counter() - start)
    return 2 * parameters * passages * tokens / (operations * _SUSTAINED_SHARE)


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
    disk = shutil.disk_usage(_existing(place)).free
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
    refusal = _memory_refusal(spec, plan.memory_needed_bytes, plan.memory_present_bytes, device)
    plan = replace(plan, refusal=refusal)
    if in_memory or not from_hub(spec):
        return plan
    folder = _complete(spec, cache_dir)
    if folder is not None:
        return replace(plan, revision=folder.name)
    _require_online(spec, offline=offline)
    api = HfApi(endpoint=endpoint)
    with _explained(spec.label, spec.checkpoint, spec.revision, endpoint):
        info = api.model_info(spec.checkpoint, revision=spec.revision or None, files_metadata=True)
    sizes = {entry.rfilename: int(entry.size or 0) for entry in info.siblings or ()}
    digests = {entry.rfilename: str(entry.lfs.sha256) for entry in info.siblings or () if entry.lfs}
    files = _wanted(spec, sizes)
    revision = str(info.sha)
    cached = _cached(spec, revision, files, cache_dir)
    card: Any = info.card_data
    missing = [name for name in files if name not in cached]
    kept = sum(_kept(spec, digests.get(name, ""), cache_dir) for name in missing)
    download = sum(sizes[name] for name in missing) - kept
    if not refusal and download > disk:
        refusal = (
            f"{spec.label} needs {_size(download)} on disk and {place} has {_gib(disk)} left. "
            "Free some space or set HF_HOME to a larger disk."
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
    folder = None if fresh else _complete(spec, cache_dir)
    if folder is not None:
        return folder.name
    _require_online(spec, offline=offline)
    with _explained(spec.label, spec.checkpoint, spec.revision, endpoint):
        info = HfApi(endpoint=endpoint).model_info(spec.checkpoint, revision=spec.revision or None)
    return str(info.sha)


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
    folder = _complete(spec, cache_dir)
    if folder is not None:
        return folder
    plan = plan_fetch(spec, cache_dir=cache_dir, device=device, offline=offline, endpoint=endpoint)
    if plan.refusal:
        raise (EncoderUnavailableError if plan.gated else EncoderTooLargeError)(plan.refusal)
    watcher = monitor or SilentMonitor()
    progress = _Progress(watcher, spec.label, plan.download_bytes + plan.kept_bytes)
    path = ""
    for name in plan.files:
        raise_if_stopped(watcher)
        with _explained(spec.label, spec.checkpoint, spec.revision, endpoint):
            if name.endswith(_SHARD_SUFFIX):
                _fetch_blob(spec, name, plan.revision, cache_dir, endpoint, progress)
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
    with _explained(checkpoint, checkpoint, revision, endpoint):
        return Path(
            snapshot_download(
                checkpoint,
                revision=revision or None,
                cache_dir=cache_dir,
                local_files_only=offline,
                allow_patterns=sorted(_SMALL_FILES),
                endpoint=endpoint,
                tqdm_class=_Progress(SilentMonitor(), checkpoint, 0).bar_class(),
            )
        )


def _wanted(spec: EncoderSpec, names: Iterable[str]) -> tuple[str, ...]:
    present = set(names)
    small = sorted(present & _SMALL_FILES)
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


def _complete(spec: EncoderSpec, cache_dir: Path | None) -> Path | None:
    """The folder of a checkpoint that is wholly on this machine, or None."""
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


def _cached(
    spec: EncoderSpec, revision: str, files: Iterable[str], cache_dir: Path | None
) -> set[str]:
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


def _require_online(spec: EncoderSpec, *, offline: bool) -> None:
    """Raise, with what to do, when no hub may be asked."""
    if not (offline or constants.HF_HUB_OFFLINE):
        return
    switch = "Bifocal was started so" if offline else "HF_HUB_OFFLINE is set"
    msg = (
        f"{spec.label} ({spec.checkpoint}) is not on this machine and Bifocal is offline "
        f"({switch}). Start it once without that to fetch it, point HF_HOME to a cache that holds "
        "it, or give a folder."
    )
    raise EncoderUnavailableError(msg)


def _gate(spec: EncoderSpec, revision: str, endpoint: str | None) -> str:
    """Return why a gated checkpoint would be refused to this user; "" when it would not."""
    url = hf_hub_url(spec.checkpoint, "config.json", revision=revision, endpoint=endpoint)
    try:
        with _explained(spec.label, spec.checkpoint, spec.revision, endpoint):
            get_hf_file_metadata(url, endpoint=endpoint)
    except EncoderUnavailableError as exc:
        return str(exc)
    return ""


def _kept(spec: EncoderSpec, digest: str, cache_dir: Path | None) -> int:
    """Bytes that an earlier, stopped try has left of a file."""
    part = _blobs(spec, cache_dir) / f"{digest}.part"
    return part.stat().st_size if digest and part.is_file() else 0


def _blobs(spec: EncoderSpec, cache_dir: Path | None) -> Path:
    folder = repo_folder_name(repo_id=spec.checkpoint, repo_type="model")
    return (cache_dir or Path(constants.HF_HUB_CACHE)) / folder / "blobs"


def _memory_refusal(spec: EncoderSpec, needed: int, present: int, device: str) -> str:
    if needed <= present:
        return ""
    return (
        f"{spec.label} needs about {_gib(needed)} of memory on {device} and {_gib(present)} is "
        "free. Close other programs, choose a smaller pair, or run on a larger machine."
    )


def _gib(count: int) -> str:
    return f"{count / GIBIBYTE:.1f} GiB"


def _size(count: int) -> str:
    return _gib(count) if count >= GIBIBYTE else f"{count / 1024**2:.0f} MiB"


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def _fetch_blob(
    spec: EncoderSpec,
    name: str,
    revision: str,
    cache_dir: Path | None,
    endpoint: str | None,
    progress: _Progress,
) -> None:
    """Put a weights file into huggingface_hub's cache, going on where an earlier try stopped.

    The library itself begins a file anew after every interruption, which for one file of several
    gigabytes is no way to use Stop. What is fetched is checked against the hub's own SHA-256 before
    it takes its place.
    """
    url = hf_hub_url(spec.checkpoint, name, revision=revision, endpoint=endpoint)
    stated = get_hf_file_metadata(url, endpoint=endpoint)
    etag, size = str(stated.etag), int(stated.size or 0)
    blobs = _blobs(spec, cache_dir)
    blobs.mkdir(parents=True, exist_ok=True)
    blob, part = blobs / etag, blobs / f"{etag}.part"
    with FileLock(blobs / f"{etag}.part.lock"):
        if blob.exists():
            return
        have = part.stat().st_size if part.exists() else 0
        progress.add(min(have, size), fetched=False)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                _append(url, part, size, progress)
                break
            except _TRANSPORT_ERROR:
                if attempt == _ATTEMPTS:
                    raise
        if part.stat().st_size != size or not _is_whole(part, etag):
            part.unlink()
            msg = f"{name} arrived damaged and was thrown away."
            raise OSError(msg)
        part.replace(blob)


def _append(url: str, part: Path, size: int, progress: _Progress) -> None:
    """Fetch what a partial file lacks."""
    have = part.stat().st_size if part.exists() else 0
    if have == size and size:
        return
    headers = build_hf_headers()
    if 0 < have < size:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", url, headers=headers, follow_redirects=True) as response:
        hf_raise_for_status(response)
        goes_on = response.status_code == HTTPStatus.PARTIAL_CONTENT
        if have and not goes_on:
            progress.add(-min(have, size), fetched=False)
        with part.open("ab" if goes_on else "wb") as file:
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                file.write(chunk)
                progress.add(len(chunk))
                progress.raise_if_stopped()


def _is_whole(path: Path, etag: str) -> bool:
    """Whether a file has the SHA-256 that the hub states for large files."""
    if len(etag) != _SHA256_DIGITS:
        return True  # small files carry a git hash instead; their size was right
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == etag


class _Progress:
    """Bytes of a whole checkpoint, told to a monitor."""

    def __init__(self, watcher: Monitor, label: str, total: int) -> None:
        self._watcher, self._label, self._total = watcher, label, total
        self._done = 0
        self._fetched = 0
        self._began = time.monotonic()

    def add(self, count: int, *, fetched: bool = True) -> None:
        """Report so many bytes more; those that were here already say nothing about speed."""
        self._done += count
        self._fetched += count if fetched else 0
        done = min(self._done, self._total)
        detail = f"{_size(done)} of {_size(self._total)}{self._speed(self._total - done)}"
        self._watcher.report(Progress(f"fetching {self._label}", done, self._total, detail))

    def _speed(self, left: int) -> str:
        seconds = time.monotonic() - self._began
        if seconds < _SETTLED_SECONDS or self._fetched <= 0 or left <= 0:
            return ""
        rate = self._fetched / seconds
        wait = left / rate
        words = f"{wait:.0f} s" if wait < _MINUTE else f"{wait / _MINUTE:.0f} min"
        return f", {rate / 1e6:.1f} MB/s, about {words} left"

    def raise_if_stopped(self) -> None:
        """Raise `StoppedError` when the user pressed Stop."""
        raise_if_stopped(self._watcher)

    def bar_class(self) -> Any:  # noqa: ANN401 (untyped library)
        """Return a progress bar class for huggingface_hub that prints nothing and reports here."""
        outer = self

        class MonitorBar(tqdm):  # type: ignore[misc]
            def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (tqdm's own)
                options["disable"] = True
                options.pop("name", None)
                super().__init__(*args, **options)

            def update(self, n: float | None = 1) -> bool | None:
                outer.add(int(n or 0))
                outer.raise_if_stopped()
                return None

        return MonitorBar


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")


class _explained:  # noqa: N801 (reads as a phrase: with _explained(spec))
    """Turn the hub library's errors into sentences that say what to do."""

    def __init__(
        self, label: str, checkpoint: str, revision: str, endpoint: str | None = None
    ) -> None:
        self._label, self._checkpoint, self._revision = label, checkpoint, revision
        self._hub = endpoint or constants.ENDPOINT

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise what the user can act on."""
        name = f"{self._label} ({self._checkpoint})"
        if isinstance(error, GatedRepoError):
            msg = (
                f"{name} is gated. Open {self._hub}/{self._checkpoint} in a browser, accept its "
                "terms, then log in on this machine with `hf auth login` (or set HF_TOKEN) and try "
                "again."
            )
        elif isinstance(error, RevisionNotFoundError):
            msg = (
                f"{name} no longer has revision {self._revision}. Update Bifocal; where the commit "
                "is your own first fetch's, `python -m core fetch PAIR --repin` takes the present "
                "one."
            )
        elif isinstance(error, RepositoryNotFoundError):
            msg = (
                f"{name} is not on the hub, or is private. Check the id at {self._hub}; for a "
                "private one log in with `hf auth login`."
            )
        elif isinstance(error, (_TRANSPORT_ERROR, LocalEntryNotFoundError, OSError)):
            msg = (
                f"{name} cannot be fetched from {self._hub}: {_first_line(error)}. Check the "
                "connection (HF_ENDPOINT names a mirror, HF_HUB_OFFLINE=1 asks none) and try "
                "again; the download goes on where it stopped."
            )
        elif isinstance(error, HFValidationError):
            msg = f"{self._checkpoint!r} is no hub id: {error}. It looks like owner/name."
        else:
            return
        raise EncoderUnavailableError(msg) from error
