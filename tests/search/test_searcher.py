"""Every system is asked in one call; a failure stands in its own place only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from core.encoders.spec import TextKind
from core.errors import (
    EmptyLibraryError,
    EncoderUnavailableError,
    EncodingError,
    IndexMismatchError,
    InvalidDepthError,
    InvalidQueryError,
    UnknownNameError,
)
from core.records import Family, Query
from core.search import (
    DenseIndex,
    DenseSystem,
    FusedSystem,
    LexicalIndex,
    LexicalSystem,
    Searcher,
    System,
    UnavailableSystem,
    searcher,
)
from tests.library.tiny import BM25, RRF, TinyEncoder

TEXTS = ["bananas", "apples and pears", "zebra zebra", "pears"]
IDS = ("p1", "p2", "p3", "p4")


def dense(
    encoder: TinyEncoder, ids: Sequence[str] = IDS, texts: Sequence[str] = TEXTS
) -> DenseSystem:
    embeddings = encoder.encode(texts, kind=TextKind.PASSAGE)
    encoder.encoded.clear()
    return DenseSystem(encoder.info, encoder, DenseIndex(ids, embeddings))


def make(*, fails_on: str = "") -> tuple[Searcher, TinyEncoder, TinyEncoder]:
    a = TinyEncoder("tiny-d", fails_on=fails_on)
    b = TinyEncoder("tiny-a", Family.AUTOREGRESSIVE)
    systems: list[System] = [
        dense(a),
        dense(b),
        LexicalSystem(BM25, LexicalIndex(IDS, TEXTS)),
        FusedSystem(RRF, ("tiny-d", "tiny-a")),
    ]
    return Searcher(systems), a, b


def test_all_systems_answer_in_one_call() -> None:
    search, *_ = make()
    results = search.search(Query("q7", "pears"), k=2)
    assert list(results) == ["tiny-d", "tiny-a", "bm25", "rrf"]
    assert results["tiny-d"].ranking.passage_ids == ("p4", "p2")
    assert results["bm25"].ranking.passage_ids == ("p4", "p2")
    assert results["rrf"].ranking.passage_ids == ("p4", "p2")
    for name, answer in results.items():
        assert answer.failure == ""
        assert (answer.ranking.query_id, answer.ranking.system_id) == ("q7", name)
        assert answer.seconds is not None
        assert answer.seconds > 0


def test_every_passage_has_a_score_and_a_rank_beyond_k() -> None:
    search, encoder, _ = make()
    results = search.search(Query("q1", "pears"), k=1)
    expected = (
        encoder.encode(TEXTS, kind=TextKind.PASSAGE)
        @ encoder.encode(["pears"], kind=TextKind.QUERY).T
    )
    scores = results["tiny-d"].scores_of(IDS)
    assert [scores[name] for name in IDS] == pytest.approx(expected[:, 0], abs=1e-6)
    assert sorted(results["tiny-d"].ranks_of(IDS).values()) == [1, 2, 3, 4]
    assert results["tiny-d"].ranks_of(["p4", "p99"]) == {"p4": 1}
    assert "p1" not in results["bm25"].ranks_of(IDS)  # no word of the query in it
    assert results["bm25"].scores_of(["p1"]) == {"p1": 0.0}
    assert results["rrf"].ranks_of(IDS) == {"p4": 1}  # fusion knows its own hits only
    assert list(results["rrf"].scores_of(IDS)) == ["p4"]


def test_a_failing_encoder_is_reported_and_the_others_answer() -> None:
    search, *_ = make(fails_on="poison")
    results = search.search(Query("q1", "poison pears"), k=2)
    assert results["tiny-d"].failure == "tiny-d failed on 'poison'."
    assert "Tiny-D, which failed" in results["rrf"].failure
    assert {name for name, answer in results.items() if not answer.failure} == {"tiny-a", "bm25"}


def test_a_crash_in_an_encoder_is_a_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    search, encoder, _ = make()

    def crash(*args: object, **options: object) -> None:
        raise RuntimeError("CUDA error: secret path /home/x")

    monkeypatch.setattr(encoder, "encode", crash)
    reason = search.search(Query("q1", "pears"), k=2)["tiny-d"].failure
    assert "RuntimeError" in reason
    assert "secret" not in reason


def test_an_unavailable_system_stands_in_its_place() -> None:
    encoder = TinyEncoder()
    systems: list[System] = [
        UnavailableSystem(TinyEncoder("big").info, "Not on this machine."),
        dense(encoder),
    ]
    results = Searcher(systems).search(Query("q1", "pears"), k=1)
    assert list(results) == ["big", "tiny-d"]
    assert results["big"].failure == "Not on this machine."
    with pytest.raises(EncoderUnavailableError):
        Searcher(systems).run([Query("q1", "pears")], k=1)


def test_the_same_query_is_encoded_once() -> None:
    search, encoder, _ = make()
    first = search.search(Query("q1", "pears"), k=1)
    again = search.search(Query("q1", "pears"), k=3)
    assert encoder.encoded == ["pears"]
    assert first["tiny-d"].encode_seconds > 0
    assert again["tiny-d"].encode_seconds == 0.0


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    search, *_ = make()
    alone = search.search(Query("q1", "pears"), k=3)
    monkeypatch.setattr(searcher, "PARALLEL_FROM_PASSAGES", 1)
    together = search.search(Query("q1", "pears"), k=3)
    assert [a.ranking for a in alone.values()] == [a.ranking for a in together.values()]


def test_a_run_equals_searching_one_by_one() -> None:
    search, *_ = make()
    queries = [Query(f"q{i}", text) for i, text in enumerate(["pears", "zebra", "unknown words"])]
    runs = search.run(queries, k=3)
    for position, query in enumerate(queries):
        results = search.search(query, k=3)
        for name, answer in results.items():
            assert runs[name][position] == answer.ranking


def test_a_run_with_a_failing_encoder_raises() -> None:
    search, *_ = make(fails_on="poison")
    with pytest.raises(EncodingError):
        search.run([Query("q1", "poison")], k=3)


@pytest.mark.parametrize(
    ("text", "match"), [("", "empty"), (" \n\t", "empty"), ("x" * 100_001, "100,001 characters")]
)
def test_a_query_that_cannot_work_is_refused(text: str, match: str) -> None:
    search, *_ = make()
    with pytest.raises(InvalidQueryError, match=match):
        search.search(Query("q1", text), k=1)


@pytest.mark.parametrize("text", ["🙂🙂", "苹果", "\u202ehtml<script>", "x" * 100_000])
def test_odd_queries_are_answered(text: str) -> None:
    search, *_ = make()
    assert search.search(Query("q1", text), k=1)["tiny-d"].ranking.hits


def test_what_does_not_belong_together_is_refused() -> None:
    encoder = TinyEncoder()
    one, other = dense(encoder), dense(TinyEncoder("b"), IDS[:2], TEXTS[:2])
    with pytest.raises(IndexMismatchError, match="same passages"):
        Searcher([one, other])
    with pytest.raises(EmptyLibraryError):
        Searcher([])
    with pytest.raises(EmptyLibraryError):
        Searcher([DenseSystem(encoder.info, encoder, DenseIndex([], np.empty((0, 4))))])
    with pytest.raises(UnknownNameError):
        Searcher([one, FusedSystem(RRF, ("tiny-d", "nobody"))])
    with pytest.raises(InvalidDepthError):
        Searcher([one]).search(Query("q1", "pears"), k=0)
