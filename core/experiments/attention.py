"""The same weights with another attention mask: the effect of the reading direction.

Full and causal are the paper's (Table 5): a mismatch between training and test, not an encoder
trained that way. Backward-only and reversed sentences are Bifocal's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from core.documents.sentences import sentence_spans
from core.encoders.spec import Attention, TextKind, TokenTrace
from core.errors import EncoderError, LaboratoryError, StoppedError
from core.experiments.context import (
    Context,
    Floats,
    IndexedEncoder,
    SystemName,
    encode,
    name_of,
    pooled,
    raise_problems,
    rank_of,
    readable,
    received,
    trace,
)
from core.experiments.experiment import PASSAGE, QUERY, SEED, Experiment
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.render import Html, render
from core.render.strips import named, strip
from core.render.systems import family_kind
from core.search.order import best_positions
from core.words import ordinal

DEFAULT_CANDIDATES = 12


class Mode(StrEnum):
    """How the text is read."""

    FULL = "full"
    CAUSAL = "causal"
    BACKWARD = "backward-only"
    REVERSED = "reversed sentences"


_ADVERBS = {
    Mode.FULL: "in both directions",
    Mode.CAUSAL: "forward only",
    Mode.BACKWARD: "backward only",
}
_MODE_NAMES = {
    Mode.FULL: "both directions",
    Mode.CAUSAL: "causal (left to right)",
    Mode.BACKWARD: "backward only",
    Mode.REVERSED: "sentences reversed",
}
OWN_MODES = (Mode.BACKWARD, Mode.REVERSED)  # Bifocal's own; the paper has no such row
_ATTENTION = {
    Mode.FULL: Attention.BIDIRECTIONAL,
    Mode.CAUSAL: Attention.CAUSAL,
    Mode.BACKWARD: Attention.BACKWARD,
}


@dataclass(frozen=True, slots=True)
class TokenChange:
    """How much one token's state differs from how the encoder normally reads."""

    token: str  # readable piece. Hostile text: escape it.
    start: int  # first character in the passage; -1 for prompt and special tokens
    end: int  # one past the last
    change: float  # ``1 - cosine`` of both states, 0 to 2; NaN where the token has no counterpart


@dataclass(frozen=True, slots=True)
class ModeOutcome:
    """One encoder read one way."""

    mode: Mode  # how
    is_own: bool  # the experiment is Bifocal's and not the paper's
    is_native: bool  # the encoder reads this way anyway
    score: float  # of query and passage, both read this way
    rank: int  # of the passage among the candidates, all read this way
    cosine: float  # between the passage's embedding read this way and read as usual
    # one entry per token of the passage, in the order of the passage
    strip: tuple[TokenChange, ...]


@dataclass(frozen=True, slots=True)
class EncoderSwitch:
    """One encoder in every mode; a mode that the encoder cannot run is missing."""

    system: SystemName
    outcomes: tuple[ModeOutcome, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class AttentionSwitch:
    """Both encoders in every mode."""

    query: str  # what was asked
    passage_id: str  # the right passage
    # passage ids the ranks are out of: the right one, each encoder's and BM25's best, and random
    # others, the same for every mode and encoder
    candidates: tuple[str, ...]
    a: EncoderSwitch  # encoder A
    b: EncoderSwitch  # encoder B
    notes: tuple[str, ...]  # what the reader should know
    stopped: bool  # whether the user stopped it; outcomes are those done by then
    summary: tuple[str, ...] = ()  # the picture in sentences
    text: str = ""  # of the passage


def switch_attention(
    context: Context,
    query: str,
    passage_id: str,
    *,
    modes: Sequence[Mode] = tuple(Mode),
    candidates: int = DEFAULT_CANDIDATES,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> AttentionSwitch:
    """Read a query and candidate passages with each mask and follow the right passage.

    Args:
        context: Both encoders over the corpus.
        query: What was asked.
        passage_id: The passage that should come first.
        modes: Which ones.
        candidates: Passages ranked, 2 or more. Re-reading the whole corpus in every mode would
            take minutes; the strongest rivals are in.
        seed: Draws the random candidates.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If query or passage are unreadable, or the library holds one passage.
        EncodingError: If an encoder failed before anything was done.
        StoppedError: If stopped before anything was done.
    """
    readable(query, what="query")
    row = context.corpus.position(passage_id)
    readable(context.corpus.passages[row].text)
    if len(context.corpus.passages) < 2:
        raise LaboratoryError(
            "The library holds one passage, so no rank can change; add more documents."
        )
    if candidates < 2:
        raise LaboratoryError(f"{candidates} candidates were asked for; choose 2 or more.")
    rows = _candidates(context, query, row, candidates, seed=seed)
    watch = monitor or SilentMonitor()
    done: list[list[ModeOutcome]] = [[], []]
    problems = ["", ""]
    usual: dict[int, TokenTrace] = {}  # the right passage read as usual, by side
    stopped = False
    steps = [(side, mode) for mode in modes for side in (0, 1)]
    for step, (side, mode) in enumerate(steps):
        indexed = context.encoders[side]
        watch.report(Progress("switching attention", step, len(steps), f"{indexed.label}, {mode}"))
        try:
            raise_if_stopped(watch)
            if not problems[side]:
                done[side].append(_read(context, side, query, row, rows, mode, usual))
        except StoppedError:
            if not any(done):
                raise
            stopped = True
            break
        except EncoderError as exc:
            problems[side] = str(exc)
    if all(problems) and not any(done):
        raise_problems(problems)
    watch.report(Progress("switching attention", len(steps), len(steps)))
    return AttentionSwitch(
        query=query,
        passage_id=passage_id,
        candidates=tuple(context.corpus.passages[place].passage_id for place in rows),
        a=EncoderSwitch(name_of(context.a), tuple(done[0]), problems[0]),
        b=EncoderSwitch(name_of(context.b), tuple(done[1]), problems[1]),
        notes=(
            f"Ranks are out of {len(rows)} candidate passages, not the whole library.",
            "The mask is changed only at test time. A fall shows what the trained encoder relies "
            "on, not how an encoder trained with that mask would do.",
            *_reversal_notes(context, context.corpus.passages[row].text, modes),
        ),
        stopped=stopped,
        text=context.corpus.passages[row].text,
        summary=tuple(
            sentence
            for indexed, outcomes in zip(context.encoders, done, strict=True)
            for sentence in _words(indexed, outcomes, len(rows))
        ),
    )


def token_changes(tokens: Sequence[TokenChange]) -> list[tuple[int, int, str, float]]:
    """Return changes as `core.render.strips.strip` takes them."""
    return [(one.start, one.end, one.token, one.change) for one in tokens]


def show(found: AttentionSwitch) -> Html:
    """Return both encoders under each mask: rank, score, and how far every token's state moved."""
    return render(
        "attention",
        found=found,
        named=named,
        modes=_MODE_NAMES,
        sides=[
            (
                side,
                [
                    (
                        outcome,
                        strip(
                            found.text,
                            token_changes(outcome.strip),
                            kind=family_kind(side.system.family),
                            unit="change",
                        ),
                    )
                    for outcome in side.outcomes
                    if not outcome.is_native
                ],
            )
            for side in (found.a, found.b)
        ],
    )


EXPERIMENTS = (
    Experiment(
        name="attention",
        verb="attention_switch",
        title="Attention",
        about="Read query and passage with each attention mask; follow the passage's rank.",
        hint="Which direction does each encoder rely on? Read query and passage with another "
        "attention mask and follow the passage's rank. Some ten seconds.",
        fields=(QUERY, PASSAGE, SEED),
        record=AttentionSwitch,
        show=show,
        run=switch_attention,
        order=2,
    ),
)


def _words(indexed: IndexedEncoder, outcomes: Sequence[ModeOutcome], count: int) -> list[str]:
    """Effect of another direction on an encoder in words; nothing where it was not run."""
    native = next((outcome for outcome in outcomes if outcome.is_native), None)
    if native is None:
        return []
    wanted = Mode.CAUSAL if native.mode is Mode.FULL else Mode.FULL
    other = next((outcome for outcome in outcomes if outcome.mode is wanted), None)
    if other is None:
        return []
    return [
        f"{indexed.label} reads {_ADVERBS[native.mode]}; made to read {_ADVERBS[wanted]}, it ranks the "
        f"passage {ordinal(other.rank)} of {count} instead of {ordinal(native.rank)}, and its "
        f"embedding keeps a cosine of {other.cosine:.2f} with the usual one."
        if other.rank != native.rank
        else f"{indexed.label} reads {_ADVERBS[native.mode]}; made to read {_ADVERBS[wanted]}, it still "
        f"ranks the passage {ordinal(native.rank)} of {count}, with a cosine of {other.cosine:.2f} "
        "to the usual embedding."
    ]


def _reversal_notes(context: Context, text: str, modes: Sequence[Mode]) -> list[str]:
    """Say where reversed sentences are no other order of the text that is read."""
    if Mode.REVERSED not in modes:
        return []
    if len(sentence_spans(text)) < 2:
        return ["The passage has one sentence: reversed it is the same text, so nothing can move."]
    counts = [(indexed.label, received(indexed.encoder, text)) for indexed in context.encoders]
    return [
        f"{label} reads {got.tokens_kept:,} of the passage's {got.tokens_total:,} tokens: with its "
        "sentences reversed it reads another part of it, so the change is not of order alone."
        for label, got in counts
        if got.tokens_kept < got.tokens_total
    ]


def _candidates(context: Context, query: str, row: int, count: int, *, seed: int) -> list[int]:
    """Return rows in corpus order: the right passage, strong rivals in turn, random others."""
    columns = []
    for indexed in context.encoders:
        try:
            vector = encode(indexed.encoder, [query], kind=TextKind.QUERY)[0]
        except EncoderError:
            continue  # its own part says so; the other encoder goes on
        columns.append(best_positions(indexed.vectors @ vector, k=count))
    if context.lexical is not None:
        columns.append(best_positions(context.lexical.scores(query), k=count))
    chosen = {row}
    rivals = [int(place) for line in zip(*columns, strict=False) for place in sorted(set(line))]
    for place in rivals[: 2 * count]:
        if len(chosen) >= max(2, (3 * count) // 4):
            break
        chosen.add(place)
    for place in np.random.default_rng(seed).permutation(len(context.corpus.passages)):
        if len(chosen) >= count:
            break
        chosen.add(int(place))
    return sorted(chosen)


def _read(
    context: Context,
    side: int,
    query: str,
    row: int,
    rows: Sequence[int],
    mode: Mode,
    usual: dict[int, TokenTrace],
) -> ModeOutcome:
    indexed = context.encoders[side]
    text = context.corpus.passages[row].text
    if side not in usual:
        (usual[side],) = trace(indexed.encoder, [text])
    reference = usual[side]
    place = list(rows).index(row)
    native = _ATTENTION.get(mode) is indexed.encoder.spec.attention
    if native:  # the corpus was read this way: nothing to read again
        vectors = indexed.vectors[list(rows)]
        asked = encode(indexed.encoder, [query], kind=TextKind.QUERY)[0]
        strip = _strip(reference, reference, None)
    else:
        texts = [context.corpus.passages[other].text for other in rows]
        turned = mode is Mode.REVERSED
        found = trace(
            indexed.encoder,
            [reverse_sentences(one)[0] for one in texts] if turned else texts,
            attention=_ATTENTION.get(mode),
        )
        (query_trace,) = trace(
            indexed.encoder, [query], kind=TextKind.QUERY, attention=_ATTENTION.get(mode)
        )
        vectors, asked = np.stack([pooled(one) for one in found]), pooled(query_trace)
        strip = _strip(reference, found[place], reverse_sentences(text)[1] if turned else None)
    scores: Floats = vectors @ asked
    return ModeOutcome(
        mode=mode,
        is_own=mode in OWN_MODES,
        is_native=native,
        score=float(scores[place]),
        rank=rank_of(scores, place),
        cosine=float(vectors[place] @ pooled(reference)),
        strip=strip,
    )


def reverse_sentences(text: str) -> tuple[str, NDArray[np.int64]]:
    """Return a text with its sentences in reverse order, each sentence as it was.

    Returns:
        The new text, and for each of its characters the place it had in the old one (-1 for the
        spaces put between sentences).
    """
    pieces: list[str] = []
    origin: list[int] = []
    for start, end in reversed(sentence_spans(text)):
        if pieces:
            pieces.append(" ")
            origin.append(-1)
        pieces.append(text[start:end])
        origin.extend(range(start, end))
    return "".join(pieces), np.asarray(origin, dtype=np.int64)


def _strip(
    usual: TokenTrace, changed: TokenTrace, origin: NDArray[np.int64] | None
) -> tuple[TokenChange, ...]:
    """Compare every token of the usual reading with its counterpart."""
    counterparts: dict[tuple[int, int, int], int] = {}
    for place, (start, end) in enumerate(changed.offsets):
        if origin is not None and start >= 0 and end > start:
            first, last = int(origin[start]), int(origin[end - 1]) + 1
        else:
            first, last = int(start), int(end)
        # prompt and special tokens have no range: they meet by their order
        key = (first, last, place if first < 0 else int(changed.token_ids[place]))
        counterparts.setdefault(key, place)
    strip = []
    for place, (start, end) in enumerate(usual.offsets):
        first, last = int(start), int(end)
        key = (first, last, place if first < 0 else int(usual.token_ids[place]))
        other = counterparts.get(key)
        change = (
            math.nan if other is None else state_change(usual.states[place], changed.states[other])
        )
        strip.append(TokenChange(usual.tokens[place], first, last, change))
    return tuple(strip)


def state_change(before: Floats, after: Floats) -> float:
    """Return ``1 - cosine`` of two states; exactly 0.0 when they are equal bit by bit."""
    if np.array_equal(before, after):
        return 0.0
    one, two = before.astype(np.float64), after.astype(np.float64)
    length = float(np.linalg.norm(one) * np.linalg.norm(two))
    if length == 0.0:
        return 1.0
    return max(0.0, 1.0 - float(one @ two) / length)
