from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.comparison.compare import compare
from core.comparison.records import Comparison
from core.comparison.summary import first_hit_place
from core.records import Family, Unit
from core.search.background import Background
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

IDS = [f"p{number:02d}" for number in range(30)]


def lists(
    diffusion: list[str],
    autoregressive: list[str],
    lexical: list[str] | None = None,
    *,
    k: int = 3,
    unit: Unit = Unit.PASSAGE,
) -> Comparison:
    systems = [
        listed("diff", diffusion, family=Family.DIFFUSION),
        listed("ar", autoregressive, family=Family.AUTOREGRESSIVE),
    ]
    if lexical is not None:
        systems.append(listed("bm25", lexical, family=Family.LEXICAL))
    return compare(
        QUERY, systems, {}, k=k, passages=passages(IDS), document_names=DOCUMENT_NAMES, unit=unit
    )


@pytest.mark.parametrize(
    ("diffusion", "autoregressive", "sentence"),
    [
        (
            ["p00", "p01", "p02"],
            ["p00", "p01", "p02"],
            "Both encoders return the same 3 passages in the same order.",
        ),
        (
            ["p00", "p01", "p02"],
            ["p01", "p00", "p02"],
            "Both encoders return the same 3 passages in a different order; the first hits differ.",
        ),
        (
            ["p00", "p01", "p02"],
            ["p00", "p02", "p09"],
            "The two encoders share 2 of their first 3 passages; the first hit is the same.",
        ),
        (
            ["p00", "p01", "p02"],
            ["p03", "p04", "p05"],
            "The two encoders share none of their first 3 passages.",
        ),
    ],
    ids=["equal", "reordered", "partly", "disjoint"],
)
def test_the_first_sentence_says_how_far_they_agree(
    diffusion: list[str], autoregressive: list[str], sentence: str
) -> None:
    assert lists(diffusion, autoregressive).summary[0] == sentence


def test_documents_are_called_documents() -> None:
    summary = lists(["p00", "p01"], ["p01", "p00"], k=2, unit=Unit.DOCUMENT).summary
    assert "the same 2 documents" in summary[0]
    assert (
        summary[1]
        == "What travelled most is sluice.pdf: 1st for diffusion, 2nd for autoregressive."
    )


def test_the_second_sentence_names_the_traveller_and_its_page() -> None:
    # diff: p00 p01 ...  ar puts p01 (page 2) last of all 30.
    scores_a = {name: 1.0 - number / 100 for number, name in enumerate(IDS)}
    scores_b = scores_a | {"p01": 0.0}
    comparison = two_encoders(ids=IDS, scores_a=scores_a, scores_b=scores_b, k=5)
    assert comparison.summary[1] == (
        "What travelled most is a passage on page 2 of sluice.pdf: "
        "2nd for diffusion, 30th for autoregressive."
    )


def test_without_ranks_beyond_the_lists_only_alone_is_said() -> None:
    summary = lists(["p00"], ["p00", "p04"]).summary
    assert summary[1] == "Only autoregressive lists a passage on page 5 of sluice.pdf (2nd)."


def test_the_first_hit_lies_between_off_topic_and_known_right_hits() -> None:
    background = Background.from_scores([], off_topic=[0.1, 0.2, 0.6], own=[0.55, 0.7])
    comparison = two_encoders(
        ids=IDS,
        scores_a=dict.fromkeys(IDS, 0.0) | {"p00": 0.5},
        scores_b=dict.fromkeys(IDS, 0.0) | {"p00": 0.65},
        backgrounds={"diff": background, "ar": background},
    )
    assert [first_hit_place(column) for column in comparison.columns] == [
        "first hit above 2 of 3 off-topic questions, below 2 of 2 known-right hits",
        "first hit above 3 of 3 off-topic questions, below 1 of 2 known-right hits",
    ]
    assert first_hit_place(lists(["p00"], ["p00"]).columns[0]) == ""
    assert not any("weak" in sentence for sentence in comparison.summary)


@pytest.mark.parametrize(
    ("autoregressive", "lexical", "sentence"),
    [
        (["p00", "p02"], ["p05", "p00"], "BM25 ranks that first hit 2nd."),
        (["p00", "p02"], ["p05"], "BM25 does not have that first hit among its first 3."),
        (
            ["p00", "p02"],
            ["p05", "p06", "p07", "p00"],
            "BM25 does not have that first hit among its first 3.",
        ),
        (["p01", "p00"], ["p05"], "BM25 has neither first hit among its first 3."),
        (
            ["p01", "p00"],
            ["p00", "p05", "p01"],
            "BM25 ranks both first hits: that of diffusion 1st and that of autoregressive 3rd.",
        ),
        (
            ["p01", "p00"],
            ["p01"],
            "BM25 ranks the first hit of autoregressive 1st, the other is not among its first 3.",
        ),
    ],
    ids=["same top found", "same top missed", "same top too low", "neither", "both", "one"],
)
def test_what_bm25_makes_of_the_first_hits(
    autoregressive: list[str], lexical: list[str], sentence: str
) -> None:
    summary = lists(["p00", "p01"], autoregressive, lexical).summary
    assert summary[-1].replace("Bm25", "BM25") == sentence


def test_nothing_found_by_either() -> None:
    assert lists([], []).summary == ("Neither encoder found anything for this query.",)


def test_equal_families_are_told_apart_by_label() -> None:
    comparison = compare(
        QUERY,
        [listed("left", ["p00"]), listed("right", ["p01"])],
        {},
        k=1,
        passages=passages(IDS),
        document_names=DOCUMENT_NAMES,
    )
    assert "Only Left lists" in comparison.summary[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 500), st.sampled_from([0.01, 0.2]))
def test_never_more_than_three_sentences_and_never_empty(seed: int, spread: float) -> None:
    comparison = two_encoders(
        ids=IDS,
        scores_a=random_scores(IDS, seed=seed, spread=spread),
        scores_b=random_scores(IDS, seed=seed + 1, spread=spread),
        backgrounds={"diff": background(seed=1), "ar": background(seed=2)},
        lexical=IDS[seed % 20 : seed % 20 + 7],
    )
    assert 1 <= len(comparison.summary) <= 3
    assert all(sentence.endswith(".") for sentence in comparison.summary)


def test_long_names_are_shortened() -> None:
    systems = [
        scored("diff", {"p00": 1.0, "p01": 0.5}, family=Family.DIFFUSION),
        scored("ar", {"p00": 0.5, "p01": 1.0}, family=Family.AUTOREGRESSIVE),
    ]
    comparison = compare(
        QUERY, systems, {}, k=2, passages=passages(IDS), document_names={"d1": "x" * 500}
    )
    assert max(map(len, comparison.summary)) < 200
