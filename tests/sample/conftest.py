"""The sample library as the product sees it: read by the real reader, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.documents import read_document
from core.library.sample import SampleQuery, load_sample_queries
from core.records import Document

SAMPLE_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "sample"


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    return SAMPLE_FOLDER


@pytest.fixture(scope="session")
def sample_documents(sample_folder: Path) -> dict[str, Document]:
    return {
        path.stem: read_document(path.read_bytes(), path.name)
        for path in sorted((sample_folder / "pdf").glob("*.pdf"))
    }


@pytest.fixture(scope="session")
def sample_queries(sample_folder: Path) -> tuple[SampleQuery, ...]:
    return load_sample_queries(sample_folder)
