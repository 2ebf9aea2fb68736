"""The protocol of encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from core.encoders.spec import Attention, EncoderSpec, TextKind
    from core.monitor import Monitor
    from core.records import ReceivedText


@dataclass(frozen=True, slots=True, eq=False)
class TokenTrace:
    """One text's way through an encoder, token by token.

    The embedding is linear in the tokens: ``unit(weights @ states)`` is what ``encode`` returns.
    """

    token_ids: NDArray[np.int64]  # ``(n,)`` int64, special and prompt tokens included
    tokens: tuple[str, ...]  # ``n`` readable pieces
    # ``(n, 2)`` int64: character range in the *caller's* text; (-1, -1) for prompt and special
    # tokens
    offsets: NDArray[np.int64]
    states: NDArray[
        np.float32
    ]  # ``(n, dim)`` float32: each token's own contribution before pooling
    weights: NDArray[np.float32]  # ``(n,)`` float32 pooling weights, summing to 1
    tokens_dropped: int = 0  # tokens cut off by the limit


class Encoder(Protocol):
    """Texts to unit vectors, and an account of the strings and tokens sent."""

    @property
    def spec(self) -> EncoderSpec:
        """Its description."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides the vectors.

        Weights, attention, pooling, prompts, instruction, limit, dtype: equal fingerprints mean
        equal vectors for equal texts.
        """
        ...

    @property
    def passage_fingerprint(self) -> str:
        """Digest of everything that decides passage vectors: the query prompt is left out.

        Stored passage vectors are keyed by it, so another query instruction embeds nothing anew.
        """
        ...

    @property
    def device(self) -> str:
        """Where it runs: ``cpu``, ``cuda:0``, ``mps``."""
        ...

    def encode(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        """Embed texts; ``(n, dim)`` float32, unit rows, in the order given; ``(0, dim)`` for none.

        Raises:
            EncodingError: If a vector is not finite or the backbone fails.
            StoppedError: If the monitor asks to stop.
        """
        ...

    def received(self, texts: Sequence[str], *, kind: TextKind) -> tuple[ReceivedText, ...]:
        """Account for each text: the string sent, tokens read and dropped."""
        ...

    def trace(
        self, texts: Sequence[str], *, kind: TextKind, attention: Attention | None = None
    ) -> tuple[TokenTrace, ...]:
        """Follow texts token by token, with the attention of the spec or another one."""
        ...


class ContextEncoder(Encoder, Protocol):
    """An encoder that embeds passages in the light of their document (``spec.late_chunking``)."""

    def encode_spans(
        self, text: str, spans: Sequence[tuple[int, int]], *, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        """Embed character ranges of one text: ``(len(spans), dim)`` float32, unit rows."""
        ...

    def span_windows(
        self, text: str, spans: Sequence[tuple[int, int]]
    ) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Return first character and ranges of every window that `encode_spans` reads."""
        ...
