import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.codec import from_json, to_json
from core.experiments.verdict import Lead, Outcome, Verdict, contrast, verdict


def _verdict(outcomes: list[Outcome]) -> Verdict:
    return verdict(outcomes, label_a="Blue", label_b="Orange", k=10)


def _outcomes(count: int, rank_a: int, rank_b: int, *, lexical: int | None = None) -> list[Outcome]:
    """One query from each of ``count`` passages, all with the same ranks."""
    return [Outcome(f"p{n:03d}", "headings", rank_a, rank_b, lexical) for n in range(count)]


def test_ranks_count_within_the_top_k_only() -> None:
    # k = 3. q1: 1st against 2nd; q2: 3rd against 40th, which is not found; q3: both not found
    found = contrast([1, 3, 20], [2, 40, None], ["p1", "p2", "p3"], k=3)
    assert (found.first_higher, found.second_higher, found.level) == (2, 0, 1)
    assert found.first_mean == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert found.second_mean == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert found.difference == pytest.approx(found.first_mean - found.second_mean)
    assert found.net_gain == pytest.approx(2 / 3)


def test_a_constant_lead_is_a_lead_with_a_closed_interval() -> None:
    found = _verdict(_outcomes(50, 1, 2))
    # every draft says the same, so only bets bound it: never the point +0.50 to +0.50
    assert 0.2 < found.encoders.low < 0.5 < found.encoders.high < 0.8
    assert found.encoders.lead is Lead.FIRST
    assert found.sentences[0].startswith("For these documents choose Blue: a net 100 %")
    assert "higher for Blue on 50 and for Orange on 0 of 50 drafted queries" in found.sentences[1]
    assert "difference +0.50, 95 % interval +0.3" in found.sentences[1]


def test_a_small_lead_is_called_small() -> None:
    # 1 of 25 queries 2nd instead of 1st: a difference of 0.02, and never the other way round
    found = _verdict(
        [Outcome(f"p{n:03d}", "headings", 1, 2 if n % 25 == 0 else 1, None) for n in range(500)]
    )
    assert found.encoders.difference == pytest.approx(0.02)
    assert found.encoders.low > 0
    assert found.sentences[0].startswith("Lean to Blue for these documents, by a little: a net 4 %")


def test_the_figures_of_a_sentence_add_up_as_they_are_written() -> None:
    # 125 queries: 1 and 2 of them 2nd instead of 1st, so 0.996 and 0.992; as 1.00 and 0.99 the
    # difference would read 0.00
    found = _verdict(
        [Outcome(f"p{n:03d}", "headings", 1 + (n < 1), 1 + (n < 2), None) for n in range(125)]
    )
    assert "rank@10 0.996 against 0.992, difference +0.004" in found.sentences[1]


def test_equal_ranks_are_a_tie_and_few_passages_settle_nothing() -> None:
    assert "in the same place every time" in _verdict(_outcomes(50, 2, 2)).sentences[0]
    few = _verdict(_outcomes(5, 1, 2))
    assert few.encoders.lead is Lead.OPEN
    assert few.sentences[0].startswith("Not settled")
    assert "5 source passages are few" in few.sentences[0]


def test_a_tie_needs_a_narrow_interval() -> None:
    # one query in forty differs each way, and by little: 1st against 2nd among 400 passages
    narrow = _outcomes(380, 1, 1) + [
        Outcome(f"q{n}", "headings", 1 + n % 2, 2 - n % 2, None) for n in range(20)
    ]
    assert _verdict(narrow).encoders.lead is Lead.TIE
    wide = [Outcome(f"q{n}", "headings", 1 + n % 2 * 9, 10 - n % 2 * 9, None) for n in range(30)]
    found = _verdict(wide)
    assert found.encoders.difference == 0
    assert found.encoders.lead is Lead.OPEN


def test_equally_well_is_said_from_fifty_source_passages_on() -> None:
    # 1 query in 5 is 6th instead of 5th for either: within 0.05, but 49 passages could hide more
    def pairs(count: int) -> list[Outcome]:
        return [
            Outcome(f"p{n:03d}", "headings", *(5 + (n % 5 == place) for place in range(3)))
            for n in range(count)
        ]

    few, enough = _verdict(pairs(49)), _verdict(pairs(50))
    assert -0.05 < few.encoders.low < few.encoders.high < 0.05
    assert (few.encoders.lead, enough.encoders.lead) == (Lead.OPEN, Lead.TIE)
    assert "49 source passages are few" in few.sentences[0]
    assert "equally well" in enough.sentences[0]
    assert "are not told apart by these drafts" in few.sentences[-1]
    assert "are about level on these drafts" in enough.sentences[-1]
    assert _verdict(_outcomes(49, 2, 2)).sentences[0].startswith("Not settled")


def test_drafts_of_one_passage_are_one_voice() -> None:
    # 40 queries: 20 from as many passages end level, 20 from one passage all win
    alone = contrast([1] * 40, [1] * 20 + [20] * 20, [f"p{n}" for n in range(40)], k=10)
    together = contrast(
        [1] * 40, [1] * 20 + [20] * 20, [f"p{n}" for n in range(20)] + ["big"] * 20, k=10
    )
    assert alone.low > 0.3
    assert together.low < 0 < together.high  # 21 voices, of which one says something


def test_keywords_are_the_better_encoders_rival() -> None:
    worse = _verdict(_outcomes(60, 4, 2, lexical=1))
    assert worse.keywords is not None
    assert worse.keywords.first_mean == 0.5
    assert worse.keywords.lead is Lead.SECOND
    assert "plain keywords (BM25) beat Orange (0.50 against 1.00" in worse.sentences[-1]
    better = _verdict(_outcomes(60, 1, 2, lexical=5))
    assert better.sentences[-1].startswith("An encoder is worth it here: Blue beats plain keywords")
    assert _verdict(_outcomes(60, 1, 2)).keywords is None


def test_a_kind_that_goes_its_own_way_is_named() -> None:
    found = _verdict(
        [
            *(Outcome(f"p{n}", "headings", 1 + n % 2 * 4, 5 - n % 2 * 4, None) for n in range(100)),
            *(Outcome(f"q{n}", "whole paragraphs", 2, 1, None) for n in range(25)),
            *(Outcome(f"r{n}", "keywords", 1, 2, None) for n in range(3)),  # too few to say
        ]
    )
    assert set(found.by_kind) == {"headings", "whole paragraphs"}
    assert found.by_kind["whole paragraphs"].lead is Lead.SECOND
    if found.encoders.lead is not Lead.SECOND:
        assert any("Orange leads on whole paragraphs" in said for said in found.sentences)


@settings(deadline=None, max_examples=50)  # a busy machine must not fail it
@given(
    st.lists(
        st.tuples(st.integers(1, 15), st.integers(1, 15), st.sampled_from(["p", "q", "r", "s"])),
        min_size=1,
        max_size=30,
    )
)
def test_swapping_the_systems_mirrors_the_contrast(rows: list[tuple[int, int, str]]) -> None:
    ones, twos, sources = zip(*rows, strict=True)
    one, two = contrast(ones, twos, sources, k=10), contrast(twos, ones, sources, k=10)
    assert (one.first_higher, one.second_higher) == (two.second_higher, two.first_higher)
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low), abs=1e-9)
    assert one.difference == pytest.approx(-two.difference, abs=1e-9)
    mirrored = {Lead.FIRST: Lead.SECOND, Lead.SECOND: Lead.FIRST}
    assert two.lead is mirrored.get(one.lead, one.lead)


def test_nothing_drafted_says_nothing_and_a_verdict_survives_json() -> None:
    assert _verdict([]).sentences == ()
    found = _verdict(_outcomes(30, 1, 3, lexical=2))
    assert from_json(Verdict, to_json(found)) == found
