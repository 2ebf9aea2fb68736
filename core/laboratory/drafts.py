"""Draft queries from the library itself, by rules, so that nobody has to think of one first.

Headings, definitions, sentences turned into questions, their rarest words, and a few whole
paragraphs. Every draft knows the passage it came from. English rules are tried on any language;
where they do not fit, headings, keywords and paragraphs still do.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from core.documents.sentences import sentence_spans
from core.errors import LaboratoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.records import Document, Passage

DEFAULT_DRAFTS = 1000
PARAGRAPH_SHARE = 0.08  # long queries cost many times a short one
_PARAGRAPH_CHARS = 900
_QUESTION_WORDS = (4, 30)
_KEYWORDS = 6
_HEADING_WORDS = 8  # of a line with neither number nor mark; longer ones are mostly captions

_LINE = re.compile(r"[^\n]+")
_NUMBERING = re.compile(
    r"^(?:chapter|section|part|appendix)?\s*(?:\d+(?:\.\d+)*|[A-Z](?:\.\d+)+|[IVXLC]+)[.):]?\s+",
    re.IGNORECASE,
)
_DOT_LEADERS = re.compile(r"\.{3,}|(?:\. ){3,}|\s\d+$")
_DEFINITION = re.compile(
    r"^(?P<article>An?|The)?\s*(?P<term>[A-Za-z][\w'\u2019/-]*(?:\s[\w'\u2019/-]+){0,4})\s"
    r"(?P<verb>is defined as|is called|are called|refers to|means|denotes|is an?|is the|are the)\s"
    r"(?P<rest>.{15,})$"
)
_PRONOUNS = frozenset(
    [
        "it",
        "this",
        "that",
        "these",
        "those",
        "they",
        "he",
        "she",
        "we",
        "you",
        "i",
        "there",
        "here",
        "such",
        "which",
        "what",
        "who",
        "one",
        "another",
        "each",
        "some",
        "many",
        "most",
        "all",
        "both",
        "either",
        "neither",
        "nothing",
        "something",
        "everything",
        "today",
    ]
)
_AUXILIARY = re.compile(
    r"^(?P<subject>(?:[\w'\u2019(),/-]+\s){1,8}?)"
    r"(?P<auxiliary>is|are|was|were|can|could|must|should|will|would|may|might|has|have|had)\s"
    r"(?P<rest>[^,;:()]{5,})$"
)
_BECAUSE = re.compile(
    r"^(?P<main>.{15,}?),?\s(?:because|since)\s(?P<reason>.{10,})$", re.IGNORECASE
)
_IF = re.compile(r"^(?P<word>When|If)\s(?P<condition>[^,]{8,90}),\s(?P<main>.{10,})$")
_TO = re.compile(r"^To\s(?P<aim>[a-z][^,]{6,80}),\s.{10,}$")
_NO_SUBJECT = frozenset(
    [
        "about",
        "above",
        "across",
        "after",
        "along",
        "although",
        "among",
        "around",
        "as",
        "at",
        "because",
        "before",
        "behind",
        "below",
        "beneath",
        "beside",
        "between",
        "beyond",
        "but",
        "by",
        "despite",
        "during",
        "except",
        "for",
        "from",
        "how",
        "however",
        "if",
        "in",
        "inside",
        "instead",
        "into",
        "like",
        "near",
        "nor",
        "of",
        "on",
        "once",
        "only",
        "or",
        "outside",
        "over",
        "since",
        "so",
        "than",
        "that",
        "then",
        "there",
        "though",
        "through",
        "to",
        "toward",
        "towards",
        "under",
        "unless",
        "until",
        "upon",
        "what",
        "when",
        "where",
        "whether",
        "which",
        "while",
        "who",
        "with",
        "within",
        "without",
        "yet",
        "not",
        "and",
        "also",
        "both",
    ]
)
_NO_TERM = frozenset(
    [
        "always",
        "usually",
        "often",
        "also",
        "never",
        "then",
        "now",
        "still",
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "last",
        "next",
        "figure",
        "fig",
        "table",
        "section",
        "chapter",
        "page",
        "note",
        "example",
        "answer",
        "reason",
        "result",
        "point",
        "question",
        "problem",
        "following",
        "latter",
        "former",
        "only",
        "same",
    ]
)
_PARTICIPLE = re.compile(
    r"^(?:been|had|done|gone|come|become|run|put|set|cut|let|shut|led|met|sat|lost|won|sold|told|"
    r"built|sent|spent|\w+(?:ed|en|wn|ght|elt|ept|eft|ade|aid|ound|ood|ung|unk|orn))\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_][\w'\u2019-]{2,}")
_SMALL_WORDS = frozenset(
    [
        "a",
        "about",
        "above",
        "after",
        "again",
        "all",
        "also",
        "although",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "below",
        "between",
        "both",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "doing",
        "down",
        "during",
        "each",
        "either",
        "every",
        "few",
        "for",
        "from",
        "further",
        "had",
        "has",
        "have",
        "having",
        "he",
        "her",
        "here",
        "hers",
        "him",
        "his",
        "how",
        "however",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "itself",
        "just",
        "like",
        "made",
        "many",
        "may",
        "might",
        "more",
        "most",
        "much",
        "must",
        "my",
        "near",
        "no",
        "nor",
        "not",
        "now",
        "of",
        "off",
        "on",
        "once",
        "one",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "own",
        "same",
        "she",
        "should",
        "since",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "to",
        "too",
        "under",
        "until",
        "up",
        "upon",
        "use",
        "used",
        "very",
        "was",
        "we",
        "well",
        "were",
        "what",
        "when",
        "where",
        "whether",
        "which",
        "while",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "within",
        "without",
        "would",
        "you",
        "your",
    ]
)


class DraftKind(StrEnum):
    """Which rule wrote a draft."""

    HEADING = "heading"
    DEFINITION = "definition"
    QUESTION = "question"
    KEYWORDS = "keywords"
    PARAGRAPH = "paragraph"


@dataclass(frozen=True, slots=True)
class Draft:
    """A query drafted from a passage.

    Attributes:
        query_id: Of its text: equal texts have equal ids. No spaces.
        text: What is asked.
        kind: The rule that wrote it.
        passage_id: Where it came from: a right answer, though seldom the only one, and for long
            drafts nearly the query itself.
        doc_id: Of that passage.
    """

    query_id: str
    text: str
    kind: DraftKind
    passage_id: str
    doc_id: str


def draft_queries(
    passages: Sequence[Passage],
    documents: Sequence[Document],
    *,
    count: int = DEFAULT_DRAFTS,
    seed: int = 0,
) -> tuple[Draft, ...]:
    """Draft up to ``count`` queries, evenly over documents and over kinds.

    Args:
        passages: The corpus; order does not matter.
        documents: Their documents, for headings.
        count: Most drafts. A small library gives fewer.
        seed: Decides which drafts are taken where there are more than wanted.

    Returns:
        Drafts with different texts (case and spacing apart), in a fixed order; at most
        ``PARAGRAPH_SHARE`` of them whole paragraphs.

    Raises:
        LaboratoryError: If no rule finds anything to ask.
    """
    by_document: dict[str, list[Passage]] = {}
    for passage in sorted(passages, key=lambda passage: passage.passage_id):
        by_document.setdefault(passage.doc_id, []).append(passage)
    texts = {document.doc_id: document.text for document in documents}
    rarity = _rarity([passage.text for group in by_document.values() for passage in group])
    queues: dict[DraftKind, dict[str, list[Draft]]] = {kind: {} for kind in DraftKind}
    common = _written_small([passage.text for group in by_document.values() for passage in group])
    for doc_id, group in by_document.items():
        for draft in _document_drafts(texts.get(doc_id, ""), group, rarity, common):
            queues[draft.kind].setdefault(doc_id, []).append(draft)
    generator = np.random.default_rng(seed)
    for kind in DraftKind:
        for doc_id in sorted(queues[kind]):
            drafts = queues[kind][doc_id]
            order = generator.permutation(len(drafts))
            queues[kind][doc_id] = [drafts[place] for place in order]
    chosen = _balanced(queues, count)
    if not chosen:
        msg = (
            "No query can be drafted from this library: it holds no headings, sentences or "
            "paragraphs that could be read. Ask a query of your own instead."
        )
        raise LaboratoryError(msg)
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
    for start, end in _headings(text):
        home = _home(passages, start, end)
        if home is not None:
            yield _draft(_NUMBERING.sub("", text[start:end]).strip(), DraftKind.HEADING, home)
    for passage in passages:
        sentences = [passage.text[start:end] for start, end in sentence_spans(passage.text)]
        asked = False
        for place, sentence in enumerate(sentences):
            flat = " ".join(sentence.split())
            question = define(flat, common)
            if question:
                yield _draft(question, DraftKind.DEFINITION, passage)
            elif place == 0 or not asked:
                question = ask(flat, common)
                if question:
                    asked = True
                    yield _draft(question, DraftKind.QUESTION, passage)
        words = keywords(passage.text, rarity)
        if words:
            yield _draft(words, DraftKind.KEYWORDS, passage)
        paragraph = " ".join(passage.text.split())
        if len(paragraph) >= 200:
            yield _draft(_shortened(paragraph), DraftKind.PARAGRAPH, passage)


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


def _headings(text: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of lines that look like headings.

    A heading is a short line that starts with a capital or a number, has no sentence end, stands
    after a blank or finished line and before a line that is longer or blank. Table of contents
    entries (dot leaders, a page number at the end) are left out, as are lines that come back on
    many pages (running heads).
    """
    lines = [(match.start(), match.end()) for match in _LINE.finditer(text)]
    counts = Counter(text[start:end].strip().casefold() for start, end in lines)
    for place, (start, end) in enumerate(lines):
        raw = text[start:end]
        line = raw.strip()
        marked = line.startswith("#")
        bare = line.lstrip("# ").strip()
        core = _NUMBERING.sub("", bare)
        words = _WORD.findall(core)
        if not 1 <= len(core.split()) <= 12 or not words or len(bare) > 90:
            continue
        if not marked and (len(words) < 2 or not (core[0].isupper() or core != bare)):
            continue
        if bare[-1] in ".,;:!?" or _DOT_LEADERS.search(bare) or counts[line.casefold()] > 2:
            continue
        if sum(char.isdigit() for char in core) * 3 > len(core) or ". " in core:
            continue
        if not marked and core == bare and len(core.split()) > _HEADING_WORDS:
            continue
        if core.split()[-1].casefold() in _SMALL_WORDS:
            continue  # a line of a paragraph, broken in the middle of a sentence
        previous = text[lines[place - 1][0] : lines[place - 1][1]].strip() if place else ""
        if (
            previous
            and previous[-1] not in '.!?:"\u201d)'
            and "\n\n" not in text[lines[place - 1][1] : start + 1]
        ):
            continue  # the middle of a paragraph
        following = (
            text[lines[place + 1][0] : lines[place + 1][1]] if place + 1 < len(lines) else ""
        )
        if not marked and len(following.strip()) < len(bare):
            continue
        offset = start + raw.index(bare)
        yield offset, offset + len(bare)


def define(sentence: str, common: frozenset[str] = frozenset()) -> str:
    """Return the question a definition answers, or "".

    Args:
        sentence: One sentence on one line.
        common: Words that the library also writes with a small letter: no names.

    >>> define("A sluice gate is a barrier that slides in grooves.")
    'What is a sluice gate?'
    """
    if not _QUESTION_WORDS[0] <= len(sentence.split()) <= 60:
        return ""
    found = _DEFINITION.match(sentence)
    if not found:
        return ""
    term, verb = found["term"], found["verb"]
    words = term.casefold().split()
    if any(word in _PRONOUNS or word in _SMALL_WORDS for word in (words[0], words[-1])):
        return ""
    if words[0] in _NO_SUBJECT or words[-1] in _NO_TERM or words[0] in _NO_TERM or len(term) < 3:
        return ""
    if not found["article"] and verb in {"is a", "is an", "is the", "are the"} and len(words) > 3:
        return ""  # "The reason he gave is a ..." and its like are seldom definitions
    article = found["article"] or ""
    if article == "The" and verb in {"is a", "is an", "is the"} and len(words) > 3:
        return ""
    name = f"{article.casefold()} {_lowered(term, common)}".strip()
    if verb == "means":
        return f"What does {name} mean?"
    if verb in {"refers to", "denotes"}:
        return f"What does {name} {'refer to' if verb == 'refers to' else 'denote'}?"
    return f"What {'are' if verb.startswith('are') else 'is'} {name}?"


def ask(sentence: str, common: frozenset[str] = frozenset()) -> str:
    """Return a sentence as a question by a handful of rules, or "" where none fits.

    Args:
        sentence: One sentence on one line.
        common: Words that the library also writes with a small letter: no names.

    >>> ask("The sluice gates were closed in March after the flood.")
    'Were the sluice gates closed in March after the flood?'
    >>> ask("If the pressure falls, the valve shuts by itself.")
    'What happens if the pressure falls?'
    """
    sentence = sentence.strip().rstrip(".!")
    count = len(sentence.split())
    if not _QUESTION_WORDS[0] <= count <= _QUESTION_WORDS[1] or sentence.endswith(("?", ":")):
        return ""
    found = _IF.match(sentence)
    if found:
        return f"What happens {found['word'].casefold()} {found['condition']}?"
    found = _TO.match(sentence)
    if found:
        return f"How do you {found['aim']}?"
    found = _BECAUSE.match(sentence)
    if found:
        inverted = _inverted(found["main"], common)
        if inverted:
            return f"Why {inverted[0].casefold()}{inverted[1:]}?"
    inverted = _inverted(sentence, common)
    return f"{inverted}?" if inverted else ""


def _inverted(clause: str, common: frozenset[str]) -> str:
    """Return a clause with its auxiliary before its subject, or ""."""
    found = _AUXILIARY.match(clause)
    if not found:
        return ""
    subject = found["subject"].strip()
    words = subject.casefold().split()
    if words[0] in _PRONOUNS or words[-1] in _PRONOUNS or "," in subject:
        return ""
    if words[0] in _NO_SUBJECT or words[-1] in _NO_TERM or found["rest"].startswith("not "):
        return ""
    if found["auxiliary"] in {"has", "have", "had"} and not _PARTICIPLE.match(found["rest"]):
        return ""  # "She had a boat": no auxiliary
    if words[-1] in _SMALL_WORDS or any(
        word in {"that", "which", "who", "if", "when"} for word in words
    ):
        return ""
    auxiliary = found["auxiliary"]
    return f"{auxiliary.capitalize()} {_lowered(subject, common)} {found['rest'].strip()}"


def _lowered(phrase: str, common: frozenset[str]) -> str:
    """Lower the first letter of a phrase unless its first word is a name or an abbreviation."""
    first = phrase.split(maxsplit=1)[0]
    if first.casefold() in _SMALL_WORDS or first.casefold() in {"the", "a", "an"}:
        return first.casefold() + phrase[len(first) :]
    if first.casefold() in common and first[1:].islower():
        return first.casefold() + phrase[len(first) :]
    if common:
        return phrase  # never written small: a name
    rest = phrase.split()[1:]
    # in "Sluice gates" only the sentence start made the capital; in "Ada Lovelace" it is a name
    if first[1:].islower() and rest and not any(word[0].isupper() for word in rest):
        return first.casefold() + phrase[len(first) :]
    return phrase


def keywords(text: str, rarity: dict[str, float]) -> str:
    """Return a passage's rarest words (by the corpus) in their order, or "" where it has too few."""
    found: dict[str, str] = {}
    for match in _WORD.finditer(text):
        word = match.group()
        key = word.casefold()
        if key not in _SMALL_WORDS:
            found.setdefault(key, word)
    if len(found) < 4:
        return ""
    counts = Counter(match.group().casefold() for match in _WORD.finditer(text))
    # tf-idf, ties by the word itself
    best = sorted(found, key=lambda key: (-counts[key] * rarity.get(key, 0.0), key))[:_KEYWORDS]
    return " ".join(found[key] for key in found if key in set(best))


def _written_small(texts: Sequence[str]) -> frozenset[str]:
    """Return the words that some text writes with a small first letter: they are no names."""
    return frozenset(
        match.group()
        for text in texts
        for match in _WORD.finditer(text)
        if match.group()[0].islower()
    )


def _rarity(texts: Sequence[str]) -> dict[str, float]:
    """Return each word's inverse document frequency over the corpus."""
    frequency: Counter[str] = Counter()
    for text in texts:
        frequency.update({match.group().casefold() for match in _WORD.finditer(text)})
    total = len(texts)
    return {word: math.log((1 + total) / (1 + count)) + 1 for word, count in frequency.items()}
