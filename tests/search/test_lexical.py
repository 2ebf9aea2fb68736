"""BM25: equal to bm25s with its defaults, deterministic, and honest about unknown words."""

from __future__ import annotations

import math

import bm25s  # type: ignore[import-untyped]
import numpy as np
import pytest

from core.errors import IndexMismatchError
from core.search.lexical import LexicalIndex, words

TEXTS = [
    "The cat sat on the mat with another cat.",
    "Dogs chase cats; cats climb trees.",
    "A tree grows slowly in the garden.",
    "Gardens need water and a patient gardener.",
]
IDS = ["p1", "p2", "p3", "p4"]


def test_scores_equal_bm25s_with_english_stopwords() -> None:
    reference = bm25s.BM25()
    reference.index(bm25s.tokenize(TEXTS, stopwords="en", show_progress=False), show_progress=False)
    index = LexicalIndex(IDS, TEXTS)
    for query in ("cat garden", "cats cats tree", "water for the gardener", "the patient cat"):
        tokens = bm25s.tokenize(query, stopwords="en", return_ids=False, show_progress=False)[0]
        assert index.scores(query) == pytest.approx(reference.get_scores(tokens), abs=1e-6)


def test_one_word_by_hand() -> None:
    # Lucene's BM25: idf = ln(1 + (4 - 1 + 0.5) / (1 + 0.5)), tf part = 1 / (1 + k1 (1 - b + b l/avg))
    lengths = [len(words(text)) for text in TEXTS]
    idf = math.log(1 + 3.5 / 1.5)
    norm = 1.5 * (1 - 0.75 + 0.75 * lengths[3] / np.mean(lengths))
    assert LexicalIndex(IDS, TEXTS).scores("water")[3] == pytest.approx(idf / (1 + norm), rel=1e-5)


def test_only_passages_that_match_are_ranked() -> None:
    index = LexicalIndex(IDS, TEXTS)
    (ranking,) = index.search(["cat"], k=10)
    assert ranking.passage_ids == ("p1",)


@pytest.mark.parametrize("query", ["zzz", "the and of", "🙂", "  ", "ǝ"])
def test_a_query_without_known_words_gives_an_empty_ranking(query: str) -> None:
    index = LexicalIndex(IDS, TEXTS)
    (ranking,) = index.search([query], k=10)
    assert ranking.hits == ()
    assert index.known_words(query) == ()


def test_equal_passages_tie_by_id() -> None:
    index = LexicalIndex(["c", "a", "b"], ["red apple", "red apple", "red apple"])
    assert index.search(["apple"], k=2)[0].passage_ids == ("a", "b")


def test_chinese_is_found_by_characters_and_pairs() -> None:
    index = LexicalIndex(["p1", "p2"], ["我喜欢吃苹果。", "今天天气很好。"])
    assert index.search(["苹果"], k=2)[0].passage_ids == ("p1",)
    assert index.search(["好"], k=2)[0].passage_ids == ("p2",)


def test_english_words_are_bm25s_words() -> None:
    text = "It's 3 o'clock: e-mail naïve_users at 10:45, OK?"
    expected = bm25s.tokenize(text, stopwords="en", return_ids=False, show_progress=False)[0]
    assert words(text) == expected


@pytest.mark.parametrize("texts", [[], ["", "of the"]], ids=["no passages", "no words"])
def test_a_corpus_without_words_finds_nothing(texts: list[str]) -> None:
    index = LexicalIndex([f"p{i}" for i in range(len(texts))], texts)
    assert index.search(["cat"], k=3)[0].hits == ()
    assert index.scores("cat").shape == (len(texts),)


def test_ids_and_texts_must_belong_together() -> None:
    with pytest.raises(IndexMismatchError, match="1 passages came with 2 texts"):
        LexicalIndex(["a"], ["x", "y"])
    with pytest.raises(IndexMismatchError, match="twice"):
        LexicalIndex(["a", "a"], ["x", "y"])


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("gr\u00f6\u00dfere", "gro\u0308\u00dfere"),  # composed and not
        ("ABC 2024", "\uff21\uff22\uff23 \uff12\uff10\uff12\uff14"),  # full width
        (
            "energy",
            "\U0001d452\U0001d45b\U0001d452\U0001d45f\U0001d454\U0001d466",
        ),  # letters of formulas
        ("\u65b9\u6cd5", "\u2f45\u6cd5"),  # a radical
        (
            "\u05d1\u05bc\u05b0\u05e8\u05b5\u05d0\u05e9\u05b4\u05c1\u05d9\u05ea",
            "\u05d1\u05e8\u05d0\u05e9\u05d9\u05ea",
        ),  # vowel points
        ("re\u2010use", "re-use"),
    ],
)
def test_what_people_see_alike_is_matched(text: str, query: str) -> None:
    assert words(text) == words(query) != []


def test_vowel_signs_do_not_cut_words() -> None:
    assert words("\u0917\u0930\u094d\u092e\u093f\u092f\u094b\u0902") == [
        "\u0917\u0930\u094d\u092e\u093f\u092f\u094b\u0902"
    ]


def test_thai_is_found_by_characters_and_pairs() -> None:
    index = LexicalIndex(
        ["p1", "p2"],
        [
            "\u0e1b\u0e31\u0e4a\u0e21\u0e43\u0e19\u0e42\u0e23\u0e07\u0e07\u0e32\u0e19",
            "\u0e19\u0e49\u0e33",
        ],
    )
    assert index.search(["\u0e42\u0e23\u0e07\u0e07\u0e32\u0e19"], k=2)[0].passage_ids[0] == "p1"
