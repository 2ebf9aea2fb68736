from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from core.codec import from_json, to_json
from core.errors import LaboratoryError, StoppedError
from core.experiments.context import Context
from core.experiments.hidden_key import (
    HiddenKeyMap,
    draw_keys,
    first_place,
    hidden_key,
    plant,
)
from tests.experiments.stand_in import (
    RIVER,
    SPEC,
    WordEncoder,
    context_of,
    hash_of,
    spec_b,
)
from tests.monitors import StopWhenDone

TEXT = " ".join(f"Sentence number {number} tells of the river." for number in range(60))


class NameEncoder(WordEncoder):
    """Hears names: an unknown word has a dimension by its hash, so that keys differ."""

    def _concept(self, word: str) -> int:  # type: ignore[explicit-override]
        return hash_of(word.casefold()) % self.spec.dimension


def _context(limit_a: int = 4096, limit_b: int = 4096) -> Context:
    return context_of(
        [RIVER],
        (
            NameEncoder(replace(SPEC, dimension=997, max_tokens=limit_a)),
            NameEncoder(spec_b(dimension=997, max_tokens=limit_b)),
        ),
    )


def test_a_reader_of_names_finds_every_key_until_it_is_cut() -> None:
    found = hidden_key(_context(limit_b=64), TEXT, lengths=(48, 128), depths=(0.0, 1.0), copies=4)
    by_place = {(cell.length, cell.depth): cell for cell in found.cells}
    assert len(by_place) == 4
    assert {cell.accuracy_a for cell in found.cells} == {1.0}
    assert {cell.accuracy_lexical for cell in found.cells} == {1.0}
    assert by_place[(128, 0.0)].accuracy_b == 1.0
    # B reads 64 of 128 tokens: the key at the end is never seen, and four equal copies tie
    last = by_place[(128, 1.0)]
    assert (last.kept_b, last.accuracy_b, last.ceiling_b) == (0.0, 0.25, 0.25)
    assert (last.kept_a, last.ceiling_a) == (1.0, 1.0)
    assert found.ceiling(128) == (1.0, (1.0 + 0.25) / 2)
    assert found.truncation_b == 64
    assert math.isnan(found.ceiling(999)[0])
    # A 1, B (1 + 1 + 1 + 1/4) / 4, BM25 1
    assert found.summary == (
        "Keys found over 4 cells: Words A 100 %, Words B 81 %, BM25 100 %; guessing finds 25 %.",
        "Words B stops reading at 64 tokens: in 1 of 4 cells the key lies beyond, and what is "
        "missed there says nothing about the encoder.",
    )


def test_lengths_are_what_they_say() -> None:
    found = hidden_key(_context(), TEXT, lengths=(48, 128), depths=(0.5,), copies=3)
    for cell in found.cells:
        assert 0.75 * cell.length <= cell.tokens_a <= cell.length


def test_an_encoder_deaf_to_names_is_at_chance() -> None:
    # the text's numbers would tell copies apart; the stand-in hears all numbers as one
    context = context_of([RIVER], (WordEncoder(), WordEncoder(spec_b())))
    found = hidden_key(context, TEXT, lengths=(64,), depths=(0.5,), copies=4)
    assert found.cells[0].accuracy_a == found.chance == 0.25


def test_ties_for_first_are_shared() -> None:
    scores = np.array([[0.9, 0.1], [0.5, 0.5]], np.float32)
    assert first_place(scores) == 0.75
    assert first_place(np.array([[0.1, 0.9], [0.9, 0.1]], np.float32)) == 0.0


def test_keys_differ_and_follow_the_seed() -> None:
    keys = draw_keys(100, seed=1)
    assert len({key.name for key in keys}) == len({key.number for key in keys}) == 100
    assert keys == draw_keys(100, seed=1)
    assert keys != draw_keys(100, seed=2)
    assert keys[0].name in keys[0].query
    assert str(keys[0].number) in keys[0].sentence


@pytest.mark.parametrize(
    ("depth", "text"),
    [
        (0.0, "KEY. One one. Two two. Three three."),
        (0.4, "One one. KEY. Two two. Three three."),
        (1.0, "One one. Two two. Three three. KEY."),
    ],
)
def test_a_sentence_is_planted_between_sentences(depth: float, text: str) -> None:
    planted, start, end = plant("One one. Two two. Three three.", "KEY.", depth)
    assert planted == text
    assert planted[start:end] == "KEY."


def test_the_same_encoder_on_both_sides_gives_the_same_map() -> None:
    found = hidden_key(_context(), TEXT, lengths=(48,), depths=(0.0, 0.5), copies=3)
    for cell in found.cells:
        assert cell.accuracy_a == cell.accuracy_b
        assert cell.ceiling_a == cell.ceiling_b


def test_swapping_the_encoders_mirrors_the_map() -> None:
    one = hidden_key(_context(64, 4096), TEXT, lengths=(48, 128), depths=(1.0,), copies=3)
    two = hidden_key(_context(4096, 64), TEXT, lengths=(48, 128), depths=(1.0,), copies=3)
    for first, second in zip(one.cells, two.cells, strict=True):
        assert (first.accuracy_a, first.ceiling_a) == (second.accuracy_b, second.ceiling_b)


def test_a_document_shorter_than_the_key_gets_a_sentence() -> None:
    with pytest.raises(LaboratoryError, match="hidden sentence alone needs"):
        hidden_key(_context(), "A short river.")


def test_a_document_shorter_than_every_length_gets_a_sentence() -> None:
    with pytest.raises(LaboratoryError, match="shorter than every length asked for"):
        hidden_key(_context(), TEXT[:200], lengths=(512,))


def test_lengths_beyond_the_document_are_left_out_and_said() -> None:
    found = hidden_key(_context(), TEXT, lengths=(64, 4000), depths=(0.5,), copies=2)
    assert found.lengths == (64,)
    assert any("does not fit 4,000 tokens" in note for note in found.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lengths": ()}, "Lengths must be"),
        ({"lengths": (8,)}, "Lengths must be"),
        ({"depths": (1.5,)}, "Depths must lie"),
        ({"depths": ()}, "Depths must lie"),
        ({"copies": 1}, "choose 2 to 100"),
    ],
)
def test_options_out_of_range_get_a_sentence(options: dict[str, object], words: str) -> None:
    with pytest.raises(LaboratoryError, match=words):
        hidden_key(_context(), TEXT, **options)  # type: ignore[arg-type]


def test_unreadable_text_gets_a_sentence() -> None:
    with pytest.raises(LaboratoryError, match="document holds no readable"):
        hidden_key(_context(), "· · ·")


def test_stop_keeps_finished_cells() -> None:
    watch = StopWhenDone(3)
    found = hidden_key(
        _context(), TEXT, lengths=(48, 64), depths=(0.0, 1.0), copies=2, monitor=watch
    )
    assert found.stopped
    assert [(cell.length, cell.depth) for cell in found.cells] == [(48, 0.0), (48, 1.0), (64, 0.0)]
    assert (watch.reports[0].done, watch.reports[0].total) == (0, 4)
    with pytest.raises(StoppedError):
        hidden_key(_context(), TEXT, lengths=(48,), copies=2, monitor=StopWhenDone(0))


def test_an_encoder_that_fails_half_way_leaves_the_other_going() -> None:
    context = _context()
    context.b.encoder._fails_after = context.b.encoder.encoded + 6  # type: ignore[attr-defined]
    found = hidden_key(context, TEXT, lengths=(48, 64), depths=(0.0, 1.0), copies=3)
    assert [math.isnan(cell.accuracy_b) for cell in found.cells] == [False, True, True, True]
    assert [cell.accuracy_a for cell in found.cells] == [1.0] * 4
    assert "Words B failed" in found.problem


def test_the_map_survives_json() -> None:
    found = hidden_key(_context(), TEXT, lengths=(48,), depths=(0.5,), copies=2)
    assert from_json(HiddenKeyMap, to_json(found)) == found
