"""The map in a browser: one lasso for both pictures, the list, the page of a passage."""

from __future__ import annotations

import json
import random
from importlib.resources import files
from typing import Any

import pytest

from core.experiments.context import SystemName
from core.experiments.map import LibraryMap, MapDocument, MapPoint, MapSide, show
from tests.browser.test_access import VIOLATIONS

QUERY = "why did the ice become quieter in the last winter"
# How many pixels of a picture have each of its colours, the faint one of what is not chosen last.
COLOURS = """(canvas) => {
  const style = getComputedStyle(canvas), pixels = new Map();
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) {
    const colour = "#" + [0, 1, 2].map((i) => data[at + i].toString(16).padStart(2, "0")).join("");
    pixels.set(colour, (pixels.get(colour) || 0) + 1);
  }
  return [0, 1, 2, 3, 4, 5, "faint"].map(
    (name) => pixels.get(style.getPropertyValue(`--doc-${name}`).trim()) || 0);
}"""

# The page around the map, and how long each of its frames is worked on.
AROUND = """() => {
  window.frames_ms = [];
  const next = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (draw) => next((now) => {
    const start = performance.now(); draw(now); window.frames_ms.push(performance.now() - start); });
}"""
START = """() => { window.sent = []; window.bifocalMap(document.querySelector(".map"), {
  send: (...all) => window.sent.push(all), select() {}, placeTip() {}, tip: document.createElement("p") }); }"""

pytestmark = pytest.mark.filterwarnings("ignore")


def opened(visit: Any, url: Any, **options: Any) -> Any:
    one = visit(url, **options)
    one.view("laboratory")
    one.page.get_by_role("tab", name="Map").click()
    one.page.fill("#bf-lab-query textarea, #bf-lab-query input", QUERY)
    one.page.click("#bf-map-run")
    one.page.wait_for_selector("svg.over path.query", state="attached")
    return one


def drag(one: Any, side: int, *places: tuple[float, float]) -> None:
    """Draw with the mouse through places of a picture, in shares of its size."""
    box = one.page.locator(".map canvas").nth(side).bounding_box()
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    one.page.mouse.move(*spots[0])
    one.page.mouse.down()
    for spot in spots[1:]:
        one.page.mouse.move(*spot, steps=3)
    one.page.mouse.up()


def colours(one: Any, side: int) -> Any:
    return one.page.locator(".map canvas").nth(side).evaluate(COLOURS)


def test_one_lasso_chooses_in_both_pictures_and_a_click_opens_the_page(
    visit: Any, local_url: Any
) -> None:
    one = opened(visit, local_url)
    one.page.locator(".map canvas").first.scroll_into_view_if_needed()
    whole = [colours(one, side) for side in (0, 1)]
    assert all(sum(each[:6]) > 500 and each[6] == 0 for each in whole)
    # hits are numbered in both, twenty passages have lines, and the same ones stand in a table
    assert one.page.locator("svg.over text.rank").count() == 20
    assert one.page.locator("svg.over line.join").count() == 20
    assert one.page.locator(".map .listed table").first.locator("tbody tr").count() == 20
    one.shot("map-1440-light")

    drag(one, 0, (0.02, 0.02), (0.5, 0.02), (0.5, 0.98), (0.02, 0.98))
    one.page.wait_for_selector(".map .listed >> text=Chosen")
    said = one.page.inner_text(".map .said")
    assert "passages chosen" in said
    rows = one.page.locator(".map .listed tbody tr")
    listed = rows.evaluate_all("rows => rows.map((row) => +row.dataset.at)")
    assert listed == sorted(listed)
    assert len(listed) == 20
    # the rest is faint in both pictures; lines start at what was chosen
    for side in (0, 1):
        assert colours(one, side)[6] > 50
        assert 50 < sum(colours(one, side)[:6]) < sum(whole[side][:6])
    assert one.page.locator("svg.over line.join").count() == 20
    one.shot("map-1440-lasso")

    rows.first.locator("button.passage").click()
    one.page.wait_for_selector("#bf-pane .pane")
    pid = rows.first.locator("button.passage").get_attribute("data-pid")
    assert one.page.get_attribute("#bf-pane .pane", "data-pid") == pid
    one.page.keyboard.press("Escape")

    # nothing around nothing: all passages again; one document by its name in the legend
    one.page.click('.map [data-do="none"]')
    assert colours(one, 0)[6] == 0
    one.page.click('.map [data-doc="1"]')
    one.page.wait_for_selector('.map [data-doc="1"][aria-pressed="true"]')
    assert colours(one, 1)[2] > 0
    assert colours(one, 1)[1] == 0
    one.page.wait_for_selector(".map .listed >> text=Chosen")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_and_a_phone_shows_the_pictures_one_below_the_other(
    visit: Any, local_url: Any, dark: Any
) -> None:
    one = opened(visit, local_url, width=390, height=844, dark=dark)
    first, second = (one.page.locator(".map canvas").nth(side).bounding_box() for side in (0, 1))
    assert second["y"] > first["y"] + first["height"]
    assert first["x"] == second["x"]
    assert not one.overflows()
    one.page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    assert one.page.evaluate(VIOLATIONS) == []
    one.shot(f"map-390-{'dark' if dark else 'light'}")


def test_pictures_come_nearer_and_move_and_an_address_brings_them_back(
    visit: Any, local_url: Any
) -> None:
    one = opened(visit, local_url)
    one.page.locator(".map canvas").first.scroll_into_view_if_needed()
    before = colours(one, 0)
    one.page.click('.map [data-do="in"]')
    one.page.click('.map [data-do="in"]')
    one.page.wait_for_timeout(100)
    near = colours(one, 0)
    assert near != before
    one.page.click('.map [data-do="lasso"]')
    drag(one, 0, (0.2, 0.2), (0.6, 0.6))
    assert one.page.inner_text(".map .said") == ""
    one.page.wait_for_timeout(100)
    assert colours(one, 0) != near
    one.page.click('.map [data-do="all"]')
    one.page.wait_for_timeout(100)
    assert colours(one, 0) == before
    one.page.wait_for_url("**x=Map&i=**")
    again = one
    for _ in range(2):  # at once now, and still there when the page has settled
        again = visit(local_url, query=one.page.url.removeprefix(local_url))
        again.page.wait_for_selector("svg.over path.query", state="attached")
    again.page.wait_for_timeout(1500)
    assert again.page.locator("svg.over path.query").count() == 2


def many(count: int) -> LibraryMap:
    """Points all over the square, five hundred to a document."""
    place = random.Random(0).random
    sides = [
        MapSide(SystemName(family, family, family), 256, 0.1, 0.1, None)
        for family in ("diffusion", "autoregressive")
    ]
    points = tuple(
        MapPoint(
            f"d{row // 500}:{row * 100:08d}-{row * 100 + 90:08d}",
            row // 500,
            1,
            (place(), place()),
            (place(), place()),
            row * 11 // count,
        )
        for row in range(count)
    )
    documents = tuple(MapDocument(f"d{n}", f"{n}.pdf", 500) for n in range(count // 500))
    return LibraryMap("pca", 10, "", sides[0], sides[1], documents, points, count, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1, 2])
def test_a_hundred_thousand_points_stay_fluid(browser: Any, ratio: Any) -> None:
    style = files("assets").joinpath("style")
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, device_scale_factor=ratio
    )
    page = context.new_page()
    sheet = style.joinpath("bifocal.css").read_text("utf-8")
    page.set_content(f"<style>{sheet}</style>{show(many(100_000))}")
    page.evaluate(AROUND)
    page.add_script_tag(content=style.joinpath("map.js").read_text("utf-8"))
    page.evaluate(START)
    one = type("Shown", (), {"page": page})
    spent = {}
    steps = [(0.2 + 0.6 * step / 40, 0.2 + 0.6 * (step % 20) / 20) for step in range(40)]
    for name, button in (("lasso", "all"), ("pan", "lasso")):
        page.click(f'[data-do="{button}"]')
        if name == "pan":
            page.click('[data-do="in"]')
        page.wait_for_timeout(500)
        page.evaluate("window.frames_ms.length = 0")
        drag(one, 0, *steps)
        spent[name] = sorted(page.evaluate("window.frames_ms"))
    print({name: (len(ms), ms[len(ms) // 2], ms[-1]) for name, ms in spent.items()})  # noqa: T201
    assert spent["lasso"][len(spent["lasso"]) // 2] < 10
    assert spent["pan"][len(spent["pan"]) // 2] < 50  # 4 to 8 on a core of its own
    # what was drawn around is known at once, and twenty ids are asked for
    assert "passages chosen; 20 with" in page.inner_text(".said")
    (name, asked), *_ = page.evaluate("window.sent")
    assert name == "chosen"
    assert len(asked["ids"].split()) == 20
    assert json.loads(asked["i"])["method"] == "pca"
    context.close()
