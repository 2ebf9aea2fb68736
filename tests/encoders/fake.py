"""A deterministic encoder for tests, whose vectors can be worked out by hand. Never a default.

Every run of letters or digits is a token, lowercased. A token's own vector is one-hot at
``crc32(token) % dimension``. Its state mixes in half the mean of the tokens it may see: all of the
text's under bidirectional attention, those up to and including itself under causal attention, those
from itself on under backward attention. The embedding is the mean of the states (or the last state),
brought to unit length. A text without a token counts as the single token "" .

Example, dimension 8, mean pooling, bidirectional: in "a b" with one-hot vectors A and B, both states
are own + (A + B) / 4, their mean is (A + B) * 0.75, the embedding (A + B) / sqrt(2).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from core.encoders.spec import Attention, EncoderSpec, Pooling, TextKind, TokenTrace
from core.monitor import Progress, SilentMonitor, raise_if_stopped
from core.records import Family, ReceivedText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.monitor import Monitor

_TOKEN = re.compile(r"[^\W_]+")
_BATCH = 32


def fake_spec(
    *,
    encoder_id: str = "fake-diffusion",
    family: Family = Family.DIFFUSION,
    attention: Attention = Attention.BIDIRECTIONAL,
    pooling: Pooling = Pooling.MEAN,
    query_prompt: str = "",
    passage_prompt: str = "",
    max_tokens: int = 512,
    dimension: int = 64,
) -> EncoderSpec:
    """Return the spec of a fake encoder."""
    return EncoderSpec(
        encoder_id=encoder_id,
        label=encoder_id,
        family=family,
        checkpoint="fake",
        revision="",
        architecture="fake",
        attention=attention,
        pooling=pooling,
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
        max_tokens=max_tokens,
        dimension=dimension,
        licence="Apache-2.0",
        trained_on="Nothing: hashed words.",
        parameters=0,
    )


class FakeEncoder:
    """The encoder described at the top of this module."""

    def __init__(self, spec: EncoderSpec | None = None) -> None:
        self._spec = spec or fake_spec()
        self.encoded_texts = 0  # so that tests can tell what was embedded again

    @property
    def spec(self) -> EncoderSpec:
        """What this encoder is."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """Hex digest of the spec."""
        return hashlib.sha256(repr(self._spec).encode()).hexdigest()

    @property
    def passage_fingerprint(self) -> str:
        """Hex digest of the spec without its query prompt."""
        return hashlib.sha256(repr(replace(self._spec, query_prompt="")).encode()).hexdigest()

    @property
    def device(self) -> str:
        """Always ``cpu``."""
        return "cpu"

    def encode(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        """Embed texts; see the module's docstring."""
        watcher = monitor or SilentMonitor()
        embeddings = np.zeros((len(texts), self._spec.dimension), dtype=np.float32)
        for start in range(0, len(texts), _BATCH):
            raise_if_stopped(watcher)
            part = texts[start : start + _BATCH]
            for row, trace in enumerate(self.trace(part, kind=kind)):
                pooled = trace.weights @ trace.states
                embeddings[start + row] = pooled / np.linalg.norm(pooled)
            self.encoded_texts += len(part)
            stage = f"embedding ({self._spec.label})"
            watcher.report(Progress(stage, start + len(part), len(texts)))
        return embeddings

    def received(self, texts: Sequence[str], *, kind: TextKind) -> tuple[ReceivedText, ...]:
        """Tell what the encoder gets for each text."""
        found = []
        for text in texts:
            whole = self._prompt(kind) + text
            total = max(1, len(_TOKEN.findall(whole)))
            found.append(ReceivedText(whole, total, min(total, self._spec.max_tokens)))
        return tuple(found)

    def trace(
        self, texts: Sequence[str], *, kind: TextKind, attention: Attention | None = None
    ) -> tuple[TokenTrace, ...]:
        """Follow texts token by token."""
        return tuple(self._trace(text, kind, attention or self._spec.attention) for text in texts)

    def _prompt(self, kind: TextKind) -> str:
        return self._spec.query_prompt if kind is TextKind.QUERY else self._spec.passage_prompt

    def _trace(self, text: str, kind: TextKind, attention: Attention) -> TokenTrace:
        prompt = self._prompt(kind)
        matches = [(m.group().lower(), m.span()) for m in _TOKEN.finditer(prompt + text)]
        matches = matches or [("", (-1, -1))]
        kept = matches[: self._spec.max_tokens]
        count = len(kept)
        own = np.zeros((count, self._spec.dimension), dtype=np.float32)
        ids = np.array([zlib.crc32(t.encode()) % self._spec.dimension for t, _ in kept])
        own[np.arange(count), ids] = 1.0
        seen = np.ones((count, count), dtype=np.float32)  # (query token, key token)
        if attention is Attention.CAUSAL:
            seen = np.tril(seen)
        elif attention is Attention.BACKWARD:
            seen = np.triu(seen)
        context = (seen / seen.sum(axis=1, keepdims=True)) @ own
        weights = np.full(count, 1.0 / count, dtype=np.float32)
        if self._spec.pooling is Pooling.LAST_TOKEN:
            weights = np.zeros(count, dtype=np.float32)
            weights[-1] = 1.0
        offsets = np.array(
            [
                (start - len(prompt), end - len(prompt)) if start >= len(prompt) else (-1, -1)
                for _, (start, end) in kept
            ],
            dtype=np.int64,
        )
        return TokenTrace(
            token_ids=ids.astype(np.int64),
            tokens=tuple(token for token, _ in kept),
            offsets=offsets,
            states=own + 0.5 * context,
            weights=weights,
            tokens_dropped=len(matches) - count,
        )
