"""Which words count as words, and those that an English rule must know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from core.words import word_set

WORD = re.compile(r"[^\W\d_][\w'\u2019-]{2,}")

# They point at something said before: no question can be asked about them.
PRONOUNS = frozenset((
    "it", "this", "that", "these", "those", "they", "he", "she", "we", "you", "i", "there",
    "here", "such", "which", "what", "who", "one", "another", "each", "some", "many", "most",
    "all", "both", "either", "neither", "nothing", "something", "everything", "today",
))  # fmt: skip

# No subject of a sentence begins with them.
NO_SUBJECT = frozenset((
    "about", "above", "across", "after", "along", "although", "among", "around", "as", "at",
    "because", "before", "behind", "below", "beneath", "beside", "between", "beyond", "but",
    "by", "despite", "during", "except", "for", "from", "how", "however", "if", "in", "inside",
    "instead", "into", "like", "near", "nor", "of", "on", "once", "only", "or", "outside",
    "over", "since", "so", "than", "that", "then", "there", "though", "through", "to", "toward",
    "towards", "under", "unless", "until", "upon", "what", "when", "where", "whether", "which",
    "while", "who", "with", "within", "without", "yet", "not", "and", "also", "both", "whatever",
    "whichever", "whose",
))  # fmt: skip

# A sentence about them defines nothing: of what, or which one?
NO_TERM = word_set(
    "always usually often sometimes occasionally maybe perhaps just even also never then now still first second third fourth fifth last next figure "
    "fig table section chapter page note notes example examples answer reason reasons result results "
    "point points question problem problems following latter former only same thing things way ways "
    "case cases exception issue issues idea goal aim default list value values item items option "
    "difference alternative rest kind kinds sort type types part parts work step steps advantage "
    "disadvantage drawback rationale consequence conclusion purpose number amount fact situation "
    "possibility solution approach motivation syntax line lines text argument arguments change changes "
    "choice remainder remark lot bit name set word words subject topic"
)
# An adjective that says no more than which one of several.
NO_TERM_OPENING = word_set(
    "final main related underlying primary important key major common typical simple new general good "
    "better best alternative similar different various certain possible useful such entire whole "
    "current present recommended preferred safest easiest simplest usual obvious natural most least "
    "more less level no any each every all some"
)
AUXILIARIES = word_set(
    "is are was were be been has have had can could must should shall will would may might do does did"
)
# After an auxiliary these make no question of their own.
FOLLOWING_SUBJECT = word_set(
    "not no never that whether how why what when where if because as also only therefore thus then "
    "usually often always still either neither both more most so called named like about"
)
# Participles with which a document speaks of itself.
TELLING = word_set(
    "described listed shown given discussed documented explained depicted presented illustrated "
    "summarized summarised mentioned noted outlined detailed displayed reported indicated introduced "
    "defined seen found reproduced covered addressed specified considered"
)
# To do them is no aim that one asks about.
NO_AIM = word_set(
    "be date see conclude summarize summarise recap illustrate clarify simplify begin start understand "
    "take demonstrate explain show repeat say put add know sum end fix"
)
# They stand for a clause: "if possible".
NO_CONDITION = word_set(
    "possible necessary needed required appropriate desired applicable present so not"
)
# A clause with one of them has an object that can be asked for.
THIRD_PERSON = word_set(
    "provides contains requires includes defines represents specifies creates implements proposes "
    "determines prevents involves prohibits assumes improves reduces produces describes generates "
    "gives accepts computes manages replaces combines extends introduces suggests comprises excludes "
    "demonstrates consists depends relies applies leads corresponds uses needs supports returns "
    "controls covers offers measures checks stores shows affects"
)
# As often nouns: verbs only where an article follows.
NOUNS_TOO = word_set(
    "uses needs supports returns controls covers offers measures checks stores shows affects"
)
# Inside a subject they show that it is a clause.
FINITE = (THIRD_PERSON - NOUNS_TOO) | word_set(
    "says means makes seems appears becomes lets indicates allows thinks wants gets goes comes exists"
)
_WITH_PREPOSITION = dict(pair.split() for pair in (
    "consist of", "depend on", "rely on", "apply to", "lead to", "correspond to",
))  # fmt: skip


def _base(verb: str) -> str:
    """Return the infinitive of a verb in the third person."""
    return f"{verb[:-3]}y" if verb.endswith("ies") else verb[:-1]


# As it stands in a sentence (a pattern): as it stands in a question after "does".
ACTIVE_VERBS = {
    f"{form} {_WITH_PREPOSITION[_base(verb)]}" if _base(verb) in _WITH_PREPOSITION else form: (
        f"{_base(verb)} {_WITH_PREPOSITION.get(_base(verb), '')}".strip()
    )
    for verb in sorted(THIRD_PERSON)
    for form in (verb, _base(verb))
}
# A phrase that opens a sentence and can be left away, up to its comma.
OPENINGS = (
    "in", "for", "on", "at", "by", "during", "with", "under", "within", "from", "as", "among",
    "however", "moreover", "furthermore", "therefore", "thus", "hence", "consequently", "additionally",
    "finally", "similarly", "typically", "generally", "usually", "specifically", "currently", "also",
)  # fmt: skip
# After a comma they begin what a question can do without.
SIDE_CLAUSES = (
    "which", "who", "where", "while", "whereas", "and", "but", "so", "because", "since", "as", "with",
    "although", "though", "unless", "if", "when", "such", "including", "or", "thus", "using", "see",
    "e\\.g\\.", "i\\.e\\.", "then", "however", "even", "especially", "making", "not", "until",
)  # fmt: skip
SINGULAR_IN_S = word_set(
    "always perhaps various series species news lens chaos alias canvas atlas gas bias has does was"
)

# They carry no topic.
SMALL_WORDS = frozenset((
    "a", "about", "above", "after", "again", "all", "also", "although", "an", "and", "any",
    "are", "as", "at", "be", "because", "been", "before", "being", "below", "between", "both",
    "but", "by", "can", "could", "did", "do", "does", "doing", "down", "during", "each",
    "either", "every", "few", "for", "from", "further", "had", "has", "have", "having", "he",
    "her", "here", "hers", "him", "his", "how", "however", "i", "if", "in", "into", "is", "it",
    "its", "itself", "just", "like", "made", "many", "may", "might", "more", "most", "much",
    "must", "my", "near", "no", "nor", "not", "now", "of", "off", "on", "once", "one", "only",
    "or", "other", "our", "out", "over", "own", "same", "she", "should", "since", "so", "some",
    "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
    "those", "through", "to", "too", "under", "until", "up", "upon", "use", "used", "very",
    "was", "we", "well", "were", "what", "when", "where", "whether", "which", "while", "who",
    "whom", "whose", "why", "will", "with", "within", "without", "would", "you", "your",
))  # fmt: skip


# The same for German, with the words that a sentence cannot end on.
GERMAN_SMALL_WORDS = frozenset((
    "aber", "alle", "allen", "aller", "alles", "als", "also", "am", "an", "auch", "auf", "aus",
    "bei", "beim", "bis", "da", "dabei", "damit", "dann", "das", "dass", "dem", "den", "denn",
    "der", "des", "deren", "dessen", "die", "dies", "diese", "diesem", "diesen", "dieser",
    "dieses", "doch", "durch", "ein", "eine", "einem", "einen", "einer", "eines", "er", "es",
    "etwa", "falls", "für", "gegen", "gibt", "hat", "haben", "hier", "ich", "ihr", "ihre", "im",
    "immer", "in", "ins", "ist", "ja", "jede", "jedem", "jeden", "jeder", "jedes", "jedoch",
    "kann", "kein", "keine", "können", "man", "mehr", "mit", "muss", "müssen", "nach", "nicht",
    "noch", "nun", "nur", "ob", "oder", "ohne", "sei", "seien", "sein", "seine", "sich", "sie",
    "sind", "so", "sodass", "soll", "sowie", "über", "um", "und", "uns", "unter", "vom", "von",
    "vor", "war", "waren", "was", "weil", "wenn", "werden", "wie", "wird", "wir", "wurde", "zu",
    "zum", "zur", "zwei", "zwischen",
))  # fmt: skip

_INSIDE = re.compile(r"(?<=[a-z,]\s)[A-Z][\w'\u2019-]{2,}")
# Of a German definition: it names one of several, or none of its own.
GERMAN_NO_TERM = word_set(
    "beispiel problem grund frage fall sache teil ding folge ergebnis ziel anderes anderer andere "
    "weiteres weiterer weitere solches solcher solche ganz erste zweite dritte letzte"
)

_LETTERS = re.compile(r"[^\W\d_]+")
_MOSTLY = 0.6  # of the visible characters


def in_german(text: str) -> bool:
    """Whether a text has more of German's small words than of English's."""
    words = [match.group().casefold() for match in _LETTERS.finditer(text)]
    german = sum(word in GERMAN_SMALL_WORDS and word not in SMALL_WORDS for word in words)
    return german > sum(word in SMALL_WORDS and word not in GERMAN_SMALL_WORDS for word in words)


def mostly_words(text: str) -> bool:
    """Whether words make up most of a text: no formula, no code, no table of figures or contents.

    >>> mostly_words("If the pressure falls (below 4 bar), the valve shuts.")
    True
    >>> mostly_words("(U ∩ V) = f(x) ≤ 0.5, x0 → x1")
    False
    """
    visible = sum(not char.isspace() for char in text)
    return sum(len(match.group()) for match in WORD.finditer(text)) >= _MOSTLY * visible


def written_small(texts: Sequence[str]) -> frozenset[str]:
    """Return the words that texts write small rather than with a capital inside a sentence."""
    small = Counter(
        match.group()
        for text in texts
        for match in WORD.finditer(text)
        if match.group()[0].islower()
    )
    large = Counter(match.group().casefold() for text in texts for match in _INSIDE.finditer(text))
    return frozenset(word for word, count in small.items() if count >= large[word])
