"""What a new user does in the first minutes, with the program as it is shipped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.count import COUNTED
from tests.data import shared_data

pytestmark = pytest.mark.filterwarnings("ignore")
SLOW_MILLISECONDS = 300_000  # two cores, and whatever else runs on them


def test_three_files_at_once_then_a_question_then_the_page(visit: Any, real_url: Any) -> None:
    folder = shared_data() / "pdf"
    files = ("google-docs.pdf", "scanned_huckfinn_no_text.pdf", "encrypted_rc4_r2_user.pdf")
    one = visit(real_url)
    page = one.page
    page.set_default_timeout(SLOW_MILLISECONDS)
    assert page.locator("#bf-documents .docs li").count() >= 6
    page.set_input_files("#bf-drop input[type=file]", [str(folder / name) for name in files])
    # the scanned one is named with what to do, the encrypted one asks for its password
    page.wait_for_selector("#bf-progress .ask-password")
    said = page.inner_text("#bf-progress")
    assert "scanned_huckfinn_no_text.pdf" in said
    assert "OCR" in said
    page.fill("#bf-progress input[type=password]", "wrong")
    page.click("#bf-progress .ask-password button[type=submit]")
    page.wait_for_selector("#bf-progress >> text=That password does not open")
    page.wait_for_selector("#bf-progress input[type=password]")
    page.fill("#bf-progress input[type=password]", "asdfzxcv")
    page.click("#bf-progress .ask-password button[type=submit]")
    page.wait_for_selector("#bf-documents >> text=encrypted_rc4_r2_user.pdf")
    assert page.locator("#bf-documents >> text=google-docs.pdf").count() == 1
    # a question: both columns, and the page with boxes
    one.ask("what is this document about")
    assert one.hits("dif").count() > 0
    assert one.hits("aut").count() > 0
    one.open_first()
    assert page.locator("#bf-pane .region").count() > 0
    assert not one.overflows()
    one.shot("first-run-1440-light")


def test_the_sample_library_answers_and_an_example_is_right(visit: Any, real_url: Any) -> None:
    one = visit(real_url)
    one.page.set_default_timeout(SLOW_MILLISECONDS)
    one.library("Sample library")
    one.page.wait_for_selector("#bf-live .wave.aut")
    seen = one.page.evaluate(COUNTED)
    assert seen["controls"] <= 12, seen
    assert seen["words"] <= 90, seen
    assert "exactly 0 on all" in one.page.inner_text("#bf-live .wave.aut")
    one.page.click(".starters button")
    one.page.wait_for_selector("#bf-columns .hit[data-pid] .answer")
    one.page.locator("#bf-examples summary").first.click()
    one.page.locator("#bf-examples details[open] .sheet button").first.click()
    one.answered()
    assert one.hits("dif").count() == 10
    assert one.hits("aut").count() == 10
    one.shot("sample-1440-light")
