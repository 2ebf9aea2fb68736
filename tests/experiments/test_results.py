import json
import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pytest

from core.errors import LaboratoryError
from core.experiments.results import from_json, result_key, to_json


class Colour(StrEnum):
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    value: float


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    colour: Colour
    inner: tuple[Inner, ...]
    pair: tuple[int, float]
    maybe: Inner | None
    by_name: dict[str, Inner]


OUTER = Outer("a", Colour.BLUE, (Inner(0.5),), (1, 2.5), None, {"x": Inner(1.0)})


def test_a_record_comes_back_equal() -> None:
    assert from_json(Outer, to_json(OUTER)) == OUTER


def test_numbers_that_json_cannot_say_become_null_and_come_back_as_nan() -> None:
    text = to_json(Inner(math.nan))
    assert json.loads(text) == {"value": None}
    assert math.isnan(from_json(Inner, text).value)


def test_numpy_values_become_plain_ones() -> None:
    assert json.loads(to_json({"a": np.float32(0.5), "b": np.arange(2)})) == {"a": 0.5, "b": [0, 1]}


@pytest.mark.parametrize("text", ["", "[1", '{"value": 1, "more": 2}', "{}", "null"])
def test_a_damaged_result_is_refused_in_words(text: str) -> None:
    with pytest.raises(LaboratoryError, match="run the experiment again"):
        from_json(Inner, text)


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no JSON form"):
        to_json(object())


def test_the_key_depends_on_every_input_and_not_on_their_order() -> None:
    key = result_key("grow", query="q", seed=1)
    assert key == result_key("grow", seed=1, query="q")
    assert (
        len({key, result_key("grow", query="q", seed=2), result_key("shrink", query="q", seed=1)})
        == 3
    )
