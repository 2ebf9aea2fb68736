"""An encoder as data and as a protocol: fairness is read from the spec. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidSettingError
from core.monitor import Monitor
from core.records import Family, ReceivedText
from core.settings import EncoderChoice, OutputType

BUNDLED_PREFIX = "bundled:"
LOCAL_PREFIX = "local:"
ENCODERS_FOLDER = "encoders"
UNPINNED = "main"
_FORM = "ID:output=int8, ID:dimension=256, ID:centred or ID:default"


class Attention(StrEnum):
    """Which tokens a token's state may see."""

    BIDIRECTIONAL = "bidirectional"
    CAUSAL = "causal"  # itself and what comes before
    BACKWARD = "backward"  # itself and what comes after; an experiment of Bifocal's own


class Pooling(StrEnum):
    """How token states become one embedding."""

    MEAN = "mean"
    WEIGHTED_MEAN = "weighted mean"  # mean with a fixed weight per vocabulary entry
    LAST_TOKEN = "last token"  # noqa: S105 (no password)
    FIRST_TOKEN = "first token"  # noqa: S105 (BERT's [CLS]; reference encoders only)


class TextKind(StrEnum):
    """Which side of the search a text is on; it decides the prompt."""

    QUERY = "query"
    PASSAGE = "passage"


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Description of an encoder."""

    encoder_id: str  # short and unique, no spaces; also the system id in comparisons
    label: str  # name for people
    family: Family  # diffusion, autoregressive, or a reference outside the comparison
    checkpoint: str  # hub id, ``bundled:<folder>`` or ``local:<folder>``
    revision: str  # pinned commit on the hub; the manifest's hash for bundled weights; "" if local
    architecture: str  # name in the table of architectures
    attention: Attention  # how it attends when it embeds
    pooling: Pooling  # how states become an embedding
    query_prompt: str  # prefix of every query; ``{instruction}`` in it is replaced
    passage_prompt: str  # prefix of every passage
    max_tokens: int  # most tokens that enter the backbone, prompt and special tokens included
    dimension: int  # of the embedding
    licence: str  # SPDX id or name
    trained_on: str  # one sentence on what it was trained on
    parameters: int  # number of weights that run
    default_instruction: str = ""  # what ``{instruction}`` means unless the user says otherwise
    dtype: str = "float32"  # compute type on CPU; bfloat16 on CUDA for both of a pair alike
    appends_end_token: int | None = None  # token id that must close every text, or None
    # whether the prompt's tokens count in a mean, as some checkpoints' recipes have it; where False
    # they are read by the backbone but never pooled
    pools_prompt: bool = True
    # passages of one document are meant to be embedded together: one forward of the document,
    # pooled per passage (`LoadedEncoder.encode_spans`)
    late_chunking: bool = False
    matryoshka_dimensions: tuple[int, ...] = ()  # shorter lengths that the embedding may be cut to
    revision_origin: str = ""
    # what its recipe may make of the embedding
    outputs: tuple[OutputType, ...] = (OutputType.FLOAT,)
    # a language model without retrieval training: its vectors lie in a narrow cone, which mean-
    # centring opens
    raw: bool = False
    adapter: str = ""  # folder of a PEFT LoRA adapter that is merged on load; "" for none

    @property
    def is_bundled(self) -> bool:
        """Whether its weights come with Bifocal."""
        return self.checkpoint.startswith(BUNDLED_PREFIX)

    @property
    def from_hub(self) -> bool:
        """Whether its checkpoint is ``owner/name`` on a hub, and may have to be fetched."""
        here = self.checkpoint.startswith((BUNDLED_PREFIX, LOCAL_PREFIX))
        return not here and "/" in self.checkpoint

    @property
    def is_pinned(self) -> bool:
        """Whether a hub checkpoint names one commit, or is not from the hub."""
        here = self.checkpoint.startswith((BUNDLED_PREFIX, LOCAL_PREFIX))
        return here or self.revision != UNPINNED

    @property
    def shorter_dimensions(self) -> tuple[int, ...]:
        """Shorter lengths that its embedding may be cut to, ascending."""
        return tuple(sorted(size for size in self.matryoshka_dimensions if size < self.dimension))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two encoders meant to be compared."""

    pair_id: str  # short, no spaces
    label: str  # name for people
    diffusion: str  # id of the diffusion encoder
    autoregressive: str  # id of the autoregressive encoder
    matched: str  # what is the same on both sides, in a sentence
    unmatched: str  # what else differs besides the family, in a sentence; "" when nothing does


@dataclass(frozen=True, slots=True, eq=False)
class TokenTrace:
    """One text's way through an encoder, token by token.

    The embedding is linear in the tokens: ``unit(weights @ states)`` is what ``encode`` returns.
    """

    token_ids: NDArray[np.int64]  # ``(n,)``, special and prompt tokens included
    tokens: tuple[str, ...]  # ``n`` readable pieces
    # ``(n, 2)`` character range in the *caller's* text; (-1, -1) for prompt and special tokens
    offsets: NDArray[np.int64]
    states: NDArray[np.float32]  # ``(n, dim)``: each token's own contribution before pooling
    weights: NDArray[np.float32]  # ``(n,)`` pooling weights, summing to 1
    tokens_dropped: int = 0  # tokens cut off by the limit


class Encoder(Protocol):
    """Texts to unit vectors, and an account of the strings and tokens sent."""

    @property
    def spec(self) -> EncoderSpec:
        """Its description."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides the vectors.

        Weights, attention, pooling, prompts, instruction, limit, dtype: equal fingerprints mean
        equal vectors for equal texts.
        """

    @property
    def passage_fingerprint(self) -> str:
        """The same for passage vectors, which are stored by it: the query prompt is left out."""

    @property
    def device(self) -> str:
        """Where it runs: ``cpu``, ``cuda:0``, ``mps``."""

    def encode(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        """Embed texts; ``(n, dim)`` float32, unit rows, in the order given; ``(0, dim)`` for none.

        Raises:
            EncodingError: If a vector is not finite or the backbone fails.
            StoppedError: If the monitor asks to stop.
        """

    def received(self, texts: Sequence[str], *, kind: TextKind) -> tuple[ReceivedText, ...]:
        """Account for each text: the string sent, tokens read and dropped."""

    def trace(
        self, texts: Sequence[str], *, kind: TextKind, attention: Attention | None = None
    ) -> tuple[TokenTrace, ...]:
        """Follow texts token by token, with the attention of the spec or another one."""


class ContextEncoder(Encoder, Protocol):
    """An encoder that embeds passages in the light of their document (``spec.late_chunking``)."""

    def encode_spans(
        self, text: str, spans: Sequence[tuple[int, int]], *, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        """Embed character ranges of one text: ``(len(spans), dim)`` float32, unit rows."""

    def span_windows(
        self, text: str, spans: Sequence[tuple[int, int]]
    ) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Return first character and ranges of every window that `encode_spans` reads."""


def require_offered(spec: EncoderSpec, choice: EncoderChoice) -> None:
    """Refuse a choice that an encoder was not made for.

    Raises:
        InvalidSettingError: Says what it offers.
    """
    if choice.output not in spec.outputs:
        offered = ", ".join(output.value for output in spec.outputs)
        raise InvalidSettingError(
            f"{spec.label} has no {choice.output.value} output: its recipe gives {offered}. Only "
            "encoders trained for a quantised output keep their quality in it."
        )
    dimensions = spec.shorter_dimensions
    if choice.dimension and choice.dimension not in (*dimensions, spec.dimension):
        if not dimensions:
            msg = (
                f"{spec.label} was not trained for shorter embeddings; keep its {spec.dimension:,} "
                "dimensions."
            )
        else:
            sizes = ", ".join(f"{size}" for size in dimensions)
            msg = (
                f"{spec.label} cannot be cut to {choice.dimension} dimensions; choose from {sizes}."
            )
        raise InvalidSettingError(msg)
    if choice.centred and not spec.raw:
        raise InvalidSettingError(
            f"{spec.label} was trained for retrieval and is not mean-centred; that is for raw "
            "language models, whose vectors all point much the same way."
        )


def choice_of(encoder: Encoder) -> EncoderChoice:
    """Return the choice that an encoder in memory was made with."""
    spec = encoder.spec
    options = getattr(encoder, "options", None)
    if options is None:
        return EncoderChoice(spec.encoder_id)
    return EncoderChoice(
        spec.encoder_id,
        output=options.output,
        dimension=options.dimension,
        centred=options.centre is not None,
    )


def labelled(spec: EncoderSpec, choice: EncoderChoice) -> str:
    """Return an encoder's name with its choice: ``GPT-2 small (mean-centred)``."""
    return f"{spec.label} ({choice.words})" if choice.words else spec.label


def parse_choice(text: str, before: EncoderChoice | None = None) -> EncoderChoice:
    """Return the choice that ``ID:name=value,name`` means, as the command line takes it.

    Args:
        text: For instance ``pplx-embed-0.6b:output=int8,dimension=256`` or ``gpt2:centred``.
        before: What it changes; the defaults unless given.

    Raises:
        InvalidSettingError: If it is not of that form.
    """
    # The id may hold colons of its own: a name of an option never does.
    encoder_id, colon, said = text.rpartition(":")
    if not colon or not encoder_id or not said:
        raise InvalidSettingError(f"The encoder option {text!r} is not understood; write {_FORM}.")
    choice = before or EncoderChoice(encoder_id)
    for part in said.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name == "default" and not value:
            choice = EncoderChoice(encoder_id)
        elif name == "centred":
            choice = replace(choice, centred=value.lower() not in {"no", "off", "false", "0"})
        elif name == "dimension" and value.isdigit():
            choice = replace(choice, dimension=int(value))
        elif name == "output" and value in set(OutputType):
            choice = replace(choice, output=OutputType(value))
        else:
            raise InvalidSettingError(
                f"The encoder option {part.strip()!r} in {text!r} is not known; write {_FORM}."
            )
    return choice
