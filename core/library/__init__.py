"""Documents that can be asked: reading, cutting, embedding and searching joined in one object."""

from core.library.allowance import Allowance, VisitorLimits
from core.library.encoders import EncoderStatus
from core.library.ingest import SourceFile
from core.library.library import LEXICAL, ExampleQuery, Library, PageView
from core.library.views import SearchView

__all__ = [
    "LEXICAL",
    "Allowance",
    "EncoderStatus",
    "ExampleQuery",
    "Library",
    "PageView",
    "SearchView",
    "SourceFile",
    "VisitorLimits",
]
