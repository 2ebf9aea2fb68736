"""Checkpoints of the hub: their cost on this machine, said first, and the way here.

huggingface_hub does the talking, so HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and a stored login work as
its users know them. Only config, tokenizer and safetensors files are fetched: no code, no pickle. The
hub is asked only about a checkpoint that is not wholly here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from filelock import FileLock
from huggingface_hub import (
    HfApi,
    constants,
    errors,
    get_hf_file_metadata,
    get_session,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]  # loaded lazily there
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from core.encoders import machine
from core.encoders.architectures import CONFIG_FILE
from core.encoders.checkpoint import WEIGHTS_FILE, WEIGHTS_INDEX, weight_files
from core.encoders.spec import LOCAL_PREFIX, EncoderSpec
from core.errors import EncoderLoadError, EncoderTooLargeError, EncoderUnavailableError
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped

# the base class of the HTTP library that huggingface_hub uses, which changed over its versions
TRANSPORT_ERROR: type[BaseException] = errors.HfHubHTTPError.__mro__[1]
_SMALL_FILES = frozenset(
    {
        CONFIG_FILE,
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
_SHARD_PREFIX = "model-"
_SHARD_SUFFIX = ".safetensors"
_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 5
_SHA256_DIGITS = 64
_BYTES_A_WEIGHT = (0.9, 6.0)  # int8 to float32, and parts that a checkpoint has and nobody runs
_SETTLED_SECONDS = 2.0  # before a speed means anything
_MINUTE = 60


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """Cost of an encoder, for its user before a download."""

    checkpoint: str  # hub id, or the folder of a local one
    revision: str  # the commit that will be fetched
    files: tuple[str, ...]  # names, in order
    download_bytes: int  # still to be fetched; what is on the machine already is not counted
    licence: str  # as the hub states it, else as the spec does
    gated: bool  # the hub asks for an accepted licence and a login
    memory_needed_bytes: int  # while it loads and runs
    memory_present_bytes: int  # free now, on the device that would run it
    disk_present_bytes: int  # free where checkpoints are kept
    seconds_per_1000_passages: float  # expected embedding time for passages of 160 tokens
    refusal: str = ""  # why it cannot work here, in a sentence; "" when it can
    encoder_id: str = ""  # id of the encoder
    label: str = ""  # its name for people
    family: str = ""  # of the encoder
    kept_bytes: int = 0  # fetched by an earlier try, and not again
    revision_origin: str = ""  # where the commit comes from if Bifocal does not state it itself


@dataclass(frozen=True, slots=True)
class PairPlan:
    """Cost of several encoders together: they are in memory at the same time."""

    plans: tuple[FetchPlan, ...]  # one for each encoder
    download_bytes: int  # of all, still to be fetched
    memory_needed_bytes: int  # with all of them loaded
    memory_present_bytes: int  # free now
    disk_present_bytes: int  # free where checkpoints are kept
    refusal: str = ""  # why they cannot work here, in a sentence; "" when they can


def plan_together(plans: Sequence[FetchPlan], *, device: str = "cpu") -> PairPlan:
    """Add plans up: two encoders that fit one by one need not fit together."""
    idle = sum(1 for plan in plans if plan.memory_needed_bytes)
    needed = (
        sum(plan.memory_needed_bytes for plan in plans) - max(idle - 1, 0) * machine.WORKING_BYTES
    )
    present = min(plan.memory_present_bytes for plan in plans)
    disk = min(plan.disk_present_bytes for plan in plans)
    download = sum(plan.download_bytes for plan in plans)
    refusal = next((plan.refusal for plan in plans if plan.refusal), "")
    names = " and ".join(plan.label or plan.checkpoint for plan in plans)
    if not refusal and needed > present:
        refusal = (
            f"{names} fit one at a time, but a comparison has both in memory: about "
            f"{machine.gibibytes(needed)} on {device}, and {machine.gibibytes(present)} is free. Close other "
            "programs, choose a smaller pair, or run on a larger machine."
        )
    if not refusal and download > disk:
        refusal = (
            f"{names} need {machine.size_words(download)} on disk and {machine.gibibytes(disk)} is left. Free some "
            "space or set HF_HOME to a larger disk."
        )
    return PairPlan(tuple(plans), download, needed, present, disk, refusal)


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub, as one user reaches it. Asked only about checkpoints that are not wholly here."""

    # where checkpoints are kept; None keeps huggingface_hub's own rule
    cache_dir: Path | None = None
    offline: bool = False  # use files on the machine or none
    endpoint: str | None = None  # another hub; None keeps huggingface_hub's own rule (HF_ENDPOINT)

    def plan(self, spec: EncoderSpec, *, device: str = "cpu", in_memory: bool = False) -> FetchPlan:
        """Return the cost of an encoder on this machine. Fetches no weights.

        Raises:
            EncoderUnavailableError: If the hub cannot be asked, or does not have it.
            EncoderLoadError: If it has no safetensors weights.
        """
        place = self.cache_dir or Path(constants.HF_HUB_CACHE)
        disk = machine.disk_present(place)
        plan = FetchPlan(
            checkpoint=spec.checkpoint.removeprefix(LOCAL_PREFIX),
            revision=spec.revision,
            files=(),
            download_bytes=0,
            licence=spec.licence,
            gated=False,
            memory_needed_bytes=0 if in_memory else machine.memory_needed(spec, device),
            memory_present_bytes=machine.memory_present(device),
            disk_present_bytes=disk,
            seconds_per_1000_passages=machine.expected_seconds(spec.parameters, device),
            encoder_id=spec.encoder_id,
            label=spec.label,
            family=spec.family.value,
            revision_origin=spec.revision_origin,
        )
        refusal = machine.memory_refusal(
            spec, plan.memory_needed_bytes, plan.memory_present_bytes, device
        )
        plan = replace(plan, refusal=refusal)
        if in_memory or not spec.from_hub:
            return plan
        folder = self._complete_folder(spec)
        if folder is not None:
            return replace(plan, revision=folder.name)
        self._require_online(spec)
        api = HfApi(endpoint=self.endpoint)
        with self._explained(spec.label, spec.checkpoint, spec.revision):
            info = api.model_info(
                spec.checkpoint, revision=spec.revision or None, files_metadata=True
            )
        sizes = {entry.rfilename: int(entry.size or 0) for entry in info.siblings or ()}
        digests = {
            entry.rfilename: str(entry.lfs.sha256) for entry in info.siblings or () if entry.lfs
        }
        files = _wanted_files(spec, sizes)
        revision = str(info.sha)
        card: Any = info.card_data
        missing = [name for name in files if self._cached(spec, name, revision) is None]
        kept = sum(self._kept_bytes(spec, digests.get(name, "")) for name in missing)
        download = sum(sizes[name] for name in missing) - kept
        if not refusal and download > disk:
            refusal = (
                f"{spec.label} needs {machine.size_words(download)} on disk and {place} has {machine.gibibytes(disk)} "
                "left. Free some space or set HF_HOME to a larger disk."
            )
        if not refusal and info.gated:
            refusal = self._gate(spec, revision)
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

    def differences(self, spec: EncoderSpec) -> tuple[str, ...]:
        """Return where the hub says other than the spec: commit, licence, size; () where nowhere.

        Raises:
            EncoderUnavailableError: If the hub cannot be asked, or no longer has the commit.
        """
        self._require_online(spec)
        with self._explained(spec.label, spec.checkpoint, spec.revision):
            info = HfApi(endpoint=self.endpoint).model_info(
                spec.checkpoint, revision=spec.revision or None, files_metadata=True
            )
        said = []
        if spec.is_pinned and info.sha != spec.revision:
            said.append(f"commit {spec.revision[:12]} is answered with {str(info.sha)[:12]}")
        card: Any = info.card_data
        licence = str(getattr(card, "license", None) or "not stated")
        if licence.lower() != spec.licence.lower():
            said.append(f"licence {licence}, here {spec.licence}")
        sizes = {entry.rfilename: int(entry.size or 0) for entry in info.siblings or ()}
        weights = sum(
            sizes[name] for name in _wanted_files(spec, sizes) if name.endswith(_SHARD_SUFFIX)
        )
        low, high = (spec.parameters * width for width in _BYTES_A_WEIGHT)
        if not low <= weights <= high:
            said.append(
                f"weights of {machine.size_words(weights)}, here {spec.parameters / 1e6:,.0f} M"
            )
        return tuple(said)

    def commit(self, spec: EncoderSpec, *, fresh: bool = False) -> str:
        """Return the commit that a checkpoint's revision ("main", say) means: here, else on the hub.

        With ``fresh`` the hub is asked even if a whole copy is here.

        Raises:
            EncoderUnavailableError: If it is not here and the hub cannot be asked.
        """
        folder = None if fresh else self._complete_folder(spec)
        if folder is not None:
            return folder.name
        self._require_online(spec)
        with self._explained(spec.label, spec.checkpoint, spec.revision):
            info = HfApi(endpoint=self.endpoint).model_info(
                spec.checkpoint, revision=spec.revision or None
            )
        return str(info.sha)

    def fetch(
        self, spec: EncoderSpec, *, device: str = "cpu", monitor: Monitor | None = None
    ) -> Path:
        """Folder of a checkpoint, missing files fetched; a stopped download goes on later.

        Raises:
            EncoderTooLargeError: If it does not fit in memory or on disk.
            EncoderUnavailableError: If it is neither here nor to be had.
            EncoderLoadError: If it has no safetensors weights.
            StoppedError: If the monitor asks to stop.
        """
        machine.require_memory(spec, device)
        folder = self._complete_folder(spec)
        if folder is not None:
            return folder
        plan = self.plan(spec, device=device)
        if plan.refusal:
            raise (EncoderUnavailableError if plan.gated else EncoderTooLargeError)(plan.refusal)
        watcher = monitor or SilentMonitor()
        progress = _DownloadProgress(watcher, spec.label, plan.download_bytes + plan.kept_bytes)
        path = ""
        for name in plan.files:
            raise_if_stopped(watcher)
            with self._explained(spec.label, spec.checkpoint, spec.revision):
                if name.endswith(_SHARD_SUFFIX):
                    self._fetch_blob(spec, name, plan.revision, progress)
                path = hf_hub_download(
                    spec.checkpoint,
                    name,
                    revision=plan.revision,
                    cache_dir=self.cache_dir,
                    endpoint=self.endpoint,
                    tqdm_class=progress.bar_class(),
                )
        depth = len(Path(plan.files[-1]).parts)
        return Path(path).parents[depth - 1]

    def description(self, checkpoint: str, *, revision: str = "") -> Path:
        """Return a folder with a checkpoint's config and tokenizer files, without its weights.

        Raises:
            EncoderUnavailableError: If they are neither here nor to be had.
        """
        with self._explained(checkpoint, checkpoint, revision):
            return Path(
                snapshot_download(
                    checkpoint,
                    revision=revision or None,
                    cache_dir=self.cache_dir,
                    local_files_only=self.offline,
                    allow_patterns=sorted(_SMALL_FILES),
                    endpoint=self.endpoint,
                    tqdm_class=_DownloadProgress(SilentMonitor(), checkpoint, 0).bar_class(),
                )
            )

    def _gate(self, spec: EncoderSpec, revision: str) -> str:
        """Return why a gated checkpoint would be refused to this user; "" when it would not."""
        url = hf_hub_url(spec.checkpoint, "config.json", revision=revision, endpoint=self.endpoint)
        try:
            with self._explained(spec.label, spec.checkpoint, spec.revision):
                get_hf_file_metadata(url, endpoint=self.endpoint)
        except EncoderUnavailableError as exc:
            return str(exc)
        return ""

    def _fetch_blob(
        self, spec: EncoderSpec, name: str, revision: str, progress: _DownloadProgress
    ) -> None:
        """Put a weights file into huggingface_hub's cache, going on where an earlier try stopped.

        The library itself begins a file anew after every interruption, which for one file of several
        gigabytes is no way to use Stop. What is fetched is checked against the hub's own SHA-256 before
        it takes its place.
        """
        url = hf_hub_url(spec.checkpoint, name, revision=revision, endpoint=self.endpoint)
        stated = get_hf_file_metadata(url, endpoint=self.endpoint)
        etag, size = str(stated.etag), int(stated.size or 0)
        blobs = self._blobs_folder(spec)
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
                except TRANSPORT_ERROR:
                    if attempt == _ATTEMPTS:
                        raise
            if part.stat().st_size != size or not _is_whole(part, etag):
                part.unlink()
                raise OSError(f"{name} arrived damaged and was thrown away.")
            part.replace(blob)

    def _complete_folder(self, spec: EncoderSpec) -> Path | None:
        """Return the folder of a checkpoint that is wholly on this machine, or None."""
        config = self._cached(spec, CONFIG_FILE, spec.revision)
        if config is None:
            return None
        try:
            weight_files(config.parent)
        except EncoderUnavailableError:
            return None
        return config.parent

    def _cached(self, spec: EncoderSpec, name: str, revision: str) -> Path | None:
        """Return a file of a checkpoint that is on this machine, or None."""
        try:
            path = try_to_load_from_cache(
                spec.checkpoint, name, cache_dir=self.cache_dir, revision=revision or None
            )
        except errors.HFValidationError:
            return None
        return Path(path) if isinstance(path, str) else None

    def _kept_bytes(self, spec: EncoderSpec, digest: str) -> int:
        """Return how many bytes an earlier, stopped try has left of a file."""
        part = self._blobs_folder(spec) / f"{digest}.part"
        return part.stat().st_size if digest and part.is_file() else 0

    def _blobs_folder(self, spec: EncoderSpec) -> Path:
        """Folder of huggingface_hub with the contents of a checkpoint's files, by hash."""
        folder = repo_folder_name(repo_id=spec.checkpoint, repo_type="model")
        return (self.cache_dir or Path(constants.HF_HUB_CACHE)) / folder / "blobs"

    @contextmanager
    def _explained(self, label: str, checkpoint: str, revision: str) -> Iterator[None]:
        """Turn the hub library's errors into sentences with a remedy."""
        hub, name = self.endpoint or constants.ENDPOINT, f"{label} ({checkpoint})"
        try:
            yield
        except errors.GatedRepoError as exc:
            raise EncoderUnavailableError(
                f"{name} is gated. Open {hub}/{checkpoint} in a browser, accept its terms, then log in "
                "on this machine with `hf auth login` (or set HF_TOKEN) and try again."
            ) from exc
        except errors.RevisionNotFoundError as exc:
            raise EncoderUnavailableError(
                f"{name} no longer has revision {revision}. Update Bifocal; where the commit is your own "
                "first fetch's, `python -m core fetch PAIR --repin` takes the present one."
            ) from exc
        except errors.RepositoryNotFoundError as exc:
            raise EncoderUnavailableError(
                f"{name} is not on the hub, or is private. Check the id at {hub}; for a private one log "
                "in with `hf auth login`."
            ) from exc
        except errors.HFValidationError as exc:
            raise EncoderUnavailableError(
                f"{checkpoint!r} is no hub id: {exc}. It looks like owner/name."
            ) from exc
        except (TRANSPORT_ERROR, errors.LocalEntryNotFoundError, OSError) as exc:
            first = (str(exc).strip().splitlines() or [type(exc).__name__])[0].strip().rstrip(".")
            raise EncoderUnavailableError(
                f"{name} cannot be fetched from {hub}: {first}. Check the connection (HF_ENDPOINT names "
                "a mirror, HF_HUB_OFFLINE=1 asks none) and try again; the download goes on where it "
                "stopped."
            ) from exc

    def _require_online(self, spec: EncoderSpec) -> None:
        """Refuse to ask the hub when Bifocal or its environment is offline."""
        if not (self.offline or constants.HF_HUB_OFFLINE):
            return
        switch = "Bifocal was started so" if self.offline else "HF_HUB_OFFLINE is set"
        raise EncoderUnavailableError(
            f"{spec.label} ({spec.checkpoint}) is not on this machine and Bifocal is offline "
            f"({switch}). Start it once without that to fetch it, point HF_HOME to a cache that holds "
            "it, or give a folder."
        )


def _append(url: str, part: Path, size: int, progress: _DownloadProgress) -> None:
    """Fetch the rest of a partial file."""
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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == etag


def _wanted_files(spec: EncoderSpec, names: Iterable[str]) -> tuple[str, ...]:
    """Return which of a repository's files are fetched, in order, the weights last.

    Raises:
        EncoderLoadError: If it has no safetensors weights.
    """
    present = set(names)
    small = sorted(present & _SMALL_FILES)
    if WEIGHTS_FILE in present:
        return (*small, WEIGHTS_FILE)
    shards = sorted(
        name
        for name in present
        if name.startswith(_SHARD_PREFIX) and name.endswith(_SHARD_SUFFIX) and "/" not in name
    )
    if WEIGHTS_INDEX in present and shards:
        return (*small, WEIGHTS_INDEX, *shards)
    raise EncoderLoadError(
        f"{spec.checkpoint} has no safetensors weights; Bifocal opens no other kind, since pickle "
        "files can run code. Choose a checkpoint saved as safetensors."
    )


class _DownloadProgress:
    """Bytes of a whole checkpoint, reported to a monitor."""

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
        detail = f"{machine.size_words(done)} of {machine.size_words(self._total)}{self._speed(self._total - done)}"
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
