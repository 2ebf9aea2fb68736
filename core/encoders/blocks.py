"""Compact storage of weight matrices: blocks of 32 small integers with a scale each.

The bundled base keeps the very codes of the checkpoint it was made from (GGUF types Q4_1 and Q8_0,
see ggml-common.h of llama.cpp), only taken apart into plain arrays, so that what runs is bit for
bit what was trained on and nothing is rounded twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import WeightsMismatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 32


@dataclass(frozen=True, slots=True, eq=False)
class FourBitBlocks:
    """A ``(rows, columns)`` matrix at 5 bits a weight: ``scale * code + minimum``.

    Attributes:
        codes: ``(rows, columns // 2)`` uint8. In each run of 16 bytes the low halves are the first
            16 weights of a block and the high halves the last 16.
        scale: ``(rows, columns // 32)`` float16.
        minimum: ``(rows, columns // 32)`` float16.
    """

    codes: NDArray[np.uint8]
    scale: NDArray[np.float16]
    minimum: NDArray[np.float16]

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        rows, half = self.codes.shape
        expected = (rows, half * 2 // BLOCK)
        if self.scale.shape != expected or self.minimum.shape != expected:
            msg = (
                f"4-bit blocks need scales of shape {expected}, got {self.scale.shape} "
                f"and {self.minimum.shape}."
            )
            raise WeightsMismatchError(msg)

    def dequantised(self) -> NDArray[np.float32]:
        """The matrix itself, ``(rows, columns)`` float32."""
        rows, half = self.codes.shape
        packed = self.codes.reshape(rows, -1, BLOCK // 2)
        codes = np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.float32)
        # (rows, blocks, 32)
        codes *= self.scale.astype(np.float32)[..., None]
        codes += self.minimum.astype(np.float32)[..., None]
        return codes.reshape(rows, half * 2)


@dataclass(frozen=True, slots=True, eq=False)
class EightBitBlocks:
    """A ``(rows, columns)`` matrix at 8.5 bits a weight: ``scale * code``.

    Attributes:
        codes: ``(rows, columns)`` int8.
        scale: ``(rows, columns // 32)`` float16.
    """

    codes: NDArray[np.int8]
    scale: NDArray[np.float16]

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        rows, columns = self.codes.shape
        if self.scale.shape != (rows, columns // BLOCK):
            msg = (
                f"8-bit blocks need scales of shape {(rows, columns // BLOCK)}, "
                f"got {self.scale.shape}."
            )
            raise WeightsMismatchError(msg)

    def dequantised(self) -> NDArray[np.float32]:
        """The matrix itself, ``(rows, columns)`` float32."""
        rows, columns = self.codes.shape
        weights = self.codes.astype(np.float32).reshape(rows, -1, BLOCK)
        weights *= self.scale.astype(np.float32)[..., None]
        return weights.reshape(rows, columns)
