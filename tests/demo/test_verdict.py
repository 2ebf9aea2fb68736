"""The verdict of the Disagree view, words before the laboratory's figures, the ripple of an edit."""

from __future__ import annotations

import re

import pytest

from core.encoders.spec import Attention
from core.experiments import attention, disagree, growing, hidden_key, last_sentence, rendering
from core.experiments.attention import AttentionSwitch, EncoderSwitch, TokenChange
from core.experiments.context import SystemName
from core.experiments.disagree import (
    Aggregates,
    DisagreementReport,
    Finding,
    Hubness,
)
from core.experiments.drafts import Draft, DraftKind
from core.experiments.growing import GrowingText, Growth, GrowthPoint
from core.experiments.hidden_key import HiddenKeyMap, KeyCell
from core.experiments.last_sentence import EncoderEdit, LastSentenceEdit
from core.experiments.late_context import EncoderInContext, LateContext
from core.experiments.verdict import Outcome, verdict
from demo.presenters import paper
from tests.dom import parse

A = SystemName("dif", "Blue <encoder>", "diffusion")
B = SystemName("aut", "Orange encoder", "autoregressive")
SAID = ("What was found, in <words>.",)


def report(rank_a: int, rank_b: int, **changes: object) -> DisagreementReport:
    outcomes = [Outcome(f"p{n:02d}", "headings", rank_a, rank_b, None) for n in range(50)]
    draft = Draft("q1", "who <b> opened it?", DraftKind.QUESTION, "p01", "d1")
    finding = Finding(draft, 0.7, 0.2, ("p01",), ("p02",), rank_a, rank_b, None, 3, 100, 0.5)
    nothing = Aggregates(1, 0.3, 0.2, 0.0, (), (), (), {}, (), ())
    made = {
        "a": A, "b": B, "k": 10, "passages": 50, "drafts": 50, "findings": (finding,),
        "aggregates": nothing, "hubness": (Hubness("dif", 0.0, 0.0, 1.0, ()),) * 2,
        "notes": ("Drafts are <drafts>.",), "seconds": 1.0, "stopped": False, "problem": "",
        "summary": SAID,
        "verdict": verdict(outcomes, label_a=A.label, label_b=B.label, k=10),
    }  # fmt: skip
    return DisagreementReport(**{**made, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ranks", "said", "kind"),
    [((1, 2), "choose Blue &lt;encoder&gt;", "dif"), ((2, 1), "choose Orange encoder", "aut"),
     ((1, 1), "Choose either", "lex")],
)  # fmt: skip
def test_the_verdict_comes_first_in_the_colour_of_the_encoder_it_favours(
    ranks: tuple[int, int], said: str, kind: str
) -> None:
    html = disagree.show(report(*ranks))
    assert said in re.findall(r'class="lead">([^<]*)<', html)[0]
    # a row for all drafts and one for the one kind, both in that colour
    assert len(re.findall(rf'class="line-{kind}"', html)) == 2
    assert "95\u00a0% interval" in html  # never "95" at one line's end and "%" on the next
    for hostile in ("<encoder>", "<words>", "<drafts>", "<b>"):
        assert hostile not in html


def test_the_verdict_leads_on_to_the_widest_gap_to_judging_and_to_fairness() -> None:
    html = disagree.show(report(1, 2))
    assert 'data-act="ask" data-text="who &lt;b&gt; opened it?"' in html
    assert 'data-view="judge" data-text="who &lt;b&gt; opened it?"' in html
    assert 'data-view="laboratory" data-tab="Fairness"' in html


def test_a_stopped_or_failed_run_says_so_above_its_verdict() -> None:
    html = disagree.show(report(1, 2, stopped=True, problem="B <ran> out of memory."))
    assert (
        html.index("Stopped early") < html.index("B &lt;ran&gt; out of memory") < html.index("lead")
    )


def test_a_record_without_a_verdict_still_shows_what_it_has() -> None:
    html = disagree.show(report(1, 2, verdict=None))
    assert "What was found, in &lt;words&gt;." in html
    assert "<svg" not in html


# -- words before figures --------------------------------------------------------------------


def summaries() -> dict[str, str]:
    point = GrowthPoint(0, 10, 100, 100, True, 0.5, 2.0, 1)
    cell = KeyCell(0.0, 256, 200, 200, 1.0, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0)
    side = EncoderInContext(A, 0.1, 0.2, 1.0, 2.0, 3, 1, 1, 0.9, 0, 10, 10, 1)
    switch = AttentionSwitch(
        "q", "p", ("p",), EncoderSwitch(A, (), ""), EncoderSwitch(B, (), ""), (), False, SAID
    )
    return {
        "attention": attention.show(switch),
        "growing": growing.show(
            GrowingText("q", "p", Growth.BOTH, 9, A, B, (point,), (point,), (), False, "", SAID)
        ),
        "hidden key": hidden_key.show(
            HiddenKeyMap(A, B, (0.0,), (256,), 4, 0.25, (cell,), 512, 512, (), False, "", SAID)
        ),
        "late context": rendering.context(LateContext("q", "p", 9, side, side, (), SAID)),
        "disagreements": disagree.show(report(1, 2)),
    }


@pytest.mark.parametrize("view", list(summaries()))
def test_every_view_says_in_words_what_its_figures_show_before_them(view: str) -> None:
    html = summaries()[view]
    said = html.index("What was found, in &lt;words&gt;.")
    figures = [html.index(mark) for mark in ("<svg", "<table") if mark in html]
    assert figures
    # the verdict's picture stands beside its words, in the markup after them
    assert said < min(figures)


# -- the edit --------------------------------------------------------------------------------


def edited() -> LastSentenceEdit:
    before = "Alpha beta. Gamma ran."

    def side(system: SystemName, changes: tuple[float, ...], *, still: bool) -> EncoderEdit:
        strip = tuple(
            TokenChange(before[start:end], start, end, change)
            for (start, end), change in zip(((0, 5), (5, 10), (10, 11)), changes, strict=True)
        )
        return EncoderEdit(
            system, Attention.CAUSAL, strip, (), max(changes), sum(changes) / 3,
            unmoved=still, cosine=0.9, dropped=0, problem="",
        )  # fmt: skip

    return LastSentenceEdit(
        before, "Alpha beta. It <i>sat.", 12, "Gamma ran.", "It <i>sat.",
        side(A, (0.01, 0.04, 0.16), still=False), side(B, (0.0, 0.0, 0.0), still=True), SAID,
    )  # fmt: skip


def test_the_ripple_has_a_bar_per_token_as_wide_as_the_token_on_one_scale() -> None:
    html = last_sentence.show(edited())
    up, down = html.split('class="wave down aut"')
    # square roots over the largest, 0.16: 0.25, 0.5, 1
    assert re.findall(r"--w:(\d+);--h:([\d.]+)", up) == [
        ("5", "0.250"),
        ("5", "0.500"),
        ("1", "1.000"),
    ]
    assert re.findall(r"--h:([\d.]+)", down)[:3] == ["0.000"] * 3
    assert "exactly 0 on all 3 tokens" in down
    assert html.index("What was found") < html.index("ripple")


def test_the_edit_stands_in_the_text_and_is_escaped() -> None:
    html = last_sentence.show(edited())
    assert html.count("<del>Gamma ran.</del> <ins>It &lt;i&gt;sat.</ins>") == 2
    assert "<i>sat" not in html


def test_the_first_screens_picture_is_the_edit_and_a_wave_for_each_encoder() -> None:
    tree = parse(last_sentence.picture(edited()))
    assert [
        wave.one("span.dif" if up else "span.aut").text
        for up, wave in zip((True, False), tree.all(".wave"), strict=True)
    ] == ["Diffusion", "Autoregressive"]


# -- the paper and what was measured here ----------------------------------------------------


def test_measured_figures_stand_in_a_frame_of_their_own() -> None:
    def system(family: str, value: float) -> dict[str, object]:
        return {"family": family, "measures": {"nDCG@10": {"value": value}}}

    whole = {
        "systems": [system("diffusion", 0.5), system("autoregressive", 0.25), system("lexical", 0.75),
                    system("diffusion", 0.9)],
        "difference": {"nDCG@10": {"value": 0.25, "low": -0.1, "high": 0.6}},
        "queries": 1200,
    }  # fmt: skip
    html = paper.measured([("x", {"dataset": "<b>Set", "whole": whole}), ("speed", {"seconds": 2})])
    assert "&lt;b&gt;Set" in html
    # the pair stands first in its file: a further diffusion encoder does not replace it
    cells = [cell.text for cell in parse(html).all("td")]
    assert cells == ["+0.250 [\u22120.100, +0.600]", "0.500", "0.250", "0.750", "1,200"]
    assert "speed" not in html
    assert paper.measured([("speed", {"seconds": 2})]) == ""


def test_the_controlled_ablation_is_the_counterweight() -> None:
    # 40.6 - 39.9 and 40.6 - 38.8, arXiv 2602.11151, Table 9
    html = paper.claims()
    assert "+0.7" in html
    assert "+1.8" in html
    assert "2602.11151" in html


def test_averages_without_the_truncated_columns_are_said() -> None:
    html = paper.table("longembed", "Mistral+LLM2Vec")
    # DiffEmbed: (100 + 86.8 + 42.1 + 43.8 + 98 + 77.2) / 6; Mistral+LLM2Vec likewise 69.52
    assert "averages are 74.65 for DiffEmbed and 69.52 for Mistral+LLM2Vec (+5.13" in html
