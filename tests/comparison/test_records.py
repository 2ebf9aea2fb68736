from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from core.comparison.records import FORMAT, Comparison, from_json, to_json
from core.errors import UnknownNameError, UsageError
from tests.comparison.worlds import background, random_scores, two_encoders

IDS = [f"p{number:02d}" for number in range(30)]


@pytest.fixture
def comparison() -> Comparison:
    return two_encoders(
        ids=IDS,
        scores_a=random_scores(IDS, seed=1),
        scores_b=random_scores(IDS, seed=2),
        backgrounds={"diff": background(seed=3), "ar": background(seed=4)},
        lexical=["p03", "p04"],
        depth=12,
    )


def test_round_trip_gives_an_equal_comparison(comparison: Comparison) -> None:
    assert comparison.cloud  # the premise: nothing optional is empty
    assert comparison.summary
    assert from_json(to_json(comparison)) == comparison
    assert to_json(from_json(to_json(comparison))) == to_json(comparison)  # 9 stays 9, not 9.0
    assert from_json(to_json(comparison, indent=1)) == comparison


def test_a_measure_newer_than_the_save_is_computed_on_opening(comparison: Comparison) -> None:
    fields = json.loads(to_json(comparison))
    for agreement in fields["agreements"]:
        del agreement["figures"]["tau_b"], agreement["figures"]["tau_items"]
    assert from_json(json.dumps(fields)) == comparison


def test_lone_surrogates_survive(comparison: Comparison) -> None:
    # Broken PDFs give such text; UTF-8 cannot hold it, JSON escapes can.
    hostile = comparison.passages[0].text + "\ud800"
    fields = json.loads(to_json(comparison))
    fields["passages"][0]["text"] = hostile
    again = from_json(json.dumps(fields))
    assert again.passages[0].text == hostile
    to_json(again).encode("utf-8")


def test_lookups_by_id(comparison: Comparison) -> None:
    first = comparison.column("diff").ranking.hits[0]
    assert comparison.passage(first.passage_id).standing("diff").rank == 1
    assert comparison.agreement("ar", "diff") is comparison.encoders_agreement
    assert comparison.agreement("ar", "nobody") is None


@pytest.mark.parametrize("ask", ["column", "passage"])
def test_unknown_names_are_refused(comparison: Comparison, ask: str) -> None:
    with pytest.raises(UnknownNameError, match="'nobody'"):
        getattr(comparison, ask)("nobody")
    with pytest.raises(UnknownNameError, match="'nobody'"):
        comparison.passages[0].standing("nobody")


def test_comparisons_do_not_change(comparison: Comparison) -> None:
    with pytest.raises(FrozenInstanceError):
        comparison.k = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"format": 1}', '{"format": "x"}', '{"format": 1e999}', "{'a'"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a comparison saved by Bifocal"):
        from_json(text)


def test_a_newer_format_is_refused(comparison: Comparison) -> None:
    fields = json.loads(to_json(comparison)) | {"format": FORMAT + 1}
    with pytest.raises(UsageError, match="newer Bifocal; update"):
        from_json(json.dumps(fields))
