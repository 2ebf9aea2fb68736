"""How long a query takes beside the encoder's own time. Run: ``python -m tests.tools.bench.bench_search``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from core.records import Family, Query, SystemInfo
from core.search import (
    DenseIndex,
    DenseSystem,
    FusedSystem,
    LexicalIndex,
    LexicalSystem,
    QueryEmbeddings,
    Searcher,
)
from tests.library.tiny import TinyEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.encoders.spec import TextKind
    from core.monitor import Monitor

DIMENSION = 576
WORDS_PER_PASSAGE = 110
VOCABULARY = 60_000


class _RandomVectors(TinyEncoder):
    """Costs nothing: what is left is search."""

    @override
    def encode(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        generator = np.random.default_rng(len(texts[0]))
        rows = generator.standard_normal((len(texts), DIMENSION), dtype=np.float32)
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def _texts(generator: np.random.Generator, count: int) -> list[str]:
    """Passages whose words are spread as in language (Zipf), so that common words are costly."""
    weights = 1.0 / np.arange(1, VOCABULARY + 1)
    numbers = generator.choice(VOCABULARY, (count, WORDS_PER_PASSAGE), p=weights / weights.sum())
    return [" ".join(f"word{n}" for n in row) for row in numbers]


def query_latency(passages: int, *, queries: int = 60, seed: int = 0) -> dict[str, float]:
    """Seconds to build, and milliseconds a query takes: two encoders, BM25, fusion, all ranks."""
    generator = np.random.default_rng(seed)
    ids = tuple(f"d{n // 50:016x}:{n:08d}-{n + 1:08d}" for n in range(passages))
    texts = _texts(generator, passages)
    embeddings = generator.standard_normal((passages, DIMENSION), dtype=np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    started = time.perf_counter()
    lexical = LexicalIndex(ids, texts)
    lexical_seconds = time.perf_counter() - started
    started = time.perf_counter()
    indexes = [DenseIndex(ids, embeddings), DenseIndex(ids, embeddings[:, ::-1])]
    dense_seconds = time.perf_counter() - started
    encoders = [_RandomVectors("tiny-d"), _RandomVectors("tiny-a", Family.AUTOREGRESSIVE)]
    searcher = Searcher(
        [
            DenseSystem(encoders[0].info, encoders[0], indexes[0]),
            DenseSystem(encoders[1].info, encoders[1], indexes[1]),
            LexicalSystem(SystemInfo("bm25", Family.LEXICAL, "BM25"), lexical),
            FusedSystem(SystemInfo("rrf", Family.FUSION, "Fusion"), ("tiny-d", "tiny-a")),
        ],
        query_embeddings=QueryEmbeddings(capacity=1),
    )
    asked = _texts(generator, queries + 5)
    milliseconds = []
    for number, text in enumerate(asked):
        query = Query(f"q{number}", " ".join(text.split()[:12]))
        started = time.perf_counter()
        results = searcher.search(query, k=50)
        total = time.perf_counter() - started
        encoding = sum(answer.encode_seconds for answer in results.values())
        milliseconds.append(1000 * (total - encoding))
    measured = np.array(milliseconds[5:])  # the first few warm up
    return {
        "passages": passages,
        "dimension": DIMENSION,
        "p50_milliseconds": round(float(np.percentile(measured, 50)), 2),
        "p95_milliseconds": round(float(np.percentile(measured, 95)), 2),
        "build_bm25_seconds": round(lexical_seconds, 2),
        "build_dense_seconds": round(dense_seconds, 2),
    }


def all_query_latencies() -> list[dict[str, float]]:
    """The sizes that the documentation states."""
    return [query_latency(passages) for passages in (1_000, 10_000, 100_000)]


if __name__ == "__main__":
    for line in all_query_latencies():
        print(json.dumps(line))  # noqa: T201
