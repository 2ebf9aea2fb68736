import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from core.encoders.spec import Pooling, TextKind
from core.errors import EncodingError, LaboratoryError
from core.laboratory.arms import Arm, Bench, SystemName
from core.laboratory.evidence import (
    ArmEvidence,
    Effect,
    Evidence,
    LateContext,
    Part,
    best_sentences,
    contrast,
    late_context,
    leave_clauses_out,
    leave_sentences_out,
    nested_windows,
    query_parts,
    shared_best_sentence,
    token_shares,
    without,
)
from core.laboratory.results import from_json, to_json
from tests.laboratory.stand_in import (
    KITCHEN,
    RIVER,
    SPEC,
    WordEncoder,
    arm_b,
    bench_of,
    document,
)


def _bench(a: WordEncoder | None = None, b: WordEncoder | None = None) -> Bench:
    return bench_of([RIVER, KITCHEN], (a or WordEncoder(), b or WordEncoder(arm_b())))


def _passage(bench: Bench, words: str) -> str:
    return next(p.passage_id for p in bench.corpus.passages if words in p.text)


def test_leaving_out_the_only_sentence_with_the_word_takes_the_score_to_zero() -> None:
    bench = _bench()
    found = leave_sentences_out(bench, "flood", _passage(bench, "slides"))
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


def test_the_check_of_faithfulness_is_a_number_found_elsewhere() -> None:
    bench = _bench()
    found = leave_sentences_out(bench, "flood", _passage(bench, "slides")).a.faithfulness
    assert found is not None
    assert found.top == 3
    assert found.top_drop == pytest.approx(1 / math.sqrt(243), abs=1e-6)
    assert found.others_drop < 0  # without the others the flood only weighs more
    assert found.contexts == 8
    assert found.wins == 1.0
    assert found.context_top_drop > found.context_other_drop
    assert found.holds


def test_the_same_encoder_in_both_arms_shows_no_difference() -> None:
    twin = WordEncoder(arm_b(attention=SPEC.attention), mix=0.3)
    bench = _bench(WordEncoder(mix=0.3), twin)
    for found in (
        leave_sentences_out(bench, "flood in April", _passage(bench, "slides")),
        leave_clauses_out(bench, "flood in April", _passage(bench, "slides")),
    ):
        assert found.contrast == ()
        assert replace(found.a, system=found.b.system) == found.b


def test_swapping_the_arms_mirrors_the_evidence() -> None:
    a, b = WordEncoder(), WordEncoder(arm_b(), deaf_to=frozenset({"flood"}))
    one = leave_sentences_out(_bench(a, b), "river", _passage(_bench(a, b), "slides"))
    two = leave_sentences_out(_bench(b, a), "river", _passage(_bench(a, b), "slides"))
    assert (one.a, one.b) == (two.b, two.a)
    assert set(one.contrast) == set(two.contrast)
    assert one.contrast


def test_an_arm_that_hears_a_word_needs_its_sentence_and_a_deaf_one_does_not() -> None:
    bench = _bench(WordEncoder(), WordEncoder(arm_b(), deaf_to=frozenset({"flood"})))
    found = leave_sentences_out(bench, "river", _passage(bench, "slides"))
    assert found.contrast[0].startswith(
        "Words A needs sentence 3 (“The flood came in April.”): without it the passage goes from 2nd"
    )
    assert "Words B does not need it" in found.contrast[0]


def _side(name: str, effects: list[tuple[float, int]]) -> ArmEvidence:
    return ArmEvidence(
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
    bench = bench_of([doc], (WordEncoder(), WordEncoder(arm_b())))
    with pytest.raises(LaboratoryError, match="one sentence"):
        leave_sentences_out(bench, "flood", bench.corpus.passages[0].passage_id)


def test_an_unreadable_passage_gets_a_sentence() -> None:
    doc = document("scan", "· · ·\n\nThe gates were closed. The flood came.")
    bench = bench_of([doc], (WordEncoder(), WordEncoder(arm_b())))
    scan = bench.corpus.passages[0].passage_id
    for experiment in (leave_sentences_out, leave_clauses_out, late_context):
        if experiment is leave_clauses_out:
            continue  # follows the passage's rank; nothing of the passage is read
        with pytest.raises(LaboratoryError, match="no readable text"):
            experiment(bench, "flood", scan)


def test_one_passage_alone_is_said_to_have_no_rank() -> None:
    doc = document("alone", "The gates were closed. The flood came. The bread was hot.")
    bench = bench_of([doc], (WordEncoder(), WordEncoder(arm_b())))
    found = leave_sentences_out(bench, "flood", bench.corpus.passages[0].passage_id)
    assert {effect.rank for effect in found.a.effects} == {1}
    assert any("one passage" in note for note in found.notes)


def test_a_failing_arm_is_named() -> None:
    bench = _bench()
    bench.b.encoder._fails_after = bench.b.encoder.encoded + 2  # type: ignore[attr-defined]
    with pytest.raises(EncodingError, match="Words B failed"):
        leave_sentences_out(bench, "flood", _passage(bench, "slides"))


def test_query_clauses_are_left_out_and_the_whole_corpus_ranked_anew() -> None:
    bench = _bench()
    found = leave_clauses_out(bench, "flood music", _passage(bench, "slides"))
    assert (found.unit, [part.text for part in found.parts]) == ("word", ["flood", "music"])
    # the passage has a flood and no music
    assert found.a.top == 1
    assert found.a.effects[0].score == pytest.approx(0.0, abs=1e-7)
    assert found.a.effects[1].score == pytest.approx(1 / math.sqrt(243), abs=1e-6)


def test_long_queries_fall_into_clauses() -> None:
    query = (
        "Where did the river break its banks, and which of the gates that were closed in March "
        "had to be opened by hand because the motor failed?"
    )
    unit, parts = query_parts(query)
    assert unit == "clause"
    assert [part.text for part in parts] == [
        "Where did the river break its banks,",
        "and which of the gates",
        "that were closed in March had to be opened by hand",
        "because the motor failed?",
    ]
    assert all(query[part.start : part.end] == part.text for part in parts)


def test_a_query_of_one_word_gets_a_sentence() -> None:
    bench = _bench()
    with pytest.raises(LaboratoryError, match="one word"):
        leave_clauses_out(bench, "flood", _passage(bench, "slides"))


def test_leaving_parts_out_mends_the_spacing() -> None:
    text = "One.  Two.\nThree."
    parts = (Part(1, 0, 4, "One."), Part(2, 6, 10, "Two."), Part(3, 11, 17, "Three."))
    assert without(text, parts, {1}) == "One. Three."
    assert without(text, parts, {0}) == "Two.\nThree."
    assert without(text, parts, {0, 1, 2}) == ""
    assert without(text, parts, set()) == text


def test_best_sentences_per_arm() -> None:
    text = "The gates were closed. The flood came. The bread was hot."
    deaf = WordEncoder(arm_b(), deaf_to=frozenset({"flood"}))
    found = best_sentences("river", {"p": text, "empty": " "}, [WordEncoder(), deaf])
    assert list(found) == ["p"]
    start, end = found["p"]["words-a"]
    assert text[start:end] == "The flood came."
    start, end = found["p"]["words-b"]
    assert text[start:end] == "The gates were closed."  # a tie at 0 goes to the first


def test_the_shared_sentence_listens_to_both_arms_on_one_scale() -> None:
    text = "One one. Two two. Three three."
    small = np.array([[0.00], [0.01], [0.02]], dtype=np.float32)
    large = np.array([[0.1], [0.9], [0.1]], dtype=np.float32)
    one = np.ones(1, dtype=np.float32)
    # standardised: small -1.22 0 1.22; large -0.71 1.41 -0.71; sums -1.93 1.41 0.52
    span = shared_best_sentence(text, [one, one], [small, large])
    assert span is not None
    assert text[slice(*span)] == "Two two."
    assert shared_best_sentence("", [], []) is None


def test_token_shares_add_up_to_the_score() -> None:
    bench = _bench(WordEncoder(mix=0.3))
    text = "The flood came in April."
    found = token_shares(bench.a, "flood", text)
    assert sum(share.share for share in found.shares) == pytest.approx(found.score, abs=1e-6)
    assert abs(found.residual) < 1e-6
    assert max(found.shares, key=lambda share: share.share).token == "flood"
    assert all(text[share.start : share.end] == share.token for share in found.shares)


def test_without_mixing_only_the_word_itself_has_a_share() -> None:
    bench = _bench()
    found = token_shares(bench.a, "flood", "The flood came in April.")
    # flood 1, other 4: 1 / sqrt(17)
    assert [round(share.share, 6) for share in found.shares] == [
        0.0, round(1 / math.sqrt(17), 6), 0.0, 0.0, 0.0,
    ]  # fmt: skip


def test_shares_that_do_not_add_up_are_not_shown() -> None:
    class Crooked(WordEncoder):
        def encode(self, texts, *, kind, monitor=None):  # type: ignore[no-untyped-def, explicit-override]
            rows = super().encode(texts, kind=kind, monitor=monitor)
            return np.sign(rows + np.float32(0.01)) / np.float32(math.sqrt(8))

    bench = _bench(Crooked())
    with pytest.raises(LaboratoryError, match="does not pool its tokens linearly"):
        token_shares(bench.a, "flood", "The flood came in April.")


def test_context_changes_nothing_where_tokens_do_not_see_each_other() -> None:
    bench = _bench()
    found = late_context(bench, "river", _passage(bench, "slides"))
    assert found.a.cosine == pytest.approx(1.0, abs=1e-6)
    assert found.a.score_inside == pytest.approx(found.a.score_alone, abs=1e-6)
    assert found.a.rank_inside == found.a.rank_alone
    assert found.a.passages_inside == 4
    assert (found.a.window_start, found.a.window_end) == (0, len(RIVER.text))


def test_context_reaches_a_causal_passage_only_from_before() -> None:
    bench = _bench(WordEncoder(mix=0.9), WordEncoder(arm_b(), mix=0.9))
    first = bench.corpus.passages[
        [p.doc_id for p in bench.corpus.passages].index(RIVER.doc_id)
    ].passage_id
    found = late_context(bench, "river", first)  # the heading: nothing stands before it
    assert found.b.cosine == pytest.approx(1.0, abs=1e-6)
    assert found.a.cosine < 0.999


def test_a_long_document_is_read_through_one_window_for_both_arms() -> None:
    bench = _bench(WordEncoder(replace(SPEC, max_tokens=30)), WordEncoder(arm_b()))
    passage_id = _passage(bench, "slides")
    found = late_context(bench, "river", passage_id)
    assert (found.a.window_start, found.a.window_end) == (found.b.window_start, found.b.window_end)
    assert found.a.window_tokens <= 30
    assert any("longer than 30 tokens" in note for note in found.notes)


def test_last_token_pooling_takes_the_last_token_of_the_passage() -> None:
    class Last(WordEncoder):
        def _trace(self, text, kind, attention):  # type: ignore[no-untyped-def, explicit-override]
            found = super()._trace(text, kind, attention)
            weights = np.zeros_like(found.weights)
            weights[-1] = 1.0
            return replace(found, weights=weights)

    doc = document("last", "bread gate\n\nflood violin")
    last = Last(replace(SPEC, pooling=Pooling.LAST_TOKEN))
    bench = bench_of([doc], (last, last))
    found = late_context(bench, "gate", bench.corpus.passages[0].passage_id)
    # alone and inside the document the passage ends in "gate"
    assert found.a.score_inside == pytest.approx(1.0)
    assert last.encode(["bread gate"], kind=TextKind.PASSAGE)[0, 0] == 1.0


def test_a_passage_that_is_the_document_gets_a_sentence() -> None:
    doc = document("whole", "The gates were closed. The flood came.")
    bench = bench_of([doc], (WordEncoder(), WordEncoder(arm_b())))
    with pytest.raises(LaboratoryError, match="whole document"):
        late_context(bench, "flood", bench.corpus.passages[0].passage_id)


def test_a_passage_longer_than_the_window_gets_a_sentence() -> None:
    bench = _bench()
    with pytest.raises(LaboratoryError, match="no context fits"):
        late_context(bench, "flood", _passage(bench, "slides"), window_tokens=5)


def test_windows_grow_on_both_sides_up_to_the_document() -> None:
    text = "One one. Two two. Three three. Four four. Five five."
    inner = (18, 30)
    windows = [text[start:end] for start, end in nested_windows(text, inner)]
    assert windows[0] == "Three three."
    assert windows[-1] == text
    assert windows[1] == "Two two. Three three."
    assert windows[2] == "Two two. Three three. Four four."
    assert all(one in two for one, two in itertools.pairwise(windows))


def test_evidence_survives_json() -> None:
    bench = _bench()
    found = leave_sentences_out(bench, "flood", _passage(bench, "slides"))
    assert from_json(Evidence, to_json(found)) == found
    context = late_context(bench, "river", _passage(bench, "slides"))
    assert from_json(LateContext, to_json(context)) == context


HARBOUR = document(
    "harbour",
    "The old harbour wind. A storm broke the glass.\n\nThe glass of the harbour. Old wind and storm.",
)


def test_shares_of_a_real_backbone_add_up(tiny_arms: tuple[Arm, Arm]) -> None:
    for arm in tiny_arms:
        found = token_shares(arm, "old wind", HARBOUR.text)
        assert abs(found.residual) < 1e-5
        assert sum(share.share for share in found.shares) == pytest.approx(found.score, abs=1e-5)


def test_late_context_agrees_with_the_encoders_own_late_chunking(
    tiny_arms: tuple[Arm, Arm],
) -> None:
    bench = bench_of([HARBOUR], (tiny_arms[0].encoder, tiny_arms[1].encoder))  # type: ignore[arg-type]
    passage = bench.corpus.passages[1]
    found = late_context(bench, "old wind", passage.passage_id)
    for arm, side in zip(bench.arms, (found.a, found.b), strict=True):
        (inside,) = arm.encoder.encode_spans(HARBOUR.text, [(passage.start, passage.end)])  # type: ignore[attr-defined]
        vector = arm.encoder.encode(["old wind"], kind=TextKind.QUERY)[0]
        assert side.score_inside == pytest.approx(float(inside @ vector), abs=1e-5)
        assert side.cosine < 0.9999  # context reached it from before in both


def test_the_first_passage_of_a_causal_reader_is_not_touched_by_what_follows(
    tiny_arms: tuple[Arm, Arm],
) -> None:
    bench = bench_of([HARBOUR], (tiny_arms[0].encoder, tiny_arms[1].encoder))  # type: ignore[arg-type]
    found = late_context(bench, "old wind", bench.corpus.passages[0].passage_id)
    assert found.b.cosine == pytest.approx(1.0, abs=1e-5)
    assert found.a.cosine < 0.9999
