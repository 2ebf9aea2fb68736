"""Batches: what is pooled, who sits beside whom, long positives."""

from __future__ import annotations

import torch

from core.training.corpus import TrainingPair
from core.training.pairs import known_duplicates, long_pairs, neighbour_batches, tokenised
from tests.training.tiny import tokenizer


def pair(query: str, positive: str, source: str = "s") -> TrainingPair:
    return TrainingPair(query=query, positive=positive, source=source)


def test_prompt_is_read_but_not_pooled_and_padding_is_neither() -> None:
    batch = tokenised(
        ["w1 w2", "w3"], prompt="w0 : ", tokenizer=tokenizer(), max_tokens=9, padding_id=2
    )
    assert batch.token_ids.tolist() == [[4, 3, 5, 6], [4, 3, 7, 2]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch.pooled.tolist() == [[0, 0, 1, 1], [0, 0, 1, 0]]


def test_texts_are_cut_and_an_empty_one_still_has_a_token() -> None:
    batch = tokenised(
        ["w1 w2 w3", ""], prompt="", tokenizer=tokenizer(), max_tokens=2, padding_id=2
    )
    assert batch.token_ids.tolist() == [[5, 6], [2, 2]]
    assert batch.attention_mask.tolist() == [[1, 1], [1, 0]]
    assert batch.pooled.tolist() == [[1, 1], [1, 0]]


def test_batches_hold_one_source_and_put_resembling_pairs_together() -> None:
    animals = [pair(f"cat dog {n}", f"the cat and the dog number {n}") for n in range(4)]
    metals = [pair(f"iron gold {n}", f"iron and gold number {n}") for n in range(4)]
    other = [pair(f"x {n}", f"text {n}", "t") for n in range(5)]
    pairs = [*animals, *metals, *other]
    batches = neighbour_batches(pairs, batch=4, group=4, seed=0)
    assert sorted(map(len, batches)) == [4, 4, 4]  # the fifth of source t fills no batch
    found = {frozenset(batch) for batch in batches}
    assert frozenset(range(4)) in found
    assert frozenset(range(4, 8)) in found
    assert batches == neighbour_batches(pairs, batch=4, group=4, seed=0)


def test_no_pair_is_used_twice() -> None:
    pairs = [pair(f"word{n % 3} {n}", f"word{n % 3} answer {n}") for n in range(20)]
    batches = neighbour_batches(pairs, batch=5, group=3, seed=2)
    used = [place for batch in batches for place in batch]
    assert len(used) == len(set(used)) == 20


def test_long_positives_hold_the_answer_somewhere() -> None:
    pairs = [pair(f"q{n}", f"answer number {n} " + "filler " * 20) for n in range(12)]
    answers = {one.query: one.positive for one in pairs}
    made = long_pairs(pairs, count=30, characters=1200, seed=0)
    assert len(made) == 30
    kinds = set()
    for one in made:
        assert len(one.positive) >= 1200
        is_key = one.query.startswith("what is the pass key")
        kinds.add(is_key)
        if not is_key:
            assert answers[one.query] in one.positive
        else:
            assert "The pass key of" in one.positive
    assert kinds == {True, False}
    assert made == long_pairs(pairs, count=30, characters=1200, seed=0)


def test_equal_texts_are_no_negatives_of_each_other() -> None:
    pairs = [pair("a", "x"), pair("b", "x"), pair("a", "y"), pair("c", "z")]
    expected = torch.tensor(
        [[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool
    )
    assert torch.equal(torch.from_numpy(known_duplicates(pairs)), expected)
