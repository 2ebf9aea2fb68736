import numpy as np

from core.laboratory.evidence import best_sentences, shared_best_sentence
from tests.laboratory.stand_in import WordEncoder, arm_b


def test_best_sentences_per_arm() -> None:
    text = "The gates were closed. The flood came. The bread was hot."
    deaf = WordEncoder(arm_b(), deaf_to=frozenset({"flood"}))
    found = best_sentences("river", {"p": text, "empty": " "}, [WordEncoder(), deaf])
    assert list(found) == ["p"]
    start, end = found["p"]["words-a"]
    assert text[start:end] == "The flood came."
    start, end = found["p"]["words-b"]
    assert text[start:end] == "The gates were closed."  # a tie at 0 goes to the first


def test_the_shared_sentence_listens_to_both_arms_on_one_scale() -> None:
    text = "One one. Two two. Three three."
    small = np.array([[0.00], [0.01], [0.02]], dtype=np.float32)
    large = np.array([[0.1], [0.9], [0.1]], dtype=np.float32)
    one = np.ones(1, dtype=np.float32)
    # standardised: small -1.22 0 1.22; large -0.71 1.41 -0.71; sums -1.93 1.41 0.52
    span = shared_best_sentence(text, [one, one], [small, large])
    assert span is not None
    assert text[slice(*span)] == "Two two."
    assert shared_best_sentence("", [], []) is None
