from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from core.codec import from_json, to_json
from core.errors import EncoderError, LaboratoryError, StoppedError
from core.experiments.growing import GrowingText, Growth, grow
from tests.experiments.stand_in import (
    RIVER,
    SPEC,
    WordEncoder,
    context_of,
    document,
    passage_with,
    spec_b,
    word_context,
)
from tests.monitors import StopWhenAsked


def test_the_first_point_is_the_passage_and_the_last_the_document() -> None:
    context = word_context()
    found = grow(context, "flood", passage_with(context, "slides"))
    passage = next(
        p for p in context.corpus.passages if p.passage_id == passage_with(context, "slides")
    )
    first, last = found.points_a[0], found.points_a[-1]
    assert (first.start, first.end) == (passage.start, passage.end)
    row = context.corpus.position(passage.passage_id)
    vector = context.a.encoder.encode(["flood"], kind="query")[0]  # type: ignore[arg-type]
    assert first.score == pytest.approx(float(context.a.vectors[row] @ vector), abs=1e-6)
    assert last.end - last.start == len(RIVER.text)
    assert all(one.tokens < two.tokens for one, two in pairwise(found.points_a))


def test_padding_dilutes() -> None:
    context = context_of(
        [document("dilute", "Flood water.\n\nBread in the oven. A cake. Bread again.")],
        (WordEncoder(), WordEncoder(spec_b())),
    )
    found = grow(context, "flood", context.corpus.passages[0].passage_id)
    scores = [point.score for point in found.points_a]
    assert scores[0] == pytest.approx(1.0)
    assert scores == sorted(scores, reverse=True)
    assert found.points_a == found.points_b


def test_text_is_added_where_asked() -> None:
    context = word_context()
    passage = context.corpus.passages[context.corpus.position(passage_with(context, "slides"))]
    before = grow(context, "flood", passage.passage_id, growth=Growth.BEFORE)
    assert {point.end for point in before.points_a} == {passage.end}
    after = grow(context, "flood", passage.passage_id, growth=Growth.AFTER)
    assert {point.start for point in after.points_a} == {passage.start}


def test_a_cut_passage_is_marked() -> None:
    context = word_context(WordEncoder(replace(SPEC, max_tokens=25)))
    found = grow(context, "flood", passage_with(context, "slides"), growth=Growth.AFTER)
    assert found.points_a[-1].tokens_kept == 25
    assert all(point.passage_kept for point in found.points_a)
    assert "it reads no more than 25 of them" in found.summary[0]
    assert "no more than" not in found.summary[1]
    before = grow(context, "oven", context.corpus.passages[-1].passage_id, growth=Growth.BEFORE)
    assert not before.points_a[-1].passage_kept
    assert before.points_b[-1].passage_kept
    assert "part of it is cut off" in before.summary[0]
    assert "cut off" not in before.summary[1]


def test_swapping_the_encoders_mirrors_the_curves() -> None:
    a, b = WordEncoder(mix=0.5), WordEncoder(spec_b(), mix=0.5)
    one, two = (
        grow(context, "flood", passage_with(context, "slides"))
        for context in (word_context(a, b), word_context(b, a))
    )
    assert (one.points_a, one.points_b) == (two.points_b, two.points_a)


def test_bad_input_gets_a_sentence() -> None:
    context = word_context()
    with pytest.raises(LaboratoryError, match="does not fit into 16 tokens"):
        grow(context, "flood", passage_with(context, "slides"), largest_tokens=16)
    alone = context_of([document("one", "gate flood")], (WordEncoder(), WordEncoder(spec_b())))
    with pytest.raises(LaboratoryError, match="no text around"):
        grow(alone, "flood", alone.corpus.passages[0].passage_id)
    first = next(p for p in context.corpus.passages if p.doc_id == RIVER.doc_id)
    with pytest.raises(LaboratoryError, match="no text before"):
        grow(context, "flood", first.passage_id, growth=Growth.BEFORE)


def test_stop_and_failure_keep_what_was_done() -> None:
    context = word_context()
    stopped = grow(context, "flood", passage_with(context, "slides"), monitor=StopWhenAsked(3))
    assert stopped.stopped
    assert (len(stopped.points_a), len(stopped.points_b)) == (2, 1)
    with pytest.raises(StoppedError):
        grow(context, "flood", passage_with(context, "slides"), monitor=StopWhenAsked(0))
    context.b.encoder._fails_after = context.b.encoder.encoded + 2  # type: ignore[attr-defined]
    failed = grow(context, "flood", passage_with(context, "slides"))
    assert len(failed.points_b) == 1
    assert len(failed.points_a) > 1
    assert "Words B failed" in failed.problem
    context.a.encoder._fails_after = 0  # type: ignore[attr-defined]
    with pytest.raises(EncoderError, match="Words A failed"):
        grow(context, "flood", passage_with(context, "slides"))


def test_the_curves_survive_json() -> None:
    context = word_context()
    found = grow(context, "flood", passage_with(context, "slides"))
    assert from_json(GrowingText, to_json(found)) == found
