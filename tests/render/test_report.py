from __future__ import annotations

import re
from dataclasses import replace

from core.comparison.records import Comparison
from core.experiments.context import Context
from core.experiments.fairness import fairness
from core.experiments.leave_out import leave_sentences_out
from core.experiments.rendering import html_report
from core.records import Family, Ranking, ReceivedText
from core.render import plots
from core.render.page import PagePicture
from tests.dom import parse
from tests.experiments.stand_in import KITCHEN, RIVER, WordEncoder, context_of, document, spec_b
from tests.render.compared import compared

PNG = b"\x89PNG\r\n\x1a\n" + b"not much of a picture"
HOSTILE = (
    '"><script>alert(1)</script><img src=x onerror=alert(2)>&lt;b&gt; '
    "javascript:alert(3) </title></style> \u202egnp.exe\x00 =cmd|' /C calc'!A0"
)


def test_a_stranger_finds_what_a_report_needs(comparison: Comparison) -> None:
    page = parse(html_report(comparison))
    for words in (
        "When did the flood reach the gates?",
        "What this is",
        "a diffusion encoder",
        "an autoregressive encoder",
        "plain keyword search (BM25)",
        "What each system put first",
        "Where they part",
        "How far they agree",
        "What each encoder got for the query",
        "How this was computed",
        "not those of the large models",
        *comparison.summary,
    ):
        assert " ".join(words.split()) in page.text
    for passage in comparison.passages:
        if any(s.rank is not None and s.rank <= comparison.k for s in passage.standings):
            assert " ".join(passage.text.split()) in page.text
    assert page.all("svg")
    assert page.all("table")


def test_nothing_leaves_the_file(comparison: Comparison) -> None:
    text = html_report(comparison, pictures={comparison.passages[0].passage_id: PagePicture(PNG)})
    page = parse(text)
    policy = page.one("meta", http_equiv="Content-Security-Policy")
    assert "default-src 'none'" in policy.attributes["content"]
    for node in page.all():
        assert node.tag not in {"script", "link", "iframe", "object", "embed", "form"}
        for name, value in node.attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href"}:
                assert value.startswith(("#", "data:image/png;base64,"))
    assert "url(" not in text
    assert "@import" not in text


def _hostile() -> Comparison:
    doc = document("evil", f"{HOSTILE} gate.\n\n{HOSTILE} flood.\n\nQuiet river.")
    doc = replace(doc, name=HOSTILE)
    spec = spec_b(label=HOSTILE, query_prompt=HOSTILE)
    bench = context_of([doc], (WordEncoder(), WordEncoder(spec)))
    return compared(bench, f"flood {HOSTILE}")


def test_hostile_text_stays_text() -> None:
    found = _hostile()
    found = replace(
        found,
        summary=(HOSTILE,),
        columns=(*found.columns[:2], replace(found.columns[2], failure=HOSTILE)),
    )
    text = html_report(found)
    page = parse(text)
    assert not page.all("script")
    assert not page.all("img")
    assert not [name for node in page.all() for name in node.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text  # shown as it is written
    assert "\u202e" not in text
    assert "\x00" not in text
    text.encode("utf-8")


def test_hostile_evidence_and_panel_stay_text() -> None:
    doc = replace(
        document("evil", f"{HOSTILE}. The flood came.\n\nQuiet river. Gate."), name=HOSTILE
    )
    spec = spec_b(label=HOSTILE, trained_on=HOSTILE, checkpoint=HOSTILE, query_prompt=HOSTILE)
    bench = context_of([doc], (WordEncoder(), WordEncoder(spec)))
    passage_id = bench.corpus.passages[0].passage_id
    evidence = leave_sentences_out(bench, "flood", passage_id)
    panel = fairness(bench, "flood", [passage_id])
    page = parse(html_report(compared(bench, "flood"), evidence=[evidence], fairness=panel))
    assert not page.all("script")
    assert not page.all("img")
    assert "left out in turn" in page.text


def test_only_png_goes_into_the_file(comparison: Comparison) -> None:
    first = comparison.passages[0].passage_id
    with_page = html_report(comparison, pictures={first: PagePicture(PNG)})
    assert with_page.count("data:image/png;base64,") == 1
    svg = html_report(comparison, pictures={first: PagePicture(b"<svg onload=alert(1)>")})
    assert "data:image" not in svg.replace("img-src data:", "")


def test_a_page_shows_where_the_passage_is_in_the_colour_of_every_encoder_that_has_it(
    comparison: Comparison,
) -> None:
    both = next(
        passage
        for passage in comparison.passages
        if sum(s.rank is not None and s.rank <= comparison.k for s in passage.standings) >= 2
    )
    picture = PagePicture(PNG, 600.0, 800.0, ((50.0, 100.0, 550.0, 112.0),))
    tree = parse(html_report(comparison, pictures={both.passage_id: picture}))
    sheet = tree.one(".sheet-page")
    assert sheet.one("svg").attributes["viewbox"] == "0 0 600.0 800.0"
    # one line of text: tinted once, a point wider on every side, with a bar for each encoder
    assert sheet.one("path.region").attributes["d"] == "M49.0 99.0H551.0V113.0H49.0Z"
    kinds = [rect.attributes["class"] for rect in sheet.all("rect.bar")]
    assert kinds == ["bar dif", "bar aut"]
    without = parse(html_report(comparison, pictures={both.passage_id: PagePicture(PNG)}))
    assert not without.all("path.region")


def test_equal_comparisons_give_equal_files(comparison: Comparison) -> None:
    assert html_report(comparison) == html_report(replace(comparison))


def test_pictures_show_every_moved_passage(comparison: Comparison) -> None:
    agreement = comparison.encoders_agreement
    assert agreement is not None
    shared = sum((move.rank_a or 99) <= 3 and (move.rank_b or 99) <= 3 for move in agreement.moves)
    picture = parse(plots.rank_picture(comparison))
    assert len(picture.all("path.link")) == shared
    assert len(picture.all("line.stub.dif")) == len(picture.all("line.stub.aut")) == 3 - shared
    plot = parse(plots.score_plot(comparison, interactive=False))
    large = [point for point in plot.all("g.pt") if not point.all("circle.lex-dot")]
    assert len(large) >= len(agreement.moves)
    assert all(point.all("title") for point in large)  # no script: the browser's own tips


def test_a_failed_encoder_says_so_in_its_place_and_nothing_breaks(comparison: Comparison) -> None:
    broken = replace(
        comparison.columns[1],
        ranking=Ranking("q", comparison.encoder_b, ()),
        failure="Words B ran out of memory.",
        background=None,
        received=None,
        seconds=None,
    )
    found = replace(
        comparison,
        columns=(comparison.columns[0], broken, comparison.columns[2]),
        agreements=(),
        cloud=(),
    )
    page = parse(html_report(found))
    assert "Words B ran out of memory." in page.text
    assert "Where they part" not in page.text


def test_a_query_that_was_cut_is_a_flag(comparison: Comparison) -> None:
    cut = replace(comparison.columns[0], received=ReceivedText("flood", 600, 512))
    found = replace(comparison, columns=(cut, *comparison.columns[1:]), equal_limits=False)
    page = parse(html_report(found))
    assert "Before you believe a difference" in page.text
    assert "read 512 of the query's 600 tokens" in page.text
    assert "ran at different token limits" in page.text


def test_encoders_of_one_family_still_have_two_colours(bench: Context) -> None:
    twin = context_of(
        [RIVER, KITCHEN], (WordEncoder(), WordEncoder(spec_b(family=Family.DIFFUSION)))
    )
    systems = parse(html_report(compared(twin, "flood"))).one("ul.systems")
    assert [one.text for one in systems.all("span.dif")] == ["Words A"]
    assert [one.text for one in systems.all("span.aut")] == ["Words B"]


def test_unplaced_scores_leave_the_plot_out(comparison: Comparison) -> None:
    bare = replace(
        comparison,
        passages=tuple(
            replace(
                passage,
                standings=tuple(replace(s, z=None, percentile=None) for s in passage.standings),
            )
            for passage in comparison.passages
        ),
        cloud=(),
    )
    assert not parse(plots.score_plot(bare)).all("svg")
    parse(html_report(bare))


def test_a_long_query_is_shown_whole_and_small(bench: Context) -> None:
    query = "When did the flood reach the gates? " * 30
    page = parse(html_report(compared(bench, query)))
    assert page.one(".query.long").text == " ".join(query.split())


def test_a_percentile_just_below_the_top_is_not_rounded_up_to_it(comparison: Comparison) -> None:
    near = replace(
        comparison,
        passages=tuple(
            replace(p, standings=tuple(replace(s, z=3.0, percentile=99.97) for s in p.standings))
            for p in comparison.passages
        ),
    )
    text = parse(html_report(near)).text
    assert "99.9th" in text
    assert "100.0" not in text


def test_only_bm25_is_said_to_have_met_no_word(comparison: Comparison) -> None:
    empty = [
        replace(column, ranking=replace(column.ranking, hits=())) for column in comparison.columns
    ]
    text = parse(html_report(replace(comparison, columns=tuple(empty)))).text
    assert text.count("no passage has a word of the query") == 1
    assert text.count("It returned nothing.") == 2


def test_every_hit_of_a_deep_report_leads_to_its_passage() -> None:
    stories = ["Flood came."] * 60 + [
        "Cake came."
    ] * 60  # one encoder hears of floods, one does not
    text = "\n\n".join(f"{story} Number {number}." for number, story in enumerate(stories))
    words = (WordEncoder(), WordEncoder(spec_b(), deaf_to=frozenset({"flood"})))
    deep = context_of([document("long.pdf", text)], words)
    html = html_report(compared(deep, "flood cake", k=50))
    wanted = set(re.findall(r'href="#(p\d+)"', html))
    assert len(wanted) > 50
    assert wanted <= set(re.findall(r'<article id="(p\d+)"', html))
