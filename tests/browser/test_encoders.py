"""Choosing encoders in the page: further columns, their options, and one of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.encoders.tiny import write_tiny_checkpoint

QUERY = "why did the ice become quieter in the last winter"

pytestmark = pytest.mark.filterwarnings("ignore")


def open_part(one: Any) -> None:
    """Open the Encoders part of the Settings page."""
    one.view("settings")
    one.page.click("#bf-encoders > button")
    one.page.wait_for_selector("#bf-encoders-use .chosen li")


def pick(one: Any, box: str, label: str) -> None:
    """Choose from a dropdown by its label."""
    one.page.click(f"{box} input")
    one.page.get_by_role("option", name=label, exact=True).click()


def used(one: Any) -> list[str]:
    found: list[str] = one.page.locator("#bf-encoders-use .chosen bdi").all_inner_texts()
    return found


def test_columns_options_and_an_encoder_of_ones_own(
    visit: Any, local_url: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "mini"
    write_tiny_checkpoint("minilm", folder)
    one = visit(local_url)
    open_part(one)
    assert used(one) == ["Counting, both directions", "Counting, left to right"]
    # one of the user's own
    one.page.click("#bf-own > button")
    one.page.fill("#bf-own-source input, #bf-own-source textarea", str(tmp_path / "nothing"))
    one.page.click("#bf-own-add")
    one.page.wait_for_function(
        "() => document.querySelector('#bf-encoders-said')?.innerText.includes('is no folder here')"
    )
    one.page.fill("#bf-own-source input, #bf-own-source textarea", str(folder))
    one.page.click("#bf-own-add")
    one.page.wait_for_function(
        "() => document.querySelector('#bf-encoders-said')?.innerText.includes('was added')"
    )
    one.shot("encoders-own-1440-light")
    one.page.click("#bf-own > button")
    # further columns
    pick(one, "#bf-also", "Counting, for reference")
    pick(one, "#bf-also", "mini")
    one.page.keyboard.press("Escape")
    one.page.click("#bf-use")
    one.page.wait_for_function(
        "() => document.querySelectorAll('#bf-encoders-use .chosen li').length === 4"
    )
    # options
    one.page.click("#bf-options > button")
    pick(one, "#bf-option-of", "Counting, for reference")
    one.page.wait_for_function(
        "() => document.querySelector('#bf-options-why')?.innerText.includes('quantised')"
    )
    pick(one, "#bf-dimension", "64")
    one.page.click("#bf-options-keep")
    one.page.wait_for_function(
        "() => document.querySelector('#bf-encoders-use')?.innerText.includes('64 dimensions')"
    )
    one.shot("encoders-1440-light")
    one.ask(QUERY)
    text = one.page.inner_text("#bf-columns")
    assert "Counting, for reference (64 dimensions)" in text
    assert "mini" in text
    assert not one.overflows()
    one.shot("encoders-columns-1440-light")
    phone = visit(local_url, width=390, height=844)
    open_part(phone)
    assert len(used(phone)) == 4
    assert not phone.overflows()
    phone.shot("encoders-390-light")


def test_visitors_of_a_shared_server_read_why_they_cannot_add(visit: Any, hosted_url: Any) -> None:
    one = visit(hosted_url)
    open_part(one)
    one.page.click("#bf-own > button")
    one.page.wait_for_selector("#bf-own >> text=its owner has not allowed it")
    assert one.page.locator("#bf-own-source").count() == 0
    one.shot("encoders-hosted-1440-light")
