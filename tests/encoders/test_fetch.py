"""Downloads, against a hub that runs on this machine."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from core.encoders import fetch
from core.encoders.fetch import (
    FetchPlan,
    expected_seconds,
    fetch_checkpoint,
    fetch_description,
    memory_needed,
    memory_present,
    plan_fetch,
    plan_together,
)
from core.encoders.loading import load_folder
from core.encoders.pins import Pins
from core.encoders.pool import EncoderPool
from core.encoders.registry import Registry, load_encoder
from core.encoders.spec import EncoderSpec
from core.errors import (
    EncoderLoadError,
    EncoderTooLargeError,
    EncoderUnavailableError,
    InvalidSettingError,
    StoppedError,
)
from core.laboratory.fairness import account_of
from tests.encoders.hub import COMMIT, LocalHub, serving
from tests.monitors import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.encoders.checkpoints import Checkpoint

REPOSITORY = "tiny/qwen3"


@pytest.fixture
def hub(tmp_path: Path, checkpoint_of: Callable[[str], Checkpoint]) -> Iterator[LocalHub]:
    folder = shutil.copytree(checkpoint_of("qwen3").folder, tmp_path / "published")
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "README.md").write_text("# tiny")
    with serving() as running:
        running.repositories[REPOSITORY] = folder
        yield running


@pytest.fixture
def spec(checkpoint_of: Callable[[str], Checkpoint]) -> EncoderSpec:
    return replace(checkpoint_of("qwen3").spec, checkpoint=REPOSITORY, revision="main")


def stopped_halfway(
    hub: LocalHub, spec: EncoderSpec, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Fetch some of the weights, and return the file that holds them until the rest is there."""
    monkeypatch.setattr(fetch, "_CHUNK_BYTES", 8192)
    with pytest.raises(StoppedError):
        fetch_checkpoint(
            spec, cache_dir=cache, monitor=Watcher(stop_after=6), endpoint=hub.endpoint
        )
    (part,) = cache.rglob("*.part")
    return part


def test_a_plan_says_what_a_download_costs(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    plan = plan_fetch(spec, cache_dir=tmp_path / "cache", endpoint=hub.endpoint)
    assert plan.revision == COMMIT
    assert plan.files == ("config.json", "tokenizer.json", "model.safetensors")
    sizes = {name: len(data) for name, data in hub.files(REPOSITORY).items()}
    assert plan.download_bytes == sum(sizes[name] for name in plan.files)
    assert plan.licence == "apache-2.0"
    assert not plan.gated
    assert plan.refusal == ""
    assert plan.memory_needed_bytes == memory_needed(spec, "cpu") > 4 * spec.parameters
    assert plan.seconds_per_1000_passages > 0
    assert not any("resolve" in path for _, path, _ in hub.requests)


def test_only_what_is_needed_is_fetched_and_it_loads(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    watcher = Watcher()
    cache = tmp_path / "cache"
    folder = fetch_checkpoint(spec, cache_dir=cache, monitor=watcher, endpoint=hub.endpoint)
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
    assert fetch_checkpoint(pinned, cache_dir=cache, offline=True) == folder
    encoder = load_encoder(pinned, assets=tmp_path, device="cpu", cache_dir=cache, offline=True)
    assert encoder.spec is pinned
    assert hub.requests == []
    assert plan_fetch(pinned, cache_dir=cache, endpoint=hub.endpoint).download_bytes == 0


def test_stop_keeps_what_is_there_and_the_next_try_goes_on(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    part = stopped_halfway(hub, spec, cache, monkeypatch)
    kept = part.stat().st_size
    assert 0 < kept < len(hub.files(REPOSITORY)["model.safetensors"])

    hub.requests.clear()
    watcher = Watcher()
    folder = fetch_checkpoint(spec, cache_dir=cache, monitor=watcher, endpoint=hub.endpoint)

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
        fetch_checkpoint(spec, cache_dir=cache, endpoint=hub.endpoint)
    fetch_checkpoint(spec, cache_dir=cache, endpoint=hub.endpoint)  # and the next try is whole


def test_offline_says_what_to_do(spec: EncoderSpec, tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailableError, match="Bifocal is offline"):
        fetch_checkpoint(spec, cache_dir=tmp_path, offline=True)
    with pytest.raises(EncoderUnavailableError, match="cannot be fetched"):
        fetch_description(REPOSITORY, cache_dir=tmp_path, offline=True)


def test_the_hubs_own_offline_switch_is_respected(
    spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderUnavailableError, match="Bifocal is offline"):
        fetch_checkpoint(spec, cache_dir=tmp_path)


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
        fetch_checkpoint(spec, cache_dir=tmp_path, endpoint=hub.endpoint)


def test_a_name_that_is_no_id_is_explained(spec: EncoderSpec, tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailableError, match="no hub id"):
        fetch_checkpoint(replace(spec, checkpoint="a/b/c"), cache_dir=tmp_path)


def test_a_repository_without_safetensors_is_refused(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    (hub.repositories[REPOSITORY] / "model.safetensors").unlink()
    with pytest.raises(EncoderLoadError, match="no safetensors"):
        fetch_checkpoint(spec, cache_dir=tmp_path, endpoint=hub.endpoint)


def test_what_does_not_fit_is_refused_before_anything_is_asked(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    huge = replace(spec, parameters=10**13)
    with pytest.raises(EncoderTooLargeError, match=r"needs about .* GiB of memory on cpu"):
        fetch_checkpoint(huge, cache_dir=tmp_path, endpoint=hub.endpoint)
    assert hub.requests == []
    assert "needs about" in plan_fetch(huge, cache_dir=tmp_path, endpoint=hub.endpoint).refusal


def test_a_full_disk_is_noticed_beforehand(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(EncoderTooLargeError, match="on disk"):
        fetch_checkpoint(spec, cache_dir=tmp_path / "cache", endpoint=hub.endpoint)


def test_memory_is_the_containers_where_that_is_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: EncoderSpec
) -> None:
    limit, used = tmp_path / "max", tmp_path / "current"
    limit.write_text("1000\n")
    used.write_text("400\n")
    monkeypatch.setattr(fetch, "_CGROUP_LIMIT", limit)
    monkeypatch.setattr(fetch, "_CGROUP_USED", used)
    assert memory_present("cpu") == 600
    limit.write_text("max\n")
    assert memory_present("cpu") > 600
    assert memory_needed(spec, "cuda:0") < memory_needed(spec, "cpu")


def test_a_plan_counts_what_an_earlier_try_left(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    part = stopped_halfway(hub, spec, cache, monkeypatch)
    plan = plan_fetch(spec, cache_dir=cache, endpoint=hub.endpoint)
    assert plan.kept_bytes == part.stat().st_size > 0
    whole = len(hub.files(REPOSITORY)["model.safetensors"])
    assert plan.download_bytes == whole - plan.kept_bytes


def test_a_whole_checkpoint_is_planned_without_a_hub(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    fetch_checkpoint(spec, cache_dir=cache, endpoint=hub.endpoint)
    hub.requests.clear()
    pinned = replace(spec, revision=COMMIT)
    plan = plan_fetch(pinned, cache_dir=cache, offline=True)
    assert (plan.download_bytes, plan.refusal, plan.revision) == (0, "", COMMIT)
    assert hub.requests == []


def test_a_plan_without_a_hub_says_what_to_do(
    spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        EncoderUnavailableError, match=r"offline .Bifocal was started so.\..* HF_HOME"
    ):
        plan_fetch(spec, cache_dir=tmp_path, offline=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderUnavailableError, match="HF_HUB_OFFLINE is set"):
        plan_fetch(spec, cache_dir=tmp_path)


def test_a_mirror_that_is_down_is_named(spec: EncoderSpec, tmp_path: Path) -> None:
    with pytest.raises(
        EncoderUnavailableError, match=r"from http://127\.0\.0\.1:1: .*HF_ENDPOINT names a mirror"
    ):
        plan_fetch(spec, cache_dir=tmp_path, endpoint="http://127.0.0.1:1")


def test_a_gate_that_is_shut_is_told_before_the_download(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    hub.gated.add(REPOSITORY)
    plan = plan_fetch(spec, cache_dir=tmp_path, endpoint=hub.endpoint)
    assert (plan.gated, plan.refusal) == (True, "")  # its terms were accepted: files are answered
    hub.refusals[REPOSITORY] = (403, "GatedRepo")
    plan = plan_fetch(spec, cache_dir=tmp_path, endpoint=hub.endpoint)
    assert f"Open {hub.endpoint}/{REPOSITORY} in a browser" in plan.refusal
    with pytest.raises(EncoderUnavailableError, match="hf auth login"):
        fetch_checkpoint(spec, cache_dir=tmp_path, endpoint=hub.endpoint)


GIB = 1024**3


def a_plan(memory: int, download: int, **more: Any) -> FetchPlan:
    return FetchPlan("a/b", "", (), download, "mit", False, memory, 8 * GIB, 9 * GIB, 1.0, **more)


def test_two_that_fit_alone_may_not_fit_together() -> None:
    # 5 + 5 GiB, half a GiB of working memory counted once: 9.5 of 8
    both = plan_together([a_plan(5 * GIB, GIB, label="A"), a_plan(5 * GIB, GIB, label="B")])
    assert both.memory_needed_bytes == 9.5 * GIB
    assert both.download_bytes == 2 * GIB
    assert "A and B fit one at a time" in both.refusal
    assert "about 9.5 GiB on cpu, and 8.0 GiB is free" in both.refusal
    # one of them is in memory already
    assert plan_together([a_plan(5 * GIB, 0), a_plan(0, 0)]).refusal == ""


def test_two_downloads_must_fit_on_the_disk_together() -> None:
    both = plan_together([a_plan(GIB, 5 * GIB, label="A"), a_plan(GIB, 5 * GIB, label="B")])
    assert "A and B need 10.0 GiB on disk and 9.0 GiB is left" in both.refusal


def test_a_refusal_of_one_is_the_refusal_of_both() -> None:
    assert plan_together([a_plan(1, 1), a_plan(1, 1, refusal="It is gated.")]).refusal == (
        "It is gated."
    )


def test_a_pool_keeps_the_commit_it_took_first(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    def pool(*, offline: bool = False) -> EncoderPool:
        return EncoderPool(
            assets=tmp_path,
            device="cpu",
            cache_dir=tmp_path / "cache",
            registry=Registry({spec.encoder_id: spec}, {}),
            pins=Pins(tmp_path / "pins.json"),
            endpoint=hub.endpoint,
            offline=offline,
        )

    pool().fetch(spec.encoder_id)
    hub.commit = "f" * 40  # main moves on
    hub.requests.clear()
    offline = pool(offline=True)
    encoder = offline.get(spec.encoder_id)
    assert encoder.spec.revision == COMMIT
    assert account_of(encoder).revision.startswith(f"{COMMIT} (the hub's when first fetched, ")
    pool().fetch(spec.encoder_id)
    assert hub.requests == []
    assert pool().repin(spec.encoder_id) == (COMMIT, "f" * 40)
    assert pool().plan(spec.encoder_id).revision == "f" * 40


def test_a_stated_commit_cannot_be_moved(spec: EncoderSpec, tmp_path: Path) -> None:
    stated = replace(spec, revision=COMMIT)
    pool = EncoderPool(
        assets=tmp_path,
        registry=Registry({spec.encoder_id: stated}, {}),
        pins=Pins(tmp_path / "pins.json"),
    )
    with pytest.raises(InvalidSettingError, match="stated by Bifocal itself"):
        pool.repin(spec.encoder_id)


def test_time_grows_with_the_encoder() -> None:
    small, large = expected_seconds(10**7, "cpu"), expected_seconds(10**9, "cpu")
    assert large > 10 * small > 0


def test_a_description_comes_without_weights(hub: LocalHub, tmp_path: Path) -> None:
    folder = fetch_description(REPOSITORY, cache_dir=tmp_path, endpoint=hub.endpoint)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "tokenizer.json"]
