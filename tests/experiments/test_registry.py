from __future__ import annotations

import inspect
from typing import Any

import pytest

from core.errors import InvalidSettingError, UnknownNameError
from core.experiments.experiment import QUERY, Experiment, Field, Kind, Place
from core.experiments.registry import EXPERIMENTS, experiment, offered

COUNT = Field("count", Kind.NUMBER, "How many.", default=3, least=2, most=9)
SIDE = Field("side", Kind.CHOICE, "Where.", default="a", choices={"a": "first", "b": "second"})
IDS = Field("ids", Kind.PASSAGES, "Which.")


def test_every_experiment_of_the_page_is_registered_once_and_in_order() -> None:
    assert [one.name for one in offered(Place.LABORATORY)] == [
        "last-sentence", "attention", "growing", "hidden-key", "fairness", "map",
    ]  # fmt: skip
    assert [one.name for one in offered(Place.EVIDENCE)] == [
        "sentences", "clauses", "context", "shares",
    ]  # fmt: skip
    assert len({one.name for one in EXPERIMENTS}) == len({one.verb for one in EXPERIMENTS}) == 11
    with pytest.raises(UnknownNameError, match="there are disagree, last-sentence"):
        experiment("nonsense")


@pytest.mark.parametrize("one", EXPERIMENTS, ids=lambda one: one.name)
def test_defaults_fit_their_fields_and_the_function_takes_them(one: Experiment[Any]) -> None:
    given = {field.name: "why" for field in one.fields if field.needed}
    values = one.checked(given)
    assert list(values) == [field.name for field in one.fields]
    inspect.signature(one.run).bind("context", monitor=None, **values)
    assert one.about.endswith(".")
    assert one.hint or one.place is not Place.LABORATORY


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (COUNT, 10, "count is 10; choose 2 to 9"),
        (COUNT, 2.5, "must be a whole number"),
        (COUNT, float("nan"), "must be a whole number"),
        (COUNT, float("inf"), "must be a whole number"),
        (COUNT, "ten", "must be a whole number"),
        (COUNT, True, "must be a whole number"),
        (SIDE, "c", "choose a, b"),
        (SIDE, 1, "must be a text"),
        (IDS, "p1", "must be a list"),
        (IDS, [1], "must be a list"),
        (QUERY, "  ", "query is empty"),
        (QUERY, "x" * 20_001, "20,001 characters; 20,000 are the most"),
    ],
)
def test_what_a_field_cannot_take_gets_a_sentence(field: Field, value: object, words: str) -> None:
    with pytest.raises(InvalidSettingError, match=words):
        field.checked(value)


def test_what_is_left_out_takes_its_default() -> None:
    assert (COUNT.checked(None), COUNT.checked(4.0), SIDE.checked("")) == (3, 4, "a")
    assert IDS.checked(["p1", "p2"]) == ("p1", "p2")
    with pytest.raises(InvalidSettingError, match="takes query, passage_id, side"):
        experiment("growing").checked({"query": "q", "longest": 3})
