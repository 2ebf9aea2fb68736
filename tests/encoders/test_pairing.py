"""Any two known encoders can be put side by side as ``A+B``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.encoders.registry import Registry
from core.errors import UnknownNameError
from tests.encoders.fake import fake_spec

ONE = replace(fake_spec(), encoder_id="one", label="One")
TWO = replace(fake_spec(), encoder_id="two", label="Two")
REGISTRY = Registry({"one": ONE, "two": TWO}, {})


def test_a_pairing_names_both_and_claims_nothing_matched() -> None:
    pair = REGISTRY.pair("one+two")
    assert REGISTRY.specs_of("one+two") == (ONE, TWO)
    assert pair.label == "One + Two"
    assert "Nothing by design" in pair.matched


@pytest.mark.parametrize("pair_id", ["one+three", "three+one", "one+one", "one+", "+", "both"])
def test_an_impossible_pairing_is_refused(pair_id: str) -> None:
    with pytest.raises(UnknownNameError):
        REGISTRY.pair(pair_id)
