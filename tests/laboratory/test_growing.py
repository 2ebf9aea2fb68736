from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from core.errors import EncoderError, LaboratoryError, StoppedError
from core.laboratory.growing import GrowingText, Growth, grow
from core.laboratory.results import from_json, to_json
from tests.laboratory.stand_in import (
    RIVER,
    SPEC,
    WordEncoder,
    arm_b,
    bench_of,
    document,
    passage_with,
    word_bench,
)
from tests.monitors import StopWhenAsked


def test_the_first_point_is_the_passage_and_the_last_the_document() -> None:
    bench = word_bench()
    found = grow(bench, "flood", passage_with(bench, "slides"))
    passage = next(
        p for p in bench.corpus.passages if p.passage_id == passage_with(bench, "slides")
    )
    first, last = found.points_a[0], found.points_a[-1]
    assert (first.start, first.end) == (passage.start, passage.end)
    row = bench.corpus.position(passage.passage_id)
    vector = bench.a.encoder.encode(["flood"], kind="query")[0]  # type: ignore[arg-type]
    assert first.score == pytest.approx(float(bench.a.vectors[row] @ vector), abs=1e-6)
    assert last.end - last.start == len(RIVER.text)
    assert all(one.tokens < two.tokens for one, two in pairwise(found.points_a))


def test_padding_dilutes() -> None:
    bench = bench_of(
        [document("dilute", "Flood water.\n\nBread in the oven. A cake. Bread again.")],
        (WordEncoder(), WordEncoder(arm_b())),
    )
    found = grow(bench, "flood", bench.corpus.passages[0].passage_id)
    scores = [point.score for point in found.points_a]
    assert scores[0] == pytest.approx(1.0)
    assert scores == sorted(scores, reverse=True)
    assert found.points_a == found.points_b


def test_text_is_added_where_asked() -> None:
    bench = word_bench()
    passage = bench.corpus.passages[bench.corpus.position(passage_with(bench, "slides"))]
    before = grow(bench, "flood", passage.passage_id, growth=Growth.BEFORE)
    assert {point.end for point in before.points_a} == {passage.end}
    after = grow(bench, "flood", passage.passage_id, growth=Growth.AFTER)
    assert {point.start for point in after.points_a} == {passage.start}


def test_a_cut_passage_is_marked() -> None:
    bench = word_bench(WordEncoder(replace(SPEC, max_tokens=25)))
    found = grow(bench, "flood", passage_with(bench, "slides"), growth=Growth.AFTER)
    assert found.points_a[-1].tokens_kept == 25
    assert all(point.passage_kept for point in found.points_a)
    assert "it reads no more than 25 of them" in found.summary[0]
    assert "no more than" not in found.summary[1]
    before = grow(bench, "oven", bench.corpus.passages[-1].passage_id, growth=Growth.BEFORE)
    assert not before.points_a[-1].passage_kept
    assert before.points_b[-1].passage_kept
    assert "part of it is cut off" in before.summary[0]
    assert "cut off" not in before.summary[1]


def test_swapping_the_arms_mirrors_the_curves() -> None:
    a, b = WordEncoder(mix=0.5), WordEncoder(arm_b(), mix=0.5)
    one, two = (
        grow(bench, "flood", passage_with(bench, "slides"))
        for bench in (word_bench(a, b), word_bench(b, a))
    )
    assert (one.points_a, one.points_b) == (two.points_b, two.points_a)


def test_bad_input_gets_a_sentence() -> None:
    bench = word_bench()
    with pytest.raises(LaboratoryError, match="does not fit into 16 tokens"):
        grow(bench, "flood", passage_with(bench, "slides"), largest_tokens=16)
    alone = bench_of([document("one", "gate flood")], (WordEncoder(), WordEncoder(arm_b())))
    with pytest.raises(LaboratoryError, match="no text around"):
        grow(alone, "flood", alone.corpus.passages[0].passage_id)
    first = next(p for p in bench.corpus.passages if p.doc_id == RIVER.doc_id)
    with pytest.raises(LaboratoryError, match="no text before"):
        grow(bench, "flood", first.passage_id, growth=Growth.BEFORE)


def test_stop_and_failure_keep_what_was_done() -> None:
    bench = word_bench()
    stopped = grow(bench, "flood", passage_with(bench, "slides"), monitor=StopWhenAsked(3))
    assert stopped.stopped
    assert (len(stopped.points_a), len(stopped.points_b)) == (2, 1)
    with pytest.raises(StoppedError):
        grow(bench, "flood", passage_with(bench, "slides"), monitor=StopWhenAsked(0))
    bench.b.encoder._fails_after = bench.b.encoder.encoded + 2  # type: ignore[attr-defined]
    failed = grow(bench, "flood", passage_with(bench, "slides"))
    assert len(failed.points_b) == 1
    assert len(failed.points_a) > 1
    assert "Words B failed" in failed.problem
    bench.a.encoder._fails_after = 0  # type: ignore[attr-defined]
    with pytest.raises(EncoderError, match="Words A failed"):
        grow(bench, "flood", passage_with(bench, "slides"))


def test_the_curves_survive_json() -> None:
    bench = word_bench()
    found = grow(bench, "flood", passage_with(bench, "slides"))
    assert from_json(GrowingText, to_json(found)) == found
