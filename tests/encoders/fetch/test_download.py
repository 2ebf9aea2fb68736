"""Downloads, against a hub that runs on this machine."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.encoders.hub import Hub
from core.encoders.loading import load_encoder, load_folder
from core.errors import EncoderLoadError, EncoderTooLargeError, EncoderUnavailableError
from tests.encoders.fetch.conftest import REPOSITORY, stopped_halfway
from tests.encoders.hub import COMMIT, LocalHub
from tests.monitors import Watcher

if TYPE_CHECKING:
    from core.encoders.spec import EncoderSpec


def test_only_what_is_needed_is_fetched_and_it_loads(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    watcher = Watcher()
    cache = tmp_path / "cache"
    folder = Hub(cache, endpoint=hub.endpoint).fetch(spec, monitor=watcher)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert folder.name == COMMIT
    assert watcher.reports[-1].done == watcher.reports[-1].total > 0
    assert load_folder(spec, folder).fingerprint

    hub.requests.clear()
    pinned = replace(spec, revision=COMMIT)
    assert Hub(cache, offline=True).fetch(pinned) == folder
    encoder = load_encoder(pinned, assets=tmp_path, device="cpu", cache_dir=cache, offline=True)
    assert encoder.spec is pinned
    assert hub.requests == []
    assert Hub(cache, endpoint=hub.endpoint).plan(pinned).download_bytes == 0


def test_stop_keeps_what_is_there_and_the_next_try_goes_on(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    part = stopped_halfway(hub, spec, cache, monkeypatch)
    kept = part.stat().st_size
    assert 0 < kept < len(hub.files(REPOSITORY)["model.safetensors"])

    hub.requests.clear()
    watcher = Watcher()
    folder = Hub(cache, endpoint=hub.endpoint).fetch(spec, monitor=watcher)

    ranges = [wanted for method, _, wanted in hub.requests if method == "GET" and wanted]
    assert ranges == [f"bytes={kept}-"]
    assert watcher.reports[-1].done == watcher.reports[-1].total
    assert not list(cache.rglob("*.part"))
    assert load_folder(spec, folder).fingerprint


def test_a_damaged_transfer_is_thrown_away(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    part = stopped_halfway(hub, spec, cache, monkeypatch)
    part.write_bytes(bytes(part.stat().st_size))  # a disk that forgot
    with pytest.raises(EncoderUnavailableError, match="arrived damaged"):
        Hub(cache, endpoint=hub.endpoint).fetch(spec)
    Hub(cache, endpoint=hub.endpoint).fetch(spec)  # and the next try is whole


def test_offline_says_what_to_do(spec: EncoderSpec, tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailableError, match="Bifocal is offline"):
        Hub(tmp_path, offline=True).fetch(spec)
    with pytest.raises(EncoderUnavailableError, match="cannot be fetched"):
        Hub(tmp_path, offline=True).description(REPOSITORY)


def test_the_hubs_own_offline_switch_is_respected(
    spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderUnavailableError, match="Bifocal is offline"):
        Hub(tmp_path).fetch(spec)


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((403, "GatedRepo"), "hf auth login"),
        ((401, "RepoNotFound"), "not on the hub, or is private"),
        ((404, "RevisionNotFound"), "no longer has revision main"),
        ((404, "RepoNotFound"), "not on the hub"),
    ],
)
def test_a_refusal_of_the_hub_is_explained(
    refusal: tuple[int, str], message: str, hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    hub.refusals[REPOSITORY] = refusal
    with pytest.raises(EncoderUnavailableError, match=message):
        Hub(tmp_path, endpoint=hub.endpoint).fetch(spec)


def test_a_name_that_is_no_id_is_explained(spec: EncoderSpec, tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailableError, match="no hub id"):
        Hub(tmp_path).fetch(replace(spec, checkpoint="a/b/c"))


def test_a_repository_without_safetensors_is_refused(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    (hub.repositories[REPOSITORY] / "model.safetensors").unlink()
    with pytest.raises(EncoderLoadError, match="no safetensors"):
        Hub(tmp_path, endpoint=hub.endpoint).fetch(spec)


def test_what_does_not_fit_is_refused_before_anything_is_asked(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    huge = replace(spec, parameters=10**13)
    with pytest.raises(EncoderTooLargeError, match=r"needs about .* GiB of memory on cpu"):
        Hub(tmp_path, endpoint=hub.endpoint).fetch(huge)
    assert hub.requests == []
    assert "needs about" in Hub(tmp_path, endpoint=hub.endpoint).plan(huge).refusal


def test_a_full_disk_is_noticed_beforehand(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(EncoderTooLargeError, match="on disk"):
        Hub(tmp_path / "cache", endpoint=hub.endpoint).fetch(spec)


def test_a_description_comes_without_weights(hub: LocalHub, tmp_path: Path) -> None:
    folder = Hub(tmp_path, endpoint=hub.endpoint).description(REPOSITORY)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "tokenizer.json"]
