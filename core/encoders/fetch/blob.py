"""One weights file into huggingface_hub's cache: resumed where it stopped, checked when whole."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from filelock import FileLock
from huggingface_hub import get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # loaded lazily there
    build_hf_headers,
    hf_raise_for_status,
)

from core.encoders.fetch.cached import blobs_folder
from core.encoders.fetch.explained import TRANSPORT_ERROR

if TYPE_CHECKING:
    from pathlib import Path

    from core.encoders.fetch.progress import DownloadProgress
    from core.encoders.spec import EncoderSpec

_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 5
_SHA256_DIGITS = 64


def fetch_blob(
    spec: EncoderSpec,
    name: str,
    revision: str,
    cache_dir: Path | None,
    endpoint: str | None,
    progress: DownloadProgress,
) -> None:
    """Put a weights file into huggingface_hub's cache, going on where an earlier try stopped.

    The library itself begins a file anew after every interruption, which for one file of several
    gigabytes is no way to use Stop. What is fetched is checked against the hub's own SHA-256 before
    it takes its place.
    """
    url = hf_hub_url(spec.checkpoint, name, revision=revision, endpoint=endpoint)
    stated = get_hf_file_metadata(url, endpoint=endpoint)
    etag, size = str(stated.etag), int(stated.size or 0)
    blobs = blobs_folder(spec, cache_dir)
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
            msg = f"{name} arrived damaged and was thrown away."
            raise OSError(msg)
        part.replace(blob)


def _append(url: str, part: Path, size: int, progress: DownloadProgress) -> None:
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
