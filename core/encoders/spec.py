"""What an encoder is, as data: everything the page says about fairness is read from here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from core.settings import OutputType

if TYPE_CHECKING:
    from core.records import Family


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
    """Everything that makes an encoder what it is.

    Attributes:
        encoder_id: Short and unique, no spaces; also the system id in comparisons.
        label: Name for people.
        family: Diffusion, autoregressive, or a reference outside the comparison.
        checkpoint: Hub id, ``bundled:<folder>`` or ``local:<folder>``.
        revision: Pinned commit on the hub; the manifest's hash for bundled weights; "" if local.
        architecture: Stock transformers class family: llama, qwen2, qwen3, gpt2, bert...
        attention: How it attends when it embeds.
        pooling: How states become an embedding.
        query_prompt: Prefix of every query; ``{instruction}`` in it is replaced.
        passage_prompt: Prefix of every passage.
        default_instruction: What ``{instruction}`` means unless the user says otherwise.
        max_tokens: Most tokens that enter the backbone, prompt and special tokens included.
        dimension: Of the embedding.
        dtype: Compute type on CPU; bfloat16 on CUDA for both arms alike.
        appends_end_token: Token id that must close every text, or None.
        licence: SPDX id or name.
        trained_on: One sentence on what it was trained on.
        parameters: Number of weights that run.
        pools_prompt: Whether the prompt's tokens count in a mean, as some checkpoints' recipes have
            it; where False they are read by the backbone but never pooled.
        late_chunking: Passages of one document are meant to be embedded together: one forward of
            the document, pooled per passage (`LoadedEncoder.encode_spans`).
        matryoshka_dimensions: Shorter lengths that the embedding may be cut to.
        outputs: What its recipe may make of the embedding.
        raw: A language model without retrieval training: its vectors lie in a narrow cone, which
            mean-centring opens.
        adapter: Folder of a PEFT LoRA adapter that is merged on load; "" for none.
    """

    encoder_id: str
    label: str
    family: Family
    checkpoint: str
    revision: str
    architecture: str
    attention: Attention
    pooling: Pooling
    query_prompt: str
    passage_prompt: str
    max_tokens: int
    dimension: int
    licence: str
    trained_on: str
    parameters: int
    default_instruction: str = ""
    dtype: str = "float32"
    appends_end_token: int | None = None
    pools_prompt: bool = True
    late_chunking: bool = False
    matryoshka_dimensions: tuple[int, ...] = ()
    revision_origin: str = ""
    outputs: tuple[OutputType, ...] = (OutputType.FLOAT,)
    raw: bool = False
    adapter: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two encoders meant to be compared, and what their difference does and does not show.

    Attributes:
        pair_id: Short, no spaces.
        label: Name for people.
        diffusion: Encoder id of the diffusion arm.
        autoregressive: Encoder id of the autoregressive arm.
        matched: What is the same on both sides, in a sentence.
        unmatched: What else differs besides the family, in a sentence; "" when nothing does.
    """

    pair_id: str
    label: str
    diffusion: str
    autoregressive: str
    matched: str
    unmatched: str
