"""The sentence to mark on a card, by both encoders on one scale."""

import numpy as np

from core.documents import sentence_spans
from core.library.library import nearest_sentence


def test_the_sentence_listens_to_both_encoders_on_one_scale() -> None:
    text = "One one. Two two. Three three."
    small = np.array([[0.00], [0.01], [0.02]], dtype=np.float32)
    large = np.array([[0.1], [0.9], [0.1]], dtype=np.float32)
    one = np.ones(1, dtype=np.float32)
    # standardised: small -1.22 0 1.22; large -0.71 1.41 -0.71; sums -1.93 1.41 0.52
    span = nearest_sentence(sentence_spans(text), [one, one], [small, large])
    assert span is not None
    assert text[slice(*span)] == "Two two."
    assert nearest_sentence((), [], []) is None
