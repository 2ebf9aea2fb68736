"""The page in a browser: what a user does with mouse, keyboard and phone."""

from __future__ import annotations

import re
from typing import Any

import pytest

QUERY = "why did the ice become quieter in the last winter"

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_fresh_start_shows_the_sample_library_and_its_examples(
    visit: Any, local_url: Any
) -> None:
    one = visit(local_url)
    assert one.page.locator("#bf-documents .docs li:visible").count() == 6
    one.page.click("#bf-documents .rest summary")
    assert one.page.locator("#bf-documents .docs li:visible").count() == 8
    assert not one.page.locator("#bf-examples").is_visible()
    assert not one.overflows()
    # an example is one click away
    one.page.locator(".starters button").first.click()
    one.page.wait_for_selector("#bf-columns .hit[data-pid]")
    assert one.page.input_value("#bf-query textarea")
    assert one.page.locator("#bf-examples details:visible").count() == 4


def test_a_query_fills_both_columns_and_joins_them(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    one.ask(QUERY)
    assert one.hits("dif").count() == 10
    assert one.hits("aut").count() == 10
    one.page.wait_for_selector("svg.lines g.join path", state="attached")
    assert one.page.locator("#bf-summary p.summary").count() == 1
    one.page.wait_for_selector("#bf-columns mark", state="attached")
    assert not one.overflows()
    one.shot("compare-1440-light")


def test_a_click_opens_the_right_page_with_boxes_of_both(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    one.ask(QUERY)
    card = one.hits("dif").first
    name = card.locator(".doc").inner_text()
    pages = [int(page) for page in re.findall(r"\d+", card.locator(".pg").inner_text())]
    one.open_first()
    assert one.page.inner_text("#bf-pane header h3") == name
    # the page of the marked sentence, which is one of the passage's
    number = int(one.page.locator("#bf-pane .pane").get_attribute("data-page"))
    assert pages[0] <= number <= pages[-1]
    assert one.page.locator("#bf-pane .sheet-page .marked").count() == 1
    assert f"page {number} of" in one.page.inner_text("#bf-pane .turn")
    assert one.page.locator("#bf-pane .sheet-page .bar.dif").count() > 0
    assert one.page.locator("#bf-pane .flag circle.flag-dif").count() > 0
    # the same passage is selected everywhere at once
    pid = card.get_attribute("data-pid")
    assert one.page.locator(f'.plot .pt.sel[data-pid="{pid}"]').count() == 1
    # next and previous page
    one.page.click('#bf-pane [data-act="page"]:not([disabled]) >> nth=-1')
    one.page.wait_for_function(
        "n => document.querySelector('#bf-pane .pane')?.dataset.page == n", arg=str(number + 1)
    )
    one.shot("page-1440-light")
    one.page.keyboard.press("Escape")
    one.page.wait_for_function("!document.body.classList.contains('pane')")


def test_the_keyboard_is_enough(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    keys = one.page.keyboard
    keys.press("/")
    keys.type(QUERY)
    keys.press("Enter")
    one.page.wait_for_selector("#bf-columns .hit[data-pid]")
    one.page.wait_for_timeout(300)
    keys.press("Escape")
    keys.press("j")
    first = one.page.locator(".col[data-col='0'] .hit.sel").get_attribute("data-rank")
    keys.press("j")
    second = one.page.locator(".col[data-col='0'] .hit.sel").get_attribute("data-rank")
    assert (first, second) == ("1", "2")
    keys.press("k")
    assert one.page.locator(".col[data-col='0'] .hit.sel").get_attribute("data-rank") == "1"
    keys.press("n")
    assert one.page.locator(".col[data-col='0'] .hit.sel[data-differs]").count() <= 1
    one.page.wait_for_selector("#bf-pane .pane [data-act=evidence]")
    keys.press("Escape")
    keys.press("2")
    in_second = "document.activeElement.closest('.col')?.dataset.col"
    assert one.page.evaluate(in_second) == "1"
    keys.press("?")
    assert one.page.locator("dialog.help[open]").count() == 1
    keys.press("Escape")
    assert one.page.locator("dialog.help[open]").count() == 0


def test_an_explanation_goes_with_its_passage(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    one.ask(QUERY)
    one.open_first("dif")
    # computed as the page opens, above it, with every sentence tinted by what it gives
    one.page.wait_for_selector("#bf-evidence .tinted span")
    assert "is here" in one.page.inner_text("#bf-evidence h3")
    why = one.page.locator("#bf-evidence").bounding_box()
    assert why["y"] < one.page.locator("#bf-pane .sheet-page").bounding_box()["y"]
    first = one.page.locator("#bf-evidence [data-about]").get_attribute("data-about")
    one.page.keyboard.press("j")
    one.page.keyboard.press("j")
    one.page.wait_for_function(
        "first => { const now = document.querySelector('#bf-pane .pane').dataset.pid,"
        " told = document.querySelector('#bf-evidence [data-about]')?.dataset.about;"
        " return document.querySelector('.hit.sel').dataset.pid === now && told === now"
        " && now !== first && document.querySelector('#bf-evidence .tinted span'); }",
        arg=first,
    )
    assert "busy with something else" not in one.page.inner_text("#bf-evidence")


def test_enter_on_a_selected_hit_opens_the_evidence(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    one.ask(QUERY)
    one.open_first()
    one.hits("dif").first.focus()
    one.page.keyboard.press("Enter")
    one.page.wait_for_selector("#bf-evidence section >> text=its document")
    one.page.click("#bf-evidence section summary")
    assert "check:" in one.page.inner_text("#bf-evidence")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone_the_columns_are_tabs_and_the_page_is_full_width(
    visit: Any, local_url: Any, dark: Any
) -> None:
    one = visit(local_url, width=390, height=844, dark=dark)
    one.ask(QUERY)
    assert not one.overflows()
    assert one.hits("dif").first.is_visible()
    assert not one.hits("aut").first.is_visible()
    one.page.click(".coltabs button.aut")
    assert one.hits("aut").first.is_visible()
    assert not one.hits("dif").first.is_visible()
    one.shot(f"compare-390-{'dark' if dark else 'light'}")
    one.open_first("aut")
    width = one.page.locator("#bf-pane .sheet-page img").bounding_box()["width"]
    assert width >= 360
    assert not one.overflows()
    one.shot(f"page-390-{'dark' if dark else 'light'}")


def test_dark_is_dark_and_stays_so(visit: Any, local_url: Any) -> None:
    one = visit(local_url, dark=True)
    one.ask(QUERY)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert one.page.evaluate(ground) == "rgb(22, 24, 27)"
    one.shot("compare-1440-dark")
    one.view("settings")
    one.page.click('[data-act="theme"]')
    assert one.page.evaluate(ground) == "rgb(252, 251, 249)"
    one.page.reload()
    one.page.wait_for_selector('.nav [data-view="settings"][aria-current="page"]')
    assert one.page.evaluate(ground) == "rgb(252, 251, 249)"


def test_a_permalink_brings_a_saved_comparison_back(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    one.ask(QUERY)
    first = one.hits("dif").first.get_attribute("data-pid")
    one.page.click('#bf-summary [data-act="save"]')
    one.page.wait_for_function("location.search.includes('c=')")
    two = visit(local_url, query="/" + one.page.evaluate("location.search"))
    two.page.wait_for_selector("#bf-columns .hit[data-pid]")
    assert two.hits("dif").first.get_attribute("data-pid") == first
    assert two.page.input_value("#bf-query textarea") == QUERY
    two.page.wait_for_selector("#bf-columns mark", state="attached")  # as when it was asked


def test_a_reload_comes_back_to_the_library_that_was_open(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    kept = "localStorage.getItem('bifocal-library')"
    one.page.wait_for_function(f"!!{kept}")
    before = one.page.evaluate(kept)
    one.library("My documents")
    one.page.wait_for_function(f"{kept} !== {before!r}")
    one.page.reload()
    one.page.wait_for_selector("#bf-blank .blank")
    assert one.page.inner_text("#bf-documents .side-title") == "My documents"


def test_on_a_phone_the_sidebars_tab_lies_on_no_words(visit: Any, local_url: Any) -> None:
    one = visit(local_url, width=390, height=844)
    one.ask(QUERY)
    tab = one.page.locator(".sidebar .toggle-button").first
    one.page.evaluate("window.scrollTo(0, 400)")
    one.page.wait_for_function("document.body.classList.contains('scrolled')")
    assert tab.evaluate("node => getComputedStyle(node).pointerEvents") == "none"
    one.page.evaluate("window.scrollTo(0, 0)")
    one.page.wait_for_function("!document.body.classList.contains('scrolled')")
    assert tab.evaluate("node => getComputedStyle(node).pointerEvents") != "none"


def test_what_applied_settings_come_to_is_in_sight(visit: Any, local_url: Any) -> None:
    one = visit(local_url, height=500)
    one.view("settings")
    one.page.click("#bf-settings > button")
    one.page.click("#bf-apply")
    said = one.page.locator("#bf-progress >> text=They hold from the next question on")
    said.wait_for()
    one.page.wait_for_timeout(900)  # scrolling is smooth
    box = said.bounding_box()
    assert 0 <= box["y"] < 500


@pytest.mark.parametrize(
    ("kind", "name"),
    [("csv", "comparison.csv"), ("trec", "comparison.run"), ("html", "comparison.html")],
)
def test_an_export_is_a_download_made_by_the_browser(
    visit: Any, local_url: Any, kind: Any, name: Any
) -> None:
    one = visit(local_url)
    one.ask(QUERY)
    with one.page.expect_download() as started:
        one.page.click("#bf-summary .take summary")
        one.page.click(f'#bf-summary [data-kind="{kind}"]')
    assert started.value.suggested_filename == name
    assert started.value.url.startswith("blob:")


def test_hostile_files_are_text_on_the_page(visit: Any, local_url: Any, tmp_path: Any) -> None:
    path = tmp_path / "x<img src=x onerror=alert(1)>.txt"
    path.write_text(
        "<script>alert(2)</script> zanzibar {{constructor.constructor('alert(3)')()}} ${alert(4)} "
        "<img src=x onerror=alert(5)> and the rest of zanzibar. " * 5,
        "utf-8",
    )
    one = visit(local_url)
    alerts: list[str] = []

    def refuse(dialog: Any) -> None:
        alerts.append(dialog.message)
        dialog.dismiss()

    one.page.on("dialog", refuse)
    one.page.set_input_files("#bf-drop input[type=file]", str(path))
    one.page.wait_for_selector("#bf-progress .notice")
    one.ask("zanzibar <script>alert(6)</script> {{7*7}}")
    one.open_text = one.page.inner_text("#bf-columns")
    assert "{{constructor.constructor" in one.open_text
    assert "49" not in one.page.inner_text("#bf-summary .summary")
    one.hits("dif").first.click()
    one.page.wait_for_selector("#bf-pane .page-text")
    assert alerts == []
    assert not one.overflows()


def test_a_library_is_made_and_deleted_after_a_question(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    one.page.on("dialog", lambda dialog: dialog.accept())
    one.view("settings")
    one.page.fill("#bf-new textarea, #bf-new input[type=text]", "Tide tables")
    one.page.get_by_text("Create a library").click()
    chosen = "#bf-documents .side-title >> text="
    one.page.wait_for_selector(f"{chosen}Tide tables")
    one.page.wait_for_selector("#bf-blank >> text=This library is empty", state="attached")
    one.page.click("#bf-del")
    one.page.wait_for_selector(f"{chosen}Sample library")
    # the sample cannot be deleted, and says so
    one.page.click("#bf-del")
    one.page.wait_for_selector("text=The sample library stays as it is")


def test_two_visitors_do_not_see_each_other(visit: Any, hosted_url: Any, tmp_path: Any) -> None:
    anna, bert = visit(hosted_url), visit(hosted_url)
    path = tmp_path / "annas-diary.txt"
    path.write_text("Anna wrote about the tide mill and its keeper every single evening. " * 4)
    anna.page.set_input_files("#bf-drop input[type=file]", str(path))
    anna.page.wait_for_selector("#bf-documents >> text=annas-diary.txt")
    for one in (anna, bert):
        one.page.reload()
        one.page.wait_for_selector("#bf-blank .blank")
    keys = [one.page.evaluate("localStorage.getItem('bifocal-visitor')") for one in (anna, bert)]
    assert all(keys)
    assert keys[0] != keys[1]
    bert.library("My documents")
    bert.page.wait_for_selector("#bf-blank >> text=This library is empty")
    assert "annas-diary" not in bert.page.content()
    anna.library("My documents")
    anna.page.wait_for_selector("#bf-documents >> text=annas-diary.txt")


def test_a_reload_in_the_middle_of_indexing_finds_the_job_again(
    visit: Any, local_url: Any, tmp_path: Any
) -> None:
    path = tmp_path / "slow.txt"
    path.write_text("SLOW-FILE is a word that makes the counting encoder wait. " * 10, "utf-8")
    one = visit(local_url)
    one.page.set_input_files("#bf-drop input[type=file]", str(path))
    one.page.wait_for_selector("#bf-progress .step")
    one.page.wait_for_selector("#bf-stop", state="visible")
    one.page.goto(local_url + "/?w=my-documents")
    one.page.wait_for_selector("#bf-progress .step")
    one.page.click("#bf-stop")
    one.page.wait_for_selector("#bf-progress .notice")
    assert one.page.locator("#bf-documents >> text=slow.txt").count() == 1


def test_beside_an_open_sidebar_columns_become_tabs_before_they_are_crushed(
    visit: Any, local_url: Any
) -> None:
    one = visit(local_url, width=800, height=900)
    toggle = one.page.locator(".toggle-button").first
    toggle.click()  # closed at first: there is no room for it
    one.page.wait_for_timeout(900)
    one.ask("why did the ice become quieter in the last winter")
    assert one.page.locator("#bf-columns .col:visible").count() == 1
    one.page.click('#bf-columns .coltabs [data-index="2"]')
    assert one.page.locator('#bf-columns .col[data-col="2"]:visible').count() == 1
    toggle.click()  # the sidebar goes, the columns come
    one.page.wait_for_timeout(900)
    assert one.page.locator("#bf-columns .col:visible").count() == 3
    assert not one.overflows()
    # what opens a hit closes the sidebar: nothing lies over what is read
    toggle.click()
    one.page.wait_for_timeout(900)
    one.page.locator("#bf-columns .hit:visible").first.click()
    one.page.wait_for_selector(".sidebar:not(.open)", state="attached")


def test_files_dropped_anywhere_are_read(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    moved = """() => {
      const data = new DataTransfer();
      data.items.add(new File(["The tide mill turns twice a day. ".repeat(9)], "mill.txt"));
      for (const type of ["dragover", "drop"])
        document.querySelector("#bf-columns").dispatchEvent(
          new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
    }"""
    one.page.evaluate(moved)
    one.page.wait_for_selector("#bf-documents >> text=mill.txt", state="attached")
    assert one.page.inner_text("#bf-documents .side-title") == "My documents"


def test_files_dropped_while_others_are_read_are_read_too(
    visit: Any, local_url: Any, tmp_path: Any
) -> None:
    slow, quick = tmp_path / "slow-mill.txt", tmp_path / "quick-mill.txt"
    slow.write_text("SLOW-ISH makes the counting encoder wait at the mill. " * 9, "utf-8")
    quick.write_text("The second file came while the first was read. " * 9, "utf-8")
    one = visit(local_url)
    one.page.set_input_files("#bf-drop input[type=file]", str(slow))
    one.page.wait_for_selector("#bf-progress .step")
    one.page.set_input_files("#bf-drop input[type=file]", str(quick))
    one.page.wait_for_selector("#bf-documents >> text=quick-mill.txt", state="attached")
    assert one.page.locator("#bf-documents >> text=slow-mill.txt").count() == 1


def test_an_answer_of_a_library_that_has_changed_says_so(
    visit: Any, local_url: Any, tmp_path: Any
) -> None:
    first, second = tmp_path / "weir.txt", tmp_path / "sluice.txt"
    first.write_text("The weir was repaired with alder piles in a dry summer. " * 6, "utf-8")
    second.write_text("The sluice keeper counts the eels at every gate. " * 6, "utf-8")
    one = visit(local_url)
    one.page.set_input_files("#bf-drop input[type=file]", str(first))
    one.page.wait_for_selector("#bf-documents >> text=weir.txt", state="attached")
    one.page.wait_for_selector("#bf-progress .notice")
    one.ask("who counts the eels")
    one.page.press("#bf-query textarea", "Enter")
    assert not one.page.evaluate("document.body.classList.contains('busy')")  # the same again
    one.page.evaluate(
        "document.querySelector('#bf-documents').append('0.1s')"
    )  # the toolkit's clock
    one.page.wait_for_timeout(200)
    assert not one.page.is_visible("#bf-stale")
    one.page.set_input_files("#bf-drop input[type=file]", str(second))
    one.page.wait_for_selector("#bf-stale >> text=has changed since")
    one.page.wait_for_selector("#bf-documents >> text=sluice.txt", state="attached")
    one.page.click("#bf-stale button")
    one.page.wait_for_selector("#bf-columns .hit >> text=counts the eels", state="attached")
    one.page.wait_for_selector("#bf-stale", state="hidden")


def test_a_library_answers_while_it_is_embedded(visit: Any, local_url: Any, tmp_path: Any) -> None:
    path = tmp_path / "tidal.txt"
    path.write_text("SLOW-FILE and the tidal mill at Brannock turns at the ebb. " * 9, "utf-8")
    one = visit(local_url)
    one.view("settings")
    one.page.fill("#bf-new textarea, #bf-new input[type=text]", "Mills")
    one.page.get_by_text("Create a library").click()
    one.page.wait_for_selector('#bf-documents .side-title >> text="Mills"', state="attached")
    one.page.set_input_files("#bf-drop input[type=file]", str(path))
    one.page.wait_for_selector("#bf-documents >> text=tidal.txt", state="attached")
    one.ask("when does the tidal mill turn")
    assert one.hits("lex").count() > 0
    one.shot("embedding-1440-light")
    assert one.hits("dif").count() == 0
    # the encoders join by themselves
    one.page.wait_for_selector("#bf-columns .col.dif .hit[data-pid]", state="attached")
    assert one.hits("aut").count() > 0


def test_a_phone_that_sleeps_in_the_middle_loses_nothing(
    visit: Any, local_url: Any, tmp_path: Any
) -> None:
    path = tmp_path / "ebb.txt"
    path.write_text("SLOW-ISH and then the ebb leaves the mill dry until noon. " * 9, "utf-8")
    one = visit(local_url, width=390, height=844)
    one.page.fill("#bf-query textarea", "why did the ice become quieter in the last winter")
    one.context.set_offline(True)
    one.page.press("#bf-query textarea", "Enter")
    one.page.wait_for_timeout(1500)
    one.context.set_offline(False)
    one.page.wait_for_selector("#bf-columns .hit[data-pid]", state="attached")
    one.page.set_input_files("#bf-drop input[type=file]", str(path))
    one.page.wait_for_selector("#bf-progress .step")
    one.context.set_offline(True)
    one.page.wait_for_timeout(1500)
    one.context.set_offline(False)
    one.page.wait_for_selector("#bf-progress .notice >> text=Read 1 document")
    one.ask("when is the mill dry")


def test_two_tabs_on_one_library_answer_side_by_side(
    visit: Any, local_url: Any, tmp_path: Any
) -> None:
    path = tmp_path / "flood.txt"
    path.write_text("The flood came over the sill at four in the morning. " * 9, "utf-8")
    one, two = visit(local_url), visit(local_url)
    for tab in (one, two):
        tab.library("My documents")
    one.page.set_input_files("#bf-drop input[type=file]", str(path))
    two.ask("why did the water come over the sill")
    one.page.wait_for_selector("#bf-documents >> text=flood.txt", state="attached")
    for tab in (one, two):
        tab.page.fill("#bf-query textarea", "when did the flood come")
        tab.page.press("#bf-query textarea", "Enter")
    for tab in (one, two):
        tab.page.wait_for_selector("#bf-columns .hit >> text=four in the morning", state="attached")
