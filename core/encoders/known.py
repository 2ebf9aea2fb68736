"""The checkpoints and pairs that Bifocal knows, as data.

Facts come from the checkpoints' cards and configs; where no commit is pinned the revision says
"main", and the first fetch writes down the hub's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.encoders.spec import UNPINNED, Attention, EncoderSpec, Pair, Pooling
from core.records import Family
from core.settings import OutputType

_BOTH_WAYS, _CAUSAL = Attention.BIDIRECTIONAL, Attention.CAUSAL
_QWEN3_TASK = "Given a web search query, retrieve relevant passages that answer the query"
_QWEN3_PROMPT = "Instruct: {instruction}\nQuery:"  # no space after the colon in the official code
_QWEN3_END = 151643  # <|endoftext|>, which is not the tokenizer's eos
_CHAT_START = "<|im_start|>user\n"
_CHAT_END = 151645  # <|im_end|>, closes the wrapper of DiffEmbed's recipe
_DIMENSIONS_1024 = (32, 64, 128, 256, 512, 768, 1024)
_DIMENSIONS_2560 = (*_DIMENSIONS_1024, 2048, 2560)
_UNTRAINED = "No retrieval training: a raw language model, its token states averaged."


def _spec(
    encoder_id: str,
    label: str,
    checkpoint: str,
    architecture: str,
    *,
    dimension: int,
    parameters: int,
    max_tokens: int,
    licence: str,
    trained_on: str,
    attention: Attention = _BOTH_WAYS,
    **more: Any,  # noqa: ANN401 (further fields of a spec)
) -> EncoderSpec:
    """Return a spec: mean pooling and no prompts unless said; reads both ways means diffusion."""
    defaults: dict[str, Any] = {
        "family": Family.AUTOREGRESSIVE if attention is _CAUSAL else Family.DIFFUSION,
        "revision": UNPINNED,
        "pooling": Pooling.MEAN,
        "query_prompt": "",
        "passage_prompt": "",
    }
    return EncoderSpec(
        encoder_id=encoder_id,
        label=label,
        checkpoint=checkpoint,
        architecture=architecture,
        attention=attention,
        dimension=dimension,
        parameters=parameters,
        max_tokens=max_tokens,
        licence=licence,
        trained_on=trained_on,
        **{**defaults, **more},
    )


_PPLX_SMALL = _spec(
    "pplx-embed-0.6b",
    "pplx-embed 0.6B",
    "perplexity-ai/pplx-embed-v1-0.6b",
    "qwen3",
    revision="2c4d510dd4a732063c31a0f70193e35067b51fd8",
    dimension=1024,
    parameters=596_049_920,
    max_tokens=8192,
    licence="MIT",
    trained_on="Qwen3-0.6B, continued as a diffusion language model, then contrastive pairs, "
    "contextual chunks and triplets (arXiv 2602.11151).",
    matryoshka_dimensions=_DIMENSIONS_1024,
    outputs=(OutputType.FLOAT, OutputType.INT8, OutputType.BINARY),
)
_QWEN_SMALL = _spec(
    "qwen3-embedding-0.6b",
    "Qwen3-Embedding 0.6B",
    "Qwen/Qwen3-Embedding-0.6B",
    "qwen3",
    revision="b22da495047858cce924d27d76261e96be6febc0",
    dimension=1024,
    parameters=595_776_512,
    max_tokens=8192,
    licence="Apache-2.0",
    trained_on="Qwen3-0.6B, contrastive training on synthetic and labelled pairs.",
    attention=_CAUSAL,
    pooling=Pooling.LAST_TOKEN,
    query_prompt=_QWEN3_PROMPT,
    default_instruction=_QWEN3_TASK,
    appends_end_token=_QWEN3_END,
    matryoshka_dimensions=_DIMENSIONS_1024,
)
_DREAM = _spec(
    "dream-7b",
    "Dream 7B (DiffEmbed recipe, untuned)",
    "Dream-org/Dream-v0-Instruct-7B",
    "qwen2",
    dimension=3584,
    parameters=7_600_000_000,
    max_tokens=4096,
    licence="Apache-2.0",
    trained_on="Qwen2.5-7B continued as a diffusion language model on about 580 billion tokens; "
    "no retrieval training unless an adapter is given. The adapters of the DiffEmbed paper "
    "(arXiv 2505.15045) were never released.",
    query_prompt=_CHAT_START,
    passage_prompt=_CHAT_START,
    appends_end_token=_CHAT_END,
    raw=True,
)


def _larger(small: EncoderSpec, encoder_id: str, label: str, checkpoint: str) -> EncoderSpec:
    """Return the 4B size of a 0.6B encoder."""
    return replace(
        small,
        encoder_id=encoder_id,
        label=label,
        checkpoint=checkpoint,
        revision=UNPINNED,
        dimension=2560,
        trained_on=small.trained_on.replace("Qwen3-0.6B", "Qwen3-4B"),
        parameters=4_000_000_000,
        matryoshka_dimensions=_DIMENSIONS_2560,
    )


# id, label, checkpoint, architecture, attention, tokens, dimension, parameters, licence, origin
_RAW = (
    (
        "llada-8b", "LLaDA 8B", "GSAI-ML/LLaDA-8B-Instruct", "llama", _BOTH_WAYS,
        4096, 4096, 8_000_000_000, "MIT",
        "A masked diffusion language model trained from scratch. ",
    ),
    (
        "llama-3-8b", "Llama 3 8B", "meta-llama/Meta-Llama-3-8B-Instruct", "llama", _CAUSAL,
        4096, 4096, 8_000_000_000, "Llama 3 Community License", "",
    ),
    (
        "qwen3-0.6b-mdlm", "Qwen3 0.6B diffusion (dLLM)",
        "dllm-hub/Qwen3-0.6B-diffusion-mdlm-v0.1", "qwen3", _BOTH_WAYS,
        1024, 1024, 596_049_920, "Apache-2.0",
        "Qwen3-0.6B turned into a masked diffusion model by supervised fine-tuning at 1,024 tokens "
        "(arXiv 2602.22661). ",
    ),
    (
        "qwen3-0.6b", "Qwen3 0.6B", "Qwen/Qwen3-0.6B", "qwen3", _CAUSAL,
        1024, 1024, 596_049_920, "Apache-2.0", "",
    ),
    (
        "diffugpt-s", "DiffuGPT small", "diffusionfamily/diffugpt-s", "gpt2", _BOTH_WAYS,
        1024, 768, 124_000_000, "Apache-2.0",
        "GPT-2 small continued as a diffusion model (arXiv 2410.17891). ",
    ),
    (
        "gpt2", "GPT-2 small", "openai-community/gpt2", "gpt2", _CAUSAL,
        1024, 768, 124_000_000, "MIT", "",
    ),
    (
        "diffugpt-m", "DiffuGPT medium", "diffusionfamily/diffugpt-m", "gpt2", _BOTH_WAYS,
        1024, 1024, 355_000_000, "Apache-2.0",
        "GPT-2 medium continued as a diffusion model (arXiv 2410.17891). ",
    ),
    (
        "gpt2-medium", "GPT-2 medium", "openai-community/gpt2-medium", "gpt2", _CAUSAL,
        1024, 1024, 355_000_000, "MIT", "",
    ),
)  # fmt: skip
# id, checkpoint, pooling, parameters, licence, tokens, query prompt, passage prompt
_REFERENCES = (
    (
        "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", Pooling.MEAN,
        22_700_000, "Apache-2.0", 256, "", "",
    ),
    (
        "bge-small-en-v1.5", "BAAI/bge-small-en-v1.5", Pooling.FIRST_TOKEN, 33_400_000, "MIT",
        512, "Represent this sentence for searching relevant passages: ", "",
    ),
    (
        "e5-small-v2", "intfloat/e5-small-v2", Pooling.MEAN, 33_400_000, "MIT",
        512, "query: ", "passage: ",
    ),
    ("gte-small", "thenlper/gte-small", Pooling.MEAN, 33_400_000, "MIT", 512, "", ""),
)  # fmt: skip

KNOWN_ENCODERS: tuple[EncoderSpec, ...] = (
    _PPLX_SMALL,
    _QWEN_SMALL,
    _larger(
        _PPLX_SMALL, "pplx-embed-4b", "pplx-embed 4B", "perplexity-ai/pplx-embed-v1-4b"
    ),
    _larger(
        _QWEN_SMALL, "qwen3-embedding-4b", "Qwen3-Embedding 4B", "Qwen/Qwen3-Embedding-4B"
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
    *(
        _spec(
            encoder_id,
            label,
            checkpoint,
            architecture,
            attention=attention,
            max_tokens=tokens,
            dimension=dimension,
            parameters=parameters,
            licence=licence,
            trained_on=origin + _UNTRAINED,
            raw=True,
        )
        for (
            encoder_id, label, checkpoint, architecture, attention,
            tokens, dimension, parameters, licence, origin,
        ) in _RAW
    ),
    *(
        _spec(
            label.lower(),
            label,
            checkpoint,
            "bert",
            family=Family.REFERENCE,
            pooling=pooling,
            dimension=384,
            parameters=parameters,
            licence=licence,
            max_tokens=tokens,
            query_prompt=query,
            passage_prompt=passage,
            trained_on="Contrastive pairs; an encoder network trained by masked-token prediction.",
        )
        for label, checkpoint, pooling, parameters, licence, tokens, query, passage in _REFERENCES
    ),
)  # fmt: skip

_RECIPES_DIFFER = "Their contrastive data, prompts and pooling differ."
_SAME_BASE = "Base network, tokenizer, pooling, prompts."
_MORE_TEXT = (
    "The diffusion encoder saw more text; both are raw language models, not trained for retrieval."
)

# id, label, diffusion encoder, autoregressive encoder, what is matched, what is not
KNOWN_PAIRS: tuple[Pair, ...] = (
    Pair(
        "pplx-0.6b", "pplx-embed 0.6B and Qwen3-Embedding 0.6B",
        "pplx-embed-0.6b", "qwen3-embedding-0.6b",
        "Architecture and size: both are the Qwen3-0.6B network.", _RECIPES_DIFFER,
    ),
    Pair(
        "pplx-4b", "pplx-embed 4B and Qwen3-Embedding 4B",
        "pplx-embed-4b", "qwen3-embedding-4b",
        "Architecture and size: both are the Qwen3-4B network.", _RECIPES_DIFFER,
    ),
    Pair(
        "pplx-context", "pplx-embed-context and Qwen3-Embedding, late chunking",
        "pplx-embed-context-0.6b", "qwen3-embedding-0.6b-late",
        "Architecture and size.",
        f"{_RECIPES_DIFFER} Only the diffusion encoder was trained for late chunking: one forward of the "
        "document, pooled passage by passage.",
    ),
    Pair(
        "dream-7b", "Dream 7B and Qwen2.5 7B (the paper's)", "dream-7b", "qwen2.5-7b",
        "Base network and the embedding recipe.",
        "Dream saw about 580 billion tokens more. The paper's trained adapters were never released: "
        "without an adapter both are untuned, and these are not the paper's figures.",
    ),
    Pair(
        "llada-8b", "LLaDA 8B and Llama 3 8B", "llada-8b", "llama-3-8b", "Size only.",
        "Training data, tokenizer and attention heads differ; both are raw language models, not "
        "trained for retrieval.",
    ),
    Pair(
        "qwen3-0.6b-raw", "Qwen3 0.6B as diffusion model and as it is",
        "qwen3-0.6b-mdlm", "qwen3-0.6b", _SAME_BASE,
        "The diffusion encoder had fine-tuning on instructions besides; both are raw language models, "
        "not trained for retrieval.",
    ),
    Pair(
        "diffugpt-s", "DiffuGPT and GPT-2, small", "diffugpt-s", "gpt2", _SAME_BASE, _MORE_TEXT
    ),
    Pair(
        "diffugpt-m", "DiffuGPT and GPT-2, medium", "diffugpt-m", "gpt2-medium",
        _SAME_BASE, _MORE_TEXT,
    ),
)  # fmt: skip
