"""Leave each part of a text out in turn, embed the rest, and compare score and rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from core.documents.sentences import sentence_spans
from core.encoders.spec import TextKind
from core.errors import LaboratoryError
from core.experiments.context import (
    Context,
    IndexedEncoder,
    each_encoder,
    encode,
    name_of,
    rank_of,
    readable,
    received,
)
from core.experiments.evidence import Effect, EncoderEvidence, Evidence, Part
from core.experiments.experiment import PASSAGE, QUERY, Experiment, Place
from core.experiments.faithfulness import check_faithfulness, draw_copies
from core.experiments.parts import each_left_out, numbered, query_parts
from core.experiments.rendering import leave_one_out
from core.monitor import Monitor, SilentMonitor
from core.words import ordinal, quoted

NEEDS_Z = 0.5  # losing a sentence "matters" from half a background standard deviation on
SPARES_Z = 0.2  # and "does not matter" below a fifth of one
NEEDS_PLACES = 3  # or when the passage falls by this many places
MAX_SENTENCES = 60


def leave_sentences_out(
    context: Context, query: str, passage_id: str, *, seed: int = 0, monitor: Monitor | None = None
) -> Evidence:
    """Delete each sentence of a passage in turn; the other passages stay as they are.

    Args:
        context: Both encoders over the corpus.
        query: What was asked.
        passage_id: The hit to explain.
        seed: Draws the copies of the faithfulness check; both encoders see the same copies.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If the passage is unreadable or has one sentence only.
        EncodingError: If an encoder fails.
        StoppedError: If stopped.
    """
    readable(query, what="query")
    row = context.corpus.position(passage_id)
    text = readable(context.corpus.passages[row].text)
    parts = numbered(text, sentence_spans(text))
    if len(parts) < 2:
        raise LaboratoryError(
            "The passage has one sentence, so there is none to leave out. "
            "Look at the query's words instead, or choose a longer passage."
        )
    if len(parts) > MAX_SENTENCES:
        raise LaboratoryError(
            f"The passage has {len(parts)} sentences; leaving each out would take too long. "
            f"Choose a passage of at most {MAX_SENTENCES} sentences (a smaller chunk size)."
        )
    copies = draw_copies(len(parts), seed=seed)
    watch = monitor or SilentMonitor()

    def explain(indexed: IndexedEncoder) -> EncoderEvidence:
        vector = encode(indexed.encoder, [query], kind=TextKind.QUERY)[0]
        rows = encode(
            indexed.encoder, each_left_out(text, parts), kind=TextKind.PASSAGE, monitor=watch
        )
        values = rows.astype(np.float64) @ vector.astype(np.float64)
        scores = indexed.vectors @ vector
        # only this passage changes: the others keep their scores
        found = _compare(
            indexed, [(float(value), rank_of(scores, row, float(value))) for value in values]
        )
        if found.top is None:
            return found
        checked = check_faithfulness(indexed, vector, text, parts, found.effects, found.top, copies)
        return replace(found, faithfulness=checked)

    return _both_encoders(
        context,
        query,
        passage_id,
        text,
        parts,
        explain,
        side="passage",
        unit="sentence",
        watch=watch,
    )


def leave_clauses_out(
    context: Context, query: str, passage_id: str, *, monitor: Monitor | None = None
) -> Evidence:
    """Delete each clause of the query in turn (each word, when it has one clause); rank anew.

    Args:
        context: Both encoders over the corpus.
        query: What was asked.
        passage_id: The passage whose rank is followed.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If the query is unreadable or has one word only.
        EncodingError: If an encoder fails.
        StoppedError: If stopped.
    """
    readable(query, what="query")
    row = context.corpus.position(passage_id)
    unit, parts = query_parts(query)
    if len(parts) < 2:
        raise LaboratoryError(
            "The query has one word, so there is nothing to leave out; ask with more words."
        )
    parts = parts[:MAX_SENTENCES]
    watch = monitor or SilentMonitor()

    def explain(indexed: IndexedEncoder) -> EncoderEvidence:
        rows = encode(
            indexed.encoder, each_left_out(query, parts), kind=TextKind.QUERY, monitor=watch
        )
        # with another query every passage's score changes: whole rankings are compared
        scores = rows @ indexed.vectors.T  # (1 + parts, passages)
        return _compare(indexed, [(float(line[row]), rank_of(line, row)) for line in scores])

    return _both_encoders(
        context, query, passage_id, query, parts, explain, side="query", unit=unit, watch=watch
    )


EXPERIMENTS = (
    Experiment(
        name="sentences",
        verb="explain",
        title="Without each sentence",
        about="Say which sentences a hit stands on, for both encoders, by leaving each out.",
        fields=(QUERY, PASSAGE),
        record=Evidence,
        run=leave_sentences_out,
        show=leave_one_out,
        place=Place.EVIDENCE,
        order=11,
    ),
    Experiment(
        name="clauses",
        verb="explain_query",
        title="Without each part of the query",
        about="Say which parts of the query a hit stands on, for both encoders, by leaving each "
        "out.",
        fields=(QUERY, PASSAGE),
        record=Evidence,
        run=leave_clauses_out,
        show=leave_one_out,
        place=Place.EVIDENCE,
        order=12,
    ),
)


def _both_encoders(
    context: Context,
    query: str,
    passage_id: str,
    text: str,
    parts: tuple[Part, ...],
    explain: Callable[[IndexedEncoder], EncoderEvidence],
    *,
    side: str,
    unit: str,
    watch: Monitor,
) -> Evidence:
    """Explain one text for both encoders and set them side by side."""
    a, b = each_encoder(context.encoders, f"leaving {unit}s out", explain, monitor=watch)
    kind = TextKind.QUERY if side == "query" else TextKind.PASSAGE
    unread = _unread(context.a, text, parts, kind), _unread(context.b, text, parts, kind)
    return Evidence(
        side=side,
        unit=unit,
        query=query,
        passage_id=passage_id,
        corpus_size=len(context.corpus.passages),
        parts=parts,
        a=a,
        b=b,
        contrast=contrast(a, b, parts, unit_name=unit, unread=unread),
        notes=_notes(context, unread, f"{side}'s", unit),
    )


def _compare(indexed: IndexedEncoder, placed: Sequence[tuple[float, int]]) -> EncoderEvidence:
    """Compare score and rank of the whole text, which comes first, with those without each part."""
    (whole, whole_rank), *changed = placed
    effects = tuple(
        Effect(
            number=number,
            score=score,
            score_change=score - whole,
            z_change=indexed.z_change(score - whole),
            rank=rank,
            rank_change=rank - whole_rank,
        )
        for number, (score, rank) in enumerate(changed, start=1)
    )
    return EncoderEvidence(
        system=name_of(indexed),
        score=whole,
        z=indexed.z(whole),
        rank=whole_rank,
        effects=effects,
        top=_top(effects),
        faithfulness=None,
    )


def _top(effects: Sequence[Effect]) -> int | None:
    worst = min(effects, key=lambda effect: (effect.score_change, effect.number))
    return worst.number if worst.score_change < 0 else None


def contrast(
    a: EncoderEvidence,
    b: EncoderEvidence,
    parts: Sequence[Part],
    *,
    unit_name: str,
    unread: tuple[Collection[int], Collection[int]] = ((), ()),
) -> tuple[str, ...]:
    """Say where one encoder needs a part that the other does without.

    An encoder *needs* a part when leaving it out costs `NEEDS_Z` background standard deviations or
    `NEEDS_PLACES` places; it *does without* when that costs less than `SPARES_Z` and no place.
    In between nothing is said. A part that lies beyond an encoder's limit is not read by it: that its
    loss costs nothing says nothing about need.

    Returns:
        Plain sentences, largest difference first, at most four. They quote document text: escape.
    """
    found: list[tuple[float, int, str]] = []
    for part, effect_a, effect_b in zip(parts, a.effects, b.effects, strict=True):
        for one, other, name, other_name, beyond in (
            (effect_a, effect_b, a.system.label, b.system.label, unread[1]),
            (effect_b, effect_a, b.system.label, a.system.label, unread[0]),
        ):
            if _needs(one) and _spares(other):
                gap = abs(_finite(one.z_change) - _finite(other.z_change))
                spared = (
                    f"{other_name} does not read that far"
                    if part.number in beyond
                    else f"{other_name} does not need it "
                    f"({ordinal(other.rank - other.rank_change)} to {ordinal(other.rank)})"
                )
                sentence = (
                    f"{name} needs {unit_name} {part.number} ({quoted(part.text)}): without it the "
                    f"passage goes from {ordinal(one.rank - one.rank_change)} to "
                    f"{ordinal(one.rank)}; {spared}."
                )
                found.append((-gap, part.number, sentence))
    return tuple(sentence for _, _, sentence in sorted(found)[:4])


def _needs(effect: Effect) -> bool:
    return _finite(effect.z_change) <= -NEEDS_Z or effect.rank_change >= NEEDS_PLACES


def _spares(effect: Effect) -> bool:
    return _finite(effect.z_change) > -SPARES_Z and effect.rank_change <= 0


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _unread(
    indexed: IndexedEncoder, text: str, parts: Sequence[Part], kind: TextKind
) -> tuple[int, ...]:
    """Return the numbers of the parts of which the encoder reads nothing, beyond its limit as they lie.

    The first part is always read: nothing stands before it but a prompt.
    """
    whole = received(indexed.encoder, text, kind=kind)
    if whole.tokens_total <= whole.tokens_kept:
        return ()
    return tuple(
        part.number
        for part in parts[1:]
        if received(indexed.encoder, text[: part.start].rstrip(), kind=kind).tokens_total
        >= whole.tokens_kept
    )


def _notes(
    context: Context, unread: tuple[tuple[int, ...], tuple[int, ...]], whose: str, unit: str
) -> tuple[str, ...]:
    notes = [
        f"{indexed.label} reads nothing of the {whose} text from {unit} {numbers[0]} on, which lies "
        f"beyond its limit: without such a {unit} it gets the same tokens, and without an earlier "
        "one later text moves into its reach."
        for indexed, numbers in zip(context.encoders, unread, strict=True)
        if numbers
    ]
    if len(context.corpus.passages) == 1:
        notes.append(
            "The library holds one passage, so its rank is 1 whatever happens: read scores."
        )
    return tuple(notes)
