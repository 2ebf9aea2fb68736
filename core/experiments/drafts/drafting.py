"""Draft queries from every passage and take some, evenly over documents and over kinds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from core.documents.sentences import is_sentence, sentence_spans
from core.errors import LaboratoryError
from core.experiments.drafts.headings import NUMBERING, headings
from core.experiments.drafts.questions import ask, define, define_german
from core.experiments.drafts.rare_words import keywords, rarity_of
from core.experiments.drafts.words import (
    GERMAN_SMALL_WORDS,
    SMALL_WORDS,
    in_german,
    mostly_words,
    written_small,
)
from core.records import Passage

DEFAULT_DRAFTS = 1000
DRAFTING_RULES = 3  # raise it when the rules change: what was found with others is then stale
PARAGRAPH_SHARE = 0.08  # long queries cost many times a short one
_PARAGRAPH_CHARS = 900


class DraftKind(StrEnum):
    """Which rule wrote a draft."""

    HEADING = "heading"
    DEFINITION = "definition"
    QUESTION = "question"
    KEYWORDS = "keywords"
    PARAGRAPH = "paragraph"


@dataclass(frozen=True, slots=True)
class Draft:
    """A query drafted from a passage."""

    query_id: str  # of its text: equal texts have equal ids. No spaces.
    text: str  # what is asked
    kind: DraftKind  # the rule that wrote it
    # where it came from: a right answer, though seldom the only one, and for long drafts nearly the
    # query itself
    passage_id: str
    doc_id: str  # of that passage


def draft_queries(
    passages: Sequence[Passage],
    texts: Mapping[str, str],
    *,
    count: int = DEFAULT_DRAFTS,
    seed: int = 0,
    kinds: Sequence[DraftKind] = tuple(DraftKind),
) -> tuple[Draft, ...]:
    """Draft up to ``count`` queries, evenly over documents and over kinds.

    Args:
        passages: The corpus; order does not matter.
        texts: Text of their documents by id, for headings.
        count: Most drafts. A small library gives fewer.
        seed: Decides which drafts are taken where there are more than wanted.
        kinds: Which rules may write them.

    Returns:
        Drafts with different texts (case and spacing apart), in a fixed order; at most
        ``PARAGRAPH_SHARE`` of them whole paragraphs.

    Raises:
        LaboratoryError: If no rule finds anything to ask.
    """
    by_document: dict[str, list[Passage]] = {}
    for passage in sorted(passages, key=lambda passage: passage.passage_id):
        by_document.setdefault(passage.doc_id, []).append(passage)
    rarity = rarity_of([passage.text for group in by_document.values() for passage in group])
    queues: dict[DraftKind, dict[str, list[Draft]]] = {kind: {} for kind in DraftKind}
    common = written_small([passage.text for group in by_document.values() for passage in group])
    for doc_id, group in by_document.items():
        for draft in _document_drafts(texts.get(doc_id, ""), group, rarity, common):
            if draft.kind in kinds:
                queues[draft.kind].setdefault(doc_id, []).append(draft)
    generator = np.random.default_rng(seed)
    for kind in DraftKind:
        for doc_id in sorted(queues[kind]):
            drafts = queues[kind][doc_id]
            order = generator.permutation(len(drafts))
            queues[kind][doc_id] = [drafts[place] for place in order]
    chosen = _balanced(queues, count)
    if not chosen:
        raise LaboratoryError(
            "No query can be drafted from this library: it holds no headings, sentences or "
            "paragraphs that could be read. Ask a query of your own instead."
        )
    return tuple(chosen)


def _balanced(queues: dict[DraftKind, dict[str, list[Draft]]], wanted: int) -> list[Draft]:
    """Take from kinds and documents in turn until enough are there or all are used up."""
    most_paragraphs = max(1, int(wanted * PARAGRAPH_SHARE))
    taken: dict[DraftKind, int] = dict.fromkeys(DraftKind, 0)
    per_document: Counter[str] = Counter()
    seen: set[str] = set()
    chosen: list[Draft] = []
    while len(chosen) < wanted:
        before = len(chosen)
        for kind in DraftKind:
            waiting = [doc_id for doc_id, drafts in queues[kind].items() if drafts]
            if kind is DraftKind.PARAGRAPH and taken[kind] >= most_paragraphs:
                waiting = []
            # the document with fewest drafts so far goes first: long ones do not drown short ones
            for doc_id in sorted(waiting, key=lambda doc_id: (per_document[doc_id], doc_id))[:1]:
                draft = queues[kind][doc_id].pop()
                key = " ".join(draft.text.casefold().split())
                if key in seen:
                    before -= 1  # a duplicate is progress too: the queue got shorter
                    continue
                seen.add(key)
                chosen.append(draft)
                taken[kind] += 1
                per_document[doc_id] += 1
            if len(chosen) >= wanted:
                break
        if len(chosen) == before:
            break
    return chosen


def _document_drafts(
    text: str, passages: Sequence[Passage], rarity: dict[str, float], common: frozenset[str]
) -> Iterator[Draft]:
    german = in_german(text)
    small = SMALL_WORDS | GERMAN_SMALL_WORDS if german else SMALL_WORDS
    for start, end in headings(text, small):
        home = _home(passages, start, end)
        if home is not None:
            yield _draft(NUMBERING.sub("", text[start:end]).strip(), DraftKind.HEADING, home)
    for passage in passages:
        yield from _questions(passage, common, german=german)
        if not mostly_words(passage.text):
            continue  # formulas, code, tables: nobody would ask in their signs
        words = keywords(passage.text, rarity, small)
        if words:
            yield _draft(words, DraftKind.KEYWORDS, passage)
        paragraph = " ".join(passage.text.split())
        if len(paragraph) >= 200:
            yield _draft(_shortened(paragraph), DraftKind.PARAGRAPH, passage)


def _questions(passage: Passage, common: frozenset[str], *, german: bool) -> Iterator[Draft]:
    """Every definition as a question, and every other sentence that makes one."""
    for start, end in sentence_spans(passage.text):
        sentence = passage.text[start:end]
        if not (german or is_sentence(sentence)):
            continue
        flat = " ".join(sentence.split())
        # English rules on German sentences ask nonsense ("Will jedoch ich ...?").
        question = define_german(flat) if german else define(flat, common)
        if question:
            yield _draft(question, DraftKind.DEFINITION, passage)
        elif not german and (question := ask(flat, common)):
            yield _draft(question, DraftKind.QUESTION, passage)


def _draft(text: str, kind: DraftKind, passage: Passage) -> Draft:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Draft(f"draft-{digest[:12]}", text, kind, passage.passage_id, passage.doc_id)


def _shortened(paragraph: str) -> str:
    if len(paragraph) <= _PARAGRAPH_CHARS:
        return paragraph
    cut = paragraph.rfind(" ", 0, _PARAGRAPH_CHARS)
    return paragraph[: cut if cut > 0 else _PARAGRAPH_CHARS]


def _home(passages: Sequence[Passage], start: int, end: int) -> Passage | None:
    """Return the passage a heading opens: the one that holds it, or the next one.

    With overlapping passages the last that holds it has most of the section that follows.
    """
    holding = [passage for passage in passages if passage.start <= start and end <= passage.end]
    if holding:
        return holding[-1]
    after = [passage for passage in passages if passage.start >= start]
    return after[0] if after else None
