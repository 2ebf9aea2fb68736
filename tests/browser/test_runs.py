"""A run from elsewhere and an mteb result, added in the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import SHOTS, Visit, ended, started

QUERY = "Why does melting ice crackle under the sea?"


@pytest.fixture
def own_url(tmp_path: Path) -> Iterator[str]:
    """A page of this test's own: what is added stays with the library."""
    process, url = started(sys.executable, "-m", "tests.browser.serve", str(tmp_path / "data"))
    yield url
    ended(process)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    run = tmp_path / "their <b>search.csv"
    run.write_text(
        "query,document,page,score\n"
        f"{QUERY},orrefall-ice-acoustics.pdf,2,0.9\n"
        f"{QUERY},orrefall-ice-acoustics,1,0.8\n"
        f"{QUERY},somewhere else.pdf,1,0.7\n"
    )
    broken = tmp_path / "broken.csv"
    broken.write_text("a,b\n1,2\n")
    return [str(run), str(broken)]


def test_a_run_is_added_asked_and_removed(browser: Any, own_url: str, files: list[str]) -> None:
    SHOTS.mkdir(exist_ok=True)
    visit = Visit(browser, own_url)
    page = visit.page
    visit.view("settings")
    page.click("#bf-runs-box > button")
    page.set_input_files("#bf-runs-box input[type=file]", files[1])
    page.wait_for_selector("#bf-runs-said :text('expected columns query_id')")
    page.set_input_files("#bf-runs-box input[type=file]", files[0])
    page.wait_for_selector("#bf-runs li")
    assert "2 of 3 hits are of this library (2 by page)" in page.inner_text("#bf-runs")
    page.click("#bf-runs summary")
    page.screenshot(path=SHOTS / "runs-sidebar.png")
    page.click("#bf-runs [data-act=ask]")
    page.wait_for_selector("#bf-columns .col[data-system^='run-their']")
    page.wait_for_selector("#bf-lower .lower", state="attached")
    column = page.inner_text("#bf-columns .col[data-system^='run-their']")
    assert "somewhere else.pdf" in column
    page.screenshot(path=SHOTS / "runs-wide.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    phone = Visit(browser, own_url, width=390, height=844)
    phone.ask(QUERY)
    phone.page.screenshot(path=SHOTS / "runs-phone.png")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    phone.context.close()
    visit.view("settings")
    page.click("#bf-runs [data-act=remove-run]")
    page.wait_for_selector("#bf-runs li", state="detached")
    assert visit.problems == []
    visit.context.close()


def test_an_mteb_result_stands_beside_the_papers_cell(
    browser: Any, own_url: str, tmp_path: Path
) -> None:
    SHOTS.mkdir(exist_ok=True)
    file = tmp_path / "LEMBQMSumRetrieval.json"
    scores = {"test": [{"main_score": 0.412, "hf_subset": "default"}]}
    file.write_text(json.dumps({"task_name": "LEMBQMSumRetrieval", "scores": scores}))
    visit = Visit(browser, own_url)
    page = visit.page
    page.click("[data-act=view][data-view=benchmarks]")
    page.wait_for_selector("#bf-official h2")
    page.click("#bf-official-box button")
    page.fill("#bf-official-model textarea, #bf-official-model input", "their <i>model</i>")
    page.set_input_files("input[type=file][accept*='json']", str(file))
    page.wait_for_selector("#bf-official td:text('41.2')")
    assert "43.8" in page.inner_text("#bf-official")
    page.locator("#bf-official").scroll_into_view_if_needed()
    page.screenshot(path=SHOTS / "official-wide.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert visit.problems == []
    visit.context.close()
