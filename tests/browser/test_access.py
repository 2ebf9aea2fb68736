"""Everything can be reached by key and read by a screen reader, on every view, light and dark."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

QUERY = "why did the ice become quieter in the last winter"
VIEWS = ("compare", "disagree", "laboratory", "judge", "benchmarks", "paper", "settings")
PARTS = ("#bf-settings", "#bf-encoders", "#bf-runs-box", "#bf-saved-box")
VIOLATIONS = """async () => (await axe.run(document)).violations.map(
  (one) => [one.id, ...one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160))])"""
FOCUSED = """() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const box = node.getBoundingClientRect();
  const inside = (at, most) => Math.min(Math.max(at, 1), most - 1);
  const top = document.elementFromPoint(
    inside(box.left + box.width / 2, innerWidth), inside(box.top + box.height / 2, innerHeight));
  const label = node.closest("label");
  const same = top && (node === top || node.contains(top) || top.contains(node)
    || (label && label.contains(top)));
  const open = [...document.querySelectorAll("ul[role=listbox]")].filter(
    (list) => list.checkVisibility() && !list.closest(".block").contains(node)).length;
  return {
    is: node.outerHTML.slice(0, 120), same: Boolean(same), open,
    seen: node.checkVisibility({ visibilityProperty: true, opacityProperty: true }),
    inside: box.left >= 0 && box.right <= innerWidth,
  };
}"""

pytestmark = pytest.mark.filterwarnings("ignore")


def unfold(page: Any, view: str) -> None:
    if view == "settings":
        for part in PARTS:
            page.evaluate("part => document.querySelector(part + ' > button').click()", part)
    page.evaluate(
        "() => document.querySelectorAll('details').forEach((one) => { one.open = true; })"
    )
    page.wait_for_timeout(700)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_on_any_view(visit: Any, local_url: Any, dark: Any) -> None:
    script = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    one = visit(local_url, width=1280, dark=dark)
    one.page.evaluate(script)
    assert one.page.evaluate(VIOLATIONS) == []
    one.ask(QUERY)
    one.open_first()
    one.page.wait_for_selector("#bf-evidence .tinted span")
    assert one.page.evaluate(VIOLATIONS) == []
    one.page.keyboard.press("Escape")
    for view in VIEWS:
        one.view(view)
        if view == "disagree":
            one.page.click("#bf-disagree-run")
            one.page.wait_for_selector(".walk .item")
        unfold(one.page, view)
        assert one.page.evaluate(VIOLATIONS) == [], view


def test_tab_reaches_everything_and_nothing_covers_it(visit: Any, local_url: Any) -> None:
    one = visit(local_url, width=1280)
    for view in VIEWS:
        one.view(view)
        one.page.wait_for_timeout(400)
        if view == "settings":
            unfold(one.page, view)
        for key in ("Tab", "Shift+Tab"):
            before: Any = None
            now: Any = None
            for step in range(120):
                one.page.keyboard.press(key)
                now = one.page.evaluate(FOCUSED)
                if now and (now["open"] or not now["same"]):
                    one.page.wait_for_timeout(300)  # a list that is being left fades
                    now = one.page.evaluate(FOCUSED)
                if now is None and step > 3:
                    break  # out of the page, into the browser
                if now is not None:
                    kept = (now["seen"], now["same"], now["inside"], now["open"])
                    assert kept == (True, True, True, 0), (view, key, now)
                before = now
            assert now is None or now != before, (view, key, "trapped", now)
    # a list of choices: open by its field, closed by Escape
    one.view("paper")
    one.page.focus("#bf-paper-baseline input")
    one.page.wait_for_selector("#bf-paper-baseline ul[role=listbox]")
    one.page.keyboard.press("Escape")
    one.page.wait_for_selector("#bf-paper-baseline ul[role=listbox]", state="detached")
