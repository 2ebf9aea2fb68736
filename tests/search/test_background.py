"""The score background: same pairs for every encoder, nothing related among them."""

from __future__ import annotations

import numpy as np
import pytest

from core.encoders.spec import TextKind
from core.errors import EmptyLibraryError, IndexMismatchError, WorkspaceDamagedError
from core.records import Passage, make_passage_id
from core.search.background import PairKind, ScoreBackground, corpus_key, score_background
from tests.library.tiny import TinyEncoder


def passage(number: int, text: str, *, doc: int = 0, start: int | None = None) -> Passage:
    doc_id = f"d{doc:016x}"
    first = number * 1000 if start is None else start
    end = first + len(text)
    return Passage(make_passage_id(doc_id, first, end), doc_id, first, end, text, 1, 1)


def random_passages(count: int, *, seed: int = 0) -> list[Passage]:
    generator = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    return [
        passage(i, " ".join("".join(generator.choice(letters, 5)) for _ in range(20)))
        for i in range(count)
    ]


def sampled(passages: list[Passage], *, seed: int = 0) -> ScoreBackground:
    encoder = TinyEncoder()
    embeddings = encoder.encode([p.text for p in passages], kind=TextKind.PASSAGE)
    return score_background(encoder, passages, embeddings, seed=seed)


def test_percentile_and_z_by_hand() -> None:
    sample = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    background = ScoreBackground("f", "c", sample, np.empty(0, np.float32))
    scores = np.array([0.0, 0.2, 0.25, 1.0], np.float32)
    # 0 below; half of one; two of four; all
    assert background.percentile(scores).tolist() == [0.0, 37.5, 50.0, 100.0]
    # mean 0.25, standard deviation sqrt(0.05 / 3)
    assert background.z(scores)[2] == pytest.approx(0.0, abs=1e-6)
    assert background.z(scores)[3] == pytest.approx(0.75 / np.sqrt(0.05 / 3), rel=1e-5)
    assert np.isnan(background.percentile(scores, kind=PairKind.PASSAGE_PASSAGE)).all()
    assert np.isnan(background.z(scores, kind=PairKind.PASSAGE_PASSAGE)).all()


def test_the_same_seed_gives_the_same_sample_in_any_upload_order() -> None:
    passages = random_passages(150)
    a, b = sampled(passages), sampled(passages[::-1])
    assert a.corpus_key == b.corpus_key
    # matrix products round differently with the order of rows; the pairs are the same
    assert a.query_passage == pytest.approx(b.query_passage, abs=1e-6)
    assert a.passage_passage == pytest.approx(b.passage_passage, abs=1e-6)
    other = sampled(passages, seed=1)
    assert not np.array_equal(a.query_passage[:50], other.query_passage[:50])


def test_samples_are_sorted_and_of_the_size_promised() -> None:
    background = sampled(random_passages(200))
    assert (np.diff(background.query_passage) >= 0).all()
    assert len(background.query_passage) >= 64 * 120
    assert len(background.passage_passage) >= 8000


def test_small_corpora_use_every_pair_once() -> None:
    assert len(sampled(random_passages(5)).passage_passage) == 10  # 5 * 4 / 2


def test_copies_and_overlapping_passages_are_left_out() -> None:
    # two near-copies and two overlapping passages: 6 pairs less those 2
    text = " ".join(f"word{i}" for i in range(20))
    near = text.replace("word3 ", "other ")
    passages = [
        passage(0, text, doc=1),
        passage(0, near, doc=2),
        passage(0, "alpha beta gamma", doc=3, start=0),
        passage(0, "delta epsilon", doc=3, start=10),
    ]
    assert len(sampled(passages).passage_passage) == 4


def test_one_passage_has_no_background() -> None:
    background = sampled([passage(0, "hello world out there")])
    assert len(background.query_passage) == len(background.passage_passage) == 0


def test_bytes_and_back() -> None:
    background = sampled(random_passages(20))
    again = ScoreBackground.from_bytes(
        background.to_bytes(), fingerprint=background.fingerprint, corpus_key="c"
    )
    assert np.array_equal(again.query_passage, background.query_passage)
    assert np.array_equal(again.passage_passage, background.passage_passage)
    with pytest.raises(WorkspaceDamagedError):
        ScoreBackground.from_bytes(b"no", fingerprint="f", corpus_key="c")


def test_the_corpus_key_follows_the_text() -> None:
    passages = random_passages(3)
    assert corpus_key(passages) == corpus_key(passages[::-1])
    assert corpus_key(passages) != corpus_key(passages[:2])


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(EmptyLibraryError):
        sampled([])
    with pytest.raises(IndexMismatchError):
        score_background(TinyEncoder(), random_passages(2), np.ones((3, 27), np.float32))
