from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

import pytest

from core.errors import InvalidDepthError, InvalidSettingError, UsageError
from core.evaluation.grades import judge, judgments_as, project
from core.evaluation.judging import judged_report, pool
from core.evaluation.significance import holm
from core.records import Family, Hit, Judgment, Passage, Ranking, SystemInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHA = {"d1": "aaaa", "d2": "bbbb"}


def ranking(system_id: str, ids: Sequence[str], *, query_id: str = "q1") -> Ranking:
    hits = tuple(
        Hit(passage_id=one, score=1.0 / rank, rank=rank) for rank, one in enumerate(ids, start=1)
    )
    return Ranking(query_id=query_id, system_id=system_id, hits=hits)


def passage(start: int, end: int, *, doc_id: str = "d1", page: int = 1) -> Passage:
    return Passage(
        passage_id=f"{doc_id}:{start}-{end}",
        doc_id=doc_id,
        start=start,
        end=end,
        text="x" * (end - start),
        page_first=page,
        page_last=page,
    )


def judgment(start: int, end: int, grade: int, *, sha256: str = "aaaa") -> Judgment:
    return Judgment("q", sha256, page_number=1, start=start, end=end, grade=grade)


# -- the pool ------------------------------------------------------------------------------


def test_the_pool_is_every_top_hit_once() -> None:
    items = pool([ranking("a", ["p1", "p2", "p3"]), ranking("b", ["p4", "p1", "p9"])], k=2)
    assert sorted(item.passage_id for item in items) == ["p1", "p2", "p4"]


def test_the_pool_is_blind() -> None:
    # Whoever ranked what, and in which order: the same passages come in the same order.
    ids = [f"p{number:02d}" for number in range(10)]
    forth = pool([ranking("a", ids[:5]), ranking("b", ids[5:])])
    other = pool([ranking("b", ids[::-1])])
    assert forth == other
    places = [ids.index(item.passage_id) for item in forth]
    assert places not in (sorted(places), sorted(places, reverse=True))
    assert not hasattr(forth[0], "system_id")


def test_the_seed_and_the_query_decide_the_order() -> None:
    ids = [f"p{number:02d}" for number in range(10)]
    first = pool([ranking("a", ids)], seed=1)
    assert first == pool([ranking("a", ids)], seed=1)
    assert first != pool([ranking("a", ids)], seed=2)
    assert first != pool([ranking("a", ids, query_id="q2")], seed=1)


def test_earlier_grades_are_shown_zero_included() -> None:
    items = pool([ranking("a", ["p1", "p2", "p3"])], grades={"p1": 0, "p2": 3})
    assert {item.passage_id: item.grade for item in items} == {"p1": 0, "p2": 3, "p3": None}


def test_impossible_pools_are_refused() -> None:
    with pytest.raises(UsageError, match="one query"):
        pool([ranking("a", ["p1"]), ranking("a", ["p1"], query_id="q2")])
    with pytest.raises(InvalidDepthError, match="at least one"):
        pool([], k=0)
    assert pool([]) == ()


# -- judgments that survive re-chunking ----------------------------------------------------


def test_a_judgment_names_characters_of_a_file() -> None:
    made = judge("q", passage(100, 200, page=7), sha256="aaaa", grade=2)
    assert made == Judgment("q", "aaaa", page_number=7, start=100, end=200, grade=2)
    with pytest.raises(InvalidSettingError, match="0, 1, 2 or 3"):
        judge("q", passage(0, 1), sha256="aaaa", grade=4)


def test_the_same_chunking_gives_the_grades_back() -> None:
    parts = [passage(start, start + 100) for start in range(0, 500, 100)]
    made = [judge("q", part, sha256="aaaa", grade=number % 4) for number, part in enumerate(parts)]
    assert project(made, parts, sha256_of=SHA)["q"] == {
        part.passage_id: number % 4 for number, part in enumerate(parts)
    }


@pytest.mark.parametrize(
    ("judged", "grade", "chunk", "expected"),
    [
        pytest.param((100, 200), 3, (100, 150), 3, id="a part of what is relevant"),
        pytest.param((100, 200), 3, (0, 1000), 3, id="a longer passage that holds it"),
        pytest.param((100, 200), 3, (0, 150), 3, id="exactly half of it"),
        pytest.param((100, 200), 3, (0, 149), None, id="less than half of it"),
        pytest.param((100, 200), 3, (200, 300), None, id="beside it"),
        pytest.param((100, 200), 0, (120, 180), 0, id="a part of what is not relevant"),
        pytest.param((100, 200), 0, (0, 1000), None, id="longer: the rest was not judged"),
        pytest.param((100, 200), 0, (100, 300), 0, id="half of it was judged"),
    ],
)
def test_another_chunking(
    judged: tuple[int, int], grade: int, chunk: tuple[int, int], expected: int | None
) -> None:
    grades = project([judgment(*judged, grade)], [passage(*chunk)], sha256_of=SHA)
    assert grades.get("q", {}).get(passage(*chunk).passage_id) == expected


def test_the_highest_grade_counts_and_the_last_word_on_the_same_characters() -> None:
    both = [judgment(0, 100, 0), judgment(100, 200, 2)]
    for order in (both, both[::-1]):
        assert project(order, [passage(0, 200)], sha256_of=SHA)["q"] == {"d1:0-200": 2}
    changed = [judgment(0, 100, 3), judgment(0, 100, 0)]
    assert project(changed, [passage(0, 100)], sha256_of=SHA)["q"] == {"d1:0-100": 0}


def test_judgments_of_other_files_stay_out() -> None:
    elsewhere = [judgment(0, 100, 3, sha256="bbbb"), judgment(0, 100, 3, sha256="cccc")]
    assert project(elsewhere, [passage(0, 100)], sha256_of=SHA) == {}
    found = project(elsewhere, [passage(0, 100, doc_id="d2")], sha256_of=SHA)
    assert found == {"q": {"d2:0-100": 3}}


def test_grades_as_qrels_are_in_order() -> None:
    lines = judgments_as({"who?": {"p2": 0, "p1": 3}}, "qrels").splitlines()
    assert [line.split()[1:] for line in lines] == [["0", "p1", "3"], ["0", "p2", "0"]]


# -- the report ----------------------------------------------------------------------------


def runs(
    first: dict[str, list[str]], second: dict[str, list[str]]
) -> dict[str, tuple[SystemInfo, list[Ranking]]]:
    return {
        name: (
            SystemInfo(name, family, name.upper()),
            [ranking(name, ids, query_id=query_id) for query_id, ids in answers.items()],
        )
        for name, family, answers in (
            ("diff", Family.DIFFUSION, first),
            ("ar", Family.AUTOREGRESSIVE, second),
        )
    }


def test_a_report_by_hand() -> None:
    # diff has the one relevant passage first, ar has it second, after one nobody judged.
    report = judged_report(
        {"q1": {"p1": 3, "p3": 0}},
        runs({"q1": ["p1", "p3"]}, {"q1": ["p2", "p1"]}),
        passages=10,
        k=2,
    )
    assert report.measured.difference["nDCG@10"].value == pytest.approx(1 - 1 / log2(3))
    assert report.unjudged == {"diff": 0.0, "ar": 0.5}
    assert report.judgments == 2
    assert report.words == (
        "1 query judged, 2 judgments.",
        "nDCG@10 differs by +0.369 on this one query, which tells nothing: judge more queries "
        "before you believe a difference.",
        "50 % of the top 2 of AR are unjudged and count as not relevant.",
    )


def test_no_measure_looks_deeper_than_the_rankings_go() -> None:
    qrels = {"q1": {"p1": 3}, "q2": {"p1": 1}}
    both = runs({"q1": ["p1"], "q2": ["p1"]}, {"q1": ["p2"], "q2": ["p1"]})
    whole = judged_report(qrels, both, passages=900)
    assert "Recall@100" in whole.measured.difference
    cut = judged_report(qrels, both, passages=900, depth=50)
    for measures in (cut.measured.difference, cut.p_holm, cut.measured.systems[0].measures):
        assert list(measures) == ["nDCG@10", "Recall@10", "MRR@10"]


def test_a_system_that_failed_is_named_with_its_reason() -> None:
    report = judged_report(
        {"q1": {"p1": 3}},
        runs({"q1": ["p1"]}, {"q1": ["p1"]}),
        passages=9,
        failures={"Twin": "Its weights are damaged."},
    )
    assert report.words[-1] == "Twin is not measured: Its weights are damaged."


def test_queries_without_anything_relevant_are_left_out() -> None:
    report = judged_report(
        {"q1": {"p1": 1}, "q2": {"p1": 0}},
        runs({"q1": ["p1"], "q2": ["p1"]}, {"q1": ["p1"], "q2": ["p1"]}),
        passages=2,
    )
    assert report.measured.query_ids == ("q1",)
    with pytest.raises(UsageError, match="No query has a passage judged relevant yet"):
        judged_report({"q2": {"p1": 0}}, runs({}, {}), passages=2)


def answers(*, better: int, worse: int, same: int) -> tuple[dict[str, list[str]], ...]:
    """Queries where diff is better by one place, worse by one, or the same."""
    first, second = {}, {}
    for number in range(better + worse + same):
        query = f"q{number:03d}"
        right, wrong = [f"{query}:p1", "p2"], ["p2", f"{query}:p1"]
        first[query] = wrong if better <= number < better + worse else right
        second[query] = wrong if number < better else right
    return first, second


def own_passages(queries: Iterable[str]) -> dict[str, dict[str, int]]:
    """A relevant passage for each query, so that every query speaks for itself."""
    return {query: {f"{query}:p1": 2, "p2": 0} for query in queries}


def test_a_clear_difference_needs_no_more() -> None:
    first, second = answers(better=30, worse=2, same=8)
    qrels = own_passages(first)
    report = judged_report(qrels, runs(first, second), passages=5)
    assert report.p_holm["nDCG@10"] < 0.05
    assert report.more_judgments["nDCG@10"] == 0
    assert "more than chance" in report.words[1]
    assert report.p_holm == holm(
        {name: one.p_value for name, one in report.measured.difference.items()}
    )


def test_an_unclear_difference_says_about_how_many_more() -> None:
    first, second = answers(better=8, worse=5, same=12)
    qrels = own_passages(first)
    report = judged_report(qrels, runs(first, second), passages=5)
    more = report.more_judgments["nDCG@10"]
    # 8 gains and 5 losses of .369 in 25: the bet that grows best stakes about .64 and gains
    # (8 ln 1.237 + 5 ln .763) / 25 = .014 a query; ln(24 * 5 / .05) = 7.78 over 5 measures asks
    # for about 555 queries, two judgments each.
    assert more is not None
    assert 900 < more < 1200
    assert "may be chance" in report.words[1]
    assert f"about {more:,} more judgments" in report.words[1]
    # Both recall the one relevant passage always: no number can be named there.
    assert report.more_judgments["Recall@10"] is None


def test_swapping_the_encoders_mirrors_the_report() -> None:
    first, second = answers(better=8, worse=5, same=12)
    qrels = own_passages(first)
    forth = judged_report(qrels, runs(first, second), passages=5)
    back = judged_report(qrels, runs(second, first), passages=5)
    for name, one in forth.measured.difference.items():
        assert back.measured.difference[name].value == pytest.approx(-one.value)
    assert forth.p_holm == back.p_holm
    assert forth.more_judgments == back.more_judgments


def test_queries_that_share_their_answer_settle_nothing_by_number() -> None:
    # diff wins 30 of 30, but all ask for the same passage: one voice, no certainty
    first, second = answers(better=30, worse=0, same=0)
    apart = judged_report(own_passages(first), runs(first, second), passages=5)
    assert apart.measured.independent == 30
    assert apart.p_holm["nDCG@10"] < 0.05
    same = {
        name: {query: [one.replace(query, "any") for one in ids] for query, ids in side.items()}
        for name, side in (("first", first), ("second", second))
    }
    qrels = {query: {"any:p1": 2, "p2": 0} for query in first}
    together = judged_report(qrels, runs(same["first"], same["second"]), passages=5)
    assert together.measured.independent == 1
    assert together.p_holm["nDCG@10"] == 1.0
