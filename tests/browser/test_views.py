"""The other views, by mouse and keys, and every verb over the wire, on the sample library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.demo.wire import ApiError, call

QUERY = "why did the ice become quieter in the last winter"

pytestmark = pytest.mark.filterwarnings("ignore")


def go(one: Any, view: str) -> None:
    one.page.click(f'.nav [data-view="{view}"]')
    one.page.wait_for_selector(f'.nav [data-view="{view}"][aria-current="page"]')


def test_a_disagreement_opens_side_by_side(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    go(one, "disagree")
    one.page.click("#bf-disagree-run")
    one.page.wait_for_selector(".walk .item")
    # the verdict first, then the list; nothing to filter was there before
    assert one.page.inner_text("#bf-verdict .lead")
    assert one.page.locator("#bf-verdict svg.forest").count() == 1
    one.page.keyboard.press("Escape")
    one.page.keyboard.press("j")
    one.page.wait_for_selector(".walk .item.now")
    assert not one.overflows()
    one.shot("disagree-1440-light")
    one.page.keyboard.press("Enter")
    one.page.wait_for_selector("#bf-columns .hit[data-pid]")
    assert one.page.locator('.nav [data-view="compare"][aria-current="page"]').count() == 1
    first = one.page.input_value("#bf-query textarea")
    assert first
    # the next one is a key away, without going back to the list
    one.page.wait_for_selector("#bf-walk >> text=disagreement 1 of")
    one.page.keyboard.press("]")
    one.page.wait_for_selector("#bf-walk >> text=disagreement 2 of")
    assert one.page.input_value("#bf-query textarea") != first
    # beside it, where the query came from and who found that passage
    assert "the passage it came from" in one.page.inner_text("#bf-walk .from")
    one.page.keyboard.press("[")
    one.page.wait_for_selector("#bf-walk >> text=disagreement 1 of")
    one.ask(QUERY)
    assert one.page.locator("#bf-walk").count() == 0


def test_from_the_verdict_to_the_fairness_panel_although_it_was_never_open(
    visit: Any, local_url: Any
) -> None:
    one = visit(local_url)
    go(one, "disagree")
    one.page.click("#bf-disagree-run")
    one.page.click('#bf-verdict [data-tab="Fairness"]')
    one.page.click("#bf-fairness-run")
    one.page.wait_for_selector("#bf-fairness table.accounts")


def test_the_laboratory_begins_with_the_selected_hit(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    one.ask(QUERY)
    one.open_first("aut")
    one.page.click('#bf-pane [data-view="laboratory"]')
    one.page.wait_for_function(
        "q => document.querySelector('#bf-lab-query textarea, #bf-lab-query input')?.value === q",
        arg=QUERY,
    )
    one.page.click("#bf-last-sentence-run")
    one.page.wait_for_selector("#bf-last-sentence .strip.dif")
    assert "exactly 0 on all" in one.page.inner_text("#bf-last-sentence .wave.down")
    for tab, name, found in (
        ("Attention", "attention", "table"),
        ("Growing text", "growing", "svg"),
        ("Hidden key", "hidden-key", "svg.heat"),
        ("Fairness", "fairness", "table.accounts"),
    ):
        one.page.get_by_role("tab", name=tab).click()
        one.page.click(f"#bf-{name}-run")
        one.page.wait_for_selector(f"#bf-{name} {found}")
    assert not one.overflows()
    one.shot("fairness-1440-light")


def test_one_click_runs_both_at_equal_limits_and_the_comparison_records_it(
    visit: Any, unequal_url: Any
) -> None:
    one = visit(unequal_url)
    one.view("settings")
    one.page.click("#bf-settings > button")
    one.page.get_by_label("Let each encoder read to its own limit").check()
    one.page.get_by_role("button", name="Apply").click()
    for _ in range(120):
        if call(unequal_url, "settings", "sample", "")["own_limits"]:
            break
        one.page.wait_for_timeout(250)
    one.view("compare")
    one.ask(QUERY)
    one.page.wait_for_selector("#bf-summary >> text=unequal token limits")
    assert exported(one)["equal_limits"] is False
    go(one, "laboratory")
    one.page.get_by_role("tab", name="Fairness").click()
    one.page.click("#bf-fairness-run")
    # the flag in words, with the share of passages that only one encoder lost
    one.page.wait_for_selector("#bf-fairness .notice.warn >> text=cut on")
    one.page.click("#bf-fairness [data-act=equal]")
    one.page.wait_for_selector('.nav [data-view="compare"][aria-current="page"]')
    one.page.wait_for_selector("#bf-summary >> text=/^equal token limits/")
    found = exported(one)
    assert found["equal_limits"] is True
    assert len({c["max_tokens"] for c in found["columns"] if c["max_tokens"]}) == 1


def exported(one: Any) -> Any:
    with one.page.expect_download() as started:
        one.page.click("#bf-summary .take summary")
        one.page.click("#bf-summary [data-kind=json]")
    return json.loads(Path(started.value.path()).read_text("utf-8"))


def test_judging_by_keys_and_what_the_judgments_say(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    one.ask(QUERY)
    go(one, "judge")
    one.page.wait_for_function(
        "q => document.querySelector('#bf-judge-query textarea, #bf-judge-query input').value === q",
        arg=QUERY,
    )
    one.page.click("#bf-judge-start")
    one.page.wait_for_selector("#bf-judge-card >> text=1 of ")
    one.page.keyboard.press("3")
    one.page.wait_for_selector("#bf-judge-card >> text=2 of ")
    one.page.keyboard.press("0")
    one.page.wait_for_selector("#bf-judge-card >> text=3 of ")
    one.page.click("#bf-judge-measure")
    one.page.wait_for_selector("#bf-judge-report table")
    with one.page.expect_download() as started:
        one.page.click("#bf-judge-qrels")
    assert started.value.suggested_filename == "judgments.qrels"


def test_two_kept_runs_are_compared(visit: Any, hosted_url: Any) -> None:
    one = visit(hosted_url)
    go(one, "benchmarks")
    one.page.wait_for_selector("#bf-kept >> text=No evaluation is kept yet")
    go(one, "judge")
    one.page.fill("#bf-judge-query textarea, #bf-judge-query input", QUERY)
    one.page.click("#bf-judge-start")
    for number in (1, 2):
        one.page.wait_for_selector(f"#bf-judge-card >> text={number} of ")
        one.page.keyboard.press("3")
        one.page.wait_for_selector(f"#bf-judge-card >> text={number + 1} of ")
        one.page.click("#bf-judge-measure")
        one.page.wait_for_selector(f"#bf-judge-report >> text=/Kept as judged-.*-{number}\\./")
    go(one, "benchmarks")
    one.page.wait_for_selector("#bf-kept-compared >> text=The judgments differ")
    assert one.page.locator("#bf-kept-compared tr:has-text('nDCG')").count() == 0
    assert "second minus first" in one.page.inner_text("#bf-kept-compared").lower()
    one.page.locator("#bf-kept").scroll_into_view_if_needed()
    one.shot("kept-runs")
    one.page.click("#bf-kept-first input")
    one.page.get_by_role("option", name="-2 (1 query)").click()
    one.page.wait_for_selector("#bf-kept-compared >> text=Nothing differs between")
    assert not one.overflows()


def test_the_papers_baseline_can_be_chosen(visit: Any, local_url: Any) -> None:
    one = visit(local_url)
    go(one, "paper")
    one.page.wait_for_selector("#bf-paper >> text=DiffEmbed minus Mistral+LLM2Vec")
    one.page.click("#bf-paper-baseline input")
    one.page.get_by_role("option", name="Llama3+LLM2Vec").click()
    one.page.wait_for_selector("#bf-paper >> text=DiffEmbed minus Llama3+LLM2Vec")
    # its row is marked and still a row of the table
    row = one.page.locator("#bf-paper tr.chosen").bounding_box()
    assert row["height"] < 60
    one.page.get_by_label("FollowIR").click()
    one.page.wait_for_selector("#bf-paper >> text=FollowIR")
    go(one, "benchmarks")
    one.page.wait_for_selector("#bf-benchmarks h2")
    # official tasks stand above what Bifocal measured itself, and how to get them is a line
    titles = one.page.locator(".tabitem:visible h2").all_inner_texts()
    assert titles == ["Official benchmarks", "Measured by Bifocal", "Kept runs"]
    assert "python -m core benchmark" in one.page.inner_text("#bf-official code")


def test_every_view_fits_a_phone(visit: Any, local_url: Any) -> None:
    one = visit(local_url, width=390, height=844)
    for view in ("disagree", "laboratory", "judge", "benchmarks", "paper", "settings", "compare"):
        one.view(view)
        one.page.wait_for_timeout(300)
        assert not one.overflows(), view
    # all experiments stay in sight, none in a menu
    one.page.evaluate("() => window.bifocal.view('laboratory')")
    one.page.wait_for_selector("#bf-lab-tabs [role=tab]")
    assert one.page.locator("#bf-lab-tabs [role=tab]:visible").count() == 6
    # the sidebar opens whole, and what closes it is in reach
    one.page.locator(".toggle-button").first.click()
    one.page.wait_for_timeout(900)
    side = one.page.locator(".sidebar.open").bounding_box()
    assert side["x"] == 0
    closer = one.page.locator(".toggle-button").first.bounding_box()
    assert closer["x"] + closer["width"] <= 390
    assert one.page.locator('.nav [data-view="paper"]').bounding_box()["x"] > 0


# -- over the wire -------------------------------------------------------------------------


def test_search_explain_and_the_probes(local_url: str) -> None:
    hits = call(local_url, "search", QUERY, "bm25", 5, "sample", "")
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4, 5]
    passage = hits[0]["passage_id"]
    found = call(local_url, "explain", QUERY, passage, "sample", "")
    assert len(found["a"]["effects"]) == len(found["b"]["effects"]) == len(found["parts"])
    edit = call(local_url, "edit_last_sentence", passage, "It rained.", "sample", "")
    assert edit["b"]["unmoved"] is True
    switch = call(local_url, "attention_switch", QUERY, passage, "sample", "")
    assert {outcome["mode"] for outcome in switch["a"]["outcomes"]} >= {"full", "causal"}
    grown = call(local_url, "growing_text", QUERY, passage, "after", "sample", "")
    assert grown["points_a"][0]["rank"] >= 1
    with pytest.raises(ApiError, match="both, before, after"):
        call(local_url, "growing_text", QUERY, passage, "sideways", "sample", "")


def test_library_page_settings_and_fairness(local_url: str) -> None:
    documents = call(local_url, "documents", "sample", "")
    doc_id = documents[0]["doc_id"]
    page = call(local_url, "page_image", doc_id, 1, 300, "sample", "")
    assert page["media_type"] == "image/png"
    assert page["base64"].startswith("iVBOR")
    assert call(local_url, "settings", "sample", "")["k"] == 10
    assert call(local_url, "received", "ice", "sample", "")["count-dif"]["text"] == "query: ice"
    report = call(local_url, "fairness", "ice", "sample", "")
    assert report["stats_a"]["passages"] == report["stats_b"]["passages"]
    key = call(local_url, "hidden_key", doc_id, 256, 2, "sample", "")
    assert key["copies"] == 2
    with pytest.raises(ApiError, match="sample library stays"):
        call(local_url, "remove_document", doc_id, "sample", "")
    with pytest.raises(ApiError, match="sample library stays"):
        call(local_url, "delete_library", "sample", "")


def test_disagree_judge_and_export(local_url: str) -> None:
    report = call(local_url, "disagree", 50, 5, "sample", "")
    assert len(report["findings"]) <= 5
    gaps = [finding["disagreement"] for finding in report["findings"]]
    assert gaps == sorted(gaps, reverse=True)
    hits = call(local_url, "search", "cold season", "", 5, "sample", "")
    assert call(local_url, "judge", "cold season", hits[0]["passage_id"], 3, "sample", "") is True
    grades = call(local_url, "judgments", "sample", "")
    assert grades["cold season"][hits[0]["passage_id"]] == 3
    assert call(local_url, "judged_report", "sample", "")["words"]
    run = call(local_url, "export", "cold season", "trec", 5, "sample", "")
    assert all(len(line.split()) == 6 for line in run.splitlines())
    saved = call(local_url, "saved", "sample", "")
    assert isinstance(saved, list)
    with pytest.raises(ApiError, match="no system"):
        call(local_url, "search", "cold season", "nonsense", 5, "sample", "")
    with pytest.raises(ApiError):
        call(local_url, "saved_comparison", "nonsense", "sample", "")
