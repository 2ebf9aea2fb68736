"""Texts and pairs: order, caps, exclusions, batches, long texts, messages that name the line."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from core.errors import DatasetError
from core.training.data import (
    PAIR_CAPS,
    TrainingPair,
    known_duplicates,
    neighbour_batches,
    read_pairs,
    text_files,
    token_stream,
    tokenised,
)
from core.training.facts import long_batch
from tests.training.tiny import tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.write(text)


def write_pairs(path: Path, rows: list[dict[str, Any]]) -> None:
    write(path, "".join(json.dumps(row) + "\n" for row in rows))


def test_texts_that_tests_use_are_left_out(tmp_path: Path) -> None:
    for name in ("fairytales", "public_domain_books", "b", "a"):
        write(tmp_path / f"{name}.txt.gz", "w1")
    assert [path.name for path in text_files(tmp_path)] == ["a.txt.gz", "b.txt.gz"]
    with pytest.raises(DatasetError, match=r"no \*\.txt\.gz"):
        text_files(tmp_path / "none")


def test_stream_is_the_beginning_of_every_file(tmp_path: Path) -> None:
    write(tmp_path / "a.txt.gz", "w0 w1 w2")
    write(tmp_path / "b.txt.gz", "w3 w4 w5")
    stream = token_stream(text_files(tmp_path), tokenizer(), chars={"b": 2}, others=5)
    # five characters of the first file are two words, two of the second are one
    assert stream.tolist() == [4, 5, 7]


def test_pairs_are_capped_chosen_by_seed_and_cleaned(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"query": f"q{n}", "positive": f"p{n}"} for n in range(9)]
    rows += [
        {"query": "shared", "positive": "concept", "in_theoremqa": True},
        {"query": " ", "positive": "empty query"},
    ]
    write_pairs(tmp_path / "one.jsonl.gz", rows)
    every = read_pairs(tmp_path, {"one": 100}, seed=0)
    assert len(every) == 9
    some = read_pairs(tmp_path, {"one": 3}, seed=0)
    assert some == every[:3]
    assert some == read_pairs(tmp_path, {"one": 3}, seed=0)
    assert some != read_pairs(tmp_path, {"one": 3}, seed=1)


def test_a_line_that_is_no_pair_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path / "one.jsonl.gz", [{"query": "q", "positive": "p"}, {"query": "q"}])
    with pytest.raises(DatasetError, match="line 2"):
        read_pairs(tmp_path, {"one": 5}, seed=0)
    with pytest.raises(DatasetError, match="absent"):
        read_pairs(tmp_path, {"absent": 5}, seed=0)


def test_scifact_stays_zero_shot() -> None:
    assert "scifact_train" not in PAIR_CAPS


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
    together = {frozenset(batch) for batch in batches}
    assert frozenset(animals) in together
    assert frozenset(metals) in together
    assert batches == neighbour_batches(pairs, batch=4, group=4, seed=0)


def test_no_pair_is_used_twice() -> None:
    pairs = [pair(f"word{n % 3} {n}", f"word{n % 3} answer {n}") for n in range(20)]
    batches = neighbour_batches(pairs, batch=5, group=3, seed=2)
    used = [one for batch in batches for one in batch]
    assert len(used) == len(set(used)) == 20


def test_long_texts_share_their_filler_and_hold_the_answer_anywhere() -> None:
    pairs = [pair(f"q{n}", f"Answer number {n} is here.") for n in range(12)]
    made = long_batch(pairs, "One. Two. Three", size=12, tokens=60, facts=False, seed=3)
    answers = {one.query: one.positive for one in pairs}
    depths = []
    for one in made:
        before, answer, after = one.positive.partition(answers[one.query])
        assert answer
        assert set((before + after).replace("One. Two. Three.", "").split()) <= {
            "One.",
            "Two.",
            "Three.",
        }
        depths.append(len(before) / len(one.positive))
    assert 200 < min(len(one.positive) for one in made) < 300  # 60 tokens of four characters
    assert min(depths) < 0.2
    assert max(depths) > 0.8
    assert made == long_batch(pairs, "One. Two. Three", size=12, tokens=60, facts=False, seed=3)


def test_invented_facts_differ_in_the_name_alone() -> None:
    made = long_batch([], "Filler", size=20, tokens=10, facts=True, seed=1)
    assert len({one.query for one in made}) == 20
    assert all(one.source == "long" for one in made)
    first = {word for one in made for word in one.query.split()}
    assert len(first) < 60  # names overlap: 20 queries of one wording


def test_equal_texts_are_no_negatives_of_each_other() -> None:
    pairs = [pair("a", "x"), pair("b", "x"), pair("a", "y"), pair("c", "z")]
    expected = torch.tensor(
        [[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool
    )
    assert torch.equal(torch.from_numpy(known_duplicates(pairs)), expected)
