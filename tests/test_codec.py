import json
import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pytest

from core.codec import from_json, to_json
from core.experiments.run import result_key


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


@dataclass(frozen=True, slots=True)
class Named:
    name: str = "none"


OUTER = Outer("a", Colour.BLUE, (Inner(0.5),), (1, 2.5), None, {"x": Inner(1.0)})


def test_a_record_comes_back_equal() -> None:
    assert from_json(Outer, to_json(OUTER)) == OUTER


def test_numbers_that_json_cannot_say_become_null_or_are_kept_for_bifocal_alone() -> None:
    assert json.loads(to_json(Inner(math.nan))) == {"value": None}
    assert math.isnan(from_json(Inner, to_json(Inner(math.nan), keep_nan=True)).value)


def test_numpy_values_become_plain_ones() -> None:
    assert json.loads(to_json({"a": np.float32(0.5), "b": np.arange(2)})) == {"a": 0.5, "b": [0, 1]}


@pytest.mark.parametrize("text", ["", "[1", '{"value": "x"}', "{}", "null", "[" * 100_000])
def test_a_damaged_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(Inner, text)


def test_a_lone_surrogate_survives() -> None:
    assert from_json(Named, to_json(Named("a\ud800"))) == Named("a\ud800")


def test_a_field_that_is_missing_takes_its_default() -> None:
    assert from_json(Named, '{"of_a_later_version": 1}') == Named("none")


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
