"""Why is this passage where it is? Take parts away and see, for both arms in the same passage.

Everything here is counterfactual: a text is changed, embedded again, and its score and rank are
compared with what they were. The one exception, a token's additive share, is exact by the
arithmetic of pooling and is labelled as such.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.documents.sentences import sentence_spans
from core.encoders.protocol import Encoder
from core.encoders.spec import TextKind
from core.errors import LaboratoryError
from core.laboratory.arms import (
    Arm,
    Bench,
    Floats,
    SystemName,
    encode,
    limit_of,
    most_tokens,
    name_of,
    pooled,
    rank_of,
    readable,
    trace,
    unit,
)
from core.laboratory.words import ordinal, quoted, way
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped

NEEDS_Z = 0.5  # losing a sentence "matters" from half a background standard deviation on
SPARES_Z = 0.2  # and "does not matter" below a fifth of one
NEEDS_PLACES = 3  # or when the passage falls by this many places
MAX_SENTENCES = 60
FAITHFULNESS_CONTEXTS = 8
_SHARE_TOLERANCE = 1e-4

_CLAUSE_BREAK = re.compile(
    r"(?<=[,;:.!?])\s+|\s+(?:[–—-]\s+)"  # noqa: RUF001 - dashes as they stand in texts
    r"|\s+(?=(?:and|or|but|because|since|while|when|if|which|that|who|where|although|after|before"
    r"|unless|until)\s)",
)
_SHORT_QUERY_WORDS = 14


@dataclass(frozen=True, slots=True)
class Part:
    """A sentence of the passage, or a clause or word of the query: a range of its text."""

    number: int  # from 1
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What leaving one part out does to one arm.

    Attributes:
        number: Of the part.
        score: Without it.
        score_change: ``score - whole score``; below 0 when the part supported the match.
        z_change: The same in standard deviations of the arm's background: comparable between
            arms. NaN without a background.
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
class ArmEvidence:
    """One arm's side.

    Attributes:
        system: The arm.
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
    """Leave-one-out over one text, both arms side by side.

    Attributes:
        side: ``passage`` (sentences left out) or ``query`` (clauses or words left out).
        unit: ``sentence``, ``clause`` or ``word``.
        query: What was asked.
        passage_id: The passage.
        corpus_size: Passages the ranks are out of.
        parts: What was left out, one at a time.
        a: Arm A.
        b: Arm B.
        contrast: The difference in words; empty when both need the same.
        notes: What the reader should know.
    """

    side: str
    unit: str
    query: str
    passage_id: str
    corpus_size: int
    parts: tuple[Part, ...]
    a: ArmEvidence
    b: ArmEvidence
    contrast: tuple[str, ...]
    notes: tuple[str, ...]


def leave_sentences_out(
    bench: Bench,
    query: str,
    passage_id: str,
    *,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> Evidence:
    """Delete each sentence of a passage in turn; the other passages stay as they are.

    Args:
        bench: Both arms over the corpus.
        query: What was asked.
        passage_id: The hit to explain.
        seed: Draws the copies of the faithfulness check; both arms see the same copies.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If the passage is unreadable or has one sentence only.
        EncodingError: If an encoder fails.
        StoppedError: If stopped.
    """
    readable(query, what="query")
    row = bench.corpus.position(passage_id)
    passage = bench.corpus.passages[row]
    text = readable(passage.text)
    parts = _parts(text, sentence_spans(text))
    if len(parts) < 2:
        msg = (
            "The passage has one sentence, so there is none to leave out. "
            "Look at the query's words instead, or choose a longer passage."
        )
        raise LaboratoryError(msg)
    if len(parts) > MAX_SENTENCES:
        msg = (
            f"The passage has {len(parts)} sentences; leaving each out would take too long. "
            f"Choose a passage of at most {MAX_SENTENCES} sentences (a smaller chunk size)."
        )
        raise LaboratoryError(msg)
    plan = _deletion_plan(len(parts), seed=seed)
    watch = monitor or SilentMonitor()
    return _both_arms(
        bench, query, passage_id, parts, "passage", "sentence", watch,
        lambda arm: _passage_side(arm, query, row, text, parts, plan, watch),
    )  # fmt: skip


def _both_arms(
    bench: Bench,
    query: str,
    passage_id: str,
    parts: tuple[Part, ...],
    side: str,
    unit_name: str,
    watch: Monitor,
    explain: Callable[[Arm], ArmEvidence],
) -> Evidence:
    """Explain one text for both arms, one after the other, with progress and Stop."""
    stage = f"leaving {unit_name}s out"
    sides = []
    for done, arm in enumerate(bench.arms):
        raise_if_stopped(watch)
        watch.report(Progress(stage, done, 2, arm.label))
        sides.append(explain(arm))
    watch.report(Progress(stage, 2, 2))
    return Evidence(
        side=side,
        unit=unit_name,
        query=query,
        passage_id=passage_id,
        corpus_size=len(bench.corpus.passages),
        parts=parts,
        a=sides[0],
        b=sides[1],
        contrast=contrast(sides[0], sides[1], parts, unit_name=unit_name),
        notes=_notes(bench),
    )


@dataclass(frozen=True, slots=True)
class _Context:
    """A random copy for the faithfulness check: sentences kept, given which one is the top."""

    removed_first: tuple[int, ...]  # a random order of all sentence numbers (0-based)
    share_removed: float


def _deletion_plan(count: int, *, seed: int) -> tuple[_Context, ...]:
    """Draw random orders; which half is removed follows from the order, whoever is the top."""
    if count < 3:
        return ()
    generator = np.random.default_rng(seed)
    return tuple(
        _Context(tuple(int(place) for place in generator.permutation(count)), 0.5)
        for _ in range(FAITHFULNESS_CONTEXTS)
    )


def _passage_side(
    arm: Arm,
    query: str,
    row: int,
    text: str,
    parts: tuple[Part, ...],
    plan: tuple[_Context, ...],
    watch: Monitor,
) -> ArmEvidence:
    vector = encode(arm.encoder, [query], kind=TextKind.QUERY)[0]
    texts = [text, *(without(text, parts, {part.number - 1}) for part in parts)]
    rows = encode(arm.encoder, texts, kind=TextKind.PASSAGE, monitor=watch)
    values = rows.astype(np.float64) @ vector.astype(np.float64)
    scores = arm.vectors @ vector
    # only this passage changes: the others keep their scores
    side = _side(arm, [(float(value), rank_of(scores, row, float(value))) for value in values])
    if side.top is None:
        return side
    return replace(side, faithfulness=_faithfulness(arm, vector, text, parts, side, plan))


def _side(arm: Arm, placed: Sequence[tuple[float, int]]) -> ArmEvidence:
    """Compare score and rank of the whole text, which comes first, with those without each part."""
    (whole, whole_rank), *changed = placed
    effects = tuple(
        Effect(
            number=number,
            score=score,
            score_change=score - whole,
            z_change=arm.z_change(score - whole),
            rank=rank,
            rank_change=rank - whole_rank,
        )
        for number, (score, rank) in enumerate(changed, start=1)
    )
    return ArmEvidence(
        system=name_of(arm),
        score=whole,
        z=arm.z(whole),
        rank=whole_rank,
        effects=effects,
        top=_top(effects),
        faithfulness=None,
    )


def _top(effects: Sequence[Effect]) -> int | None:
    worst = min(effects, key=lambda effect: (effect.score_change, effect.number))
    return worst.number if worst.score_change < 0 else None


def _faithfulness(
    arm: Arm,
    query: Floats,
    text: str,
    parts: tuple[Part, ...],
    side: ArmEvidence,
    plan: tuple[_Context, ...],
) -> Faithfulness:
    top = (side.top or 1) - 1
    others = [-effect.score_change for effect in side.effects if effect.number - 1 != top]
    texts: list[str] = []
    for context in plan:
        others_in_order = [place for place in context.removed_first if place != top]
        random_other = others_in_order[-1]
        gone = set(others_in_order[: int(len(others_in_order) * context.share_removed)])
        gone.discard(random_other)
        texts.append(without(text, parts, gone))
        texts.append(without(text, parts, gone | {top}))
        texts.append(without(text, parts, gone | {random_other}))
    top_drop = -side.effects[top].score_change
    if not texts:
        return Faithfulness(
            top + 1, top_drop, float(np.mean(others)), 0, math.nan, math.nan, math.nan
        )
    rows = encode(arm.encoder, texts, kind=TextKind.PASSAGE).astype(np.float64)
    values = (rows @ query.astype(np.float64)).reshape(-1, 3)
    top_drops = values[:, 0] - values[:, 1]
    other_drops = values[:, 0] - values[:, 2]
    wins = np.where(top_drops > other_drops, 1.0, np.where(top_drops == other_drops, 0.5, 0.0))
    return Faithfulness(
        top=top + 1,
        top_drop=top_drop,
        others_drop=float(np.mean(others)),
        contexts=len(plan),
        context_top_drop=float(top_drops.mean()),
        context_other_drop=float(other_drops.mean()),
        wins=float(wins.mean()),
    )


def leave_clauses_out(
    bench: Bench, query: str, passage_id: str, *, monitor: Monitor | None = None
) -> Evidence:
    """Delete each clause of the query in turn (each word, when it has one clause); rank anew.

    Args:
        bench: Both arms over the corpus.
        query: What was asked.
        passage_id: The passage whose rank is followed.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If the query is unreadable or has one word only.
        EncodingError: If an encoder fails.
        StoppedError: If stopped.
    """
    readable(query, what="query")
    row = bench.corpus.position(passage_id)
    unit_name, parts = query_parts(query)
    if len(parts) < 2:
        msg = "The query has one word, so there is nothing to leave out; ask with more words."
        raise LaboratoryError(msg)
    if len(parts) > MAX_SENTENCES:
        parts = parts[:MAX_SENTENCES]
    watch = monitor or SilentMonitor()
    return _both_arms(
        bench, query, passage_id, parts, "query", unit_name, watch,
        lambda arm: _query_side(arm, query, row, parts, watch),
    )  # fmt: skip


def _query_side(
    arm: Arm, query: str, row: int, parts: tuple[Part, ...], watch: Monitor
) -> ArmEvidence:
    """Compare whole rankings: with another query every passage's score changes."""
    texts = [query, *(without(query, parts, {part.number - 1}) for part in parts)]
    rows = encode(arm.encoder, texts, kind=TextKind.QUERY, monitor=watch)
    scores = rows @ arm.vectors.T  # (1 + parts, passages)
    return _side(arm, [(float(line[row]), rank_of(line, row)) for line in scores])


def query_parts(query: str) -> tuple[str, tuple[Part, ...]]:
    """Cut a query into clauses, or into words when it is short or has one clause.

    >>> [part.text for part in query_parts("who opened the sluice")[1]]
    ['who', 'opened', 'the', 'sluice']
    """
    if len(query.split()) > _SHORT_QUERY_WORDS:
        spans: list[tuple[int, int]] = []
        for start, end in sentence_spans(query):
            place = start
            for found in _CLAUSE_BREAK.finditer(query, start, end):
                # a clause of one word is no clause: it stays with what follows
                if len(query[place : found.start()].split()) >= 2:
                    spans.append((place, found.start()))
                    place = found.end()
            spans.append((place, end))
        if len(spans) >= 2:
            return "clause", _parts(query, spans)
    words = [match.span() for match in re.finditer(r"\S*\w\S*", query)]
    return "word", _parts(query, words)


def _parts(text: str, spans: Sequence[tuple[int, int]]) -> tuple[Part, ...]:
    return tuple(
        Part(number, start, end, text[start:end])
        for number, (start, end) in enumerate(spans, start=1)
    )


def without(text: str, parts: Sequence[Part], gone: set[int]) -> str:
    """Return a text without some of its parts (0-based), spacing mended.

    >>> parts = (Part(1, 0, 4, "One."), Part(2, 5, 9, "Two."), Part(3, 10, 16, "Three."))
    >>> without("One. Two. Three.", parts, {1})
    'One. Three.'
    """
    pieces: list[str] = []
    place = 0
    for index in sorted(gone):
        pieces.append(text[place : parts[index].start].rstrip())
        place = parts[index].end
    pieces.append(text[place:])
    joined = " ".join(piece.strip() for piece in pieces if piece.strip())
    return joined.strip()


def contrast(
    a: ArmEvidence, b: ArmEvidence, parts: Sequence[Part], *, unit_name: str
) -> tuple[str, ...]:
    """Say where one arm needs a part that the other does without.

    An arm *needs* a part when leaving it out costs `NEEDS_Z` background standard deviations or
    `NEEDS_PLACES` places; it *does without* when that costs less than `SPARES_Z` and no place.
    In between nothing is said.

    Returns:
        Plain sentences, largest difference first, at most four. They quote document text: escape.
    """
    found: list[tuple[float, int, str]] = []
    for part, effect_a, effect_b in zip(parts, a.effects, b.effects, strict=True):
        for one, other, name, other_name in (
            (effect_a, effect_b, a.system.label, b.system.label),
            (effect_b, effect_a, b.system.label, a.system.label),
        ):
            if _needs(one) and _spares(other):
                gap = abs(_finite(one.z_change) - _finite(other.z_change))
                sentence = (
                    f"{name} needs {unit_name} {part.number} ({quoted(part.text)}): without it the "
                    f"passage goes from {ordinal(one.rank - one.rank_change)} to "
                    f"{ordinal(one.rank)}; {other_name} does not need it "
                    f"({ordinal(other.rank - other.rank_change)} to {ordinal(other.rank)})."
                )
                found.append((-gap, part.number, sentence))
    return tuple(sentence for _, _, sentence in sorted(found)[:4])


def _needs(effect: Effect) -> bool:
    return _finite(effect.z_change) <= -NEEDS_Z or effect.rank_change >= NEEDS_PLACES


def _spares(effect: Effect) -> bool:
    return _finite(effect.z_change) > -SPARES_Z and effect.rank_change <= 0


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _notes(bench: Bench) -> tuple[str, ...]:
    if len(bench.corpus.passages) == 1:
        return ("The library holds one passage, so its rank is 1 whatever happens: read scores.",)
    return ()


# -- best sentence -------------------------------------------------------------------------


def best_sentences(
    query: str,
    passages: Mapping[str, str],
    encoders: Sequence[Encoder],
    *,
    monitor: Monitor | None = None,
) -> dict[str, dict[str, tuple[int, int]]]:
    """Return, per passage and encoder, the sentence nearest to the query.

    A sentence is embedded on its own, as a passage: that needs no trace, treats both arms alike,
    depends on nothing around it, and can be kept by text like any other vector.

    Args:
        query: What was asked.
        passages: Text by passage id.
        encoders: Usually both arms.
        monitor: Hears progress; may stop.

    Returns:
        Half-open ranges in each passage's text, by passage id, then encoder id; a passage without
        a sentence is left out. Ties go to the first sentence.
    """
    spans = {
        passage_id: tuple((start, end, text[start:end]) for start, end in sentence_spans(text))
        for passage_id, text in passages.items()
    }
    wanted = sorted({sentence for found in spans.values() for _, _, sentence in found})
    best: dict[str, dict[str, tuple[int, int]]] = {key: {} for key, found in spans.items() if found}
    for encoder in encoders:
        vector = encode(encoder, [query], kind=TextKind.QUERY)[0]
        rows = encode(encoder, wanted, kind=TextKind.PASSAGE, monitor=monitor)
        scores = dict(zip(wanted, (rows @ vector).tolist(), strict=True))
        for passage_id, marked in best.items():
            found = spans[passage_id]
            place = int(np.argmax([scores[sentence] for _, _, sentence in found]))
            marked[encoder.spec.encoder_id] = found[place][:2]
    return best


def shared_best_sentence(
    text: str, query_vectors: Sequence[Floats], sentence_vectors: Sequence[Floats]
) -> tuple[int, int] | None:
    """Return the one sentence to mark on a card that shows both arms' hit.

    Args:
        text: The passage.
        query_vectors: ``(dim,)`` per arm.
        sentence_vectors: ``(sentences, dim)`` per arm, in order of `sentence_spans`.

    Returns:
        The sentence with the highest mean of both arms' standardised scores over the passage's
        sentences, so that neither arm's scale decides; None for a text without sentences.
    """
    spans = sentence_spans(text)
    if not spans:
        return None
    total = np.zeros(len(spans))
    for query, rows in zip(query_vectors, sentence_vectors, strict=True):
        scores = (rows @ query).astype(np.float64)
        spread = float(scores.std())
        total += (scores - scores.mean()) / spread if spread > 0 else 0.0
    return spans[int(np.argmax(total))]


# -- exact shares --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenShare:
    """One token's exact part of the score.

    Attributes:
        token: Readable piece. Hostile text: escape it.
        start: First character in the passage text; -1 for prompt and special tokens.
        end: One past the last.
        share: What it adds to the score; all shares add up to it.
    """

    token: str
    start: int
    end: int
    share: float


@dataclass(frozen=True, slots=True)
class TokenShares:
    """A score taken apart into its tokens.

    Exact as arithmetic: the embedding is a weighted mean of token states, so the score is a sum
    over tokens. It does not say what would happen without a token, since every state depends on
    the other tokens: deletion above says that.

    Attributes:
        system: The arm.
        score: Of query and passage.
        shares: One per token, in order.
        residual: ``score - sum of shares``: rounding only.
    """

    system: SystemName
    score: float
    shares: tuple[TokenShare, ...]
    residual: float


def token_shares(arm: Arm, query: str, text: str) -> TokenShares:
    """Split the score of a passage exactly over its tokens.

    Raises:
        LaboratoryError: If the shares do not add up to the score: the pooling is not linear then,
            and no heat map is shown.
        EncodingError: If the encoder fails.
    """
    readable(query, what="query")
    readable(text)
    vector = encode(arm.encoder, [query], kind=TextKind.QUERY)[0].astype(np.float64)
    score = float(encode(arm.encoder, [text], kind=TextKind.PASSAGE)[0].astype(np.float64) @ vector)
    (found,) = trace(arm.encoder, [text])
    weights, states = found.weights.astype(np.float64), found.states.astype(np.float64)
    length = float(np.linalg.norm(weights @ states))
    shares = weights * (states @ vector) / length if length > 0 else np.zeros(len(weights))
    residual = score - float(shares.sum())
    if abs(residual) > _SHARE_TOLERANCE:
        msg = (
            f"{arm.label} does not pool its tokens linearly, so a token has no exact share of the "
            "score. Look at the sentences instead."
        )
        raise LaboratoryError(msg)
    return TokenShares(
        system=name_of(arm),
        score=score,
        shares=tuple(
            TokenShare(token, int(start), int(end), float(share))
            for token, (start, end), share in zip(found.tokens, found.offsets, shares, strict=True)
        ),
        residual=residual,
    )


# -- late context --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ArmContext:
    """One arm's passage alone and inside its document.

    Attributes:
        system: The arm.
        score_alone: Passage embedded by itself.
        score_inside: Passage pooled out of one forward pass over the window around it.
        z_alone: Against the background.
        z_inside: Against the same background.
        rank_alone: Among all passages, each alone.
        rank_inside: This passage in context, all others alone.
        rank_all_inside: This passage and every other that lies in the window in context.
        cosine: Between both embeddings of the passage: how much context moved it.
        window_start: First character of the window in the document.
        window_end: One past its last.
        window_tokens: Tokens the arm read of it.
        passages_inside: Passages that lie wholly in the window and were read.
    """

    system: SystemName
    score_alone: float
    score_inside: float
    z_alone: float
    z_inside: float
    rank_alone: int
    rank_inside: int
    rank_all_inside: int
    cosine: float
    window_start: int
    window_end: int
    window_tokens: int
    passages_inside: int


@dataclass(frozen=True, slots=True)
class LateContext:
    """What reading the passage inside its document does (late chunking, arXiv 2409.04701)."""

    query: str
    passage_id: str
    corpus_size: int
    a: ArmContext
    b: ArmContext
    notes: tuple[str, ...]
    summary: tuple[str, ...] = ()


def late_context(
    bench: Bench,
    query: str,
    passage_id: str,
    *,
    window_tokens: int = 1024,
    monitor: Monitor | None = None,
) -> LateContext:
    """Embed a passage alone and inside its document, for both arms.

    The window is the document when it fits; otherwise as much of it as fits around the passage,
    the same characters for both arms.

    Args:
        bench: Both arms over the corpus.
        query: What was asked.
        passage_id: The passage.
        window_tokens: Most tokens of the window; lowered to the smaller of both arms' limits.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If the passage is unreadable, is the whole document, or does not fit.
        EncodingError: If an encoder fails.
        StoppedError: If stopped.
    """
    readable(query, what="query")
    row = bench.corpus.position(passage_id)
    passage = bench.corpus.passages[row]
    readable(passage.text)
    document = bench.corpus.texts.get(passage.doc_id, "")
    if passage.start <= 0 and passage.end >= len(document):
        msg = "The passage is the whole document, so there is nothing around it to read."
        raise LaboratoryError(msg)
    limit = min(window_tokens, *(limit_of(arm.encoder) for arm in bench.arms))
    start, end = context_window(bench, document, (passage.start, passage.end), limit=limit)
    watch = monitor or SilentMonitor()
    sides = []
    for done, arm in enumerate(bench.arms):
        raise_if_stopped(watch)
        watch.report(Progress("reading in context", done, 2, arm.label))
        sides.append(_context_side(bench, arm, query, row, document, (start, end)))
    watch.report(Progress("reading in context", 2, 2))
    notes = []
    if (start, end) != (0, len(document)):
        notes.append(
            f"The document is longer than {limit:,} tokens; both arms read characters "
            f"{start:,} to {end:,} of it, with the passage in them."
        )
    if len(bench.corpus.passages) == 1:
        notes.append("The library holds one passage, so its rank is 1 whatever happens.")
    return LateContext(
        query,
        passage_id,
        len(bench.corpus.passages),
        sides[0],
        sides[1],
        tuple(notes),
        tuple(_context_words(side) for side in sides),
    )


def _context_words(side: ArmContext) -> str:
    words = (
        f"{side.system.label}: read inside its document the passage "
        f"{way(side.rank_alone, side.rank_inside)}"
    )
    if side.passages_inside > 1 and side.rank_all_inside != side.rank_inside:
        words += (
            f", and is {ordinal(side.rank_all_inside)} when its {side.passages_inside - 1} "
            "neighbours are read in context too"
        )
    return f"{words}."


def context_window(
    bench: Bench, document: str, inner: tuple[int, int], *, limit: int
) -> tuple[int, int]:
    """Return the widest stretch around a range that both arms read whole.

    It grows evenly on both sides, and on one side alone where the document ends, by sentences.

    Raises:
        LaboratoryError: If the range itself is longer than the limit.
    """
    stretches = nested_windows(document, inner)
    low, high = 0, len(stretches) - 1
    if most_tokens(bench, document[slice(*stretches[0])]) > limit:
        msg = (
            f"The passage is longer than {limit:,} tokens, so no context fits around it; "
            "choose smaller passages or a larger window."
        )
        raise LaboratoryError(msg)
    while low < high:  # the widest that fits
        middle = (low + high + 1) // 2
        if most_tokens(bench, document[slice(*stretches[middle])]) <= limit:
            low = middle
        else:
            high = middle - 1
    return stretches[low]


def nested_windows(document: str, inner: tuple[int, int]) -> list[tuple[int, int]]:
    """Return stretches of a document around a range, each a sentence or so wider than the last.

    The first is the range itself, the last the whole document.
    """
    edges = sentence_spans(document)
    starts = [start for start, _ in edges if start < inner[0]][::-1]  # nearest first
    ends = [end for _, end in edges if end > inner[1]]
    windows = [inner]
    start, end = inner
    while starts or ends:
        # grow where less has been added so far, so that the range stays in the middle
        before, after = inner[0] - start, end - inner[1]
        if starts and (before <= after or not ends):
            start = starts.pop(0)
        else:
            end = ends.pop(0)
        windows.append((start, end))
    if windows[-1] != (0, len(document)):
        windows.append((0, len(document)))
    return windows


def _context_side(
    bench: Bench, arm: Arm, query: str, row: int, document: str, window: tuple[int, int]
) -> ArmContext:
    start, end = window
    passage = bench.corpus.passages[row]
    vector = encode(arm.encoder, [query], kind=TextKind.QUERY)[0]
    (found,) = trace(arm.encoder, [document[start:end]])
    scores = arm.vectors @ vector
    inside = pooled(found, start=passage.start - start, end=passage.end - start)
    read_to = int(found.offsets[:, 1].max(initial=0)) if found.tokens_dropped else end - start
    together = scores.copy()
    count = 0
    for place, other in enumerate(bench.corpus.passages):
        within = other.start >= start and other.end <= min(end, start + read_to)
        if other.doc_id == passage.doc_id and within and other.text.strip():
            moved = pooled(found, start=other.start - start, end=other.end - start)
            together[place] = np.float32(moved @ vector)
            count += 1
    alone, score = float(scores[row]), float(inside @ vector)
    together[row] = np.float32(score)
    return ArmContext(
        system=name_of(arm),
        score_alone=alone,
        score_inside=score,
        z_alone=arm.z(alone),
        z_inside=arm.z(score),
        rank_alone=rank_of(scores, row),
        rank_inside=rank_of(scores, row, score),
        rank_all_inside=rank_of(together, row),
        cosine=float(unit(inside) @ unit(arm.vectors[row])),
        window_start=start,
        window_end=end,
        window_tokens=len(found.tokens),
        passages_inside=count,
    )
