"""Pooling by hand: padding, prompts and NaN never count."""

from __future__ import annotations

import pytest
import torch

from core.encoders.pooling import LastLayerReadout, pool, pooling_weights
from core.encoders.spec import Pooling
from core.errors import EncodingError

# text 0: three tokens; text 1: two tokens and one padding position
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])
STATES = torch.tensor([[[1.0], [2.0], [6.0]], [[4.0], [8.0], [100.0]]])


@pytest.mark.parametrize(
    ("pooling", "wanted"),
    [
        (Pooling.MEAN, [3.0, 6.0]),
        (Pooling.LAST_TOKEN, [6.0, 8.0]),
        (Pooling.FIRST_TOKEN, [1.0, 4.0]),
    ],
)
def test_pooling_by_hand(pooling: Pooling, wanted: list[float]) -> None:
    pooled = pool(STATES, pooling_weights(MASK, pooling))
    assert pooled[:, 0].tolist() == pytest.approx(wanted)


def test_weighted_mean_by_hand() -> None:
    weights = torch.tensor([[1.0, 1.0, 2.0], [0.0, 0.0, 5.0]])
    # (1 + 2 + 2 * 6) / 4; the second text's weights are all zero: its tokens count alike
    pooled = pool(STATES, pooling_weights(MASK, Pooling.WEIGHTED_MEAN, weights))
    assert pooled[:, 0].tolist() == pytest.approx([3.75, 6.0])
    with pytest.raises(EncodingError, match="weight per token"):
        pooling_weights(MASK, Pooling.WEIGHTED_MEAN)


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.LAST_TOKEN, Pooling.FIRST_TOKEN])
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e30])
def test_padding_cannot_leak(pooling: Pooling, poison: float) -> None:
    states = STATES.clone()
    states[1, 2] = poison
    weights = pooling_weights(MASK, pooling)
    assert torch.equal(pool(states, weights)[1], pool(STATES, weights)[1])
    assert weights[1, 2] == 0


def test_the_mask_is_left_alone() -> None:
    mask = MASK.clone()
    for pooling in (Pooling.MEAN, Pooling.LAST_TOKEN, Pooling.FIRST_TOKEN):
        pooling_weights(mask, pooling)
    assert torch.equal(mask, MASK)


def test_prompt_tokens_can_be_left_out() -> None:
    pooled = torch.tensor([[0, 1, 1], [0, 1, 0]])
    assert pool(STATES, pooling_weights(pooled, Pooling.MEAN))[:, 0].tolist() == [4.0, 8.0]
    assert pool(STATES, pooling_weights(pooled, Pooling.LAST_TOKEN))[:, 0].tolist() == [6.0, 8.0]
    assert pool(STATES, pooling_weights(pooled, Pooling.FIRST_TOKEN))[:, 0].tolist() == [2.0, 8.0]


def test_a_text_without_tokens_is_a_fault() -> None:
    with pytest.raises(EncodingError, match="single token"):
        pooling_weights(torch.tensor([[1, 1], [0, 0]]), Pooling.MEAN)


def test_the_plain_readout_changes_nothing() -> None:
    readout = LastLayerReadout(1, Pooling.MEAN)
    assert readout.layers == (-1,)
    assert readout.dimension == 1
    states = readout.project(readout.normalised([STATES.to(torch.bfloat16)]))
    assert states.dtype == torch.float32
    assert torch.equal(states, STATES)
    assert readout.shares(MASK, MASK)[1].tolist() == [0.5, 0.5, 0.0]
