from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.codec import from_json, to_json
from core.encoders.spec import Attention
from core.errors import EncoderError, LaboratoryError, StoppedError
from core.experiments.attention import (
    AttentionSwitch,
    Mode,
    reverse_sentences,
    state_change,
    switch_attention,
)
from core.experiments.context import Context, IndexedEncoder
from tests.experiments.stand_in import (
    KITCHEN,
    RIVER,
    SPEC,
    WordEncoder,
    context_of,
    document,
    passage_with,
    spec_b,
)
from tests.monitors import StopWhenAsked


def _context(a: WordEncoder | None = None, b: WordEncoder | None = None) -> Context:
    return context_of(
        [RIVER, KITCHEN], (a or WordEncoder(mix=0.5), b or WordEncoder(spec_b(), mix=0.5))
    )


def _mode(found: AttentionSwitch, side: str, mode: Mode):  # type: ignore[no-untyped-def]
    indexed = found.a if side == "a" else found.b
    return next(outcome for outcome in indexed.outcomes if outcome.mode is mode)


def test_reading_as_usual_changes_nothing() -> None:
    context = _context()
    found = switch_attention(context, "flood", passage_with(context, "slides"))
    for side, native in (("a", Mode.FULL), ("b", Mode.CAUSAL)):
        outcome = _mode(found, side, native)
        assert outcome.is_native
        assert outcome.cosine == pytest.approx(1.0, abs=1e-6)
        assert {token.change for token in outcome.strip} == {0.0}
        others = [mode for mode in Mode if mode is not native]
        assert all(
            _mode(found, side, mode).cosine < 1.0 for mode in others if mode is not Mode.REVERSED
        )


def test_only_the_papers_modes_are_not_marked_as_bifocals_own() -> None:
    context = _context()
    found = switch_attention(context, "flood", passage_with(context, "slides"))
    own = {outcome.mode for outcome in found.a.outcomes if outcome.is_own}
    assert own == {Mode.BACKWARD, Mode.REVERSED}


def test_a_bag_of_words_does_not_care() -> None:
    context = _context(WordEncoder(), WordEncoder(spec_b()))
    found = switch_attention(context, "flood", passage_with(context, "slides"))
    for outcome in (*found.a.outcomes, *found.b.outcomes):
        assert outcome.cosine == pytest.approx(1.0, abs=1e-6)
        assert outcome.rank == found.a.outcomes[0].rank
        assert all(token.change == 0.0 for token in outcome.strip)
    rank = found.a.outcomes[0].rank
    assert found.summary[0].startswith(
        "Words A reads in both directions; made to read forward only, it still ranks the passage"
    )
    assert f"{rank}" in found.summary[0]
    assert found.summary[1].startswith("Words B reads forward only; made to read in both")


def test_the_first_token_of_a_causal_reader_sees_nothing_and_backward_everything() -> None:
    context = _context()
    found = switch_attention(context, "flood", passage_with(context, "slides"))
    causal = _mode(found, "a", Mode.CAUSAL).strip
    # A usually mixes in what follows; causally its first token stands alone
    assert causal[0].change > 0
    backward = _mode(found, "b", Mode.BACKWARD).strip
    assert backward[-1].change > 0


def test_the_same_encoder_on_both_sides_gives_the_same_figures() -> None:
    twin = WordEncoder(spec_b(attention=Attention.BIDIRECTIONAL), mix=0.5)
    context = _context(WordEncoder(mix=0.5), twin)
    found = switch_attention(context, "flood", passage_with(context, "slides"))
    assert found.a.outcomes == found.b.outcomes


def test_swapping_the_encoders_mirrors_the_figures() -> None:
    a, b = WordEncoder(mix=0.5), WordEncoder(spec_b(), mix=0.5)
    one = switch_attention(_context(a, b), "flood", passage_with(_context(a, b), "slides"))
    two = switch_attention(_context(b, a), "flood", passage_with(_context(a, b), "slides"))
    assert (one.a, one.b, one.candidates) == (two.b, two.a, two.candidates)


def test_candidates_hold_the_right_passage_and_are_as_many_as_asked() -> None:
    context = _context()
    found = switch_attention(
        context, "flood", passage_with(context, "slides"), candidates=4, modes=(Mode.FULL,)
    )
    assert found.passage_id in found.candidates
    assert len(found.candidates) == 4
    assert list(found.candidates) == sorted(found.candidates)
    assert "4 candidate passages" in found.notes[0]
    again = switch_attention(
        context, "flood", passage_with(context, "slides"), candidates=4, modes=(Mode.FULL,)
    )
    assert again == found


def test_reversing_keeps_sentences_and_says_where_characters_came_from() -> None:
    text = "One two. Three four.\nFive."
    turned, origin = reverse_sentences(text)
    assert turned == "Five. Three four. One two."
    assert [text[place] if place >= 0 else " " for place in origin] == list(turned)


@given(st.lists(st.sampled_from(["Gate.", "The flood came.", "Bread was hot."]), max_size=6))
def test_reversing_twice_gives_the_sentences_back(sentences: list[str]) -> None:
    text = " ".join(sentences)
    assert reverse_sentences(reverse_sentences(text)[0])[0] == text


def test_reversed_tokens_are_compared_with_themselves() -> None:
    # without mixing a token's state is its own wherever it stands; with it, neighbours count
    context = _context(WordEncoder(), WordEncoder(spec_b(), mix=0.9))
    found = switch_attention(
        context, "flood", passage_with(context, "slides"), modes=(Mode.REVERSED,)
    )
    assert all(token.change == 0.0 for token in found.a.outcomes[0].strip)
    assert any(token.change > 0.01 for token in found.b.outcomes[0].strip)
    text = next(p.text for p in context.corpus.passages if p.passage_id == found.passage_id)
    for token in found.b.outcomes[0].strip:
        assert text[token.start : token.end] == token.token
        assert not math.isnan(token.change)


def test_state_change_is_zero_for_equals_and_two_for_opposites() -> None:
    one = np.array([1, 0], np.float32)
    assert state_change(one, one) == 0.0
    assert state_change(one, -one) == 2.0
    assert state_change(one, np.zeros(2, np.float32)) == 1.0


def test_bad_input_gets_a_sentence() -> None:
    context = _context()
    with pytest.raises(LaboratoryError, match="choose 2 or more"):
        switch_attention(context, "flood", passage_with(context, "slides"), candidates=1)
    with pytest.raises(LaboratoryError, match="query holds no readable"):
        switch_attention(context, "?", passage_with(context, "slides"))
    alone = context_of([document("one", "gate flood")], (WordEncoder(), WordEncoder(spec_b())))
    with pytest.raises(LaboratoryError, match="one passage"):
        switch_attention(alone, "flood", alone.corpus.passages[0].passage_id)


def test_stop_keeps_what_was_done() -> None:
    context = _context()
    found = switch_attention(
        context, "flood", passage_with(context, "slides"), monitor=StopWhenAsked(3)
    )
    assert found.stopped
    assert [len(found.a.outcomes), len(found.b.outcomes)] == [2, 1]
    with pytest.raises(StoppedError):
        switch_attention(
            context, "flood", passage_with(context, "slides"), monitor=StopWhenAsked(0)
        )


def test_an_encoder_that_cannot_be_traced_leaves_the_other() -> None:
    class NoTrace(WordEncoder):
        broken = False

        def trace(self, texts, *, kind, attention=None):  # type: ignore[no-untyped-def, explicit-override]
            if self.broken and attention is Attention.CAUSAL:
                raise RuntimeError("no mask here")
            return super().trace(texts, kind=kind, attention=attention)

    shy = NoTrace(mix=0.5)
    context = _context(shy)
    shy.broken = True
    found = switch_attention(context, "flood", passage_with(context, "slides"))
    assert [outcome.mode for outcome in found.a.outcomes] == [Mode.FULL]
    assert "Words A failed" in found.a.problem
    assert len(found.b.outcomes) == 4
    both = NoTrace(spec_b(attention=Attention.BIDIRECTIONAL), mix=0.5)
    shy.broken = False
    context = _context(shy, both)
    shy.broken = both.broken = True
    with pytest.raises(EncoderError, match=r"Words A failed.*Words B failed"):
        switch_attention(context, "flood", passage_with(context, "slides"), modes=(Mode.CAUSAL,))


def test_the_figures_survive_json() -> None:
    context = _context()
    found = switch_attention(context, "flood", passage_with(context, "slides"))
    assert from_json(AttentionSwitch, to_json(found)) == found


def test_a_real_backbone_reads_in_every_mode(
    tiny_encoders: tuple[IndexedEncoder, IndexedEncoder],
) -> None:
    doc = document(
        "tiny",
        "The old harbour wind. A storm broke.\n\nThe glass of the harbour.\n\nWind and wind.",
    )
    encoders = (tiny_encoders[0].encoder, tiny_encoders[1].encoder)
    context = context_of([doc], encoders)  # type: ignore[arg-type]
    found = switch_attention(context, "old wind", context.corpus.passages[0].passage_id)
    assert [outcome.mode for outcome in found.a.outcomes] == list(Mode)
    full = _mode(found, "a", Mode.FULL)
    assert full.is_native
    assert full.cosine == pytest.approx(1.0, abs=1e-5)
    causal = _mode(found, "a", Mode.CAUSAL)
    assert causal.cosine < 0.9999


def test_reversing_what_has_no_other_order_is_said() -> None:
    one = context_of(
        [document("one", "The gates were closed.\n\nBread. Cake.")],
        (WordEncoder(), WordEncoder(spec_b())),
    )
    found = switch_attention(one, "gate", passage_with(one, "gates"))
    assert any("reversed it is the same text" in note for note in found.notes)
    cut = _context(WordEncoder(replace(SPEC, max_tokens=8), mix=0.5))
    found = switch_attention(cut, "flood", passage_with(cut, "slides"))
    (note,) = (note for note in found.notes if "another part of it" in note)
    assert note.startswith("Words A reads 8 of the passage's 21 tokens")
