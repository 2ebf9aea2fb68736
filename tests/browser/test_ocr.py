"""Scanned pages on the page: the question, Stop, the text with its boxes; a stand-in for tesseract."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests import tesseract
from tests.browser.conftest import ended, started
from tests.browser.test_access import VIOLATIONS
from tests.pdfs import partly_scanned_pdf, scanned_pdf

pytestmark = pytest.mark.filterwarnings("ignore")
HOSTILE = ("Water", "fell", "<img src=x onerror=alert(1)>", "for", "hours.")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    """The page with the stand-in on its path, and the folder of that."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tesseract.install(tmp_path / "bin", patch, [HOSTILE])
        process, url = started(sys.executable, "-m", "tests.browser.serve", str(tmp_path / "data"))
    yield url, folder
    ended(process)


def test_scanned_files_are_read_when_the_button_is_pressed(
    visit: Any, place: tuple[Any, Path], tmp_path: Path
) -> None:
    url, folder = place
    (tmp_path / "scan.pdf").write_bytes(scanned_pdf())
    (tmp_path / "half.pdf").write_bytes(partly_scanned_pdf(["Two barges waited below.", ""]))
    one = visit(url)
    page = one.page
    dropped = [str(tmp_path / name) for name in ("scan.pdf", "half.pdf")]
    page.set_input_files("#bf-drop input[type=file]", dropped)
    ask = "#bf-progress .ask-file[data-ask=ocr]"
    page.wait_for_selector(ask)
    assert page.locator(f"{ask} option").all_inner_texts() == ["deu", "eng"]
    assert page.locator(f"{ask} select").input_value() == "eng"
    (folder / "slow").touch()
    page.click(f"{ask} button[type=submit]")
    page.wait_for_selector("#bf-stop:visible")
    page.click("#bf-stop")
    page.wait_for_selector(ask)  # stopped: it asks again
    (folder / "slow").unlink()
    page.click(f"{ask} button[type=submit]")
    page.wait_for_selector("#bf-documents >> text=Page 1 was read by OCR (tesseract, eng)")
    inside = "#bf-documents .ask-file[data-ask=ocr]"
    page.select_option(f"{inside} select", "deu")
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    assert page.evaluate(VIOLATIONS.replace("document", "'#bf-documents'")) == []
    one.shot("ocr-1440-light")
    page.click(f"{inside} button[type=submit]")
    page.wait_for_selector("#bf-documents >> text=Page 2 was read by OCR (tesseract, deu)")
    page.wait_for_selector(inside, state="detached")
    one.ask("water fell for hours")
    one.open_first()
    assert page.locator("#bf-pane .region").count() > 0
    assert "<img src=x" in page.inner_text("#bf-columns")
    assert page.locator("img[src=x]").count() == 0
    assert not one.overflows()
