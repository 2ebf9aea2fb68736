"""Every encoder and pair by id.

Importing this module needs neither torch nor transformers: the page lists pairs before anything
heavy is loaded.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from core.encoders.bundled import MANIFEST, read_manifest
from core.encoders.spec import ENCODERS_FOLDER, EncoderSpec, Pair
from core.errors import CoreError, UnknownNameError
from core.records import Family

_KNOWN = Path(__file__).with_name("known.toml")


@dataclass(frozen=True, slots=True)
class Registry:
    """Encoders and pairs by id."""

    encoders: Mapping[str, EncoderSpec]  # every known encoder
    pairs: Mapping[str, Pair]  # every known pair; bundled ones first
    problems: tuple[str, ...] = ()  # folders that could not be read, each a sentence

    def encoder(self, encoder_id: str) -> EncoderSpec:
        """Return a spec.

        Raises:
            UnknownNameError: If it is unknown; the message lists the known ones.
        """
        try:
            return self.encoders[encoder_id]
        except KeyError:
            raise UnknownNameError(
                f"There is no encoder {encoder_id!r}. Known: {', '.join(self.encoders)}."
            ) from None

    def pair(self, pair_id: str) -> Pair:
        """Return a pair; ``A+B`` puts any two known encoders side by side.

        Raises:
            UnknownNameError: If it is unknown; the message lists the known ones.
        """
        first, plus, second = pair_id.partition("+")
        if plus and first != second:
            one, two = self.encoder(first), self.encoder(second)
            return Pair(
                pair_id=pair_id,
                label=f"{one.label} + {two.label}",
                diffusion=first,
                autoregressive=second,
                matched="Nothing by design: a pairing of your own.",
                unmatched="The fairness panel lists every difference.",
            )
        try:
            return self.pairs[pair_id]
        except KeyError:
            raise UnknownNameError(
                f"There is no pair {pair_id!r}. Known: {', '.join(self.pairs)}."
            ) from None

    def specs_of(self, pair_id: str) -> tuple[EncoderSpec, EncoderSpec]:
        """Return a pair's specs, diffusion first."""
        pair = self.pair(pair_id)
        return self.encoder(pair.diffusion), self.encoder(pair.autoregressive)

    def with_encoder(self, spec: EncoderSpec) -> Registry:
        """Return a registry that also knows this encoder (a custom one, say)."""
        return replace(self, encoders={**self.encoders, spec.encoder_id: spec})

    def without_encoder(self, encoder_id: str) -> Registry:
        """Return a registry that does not know this encoder (any more)."""
        kept = {name: spec for name, spec in self.encoders.items() if name != encoder_id}
        return replace(self, encoders=kept)


def read_known(path: Path) -> tuple[dict[str, EncoderSpec], dict[str, Pair]]:
    """Return the encoders and pairs of a TOML file, by id."""
    stated = tomllib.loads(path.read_text(encoding="utf-8"))
    encoders: dict[str, dict[str, Any]] = {}
    for name, entry in stated["encoders"].items():
        like = encoders[entry.pop("like")] if "like" in entry else stated["defaults"]
        encoders[name] = {**like, **entry, "encoder_id": name}
    pairs = {name: {**entry, "pair_id": name} for name, entry in stated["pairs"].items()}
    return (
        TypeAdapter(dict[str, EncoderSpec]).validate_python(encoders),
        TypeAdapter(dict[str, Pair]).validate_python(pairs),
    )


def read_registry(assets: Path) -> Registry:
    """Return every bundled and every real encoder and pair.

    A bundled folder that cannot be read is left out and named in ``problems``: the other pairs
    still work.
    """
    encoders: dict[str, EncoderSpec] = {}
    pairs: dict[str, Pair] = {}
    problems = []
    for manifest in sorted((assets / ENCODERS_FOLDER).glob(f"*/{MANIFEST}")):
        folder = manifest.parent
        try:
            specs = read_manifest(folder).specs
            pair = [specs[Family.DIFFUSION], specs[Family.AUTOREGRESSIVE]]
        except (CoreError, KeyError) as exc:
            problems.append(f"The bundled pair {folder.name} is left out: {exc}")
            continue
        for spec in pair:
            encoders[spec.encoder_id] = spec
        pairs[folder.name] = Pair(
            pair_id=folder.name,
            label="Bundled pair",
            diffusion=pair[0].encoder_id,
            autoregressive=pair[1].encoder_id,
            matched="Base weights, tokenizer, size, text, readout, pairs, steps, loss and limits.",
            unmatched="The diffusion encoder had auxiliary targets from the causal base in stage 1; the "
            "autoregressive encoder ran at full depth on every step. The model card says how. Read to more "
            "than about 1,000 tokens, the diffusion encoder is behind: nDCG@10 .218 against .364 on "
            "278 whole stories read to 4,096 tokens, level at 1,024.",
        )
    known_encoders, known_pairs = read_known(_KNOWN)
    encoders.update(known_encoders)
    pairs.update(known_pairs)
    return Registry(encoders, pairs, tuple(problems))
