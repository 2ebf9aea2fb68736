"""Values of leaving parts of a text out, without the work that computes them."""

from __future__ import annotations

from dataclasses import dataclass

from core.experiments.context import SystemName


@dataclass(frozen=True, slots=True)
class Part:
    """A sentence of the passage, or a clause or word of the query: a range of its text."""

    number: int  # from 1
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Effect:
    """Effect of leaving one part out, on one encoder."""

    number: int  # of the part
    score: float  # without it
    score_change: float  # ``score - whole score``; below 0 when the part supported the match
    # the same in standard deviations of the encoder's background: comparable between encoders. NaN
    # without a background.
    z_change: float
    rank: int  # without it
    # ``rank - whole rank``: places lost; above 0 when the part supported the match
    rank_change: int


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Does the sentence named most important really matter more than others?

    That its deletion hurts most in the whole passage is how it was chosen. So the test is repeated
    where it was not chosen: in copies of the passage from which about half of the other sentences
    were removed at random, the named sentence is deleted, and in turn a random other one.
    """

    top: int  # number of the sentence
    top_drop: float  # loss of score when it is deleted from the whole passage
    others_drop: float  # mean loss over deleting each other sentence from the whole passage
    contexts: int  # random copies tried; 0 when the passage has fewer than three sentences
    context_top_drop: float  # mean loss when it is deleted from those copies; NaN without any
    context_other_drop: float  # mean loss when a random other one is
    wins: float  # share of copies in which deleting it hurt more; ties count half; NaN without any

    @property
    def holds(self) -> bool:
        """Whether deleting the named sentence hurts more than deleting a random one."""
        if self.contexts:
            return self.context_top_drop > self.context_other_drop
        return self.top_drop > self.others_drop


@dataclass(frozen=True, slots=True)
class EncoderEvidence:
    """One encoder's side."""

    system: SystemName  # the encoder
    score: float  # of the whole text
    z: float  # the same against the background; NaN without one
    rank: int  # of the passage
    effects: tuple[Effect, ...]  # one per part, in order
    top: int | None  # number of the part whose loss costs most score; None when no loss costs any
    # of that choice; None on the query side and where there is no top
    faithfulness: Faithfulness | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Leave-one-out over one text, both encoders side by side."""

    side: str  # ``passage`` (sentences left out) or ``query`` (clauses or words left out)
    unit: str  # ``sentence``, ``clause`` or ``word``
    query: str  # what was asked
    passage_id: str  # the passage
    corpus_size: int  # passages the ranks are out of
    parts: tuple[Part, ...]  # what was left out, one at a time
    a: EncoderEvidence  # encoder A
    b: EncoderEvidence  # encoder B
    contrast: tuple[str, ...]  # the difference in words; empty when both need the same
    notes: tuple[str, ...]  # what the reader should know
