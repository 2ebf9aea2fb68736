"""The checkpoints and pairs that Bifocal knows, as data.

Facts come from the checkpoints' cards and configs; where no commit is pinned the revision says
"main" and `core.encoders.registry.is_pinned` is False.
"""

from __future__ import annotations

from dataclasses import replace

from core.encoders.spec import Attention, EncoderSpec, Pair, Pooling
from core.records import Family
from core.settings import OutputType

UNPINNED = "main"

_BIDIRECTIONAL = Attention.BIDIRECTIONAL
_CAUSAL = Attention.CAUSAL
_QWEN3_TASK = "Given a web search query, retrieve relevant passages that answer the query"
_QWEN3_PROMPT = "Instruct: {instruction}\nQuery:"  # no space after the colon in the official code
_QWEN3_END = 151643  # <|endoftext|>, which is not the tokenizer's eos
_CHAT_START = "<|im_start|>user\n"
_CHAT_END = 151645  # <|im_end|>, closes the wrapper of DiffEmbed's recipe
_PPLX_DIMENSIONS_1024 = (32, 64, 128, 256, 512, 768, 1024)
_PPLX_DIMENSIONS_2560 = (32, 64, 128, 256, 512, 768, 1024, 2048, 2560)
_UNTRAINED = "No retrieval training: a raw language model, its token states averaged."

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


def _raw(
    encoder_id: str,
    label: str,
    checkpoint: str,
    *,
    attention: Attention,
    architecture: str,
    max_tokens: int,
    dimension: int,
    parameters: int,
    licence: str,
    origin: str = "",
) -> EncoderSpec:
    """A raw language model: no prompts; what reads in both directions is the diffusion kind."""
    return EncoderSpec(
        encoder_id=encoder_id,
        label=label,
        family=Family.AUTOREGRESSIVE if attention is _CAUSAL else Family.DIFFUSION,
        checkpoint=checkpoint,
        revision=UNPINNED,
        architecture=architecture,
        attention=attention,
        pooling=Pooling.MEAN,
        query_prompt="",
        passage_prompt="",
        max_tokens=max_tokens,
        dimension=dimension,
        licence=licence,
        trained_on=f"{origin} {_UNTRAINED}".strip(),
        parameters=parameters,
        raw=True,
    )


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
        trained_on=_UNTRAINED,
    ),
    _raw(
        "llada-8b",
        "LLaDA 8B",
        "GSAI-ML/LLaDA-8B-Instruct",
        attention=_BIDIRECTIONAL,
        architecture="llama",
        max_tokens=4096,
        dimension=4096,
        parameters=8_000_000_000,
        licence="MIT",
        origin="A masked diffusion language model trained from scratch.",
    ),
    _raw(
        "llama-3-8b",
        "Llama 3 8B",
        "meta-llama/Meta-Llama-3-8B-Instruct",
        attention=_CAUSAL,
        architecture="llama",
        max_tokens=4096,
        dimension=4096,
        parameters=8_000_000_000,
        licence="Llama 3 Community License",
    ),
    _raw(
        "qwen3-0.6b-mdlm",
        "Qwen3 0.6B diffusion (dLLM)",
        "dllm-hub/Qwen3-0.6B-diffusion-mdlm-v0.1",
        attention=_BIDIRECTIONAL,
        architecture="qwen3",
        max_tokens=1024,
        dimension=1024,
        parameters=596_049_920,
        licence="Apache-2.0",
        origin="Qwen3-0.6B turned into a masked diffusion model by supervised fine-tuning at "
        "1,024 tokens (arXiv 2602.22661).",
    ),
    _raw(
        "qwen3-0.6b",
        "Qwen3 0.6B",
        "Qwen/Qwen3-0.6B",
        attention=_CAUSAL,
        architecture="qwen3",
        max_tokens=1024,
        dimension=1024,
        parameters=596_049_920,
        licence="Apache-2.0",
    ),
    _raw(
        "diffugpt-s",
        "DiffuGPT small",
        "diffusionfamily/diffugpt-s",
        attention=_BIDIRECTIONAL,
        architecture="gpt2",
        max_tokens=1024,
        dimension=768,
        parameters=124_000_000,
        licence="Apache-2.0",
        origin="GPT-2 small continued as a diffusion model (arXiv 2410.17891).",
    ),
    _raw(
        "gpt2",
        "GPT-2 small",
        "openai-community/gpt2",
        attention=_CAUSAL,
        architecture="gpt2",
        max_tokens=1024,
        dimension=768,
        parameters=124_000_000,
        licence="MIT",
    ),
    _raw(
        "diffugpt-m",
        "DiffuGPT medium",
        "diffusionfamily/diffugpt-m",
        attention=_BIDIRECTIONAL,
        architecture="gpt2",
        max_tokens=1024,
        dimension=1024,
        parameters=355_000_000,
        licence="Apache-2.0",
        origin="GPT-2 medium continued as a diffusion model (arXiv 2410.17891).",
    ),
    _raw(
        "gpt2-medium",
        "GPT-2 medium",
        "openai-community/gpt2-medium",
        attention=_CAUSAL,
        architecture="gpt2",
        max_tokens=1024,
        dimension=1024,
        parameters=355_000_000,
        licence="MIT",
    ),
)

_REFERENCES: tuple[EncoderSpec, ...] = (
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

KNOWN_ENCODERS = (*_REAL, *_REFERENCES)

_NOT_THE_RECIPE = "Their contrastive data, prompts and pooling differ."
KNOWN_PAIRS: tuple[Pair, ...] = (
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
