from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.comparison.compare import compare
from core.comparison.records import Comparison, MoveKind
from core.errors import InvalidDepthError, UnknownNameError, UsageError
from core.records import Family, Query, Ranking, SystemInfo
from core.search.answer import MemoryAnswer
from tests.comparison.worlds import (
    DOCUMENT_NAMES,
    QUERY,
    background,
    listed,
    passages,
    random_scores,
    scored,
    two_encoders,
)

IDS = [f"p{number:02d}" for number in range(60)]
MIRROR = {
    MoveKind.SAME: MoveKind.SAME,
    MoveKind.UP: MoveKind.DOWN,
    MoveKind.DOWN: MoveKind.UP,
    MoveKind.ONLY_A: MoveKind.ONLY_B,
    MoveKind.ONLY_B: MoveKind.ONLY_A,
}


def rankings(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    return {column.info.system_id: column.ranking.passage_ids for column in comparison.columns}


def test_a_worked_example() -> None:
    # diff: p1 .9  p2 .8  p3 .3  p4 .1      ar: p3 .9  p1 .8  p4 .7  p2 .1     k = 2
    comparison = two_encoders(
        ids=["p1", "p2", "p3", "p4"],
        scores_a={"p1": 0.9, "p2": 0.8, "p3": 0.3, "p4": 0.1},
        scores_b={"p1": 0.8, "p2": 0.1, "p3": 0.9, "p4": 0.7},
        k=2,
        depth=2,
    )
    agreement = comparison.encoders_agreement
    assert agreement is not None
    assert agreement.shared == 1  # p1
    assert agreement.figures["overlap"] == 0.5
    assert agreement.figures["jaccard"] == pytest.approx(1 / 3)
    # p2 is 2nd in diff and 4th (last) in ar: known although ar's column ends after two.
    assert comparison.passage("p2").standing("ar").rank == 4
    assert comparison.passage("p2").standing("ar").score == 0.1
    assert [(move.passage_id, move.rank_a, move.rank_b) for move in agreement.moves] == [
        ("p1", 1, 2),
        ("p3", 3, 1),
        ("p2", 2, 4),
    ]
    assert [passage.passage_id for passage in comparison.passages] == ["p1", "p3", "p2"]


def test_every_passage_of_every_column_is_there_with_its_text_and_page() -> None:
    comparison = two_encoders(
        ids=IDS, scores_a=random_scores(IDS, seed=1), scores_b=random_scores(IDS, seed=2), depth=20
    )
    shown = {hit for ids in rankings(comparison).values() for hit in ids}
    assert {passage.passage_id for passage in comparison.passages} == shown
    third = comparison.passage(rankings(comparison)["diff"][2])
    assert third.text == f"Text of {third.passage_id}."
    assert third.page_first == IDS.index(third.passage_id) + 1
    assert third.document == "sluice.pdf"


def test_z_and_percentile_come_from_each_systems_own_background() -> None:
    scores = random_scores(IDS, seed=1)
    high = background(seed=0, mean=0.9, spread=0.01)
    comparison = two_encoders(
        ids=IDS, scores_a=scores, scores_b=scores, backgrounds={"ar": high}, lexical=["p01"]
    )
    standing = comparison.passages[0].standing("ar")
    assert standing.score is not None
    assert standing.z == high.z(standing.score)
    assert standing.percentile == high.percentile(standing.score)
    assert comparison.passages[0].standing("diff").z is None
    assert comparison.passage("p01").standing("bm25").z is None


def test_what_a_system_does_not_rank_has_no_rank() -> None:
    scores = random_scores(IDS, seed=1)
    comparison = two_encoders(ids=IDS, scores_a=scores, scores_b=scores, lexical=["p05"])
    other = next(passage for passage in comparison.passages if passage.passage_id != "p05")
    assert other.standing("bm25").rank is None
    assert comparison.passage("p05").standing("bm25").rank == 1


def test_a_failed_system_says_so_and_takes_no_part() -> None:
    broken = MemoryAnswer(
        info=SystemInfo(system_id="ar", family=Family.AUTOREGRESSIVE, label="AR"),
        ranking=Ranking(query_id="q1", system_id="ar", hits=()),
        failure="The encoder failed on the query.",
    )
    systems = [listed("diff", ["p1"], family=Family.DIFFUSION), broken, listed("x", ["p1"])]
    comparison = compare(
        QUERY, systems, {}, k=5, passages=passages(["p1"]), document_names=DOCUMENT_NAMES
    )
    assert comparison.column("ar").failure == "The encoder failed on the query."
    assert comparison.encoders_agreement is None
    assert [(pair.system_a, pair.system_b) for pair in comparison.agreements] == [("diff", "x")]
    assert "failed" in comparison.summary[0]


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        ([Family.LEXICAL, Family.AUTOREGRESSIVE, Family.DIFFUSION], ("s2", "s1")),
        ([Family.LEXICAL, Family.DIFFUSION, Family.DIFFUSION], ("s1", "s2")),
        ([Family.LEXICAL, Family.IMPORTED], ("s1", "s0")),
        ([Family.REFERENCE, Family.FUSION, Family.REFERENCE], ("s0", "s2")),
    ],
)
def test_encoders_are_found_by_family(families: list[Family], expected: tuple[str, str]) -> None:
    systems = [
        listed(f"s{number}", ["p1"], family=family) for number, family in enumerate(families)
    ]
    comparison = compare(QUERY, systems, {}, k=1, passages=passages(["p1"]), document_names={})
    assert (comparison.encoder_a, comparison.encoder_b) == expected


@pytest.mark.parametrize(
    ("limits", "expected"), [((512, 512), True), ((512, 2048), False), ((0, 512), None)]
)
def test_equal_limits(limits: tuple[int, int], *, expected: bool | None) -> None:
    first = scored("a", {"p1": 1.0}, family=Family.DIFFUSION, max_tokens=limits[0])
    second = scored("b", {"p1": 1.0}, family=Family.AUTOREGRESSIVE, max_tokens=limits[1])
    comparison = compare(
        QUERY, [first, second], {}, k=1, passages=passages(["p1"]), document_names={}
    )
    assert comparison.equal_limits is expected


def test_impossible_requests_are_refused() -> None:
    known = passages(["p1"])
    one, two = listed("a", ["p1"]), listed("b", ["p1"])
    with pytest.raises(UsageError, match="at least two"):
        compare(QUERY, [one], {}, k=1, passages=known, document_names={})
    with pytest.raises(UsageError, match="'a'; give each its own id"):
        compare(QUERY, [one, one], {}, k=1, passages=known, document_names={})
    with pytest.raises(InvalidDepthError, match="at least one"):
        compare(QUERY, [one, two], {}, k=0, passages=known, document_names={})
    with pytest.raises(UnknownNameError, match="'c' is not among the systems a, b"):
        compare(QUERY, [one, two], {}, k=1, passages=known, document_names={}, encoders=("a", "c"))
    with pytest.raises(UsageError, match="choose two"):
        compare(QUERY, [one, two], {}, k=1, passages=known, document_names={}, encoders=("a", "a"))
    with pytest.raises(UnknownNameError, match="'p9', which this library does not hold"):
        compare(QUERY, [one, listed("b", ["p9"])], {}, k=1, passages=known, document_names={})


# -- metamorphic ---------------------------------------------------------------------------


def test_the_same_encoder_on_both_sides_shows_no_difference() -> None:
    scores = random_scores(IDS, seed=1)
    same = background(seed=1)
    comparison = two_encoders(
        ids=IDS, scores_a=scores, scores_b=scores, backgrounds={"diff": same, "ar": same}
    )
    agreement = comparison.encoders_agreement
    assert agreement is not None
    assert agreement.figures["rbo"] == pytest.approx(1.0)
    assert {agreement.figures[name] for name in ("overlap", "jaccard", "tau_b")} == {1.0}
    assert agreement.travelled_most is None
    assert {move.kind for move in agreement.moves} == {MoveKind.SAME}
    for passage in comparison.passages:
        first, second = passage.standing("diff"), passage.standing("ar")
        assert (first.rank, first.z, first.percentile) == (
            second.rank,
            second.z,
            second.percentile,
        )
    assert all(point.z_a == point.z_b for point in comparison.cloud)
    assert comparison.summary[0] == "Both encoders return the same 10 passages in the same order."


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30))
def test_swapping_the_encoders_mirrors_every_number(seed: int, k: int) -> None:
    scores_a, scores_b = random_scores(IDS, seed=seed), random_scores(IDS, seed=seed + 1)
    systems = [
        scored("diff", scores_a, family=Family.REFERENCE, depth=20),
        scored("ar", scores_b, family=Family.REFERENCE, depth=20),
    ]
    places = {"diff": background(seed=1), "ar": background(seed=2)}
    forth, back = (
        compare(QUERY, order, places, k=k, passages=passages(IDS), document_names=DOCUMENT_NAMES)
        for order in (systems, systems[::-1])
    )
    assert (back.encoder_a, back.encoder_b) == (forth.encoder_b, forth.encoder_a)
    one, other = forth.encoders_agreement, back.encoders_agreement
    assert one is not None
    assert other is not None
    assert (one.shared, one.figures) == (other.shared, other.figures)
    assert [
        (move.passage_id, move.rank_b, move.rank_a, MIRROR[move.kind]) for move in one.moves
    ] == [(move.passage_id, move.rank_a, move.rank_b, move.kind) for move in other.moves]
    for passage in forth.passages:
        mirrored = back.passage(passage.passage_id)
        assert passage.standings == mirrored.standings[::-1]
    assert [(point.z_b, point.z_a) for point in forth.cloud] == [
        (point.z_a, point.z_b) for point in back.cloud
    ]


def test_the_order_of_upload_changes_nothing() -> None:
    scores_a, scores_b = random_scores(IDS, seed=1), random_scores(IDS, seed=2)
    shuffled = [IDS[position] for position in np.random.default_rng(0).permutation(len(IDS))]
    places = {"diff": background(seed=1), "ar": background(seed=2)}
    known = passages(IDS)

    def compared(ids: list[str]) -> Comparison:
        return compare(
            QUERY,
            [
                scored("diff", {name: scores_a[name] for name in ids}, family=Family.DIFFUSION),
                scored("ar", {name: scores_b[name] for name in ids}, family=Family.AUTOREGRESSIVE),
            ],
            places,
            k=10,
            passages={name: known[name] for name in ids},
            document_names=DOCUMENT_NAMES,
        )

    assert compared(IDS) == compared(shuffled)


def test_an_irrelevant_passage_changes_no_relative_order() -> None:
    scores_a, scores_b = random_scores(IDS, seed=1), random_scores(IDS, seed=2)
    before = two_encoders(ids=IDS, scores_a=scores_a, scores_b=scores_b, depth=60)
    after = two_encoders(
        ids=[*IDS, "noise"],
        scores_a=scores_a | {"noise": 0.31},
        scores_b=scores_b | {"noise": 0.44},
        depth=61,
    )
    for system_id, ids in rankings(before).items():
        kept = tuple(name for name in rankings(after)[system_id] if name != "noise")
        assert kept == ids


def test_a_library_of_one_passage_compares() -> None:
    comparison = two_encoders(ids=["p1"], scores_a={"p1": 0.2}, scores_b={"p1": 0.9})
    assert comparison.encoders_agreement is not None
    assert comparison.encoders_agreement.figures["overlap"] == 1.0
    assert comparison.encoders_agreement.figures["tau_b"] is None
    assert comparison.summary == ("Both encoders return one passage, the same.",)


def test_the_cloud_is_spread_over_the_corpus_and_leaves_out_what_is_shown() -> None:
    ids = [f"p{number:05d}" for number in range(5000)]
    comparison = two_encoders(
        ids=ids,
        scores_a=random_scores(ids, seed=1),
        scores_b=random_scores(ids, seed=2),
        backgrounds={"diff": background(seed=1), "ar": background(seed=2)},
        depth=10,
    )
    assert 380 <= len(comparison.cloud) <= 400
    shown = {passage.passage_id for passage in comparison.passages}
    assert shown.isdisjoint(point.passage_id for point in comparison.cloud)
    first, last = comparison.cloud[0].passage_id, comparison.cloud[-1].passage_id
    assert first < "p00100"
    assert last > "p04900"


def test_the_query_travels_along() -> None:
    query = Query(query_id="q7", text="<script>alert(1)</script>")
    comparison = compare(
        query,
        [listed("a", ["p1"]), listed("b", ["p1"])],
        {},
        k=1,
        passages=passages(["p1"]),
        document_names={},
        pair_id="smollm2-10l",
    )
    assert comparison.query == query
    assert comparison.pair_id == "smollm2-10l"
    assert comparison.corpus_size == 1
