"""A browser and a served page. Skips, with the reason, where there is no Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(__file__).parent / "shots"  # not kept: look at them after a run
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "/usr/bin/chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as toolkit:
        made = toolkit.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield made
        made.close()


def started(*command: Any, **environment: str) -> Any:
    """Start a server process; returns it with its address."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    assert process.stdout is not None
    for line in process.stdout:
        found = next((word for word in line.split() if word.startswith("http://")), None)
        if found:
            return process, found.rstrip("/")
    process.wait(10)
    process.stdout.close()
    pytest.fail(f"the page did not start: {command}")


def ended(process: Any) -> None:
    process.terminate()
    process.wait(20)
    process.stdout.close()


@pytest.fixture(scope="session")
def local_url(tmp_path_factory: Any) -> Iterator[Any]:
    """The page for one user, over counting encoders."""
    folder = tmp_path_factory.mktemp("local")
    process, url = started(sys.executable, "-m", "tests.browser.serve", str(folder))
    yield url
    ended(process)


@pytest.fixture(scope="session")
def hosted_url(tmp_path_factory: Any) -> Iterator[Any]:
    """The page for many visitors, over counting encoders."""
    folder = tmp_path_factory.mktemp("hosted")
    process, url = started(sys.executable, "-m", "tests.browser.serve", str(folder), "--hosted")
    yield url
    ended(process)


@pytest.fixture(scope="session")
def unequal_url(tmp_path_factory: Any) -> Iterator[Any]:
    """The page for one user, over counting encoders whose token limits differ."""
    folder = tmp_path_factory.mktemp("unequal")
    process, url = started(sys.executable, "-m", "tests.browser.serve", str(folder), "--unequal")
    yield url
    ended(process)


@pytest.fixture(scope="session")
def real_url(tmp_path_factory: Any) -> Iterator[Any]:
    """The program as a user starts it, with the bundled weights."""
    if not list((ROOT / "assets" / "encoders").glob("*/*.safetensors")):
        pytest.skip("the bundled weights are not here (see assets/encoders)")
    folder = tmp_path_factory.mktemp("real")
    process, url = started(
        sys.executable, "app.py", "--port", "0", "--offline", "--data", str(folder)
    )
    yield url
    ended(process)


class Visit:
    """One browser window on the page, and everything it asked of the network."""

    def __init__(
        self,
        browser: Any,
        url: Any,
        *,
        width: Any = 1440,
        height: Any = 900,
        dark: Any = False,
        query: Any = "",
    ) -> None:
        self.url = url
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(url + query)
        self.page.wait_for_selector("body[data-library]", state="attached")
        self.page.wait_for_selector(
            "#bf-blank .blank, #bf-columns .results, #bf-columns .fail", state="attached"
        )

    def ask(self, text: Any) -> None:
        self.view("compare")
        self.page.fill("#bf-query textarea", text)
        self.page.press("#bf-query textarea", "Enter")
        self.answered()
        self.page.wait_for_selector("#bf-lower .lower", state="attached")

    def answered(self) -> None:
        """Wait until an answer stands that is not the one before."""
        self.page.wait_for_function(
            "() => !document.body.classList.contains('busy')"
            " && !document.querySelector('#bf-columns .skeleton')"
            " && document.querySelector('#bf-columns .hit[data-pid]')"
        )

    def view(self, name: str) -> None:
        """Open a view, on a phone too."""
        self.page.evaluate("name => window.bifocal.view(name)", name)
        self.page.wait_for_selector(
            f'.nav [data-view="{name}"][aria-current="page"]', state="attached"
        )

    def library(self, name: str) -> None:
        """Choose a library on the Settings page and come back."""
        self.view("settings")
        self.page.locator("#bf-library label", has_text=name).click()
        self.page.wait_for_selector(f'#bf-documents .side-title >> text="{name}"', state="attached")
        self.view("compare")

    def hits(self, kind: Any) -> Any:
        return self.page.locator(f"#bf-columns .hit.{kind}[data-pid]")

    def open_first(self, kind: Any = "dif") -> None:
        self.hits(kind).first.click()
        self.page.wait_for_selector("#bf-pane .sheet-page img")

    def overflows(self) -> Any:
        return self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )

    def foreign(self) -> Any:
        """Requests that went anywhere but to the page's own server."""
        own = (self.url, "data:", "blob:", "about:")
        return [url for url in self.requests if not url.startswith(own)]

    def shot(self, name: Any) -> None:
        SHOTS.mkdir(exist_ok=True)
        (SHOTS / ".gitignore").write_text("*\n", "utf-8")
        self.page.screenshot(path=str(SHOTS / f"{name}.png"))

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open windows; they are closed afterwards, and none may have left this machine."""
    opened = []

    def make(url: Any, **options: Any) -> Any:
        one = Visit(browser, url, **options)
        opened.append(one)
        return one

    yield make
    for one in opened:
        foreign, problems = one.foreign(), one.problems
        one.close()
        assert foreign == []
        assert problems == []
