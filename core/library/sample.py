"""The sample library's queries: read them, find their right passages, make qrels of them.

A right passage is marked by a quotation from the document, not by an id, so the marks survive any
chunking and any extractor that keeps the letters: blanks, line ends, hyphens and dashes do not count.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath

from core.errors import DatasetError
from core.records import Document, Passage

QUERIES_FILE = "queries.jsonl"
_FIELDS = ("query_id", "group", "text", "document", "answer", "note")
_DASHES = (
    "-\u00ad\u2010\u2011\u2013\u2212\ufffe\x02"  # last two: soft line ends, as PDF readers say
)
_STRAIGHT = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
_QUOTED_IN_ERRORS_CHARS = 60


class SampleGroup(StrEnum):
    """Kinds of sample queries, by the ability that they need."""

    LOOKUP = "lookup"  # a name, a number, a code, in the words of the document
    PARAPHRASE = "paraphrase"  # the same matter in other words
    LONG_RANGE = "long-range"  # the passage means what the document's beginning says it means
    REASONING = "reasoning"  # two steps of thought, no content word in common


@dataclass(frozen=True, slots=True)
class SampleQuery:
    """A query whose right passages are known."""

    query_id: str  # unique, without spaces
    group: SampleGroup  # what it asks of an encoder
    text: str  # what the user would type
    document: str  # file stem of the document that holds the answer
    # exact quotations, each found once in that document, which mark the right passages
    answer: tuple[str, ...]
    note: str  # why they are right, in a sentence


def load_sample_queries(folder: Path) -> tuple[SampleQuery, ...]:
    """Return the queries of ``folder/queries.jsonl`` in file order.

    Raises:
        DatasetError: If the file is missing, or a line is not a query; the message names the line.
    """
    path = folder / QUERIES_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise DatasetError(
            f"The sample queries {path} cannot be read: {exc}. Install Bifocal again."
        ) from exc
    queries = [
        _parse(line, where=f"{QUERIES_FILE}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    seen: set[str] = set()
    for query in queries:
        if query.query_id in seen:
            raise DatasetError(f"{QUERIES_FILE}: the query id {query.query_id} occurs twice.")
        seen.add(query.query_id)
    return tuple(queries)


def _parse(line: str, *, where: str) -> SampleQuery:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as exc:
        raise DatasetError(f"{where} is not JSON: {exc.msg}.") from exc
    missing = [name for name in _FIELDS if not isinstance(row, dict) or not row.get(name)]
    if missing:
        raise DatasetError(f"{where} lacks {', '.join(missing)}.")
    answer = row["answer"]
    texts = [row[name] for name in _FIELDS if name != "answer"]
    if not isinstance(answer, list) or not all(
        isinstance(text, str) and text.strip() for text in [*texts, *answer]
    ):
        raise DatasetError(f"{where}: answer must be a list of texts, every other field a text.")
    if row["group"] not in tuple(SampleGroup):
        raise DatasetError(
            f"{where}: there is no group {row['group']!r}; use one of {', '.join(SampleGroup)}."
        )
    if any(character.isspace() for character in row["query_id"]):
        raise DatasetError(f"{where}: a query id holds no spaces.")
    return SampleQuery(
        query_id=row["query_id"],
        group=SampleGroup(row["group"]),
        text=row["text"],
        document=row["document"],
        answer=tuple(answer),
        note=row["note"],
    )


def locate(document_text: str, quotation: str) -> tuple[int, int]:
    """Find the one place of a quotation in a text, regardless of line ends and dashes.

    Args:
        document_text: Text of the whole document.
        quotation: Exact words. Blanks, hyphens, dashes, the slant of quotation marks and ligatures may
            differ from the document's.

    Returns:
        Half-open character range of ``document_text``.

    Raises:
        DatasetError: If the quotation is empty, absent, or found more than once.
    """
    return _Letters(document_text).locate(quotation)


class _Letters:
    """A text's letters without the effects of line ends, and the place of each."""

    def __init__(self, text: str) -> None:
        letters: list[str] = []
        self._offsets: list[int] = []
        for offset, character in enumerate(text):
            for letter in _letters_of(character):
                letters.append(letter)
                self._offsets.append(offset)
        self._letters = "".join(letters)

    def locate(self, quotation: str) -> tuple[int, int]:
        """See `locate`."""
        wanted = "".join(letter for character in quotation for letter in _letters_of(character))
        shown = quotation.strip()[:_QUOTED_IN_ERRORS_CHARS]
        if not wanted:
            raise DatasetError("A quotation without letters cannot be located.")
        first = self._letters.find(wanted)
        if first < 0:
            raise DatasetError(f"The quotation {shown!r} is not in the document.")
        if self._letters.find(wanted, first + 1) >= 0:
            raise DatasetError(
                f"The quotation {shown!r} is in the document more than once; quote more of it."
            )
        return self._offsets[first], self._offsets[first + len(wanted) - 1] + 1


def _letters_of(character: str) -> str:
    if character.isspace() or character in _DASHES:
        return ""
    if character.isascii():
        return character
    folded = unicodedata.normalize("NFKC", character).translate(_STRAIGHT)
    return "".join(part for part in folded if not part.isspace() and part not in _DASHES)


def sample_qrels(
    queries: Iterable[SampleQuery], documents: Iterable[Document], passages: Sequence[Passage]
) -> dict[str, dict[str, int]]:
    """Say which passages are right, for any chunking of the sample library.

    A passage is relevant (grade 1) when it holds at least half of a quotation's characters. Where
    none does, because a quotation was cut in three or more, the one that holds most of it is; of
    several that hold equally much, the first in reading order.

    Args:
        queries: Those to judge.
        documents: Must hold every document that the queries name; matched by file stem.
        passages: Of those documents, passages or whole documents; others are ignored.

    Returns:
        Query id to passage id to grade, as ir-measures and `core.evaluation` take it.

    Raises:
        DatasetError: If a document is missing, a quotation cannot be located in it, or no passage
            touches it.
    """
    by_stem = {PurePath(document.name).stem: document for document in documents}
    of_document: dict[str, list[Passage]] = {}
    for passage in passages:
        of_document.setdefault(passage.doc_id, []).append(passage)
    letters: dict[str, _Letters] = {}
    qrels: dict[str, dict[str, int]] = {}
    for query in queries:
        document = by_stem.get(query.document)
        if document is None:
            raise DatasetError(
                f"Query {query.query_id} asks about {query.document!r}, which is not among the "
                "documents; add the sample library's file or leave the query out."
            )
        if query.document not in letters:
            letters[query.document] = _Letters(document.text)
        relevant: dict[str, int] = {}
        for quotation in query.answer:
            start, end = letters[query.document].locate(quotation)
            candidates = of_document.get(document.doc_id, [])
            for passage_id in _holders(candidates, start=start, end=end):
                relevant[passage_id] = 1
        if not relevant:
            raise DatasetError(
                f"No passage of {document.name} touches the answer to query {query.query_id}."
            )
        qrels[query.query_id] = relevant
    return qrels


def _holders(passages: Sequence[Passage], *, start: int, end: int) -> list[str]:
    """Return ids of the passages that hold half of a character range, or the one with most."""
    overlaps = [
        (min(end, passage.end) - max(start, passage.start), passage.passage_id)
        for passage in passages
    ]
    enough = [passage_id for overlap, passage_id in overlaps if 2 * overlap >= end - start]
    touching = [(overlap, passage_id) for overlap, passage_id in overlaps if overlap > 0]
    if enough or not touching:
        return enough
    return [min(touching, key=lambda pair: (-pair[0], pair[1]))[1]]
