"""Turn a sentence into a question by a handful of English rules, or leave it."""

from __future__ import annotations

import re

from core.experiments.drafts.words import NO_SUBJECT, NO_TERM, PRONOUNS, SMALL_WORDS

_QUESTION_WORDS = (4, 30)
_LONG_WORDS = 60  # of a definition
_DEFINITION = re.compile(
    r"^(?:(?P<article>An?|The)\s+)?(?P<term>[A-Za-z][\w'\u2019/-]*(?:\s[\w'\u2019/-]+){0,4})\s"
    r"(?P<verb>is defined as|is called|are called|refers to|means|denotes|is an?|is the|are the)\s"
    r"(?P<rest>.{15,})$"
)
_GERMAN_DEFINITION = re.compile(
    r"^(?P<article>Eine?|Der|Die|Das)\s(?P<term>[\w'\u2019/-]+(?:\s[\w'\u2019/-]+){0,3})\s"
    r"(?P<verb>ist|sind)\s(?:eine?|der|die|das)\s.{12,}$"
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
_PARTICIPLE = re.compile(
    r"^(?:been|had|done|gone|come|become|run|put|set|cut|let|shut|led|met|sat|lost|won|sold|told|"
    r"built|sent|spent|\w+(?:ed|en|wn|ght|elt|ept|eft|ade|aid|ound|ood|ung|unk|orn))\b",
    re.IGNORECASE,
)


def define(sentence: str, common: frozenset[str] = frozenset()) -> str:
    """Return the question a definition answers, or "".

    Args:
        sentence: One sentence on one line.
        common: Words that the library also writes with a small letter: no names.

    >>> define("A sluice gate is a barrier that slides in grooves.")
    'What is a sluice gate?'
    """
    if not _QUESTION_WORDS[0] <= len(sentence.split()) <= _LONG_WORDS:
        return ""
    found = _DEFINITION.match(sentence)
    if not found:
        return ""
    term, verb = found["term"], found["verb"]
    words = term.casefold().split()
    if any(word in PRONOUNS or word in SMALL_WORDS for word in (words[0], words[-1])):
        return ""
    if words[0] in NO_SUBJECT or words[-1] in NO_TERM or words[0] in NO_TERM or len(term) < 3:
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
    if not term.split()[-1][0].isupper():
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
    if words[0] in PRONOUNS or words[-1] in PRONOUNS or "," in subject:
        return ""
    if words[0] in NO_SUBJECT or words[-1] in NO_TERM or found["rest"].startswith("not "):
        return ""
    if found["auxiliary"] in {"has", "have", "had"} and not _PARTICIPLE.match(found["rest"]):
        return ""  # "She had a boat": no auxiliary
    if words[-1] in SMALL_WORDS or any(
        word in {"that", "which", "who", "if", "when"} for word in words
    ):
        return ""
    auxiliary = found["auxiliary"]
    return f"{auxiliary.capitalize()} {_lowered(subject, common)} {found['rest'].strip()}"


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
