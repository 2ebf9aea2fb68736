"""What every encoder can do, whatever is inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from core.encoders.spec import Attention, EncoderSpec, TextKind
    from core.monitor import Monitor
    from core.records import ReceivedText


@dataclass(frozen=True, slots=True, eq=False)
class TokenTrace:
    """One text's way through an encoder, token by token.

    The embedding is linear in the tokens: ``unit(weights @ states)`` is what ``encode`` returns.

    Attributes:
        token_ids: ``(n,)`` int64, special and prompt tokens included.
        tokens: ``n`` readable pieces.
        offsets: ``(n, 2)`` int64: character range in the *caller's* text; (-1, -1) for prompt and
            special tokens.
        states: ``(n, dim)`` float32: each token's own contribution before pooling.
        weights: ``(n,)`` float32 pooling weights, summing to 1.
        tokens_dropped: Tokens cut off by the limit.
    """

    token_ids: NDArray[np.int64]
    tokens: tuple[str, ...]
    offsets: NDArray[np.int64]
    states: NDArray[np.float32]
    weights: NDArray[np.float32]
    tokens_dropped: int = 0


class Encoder(Protocol):
    """Texts to unit vectors, and an account of what was really sent."""

    @property
    def spec(self) -> EncoderSpec:
        """What this encoder is."""
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
        """Digest of what decides passage vectors alone: the query prompt is left out.

        Stored passage vectors are keyed by it, so another query instruction embeds nothing anew.
        """
        ...

    @property
    def device(self) -> str:
        """Where it runs: ``cpu``, ``cuda:0``, ``mps``."""
        ...

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: TextKind,
        monitor: Monitor | None = None,
    ) -> NDArray[np.float32]:
        """Embed texts; ``(n, dim)`` float32, unit rows, in the order given; ``(0, dim)`` for none.

        Raises:
            EncodingError: If a vector is not finite or the backbone fails.
            StoppedError: If the monitor asks to stop.
        """
        ...

    def received(self, texts: Sequence[str], *, kind: TextKind) -> tuple[ReceivedText, ...]:
        """Tell exactly what the encoder gets for each text: string, tokens kept and dropped."""
        ...

    def trace(
        self,
        texts: Sequence[str],
        *,
        kind: TextKind,
        attention: Attention | None = None,
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


class TokenReadout(Protocol):
    """How a backbone's layer states become an embedding: something per token, a mean, a linear map.

    State indices: 0 is the token embeddings, ``i`` the residual stream after block ``i`` (no final
    norm), -1 the states after the final norm. The projection is affine and shares sum to 1, so
    pooling before it gives the same embedding as pooling after it.
    """

    @property
    def layers(self) -> tuple[int, ...]:
        """Which layers' states it reads, as state indices."""
        ...

    @property
    def dimension(self) -> int:
        """Of the embedding."""
        ...

    def normalised(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Join each layer's ``(batch, length, hidden)`` into one float32 tensor, token by token."""
        ...

    def project(self, normalised: torch.Tensor) -> torch.Tensor:
        """Map the last dimension to the embedding's, affinely."""
        ...

    def shares(self, token_ids: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        """Tell how much each token counts.

        Args:
            token_ids: ``(batch, length)`` int64.
            pooled: ``(batch, length)``, 1 where a token may count, 0 on padding.

        Returns:
            ``(batch, length)`` float32; rows sum to 1, padding is 0.
        """
        ...

    def to(self, device: torch.device | str) -> TokenReadout:
        """Return the same readout with its numbers on a device."""
        ...
