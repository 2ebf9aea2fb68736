"""Choosing a pair that has to be fetched: its costs, the download, Stop, and going on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import SHOTS, Visit, ended, started
from tests.encoders.hub import LocalHub, serving

WEIGHTS = 3 << 20


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with serving() as running:
        for name in ("far-dif", "far-aut"):
            folder = tmp_path / "published" / name
            folder.mkdir(parents=True)
            (folder / "config.json").write_text("{}")
            (folder / "model.safetensors").write_bytes(bytes(WEIGHTS))
            running.repositories[f"owner/{name}"] = folder
        yield running


@pytest.fixture
def far_url(hub: LocalHub, tmp_path: Path) -> Iterator[str]:
    process, url = started(
        sys.executable, "-m", "tests.browser.serve", str(tmp_path / "data"), "--hub",
        HF_ENDPOINT=hub.endpoint, HF_HOME=str(tmp_path / "hub-home"), HF_HUB_OFFLINE="0",
    )  # fmt: skip
    yield url
    ended(process)


def choose(visit: Any, label: str) -> None:
    visit.view("settings")
    visit.page.locator("#bf-pair label", has_text=label).click()


def chosen(visit: Any) -> str:
    text: str = visit.page.locator("#bf-pair label:has(input:checked)").inner_text()
    return text.strip()


def test_a_pair_is_priced_fetched_stopped_and_taken_up_again(
    browser: Any, far_url: str, hub: LocalHub
) -> None:
    SHOTS.mkdir(exist_ok=True)
    visit = Visit(browser, far_url)
    page = visit.page
    choose(visit, "A far pair")
    page.wait_for_selector("#bf-offer [data-act=take-pair]")
    page.screenshot(path=SHOTS / "offer-wide.png")
    offered = page.inner_text("#bf-offer")
    assert "6.0 MiB" in offered  # both together
    assert "apache-2.0" in offered
    assert chosen(visit) == "Counters"  # nothing has changed yet

    hub.delay_seconds = 0.5  # 48 pieces of 64 KiB: time for Stop
    page.click("#bf-offer [data-act=take-pair]")
    page.wait_for_selector("#bf-offer .bar")
    page.wait_for_function("document.querySelector('#bf-offer .steps')?.innerText.includes('MiB')")
    page.screenshot(path=SHOTS / "offer-progress.png")
    page.click("#bf-offer [data-act=stop-fetch]")
    page.wait_for_selector("#bf-offer :text('What has arrived is kept')")

    # The page may go away meanwhile; how it ended is still told.
    page.reload()
    page.wait_for_selector("#bf-offer :text('What has arrived is kept')")
    visit.view("settings")
    hub.delay_seconds = 0.0
    page.click("#bf-offer [data-act=take-pair]")
    page.wait_for_function("document.querySelector('#bf-pair input:checked')?.value === 'far'")
    page.wait_for_selector("#bf-offer .offer", state="detached")
    resumed = [w for method, _, w in hub.requests if method == "GET" and w.startswith("bytes=")]
    assert resumed, "the second try began anew"
    assert visit.problems == []
    visit.context.close()


def test_the_costs_fit_a_phone(browser: Any, far_url: str) -> None:
    SHOTS.mkdir(exist_ok=True)
    visit = Visit(browser, far_url, width=390, height=844)
    choose(visit, "A far pair")
    visit.page.wait_for_selector("#bf-offer [data-act=take-pair]")
    visit.page.screenshot(path=SHOTS / "offer-phone.png")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.page.click("#bf-offer [data-act=keep-pair]")
    visit.page.wait_for_selector("#bf-offer .offer", state="detached")
    assert visit.problems == []
    visit.context.close()
