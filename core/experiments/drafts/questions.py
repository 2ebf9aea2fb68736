"""Turn a sentence into a question by a handful of English rules, or leave it."""

from __future__ import annotations

import itertools
import re

from core.experiments.drafts.sensible import sensible
from core.experiments.drafts.words import (
    ACTIVE_VERBS,
    AUXILIARIES,
    FINITE,
    FOLLOWING_SUBJECT,
    GERMAN_NO_TERM,
    NO_AIM,
    NO_CONDITION,
    NO_SUBJECT,
    NO_TERM,
    NO_TERM_OPENING,
    NOUNS_TOO,
    OPENINGS,
    PRONOUNS,
    SIDE_CLAUSES,
    SINGULAR_IN_S,
    SMALL_WORDS,
    TELLING,
    THIRD_PERSON,
)

_QUESTION_WORDS = (4, 34)
_CLAUSE_WORDS = 6  # without its auxiliary
_LONG_WORDS = 60  # of a definition
# A footnote's number, a bullet or a list mark before a sentence; an aside in brackets inside.
_MARK = re.compile(
    r"(?:[\u2022\u25a0*-]\s|\(?(?:\d{1,3}|[a-z])[.)]\s|\d{1,3}(?=[A-Z][a-z])|[A-Z]{4,}:\s)+"
)
_ASIDE = re.compile(r"\s?(?:\([^()]{1,120}\)|\[[^\[\]]{1,40}\])")
_DEFINITION = re.compile(
    r"^(?:(?P<article>An?|The)\s+)?(?P<term>[A-Za-z][\w'\u2019/-]*(?:\s[\w'\u2019/-]+){0,6}?)\s"
    r"(?P<verb>is defined as|refers to|means|denotes|is an?|is the)\s"
    r"(?P<rest>.{15,})$"
)
_GERMAN_DEFINITION = re.compile(
    r"^(?P<article>Eine?|Der|Die|Das)\s(?P<term>[\w'\u2019/-]+(?:\s[\w'\u2019/-]+){0,3})\s"
    r"(?P<verb>ist|sind)\s(?:eine?|der|die|das)\s.{12,}$"
)
_AUXILIARY = re.compile(
    r"^(?P<subject>(?:[\w'\u2019/-]+\s){1,8}?)"
    r"(?P<auxiliary>is|are|was|were|can|could|must|should|will|would|may|might|has|have|had)\s"
    r"(?P<rest>[^,;:()]{5,})$"
)
_ACTIVE = re.compile(
    rf"^(?P<subject>(?:[\w'\u2019/-]+\s){{1,7}}?)(?P<verb>{'|'.join(ACTIVE_VERBS)})\s(?P<rest>.{{8,}})$"
)
_OPENING = re.compile(rf"^(?:{'|'.join(OPENINGS)})\b[^,;:()]{{0,60}},\s", re.IGNORECASE)
_SIDE_CLAUSE = re.compile(rf"^(.{{15,}}?),\s(?:{'|'.join(SIDE_CLAUSES)})\b")
_BECAUSE = re.compile(r"^(?P<main>.{15,}?),?\sbecause\s(?!of\s)(?P<reason>.{10,})$", re.IGNORECASE)
_IF = re.compile(
    r"^(?P<word>When|If)\s(?P<condition>[^,;:()]{8,110}),\s(?:then\s)?(?P<main>.{10,})$"
)
_WISH = re.compile(r"you\s(?:want|wish|need|intend|would like|decide|have)\sto\s(?P<aim>.{6,})$")
_TO = re.compile(r"^(?:In order to|To)\s(?P<aim>[a-z][^,;:()]{6,100}),\s.{10,}$")
_HEAD_END = re.compile(r"\s(?:of|for|in|on|to|from|with|by|at|as|between|within|under)\s")
_DETERMINER = re.compile(r"(?:an?|the|every|each|any|all|some|no)\b", re.IGNORECASE)
_PARTICIPLE = re.compile(
    r"(?:been|had|done|gone|come|become|run|put|set|cut|let|shut|led|met|sat|lost|won|sold|told|"
    r"built|sent|spent|\w+(?:ed|en|wn|ght|elt|ept|eft|ade|aid|ound|ood|ung|unk|orn))\b",
    re.IGNORECASE,
)
_NO_INFINITIVE = re.compile(r"(?:an?|the|this|\w{3,}(?:ing|[^e]ed|[^sui]s)|\w+ly)\b", re.IGNORECASE)
_BEING = AUXILIARIES | {"exists"}
_ADJECTIVE = re.compile(r"(?:ial|able|ible|ful|ous|ive|less)$")
_MAIN_VERB = re.compile(r"\b(?:can|could|must|should|will|would|may|might|is|are|was|were|has)\b")
_JOINT = re.compile(r"\b(?:that|which|who|and|or|before|after|until|whether|how|what|when|where)\b")
_SECOND_CLAUSE = re.compile(
    rf"\s(?:and|or)\s(?:\w+\s){{0,4}}?(?:{'|'.join(sorted(AUXILIARIES))})\s"
    r"|\s(?:but|so|while|whereas|although|though|since|because|if|unless|see)\s"
)


def define(sentence: str, common: frozenset[str] = frozenset()) -> str:
    """Return the question a definition answers, or "".

    Args:
        sentence: One sentence on one line.
        common: Words that the library also writes with a small letter: no names.

    >>> define("A sluice gate is a barrier that slides in grooves.")
    'What is a sluice gate?'
    """
    sentence = _bare(sentence)
    if not _QUESTION_WORDS[0] <= len(sentence.split()) <= _LONG_WORDS:
        return ""
    found = _DEFINITION.match(sentence)
    if not found:
        return ""
    term, verb, article = found["term"], found["verb"], (found["article"] or "").casefold()
    head = _HEAD_END.split(term)[0].split()
    words = term.casefold().split()
    if words[0] in NO_SUBJECT | NO_TERM | NO_TERM_OPENING or not _is_subject(term):
        return ""
    if head[-1].casefold() in NO_TERM | SMALL_WORDS or _is_plural(head[-1]) or len(term) < 3:
        return ""
    if words[0].endswith("ly") or (len(words) == 1 and not article and _ADJECTIVE.search(term)):
        return ""
    if article == "the" and not (len(words) > 2 or term.split()[-1][0].isupper()):
        return ""  # "The default is the ...", "The short description is the ...": of what?
    if not article and verb == "is the" and term[0].islower():
        return ""  # a placeholder explained, "file-name is the ..."
    named = term[0].isupper() and bool(common) and head[0].casefold() not in common
    if not article and (len(words) > 3 or (named and verb == "is the" and not head[0].isupper())):
        return ""  # "The reason he gave is a ...", "Alice is the ..." are seldom definitions
    name = f"{article} {_lowered(term, common)}".strip()
    if verb in {"means", "refers to", "denotes"}:
        base = {"means": "mean", "refers to": "refer to", "denotes": "denote"}[verb]
        return _if_sensible(f"What does {name} {base}?")
    return _if_sensible(f"What is {name}?")


def define_german(sentence: str) -> str:
    """Return the question a German definition answers, or "".

    >>> define_german("Ein topologischer Raum ist ein Paar aus einer Menge und einem System.")
    'Was ist ein topologischer Raum?'
    """
    found = _GERMAN_DEFINITION.match(sentence)
    if not found or len(sentence.split()) > _LONG_WORDS:
        return ""
    term = found["term"]
    # The subject ends with its noun, which German writes large; a small word there is no subject.
    if not term.split()[-1][0].isupper() or not GERMAN_NO_TERM.isdisjoint(term.casefold().split()):
        return ""
    return f"Was {found['verb']} {found['article'].casefold()} {term}?"


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
    sentence = _bare(sentence)
    count = len(sentence.split())
    if not _QUESTION_WORDS[0] <= count <= _QUESTION_WORDS[1] or sentence.endswith(("?", ":")):
        return ""
    if found := _IF.match(sentence):
        return _if_sensible(
            _conditional(found["word"].casefold(), found["condition"], found["main"])
        )
    if found := _TO.match(sentence):
        return _if_sensible(_how(found["aim"]))
    if found := _BECAUSE.match(sentence):
        inverted = _inverted(_OPENING.sub("", found["main"]), common)
        return _if_sensible(f"Why {inverted[0].casefold()}{inverted[1:]}") if inverted else ""
    clause = _OPENING.sub("", sentence)
    found = _SIDE_CLAUSE.match(clause)
    clause = found.group(1) if found else clause
    return _if_sensible(_active(clause, common)) or _if_sensible(_inverted(clause, common))


def _active(clause: str, common: frozenset[str]) -> str:
    """Ask for the object of a clause: "The gate closes the lock": "What does the gate close?"."""
    found = _ACTIVE.match(clause)
    subject = _subject(found["subject"].strip()) if found else ""
    if found is None or not subject:
        return ""
    if len(subject.split()) == 1:
        return ""  # "Packages provide ...", "Debian supports ...": it asks for anything
    verb = ACTIVE_VERBS[found["verb"]]
    third = found["verb"].split()[0] in THIRD_PERSON
    if third == _is_plural(_head(subject)):
        return ""
    if f"{verb}s" in NOUNS_TOO and not _DETERMINER.match(found["rest"]):
        return ""
    return f"What {'does' if third else 'do'} {_lowered(subject, common)} {verb}?"


def _head(subject: str) -> str:
    """Return the noun that a verb agrees with."""
    return _HEAD_END.split(subject)[0].split()[-1]


def _lacks_article(subject: str, common: frozenset[str]) -> bool:
    """Whether a singular noun that can be counted stands without an article: "Period is a ..."."""
    head = _head(subject)
    return (
        _DETERMINER.match(subject) is None
        and head.casefold() in (common or {head})
        and not head.endswith(("ing", "tion", "sion", "ment", "ness", "ity", "ance", "ence", "ism"))
    )


def _subject(subject: str) -> str:
    """Return a subject that can be asked about by itself, or ""."""
    words = subject.casefold().split()
    determined = _DETERMINER.match(subject) is not None
    if words[0] in PRONOUNS or (words[0] in NO_SUBJECT | SMALL_WORDS and not determined):
        return ""
    if words[0] in {"no", "using", *NO_TERM} or words[0].endswith("ly") or words[0][0].isdigit():
        return ""
    if not _is_subject(subject):
        return ""
    if _head(subject).casefold() in NO_TERM | SMALL_WORDS or (
        words[0] == "the" and len(words) == 2 and not subject.split()[1].isupper()
    ):
        return ""
    return subject


def _bare(sentence: str) -> str:
    """Return a sentence without list mark, asides and its stop."""
    mark = _MARK.match(sentence)
    return _ASIDE.sub("", sentence[mark.end() if mark else 0 :]).strip().rstrip(".!")


def _if_sensible(question: str) -> str:
    return question if question and sensible(question) else ""


def _how(aim: str) -> str:
    """Ask how something is done, or return ""."""
    words = aim.casefold().split()
    if words[0] in SMALL_WORDS | NO_AIM or words[0].endswith("ing") or _SECOND_CLAUSE.search(aim):
        return ""
    if sum(word not in SMALL_WORDS for word in words) < 2 or words[1] in {"to", "that"}:
        return ""
    return f"How do you {aim}?"


def _conditional(word: str, condition: str, main: str) -> str:
    """Ask for the consequence of a condition, or return ""."""
    if wish := _WISH.match(condition):
        return _how(wish["aim"])
    words = condition.casefold().split()
    if words[0] != "you":
        if words[0] in NO_SUBJECT | PRONOUNS | SMALL_WORDS and not _DETERMINER.match(words[0]):
            return ""  # "in doubt", "using", "it is"
        if words[0].endswith(("ing", "ed", "ly")) or not _has_verb(words):
            return ""
        if words[1] in NO_TERM or words[0] in NO_CONDITION:
            return ""
    if main.split(maxsplit=1)[0].casefold() in {
        "see",
        "note",
        "refer",
        "consult",
        "recall",
        "or",
        "and",
    }:
        return ""
    if words[0] == "the" and 3 <= len(words) <= _CLAUSE_WORDS and words[2] in _BEING:
        return ""  # "the file exists": which file?
    if len(words) < 3 or any(len(_MAIN_VERB.findall(part)) > 1 for part in _JOINT.split(condition)):
        return ""  # a second clause without its comma
    return "" if _SECOND_CLAUSE.search(condition) else f"What happens {word} {condition}?"


def _has_verb(words: list[str]) -> bool:
    """Whether some word after the first can be a finite verb."""
    return any(_is_verb(*pair) for pair in itertools.pairwise(words[1:]))


def _is_verb(before: str, word: str) -> bool:
    """Whether a word after a noun can be a finite verb."""
    return word in AUXILIARIES or (_is_plural(word) and not _is_plural(before))


def _is_plural(word: str) -> bool:
    """Whether a word has the ending of a plural noun."""
    word = word.casefold()
    return (
        word.endswith("s")
        and not word.endswith(("ss", "us", "is", "'s", "\u2019s", "ics"))
        and (word not in SINGULAR_IN_S)
    )


def _is_subject(phrase: str) -> bool:
    """Whether no word of a noun phrase shows that it is a clause, a list or a remnant."""
    words = phrase.casefold().split()
    if not FINITE.isdisjoint(words):
        return False
    inner = {"of", "for", "in", "the", "a", "an", "to", "on", "with", "from", "by"}
    return (
        words[-1] not in SMALL_WORDS | PRONOUNS
        and not words[-1].endswith("ly")
        and all(word not in SMALL_WORDS | AUXILIARIES or word in inner for word in words[1:])
    )


def _inverted(clause: str, common: frozenset[str]) -> str:
    """Return a clause with its auxiliary before its subject, or ""."""
    found = _AUXILIARY.match(clause)
    if not found:
        return ""
    subject, auxiliary, rest = _subject(found["subject"].strip()), found["auxiliary"], found["rest"]
    length = len(rest.split())
    if not subject or length < 2 or len(subject.split()) + length < _CLAUSE_WORDS:
        return ""
    if auxiliary in {"is", "was", "has"} and _lacks_article(subject, common):
        return ""
    plural = _is_plural(_head(subject))
    if (auxiliary in {"is", "was", "has"} and plural) or (
        auxiliary in {"are", "were", "have"} and not plural
    ):
        return ""
    if not _goes_on(auxiliary, rest):
        return ""
    return f"{auxiliary.capitalize()} {_lowered(subject, common)} {rest.strip()}?"


def _goes_on(auxiliary: str, rest: str) -> bool:
    """Whether the words after an auxiliary are one clause that says something of its subject."""
    first = rest.split(maxsplit=1)[0].casefold()
    if _MAIN_VERB.search(_JOINT.split(rest)[0]):
        return False  # two clauses run together
    if first in {"to", *FOLLOWING_SUBJECT} or first in TELLING or _SECOND_CLAUSE.search(f"{rest} "):
        return False
    if auxiliary in {"is", "are", "was", "were"} and first in {"in", "on", "at", "under"}:
        return False  # where something is: mostly in the document
    if auxiliary in {"has", "have", "had"} and not _PARTICIPLE.match(rest):
        return False  # "She had a boat": no auxiliary
    if auxiliary in {"can", "could", "must", "should", "will", "would", "may", "might"} and (
        _NO_INFINITIVE.match(rest) or first in {"of", "in", "for", "to", "as", "and", "or", "have"}
    ):
        return False
    return first != "be" or rest.split()[1].casefold() not in TELLING


def _lowered(phrase: str, common: frozenset[str]) -> str:
    """Lower the first letter of a phrase unless its first word is a name or an abbreviation."""
    first = phrase.split(maxsplit=1)[0]
    if first.casefold() in SMALL_WORDS or first.casefold() in {"the", "a", "an"}:
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
