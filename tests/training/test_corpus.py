"""Texts and pairs: order from the seed, caps, exclusions, and messages that name the line."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from core.errors import DatasetError
from core.training.corpus import (
    PAIR_CAPS,
    read_pairs,
    text_files,
    token_stream,
    token_weights,
    windows,
)
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
    stream = token_stream(text_files(tmp_path), tokenizer(), chars_per_file=5)
    assert stream.tolist() == [4, 5, 7, 8]  # five characters are two words of each


def test_windows_hold_every_token_once_in_a_seeded_order() -> None:
    stream = np.arange(10, dtype=np.uint16)
    got = windows(stream, length=3, seed=1)
    assert sorted(got.flatten().tolist()) == list(range(9))  # the tenth does not fill a window
    np.testing.assert_array_equal(got, windows(stream, length=3, seed=1))
    assert {tuple(row) for row in got.tolist()} == {(0, 1, 2), (3, 4, 5), (6, 7, 8)}


def test_rare_tokens_weigh_more_and_none_weighs_nothing() -> None:
    # windows of two: entry 0 stands in all four, entry 1 in two, entry 3 in none
    stream = np.array([0, 1, 0, 0, 0, 1, 0, 2], dtype=np.uint16)
    weights = token_weights(stream, vocabulary=4, window=2)
    # ln(5/5) -> floor .05, ln(5/3), ln(5/2), ln(5/1); scaled by the last
    expected = np.array([0.05, np.log(5 / 3), np.log(5 / 2), np.log(5)]) / np.log(5)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


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
