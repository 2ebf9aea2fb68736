import math
from dataclasses import replace

import pytest

from core.codec import from_json, to_json
from core.errors import EncodingError, LaboratoryError
from core.experiments.context import SystemName
from core.experiments.evidence import Effect, EncoderEvidence, Evidence, Part
from core.experiments.late_context import LateContext, late_context
from core.experiments.leave_out import contrast, leave_clauses_out, leave_sentences_out
from tests.experiments.stand_in import (
    SPEC,
    WordEncoder,
    context_of,
    document,
    passage_with,
    spec_b,
    word_context,
)


def test_leaving_out_the_only_sentence_with_the_word_takes_the_score_to_zero() -> None:
    context = word_context()
    found = leave_sentences_out(context, "flood", passage_with(context, "slides"))
    # 21 words: gate 4, flood 1, closed 1, other 15; |v| = sqrt(16 + 1 + 1 + 225)
    assert found.a.score == pytest.approx(1 / math.sqrt(243), abs=1e-6)
    assert [part.text for part in found.parts][2] == "The flood came in April."
    assert found.a.effects[2].score == pytest.approx(0.0, abs=1e-7)
    assert found.a.effects[2].score_change == pytest.approx(-1 / math.sqrt(243), abs=1e-6)
    assert found.a.top == 3
    # the river passage holds the concept too; without sentence 3 it and no more stand before
    # passages that score 0 and come earlier by id
    assert found.a.effects[2].rank > found.a.rank
    # leaving the first out makes the flood weigh more: 11 words, |v| = sqrt(1 + 1 + 1 + 64)
    assert found.a.effects[0].score == pytest.approx(1 / math.sqrt(67), abs=1e-6)


def test_the_same_encoder_on_both_sides_shows_no_difference() -> None:
    twin = WordEncoder(spec_b(attention=SPEC.attention), mix=0.3)
    context = word_context(WordEncoder(mix=0.3), twin)
    for found in (
        leave_sentences_out(context, "flood in April", passage_with(context, "slides")),
        leave_clauses_out(context, "flood in April", passage_with(context, "slides")),
    ):
        assert found.contrast == ()
        assert replace(found.a, system=found.b.system) == found.b


def test_swapping_the_encoders_mirrors_the_evidence() -> None:
    a, b = WordEncoder(), WordEncoder(spec_b(), deaf_to=frozenset({"flood"}))
    one = leave_sentences_out(
        word_context(a, b), "river", passage_with(word_context(a, b), "slides")
    )
    two = leave_sentences_out(
        word_context(b, a), "river", passage_with(word_context(a, b), "slides")
    )
    assert (one.a, one.b) == (two.b, two.a)
    assert set(one.contrast) == set(two.contrast)
    assert one.contrast


def test_an_encoder_that_hears_a_word_needs_its_sentence_and_a_deaf_one_does_not() -> None:
    context = word_context(WordEncoder(), WordEncoder(spec_b(), deaf_to=frozenset({"flood"})))
    found = leave_sentences_out(context, "river", passage_with(context, "slides"))
    assert found.contrast[0].startswith(
        "Words A needs sentence 3 (“The flood came in April.”): without it the passage goes from 2nd"
    )
    assert "Words B does not need it" in found.contrast[0]


def test_a_sentence_beyond_the_limit_is_not_read_and_not_called_unneeded() -> None:
    # sentences of 10, 5 and 6 words; B reads 12, so nothing of the third but all of the first
    context = word_context(WordEncoder(), WordEncoder(spec_b(max_tokens=12)))
    found = leave_sentences_out(context, "flood", passage_with(context, "slides"))
    assert "Words A needs sentence 3" in found.contrast[0]
    assert "Words B does not read that far" in found.contrast[0]
    (note,) = found.notes
    assert note.startswith("Words B reads nothing of the passage's text from sentence 3 on")


def _side(name: str, effects: list[tuple[float, int]]) -> EncoderEvidence:
    return EncoderEvidence(
        SystemName(name, name, "diffusion"),
        0.5,
        2.0,
        1,
        tuple(
            Effect(number, 0.5, 0.0, z, 1 + places, places)
            for number, (z, places) in enumerate(effects, start=1)
        ),
        1,
        None,
    )


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ((-0.5, 0), (0.0, 0), True),
        ((-0.49, 2), (0.0, 0), False),  # neither half a deviation nor three places
        ((-0.1, 3), (0.0, 0), True),
        ((-0.6, 0), (-0.3, 0), False),  # the other one suffers too
        ((-0.6, 0), (0.0, 1), False),
        ((math.nan, 4), (math.nan, 0), True),
    ],
)
def test_the_words_follow_stated_thresholds(
    one: tuple[float, int], other: tuple[float, int], said: bool
) -> None:
    parts = (Part(1, 0, 4, "Text"),)
    assert (
        bool(contrast(_side("A", [one]), _side("B", [other]), parts, unit_name="sentence")) is said
    )


def test_a_long_sentence_is_quoted_in_part() -> None:
    parts = (Part(1, 0, 200, "word " * 40),)
    (said,) = contrast(_side("A", [(-1, 12)]), _side("B", [(0, 0)]), parts, unit_name="clause")
    assert "…”" in said
    assert "1st to 13th" in said
    assert len(said) < 260


def test_a_passage_of_one_sentence_gets_a_sentence() -> None:
    doc = document("single", "The flood came in April\n\nThe gates were closed")
    context = context_of([doc], (WordEncoder(), WordEncoder(spec_b())))
    with pytest.raises(LaboratoryError, match="one sentence"):
        leave_sentences_out(context, "flood", context.corpus.passages[0].passage_id)


def test_an_unreadable_passage_gets_a_sentence() -> None:
    doc = document("scan", "· · ·\n\nThe gates were closed. The flood came.")
    context = context_of([doc], (WordEncoder(), WordEncoder(spec_b())))
    scan = context.corpus.passages[0].passage_id
    # leaving clauses out follows the passage's rank; nothing of the passage is read
    for experiment in (leave_sentences_out, late_context):
        with pytest.raises(LaboratoryError, match="no readable text"):
            experiment(context, "flood", scan)


def test_one_passage_alone_is_said_to_have_no_rank() -> None:
    doc = document("alone", "The gates were closed. The flood came. The bread was hot.")
    context = context_of([doc], (WordEncoder(), WordEncoder(spec_b())))
    found = leave_sentences_out(context, "flood", context.corpus.passages[0].passage_id)
    assert {effect.rank for effect in found.a.effects} == {1}
    assert any("one passage" in note for note in found.notes)


def test_a_failing_encoder_is_named() -> None:
    context = word_context()
    context.b.encoder._fails_after = context.b.encoder.encoded + 2  # type: ignore[attr-defined]
    with pytest.raises(EncodingError, match="Words B failed"):
        leave_sentences_out(context, "flood", passage_with(context, "slides"))


def test_query_clauses_are_left_out_and_the_whole_corpus_ranked_anew() -> None:
    context = word_context()
    found = leave_clauses_out(context, "flood music", passage_with(context, "slides"))
    assert (found.unit, [part.text for part in found.parts]) == ("word", ["flood", "music"])
    # the passage has a flood and no music
    assert found.a.top == 1
    assert found.a.effects[0].score == pytest.approx(0.0, abs=1e-7)
    assert found.a.effects[1].score == pytest.approx(1 / math.sqrt(243), abs=1e-6)


def test_a_query_of_one_word_gets_a_sentence() -> None:
    context = word_context()
    with pytest.raises(LaboratoryError, match="one word"):
        leave_clauses_out(context, "flood", passage_with(context, "slides"))


def test_evidence_survives_json() -> None:
    context = word_context()
    found = leave_sentences_out(context, "flood", passage_with(context, "slides"))
    assert from_json(Evidence, to_json(found)) == found
    inside = late_context(context, "river", passage_with(context, "slides"))
    assert from_json(LateContext, to_json(inside)) == inside
