"""Which sentence of a passage is nearest to the query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.documents.sentences import sentence_spans
from core.encoders.protocol import Encoder
from core.encoders.spec import TextKind
from core.laboratory.arms import Floats, encode
from core.monitor import Monitor


def best_sentences(
    query: str,
    passages: Mapping[str, str],
    encoders: Sequence[Encoder],
    *,
    monitor: Monitor | None = None,
) -> dict[str, dict[str, tuple[int, int]]]:
    """Return, per passage and encoder, the sentence nearest to the query.

    A sentence is embedded on its own, as a passage: that needs no trace, treats both arms alike,
    depends on nothing around it, and can be kept by text like any other vector.

    Args:
        query: What was asked.
        passages: Text by passage id.
        encoders: Usually both arms.
        monitor: Hears progress; may stop.

    Returns:
        Half-open ranges in each passage's text, by passage id, then encoder id; a passage without
        a sentence is left out. Ties go to the first sentence.
    """
    spans = {
        passage_id: tuple((start, end, text[start:end]) for start, end in sentence_spans(text))
        for passage_id, text in passages.items()
    }
    wanted = sorted({sentence for found in spans.values() for _, _, sentence in found})
    best: dict[str, dict[str, tuple[int, int]]] = {key: {} for key, found in spans.items() if found}
    for encoder in encoders:
        vector = encode(encoder, [query], kind=TextKind.QUERY)[0]
        rows = encode(encoder, wanted, kind=TextKind.PASSAGE, monitor=monitor)
        scores = dict(zip(wanted, (rows @ vector).tolist(), strict=True))
        for passage_id, marked in best.items():
            found = spans[passage_id]
            place = int(np.argmax([scores[sentence] for _, _, sentence in found]))
            marked[encoder.spec.encoder_id] = found[place][:2]
    return best


def shared_best_sentence(
    text: str, query_vectors: Sequence[Floats], sentence_vectors: Sequence[Floats]
) -> tuple[int, int] | None:
    """Return the one sentence to mark on a card that shows both arms' hit.

    Args:
        text: The passage.
        query_vectors: ``(dim,)`` per arm.
        sentence_vectors: ``(sentences, dim)`` per arm, in order of `sentence_spans`.

    Returns:
        The sentence with the highest mean of both arms' standardised scores over the passage's
        sentences, so that neither arm's scale decides; None for a text without sentences.
    """
    spans = sentence_spans(text)
    if not spans:
        return None
    total = np.zeros(len(spans))
    for query, rows in zip(query_vectors, sentence_vectors, strict=True):
        scores = (rows @ query).astype(np.float64)
        spread = float(scores.std())
        total += (scores - scores.mean()) / spread if spread > 0 else 0.0
    return spans[int(np.argmax(total))]
