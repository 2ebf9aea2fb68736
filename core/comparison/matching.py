"""External ids put onto this library's passages: by passage, characters, page or document.

Another system names what it found in its own way. An id is taken, in this order, for a passage id of
this library; for a range of characters of a document (Bifocal's own ids under another chunking:
``<document>:<start>-<end>``); for a document; and for a page of one (``report.pdf#page=3``,
``report.pdf:3``, ``report p. 3``). A document is known by its id, its file name with or without
ending or folders. What fits nowhere, or fits two documents, is counted and named, never guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from urllib.parse import unquote

from core.records import Hit, Passage, Ranking

EXAMPLES = 3
_EXAMPLE_CHARS = 80
_SPAN = re.compile(r"(?P<document>.+):(?P<start>\d{1,9})-(?P<end>\d{1,9})")
_PAGE = re.compile(
    r"(?P<document>.+?)(?<!\s)\s*+"
    r"(?:#page=|[#:]p?|[,_-]?+\s*+(?<=[\s,_-])p(?:age|\.)?[ ._=-]?\s*+)(?P<page>\d{1,5})",
    re.IGNORECASE,
)


class MatchKind(StrEnum):
    """Kinds of external ids."""

    PASSAGE = "passage"
    SPAN = "characters"
    PAGE = "page"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class MatchReport:
    """Matches of the ids of a run, or of one ranking of it."""

    hits: int  # all of them
    by_kind: Mapping[MatchKind, int]  # matched, by what the id was
    merged: int  # matched, but their passage was ranked higher by another id already
    whole_documents: int  # not matched: they name a document that has several passages here
    unmatched: int  # not matched: nothing here has such a name
    # a few ids of the last two kinds, as they came, shortened. Hostile text: escape it.
    examples: tuple[str, ...]

    @property
    def matched(self) -> int:
        """Hits that found a place here, those that were merged among them."""
        return sum(self.by_kind.values())

    @property
    def words(self) -> str:
        """The same in a sentence or two."""
        kinds = ", ".join(
            f"{count:,} by {kind.value}" for kind, count in self.by_kind.items() if count
        )
        said = f"{self.matched:,} of {self.hits:,} hits are of this library"
        said += f" ({kinds})." if kinds else "."
        if self.merged:
            said += f" {self.merged:,} name a passage that is ranked higher already."
        if self.whole_documents:
            said += (
                f" {self.whole_documents:,} name whole documents: set what is retrieved to whole "
                "documents to compare those."
            )
        if self.unmatched:
            said += (
                f" {self.unmatched:,} {'names' if self.unmatched == 1 else 'name'} nothing here."
            )
        if self.examples:
            shown = ", ".join(f'"{example}"' for example in self.examples)
            said += f" For example {shown}."
        return said


class PassageMatcher:
    """Matcher of external ids to the passages of one chunking.

    Args:
        passages: All of the library's.
        document_names: File name by document id.
    """

    def __init__(self, passages: Iterable[Passage], document_names: Mapping[str, str]) -> None:
        self._documents: dict[str, list[Passage]] = {}
        self._ids: set[str] = set()
        for passage in passages:
            self._ids.add(passage.passage_id)
            self._documents.setdefault(passage.doc_id, []).append(passage)
        named: dict[str, set[str]] = {}
        for doc_id in self._documents:
            for key in _names(doc_id, document_names.get(doc_id, "")):
                named.setdefault(key, set()).add(doc_id)
        # Two reports of one name: neither may stand for the other.
        self._named = {key: next(iter(ids)) for key, ids in named.items() if len(ids) == 1}

    def match(self, external_id: str) -> tuple[str, MatchKind | None]:
        """Passage id of an external id, with its kind.

        Without a passage the first is "", and the second DOCUMENT when it names a document that has
        several passages here, None when it names nothing.
        """
        found: tuple[str, MatchKind | None] = "", None
        for form in dict.fromkeys((external_id, unquote(external_id))):
            passage_id, kind = self._match(form)
            if passage_id:
                return passage_id, kind
            found = (passage_id, kind) if kind is not None else found
        return found

    def _match(self, form: str) -> tuple[str, MatchKind | None]:
        if form in self._ids:
            return form, MatchKind.PASSAGE
        span = _SPAN.fullmatch(form)
        if span is not None and (doc_id := self._document(span["document"])):
            place = self._at(doc_id, int(span["start"]), int(span["end"]))
            return (place, MatchKind.SPAN) if place else ("", None)
        doc_id = self._document(form)
        if doc_id:
            passages = self._documents[doc_id]
            return passages[0].passage_id if len(passages) == 1 else "", MatchKind.DOCUMENT
        page = _PAGE.fullmatch(form)
        if page is not None and (doc_id := self._document(page["document"])):
            place = self._on_page(doc_id, int(page["page"]))
            return (place, MatchKind.PAGE) if place else ("", None)
        return "", None

    def matched(self, ranking: Ranking, *, system_id: str) -> tuple[Ranking, MatchReport]:
        """A ranking over this library's passages, ranks from 1 again, with its matches."""
        hits: dict[str, float] = {}
        kinds: Counter[MatchKind] = Counter()
        merged = whole = unmatched = 0
        examples: list[str] = []
        for hit in ranking.hits:
            passage_id, kind = self.match(hit.passage_id)
            if passage_id and kind is not None:
                kinds[kind] += 1
                merged += passage_id in hits
                hits.setdefault(passage_id, hit.score)
                continue
            whole += kind is not None
            unmatched += kind is None
            if len(examples) < EXAMPLES:
                examples.append(hit.passage_id[:_EXAMPLE_CHARS])
        placed = Ranking(
            query_id=ranking.query_id,
            system_id=system_id,
            hits=tuple(
                Hit(passage_id, score, rank)
                for rank, (passage_id, score) in enumerate(hits.items(), start=1)
            ),
        )
        report = MatchReport(
            len(ranking.hits), dict(kinds), merged, whole, unmatched, tuple(examples)
        )
        return placed, report

    def _document(self, name: str) -> str:
        key = _key(name)
        return self._named.get(key) or self._named.get(PurePosixPath(key).name, "")

    def _at(self, doc_id: str, start: int, end: int) -> str:
        def shared(passage: Passage) -> int:
            return min(end, passage.end) - max(start, passage.start)

        best = max(self._documents[doc_id], key=lambda passage: (shared(passage), -passage.start))
        return best.passage_id if shared(best) > 0 else ""

    def _on_page(self, doc_id: str, number: int) -> str:
        """The longest passage wholly on a page; without one, the first that touches it."""
        touching = [p for p in self._documents[doc_id] if p.page_first <= number <= p.page_last]
        whole = [p for p in touching if p.page_first == p.page_last]
        if whole:
            return max(whole, key=lambda p: (p.end - p.start, -p.start)).passage_id
        return min(touching, key=lambda p: p.start).passage_id if touching else ""


def merge_reports(reports: Iterable[MatchReport]) -> MatchReport:
    """Matches of several rankings together."""
    kinds: Counter[MatchKind] = Counter()
    hits = merged = whole = unmatched = 0
    examples: dict[str, None] = {}
    for report in reports:
        kinds.update(report.by_kind)
        hits += report.hits
        merged += report.merged
        whole += report.whole_documents
        unmatched += report.unmatched
        examples.update(dict.fromkeys(report.examples))
    return MatchReport(
        hits, dict(kinds), merged, whole, unmatched, tuple(list(examples)[:EXAMPLES])
    )


def _names(doc_id: str, name: str) -> set[str]:
    path = PurePosixPath(name)
    return {key for key in map(_key, (doc_id, name, path.name, path.stem)) if key}


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).strip().casefold()
