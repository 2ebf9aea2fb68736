from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.comparison.calibration import Background
from core.comparison.compare import CorpusScores, SystemResult, compare
from core.comparison.records import Comparison
from core.encoders.spec import TextKind
from core.experiments.context import Context
from core.experiments.fairness import fairness
from core.experiments.leave_out import leave_sentences_out
from core.laboratory.report import PagePicture, escape, html_report, rank_picture, score_plot
from core.records import Family, Query, Ranking, ReceivedText, SystemInfo
from core.search.order import best_positions, make_ranking
from tests.experiments.stand_in import KITCHEN, RIVER, WordEncoder, context_of, document, spec_b

PNG = b"\x89PNG\r\n\x1a\n" + b"not much of a picture"
HOSTILE = (
    '"><script>alert(1)</script><img src=x onerror=alert(2)>&lt;b&gt; '
    "javascript:alert(3) </title></style> \u202egnp.exe\x00 =cmd|' /C calc'!A0"
)
VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Collects tags, attributes and text; checks that elements close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(  # type: ignore[explicit-override]
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:  # type: ignore[explicit-override]
        if tag not in VOID and self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in VOID and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            raise AssertionError(f"</{tag}> closes {self.open[-3:]}")

    def handle_data(self, data: str) -> None:  # type: ignore[explicit-override]
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def _comparison(bench: Context, query: str, *, k: int = 3) -> Comparison:
    ids = [passage.passage_id for passage in bench.corpus.passages]
    systems = []
    backgrounds = {}
    for arm in bench.encoders:
        scores = arm.vectors @ arm.encoder.encode([query], kind=TextKind.QUERY)[0]
        positions = best_positions(scores, k=50)
        (received,) = arm.encoder.received([query], kind=TextKind.QUERY)
        systems.append(
            SystemResult(
                info=SystemInfo(arm.system_id, arm.family, arm.label),
                ranking=make_ranking(ids, scores, positions, query_id="q", system_id=arm.system_id),
                scores=CorpusScores(ids, scores),
                fingerprint=arm.encoder.fingerprint,
                max_tokens=arm.encoder.spec.max_tokens,
                received=received,
                seconds=0.012,
            )
        )
        backgrounds[arm.system_id] = Background.from_scores(np.linspace(-0.2, 0.4, 200))
    assert bench.lexical is not None
    (ranking,) = bench.lexical.search([query], k=50, query_ids=["q"])
    systems.append(SystemResult(SystemInfo("bm25", Family.LEXICAL, "BM25"), ranking))
    return compare(
        Query("q", query),
        systems,
        backgrounds,
        k=k,
        passages={passage.passage_id: passage for passage in bench.corpus.passages},
        document_names=bench.corpus.names,
    )


@pytest.fixture(scope="module")
def bench() -> Context:
    return context_of(
        [RIVER, KITCHEN], (WordEncoder(), WordEncoder(spec_b(), deaf_to=frozenset({"flood"})))
    )


@pytest.fixture(scope="module")
def comparison(bench: Context) -> Comparison:
    return _comparison(bench, "When did the flood reach the gates?")


def test_a_stranger_finds_what_a_report_needs(comparison: Comparison) -> None:
    page = Reader(html_report(comparison))
    assert page.open == []
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
    assert {"svg", "table"} <= set(page.tags)


def test_nothing_leaves_the_file(comparison: Comparison) -> None:
    text = html_report(comparison, pictures={comparison.passages[0].passage_id: PagePicture(PNG)})
    page = Reader(text)
    assert "default-src 'none'" in dict(page.attributes)["content"] or any(
        "default-src 'none'" in value for _, value in page.attributes
    )
    assert "script" not in page.tags
    assert not [tag for tag in page.tags if tag in {"link", "iframe", "object", "embed", "form"}]
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for name, value in page.attributes:
        if name in {"src", "href"}:
            assert value.startswith(("#", "data:image/png;base64,"))
    assert "url(" not in text
    assert "@import" not in text


def _hostile() -> Comparison:
    doc = document("evil", f"{HOSTILE} gate.\n\n{HOSTILE} flood.\n\nQuiet river.")
    doc = replace(doc, name=HOSTILE)
    spec = spec_b(label=HOSTILE, query_prompt=HOSTILE)
    bench = context_of([doc], (WordEncoder(), WordEncoder(spec)))
    return _comparison(bench, f"flood {HOSTILE}")


def test_hostile_text_stays_text() -> None:
    found = _hostile()
    found = replace(
        found,
        summary=(HOSTILE,),
        columns=(*found.columns[:2], replace(found.columns[2], failure=HOSTILE)),
    )
    text = html_report(found)
    page = Reader(text)
    assert page.open == []
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert page.tags.count("title") == 1 + text.count("<title>") - 1
    assert not [name for name, _ in page.attributes if name.startswith("on")]
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
    page = Reader(html_report(_comparison(bench, "flood"), evidence=[evidence], fairness=panel))
    assert page.open == []
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "left out in turn" in page.text


@given(st.text(max_size=200))
def test_escaped_text_reads_back_and_is_never_markup(text: str) -> None:
    escaped = escape(text)
    assert not re.search(r"[<>\"']", escaped)
    page = Reader(f"<p>{escaped}</p>")
    assert page.tags == ["p"]
    escaped.encode("utf-8")


def test_lone_surrogates_and_controls_are_replaced() -> None:
    assert escape("a\ud800b\x07c\u2066d") == "a\ufffdb\ufffdc\ufffdd"
    assert escape("line\nand\ttab") == "line\nand\ttab"


def test_only_png_goes_into_the_file(comparison: Comparison) -> None:
    first = comparison.passages[0].passage_id
    with_page = html_report(comparison, pictures={first: PagePicture(PNG)})
    assert with_page.count("data:image/png;base64,") == 1
    svg = html_report(comparison, pictures={first: PagePicture(b"<svg onload=alert(1)>")})
    assert "data:image" not in svg.replace("img-src data:", "")


def test_a_page_shows_where_the_passage_is_in_the_colour_of_every_arm_that_has_it(
    comparison: Comparison,
) -> None:
    both = next(
        passage
        for passage in comparison.passages
        if sum(s.rank is not None and s.rank <= comparison.k for s in passage.standings) >= 2
    )
    picture = PagePicture(PNG, 600.0, 800.0, ((50.0, 100.0, 550.0, 112.0),))
    text = html_report(comparison, pictures={both.passage_id: picture})
    assert 'viewBox="0 0 600.0 800.0"' in text
    # one line of text, outlined once for each arm, the second a point wider on every side
    assert 'class="box a" x="49.0" y="99.0" width="502.0" height="14.0"' in text
    assert 'class="box b" x="48.0" y="98.0" width="504.0" height="16.0"' in text
    assert "<details><summary>The page" not in text  # pictures are there to be seen
    without = html_report(comparison, pictures={both.passage_id: PagePicture(PNG)})
    assert 'class="box' not in without


def test_equal_comparisons_give_equal_files(comparison: Comparison) -> None:
    assert html_report(comparison) == html_report(replace(comparison))


def test_pictures_show_every_moved_passage(comparison: Comparison) -> None:
    agreement = comparison.arms_agreement
    assert agreement is not None
    shared = sum((move.rank_a or 99) <= 3 and (move.rank_b or 99) <= 3 for move in agreement.moves)
    picture = rank_picture(comparison)
    assert picture.count('class="link') == shared
    assert picture.count('class="stub a"') == 3 - shared
    assert picture.count('class="stub b"') == 3 - shared
    plot = score_plot(comparison)
    marks = plot.count('class="both"') + plot.count('class="pa"') + plot.count('class="pb"')
    assert marks == len(agreement.moves)


def test_a_failed_arm_says_so_in_its_place_and_nothing_breaks(comparison: Comparison) -> None:
    broken = replace(
        comparison.columns[1],
        ranking=Ranking("q", comparison.arm_b, ()),
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
    page = Reader(html_report(found))
    assert "Words B ran out of memory." in page.text
    assert "Where they part" not in page.text


def test_a_query_that_was_cut_is_a_flag(comparison: Comparison) -> None:
    cut = replace(comparison.columns[0], received=ReceivedText("flood", 600, 512))
    found = replace(comparison, columns=(cut, *comparison.columns[1:]), equal_limits=False)
    page = Reader(html_report(found))
    assert "Before you believe a difference" in page.text
    assert "read 512 of the query's 600 tokens" in page.text
    assert "ran at different token limits" in page.text


def test_arms_of_one_family_still_have_two_colours(bench: Context) -> None:
    twin = context_of(
        [RIVER, KITCHEN], (WordEncoder(), WordEncoder(spec_b(family=Family.DIFFUSION)))
    )
    text = html_report(_comparison(twin, "flood"))
    assert '<span class="a"><span class="dot a"></span>Words A' in text
    assert '<span class="b"><span class="dot b"></span>Words B' in text


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
    assert score_plot(bare) == ""
    assert Reader(html_report(bare)).open == []


def test_a_long_query_is_shown_whole_and_small(bench: Context) -> None:
    query = "When did the flood reach the gates? " * 30
    text = html_report(_comparison(bench, query))
    assert 'class="query long"' in text
    assert " ".join(query.split()) in Reader(text).text


def test_a_percentile_just_below_the_top_is_not_rounded_up_to_it(comparison: Comparison) -> None:
    near = replace(
        comparison,
        passages=tuple(
            replace(p, standings=tuple(replace(s, z=3.0, percentile=99.97) for s in p.standings))
            for p in comparison.passages
        ),
    )
    text = Reader(html_report(near)).text
    assert "99.9th percentile" in text
    assert "100.0" not in text


def test_only_bm25_is_said_to_have_met_no_word(comparison: Comparison) -> None:
    empty = [
        replace(column, ranking=replace(column.ranking, hits=())) for column in comparison.columns
    ]
    text = Reader(html_report(replace(comparison, columns=tuple(empty)))).text
    assert text.count("no word of the query occurs") == 1
    assert text.count("It returned nothing.") == 2


def test_every_hit_of_a_deep_report_leads_to_its_passage() -> None:
    stories = ["Flood came."] * 60 + ["Cake came."] * 60  # one arm hears of floods, one does not
    text = "\n\n".join(f"{story} Number {number}." for number, story in enumerate(stories))
    words = (WordEncoder(), WordEncoder(spec_b(), deaf_to=frozenset({"flood"})))
    deep = context_of([document("long.pdf", text)], words)
    html = html_report(_comparison(deep, "flood cake", k=50))
    wanted = set(re.findall(r'href="#(p\d+)"', html))
    assert len(wanted) > 50
    assert wanted <= set(re.findall(r'<article id="(p\d+)"', html))
