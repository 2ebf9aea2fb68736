"""What a checkpoint costs, said without fetching it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from core.encoders.hub import FetchPlan, Hub, plan_together
from core.encoders.machine import memory_needed
from core.encoders.pins import Pins
from core.encoders.pool import EncoderPool
from core.encoders.registry import Registry
from core.errors import EncoderUnavailableError, InvalidSettingError
from core.experiments.fairness import account_of
from tests.encoders.fetch.conftest import REPOSITORY, stopped_halfway
from tests.encoders.hub import COMMIT, LocalHub

if TYPE_CHECKING:
    from core.encoders.spec import EncoderSpec

GIB = 1024**3


def a_plan(memory: int, download: int, **more: Any) -> FetchPlan:
    return FetchPlan("a/b", "", (), download, "mit", False, memory, 8 * GIB, 9 * GIB, 1.0, **more)


def test_a_plan_says_what_a_download_costs(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    plan = Hub(tmp_path / "cache", endpoint=hub.endpoint).plan(spec)
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


def test_a_plan_counts_what_an_earlier_try_left(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    part = stopped_halfway(hub, spec, cache, monkeypatch)
    plan = Hub(cache, endpoint=hub.endpoint).plan(spec)
    assert plan.kept_bytes == part.stat().st_size > 0
    whole = len(hub.files(REPOSITORY)["model.safetensors"])
    assert plan.download_bytes == whole - plan.kept_bytes


def test_a_whole_checkpoint_is_planned_without_a_hub(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    Hub(cache, endpoint=hub.endpoint).fetch(spec)
    hub.requests.clear()
    pinned = replace(spec, revision=COMMIT)
    plan = Hub(cache, offline=True).plan(pinned)
    assert (plan.download_bytes, plan.refusal, plan.revision) == (0, "", COMMIT)
    assert hub.requests == []


def test_a_plan_without_a_hub_says_what_to_do(
    spec: EncoderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        EncoderUnavailableError, match=r"offline .Bifocal was started so.\..* HF_HOME"
    ):
        Hub(tmp_path, offline=True).plan(spec)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderUnavailableError, match="HF_HUB_OFFLINE is set"):
        Hub(tmp_path).plan(spec)


def test_a_mirror_that_is_down_is_named(spec: EncoderSpec, tmp_path: Path) -> None:
    with pytest.raises(
        EncoderUnavailableError, match=r"from http://127\.0\.0\.1:1: .*HF_ENDPOINT names a mirror"
    ):
        Hub(tmp_path, endpoint="http://127.0.0.1:1").plan(spec)


def test_a_gate_that_is_shut_is_told_before_the_download(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    hub.gated.add(REPOSITORY)
    plan = Hub(tmp_path, endpoint=hub.endpoint).plan(spec)
    assert (plan.gated, plan.refusal) == (True, "")  # its terms were accepted: files are answered
    hub.refusals[REPOSITORY] = (403, "GatedRepo")
    plan = Hub(tmp_path, endpoint=hub.endpoint).plan(spec)
    assert f"Open {hub.endpoint}/{REPOSITORY} in a browser" in plan.refusal
    with pytest.raises(EncoderUnavailableError, match="hf auth login"):
        Hub(tmp_path, endpoint=hub.endpoint).fetch(spec)


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


def test_where_the_hub_says_other_than_the_table(
    hub: LocalHub, spec: EncoderSpec, tmp_path: Path
) -> None:
    there = Hub(tmp_path, endpoint=hub.endpoint)
    true = replace(spec, revision=COMMIT, licence="Apache-2.0")
    assert there.differences(true) == ()
    other = replace(true, revision="f" * 40, licence="mit", parameters=10**9)
    commit, licence, size = there.differences(other)
    assert commit == "commit ffffffffffff is answered with 0123456789ab"
    assert licence == "licence apache-2.0, here mit"
    assert size.endswith("here 1,000 M")
    hub.refusals[REPOSITORY] = (404, "RepoNotFound")
    with pytest.raises(EncoderUnavailableError):
        there.differences(true)
