"""Documents read in the process of the test: as good as in a worker, and started at once."""

from __future__ import annotations

import dataclasses
import hashlib

from core.documents import clean_name, document_from_bytes, document_to_bytes
from core.documents.extraction import read
from core.records import Document
from core.settings import ExtractionLimits


def read_document(
    data: bytes,
    name: str,
    *,
    limits: ExtractionLimits | None = None,
    password: str | None = None,
    ocr: str = "",
) -> Document:
    """Return what `core.documents.read_document` returns."""
    document = read(
        data, clean_name(name), limits or ExtractionLimits(), password=password, ocr=ocr
    )
    document = document_from_bytes(document_to_bytes(document))
    digest = hashlib.sha256(data).hexdigest()
    return dataclasses.replace(
        document, doc_id=f"d{digest[:16]}", sha256=digest, size_bytes=len(data)
    )
