"""Frozen settings with named defaults. They validate themselves and never read the environment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import resources
from pathlib import Path

from core.errors import InvalidSettingError
from core.records import Unit

# Weights, sample library and style: beside the code in a checkout, and in the wheel.
ASSETS = Path(str(resources.files("assets")))
DEFAULT_PAIR = "smollm2-135m-pair"
DEFAULT_K = 10
SAMPLE_ID = "sample"  # of the library that comes with Bifocal
OWN_ID = "my-documents"  # of the library that uploads go to by default
K_RANGE = (5, 50)
DEFAULT_CHUNK_TOKENS = 160
CHUNK_TOKENS_RANGE = (32, 2048)
DEFAULT_OVERLAP_TOKENS = 32
MAX_FURTHER_ENCODERS = 4
MAX_QUERY_CHARS = 100_000
MEBIBYTE = 1024 * 1024


def _require(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        msg = f"{name} is {value}; choose a whole number from {low} to {high}."
        raise InvalidSettingError(msg)


@dataclass(frozen=True, slots=True)
class ExtractionLimits:
    """Limits for one file. Overrun kills the worker and skips the file with the reason.

    Attributes:
        file_bytes: Largest file that is read at all.
        pages: Most pages.
        chars_per_page: Characters beyond this on one page are left out, with a warning.
        chars: Most characters of a whole document.
        file_seconds: Wall clock for the whole file.
        page_seconds: Wall clock for one page.
        cpu_seconds: CPU time of the worker.
        memory_bytes: Address space of the worker.
        output_bytes: Most bytes the worker may send back.
    """

    file_bytes: int = 200 * MEBIBYTE
    pages: int = 3000
    chars_per_page: int = 100_000
    chars: int = 20_000_000
    file_seconds: float = 300.0
    page_seconds: float = 20.0
    cpu_seconds: int = 300
    memory_bytes: int = 2048 * MEBIBYTE
    output_bytes: int = 512 * MEBIBYTE

    def __post_init__(self) -> None:
        for name in ("file_bytes", "pages", "chars_per_page", "chars", "cpu_seconds"):
            _require(name, getattr(self, name), 1, 2**40)


@dataclass(frozen=True, slots=True)
class ChunkingSettings:
    """How documents become passages.

    Attributes:
        unit: Passages, or whole documents.
        chunk_tokens: Token budget of a passage, counted with the library's neutral tokenizer.
        overlap_tokens: Tokens (whole sentences) that a passage repeats from the one before.
    """

    unit: Unit = Unit.PASSAGE
    chunk_tokens: int = DEFAULT_CHUNK_TOKENS
    overlap_tokens: int = DEFAULT_OVERLAP_TOKENS

    def __post_init__(self) -> None:
        _require("chunk_tokens", self.chunk_tokens, *CHUNK_TOKENS_RANGE)
        _require("overlap_tokens", self.overlap_tokens, 0, self.chunk_tokens // 2)

    @property
    def key(self) -> str:
        """Name of this chunking in the workspace: equal keys mean equal passages."""
        if self.unit is Unit.DOCUMENT:
            return "document"
        return f"passage-{self.chunk_tokens}-{self.overlap_tokens}"


class OutputType(StrEnum):
    """Form of the pooled state before it is brought to unit length."""

    FLOAT = "float"
    INT8 = "int8"  # round(127 * tanh(x)), pplx-embed's own
    BINARY = "binary"  # the sign of x, unquantised


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """How a library wants one encoder's embeddings; the defaults leave them as they are.

    What an encoder supports is its spec's to say: `core.encoders.spec.require_offered`.

    Attributes:
        encoder_id: Of the encoder.
        output: Quantisation.
        dimension: Leading dimensions to keep (Matryoshka); 0 keeps all.
        centred: Subtract the library's mean (raw language models).
    """

    encoder_id: str
    output: OutputType = OutputType.FLOAT
    dimension: int = 0
    centred: bool = False

    def __post_init__(self) -> None:
        if self.dimension:
            _require(f"dimension of {self.encoder_id}", self.dimension, 1, 65_536)

    @property
    def is_default(self) -> bool:
        """Whether it changes nothing."""
        return self == EncoderChoice(self.encoder_id)

    @property
    def words(self) -> str:
        """Changes in words: ``mean-centred, 256 dimensions, int8``; "" without any."""
        return ", ".join(
            part
            for part in (
                "mean-centred" if self.centred else "",
                f"{self.dimension:,} dimensions" if self.dimension else "",
                self.output.value if self.output is not OutputType.FLOAT else "",
            )
            if part
        )


@dataclass(frozen=True, slots=True)
class WorkspaceSettings:
    """Settings of a workspace: encoders, chunking, depth.

    Attributes:
        pair_id: Which two encoders.
        k: Depth of the columns.
        chunking: How documents become passages.
        query_instruction: Replaces ``{instruction}`` in query prompts; "" keeps each default.
        max_tokens: One limit for both encoders; 0 takes the smaller of their own.
        own_limits: Let each encoder read to its own limit instead. Then one may read more text
            than the other, and every comparison says so.
        also: Ids of further encoders that get a column beside the pair.
        choices: How it wants the embeddings of some encoders, by id; all others as they are.
    """

    pair_id: str = DEFAULT_PAIR
    k: int = DEFAULT_K
    chunking: ChunkingSettings = ChunkingSettings()
    query_instruction: str = ""
    max_tokens: int = 0
    own_limits: bool = False
    also: tuple[str, ...] = ()
    choices: tuple[EncoderChoice, ...] = ()

    def __post_init__(self) -> None:
        _require("k", self.k, *K_RANGE)
        if len({choice.encoder_id for choice in self.choices}) < len(self.choices):
            msg = "The options of an encoder are given twice; give them once."
            raise InvalidSettingError(msg)
        if len(self.also) > MAX_FURTHER_ENCODERS or len(set(self.also)) < len(self.also):
            msg = f"Choose at most {MAX_FURTHER_ENCODERS} further encoders, each once."
            raise InvalidSettingError(msg)
        if self.max_tokens:
            _require("max_tokens", self.max_tokens, 16, 131_072)
        if len(self.query_instruction) > 2000:
            msg = "The query instruction is longer than 2,000 characters; shorten it."
            raise InvalidSettingError(msg)

    def choice(self, encoder_id: str) -> EncoderChoice:
        """Return how this library wants an encoder's embeddings."""
        for choice in self.choices:
            if choice.encoder_id == encoder_id:
                return choice
        return EncoderChoice(encoder_id)

    def with_choice(self, choice: EncoderChoice) -> WorkspaceSettings:
        """Return settings that want one encoder's embeddings so, the others as before."""
        others = [kept for kept in self.choices if kept.encoder_id != choice.encoder_id]
        chosen = others if choice.is_default else [*others, choice]
        return replace(self, choices=tuple(sorted(chosen, key=lambda c: c.encoder_id)))
