from __future__ import annotations

import dataclasses

import pytest

from core.comparison.measures import MEASURES
from core.comparison.records import Comparison
from core.records import ReceivedText, Unit
from core.render import Html, measures, verdict
from tests.dom import parse
from tests.render.compared import failed
from tests.render.test_cards import HOSTILE, ranked


def sentence(comparison: Comparison, *answers: str) -> str:
    html = verdict.verdict(comparison, answers=answers)
    return parse(html).one("p.summary").text.replace(" .", ".").replace(" ,", ",")


def test_where_the_right_passage_stands_comes_first_if_it_is_known(comparison: Comparison) -> None:
    moved = ranked(comparison, (2, 1), (1, 9), (3, 2))
    first = comparison.passages[0]
    assert sentence(moved, "p2") == (
        f"The answer, page {first.page_first} of {first.document}, is 1st for Diffusion and 9th for Autoregressive."
    )
    # of several answers the best of each encoder
    assert sentence(moved, "p1", "p2").startswith("An answer is 1st for Diffusion")
    assert sentence(moved, "elsewhere") == (
        "The known answer is below 3rd for Diffusion and below 2nd for Autoregressive."
    )


def test_else_the_verdict_says_where_they_part(comparison: Comparison) -> None:
    agreement = comparison.encoders_agreement
    assert agreement is not None
    same = comparison.columns[0].ranking.hits[0].passage_id == (
        comparison.columns[1].ranking.hits[0].passage_id
    )
    assert sentence(comparison) == (
        f"{'Same first hit' if same else 'Different first hits'}; "
        f"{agreement.shared} of 3 passages shared."
    )


def test_the_bar_shows_what_is_shared(comparison: Comparison) -> None:
    moved = ranked(comparison, (1, 1), (2, 5), (3, 2), (6, 3))  # p1 and p3 are in both top 3
    agreement = dataclasses.replace(comparison.agreements[0], shared=2)
    bar = parse(verdict.verdict(dataclasses.replace(moved, agreements=(agreement,)))).one(
        ".overlap"
    )
    assert [part.attributes["style"] for part in bar.all("i")] == [
        f"flex-grow:{n}" for n in (1, 2, 1)
    ]


def test_the_bar_has_its_words_where_the_sentence_is_about_the_answer(
    comparison: Comparison,
) -> None:
    moved = ranked(comparison, (2, 1), (1, 9), (3, 2))
    assert "of 3 shared" in parse(verdict.verdict(moved, answers=["p2"])).one(".overlap").text
    assert parse(verdict.verdict(moved)).one(".overlap").text == ""


def test_a_failed_encoder_is_the_verdict(comparison: Comparison) -> None:
    one = failed(comparison, "The weights are damaged.")
    assert sentence(one) == "The weights are damaged."
    assert not parse(verdict.verdict(one)).all(".overlap")


def test_a_query_that_was_cut_is_a_flag_in_sight(comparison: Comparison) -> None:
    cut = dataclasses.replace(comparison.columns[0], received=ReceivedText("flood", 600, 512))
    found = dataclasses.replace(comparison, columns=(cut, *comparison.columns[1:]))
    flag = parse(verdict.verdict(found)).one(".flags").text
    assert "read only the first 512 of 600 tokens" in flag


def test_everything_statistical_is_one_fold_below(comparison: Comparison) -> None:
    fold = parse(verdict.details(comparison, Html(""), measures.measures(comparison))).one(
        "details.stats"
    )
    assert "open" not in fold.attributes
    for one in comparison.summary:
        assert " ".join(one.split()) in fold.text
    assert "When did the flood reach the gates?" in fold.text  # the exact string that was read


def test_one_line_for_each_measure_and_how_it_is_computed(comparison: Comparison) -> None:
    tree = parse(measures.measures(comparison))
    agreement = comparison.encoders_agreement
    assert agreement is not None
    names = [row.all("b")[0].text for row in tree.all("dd")]
    assert names == [one.label.format(k=3) for one in MEASURES]
    assert tree.all("dt")[0].text == f"{agreement.figures['overlap']:.2f}"
    assert all("how is this computed" in row.text for row in tree.all("dd"))
    assert f"p = {agreement.figures['rbo_p']:.2f}" in tree.text


def test_hostile_names_stay_text(comparison: Comparison) -> None:
    evil = dataclasses.replace(
        comparison,
        summary=(HOSTILE,),
        columns=tuple(
            dataclasses.replace(
                one,
                info=dataclasses.replace(one.info, label=HOSTILE),
                received=ReceivedText(HOSTILE, 9, 3),
                fingerprint=HOSTILE,
            )
            for one in comparison.columns
        ),
    )
    for html in (
        verdict.verdict(evil),
        verdict.details(evil, Html(""), measures.measures(evil)),
    ):
        assert not parse(html).all("script")
        assert "{{" not in html
        assert "\u202e" not in html


@pytest.mark.parametrize("unit", list(Unit))
def test_the_bundled_diffusion_encoder_is_known_to_lose_on_whole_documents(
    comparison: Comparison, unit: Unit
) -> None:
    first = comparison.columns[0]
    bundled = dataclasses.replace(first.info, label="Bifocal diffusion")
    changed = dataclasses.replace(
        comparison,
        unit=unit,
        columns=(dataclasses.replace(first, info=bundled), *comparison.columns[1:]),
    )
    warned = "falls behind its twin" in str(verdict.verdict(changed))
    assert warned is (unit is Unit.DOCUMENT)
    assert "falls behind" not in str(verdict.verdict(comparison))
