"""How fast the encoders embed, against sentence-transformers on the same weights and texts.

Run: ``python -m tests.tools.bench.bench_encoders``. Both sides embed the same texts in turns within one
process, the better of several rounds counts for each, and their vectors are compared.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from core.encoders.checkpoint import build_backbone, stock_classes
from core.encoders.loading import compute_dtype, load_encoder, load_folder
from core.encoders.registry import read_registry
from core.encoders.spec import Attention, EncoderSpec, TextKind
from core.encoders.spec import Pooling as PoolingKind
from core.encoders.tokens import neutral_counter
from core.records import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ASSETS = Path(__file__).parents[3] / "assets"
WORDS = [
    "the",
    "quick",
    "report",
    "describes",
    "methods",
    "results",
    "and",
    "limits",
    "of",
    "a",
    "study",
    "about",
    "rivers",
    "harbours",
    "ships",
    "letters",
    "proofs",
    "enzymes",
    "receptors",
    "financial",
    "markets",
    "contracts",
    "courts",
    "engines",
    "signals",
    "noise",
    "however",
    "evidence",
    "suggests",
    "that",
    "earlier",
    "measurements",
    "were",
    "taken",
    "under",
    "different",
    "conditions",
]
LAYERS = 10
HIDDEN = 576


def mixed_texts(count: int, *, seed: int = 0, shortest: int = 8, longest: int = 320) -> list[str]:
    """Texts of mixed lengths, in words, spread evenly on a logarithmic scale."""
    generator = np.random.default_rng(seed)
    lengths = np.exp(generator.uniform(np.log(shortest), np.log(longest), count)).astype(int)
    return [" ".join(generator.choice(WORDS, size)) for size in lengths]


def even_texts(
    count: int, tokens: int, counter: Callable[[Sequence[str]], Sequence[int]]
) -> list[str]:
    """Texts of ``tokens`` tokens each, all different."""
    generator = np.random.default_rng(1)
    texts: list[str] = []
    while len(texts) < count:
        words = list(generator.choice(WORDS, tokens))
        while counter([" ".join(words)])[0] > tokens:
            words.pop()
        texts.append(" ".join(words))
    return texts


def matmul_peak(*, seconds: float = 1.0, clock: Callable[[], float] = time.perf_counter) -> float:
    """Best float32 matrix-product rate of this machine now, in GFLOP/s, over several shapes."""
    best = 0.0
    for rows, inner, columns in ((512, 576, 3072), (1024, 1024, 1024), (2048, 2048, 2048)):
        left, right = torch.randn(rows, inner), torch.randn(inner, columns)
        end = time.perf_counter() + seconds / 3
        while time.perf_counter() < end:
            start = clock()
            torch.matmul(left, right)
            took = clock() - start
            best = max(best, 2 * rows * inner * columns / max(took, 1e-9) / 1e9)
    return best


def against_sentence_transformers(
    *, texts: int = 96, rounds: int = 3, threads: int = 0
) -> dict[str, Any]:
    """Embed mixed-length texts with both, in turns, on the bundled encoders' shape of network.

    Args:
        texts: How many.
        rounds: The best of so many counts, for each side.
        threads: For torch; 0 keeps its own choice.

    Returns:
        For each attention: tokens per second of both sides, their ratio, the largest difference
        between their vectors.
    """
    if threads:
        torch.set_num_threads(threads)
    corpus = mixed_texts(texts)
    results: dict[str, Any] = {"texts": texts, "threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory() as folder:
        for attention in (Attention.BIDIRECTIONAL, Attention.CAUSAL):
            place = Path(folder) / attention.value
            theirs = _sentence_transformer(place, attention)
            ours = load_folder(_spec(attention), place, device="cpu")
            tokens = sum(
                received.tokens_kept for received in ours.received(corpus, kind=TextKind.PASSAGE)
            )
            seconds = {"bifocal": np.inf, "sentence-transformers": np.inf}
            vectors: dict[str, Any] = {}
            for _ in range(rounds):
                for side in ("bifocal", "sentence-transformers"):
                    start = time.perf_counter()
                    if side == "bifocal":
                        vectors[side] = ours.encode(corpus, kind=TextKind.PASSAGE)
                    else:
                        vectors[side] = theirs.encode(corpus, show_progress_bar=False)
                    seconds[side] = min(seconds[side], time.perf_counter() - start)
            rates = {side: round(tokens / took) for side, took in seconds.items()}
            results[attention.value] = {
                "tokens": tokens,
                "tokens_per_second": rates,
                "ratio": round(seconds["sentence-transformers"] / seconds["bifocal"], 2),
                "largest_difference": float(
                    np.abs(vectors["bifocal"] - vectors["sentence-transformers"]).max()
                ),
            }
    return results


def bundled_speed(
    *, passages: int = 24, tokens: int = 256, rounds: int = 3, threads: int = 0
) -> dict[str, Any]:
    """Tokens per second of each bundled encoder on passages of one length, and share of the peak.

    The share counts the matrix products' and the attention's floating-point operations only. Both
    are given by the clock on the wall, with all threads, and by processor time on one thread, which
    other programs on the machine disturb less.
    """
    texts = even_texts(passages, tokens - 4, neutral_counter(ASSETS))
    everything = threads or torch.get_num_threads()
    results: dict[str, Any] = {"threads": everything}
    for spec in read_registry(ASSETS).encoders.values():
        if not spec.checkpoint.startswith("bundled:"):
            continue
        folder = ASSETS / "encoders" / spec.checkpoint.removeprefix("bundled:")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        encoder = load_encoder(spec, assets=ASSETS, device="cpu")
        received = encoder.received(texts, kind=TextKind.PASSAGE)
        kept = [text.tokens_kept for text in received]
        operations = sum(_operations(count, config) for count in kept)
        row: dict[str, Any] = {
            "layers": config["num_hidden_layers"],
            "tokens_per_passage": round(sum(kept) / len(kept)),
        }
        for name, clock, used in (
            ("wall clock", time.perf_counter, everything),
            ("processor time, one thread", time.process_time, 1),
        ):
            torch.set_num_threads(used)
            best, peak = np.inf, 0.0
            for _ in range(rounds):
                peak = max(peak, matmul_peak(seconds=0.3, clock=clock))
                start = clock()
                encoder.encode(texts, kind=TextKind.PASSAGE)
                best = min(best, clock() - start)
            row[name] = {
                "tokens_per_second": round(sum(kept) / best),
                "peak_gflops": round(peak),
                "share_of_peak": round(operations / best / 1e9 / peak, 2),
            }
        torch.set_num_threads(everything)
        results[spec.encoder_id] = row
    return results


REAL_SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "0.6B (pplx-embed, Qwen3-Embedding)": (
        "qwen3",
        {
            "vocab_size": 151_936,
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
        },
    ),
    "4B (pplx-embed, Qwen3-Embedding)": (
        "qwen3",
        {
            "vocab_size": 151_936,
            "hidden_size": 2560,
            "intermediate_size": 9728,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
        },
    ),
    "7B (Dream, Qwen2.5)": (
        "qwen2",
        {
            "vocab_size": 152_064,
            "hidden_size": 3584,
            "intermediate_size": 18_944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
        },
    ),
}


def real_size_speed(
    name: str, *, device: str = "cpu", tokens: int = 256, texts: int = 4, rounds: int = 2
) -> dict[str, Any]:
    """Memory and speed of a network of real dimensions with random weights, both attentions.

    Args:
        name: Key of `REAL_SIZES`.
        device: ``cpu`` (float32) or ``cuda:0`` (bfloat16).
        tokens: Of each text.
        texts: In the batch.
        rounds: The best counts.

    Returns:
        Weights in billions, memory in GiB, tokens per second of each attention.
    """
    architecture, sizes = REAL_SIZES[name]
    config_class, model_class = stock_classes(architecture)
    fields = {**sizes, "max_position_embeddings": 4096}
    dtype = compute_dtype(device)
    with torch.device("meta"):
        shapes = {
            key: value.shape
            for key, value in model_class(config_class(**fields)).state_dict().items()
        }
    tensors = {
        key: torch.empty(shape, dtype=dtype, device=device).normal_(std=0.02)
        for key, shape in shapes.items()
    }
    backbone = build_backbone(architecture, fields, tensors, source=name, device=device)
    batch = [[(7 * row + 13 * place) % 50_000 for place in range(tokens)] for row in range(texts)]
    results: dict[str, Any] = {"weights_billions": round(backbone.parameters / 1e9, 2)}
    for attention in (Attention.BIDIRECTIONAL, Attention.CAUSAL):
        best = np.inf
        for _ in range(rounds):
            start = time.perf_counter()
            for block in backbone.run(batch, attention=attention):
                block.states[0].float().sum().item()  # waits for the device
            best = min(best, time.perf_counter() - start)
        results[f"{attention.value}_tokens_per_second"] = round(tokens * texts / best)
    if device.startswith("cuda"):
        results["memory_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    else:
        results["memory_gib"] = round(psutil.Process().memory_info().rss / 2**30, 2)
    return results


def _operations(length: int, config: dict[str, Any]) -> float:
    """Floating-point operations of one text through a bundled network."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head = config["head_dim"]
    matrices = 2 * hidden * head * (heads + kv_heads) + 3 * hidden * inner
    attention = 4.0 * heads * head * length * length
    return float(config["num_hidden_layers"] * (2.0 * matrices * length + attention))


def _spec(attention: Attention) -> EncoderSpec:
    return EncoderSpec(
        encoder_id=f"bench-{attention.value}",
        label=attention.value,
        family=Family.REFERENCE,
        checkpoint="local:",
        revision="",
        architecture="llama",
        attention=attention,
        pooling=PoolingKind.MEAN,
        query_prompt="",
        passage_prompt="",
        max_tokens=512,
        dimension=HIDDEN,
        licence="Apache-2.0",
        trained_on="Nothing.",
        parameters=0,
    )


def _sentence_transformer(folder: Path, attention: Attention) -> SentenceTransformer:
    """Save a network of the bundled shape as a sentence-transformers model and load it there."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=HIDDEN,
        intermediate_size=1536,
        num_hidden_layers=LAYERS,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        pad_token_id=2,
        bos_token_id=1,
        eos_token_id=2,
        rms_norm_eps=1e-5,
    )
    config.is_causal = attention is Attention.CAUSAL
    LlamaModel(config).save_pretrained(folder)
    paths = sorted((ASSETS / "encoders").glob("*/tokenizer.json"))
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_file=str(paths[0]), pad_token="<|im_end|>", eos_token="<|im_end|>"
    )
    tokenizer.save_pretrained(folder)
    transformer = Transformer(str(folder), max_seq_length=512)
    pooling = Pooling(HIDDEN, pooling_mode="mean")
    return SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu")


if __name__ == "__main__":
    print(json.dumps(against_sentence_transformers(), indent=2))  # noqa: T201 (a command)
    print(json.dumps(bundled_speed(), indent=2))  # noqa: T201
