"""The readout: worked numbers, linearity, and what must not matter."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.encoders.pooling import Readout
from core.encoders.spec import Pooling
from core.errors import EncoderLoadError, WeightsMismatchError


def readout(**changes: object) -> Readout:
    generator = torch.Generator().manual_seed(3)
    values: dict[str, object] = {
        "layers": (0, 2),
        "offset": torch.randn(8, generator=generator),
        "scale": torch.rand(8, generator=generator) + 0.5,
        "projection": torch.randn(8, 3, generator=generator),
        "token_weights": torch.tensor([0.0, 1.0, 3.0, 0.0]),
    }
    return Readout(**(values | changes))  # type: ignore[arg-type]


def test_states_are_brought_to_unit_root_mean_square_per_layer() -> None:
    # (3, 4) has mean square 12.5; layer by layer, so the second layer's size has no say
    plain = readout(layers=(0, 1), offset=torch.zeros(4), scale=torch.ones(4), projection=None)
    small, large = torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[300.0, 400.0]]])
    got = plain.normalised([small, large])[0, 0]
    expected = torch.tensor([3.0, 4.0, 3.0, 4.0]) / 12.5**0.5
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_weighted_mean_counts_tokens_by_their_vocabulary_entry() -> None:
    # entries 1 and 2 weigh 1 and 3: shares 1/4 and 3/4; entry 0 weighs nothing
    shares = readout().shares(torch.tensor([[0, 1, 2]]), torch.ones(1, 3))
    assert shares.tolist() == [[0.0, 0.25, 0.75]]


def test_tokens_all_of_weight_zero_count_the_same() -> None:
    shares = readout().shares(torch.tensor([[0, 3, 0]]), torch.tensor([[1, 1, 0]]))
    assert shares.tolist() == [[0.5, 0.5, 0.0]]


def test_prompt_and_padding_are_never_pooled() -> None:
    ids = torch.tensor([[2, 1, 2, 1]])
    pooled = torch.tensor([[0, 1, 1, 0]])  # prompt, text, text, padding
    assert readout().shares(ids, pooled).tolist() == [[0.0, 0.25, 0.75, 0.0]]


def test_last_token_is_the_last_that_belongs_to_the_text() -> None:
    shares = readout(pooling=Pooling.LAST_TOKEN).shares(
        torch.ones(2, 4, dtype=torch.int64), torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]])
    )
    assert shares.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**31))
def test_an_embedding_is_the_weighted_sum_of_its_tokens_contributions(
    length: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    states = [torch.randn(2, length, 4, generator=generator) for _ in range(2)]
    ids = torch.randint(0, 4, (2, length), generator=generator)
    one = readout()
    shares = one.shares(ids, torch.ones(2, length))
    summed = torch.einsum("bl,bld->bd", shares, one.project(one.normalised(states)))
    torch.testing.assert_close(one.raw_embeddings(states, shares), summed, atol=1e-4, rtol=1e-4)


def test_dimension_is_the_projections_or_the_width() -> None:
    assert readout().dimension == 3
    assert readout(projection=None).dimension == 8


def test_tensors_that_do_not_fit_are_refused() -> None:
    with pytest.raises(WeightsMismatchError, match="do not fit together"):
        readout(scale=torch.ones(7))
    with pytest.raises(EncoderLoadError, match="at least one layer"):
        readout(layers=())
