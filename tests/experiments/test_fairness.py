import math
from dataclasses import replace

import numpy as np
import pytest

from core.codec import from_json, to_json
from core.encoders.spec import EncoderSpec, Pooling, TextKind
from core.errors import EncodingError, LaboratoryError
from core.experiments.fairness import (
    FairnessReport,
    TokenStats,
    account_of,
    calibrate,
    corpus_stats,
    equal_limit,
    fairness,
    red_flags,
    text_accounts,
    token_stats,
)
from core.records import Family
from core.search.background import Background
from tests.experiments.stand_in import KITCHEN, RIVER, SPEC, WordEncoder, context_of, spec_b

OTHER = spec_b()


def test_encoders_that_differ_in_family_and_attention_only_raise_no_flag() -> None:
    assert red_flags(SPEC, OTHER) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_tokens": 512}, ["limits differ", "4,096", "512"]),
        ({"pooling": Pooling.LAST_TOKEN}, ["Pooling differs", "the last token", "the mean"]),
        ({"query_prompt": "query: "}, ["before queries", "nothing", "“query:”"]),
        ({"passage_prompt": "doc: "}, ["before passages", "“doc:”"]),
        ({"dtype": "bfloat16"}, ["float32", "bfloat16"]),
        ({"dimension": 1024}, ["1024", "8", "never raw scores"]),
        ({"parameters": 4_000_000_000}, ["4.0 billion", "0 million"]),
        ({"architecture": "qwen3"}, ["llama", "qwen3"]),
        ({"trained_on": "web pages"}, ["trained on different things", "web pages."]),
        ({"family": Family.DIFFUSION}, ["Both encoders are diffusion"]),
    ],
)
def test_each_difference_is_a_flag(changes: dict[str, object], words: list[str]) -> None:
    flags = red_flags(SPEC, replace(OTHER, **changes))  # type: ignore[arg-type]
    assert len(flags) == 1
    for word in (*words, "Words B") if "family" not in changes else words:
        assert word in flags[0]


def test_encoders_of_one_bundle_were_trained_together() -> None:
    one = replace(SPEC, checkpoint="bundled:pair", trained_on="short diffusion adaptation")
    two = replace(OTHER, checkpoint="bundled:pair", trained_on="short autoregressive adaptation")
    assert red_flags(one, two) == ()
    assert len(red_flags(one, replace(two, checkpoint="bundled:other"))) == 1


def test_a_small_difference_in_size_is_no_flag() -> None:
    assert red_flags(SPEC, replace(OTHER, parameters=1100)) == ()


def _stats(spec: EncoderSpec, cut: int, tokens: int = 1000) -> TokenStats:
    return TokenStats(
        spec.encoder_id, 100, cut, tokens, 10 * cut, (1, 2, 3, 4, 5, 6), spec.max_tokens
    )


def test_truncation_of_one_encoder_comes_first_and_in_numbers() -> None:
    short = replace(OTHER, max_tokens=512)
    flags = red_flags(SPEC, short, (_stats(SPEC, 0), _stats(short, 31)))
    assert flags[0].startswith("Words B was cut on 31 % of passages at 512 tokens, Words A on none")
    mirrored = red_flags(short, SPEC, (_stats(short, 31), _stats(SPEC, 0)))
    assert mirrored[0] == flags[0]


def test_truncation_of_both_is_said_too() -> None:
    flags = red_flags(SPEC, OTHER, (_stats(SPEC, 20), _stats(OTHER, 20)))
    assert len(flags) == 1
    assert "read by neither" in flags[0]


def test_vocabularies_of_different_thrift_are_said() -> None:
    flags = red_flags(SPEC, OTHER, (_stats(SPEC, 0, 1300), _stats(OTHER, 0, 1000)))
    assert len(flags) == 1
    assert "Words A needs 30 % more tokens than Words B" in flags[0]


def test_equal_limit_is_the_smaller_one_when_something_was_cut() -> None:
    short = replace(OTHER, max_tokens=512)
    assert equal_limit(SPEC, OTHER) == 0
    assert equal_limit(SPEC, short) == equal_limit(short, SPEC) == 512
    assert equal_limit(SPEC, short, (_stats(SPEC, 0), _stats(short, 3))) == 512
    assert equal_limit(SPEC, short, (_stats(SPEC, 0), _stats(short, 0))) == 0


def test_counts_know_the_limit_in_force() -> None:
    class Limited(WordEncoder):
        max_tokens = 16

    stats = token_stats(Limited(), ["gate"])
    assert stats.max_tokens == 16
    assert account_of(Limited()).max_tokens == 16
    # a spec's own limit no longer matters when both run at one
    short = replace(OTHER, max_tokens=512)
    equal = (replace(_stats(SPEC, 0), max_tokens=512), _stats(short, 0))
    assert red_flags(SPEC, short, equal) == ()
    assert equal_limit(SPEC, short, equal) == 0


def test_tokens_are_counted_by_hand() -> None:
    encoder = WordEncoder(replace(SPEC, max_tokens=3, passage_prompt="doc "))
    stats = token_stats(encoder, ["one", "one two three", "one two three four"])
    # with the prompt: 2, 4 and 5 tokens; cut at 3: 0, 1 and 2 dropped
    assert (stats.tokens, stats.cut, stats.dropped) == (11, 2, 3)
    assert (stats.quantiles[0], stats.quantiles[2], stats.quantiles[-1]) == (2, 4, 5)
    assert stats.share_cut == pytest.approx(2 / 3)
    assert token_stats(encoder, []).share_cut == 0.0


def test_what_was_received_is_told_exactly() -> None:
    encoder = WordEncoder(replace(SPEC, max_tokens=3, query_prompt="ask "))
    (account,) = text_accounts(encoder, ["one two three"], ["query"], kind=TextKind.QUERY)
    assert (account.text, account.tokens_total, account.tokens_kept, account.tokens_dropped) == (
        "ask one two three",
        4,
        3,
        1,
    )
    assert math.isnan(account.seconds)
    (timed,) = text_accounts(encoder, ["one"], ["p"], kind=TextKind.PASSAGE, measure_seconds=True)
    assert timed.seconds >= 0


def test_a_hit_has_its_place_in_the_background() -> None:
    background = Background.from_scores(np.linspace(0, 1, 101), off_topic=[0.2, 0.9, 0.4])
    found = calibrate("a", background, [("p1", 0.75)], bins=4)
    assert sum(found.counts) == 101
    assert found.edges == (0.0, 0.25, 0.5, 0.75, 1.0)
    # 75 of 101 lie below, one is level: 100 * 75.5 / 101
    assert found.hits[0].percentile == pytest.approx(100 * 75.5 / 101)
    assert found.hits[0].z == pytest.approx((0.75 - 0.5) / background.deviation)
    assert found.off_topic_mark == pytest.approx(0.4)


def test_no_background_is_no_failure() -> None:
    found = calibrate("a", Background.from_scores([]), [("p1", 0.75)])
    assert (found.edges, found.counts) == ((), ())
    assert math.isnan(found.hits[0].z)


def test_the_panel_covers_query_passages_and_both_encoders() -> None:
    context = context_of(
        [RIVER, KITCHEN], (WordEncoder(), WordEncoder(replace(OTHER, max_tokens=8)))
    )
    shown = [context.corpus.passages[row].passage_id for row in (1, 2)]
    panel = fairness(context, "flood", shown)
    assert [(text.system_id, text.item_id) for text in panel.texts] == [
        ("words-a", "query"),
        *(("words-a", passage_id) for passage_id in shown),
        ("words-b", "query"),
        *(("words-b", passage_id) for passage_id in shown),
    ]
    assert panel.stats_b.cut > 0
    assert panel.stats_a.cut == 0
    assert panel.equal_limit == 8
    assert panel.flags[0].startswith("Words B was cut on")
    assert [hit.passage_id for hit in panel.calibration[0].hits]
    kept = to_json(panel, keep_nan=True)  # a time that was not measured is NaN
    assert to_json(from_json(FairnessReport, kept), keep_nan=True) == kept


def test_a_passage_that_is_gone_and_a_failing_encoder_get_a_sentence() -> None:
    context = context_of([RIVER], (WordEncoder(), WordEncoder(OTHER)))
    with pytest.raises(LaboratoryError, match="No passage nowhere"):
        fairness(context, "flood", ["nowhere"])
    context.b.encoder._fails_after = 0  # type: ignore[attr-defined]
    with pytest.raises(EncodingError, match="Words B failed"):
        fairness(context, "flood", [])


def test_the_same_encoder_on_both_sides_counts_the_same() -> None:
    context = context_of([RIVER, KITCHEN], (WordEncoder(), WordEncoder()))
    one, two = corpus_stats(context)
    assert one == two
