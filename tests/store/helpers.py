"""Small documents and vectors that tests of the store share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.records import Document, Page, Passage, TextSource, make_passage_id

FINGERPRINT = hashlib.sha256(b"an encoder").hexdigest()
FACTS = {"encoder_id": "tiny"}
DIMENSION = 8


def rows_for(texts: Sequence[str], *, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """The vector of a text, from its hash: any test can say what must come back."""
    digests = [hashlib.sha256(text.encode()).digest()[:dimension] for text in texts]
    rows = np.array([list(digest) for digest in digests], np.float32).reshape(-1, dimension)
    return rows + 1.0


def make_document(text: str, *, name: str = "a.txt") -> tuple[Document, bytes]:
    """A document of one page, and the file it came from."""
    source = text.encode()
    sha256 = hashlib.sha256(source).hexdigest()
    boxes = np.full((len(text), 4), np.nan, np.float32)
    page = Page(1, 0, len(text), 0.0, 0.0, boxes, TextSource.PLAIN)
    document = Document(
        f"d{sha256[:16]}", name, sha256, "text/plain", text, (page,), len(source), ("Mind this.",)
    )
    return document, source


def cut(document: Document, *, size: int = 10) -> list[Passage]:
    """Passages of ten characters."""
    return [
        Passage(
            make_passage_id(document.doc_id, start, min(start + size, len(document.text))),
            document.doc_id,
            start,
            min(start + size, len(document.text)),
            document.text[start : start + size],
            1,
            1,
            token_count=3,
        )
        for start in range(0, len(document.text), size)
    ]
