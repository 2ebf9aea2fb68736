"""Exact search for every system over the same passages. The only room that knows FAISS."""

from core.search.answer import Answer, MemoryAnswer
from core.search.background import Background, corpus_key, score_background
from core.search.dense import Backend, DenseIndex, choose_backend
from core.search.fusion import RRF_CONSTANT, reciprocal_rank_fusion
from core.search.lexical import LexicalIndex
from core.search.searcher import (
    DenseSystem,
    FusedSystem,
    LexicalSystem,
    QueryEmbeddings,
    Searcher,
    System,
    UnavailableSystem,
    require_query,
)

__all__ = [
    "RRF_CONSTANT",
    "Answer",
    "Backend",
    "Background",
    "DenseIndex",
    "DenseSystem",
    "FusedSystem",
    "LexicalIndex",
    "LexicalSystem",
    "MemoryAnswer",
    "QueryEmbeddings",
    "Searcher",
    "System",
    "UnavailableSystem",
    "choose_backend",
    "corpus_key",
    "reciprocal_rank_fusion",
    "require_query",
    "score_background",
]
