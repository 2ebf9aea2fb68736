from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from core.comparison.records import Comparison
from core.experiments.rendering import about
from core.records import ReceivedText
from core.render import Html, page, plain
from core.render.page import PNG, DrawnPassage
from core.render.strips import strip
from tests.dom import parse
from tests.experiments.stand_in import KITCHEN, RIVER
from tests.render.test_cards import HOSTILE

LINE = [(10.0, 20.0, 110.0, 32.0)]


def test_two_encoders_have_two_bars_and_two_shapes_over_one_tint() -> None:
    both = DrawnPassage("both", LINE, [("dif", 2), ("aut", 7)], selected=True, marked=LINE)
    other = DrawnPassage("other", [(10.0, 200.0, 110.0, 212.0)], [("aut", 1)])
    html = page.page_image(PNG, (612.0, 792.0), [other, both], label="Page 3")
    first, second = parse(html).all("g.drawn")
    # another passage can be clicked; the chosen one is drawn last, on top
    assert first.attributes["data-pid"] == "other"
    assert "data-act" not in second.attributes
    assert [bar.attributes["class"] for bar in second.all("rect.bar")] == ["bar dif", "bar aut"]
    assert len(second.all("path.region.both")) == len(second.all("path.marked")) == 1
    circle, square = second.all("g.flag")
    assert (circle.all("circle.flag-dif") != [], circle.text) == (True, "2")
    assert (square.all("rect.flag-aut") != [], square.text) == (True, "7")


def test_grey_is_left_out_where_there_is_a_colour() -> None:
    assert DrawnPassage("p", LINE, [("dif", 1), ("lex", 1)]).kinds == ["dif"]
    assert DrawnPassage("p", LINE, [("lex", 1)]).kinds == ["lex"]
    assert DrawnPassage("p", LINE, []).kinds == ["lex"]


def test_nothing_but_png_is_shown_as_a_picture() -> None:
    assert page.page_image(b"<svg onload=alert(1)>", (1.0, 1.0), [], label="") == ""


def test_a_hit_opens_on_the_page_of_its_best_sentence(comparison: Comparison) -> None:
    passage = comparison.passages[0]
    document = next(one for one in (RIVER, KITCHEN) if one.doc_id == passage.doc_id)
    first = document.pages[passage.page_first - 1]
    # a passage whose first ten characters are on the page before
    split = passage.start + 10
    before = dataclasses.replace(first, page_number=1, end=split)
    after = dataclasses.replace(first, page_number=2, start=split)
    document = dataclasses.replace(document, pages=(before, after))
    passage = dataclasses.replace(passage, page_first=1, page_last=2)
    assert page.page_of_best(document, passage, (12, 20)) == 2
    assert page.page_of_best(document, passage, (2, 8)) == 1
    assert page.page_of_best(document, passage, None) == 1


def test_the_pane_has_places_text_and_what_was_received(comparison: Comparison) -> None:
    passage = comparison.passages[0]
    got = {comparison.encoder_a: ReceivedText("passage: oak", 9, 7)}
    tree = parse(
        page.pane(
            comparison, passage, page_number=1, pages=3, picture=Html(""), best=(0, 4), received=got
        )
    )
    assert tree.one("mark").text == passage.text[:4].strip()
    assert f"rank {passage.standings[0].rank}" in tree.one(".standing").text
    assert "9 tokens \u00b7 7 kept \u00b7 2 dropped" in tree.text
    previous, following = tree.one(".turn").all("button")
    assert ("disabled" in previous.attributes, "disabled" in following.attributes) == (True, False)


def test_hostile_text_stays_text(comparison: Comparison) -> None:
    passage = dataclasses.replace(
        comparison.passages[0], passage_id=HOSTILE, document=HOSTILE, text=HOSTILE
    )
    got = {comparison.encoder_a: ReceivedText(HOSTILE, 9, 7)}
    for html in (
        page.pane(
            comparison, passage, page_number=1, pages=3, picture=Html(""), best=(0, 4), received=got,
            notice=HOSTILE,
        ),
        page.problem(HOSTILE),
        about(passage),
        page.page_image(PNG, (9.0, 9.0), [DrawnPassage(HOSTILE, LINE, [])], label=HOSTILE),
        strip(HOSTILE, [(0, 3, "t", 0.5), (3, 9, "t", float("nan"))], kind="dif", unit=HOSTILE),
    ):  # fmt: skip
        assert not parse(html).all("script")
        assert "{{" not in html
        assert "\u202e" not in html


@given(
    st.text(max_size=60),
    st.lists(st.tuples(st.integers(-3, 60), st.integers(-3, 60), st.floats(-1, 1))),
)
def test_a_strip_shows_its_whole_text_once(text: str, places: list[tuple[int, int, float]]) -> None:
    entries = [(start, end, "", value) for start, end, value in places if start >= 0]
    tree = parse(strip(text, entries, kind="dif", unit="x"))
    assert "".join(tree.text.split()) == "".join(plain(text).split())


def test_colour_grows_with_the_square_root_of_the_largest() -> None:
    tree = parse(strip("ab", [(0, 1, "a", 0.25), (1, 2, "b", -1.0)], kind="dif", unit="x"))
    a, b = tree.all("span.tok")
    assert a.attributes["style"] == "--c:0.500"
    assert (b.attributes["style"], "neg" in b.attributes["class"]) == ("--c:1.000", True)
