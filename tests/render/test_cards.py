from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from core.comparison.records import ComparedPassage, Comparison, Standing
from core.records import Family, Hit, Ranking, ReceivedText
from core.render import cards, systems
from core.search.background import Background
from tests.dom import Node, parse
from tests.experiments.stand_in import WordEncoder, context_of, document, spec_b
from tests.render.compared import compared, failed

HOSTILE = "<script>alert(1)</script> {{7*7}} ${8*8}\u202e"


def hits(html: str, kind: str) -> list[Node]:
    return parse(html).all(f"div.hit.{kind}")


def ranked(comparison: Comparison, *ranks: tuple[int | None, int | None]) -> Comparison:
    """Return the comparison with passages p1, p2 ... at these ranks of both encoders, k = 3."""
    ids = systems.encoder_ids(comparison)
    base = comparison.passages[0]
    passages = tuple(
        dataclasses.replace(
            base,
            passage_id=f"p{place}",
            doc_id="d1" if place < 3 else "d2",
            standings=tuple(
                Standing(one.info.system_id, rank, 0.5, 1.0, 60.0)
                for one, rank in zip(comparison.columns, (*pair, None), strict=True)
            ),
        )
        for place, pair in enumerate(ranks, start=1)
    )

    def ranking(column: int) -> tuple[Hit, ...]:
        placed = sorted((pair[column] or 99, f"p{n}") for n, pair in enumerate(ranks, start=1))
        return tuple(Hit(name, 0.5, rank) for rank, name in placed if rank <= 3)

    columns = (
        *(
            dataclasses.replace(column, ranking=Ranking("q", ids[place], ranking(place)))
            for place, column in enumerate(comparison.columns[:2])
        ),
        dataclasses.replace(comparison.columns[2], ranking=Ranking("q", "bm25", ())),
    )
    return dataclasses.replace(comparison, k=3, passages=passages, columns=columns)


def marks(comparison: Comparison, passage_id: str, **given: object) -> list[str]:
    passage: ComparedPassage = comparison.passage(passage_id)
    known = {"grades": {}, "answers": ()} | given
    return [
        f"{mark.text} {mark.name}".strip()
        for mark in cards.marks(comparison, passage, comparison.encoder_a, **known)  # type: ignore[arg-type]
    ]


def test_every_system_has_its_column_in_its_colour_rank_first(comparison: Comparison) -> None:
    html = cards.columns(comparison)
    for kind, column in zip(("dif", "aut", "lex"), comparison.columns, strict=True):
        shown = hits(html, kind)
        assert [card.one(".rank").text for card in shown] == [
            str(hit.rank) for hit in column.ranking.hits[:3]
        ]


def test_a_move_says_its_direction_and_only_here_says_where_it_is_there(
    comparison: Comparison,
) -> None:
    # diffusion has p1 1st and autoregressive 3rd: two places up against it
    moved = ranked(comparison, (1, 3), (2, 1), (3, 8), (9, 2))
    assert marks(moved, "p1") == ["\u25b2 2 against Autoregressive"]
    assert marks(moved, "p2") == ["\u25bc 1 against Autoregressive"]
    assert marks(moved, "p3") == ["only here", "8th for Autoregressive"]
    assert marks(ranked(comparison, (1, 1), (2, None)), "p1") == []
    assert marks(ranked(comparison, (1, 1), (2, None)), "p2") == ["only here"]


def test_answers_are_ticked_in_every_column_and_grades_are_shown(comparison: Comparison) -> None:
    still = ranked(comparison, (1, 1), (2, 2))
    assert marks(still, "p1", answers={"p1"}) == ["\u2713 answers it"]
    assert marks(still, "p2", grades={"p2": 0}) == ["judged 0"]
    html = parse(cards.columns(still, answers={"p1"}))
    assert len(html.all(".tag.answer")) == 2  # both encoders have it, BM25 does not


def test_a_files_name_stands_once_per_run_of_its_hits(comparison: Comparison) -> None:
    same = ranked(comparison, (1, 1), (2, 2), (3, 3))  # p1 and p2 are of one file, p3 of another
    named = [bool(card.all("bdi.doc")) for card in hits(cards.columns(same), "dif")]
    assert named == [True, False, True]


def test_the_place_of_the_first_hit_stands_once_in_the_columns_head(comparison: Comparison) -> None:
    background = Background.from_scores([], off_topic=[-1.0, 2.0], own=[2.0])
    first = dataclasses.replace(comparison.columns[0], background=background)
    placed = dataclasses.replace(comparison, columns=(first, *comparison.columns[1:]))
    html = parse(cards.columns(placed))
    (said,) = html.all(".first-hit")
    assert said.text == "first hit above 1 of 2 off-topic questions, below 1 of 1 known-right hits"


def test_a_column_says_that_its_encoder_can_hardly_read_the_question(
    comparison: Comparison,
) -> None:
    first, *others = comparison.columns
    strange = dataclasses.replace(first, received=ReceivedText("\u043b\u0451\u0434", 9, 9, 0.79))
    shown = str(cards.columns(dataclasses.replace(comparison, columns=(strange, *others))))
    assert shown.count("spells 79% of the letters") == 1
    assert "can hardly read" not in str(cards.columns(comparison))


def test_a_runs_score_is_called_nothing_more(comparison: Comparison) -> None:
    first, second, lexical = comparison.columns
    info = dataclasses.replace(lexical.info, family=Family.IMPORTED)
    columns = (first, second, dataclasses.replace(lexical, info=info))
    html = cards.columns(dataclasses.replace(comparison, columns=columns))
    shown = parse(html).one("section", data_system=info.system_id)
    assert "score as the run gives it" in shown.all(".z")[0].attributes["title"]
    assert "raw cosine" not in shown.text


def test_a_failed_encoder_says_so_in_its_column_and_the_other_stands(
    comparison: Comparison,
) -> None:
    html = cards.columns(failed(comparison, "The weights are damaged."))
    assert "The weights are damaged." in parse(html).one("section", data_col="1").text
    assert not hits(html, "aut")
    assert hits(html, "dif")
    assert "only here" not in parse(html).text


def test_a_broken_encoder_is_not_called_late(comparison: Comparison) -> None:
    one = dataclasses.replace(failed(comparison, "The weights are damaged."), waiting=3)
    shown = str(cards.columns(one))
    assert cards.FAILED in shown
    assert cards.WAITING not in shown


def test_hostile_documents_are_text() -> None:
    name = '<img src=x onerror="alert(1)">.pdf'
    doc = dataclasses.replace(document("evil", f"{HOSTILE} sluice"), name=name)
    bench = context_of([doc], (WordEncoder(), WordEncoder(spec_b())))
    html = cards.columns(compared(bench, "sluice </textarea><script>"))
    tree = parse(html)
    assert not tree.all("script")
    assert not tree.all("img")
    assert name in tree.text
    assert "{{" not in html
    assert "${" not in html
    assert "\u202e" not in html


@given(st.text(max_size=1500), st.integers(0, 1400), st.integers(1, 90))
def test_an_excerpt_is_the_text_around_its_best_sentence(text: str, start: int, size: int) -> None:
    shown = cards.excerpt(text, (start, start + size))
    whole = shown.far + shown.lead + shown.marked + shown.rest
    assert whole.strip("\u2026") in text or not text.strip("\u2026")
    assert len(whole) <= cards.CARD_CHARS + 2
    if start + size <= len(text):
        assert shown.marked == text[start : start + size]
        assert len(shown.lead) <= cards.LEAD_CHARS
    else:
        assert shown.marked == ""
