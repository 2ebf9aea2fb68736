"""Speed mode: integer products by hand, folding proved without rounding, batches without influence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from typing_extensions import override

from core.encoders import int8
from core.encoders.int8 import Int8Decoder, Int8Options, _Int8Matrix, _Scratch
from core.encoders.lean import LeanDecoder, LeanShape, plain_angles
from core.encoders.spec import Attention
from core.errors import EncoderLoadError

if TYPE_CHECKING:
    from core.encoders.lean import _Block

SHAPE = LeanShape(
    vocabulary=50,
    hidden=32,
    intermediate=48,
    depth=3,
    heads=4,
    kv_heads=2,
    head_dim=8,
    positions=64,
    epsilon=1e-5,
)
IDS = torch.tensor([3, 7, 9, 20, 31, 5, 6, 44, 2, 8, 30, 17])
LENGTHS = [3, 4, 5]


def decoder() -> LeanDecoder:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.ones(shape)
        if len(shape) == 1
        else torch.randn(shape, generator=generator) * 0.2
        for name, shape in SHAPE.llama_tensors.items()
    }
    # one channel far larger than the others, as language models have them
    tensors["embed_tokens.weight"][:, 5] *= 30
    return LeanDecoder(SHAPE, tensors, plain_angles(SHAPE.head_dim, 10_000.0))


def rounded(
    stack: LeanDecoder, attention: Attention = Attention.BIDIRECTIONAL, **options: Any
) -> Int8Decoder:
    return Int8Decoder.of(stack, IDS, LENGTHS, attention=attention, options=Int8Options(**options))


def states(stack: LeanDecoder, attention: Attention = Attention.BIDIRECTIONAL) -> torch.Tensor:
    return torch.cat(stack.run(IDS, LENGTHS, attention=attention, layers=(1, 3)))


def test_a_product_by_hand() -> None:
    # largest of the row 2: codes 127, -64 (63.5 rounds to even); of the matrix 0.5: 127, 51
    matrix = _Int8Matrix(
        torch.tensor([[0.5, 0.2]]), divisor=None, outliers=torch.zeros(0, dtype=torch.int64)
    )
    whole, scale = matrix.product(torch.tensor([[2.0, -1.0]]), _Scratch())
    assert float(whole * scale) == pytest.approx((127 * 127 - 64 * 51) * (0.5 / 127) * (2 / 127))


def test_outliers_stay_in_float32() -> None:
    weight = torch.randn(6, 8, generator=torch.Generator().manual_seed(1))
    states = torch.zeros(2, 8)
    states[:, 3] = torch.tensor([1000.0, 3.14159])
    states[:, 0] = 127.0
    matrix = _Int8Matrix(weight, divisor=None, outliers=torch.tensor([3]))
    whole, scale = matrix.product(states, _Scratch())
    expected = states[:, 3:4] * weight[None, :, 3]
    coarse = weight[:, 0].abs().max() * 127 / 2 + 1  # the other channel's rounding at most
    assert (whole * scale - expected - 127 * weight[:, 0]).abs().max() < coarse
    matrix = _Int8Matrix(weight, divisor=None, outliers=torch.arange(8))
    whole, scale = matrix.product(states, _Scratch())
    torch.testing.assert_close(whole * scale, states @ weight.t())


class Unrounded(_Int8Matrix):
    """The same matrix without any rounding, so that only the folding is left."""

    def __init__(
        self, weight: torch.Tensor, *, divisor: torch.Tensor | None, outliers: torch.Tensor
    ) -> None:
        del outliers
        self._weight, self._divisor = weight, divisor

    @override
    def product(
        self, states: torch.Tensor, scratch: _Scratch, name: str = ""
    ) -> tuple[torch.Tensor, torch.Tensor]:
        del scratch, name
        divided = states if self._divisor is None else states / self._divisor
        return divided @ self._weight.t() / 3, torch.full((len(states), 1), 3.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("float_down", [False, True])
def test_what_is_moved_between_matrices_changes_nothing(
    smoothing: float, float_down: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = decoder()
    monkeypatch.setattr(int8, "_Int8Matrix", Unrounded)
    for attention in (Attention.CAUSAL, Attention.BIDIRECTIONAL):
        fast = rounded(stack, attention, smoothing=smoothing, float_down=float_down)
        torch.testing.assert_close(
            states(fast, attention), states(stack, attention), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("outliers", [0, 2])
def test_states_stay_close_and_smoothing_helps(outliers: int) -> None:
    stack = decoder()
    wanted = states(stack)

    def error(smoothing: float) -> float:
        found = states(rounded(stack, smoothing=smoothing, outliers=outliers))
        return float((found - wanted).norm() / wanted.norm())

    assert error(0.5) < 0.02
    if not outliers:
        assert error(0.5) < error(0.0)  # one channel is 30 times the others


def test_a_text_is_the_same_alone_and_among_others() -> None:
    fast = rounded(decoder())
    whole = states(fast)
    start = 0
    for length in LENGTHS:
        ids = IDS[start : start + length]
        alone = fast.run(ids, [length], attention=Attention.BIDIRECTIONAL, layers=(3,))[0]
        among = whole[len(IDS) :][start : start + length]
        torch.testing.assert_close(alone, among, rtol=1e-5, atol=1e-5)
        start += length


def test_the_float_stack_is_left_as_it_was() -> None:
    stack = decoder()
    before = states(stack)
    rounded(stack, smoothing=0.5)
    np.testing.assert_array_equal(states(stack).numpy(), before.numpy())


def test_a_stack_with_biases_is_refused() -> None:
    stack = decoder()
    block: _Block = stack._blocks[1]
    object.__setattr__(block, "qkv_bias", torch.zeros(len(block.qkv)))
    with pytest.raises(EncoderLoadError, match="plain Llama stacks only"):
        rounded(stack)
