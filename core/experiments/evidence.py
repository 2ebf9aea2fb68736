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
    """Effect of leaving one part out, on one encoder.

    Attributes:
        number: Of the part.
        score: Without it.
        score_change: ``score - whole score``; below 0 when the part supported the match.
        z_change: The same in standard deviations of the encoder's background: comparable between
            encoders. NaN without a background.
        rank: Without it.
        rank_change: ``rank - whole rank``: places lost; above 0 when the part supported the match.
    """

    number: int
    score: float
    score_change: float
    z_change: float
    rank: int
    rank_change: int


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Does the sentence named most important really matter more than others?

    That its deletion hurts most in the whole passage is how it was chosen. So the test is repeated
    where it was not chosen: in copies of the passage from which about half of the other sentences
    were removed at random, the named sentence is deleted, and in turn a random other one.

    Attributes:
        top: Number of the sentence.
        top_drop: Loss of score when it is deleted from the whole passage.
        others_drop: Mean loss over deleting each other sentence from the whole passage.
        contexts: Random copies tried; 0 when the passage has fewer than three sentences.
        context_top_drop: Mean loss when it is deleted from those copies; NaN without any.
        context_other_drop: Mean loss when a random other one is.
        wins: Share of copies in which deleting it hurt more; ties count half; NaN without any.
    """

    top: int
    top_drop: float
    others_drop: float
    contexts: int
    context_top_drop: float
    context_other_drop: float
    wins: float

    @property
    def holds(self) -> bool:
        """Whether deleting the named sentence hurts more than deleting a random one."""
        if self.contexts:
            return self.context_top_drop > self.context_other_drop
        return self.top_drop > self.others_drop


@dataclass(frozen=True, slots=True)
class EncoderEvidence:
    """One encoder's side.

    Attributes:
        system: The encoder.
        score: Of the whole text.
        z: The same against the background; NaN without one.
        rank: Of the passage.
        effects: One per part, in order.
        top: Number of the part whose loss costs most score; None when no loss costs any.
        faithfulness: Of that choice; None on the query side and where there is no top.
    """

    system: SystemName
    score: float
    z: float
    rank: int
    effects: tuple[Effect, ...]
    top: int | None
    faithfulness: Faithfulness | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Leave-one-out over one text, both encoders side by side.

    Attributes:
        side: ``passage`` (sentences left out) or ``query`` (clauses or words left out).
        unit: ``sentence``, ``clause`` or ``word``.
        query: What was asked.
        passage_id: The passage.
        corpus_size: Passages the ranks are out of.
        parts: What was left out, one at a time.
        a: Encoder A.
        b: Encoder B.
        contrast: The difference in words; empty when both need the same.
        notes: What the reader should know.
    """

    side: str
    unit: str
    query: str
    passage_id: str
    corpus_size: int
    parts: tuple[Part, ...]
    a: EncoderEvidence
    b: EncoderEvidence
    contrast: tuple[str, ...]
    notes: tuple[str, ...]
