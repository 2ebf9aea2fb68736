from __future__ import annotations

from math import log2

import numpy as np
import pytest
import pytrec_eval

from core.evaluation.measures import ACCURACY, MEASURES, per_query, unjudged_share
from core.records import Hit, Ranking


def run(**ids: str) -> list[Ranking]:
    """q1="a b" is a ranking of a, then b, all with one and the same score."""
    return [
        Ranking(
            query_id=query_id,
            system_id="x",
            hits=tuple(
                Hit(passage_id=passage_id, score=0.5, rank=rank)
                for rank, passage_id in enumerate(listed.split(), start=1)
            ),
        )
        for query_id, listed in ids.items()
    ]


def test_a_worked_example() -> None:
    # q1: relevant b (grade 2) at rank 2 and c (grade 1) not found; ideal order is b, c.
    values = per_query({"q1": {"b": 2, "c": 1, "a": 0}}, run(q1="a b"))
    assert values["nDCG@10"][0] == pytest.approx((2 / log2(3)) / (2 / log2(2) + 1 / log2(3)))
    assert values["Recall@10"][0] == 0.5
    assert values["Recall@100"][0] == 0.5
    assert values["MRR@10"][0] == 0.5
    assert values["AP@100"][0] == 0.25  # precision 1/2 at b, nothing for c: over two relevant


def test_only_the_first_ten_count_where_the_name_says_so() -> None:
    listed = " ".join(f"x{number}" for number in range(10))
    values = per_query({"q1": {"a": 1}}, run(q1=f"{listed} a"))
    assert [values[name][0] for name in MEASURES] == [0.0, 0.0, 1.0, 0.0, pytest.approx(1 / 11)]


def test_queries_without_hits_count_as_zero_in_order_of_the_qrels() -> None:
    qrels = {"q1": {"a": 1}, "q2": {"a": 1}, "q3": {"a": 1}}
    values = per_query(qrels, run(q3="a", q9="a"))
    assert values["nDCG@10"].tolist() == [0.0, 0.0, 1.0]
    assert per_query(qrels, [])["MRR@10"].tolist() == [0.0, 0.0, 0.0]


def test_our_order_counts_and_not_the_scores() -> None:
    # Both have equal scores; trec_eval alone would put b before a.
    assert per_query({"q1": {"a": 1}}, run(q1="a b"))["MRR@10"][0] == 1.0
    assert per_query({"q1": {"b": 1}}, run(q1="a b"))["MRR@10"][0] == 0.5


def test_accuracy_by_hand() -> None:
    # q1 has a relevant first hit, q2 has it second, q3 found nothing, q4 has the other relevant one
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 1}, "q4": {"a": 1, "b": 2}}
    rankings = run(q1="a b", q2="a b", q4="a c")
    values = per_query(qrels, rankings, accuracy=True)
    assert values[ACCURACY].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert ACCURACY not in per_query(qrels, rankings)


def test_equals_pytrec_eval_on_random_runs() -> None:
    generator = np.random.default_rng(0)
    names = [f"p{number:03d}" for number in range(150)]
    qrels = {
        f"q{number}": {
            str(name): int(grade)
            for name, grade in zip(
                generator.choice(names, 12, replace=False),
                # trec_eval's nDCG is about graded relevance, the others about grade 1 and up
                generator.integers(0, 4, 12),
                strict=True,
            )
        }
        for number in range(25)
    }
    rankings = run(**{query_id: " ".join(generator.permutation(names)[:100]) for query_id in qrels})
    values = per_query(qrels, rankings)
    evaluator = pytrec_eval.RelevanceEvaluator(
        qrels, {"ndcg_cut.10", "recall.10", "recall.100", "recip_rank"}
    )
    expected = evaluator.evaluate(
        {one.query_id: {hit.passage_id: -float(hit.rank) for hit in one.hits} for one in rankings}
    )
    for place, query_id in enumerate(qrels):
        theirs = expected[query_id]
        assert values["nDCG@10"][place] == pytest.approx(theirs["ndcg_cut_10"], abs=1e-9)
        assert values["Recall@10"][place] == pytest.approx(theirs["recall_10"], abs=1e-9)
        assert values["Recall@100"][place] == pytest.approx(theirs["recall_100"], abs=1e-9)
        cut = theirs["recip_rank"] if theirs["recip_rank"] >= 0.1 else 0.0
        assert values["MRR@10"][place] == pytest.approx(cut, abs=1e-9)


def test_unjudged_hits_are_counted() -> None:
    # q1's top 2 hold one judged passage, q2's hold two: 1 of 4 is unjudged.
    qrels = {"q1": {"a": 1}, "q2": {"a": 0, "b": 1}}
    assert unjudged_share(qrels, run(q1="a x y", q2="b a x"), k=2) == 0.25
    assert unjudged_share(qrels, [], k=2) == 0.0
