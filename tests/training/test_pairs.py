"""Batches: what is pooled, who sits beside whom, long positives."""

from __future__ import annotations

import torch

from core.training.corpus import TrainingPair
from core.training.pairs import known_duplicates, long_batches, neighbour_batches, tokenised
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


def long_sources() -> list[TrainingPair]:
    return [pair(f"q{n}", f"answer number {n} " + "filler " * 20) for n in range(12)] + [
        pair(f"long q{n}", f"long answer {n} " + "much more " * 300, "book") for n in range(6)
    ]


def test_long_positives_hold_the_answer_somewhere() -> None:
    pairs = long_sources()
    answers = {one.query: one.positive for one in pairs}
    made = long_batches(pairs, count=8, batch=4, lengths=(1200, 2400), seed=0)
    assert [len(batch) for batch in made] == [4] * 8
    for number, batch in enumerate(made):
        assert len({one.query for one in batch}) == 4
        for one in batch:
            assert len(one.positive) >= (1200, 2400)[number % 2]
            if number % 4 == 1:
                assert one.query.startswith("what is the pass key of ")
                named = one.query.removeprefix("what is the pass key of ").rstrip("?")
                assert f"The pass key of {named} is " in one.positive
            elif number % 4 == 3:
                assert answers[one.query].startswith(one.positive)
            else:
                assert answers[one.query] in one.positive
    assert made == long_batches(pairs, count=8, batch=4, lengths=(1200, 2400), seed=0)


def test_an_answer_is_not_lost_behind_a_very_long_neighbour() -> None:
    pairs = [pair("q", "the short answer")] + [
        pair(f"other {n}", f"{n} " + "giant " * 5000) for n in range(9)
    ]
    for batch in long_batches(pairs, count=9, batch=4, lengths=(800,), seed=1)[::2]:
        for one in batch:
            assert len(one.positive) < 3 * 800 or one.query != "q"
            assert one.query != "q" or "the short answer" in one.positive


def test_without_long_texts_the_natural_turn_joins_short_ones() -> None:
    pairs = [pair(f"q{n}", f"answer number {n}") for n in range(8)]
    made = long_batches(pairs, count=4, batch=4, lengths=(300,), seed=0)
    assert all(len(one.positive) >= 300 for one in made[3])


def test_equal_texts_are_no_negatives_of_each_other() -> None:
    pairs = [pair("a", "x"), pair("b", "x"), pair("a", "y"), pair("c", "z")]
    expected = torch.tensor(
        [[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool
    )
    assert torch.equal(torch.from_numpy(known_duplicates(pairs)), expected)
