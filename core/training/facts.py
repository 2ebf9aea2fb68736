"""Long training texts whose answer may stand anywhere: invented facts and natural pairs in filler.

All texts of a batch share their filler, their length and their names, so that only the fact or the
answer decides, and neither style nor place gives it away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.training.data import TrainingPair

CHARS_PER_TOKEN = 4  # of English, roughly; the token limit truncates the rest
_FIRST = "Ada Boris Clara Dmitri Elena Farid Greta Hugo Ines Jonas Katya Liam Mira Nils Olga Pavel"
_LAST = "Abel Brandt Castro Dahl Egger Fontaine Grant Holm Ivers Jansen Kovac Lind Moreau Novak"
_PLACES = (
    "Velden Arosa Tromso Cadiz Bruges Lugano Perth Osaka Quito Tartu Graz Bergen Hobart Leeds "
    "Malmo Nantes Parma Riga Sofia Turin Utrecht Varna York Zadar"
)
_LIKES = (
    "chess rowing pottery sailing botany fencing opera astronomy weaving karate beekeeping jazz "
    "cycling calligraphy archery baking skating origami surfing woodcarving"
)
# Statement and query of each attribute; {name} and {value} are filled in.
_WORDINGS: tuple[tuple[str, str, str], ...] = (
    ("place", "{name} grew up in {value}.", "Where did {name} grow up?"),
    ("place", "The workshop of {name} is in {value}.", "In which town is {name}'s workshop?"),
    ("place", "{name} moved to {value} some years ago.", "Where did {name} move to?"),
    ("place", "Letters for {name} go to {value}.", "Where are letters for {name} sent?"),
    ("year", "{name} was born in {value}.", "In which year was {name} born?"),
    ("year", "{name} won the prize in {value}.", "When did {name} win the prize?"),
    ("year", "It was {value} when {name} retired.", "When did {name} retire?"),
    ("like", "{name} is fond of {value}.", "What is {name} fond of?"),
    ("like", "On Sundays {name} has time for {value}.", "What does {name} do on Sundays?"),
    ("like", "Nothing pleases {name} more than {value}.", "What pleases {name} most?"),
    ("number", "The locker of {name} has the number {value}.", "Which locker is {name}'s?"),
    ("number", "{name} keeps the access code {value}.", "Which access code has {name}?"),
    ("number", "The invoice of {name} is number {value}.", "Which invoice is {name}'s?"),
)


def long_batch(
    pairs: Sequence[TrainingPair], filler: str, *, size: int, tokens: int, facts: bool, seed: int
) -> list[TrainingPair]:
    """A batch of long pairs, each with its answer at a random depth of the same filler.

    Args:
        pairs: Natural pairs; used unless ``facts``.
        filler: Prose that the batch shares, of any length; repeated when short.
        size: Pairs a batch.
        tokens: Length of a text, roughly.
        facts: Invented facts in place of natural pairs.
        seed: Of all choices.
    """
    generator = np.random.default_rng(seed)
    answers = (
        _facts(size, generator)
        if facts
        else [pairs[place] for place in generator.permutation(len(pairs))[:size]]
    )
    sentences = [part.strip() + "." for part in filler.split(".") if part.strip()] or ["Then."]
    made = []
    for pair in answers:
        room = max(0, tokens * CHARS_PER_TOKEN - len(pair.positive))
        body: list[str] = []
        total = 0
        while total < room:
            body.append(sentences[len(body) % len(sentences)])
            total += len(body[-1]) + 1
        body.insert(int(generator.integers(len(body) + 1)), pair.positive)
        made.append(TrainingPair(pair.query, " ".join(body), source="long"))
    return made


def _facts(size: int, generator: np.random.Generator) -> list[TrainingPair]:
    """Facts of one wording about people whose first and last names overlap."""
    first, last = _FIRST.split(), _LAST.split()
    kind, statement, query = _WORDINGS[int(generator.integers(len(_WORDINGS)))]
    names = generator.permutation(len(first) * len(last))[:size].tolist()
    values = {
        "place": lambda: str(generator.choice(_PLACES.split())),
        "like": lambda: str(generator.choice(_LIKES.split())),
        "year": lambda: str(generator.integers(1900, 2020)),
        "number": lambda: str(generator.integers(10_000, 100_000)),
    }
    pairs = []
    for number in names:
        name = f"{first[number % len(first)]} {last[number // len(first)]}"
        filled = statement.format(name=name, value=values[kind]())
        pairs.append(TrainingPair(query.format(name=name), filled, source="fact"))
    return pairs
