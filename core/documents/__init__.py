"""Files into documents and passages. The only package that knows the libraries that read files.

``read_document`` turns bytes into a `Document` with a box per character and its sentences, in a
process of its own; ``chunk_document`` that into passages; ``boxes_for_range`` and ``render_page``
show a passage on its page.
"""

from core.documents.chunking import chunk_document
from core.documents.highlights import PageBoxes, boxes_for_range
from core.documents.names import clean_name
from core.documents.ocr import languages as ocr_languages
from core.documents.ocr import require_languages
from core.documents.reading import Worker, read_document, render_page
from core.documents.sentences import is_sentence, sentence_spans
from core.documents.serialization import document_from_bytes, document_to_bytes

__all__ = [
    "PageBoxes",
    "Worker",
    "boxes_for_range",
    "chunk_document",
    "clean_name",
    "document_from_bytes",
    "document_to_bytes",
    "is_sentence",
    "ocr_languages",
    "read_document",
    "render_page",
    "require_languages",
    "sentence_spans",
]
