"""Documents that can be searched: reading, cutting, embedding and searching joined together."""

from core.library.allowance import Allowance, VisitorLimits
from core.library.embedding import EmbeddingCounts, embed_texts, encoder_facts, stored_under
from core.library.files import SourceFile
from core.library.library import Library
from core.library.views import SearchView
from core.library.visitors import WorkspaceRoot

__all__ = [
    "Allowance",
    "EmbeddingCounts",
    "Library",
    "SearchView",
    "SourceFile",
    "VisitorLimits",
    "WorkspaceRoot",
    "embed_texts",
    "encoder_facts",
    "stored_under",
]
