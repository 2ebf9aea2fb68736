"""What every encoder promises, checked on every encoder there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from core.encoders.encoder import LoadedEncoder
from core.encoders.spec import Attention, Pooling, TextKind
from core.errors import StoppedError
from tests.encoders.checkpoints import TEXTS
from tests.monitors import Watcher

if TYPE_CHECKING:
    from core.encoders.spec import Encoder

KINDS = tuple(TextKind)
# The same text in another batch goes through matrix products of other shapes: float32 rounding.
BATCH_TOLERANCE = 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_float32_unit_rows(encoder: Encoder, kind: TextKind) -> None:
    embeddings = encoder.encode(TEXTS, kind=kind)

    assert embeddings.shape == (len(TEXTS), encoder.spec.dimension)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)


def test_no_texts_give_no_rows(encoder: Encoder) -> None:
    assert encoder.encode([], kind=TextKind.PASSAGE).shape == (0, encoder.spec.dimension)
    assert encoder.received([], kind=TextKind.PASSAGE) == ()
    assert encoder.trace([], kind=TextKind.PASSAGE) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_has_one_vector_whatever_is_beside_it(encoder: Encoder, kind: TextKind) -> None:
    alone = np.vstack([encoder.encode([text], kind=kind) for text in TEXTS])

    for order in (list(range(len(TEXTS))), list(range(len(TEXTS)))[::-1], [3, 0, 7, 0, 5, 2]):
        together = encoder.encode([TEXTS[place] for place in order], kind=kind)
        np.testing.assert_allclose(together, alone[order], atol=BATCH_TOLERANCE)


def test_order_is_kept_over_many_batches(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.encoders.encoder._TOKEN_BUDGET_CPU", 20)
    monkeypatch.setattr("core.encoders.encoder._TEXTS_AT_ONCE", 5)
    alone = np.vstack([encoder.encode([text], kind=TextKind.PASSAGE) for text in TEXTS])

    texts = [TEXTS[place % len(TEXTS)] for place in range(0, 40, 3)]
    found = encoder.encode(texts, kind=TextKind.PASSAGE)

    wanted = alone[[place % len(TEXTS) for place in range(0, 40, 3)]]
    np.testing.assert_allclose(found, wanted, atol=BATCH_TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trace_adds_up_to_the_vector(encoder: Encoder, kind: TextKind) -> None:
    embeddings = encoder.encode(TEXTS, kind=kind)

    for row, trace in enumerate(encoder.trace(TEXTS, kind=kind)):
        pooled = trace.weights @ trace.states
        np.testing.assert_allclose(
            pooled / np.linalg.norm(pooled), embeddings[row], atol=BATCH_TOLERANCE
        )
        assert trace.weights.sum() == pytest.approx(1.0, abs=1e-5)
        shape = (len(trace.token_ids), encoder.spec.dimension)
        assert trace.states.shape == shape
        assert len(trace.tokens) == len(trace.offsets) == len(trace.weights) == shape[0]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_to_be_received_is_what_was_tokenised(
    encoder: Encoder, kind: TextKind
) -> None:
    prompt = encoder.spec.query_prompt if kind is TextKind.QUERY else encoder.spec.passage_prompt
    prompt = prompt.replace("{instruction}", encoder.spec.default_instruction)
    for text, received, trace in zip(
        TEXTS, encoder.received(TEXTS, kind=kind), encoder.trace(TEXTS, kind=kind), strict=True
    ):
        assert received.text == prompt + text
        assert received.tokens_kept == len(trace.token_ids)
        assert received.tokens_dropped == trace.tokens_dropped == 0


def test_a_long_text_is_cut_and_the_cut_is_told(encoder: Encoder) -> None:
    text = " ".join(["the old harbour"] * encoder.spec.max_tokens)

    (received,) = encoder.received([text], kind=TextKind.PASSAGE)
    (trace,) = encoder.trace([text], kind=TextKind.PASSAGE) if _is_small(encoder) else (None,)

    assert received.tokens_kept == encoder.spec.max_tokens
    assert received.tokens_total >= 3 * encoder.spec.max_tokens
    assert received.tokens_dropped == received.tokens_total - received.tokens_kept
    if trace is not None:
        assert len(trace.token_ids) == encoder.spec.max_tokens
        assert trace.tokens_dropped == received.tokens_dropped


def test_offsets_point_into_the_callers_text(encoder: Encoder) -> None:
    (trace,) = encoder.trace([TEXTS[2]], kind=TextKind.QUERY)

    words = [TEXTS[2][start:end].strip() for start, end in trace.offsets if start >= 0]

    assert "".join(words) == TEXTS[2].replace(" ", "")


def test_attention_decides_what_a_token_sees(encoder: Encoder) -> None:
    """Swap the last word: earlier states move unless attention is causal; and the mirror image."""
    first, last = "the old harbour wind storm", "the old harbour wind glass"
    start = "sea old harbour wind storm"
    for attention in (Attention.BIDIRECTIONAL, Attention.CAUSAL, Attention.BACKWARD):
        kind = TextKind.PASSAGE
        base, end_changed, start_changed = encoder.trace(
            [first, last, start], kind=kind, attention=attention
        )
        place = int(np.flatnonzero(base.offsets[:, 0] >= 0)[0])  # the first word's token
        last_place = int(np.flatnonzero(base.offsets[:, 0] >= 0)[-1])
        sees_later = not np.allclose(base.states[place], end_changed.states[place], atol=1e-6)
        sees_earlier = not np.allclose(
            base.states[last_place], start_changed.states[last_place], atol=1e-6
        )
        assert sees_later == (attention is not Attention.CAUSAL)
        assert sees_earlier == (attention is not Attention.BACKWARD)


def test_an_empty_text_has_a_vector(encoder: Encoder) -> None:
    embeddings = encoder.encode(["", "wind"], kind=TextKind.QUERY)

    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)
    assert encoder.received([""], kind=TextKind.PASSAGE)[0].tokens_kept >= 1


def test_progress_is_reported_and_stop_obeyed(encoder: Encoder) -> None:
    watcher = Watcher()
    encoder.encode(TEXTS, kind=TextKind.PASSAGE, monitor=watcher)
    assert watcher.reports[-1].done == watcher.reports[-1].total == len(TEXTS)

    with pytest.raises(StoppedError):
        encoder.encode(TEXTS, kind=TextKind.PASSAGE, monitor=Watcher(stop_after=0))


def test_equal_fingerprints_for_equal_encoders_only(encoder: Encoder) -> None:
    assert encoder.fingerprint == encoder.fingerprint
    if isinstance(encoder, LoadedEncoder):
        from dataclasses import replace

        for changed in (
            replace(encoder.options, max_tokens=encoder.max_tokens - 1),
            replace(encoder.options, dimension=3),
        ):
            assert encoder.with_options(changed).fingerprint != encoder.fingerprint
        instructed = replace(encoder.options, query_instruction="say who wrote it")
        has_slot = "{instruction}" in encoder.spec.query_prompt
        other = encoder.with_options(instructed).fingerprint
        assert (other != encoder.fingerprint) == has_slot


def test_hostile_texts_get_vectors(encoder: Encoder) -> None:
    texts = [
        "\ud800 lone surrogate",
        "\x00\u202e\u200b",
        "🜁 数据 naïve",
        "<|endoftext|>" * 3,
        " " * 99,
    ]

    embeddings = encoder.encode(texts, kind=TextKind.PASSAGE)

    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)
    assert len(encoder.trace(texts, kind=TextKind.PASSAGE)) == len(texts)


def test_last_token_pooling_reads_one_state(encoder: Encoder) -> None:
    if encoder.spec.pooling is not Pooling.LAST_TOKEN:
        pytest.skip("a mean")
    (trace,) = encoder.trace([TEXTS[0]], kind=TextKind.PASSAGE)
    assert trace.weights.tolist() == [0.0] * (len(trace.weights) - 1) + [1.0]


def _is_small(encoder: Encoder) -> bool:
    return encoder.spec.max_tokens < 1000
