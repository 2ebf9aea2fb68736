"""A pair that has to be fetched: its costs first, then the download, with Stop and resume."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.encoders import hub as hub_module
from core.encoders import machine
from core.encoders.hub import FetchPlan, plan_together
from core.encoders.pins import Pins
from core.encoders.registry import Registry
from core.encoders.spec import Attention, Pair
from core.errors import UnknownNameError
from core.records import Family
from core.settings import DEFAULT_PAIR
from demo.fetching import Fetching
from demo.presenters import offer
from tests.demo.world import lent
from tests.encoders.fake import fake_spec
from tests.encoders.hub import LocalHub, serving

GIB = 1024**3
HUB_PAIR = "hub-pair"
A, B = "owner/diffusion", "owner/autoregressive"


def published(folder: Path, weights: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * (weights // 256))
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Any:
    with serving() as running:
        running.repositories = {
            A: published(tmp_path / "published" / "a", 2 << 20),
            B: published(tmp_path / "published" / "b", 1 << 20),
        }
        yield running


@pytest.fixture
def fetching(real: Any, hub: LocalHub, tmp_path: Path, monkeypatch: Any) -> Any:
    """The page's verbs over the real rooms, with one pair that is on a hub of this machine."""
    monkeypatch.setattr(machine, "expected_seconds", lambda *_args, **_options: 400.0)
    pool = lent(real.services, "local", "my-documents").pool
    one = replace(
        fake_spec(encoder_id="hub-dif"), label="Far one", checkpoint=A, revision="main",
        parameters=10**6,
    )  # fmt: skip
    two = replace(
        one,
        encoder_id="hub-aut",
        label="Far two",
        family=Family.AUTOREGRESSIVE,
        attention=Attention.CAUSAL,
        checkpoint=B,
    )
    pool.registry = Registry(
        {**pool.registry.encoders, "hub-dif": one, "hub-aut": two},
        {
            **pool.registry.pairs,
            HUB_PAIR: Pair(HUB_PAIR, "A <far> pair", "hub-dif", "hub-aut", "Size.", "Data."),
        },
    )
    pool.cache_dir = tmp_path / "cache"
    pool.endpoint = hub.endpoint
    pool.pins = Pins(tmp_path / "pins.json")
    pool.device = "cpu"
    return Fetching(real)


PLACE = ("local", "my-documents")


def wait_until(true: Any) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_pair_that_is_here_needs_no_offer(fetching: Any) -> None:
    assert fetching.offer(*PLACE, DEFAULT_PAIR) is None


def test_an_offer_says_what_it_costs_and_fetches_nothing(
    fetching: Any, hub: LocalHub, tmp_path: Path
) -> None:
    made = fetching.offer(*PLACE, HUB_PAIR)
    assert made.plan.download_bytes == (3 << 20) + 8  # the weights, and two bytes for each {}
    assert made.plan.memory_needed_bytes > 0
    assert made.plan.refusal == ""
    tokens = sum(r.tokens for r in lent(fetching.handlers.services, *PLACE).documents())
    assert made.seconds == pytest.approx([400.0 * tokens / 160_000] * 2)
    html = fetching.shown(*PLACE, HUB_PAIR)
    assert "A &lt;far&gt; pair" in html
    assert "3.0 MiB" in html
    assert 'data-act="take-pair" data-pair="hub-pair"' in html
    assert "apache-2.0" in html
    assert "Stay with Letter counters" in html
    assert not list(tmp_path.rglob("*.safetensors.part"))
    assert not (tmp_path / "pins.json").exists()
    assert not any("resolve" in path for _, path, _ in hub.requests)


def test_taking_it_fetches_then_uses_it(fetching: Any, hub: LocalHub) -> None:
    job = fetching.take(*PLACE, HUB_PAIR)
    job.outcome()
    shown = list(fetching.watch(*PLACE))
    assert shown[-1] == ("", False)
    bench = lent(fetching.handlers.services, *PLACE)
    index = fetching.handlers.sessions.jobs.get((*PLACE, "index"))
    index.wait(60)
    assert bench.settings.pair_id == HUB_PAIR
    assert {encoder.system_id for encoder in bench.encoder_status()} == {"hub-dif", "hub-aut"}
    assert not any(path.endswith(".py") for _, path, _ in hub.requests)
    # Here now: the next time nothing is asked and nothing offered.
    hub.requests.clear()
    assert fetching.offer(*PLACE, HUB_PAIR) is None
    assert hub.requests == []


def test_stop_keeps_what_has_arrived_and_the_next_try_goes_on(
    fetching: Any, hub: LocalHub, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(hub_module, "_CHUNK_BYTES", 1 << 16)
    hub.delay_seconds = 0.05
    job = fetching.take(*PLACE, HUB_PAIR)
    bench = lent(fetching.handlers.services, *PLACE)
    wait_until(lambda: any(p.stat().st_size for p in tmp_path.rglob("*.part")))
    seen = next(html for html, running in fetching.watch(*PLACE) if running and "%" in html)
    assert 'data-act="stop-fetch"' in seen
    assert "Fetching A &lt;far&gt; pair" in seen
    fetching.stop(*PLACE)
    job.wait(60)
    html, running = list(fetching.watch(*PLACE))[-1]
    assert not running
    assert "What has arrived is kept" in html
    assert "Go on with the download" in html
    assert bench.settings.pair_id == DEFAULT_PAIR  # it works on with what it has
    (part,) = tmp_path.rglob("*.part")
    kept = part.stat().st_size
    assert 0 < kept < 2 << 20
    assert fetching.offer(*PLACE, HUB_PAIR).plan.plans[0].kept_bytes == kept
    hub.delay_seconds = 0.0
    hub.requests.clear()
    fetching.take(*PLACE, HUB_PAIR).outcome()
    assert f"bytes={kept}-" in {wanted for method, _, wanted in hub.requests if method == "GET"}
    assert not list(tmp_path.rglob("*.part"))


def test_a_second_download_waits_and_can_be_stopped(fetching: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("demo.fetching.WAIT_SECONDS", 0.01)
    with fetching._turn:  # somebody else's download
        job = fetching.take(*PLACE, HUB_PAIR)
        wait_until(lambda: job.snapshot().stages)
        assert job.snapshot().stages[0].stage == "waiting for another download"
        fetching.stop(*PLACE)
        assert job.wait(60)
    html, _ = list(fetching.watch(*PLACE))[-1]
    assert "Stopped" in html
    fetching.take(*PLACE, HUB_PAIR).outcome()


def test_a_failure_is_told_with_a_way_on(fetching: Any, hub: LocalHub) -> None:
    hub.refusals[B] = (403, "GatedRepo")
    fetching.take(*PLACE, HUB_PAIR).wait(60)
    html, _ = list(fetching.watch(*PLACE))[-1]
    assert "is gated" in html
    assert 'data-act="look-pair"' in html
    fetching.dismiss(*PLACE)
    assert list(fetching.watch(*PLACE)) == []


def test_offline_is_told_in_place_of_an_offer(fetching: Any) -> None:
    lent(fetching.handlers.services, *PLACE).pool.offline = True
    html = fetching.shown(*PLACE, HUB_PAIR)
    assert "Bifocal is offline" in html
    assert "take-pair" not in html


def test_what_cannot_fit_is_refused_with_the_reason(fetching: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(machine, "memory_present", lambda _device: GIB // 4)
    html = fetching.shown(*PLACE, HUB_PAIR)
    assert "needs about 0.5 GiB of memory on cpu and 0.2 GiB is free" in html
    assert "take-pair" not in html
    assert "Stay with Letter counters" in html


def test_another_visitor_and_another_pair_are_refused(fetching: Any) -> None:
    with pytest.raises(UnknownNameError):
        fetching.offer("somebody", "my-documents", HUB_PAIR)
    with pytest.raises(UnknownNameError, match="no pair named 'nothing'"):
        fetching.take(*PLACE, "nothing")


def test_the_commit_and_where_it_comes_from_are_shown() -> None:
    plan = FetchPlan(
        "a/<b>", "c" * 40, (), GIB, "mit", True, GIB, 8 * GIB, 9 * GIB, 1.0, kept_bytes=GIB // 2,
        revision_origin="the hub's when first fetched, 2026-01-02",
    )  # fmt: skip
    pair = Pair("p", "P", "x", "y", "All.", "")
    html = offer.offer(pair, plan_together([plan]), seconds=[7200.0], passages=1, now="Bundled")
    assert "a/&lt;b&gt;" in html
    assert "at cccccccccccc (the hub&#x27;s when first fetched, 2026-01-02)" in html
    assert "512.0 MiB here already" in html
    assert "gated" in html
    assert "about 2.0 h" in html
    assert "Go on with the download" in html


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "under a second"), (42, "about 42 s"), (600, "about 10 min"), (9000, "about 2.5 h")],
)
def test_a_time_is_no_more_exact_than_its_estimate(seconds: float, words: str) -> None:
    assert offer.duration(seconds) == words
