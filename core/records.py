"""The values that travel between Bifocal's rooms. They never change after they are made.

Ids hold no spaces (TREC runs and qrels are whitespace-delimited). Offsets are half-open
character ranges into ``Document.text``. Scores are higher-is-better and comparable only inside
one system; ranks count from 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class Family(StrEnum):
    """Kind of system that produced a ranking."""

    DIFFUSION = "diffusion"
    AUTOREGRESSIVE = "autoregressive"
    REFERENCE = "reference"  # any other encoder, shown for orientation
    LEXICAL = "lexical"
    FUSION = "fusion"
    IMPORTED = "imported"  # a run computed elsewhere


class Unit(StrEnum):
    """Retrieval unit."""

    PASSAGE = "passage"
    DOCUMENT = "document"


class TextSource(StrEnum):
    """Which reader a page's text came from."""

    PDFIUM = "pdfium"
    PYPDF = "pypdf"
    PLAIN = "plain"
    OCR = "ocr"
    NONE = "none"


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page of a document.

    Attributes:
        page_number: Counts from 1.
        start: First character of the page in the document text.
        end: One past its last character.
        width: In points, as displayed (rotation applied). 0 for plain text.
        height: In points, as displayed.
        char_boxes: ``(end - start, 4)`` float32: left, top, right, bottom in points from the
            page's top left corner as displayed. NaN rows where a character has no box (line
            breaks, text from the second reader, plain text).
        text_source: Which reader gave the text.
        looks_scanned: The page has next to no text but an image that covers it.
        furniture: Running heads and page numbers, a line each; no part of the text.
    """

    page_number: int
    start: int
    end: int
    width: float
    height: float
    char_boxes: NDArray[np.float32]
    text_source: TextSource
    looks_scanned: bool = False
    furniture: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One source file, read.

    Attributes:
        doc_id: ``"d"`` and the first 16 hex digits of ``sha256``: the same bytes are one document.
        name: The file's own name: last path part, control and bidi characters removed.
        sha256: Of the file's bytes, hex.
        media_type: One of `core.documents.plain.ENDINGS`.
        text: All pages' text, joined; pages are ranges of it.
        pages: In order. Plain text is one page.
        size_bytes: Of the source file.
        warnings: What could not be read and what to do about it, each a sentence.
        sentences: Half-open ranges of the text, in order, cut where the file was read.
    """

    doc_id: str
    name: str
    sha256: str
    media_type: str
    text: str
    pages: tuple[Page, ...]
    size_bytes: int
    warnings: tuple[str, ...] = ()
    sentences: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A retrieval unit: ``document.text[start:end] == text``, always.

    Attributes:
        passage_id: ``<doc_id>:<start>-<end>``, offsets padded to 8 digits so that ids sort in
            reading order. See `make_passage_id`.
        page_first: Page (from 1) of the first character.
        page_last: Page of the last character.
        unit: Whether it is a passage or a whole document.
        token_count: Tokens by the library's neutral counter, prompts not included.
    """

    passage_id: str
    doc_id: str
    start: int
    end: int
    text: str
    page_first: int
    page_last: int
    unit: Unit = Unit.PASSAGE
    token_count: int = 0


def make_passage_id(doc_id: str, start: int, end: int) -> str:
    """Return the id of a character range of a document; ids of one document sort by offset."""
    return f"{doc_id}:{start:08d}-{end:08d}"


@dataclass(frozen=True, slots=True)
class Query:
    """Question of the user."""

    query_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved passage. ``rank`` counts from 1."""

    passage_id: str
    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Hits of one system for one query, best first, ties by passage id ascending."""

    query_id: str
    system_id: str
    hits: tuple[Hit, ...]

    @property
    def passage_ids(self) -> tuple[str, ...]:
        """Ids of the hits, best first."""
        return tuple(hit.passage_id for hit in self.hits)


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """A system under comparison, as the page names it.

    Attributes:
        system_id: Unique in a comparison; an encoder's id, ``bm25`` or ``rrf``.
        family: Decides its colour and its place.
        label: Short name for people.
    """

    system_id: str
    family: Family
    label: str


LEXICAL = SystemInfo("bm25", Family.LEXICAL, "BM25")


@dataclass(frozen=True, slots=True)
class ReceivedText:
    """Tokens of one text that an encoder really read.

    Attributes:
        text: The exact string, with its prompt, before tokenising.
        tokens_total: Tokens the whole string would have, special tokens included.
        tokens_kept: Tokens that entered the backbone.
        tokens_dropped: ``tokens_total - tokens_kept``: cut off at the end.
        strange: Share of a query's letters that the tokenizer has no piece for, 0 to 1.
    """

    text: str
    tokens_total: int
    tokens_kept: int
    strange: float = 0.0

    @property
    def tokens_dropped(self) -> int:
        """Tokens cut off by the encoder's limit."""
        return self.tokens_total - self.tokens_kept


@dataclass(frozen=True, slots=True)
class Judgment:
    """A graded judgment that survives re-chunking: it names characters of a file, not a passage.

    Attributes:
        query_text: The query as judged.
        sha256: Of the document's file.
        page_number: Page of ``start``.
        start: First judged character in the document text.
        end: One past the last.
        grade: 0 (not relevant) to 3 (perfectly relevant).
    """

    query_text: str
    sha256: str
    page_number: int
    start: int
    end: int
    grade: int


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that was not indexed, with the reason and the remedy in a sentence."""

    name: str
    reason: str
    needs_password: bool = False
    needs_ocr: bool = False


@dataclass(frozen=True, slots=True)
class DocumentReport:
    """One document's line in the ingestion report."""

    doc_id: str
    name: str
    pages: int
    pages_with_text: int
    scanned_pages: tuple[int, ...]
    passages: int
    tokens: int
    warnings: tuple[str, ...] = ()
    duplicate_of: str | None = None


@dataclass(frozen=True, slots=True)
class IngestionReport:
    """Outcome of an upload: files indexed, files skipped and the reasons."""

    documents: tuple[DocumentReport, ...]
    skipped: tuple[SkippedFile, ...]
    passages_embedded: Mapping[str, int] = field(default_factory=dict)  # by encoder id
    passages_reused: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: bool = False
