import math

import numpy as np
import pytest

from core.errors import LaboratoryError
from core.experiments.context import IndexedEncoder
from core.experiments.token_shares import token_shares
from tests.experiments.stand_in import HARBOUR, WordEncoder, word_context


def test_token_shares_add_up_to_the_score() -> None:
    context = word_context(WordEncoder(mix=0.3))
    text = "The flood came in April."
    found = token_shares(context.a, "flood", text)
    assert sum(share.share for share in found.shares) == pytest.approx(found.score, abs=1e-6)
    assert abs(found.residual) < 1e-6
    assert max(found.shares, key=lambda share: share.share).token == "flood"
    assert all(text[share.start : share.end] == share.token for share in found.shares)


def test_without_mixing_only_the_word_itself_has_a_share() -> None:
    context = word_context()
    found = token_shares(context.a, "flood", "The flood came in April.")
    # flood 1, other 4: 1 / sqrt(17)
    assert [round(share.share, 6) for share in found.shares] == [
        0.0, round(1 / math.sqrt(17), 6), 0.0, 0.0, 0.0,
    ]  # fmt: skip


def test_shares_that_do_not_add_up_are_not_shown() -> None:
    class Crooked(WordEncoder):
        def encode(self, texts, *, kind, monitor=None):  # type: ignore[no-untyped-def, explicit-override]
            rows = super().encode(texts, kind=kind, monitor=monitor)
            return np.sign(rows + np.float32(0.01)) / np.float32(math.sqrt(8))

    context = word_context(Crooked())
    with pytest.raises(LaboratoryError, match="does not pool its tokens linearly"):
        token_shares(context.a, "flood", "The flood came in April.")


def test_shares_of_a_real_backbone_add_up(
    tiny_encoders: tuple[IndexedEncoder, IndexedEncoder],
) -> None:
    for indexed in tiny_encoders:
        found = token_shares(indexed, "old wind", HARBOUR.text)
        assert abs(found.residual) < 1e-5
        assert sum(share.share for share in found.shares) == pytest.approx(found.score, abs=1e-5)
