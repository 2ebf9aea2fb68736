"""A tiny encoder that anyone can work out by hand: a vector counts letters of the alphabet."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.encoders.pool import EncoderPool
from core.encoders.registry import Registry
from core.encoders.spec import Attention, EncoderSpec, Pair, Pooling, TextKind, TokenTrace
from core.errors import EncoderUnavailableError, EncodingError
from core.library.library import Library
from core.monitor import Monitor, Progress, raise_if_stopped
from core.records import Family, ReceivedText, SystemInfo
from core.settings import DEFAULT_PAIR
from core.store.workspace import Workspace

DIMENSION = 27


@dataclass
class TinyEncoder:
    """Letter counts, unit length; the last entry is 1 so that nothing is zero."""

    encoder_id: str = "tiny-d"
    family: Family = Family.DIFFUSION
    seconds_per_text: float = 0.0
    fails_on: str = ""
    unavailable: str = ""
    encoded: list[str] = field(default_factory=list)

    def loaded(self) -> TinyEncoder:
        """What the pool gets."""
        if self.unavailable:
            raise EncoderUnavailableError(self.unavailable)
        return self

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec(
            encoder_id=self.encoder_id,
            label=self.encoder_id.title(),
            family=self.family,
            checkpoint="local:tiny",
            revision="",
            architecture="letters",
            attention=Attention.BIDIRECTIONAL,
            pooling=Pooling.MEAN,
            query_prompt="",
            passage_prompt="",
            max_tokens=512,
            dimension=DIMENSION,
            licence="Apache-2.0",
            trained_on="nothing",
            parameters=0,
        )

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.encoder_id.encode()).hexdigest()

    @property
    def passage_fingerprint(self) -> str:
        return hashlib.sha256(f"{self.encoder_id}, passages".encode()).hexdigest()

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def info(self) -> SystemInfo:
        return SystemInfo(self.encoder_id, self.family, self.encoder_id.title())

    def encode(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), DIMENSION), np.float32)
        for position, text in enumerate(texts):
            if monitor is not None:
                raise_if_stopped(monitor)
                monitor.report(Progress("inside", position, len(texts)))
            if self.fails_on and self.fails_on in text:
                raise EncodingError(f"{self.encoder_id} failed on {self.fails_on!r}.")
            if self.seconds_per_text:
                time.sleep(self.seconds_per_text)
            letters = [ord(c) - 97 for c in text.lower() if "a" <= c <= "z"]
            rows[position, :26] = np.bincount(letters, minlength=26)[:26] if letters else 0
            rows[position, 26] = 1.0
            self.encoded.append(text)
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    def with_options(self, options: object) -> TinyEncoder:
        return self

    def received(self, texts: Sequence[str], *, kind: TextKind) -> tuple[ReceivedText, ...]:
        return tuple(ReceivedText(t, len(t.split()), len(t.split())) for t in texts)

    def trace(
        self, texts: Sequence[str], *, kind: TextKind, attention: Attention | None = None
    ) -> tuple[TokenTrace, ...]:
        raise NotImplementedError


def count_words(texts: Sequence[str]) -> list[int]:
    """Tokens are words."""
    return [len(text.split()) for text in texts]


def make_library(workspace: Workspace, *encoders: Any, **more: Any) -> Library:
    """A library whose pair is the first two encoders; an exception stands for one that fails."""
    first, second = encoders if len(encoders) == 2 else (*encoders, TinyEncoder("tiny-second"))
    loaded = {encoder.spec.encoder_id: encoder for encoder in (first, second)}
    first_id, second_id = loaded
    pair = Pair(DEFAULT_PAIR, "Tiny", first_id, second_id, matched="", unmatched="")
    pool = EncoderPool(
        assets=Path("nowhere"),
        registry=Registry(
            {name: encoder.spec for name, encoder in loaded.items()}, {DEFAULT_PAIR: pair}
        ),
        load=lambda spec, **_options: (
            loaded[spec.encoder_id].loaded()
            if isinstance(loaded[spec.encoder_id], TinyEncoder)
            else loaded[spec.encoder_id]
        ),
    )
    pool._set_threads = lambda: None  # type: ignore[method-assign]  # other tests share torch
    return Library(workspace, pool=pool, count_tokens=count_words, **more)


BM25 = SystemInfo("bm25", Family.LEXICAL, "BM25")
RRF = SystemInfo("rrf", Family.FUSION, "Fusion")
