"""Every encoder and pair that Bifocal knows, as data, and the one door through which they load.

Importing this module needs neither torch nor transformers: the page lists pairs before anything
heavy is loaded. Facts come from the checkpoints' cards and configs; where no commit is pinned the
revision says "main" and `is_pinned` is False.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.encoders.bundled import MANIFEST, bundled_specs
from core.encoders.spec import Attention, EncoderSpec, Pair, Pooling
from core.errors import CoreError, UnknownNameError
from core.records import Family
from core.settings import OutputType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from core.encoders.encoder import EncoderOptions, LoadedEncoder
    from core.monitor import Monitor

UNPINNED = "main"
BUNDLED_PREFIX = "bundled:"
LOCAL_PREFIX = "local:"
ENCODERS_FOLDER = "encoders"

_BIDIRECTIONAL = Attention.BIDIRECTIONAL
_CAUSAL = Attention.CAUSAL
_QWEN3_TASK = "Given a web search query, retrieve relevant passages that answer the query"
_QWEN3_PROMPT = "Instruct: {instruction}\nQuery:"  # no space after the colon in the official code
_QWEN3_END = 151643  # <|endoftext|>, which is not the tokenizer's eos
_CHAT_START = "<|im_start|>user\n"
_CHAT_END = 151645  # <|im_end|>, closes the wrapper of DiffEmbed's recipe
_PPLX_DIMENSIONS_1024 = (32, 64, 128, 256, 512, 768, 1024)
_PPLX_DIMENSIONS_2560 = (32, 64, 128, 256, 512, 768, 1024, 2048, 2560)
_RAW = "No retrieval training: a raw language model, its token states averaged."

_PPLX_SMALL = EncoderSpec(
    encoder_id="pplx-embed-0.6b",
    label="pplx-embed 0.6B",
    family=Family.DIFFUSION,
    checkpoint="perplexity-ai/pplx-embed-v1-0.6b",
    revision="2c4d510dd4a732063c31a0f70193e35067b51fd8",
    architecture="qwen3",
    attention=_BIDIRECTIONAL,
    pooling=Pooling.MEAN,
    query_prompt="",
    passage_prompt="",
    max_tokens=8192,
    dimension=1024,
    licence="MIT",
    trained_on="Qwen3-0.6B, continued as a diffusion language model, then contrastive pairs, "
    "contextual chunks and triplets (arXiv 2602.11151).",
    parameters=596_049_920,
    matryoshka_dimensions=_PPLX_DIMENSIONS_1024,
    outputs=(OutputType.FLOAT, OutputType.INT8, OutputType.BINARY),
)
_QWEN_SMALL = EncoderSpec(
    encoder_id="qwen3-embedding-0.6b",
    label="Qwen3-Embedding 0.6B",
    family=Family.AUTOREGRESSIVE,
    checkpoint="Qwen/Qwen3-Embedding-0.6B",
    revision="b22da495047858cce924d27d76261e96be6febc0",
    architecture="qwen3",
    attention=_CAUSAL,
    pooling=Pooling.LAST_TOKEN,
    query_prompt=_QWEN3_PROMPT,
    passage_prompt="",
    default_instruction=_QWEN3_TASK,
    max_tokens=8192,
    dimension=1024,
    licence="Apache-2.0",
    trained_on="Qwen3-0.6B, contrastive training on synthetic and labelled pairs.",
    parameters=595_776_512,
    appends_end_token=_QWEN3_END,
    matryoshka_dimensions=_PPLX_DIMENSIONS_1024,
)
_DREAM = EncoderSpec(
    encoder_id="dream-7b",
    label="Dream 7B (DiffEmbed recipe, untuned)",
    family=Family.DIFFUSION,
    checkpoint="Dream-org/Dream-v0-Instruct-7B",
    revision=UNPINNED,
    architecture="qwen2",
    attention=_BIDIRECTIONAL,
    pooling=Pooling.MEAN,
    query_prompt=_CHAT_START,
    passage_prompt=_CHAT_START,
    max_tokens=4096,
    dimension=3584,
    licence="Apache-2.0",
    trained_on="Qwen2.5-7B continued as a diffusion language model on about 580 billion tokens; "
    "no retrieval training unless an adapter is given. The adapters of the DiffEmbed paper "
    "(arXiv 2505.15045) were never released.",
    parameters=7_600_000_000,
    appends_end_token=_CHAT_END,
    raw=True,
)

_REAL: tuple[EncoderSpec, ...] = (
    _PPLX_SMALL,
    _QWEN_SMALL,
    replace(
        _PPLX_SMALL,
        encoder_id="pplx-embed-4b",
        label="pplx-embed 4B",
        checkpoint="perplexity-ai/pplx-embed-v1-4b",
        revision=UNPINNED,
        dimension=2560,
        trained_on=_PPLX_SMALL.trained_on.replace("Qwen3-0.6B", "Qwen3-4B"),
        parameters=4_000_000_000,
        matryoshka_dimensions=_PPLX_DIMENSIONS_2560,
    ),
    replace(
        _QWEN_SMALL,
        encoder_id="qwen3-embedding-4b",
        label="Qwen3-Embedding 4B",
        checkpoint="Qwen/Qwen3-Embedding-4B",
        revision=UNPINNED,
        dimension=2560,
        trained_on=_QWEN_SMALL.trained_on.replace("Qwen3-0.6B", "Qwen3-4B"),
        parameters=4_000_000_000,
        matryoshka_dimensions=_PPLX_DIMENSIONS_2560,
    ),
    replace(
        _PPLX_SMALL,
        encoder_id="pplx-embed-context-0.6b",
        label="pplx-embed-context 0.6B",
        checkpoint="perplexity-ai/pplx-embed-context-v1-0.6b",
        revision=UNPINNED,
        late_chunking=True,
    ),
    replace(
        _QWEN_SMALL,
        encoder_id="qwen3-embedding-0.6b-late",
        label="Qwen3-Embedding 0.6B, late chunking",
        late_chunking=True,
    ),
    _DREAM,
    replace(
        _DREAM,
        encoder_id="qwen2.5-7b",
        label="Qwen2.5 7B (same recipe, untuned)",
        family=Family.AUTOREGRESSIVE,
        checkpoint="Qwen/Qwen2.5-7B-Instruct",
        attention=_CAUSAL,
        trained_on=_RAW,
    ),
    EncoderSpec(
        encoder_id="llada-8b",
        label="LLaDA 8B",
        family=Family.DIFFUSION,
        checkpoint="GSAI-ML/LLaDA-8B-Instruct",
        revision=UNPINNED,
        architecture="llama",
        attention=_BIDIRECTIONAL,
        pooling=Pooling.MEAN,
        query_prompt="",
        passage_prompt="",
        max_tokens=4096,
        dimension=4096,
        licence="MIT",
        trained_on=f"A masked diffusion language model trained from scratch. {_RAW}",
        parameters=8_000_000_000,
        raw=True,
    ),
    EncoderSpec(
        encoder_id="llama-3-8b",
        label="Llama 3 8B",
        family=Family.AUTOREGRESSIVE,
        checkpoint="meta-llama/Meta-Llama-3-8B-Instruct",
        revision=UNPINNED,
        architecture="llama",
        attention=_CAUSAL,
        pooling=Pooling.MEAN,
        query_prompt="",
        passage_prompt="",
        max_tokens=4096,
        dimension=4096,
        licence="Llama 3 Community License",
        trained_on=_RAW,
        parameters=8_000_000_000,
        raw=True,
    ),
    EncoderSpec(
        encoder_id="qwen3-0.6b-mdlm",
        label="Qwen3 0.6B diffusion (dLLM)",
        family=Family.DIFFUSION,
        checkpoint="dllm-hub/Qwen3-0.6B-diffusion-mdlm-v0.1",
        revision=UNPINNED,
        architecture="qwen3",
        attention=_BIDIRECTIONAL,
        pooling=Pooling.MEAN,
        query_prompt="",
        passage_prompt="",
        max_tokens=1024,
        dimension=1024,
        licence="Apache-2.0",
        trained_on="Qwen3-0.6B turned into a masked diffusion model by supervised fine-tuning at "
        f"1,024 tokens (arXiv 2602.22661). {_RAW}",
        parameters=596_049_920,
        raw=True,
    ),
    EncoderSpec(
        encoder_id="qwen3-0.6b",
        label="Qwen3 0.6B",
        family=Family.AUTOREGRESSIVE,
        checkpoint="Qwen/Qwen3-0.6B",
        revision=UNPINNED,
        architecture="qwen3",
        attention=_CAUSAL,
        pooling=Pooling.MEAN,
        query_prompt="",
        passage_prompt="",
        max_tokens=1024,
        dimension=1024,
        licence="Apache-2.0",
        trained_on=_RAW,
        parameters=596_049_920,
        raw=True,
    ),
    EncoderSpec(
        encoder_id="diffugpt-s",
        label="DiffuGPT small",
        family=Family.DIFFUSION,
        checkpoint="diffusionfamily/diffugpt-s",
        revision=UNPINNED,
        architecture="gpt2",
        attention=_BIDIRECTIONAL,
        pooling=Pooling.MEAN,
        query_prompt="",
        passage_prompt="",
        max_tokens=1024,
        dimension=768,
        licence="Apache-2.0",
        trained_on=f"GPT-2 small continued as a diffusion model (arXiv 2410.17891). {_RAW}",
        parameters=124_000_000,
        raw=True,
    ),
    EncoderSpec(
        encoder_id="gpt2",
        label="GPT-2 small",
        family=Family.AUTOREGRESSIVE,
        checkpoint="openai-community/gpt2",
        revision=UNPINNED,
        architecture="gpt2",
        attention=_CAUSAL,
        pooling=Pooling.MEAN,
        query_prompt="",
        passage_prompt="",
        max_tokens=1024,
        dimension=768,
        licence="MIT",
        trained_on=_RAW,
        parameters=124_000_000,
        raw=True,
    ),
    EncoderSpec(
        encoder_id="diffugpt-m",
        label="DiffuGPT medium",
        family=Family.DIFFUSION,
        checkpoint="diffusionfamily/diffugpt-m",
        revision=UNPINNED,
        architecture="gpt2",
        attention=_BIDIRECTIONAL,
        pooling=Pooling.MEAN,
        query_prompt="",
        passage_prompt="",
        max_tokens=1024,
        dimension=1024,
        licence="Apache-2.0",
        trained_on=f"GPT-2 medium continued as a diffusion model (arXiv 2410.17891). {_RAW}",
        parameters=355_000_000,
        raw=True,
    ),
    EncoderSpec(
        encoder_id="gpt2-medium",
        label="GPT-2 medium",
        family=Family.AUTOREGRESSIVE,
        checkpoint="openai-community/gpt2-medium",
        revision=UNPINNED,
        architecture="gpt2",
        attention=_CAUSAL,
        pooling=Pooling.MEAN,
        query_prompt="",
        passage_prompt="",
        max_tokens=1024,
        dimension=1024,
        licence="MIT",
        trained_on=_RAW,
        parameters=355_000_000,
        raw=True,
    ),
)

_NOT_THE_RECIPE = "Their contrastive data, prompts and pooling differ."
_PAIRS: tuple[Pair, ...] = (
    Pair(
        "pplx-0.6b",
        "pplx-embed 0.6B and Qwen3-Embedding 0.6B",
        "pplx-embed-0.6b",
        "qwen3-embedding-0.6b",
        matched="Architecture and size: both are the Qwen3-0.6B network.",
        unmatched=_NOT_THE_RECIPE,
    ),
    Pair(
        "pplx-4b",
        "pplx-embed 4B and Qwen3-Embedding 4B",
        "pplx-embed-4b",
        "qwen3-embedding-4b",
        matched="Architecture and size: both are the Qwen3-4B network.",
        unmatched=_NOT_THE_RECIPE,
    ),
    Pair(
        "pplx-context",
        "pplx-embed-context and Qwen3-Embedding, late chunking",
        "pplx-embed-context-0.6b",
        "qwen3-embedding-0.6b-late",
        matched="Architecture and size.",
        unmatched=f"{_NOT_THE_RECIPE} Only the diffusion arm was trained for late chunking: one "
        "forward of the document, pooled passage by passage.",
    ),
    Pair(
        "dream-7b",
        "Dream 7B and Qwen2.5 7B (the paper's)",
        "dream-7b",
        "qwen2.5-7b",
        matched="Base network and the embedding recipe.",
        unmatched="Dream saw about 580 billion tokens more. The paper's trained adapters were never "
        "released: without an adapter both are untuned, and these are not the paper's figures.",
    ),
    Pair(
        "llada-8b",
        "LLaDA 8B and Llama 3 8B",
        "llada-8b",
        "llama-3-8b",
        matched="Size only.",
        unmatched="Training data, tokenizer and attention heads differ; both are raw language "
        "models, not trained for retrieval.",
    ),
    Pair(
        "qwen3-0.6b-raw",
        "Qwen3 0.6B as diffusion model and as it is",
        "qwen3-0.6b-mdlm",
        "qwen3-0.6b",
        matched="Base network, tokenizer, pooling, prompts.",
        unmatched="The diffusion arm had fine-tuning on instructions besides; both are raw language "
        "models, not trained for retrieval.",
    ),
    Pair(
        "diffugpt-s",
        "DiffuGPT and GPT-2, small",
        "diffugpt-s",
        "gpt2",
        matched="Base network, tokenizer, pooling, prompts.",
        unmatched="The diffusion arm saw more text; both are raw language models, not trained for "
        "retrieval.",
    ),
    Pair(
        "diffugpt-m",
        "DiffuGPT and GPT-2, medium",
        "diffugpt-m",
        "gpt2-medium",
        matched="Base network, tokenizer, pooling, prompts.",
        unmatched="The diffusion arm saw more text; both are raw language models, not trained for "
        "retrieval.",
    ),
)


@dataclass(frozen=True, slots=True)
class Registry:
    """Encoders and pairs by id.

    Attributes:
        encoders: Every known encoder.
        pairs: Every known pair; bundled ones first.
        problems: What could not be read, each a sentence.
    """

    encoders: Mapping[str, EncoderSpec]
    pairs: Mapping[str, Pair]
    problems: tuple[str, ...] = ()

    def encoder(self, encoder_id: str) -> EncoderSpec:
        """Return a spec.

        Raises:
            UnknownNameError: If nobody knows it; the message lists what is known.
        """
        try:
            return self.encoders[encoder_id]
        except KeyError:
            msg = f"There is no encoder {encoder_id!r}. Known: {', '.join(self.encoders)}."
            raise UnknownNameError(msg) from None

    def pair(self, pair_id: str) -> Pair:
        """Return a pair; ``A+B`` puts any two known encoders side by side.

        Raises:
            UnknownNameError: If nobody knows it; the message lists what is known.
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
            msg = f"There is no pair {pair_id!r}. Known: {', '.join(self.pairs)}."
            raise UnknownNameError(msg) from None

    def arms(self, pair_id: str) -> tuple[EncoderSpec, EncoderSpec]:
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

    def with_pair(self, pair: Pair) -> Registry:
        """Return a registry that also knows this pairing of encoders it already knows."""
        self.encoder(pair.diffusion)
        self.encoder(pair.autoregressive)
        return replace(self, pairs={**self.pairs, pair.pair_id: pair})


def read_registry(assets: Path) -> Registry:
    """Return every bundled and every real encoder and pair.

    A bundled folder that cannot be read is left out and named in ``problems``: the other pairs
    still work.

    Args:
        assets: Bifocal's assets folder.
    """
    encoders: dict[str, EncoderSpec] = {}
    pairs: dict[str, Pair] = {}
    problems = []
    for manifest in sorted((assets / ENCODERS_FOLDER).glob(f"*/{MANIFEST}")):
        folder = manifest.parent
        try:
            specs = bundled_specs(folder)
            arms = [specs[Family.DIFFUSION], specs[Family.AUTOREGRESSIVE]]
        except (CoreError, KeyError) as exc:
            problems.append(f"The bundled pair {folder.name} is left out: {exc}")
            continue
        for spec in arms:
            encoders[spec.encoder_id] = spec
        pairs[folder.name] = Pair(
            pair_id=folder.name,
            label="Bundled pair",
            diffusion=arms[0].encoder_id,
            autoregressive=arms[1].encoder_id,
            matched="Base weights, tokenizer, size, text, readout, pairs, steps, loss and limits.",
            unmatched="The diffusion arm had auxiliary targets from the causal base in stage 1; the "
            "autoregressive arm ran at full depth on every step. The model card says how.",
        )
    encoders.update((spec.encoder_id, spec) for spec in (*_REAL, *REFERENCES))
    pairs.update((pair.pair_id, pair) for pair in _PAIRS)
    return Registry(encoders, pairs, tuple(problems))


def from_hub(spec: EncoderSpec) -> bool:
    """Whether a checkpoint is named ``owner/name`` on a hub, and may have to be fetched."""
    here = spec.checkpoint.startswith((BUNDLED_PREFIX, LOCAL_PREFIX))
    return not here and "/" in spec.checkpoint


def is_pinned(spec: EncoderSpec) -> bool:
    """Whether a hub checkpoint names one commit, or is not from the hub."""
    return spec.checkpoint.startswith((BUNDLED_PREFIX, LOCAL_PREFIX)) or spec.revision != UNPINNED


def _reference(
    encoder_id: str,
    label: str,
    checkpoint: str,
    *,
    pooling: Pooling,
    dimension: int,
    parameters: int,
    licence: str,
    query_prompt: str = "",
    passage_prompt: str = "",
    max_tokens: int = 512,
    architecture: str = "bert",
) -> EncoderSpec:
    return EncoderSpec(
        encoder_id=encoder_id,
        label=label,
        family=Family.REFERENCE,
        checkpoint=checkpoint,
        revision=UNPINNED,
        architecture=architecture,
        attention=_BIDIRECTIONAL,
        pooling=pooling,
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
        max_tokens=max_tokens,
        dimension=dimension,
        licence=licence,
        trained_on="Contrastive pairs; an encoder network trained by masked-token prediction.",
        parameters=parameters,
    )


REFERENCES: tuple[EncoderSpec, ...] = (
    _reference(
        "all-minilm-l6-v2",
        "all-MiniLM-L6-v2",
        "sentence-transformers/all-MiniLM-L6-v2",
        pooling=Pooling.MEAN,
        dimension=384,
        parameters=22_700_000,
        licence="Apache-2.0",
        max_tokens=256,
    ),
    _reference(
        "bge-small-en-v1.5",
        "bge-small-en-v1.5",
        "BAAI/bge-small-en-v1.5",
        pooling=Pooling.FIRST_TOKEN,
        dimension=384,
        parameters=33_400_000,
        licence="MIT",
        query_prompt="Represent this sentence for searching relevant passages: ",
    ),
    _reference(
        "e5-small-v2",
        "e5-small-v2",
        "intfloat/e5-small-v2",
        pooling=Pooling.MEAN,
        dimension=384,
        parameters=33_400_000,
        licence="MIT",
        query_prompt="query: ",
        passage_prompt="passage: ",
    ),
    _reference(
        "gte-small",
        "gte-small",
        "thenlper/gte-small",
        pooling=Pooling.MEAN,
        dimension=384,
        parameters=33_400_000,
        licence="MIT",
    ),
)


def load_encoder(
    spec: EncoderSpec,
    *,
    assets: Path,
    device: str = "auto",
    max_tokens: int = 0,
    query_instruction: str = "",
    options: EncoderOptions | None = None,
    adapter: Path | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
    monitor: Monitor | None = None,
) -> LoadedEncoder:
    """Load an encoder and prove its attention. Imports torch when called, not before.

    Args:
        spec: From the registry, or one of your own.
        assets: Bifocal's assets folder, for bundled encoders.
        device: ``auto`` (CUDA, MPS, CPU, whichever is there first), or one of them.
        max_tokens: Most tokens that enter the backbone; 0 keeps the spec's limit.
        query_instruction: Replaces ``{instruction}``; "" keeps the spec's default.
        options: Quantisation, dimensions, centring; ``max_tokens`` and ``query_instruction`` given
            above go before its own.
        adapter: A PEFT LoRA folder to merge on load (checkpoints only); the spec's own unless given.
        cache_dir: Where hub checkpoints are kept; None keeps huggingface_hub's own rule.
        offline: Never touch the network.
        monitor: Watches a download, and may stop it.

    Raises:
        EncoderUnavailableError: If it is not on this machine and cannot be fetched now.
        EncoderTooLargeError: If it does not fit this machine's memory.
        EncoderLoadError: If something about it is not as stated.
    """
    # Late: torch and transformers take seconds, and whoever only lists pairs needs neither.
    from core.encoders import loading

    return loading.load(
        spec,
        assets=assets,
        device=device,
        max_tokens=max_tokens,
        query_instruction=query_instruction,
        options=options,
        adapter=adapter,
        cache_dir=cache_dir,
        offline=offline,
        monitor=monitor,
    )
