import itertools
from dataclasses import replace

import numpy as np
import pytest

from core.encoders.spec import Pooling, TextKind
from core.errors import LaboratoryError
from core.experiments.context import IndexedEncoder
from core.experiments.late_context import late_context, nested_windows
from tests.experiments.stand_in import (
    HARBOUR,
    RIVER,
    SPEC,
    WordEncoder,
    context_of,
    document,
    passage_with,
    spec_b,
    word_context,
)


def test_context_changes_nothing_where_tokens_do_not_see_each_other() -> None:
    context = word_context()
    found = late_context(context, "river", passage_with(context, "slides"))
    assert found.a.cosine == pytest.approx(1.0, abs=1e-6)
    assert found.a.score_inside == pytest.approx(found.a.score_alone, abs=1e-6)
    assert found.a.rank_inside == found.a.rank_alone
    assert found.a.passages_inside == 4
    assert (found.a.window_start, found.a.window_end) == (0, len(RIVER.text))


def test_context_reaches_a_causal_passage_only_from_before() -> None:
    context = word_context(WordEncoder(mix=0.9), WordEncoder(spec_b(), mix=0.9))
    first = context.corpus.passages[
        [p.doc_id for p in context.corpus.passages].index(RIVER.doc_id)
    ].passage_id
    found = late_context(context, "river", first)  # the heading: nothing stands before it
    assert found.b.cosine == pytest.approx(1.0, abs=1e-6)
    assert found.a.cosine < 0.999


def test_a_long_document_is_read_through_one_window_for_both_encoders() -> None:
    context = word_context(WordEncoder(replace(SPEC, max_tokens=30)), WordEncoder(spec_b()))
    passage_id = passage_with(context, "slides")
    found = late_context(context, "river", passage_id)
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
    context = context_of([doc], (last, last))
    found = late_context(context, "gate", context.corpus.passages[0].passage_id)
    # alone and inside the document the passage ends in "gate"
    assert found.a.score_inside == pytest.approx(1.0)
    assert last.encode(["bread gate"], kind=TextKind.PASSAGE)[0, 0] == 1.0


def test_a_passage_that_is_the_document_gets_a_sentence() -> None:
    doc = document("whole", "The gates were closed. The flood came.")
    context = context_of([doc], (WordEncoder(), WordEncoder(spec_b())))
    with pytest.raises(LaboratoryError, match="whole document"):
        late_context(context, "flood", context.corpus.passages[0].passage_id)


def test_a_passage_longer_than_the_window_gets_a_sentence() -> None:
    context = word_context()
    with pytest.raises(LaboratoryError, match="no context fits"):
        late_context(context, "flood", passage_with(context, "slides"), window_tokens=5)


def test_windows_grow_on_both_sides_up_to_the_document() -> None:
    text = "One one. Two two. Three three. Four four. Five five."
    inner = (18, 30)
    windows = [text[start:end] for start, end in nested_windows(text, inner)]
    assert windows[0] == "Three three."
    assert windows[-1] == text
    assert windows[1] == "Two two. Three three."
    assert windows[2] == "Two two. Three three. Four four."
    assert all(one in two for one, two in itertools.pairwise(windows))


def test_late_context_agrees_with_the_encoders_own_late_chunking(
    tiny_encoders: tuple[IndexedEncoder, IndexedEncoder],
) -> None:
    context = context_of([HARBOUR], (tiny_encoders[0].encoder, tiny_encoders[1].encoder))  # type: ignore[arg-type]
    passage = context.corpus.passages[1]
    found = late_context(context, "old wind", passage.passage_id)
    for indexed, side in zip(context.encoders, (found.a, found.b), strict=True):
        (inside,) = indexed.encoder.encode_spans(HARBOUR.text, [(passage.start, passage.end)])  # type: ignore[attr-defined]
        vector = indexed.encoder.encode(["old wind"], kind=TextKind.QUERY)[0]
        assert side.score_inside == pytest.approx(float(inside @ vector), abs=1e-5)
        assert side.cosine < 0.9999  # context reached it from before in both


def test_the_first_passage_of_a_causal_reader_is_not_touched_by_what_follows(
    tiny_encoders: tuple[IndexedEncoder, IndexedEncoder],
) -> None:
    context = context_of([HARBOUR], (tiny_encoders[0].encoder, tiny_encoders[1].encoder))  # type: ignore[arg-type]
    found = late_context(context, "old wind", context.corpus.passages[0].passage_id)
    assert found.b.cosine == pytest.approx(1.0, abs=1e-5)
    assert found.a.cosine < 0.9999
