"""The background: what places a score, and the pairs that it is drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.encoders.spec import TextKind
from core.errors import EmptyLibraryError, IndexMismatchError, WorkspaceDamagedError
from core.records import Passage, make_passage_id
from core.search.background import (
    MIN_SAMPLES,
    OFF_TOPIC,
    OFF_TOPIC_PAIRS,
    OTHER_DOCUMENTS,
    Background,
    corpus_key,
    score_background,
)
from tests.library.tiny import TinyEncoder


def passage(number: int, text: str, *, doc: int = 0, start: int | None = None) -> Passage:
    doc_id = f"d{doc:016x}"
    first = number * 1000 if start is None else start
    end = first + len(text)
    return Passage(make_passage_id(doc_id, first, end), doc_id, first, end, text, 1, 1)


def random_passages(count: int, *, seed: int = 0, documents: int = 10) -> list[Passage]:
    generator = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    return [
        passage(
            i, " ".join("".join(generator.choice(letters, 5)) for _ in range(20)), doc=i % documents
        )
        for i in range(count)
    ]


def sampled(passages: list[Passage], *, seed: int = 0) -> Background:
    encoder = TinyEncoder()
    embeddings = encoder.encode([p.text for p in passages], kind=TextKind.PASSAGE)
    return score_background(encoder, passages, embeddings, seed=seed)


def test_percentile_and_z_of_a_known_sample() -> None:
    # 0, 1, ..., 99: mean 49.5; 75 scores lie below 75 and one ties -> (75 + 76) / 2
    background = Background.from_scores(np.arange(100.0)[::-1])
    assert background.percentile(75.0) == 75.5
    assert background.percentile(74.5) == 75.0
    assert background.z(49.5) == 0.0
    assert background.z(49.5 + background.deviation) == pytest.approx(1.0)


def test_no_percentile_is_0_or_100() -> None:
    # Above all of 99 pairs: at least 99 of 100 pairs are lower, as far as 99 can show.
    background = Background.from_scores(np.arange(99.0))
    assert background.percentile(1000.0) == pytest.approx(99.0)
    assert background.percentile(-1.0) == pytest.approx(1.0)


def test_too_few_pairs_or_equal_scores_place_nothing() -> None:
    few = Background.from_scores(np.linspace(0, 1, MIN_SAMPLES - 1))
    assert few.z(0.5) is None
    assert few.percentile(0.5) is None
    assert Background.from_scores(np.linspace(0, 1, MIN_SAMPLES)).z(0.5) is not None
    assert Background.from_scores([0.7] * 100).z(0.9) is None
    assert Background.from_scores([]).quantiles == ()


def test_values_that_are_not_finite_are_left_out() -> None:
    assert Background.from_scores([0.1, float("nan"), float("inf"), 0.2]).samples == 2


def test_thinned_it_keeps_every_percentile_and_says_how_many_there_were() -> None:
    thinned = Background.from_scores(np.arange(201.0)).thinned()
    assert thinned.quantiles == pytest.approx(tuple(range(0, 201, 2)))
    assert thinned.samples == 201


@given(st.lists(st.floats(-1, 1), min_size=40, max_size=80), st.floats(-1, 1), st.floats(-1, 1))
def test_percentile_and_z_keep_the_order_of_scores(
    sample: list[float], first: float, second: float
) -> None:
    background = Background.from_scores(sample)
    if not background.places_scores:
        return
    low, high = sorted((first, second))
    assert background.percentile(low) <= background.percentile(high)  # type: ignore[operator]
    assert background.z(low) <= background.z(high)  # type: ignore[operator]


def test_scale_and_offset_of_an_encoder_cancel() -> None:
    # The point of calibration: scores 0.8 + 0.1 x place like scores x.
    scores = np.random.default_rng(0).normal(size=500)
    plain, squeezed = Background.from_scores(scores), Background.from_scores(0.8 + 0.1 * scores)
    assert squeezed.z(0.8 + 0.1 * 1.7) == pytest.approx(plain.z(1.7))
    assert squeezed.percentile(0.8 + 0.1 * 1.7) == plain.percentile(1.7)


def test_a_score_lies_between_off_topic_and_known_right_hits() -> None:
    background = Background.from_scores([], off_topic=[0.3, 0.1, 0.2], own=[0.9, 0.15])
    assert background.above_off_topic(0.25) == 2  # 0.1 and 0.2
    assert background.below_own(0.25) == 1  # 0.9


def test_the_same_seed_gives_the_same_sample_in_any_upload_order() -> None:
    passages = random_passages(150)
    a, b = sampled(passages), sampled(passages[::-1])
    # matrix products round differently with the order of rows; the pairs are the same
    assert a.quantiles == pytest.approx(b.quantiles, abs=1e-6)
    assert a.own == pytest.approx(b.own, abs=1e-6)
    other = sampled(passages, seed=1)
    assert a.quantiles[:50] != other.quantiles[:50]


def test_samples_are_of_the_size_promised() -> None:
    background = sampled(random_passages(200))
    assert background.pairs == OTHER_DOCUMENTS
    assert background.samples >= 64 * 128 * 0.85  # a tenth is of the query's own document
    assert (len(background.off_topic), len(background.own)) == (len(OFF_TOPIC), 64)


def test_passages_of_the_querys_own_document_are_no_background() -> None:
    # Two documents of 20: each query meets the 20 of the other one.
    assert sampled(random_passages(40, documents=2)).samples == 40 * 20


def test_near_copies_in_other_documents_are_left_out() -> None:
    # 8 passages of 8 documents, two of them near-copies: 8 * 7 pairs less those 2
    text = " ".join(f"word{i}" for i in range(20))
    passages = [
        passage(0, text, doc=101),
        passage(0, text.replace("word3 ", "other "), doc=102),
        *random_passages(6),
    ]
    assert sampled(passages).samples == 54


@pytest.mark.parametrize("count", [1, 6])
def test_in_one_document_off_topic_questions_stand_in(count: int) -> None:
    background = sampled(random_passages(count, documents=1))
    assert background.pairs == OFF_TOPIC_PAIRS
    assert background.samples == count * len(OFF_TOPIC)
    assert len(background.own) == count


def test_the_best_hit_of_an_off_topic_question_is_over_the_whole_library() -> None:
    encoder, passages = TinyEncoder(), random_passages(300)
    embeddings = encoder.encode([p.text for p in passages], kind=TextKind.PASSAGE)
    queries = encoder.encode(OFF_TOPIC, kind=TextKind.QUERY)
    best = sorted(float(max(embeddings @ query)) for query in queries)
    assert sampled(passages).off_topic == pytest.approx(best, abs=1e-6)


def test_bytes_and_back() -> None:
    background = sampled(random_passages(20))
    assert Background.from_bytes(background.to_bytes()) == background
    with pytest.raises(WorkspaceDamagedError):
        Background.from_bytes(b"no")


def test_the_corpus_key_follows_the_text() -> None:
    passages = random_passages(3)
    assert corpus_key(passages) == corpus_key(passages[::-1])
    assert corpus_key(passages) != corpus_key(passages[:2])


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(EmptyLibraryError):
        sampled([])
    with pytest.raises(IndexMismatchError):
        score_background(TinyEncoder(), random_passages(2), np.ones((3, 27), np.float32))
