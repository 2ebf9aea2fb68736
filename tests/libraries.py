"""Workbenches over two hashed-word encoders: the real parts, nothing to download, quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.encoders.encoder import EncoderOptions, LoadedEncoder
from core.encoders.pool import EncoderPool
from core.encoders.registry import Registry
from core.encoders.spec import Attention, EncoderSpec, Pair
from core.library.ingest import SourceFile
from core.library.library import Library
from core.records import Family
from core.settings import DEFAULT_PAIR
from core.store.workspace import Workspace
from tests.encoders.fake import FakeEncoder, fake_spec

DIFFUSION = fake_spec(encoder_id="hash-diffusion", query_prompt="{instruction}")
AUTOREGRESSIVE = fake_spec(
    encoder_id="hash-autoregressive",
    family=Family.AUTOREGRESSIVE,
    attention=Attention.CAUSAL,
    query_prompt="{instruction}",
    max_tokens=256,
)
TEXTS = {
    "locks.txt": "The lock keeper opened the upper gate at dawn. Two barges waited below. "
    "Nobody had told the crew that the lower sill was damaged.",
    "owls.md": "# Owls\n\nThe barn owl hunts mice at night. It hears them under the snow.",
    "tides.txt": "Spring tides follow the full moon. The harbour floods twice a year.",
}


class HashEncoder(FakeEncoder):
    """The fake encoder with what a pool needs: another limit, another instruction."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec)
        self.variants: list[HashEncoder] = [self]

    @property
    def total_encoded(self) -> int:
        """Texts embedded so far, by this encoder and by what was made from it."""
        return sum(variant.encoded_texts for variant in self.variants)

    def with_options(self, options: EncoderOptions) -> HashEncoder:
        prompt = self.spec.query_prompt.replace("{instruction}", options.query_instruction)
        limit = options.max_tokens or self.spec.max_tokens
        made = HashEncoder(replace(self.spec, query_prompt=prompt, max_tokens=limit))
        self.variants.append(made)
        return made


class Loader:
    """What the pool loads with: counts, fails where told, hands out `HashEncoder`."""

    def __init__(self, failing: Mapping[str, Exception] | None = None) -> None:
        self.failing = dict(failing or {})
        self.loaded: list[str] = []
        self.encoders: dict[str, HashEncoder] = {}

    def __call__(self, spec: EncoderSpec, **_options: Any) -> LoadedEncoder:
        self.loaded.append(spec.encoder_id)
        if spec.encoder_id in self.failing:
            raise self.failing[spec.encoder_id]
        self.encoders[spec.encoder_id] = HashEncoder(spec)
        return self.encoders[spec.encoder_id]  # type: ignore[return-value]  # as much of it as is used


def registry(*specs: EncoderSpec) -> Registry:
    """Two encoders under the name of the default pair, and more encoders if given."""
    pair = Pair(
        DEFAULT_PAIR,
        "Hashed words",
        DIFFUSION.encoder_id,
        AUTOREGRESSIVE.encoder_id,
        matched="everything but attention",
        unmatched="",
    )
    known = {spec.encoder_id: spec for spec in (DIFFUSION, AUTOREGRESSIVE, *specs)}
    return Registry(known, {pair.pair_id: pair})


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def make_pool(load: Callable[..., LoadedEncoder] | None = None) -> EncoderPool:
    pool = EncoderPool(assets=Path("nowhere"), registry=registry(), load=load or Loader())
    pool._set_threads = lambda: None  # type: ignore[method-assign]  # other tests share torch
    return pool


def make_library(
    folder: Path, load: Callable[..., LoadedEncoder] | None = None, **more: Any
) -> Library:
    return Library(Workspace.open(folder), pool=make_pool(load), count_tokens=count_words, **more)


def sources(texts: Mapping[str, str] = TEXTS) -> list[SourceFile]:
    return [SourceFile(name, data=text.encode()) for name, text in texts.items()]
