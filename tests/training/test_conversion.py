"""Taking a GGUF file apart: worked blocks, and the library's own de-quantiser as an oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest

from core.encoders.bundled import restored
from core.errors import EncoderLoadError
from core.training.conversion import (
    convert,
    first_layers,
    rotation_halves_apart,
    unpacked_q4_1,
    unpacked_q8_0,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("kind", "unpack"),
    [
        (gguf.GGMLQuantizationType.Q4_1, unpacked_q4_1),
        (gguf.GGMLQuantizationType.Q8_0, unpacked_q8_0),
    ],
    ids=["4 bits", "8 bits"],
)
def test_unpacked_blocks_give_exactly_what_the_format_says(
    kind: gguf.GGMLQuantizationType, unpack: Callable[..., dict[str, Any]]
) -> None:
    dense = np.random.default_rng(0).normal(size=(6, 96)).astype(np.float32)
    rows = gguf.quantize(dense, kind)
    got = restored(unpack(rows, "x"))["x.weight"]
    np.testing.assert_array_equal(got, gguf.dequantize(rows, kind))
    assert np.abs(got - dense).max() < 0.3


def test_rotation_halves_are_put_apart() -> None:
    # llama.cpp interleaves the two halves of each head: rows 0 2 1 3 -> 0 1 2 3 for one head of 4
    rows = np.array([[0], [2], [1], [3], [10], [12], [11], [13]])
    assert rotation_halves_apart(rows, heads=2).flatten().tolist() == [0, 1, 2, 3, 10, 11, 12, 13]


def test_first_layers_keeps_embeddings_and_norm() -> None:
    arrays = {
        name: np.zeros(1) for name in ("norm.weight", "layers.0.a", "layers.1.a", "layers.10.a")
    }
    assert set(first_layers(arrays, 1)) == {"norm.weight", "layers.0.a"}
    assert set(first_layers(arrays, 2)) == {"norm.weight", "layers.0.a", "layers.1.a"}


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"not a model at all, but long enough to read a header from")
    with pytest.raises(EncoderLoadError, match="not a readable GGUF"):
        convert(path)
