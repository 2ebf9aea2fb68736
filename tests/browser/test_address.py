"""The address says what is on the screen: reload, Back and a copied address bring it back."""

from __future__ import annotations

from typing import Any

import pytest

QUERY = "why did the ice become quieter in the last winter"

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_reload_and_a_copied_address_bring_question_hit_and_page(
    visit: Any, local_url: Any
) -> None:
    one = visit(local_url)
    one.ask(QUERY)
    one.open_first("aut")
    one.page.locator('#bf-pane [data-act="page"]:not([disabled])').last.click()
    one.page.wait_for_function("new URLSearchParams(location.search).get('g')")
    number = one.page.evaluate("new URLSearchParams(location.search).get('g')")
    shown = f"document.querySelector('#bf-pane .pane')?.dataset.page === '{number}'"
    one.page.wait_for_function(shown)
    address = one.page.evaluate("location.search")
    one.page.reload()
    one.page.wait_for_function(shown)
    assert one.page.input_value("#bf-query textarea") == QUERY
    two = visit(local_url, query="/" + address)
    two.page.wait_for_function(shown)
    # Back: without the page, then without the question; forward again with it
    one.page.go_back()
    one.page.wait_for_function("!document.body.classList.contains('pane')")
    assert one.hits("dif").count() == 10
    one.page.go_back()
    one.page.wait_for_selector("#bf-blank .blank")
    one.page.go_forward()
    one.page.wait_for_selector("#bf-columns .hit[data-pid]")


def test_a_view_and_an_experiment_with_its_inputs_have_an_address(
    visit: Any, local_url: Any
) -> None:
    one = visit(local_url)
    one.view("laboratory")
    one.page.get_by_role("tab", name="Last sentence").click()
    one.page.get_by_label("New last sentence").fill("It never froze.")
    one.page.click("#bf-last-sentence-run")
    one.page.wait_for_selector("#bf-last-sentence ins >> text=It never froze.")
    one.page.wait_for_function("location.search.includes('never')")
    two = visit(local_url, query="/" + one.page.evaluate("location.search"))
    two.page.wait_for_selector("#bf-last-sentence ins >> text=It never froze.")
    assert two.page.locator('.nav [data-view="laboratory"][aria-current="page"]').count() == 1


def test_another_library_has_another_address_and_back_returns(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    one.library("My documents")
    one.page.wait_for_function("location.search.includes('w=my-documents')")
    one.page.go_back()
    if "w=my-documents" in one.page.url:  # from Compare to the settings, where it was chosen
        one.page.go_back()
    one.page.wait_for_selector('#bf-documents .side-title >> text="Sample library"')
