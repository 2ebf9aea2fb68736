"""Edit the last sentence and watch every earlier token: reading in both directions, made visible.

Under a causal mask a token cannot know what follows, so every state before the edit stays the
same, bit by bit. Under full attention they all move. No statistics, no threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.documents.sentences import sentence_spans
from core.encoders.spec import Attention, TextKind, TokenTrace
from core.errors import EncoderError, LaboratoryError
from core.experiments.attention import TokenChange, state_change, token_changes
from core.experiments.context import (
    IndexedEncoder,
    SystemName,
    each_encoder,
    name_of,
    pooled,
    raise_problems,
    readable,
    trace,
)
from core.experiments.experiment import PASSAGE, Experiment, Field, Kind
from core.monitor import Monitor, SilentMonitor
from core.render import Html, render, systems
from core.render.strips import named, strip
from core.render.systems import family_kind

_FILLERS = (" and", " a", ".")  # one of them is one token to every tokenizer met so far
_FULL_SHARE = 0.96  # of changed tokens lie below the full height of the picture
_ROUNDING = 1e-6  # of 1 - cosine: far above float32's rounding, far below what reading ahead does
DEFAULT_EDIT = "None of this happened."


@dataclass(frozen=True, slots=True)
class SentenceChange:
    """Mean change over the tokens of one earlier sentence."""

    number: int
    start: int
    end: int
    change: float


@dataclass(frozen=True, slots=True)
class EncoderEdit:
    """Effect of the edit on one encoder."""

    system: SystemName  # the encoder
    attention: Attention  # how it read
    strip: tuple[TokenChange, ...]  # every token before the edit, in order
    sentences: tuple[SentenceChange, ...]  # the same by sentence
    largest: float  # largest change of any earlier token
    mean: float  # mean change of earlier tokens
    unmoved: bool  # whether every earlier state is equal to what it was, bit by bit
    # between both embeddings of the whole text: the edit reaches the embedding through its own
    # tokens even where no earlier token moved
    cosine: float
    dropped: int  # tokens cut off by the limit
    problem: str  # why there is nothing to show; "" when all went well


@dataclass(frozen=True, slots=True)
class LastSentenceEdit:
    """One edit, both encoders."""

    before: str  # the text as it was
    after: str  # the text as edited
    edit_start: int  # first character of the edited sentence; the same in both
    removed: str  # the sentence that went
    added: str  # what came in its place
    a: EncoderEdit  # encoder A
    b: EncoderEdit  # encoder B
    summary: tuple[str, ...]  # the picture in a sentence or two


def edit_last_sentence(
    encoders: tuple[IndexedEncoder, IndexedEncoder],
    text: str,
    *,
    replacement: str = DEFAULT_EDIT,
    attention: Attention | None = None,
    monitor: Monitor | None = None,
) -> LastSentenceEdit:
    """Replace the last sentence of a text and compare every earlier token's state.

    Args:
        encoders: A, B.
        text: Two sentences or more.
        replacement: What stands there instead.
        attention: Read both encoders this way; None lets each read its own way.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If the text is unreadable, has one sentence, or the edit is empty or changes
            nothing.
        EncoderError: If both encoders failed.
        StoppedError: If stopped.
    """
    readable(text, what="text")
    spans = sentence_spans(text)
    if len(spans) < 2:
        raise LaboratoryError(
            "The text has one sentence, so nothing stands before the edit; choose a longer passage."
        )
    start, end = spans[-1]
    removed, added = text[start:end], replacement.strip()
    if not added:
        raise LaboratoryError(
            "Write a sentence to stand in its place; with nothing there no token after the edit "
            "could make itself felt."
        )
    if removed == added:
        raise LaboratoryError("The new last sentence is the old one; write another.")
    after = text[:start] + added
    sides = each_encoder(
        encoders,
        "editing the last sentence",
        lambda indexed: _side(indexed, text[:end], after, start, spans[:-1], attention),
        monitor=monitor or SilentMonitor(),
    )
    if all(side.problem for side in sides):
        raise_problems([side.problem for side in sides])
    return LastSentenceEdit(
        before=text[:end],
        after=after,
        edit_start=start,
        removed=removed,
        added=added,
        a=sides[0],
        b=sides[1],
        summary=tuple(_sentence(side) for side in sides),
    )


def show(found: LastSentenceEdit) -> Html:
    """Return the picture of reading in both directions: one edit, every earlier token's change."""
    return _edit("last_sentence", found, named, "beginning of the passage")


def picture(found: LastSentenceEdit) -> Html:
    """Return the edit in one picture: which earlier words notice that the last sentence changed."""
    return _edit(
        "live",
        found,
        lambda one: systems.named(one.family, systems.family_name(one.family, one.label)),
        "Computed now; each bar is a word.",
    )


def _edit(
    template: str, found: LastSentenceEdit, names: Callable[[SystemName], Html], caption: str
) -> Html:
    sides = (found.a, found.b)
    changes = sorted(
        token.change
        for side in sides
        for token in side.strip
        if math.isfinite(token.change) and token.change > 0
    )
    # one token that jumps must not flatten all others
    most = changes[int(len(changes) * _FULL_SHARE)] if changes else 1.0
    swap = render("swap", removed=found.removed, added=found.added)
    return render(
        template,
        found=found,
        named=named,
        most=most,
        names=names,
        caption=caption,
        beyond=sum(change > most for change in changes),
        sides=[
            (
                side,
                family_kind(side.system.family),
                strip(
                    found.before[: found.edit_start],
                    token_changes(side.strip),
                    kind=family_kind(side.system.family),
                    unit="change",
                    most=most,
                    tail=swap,
                ),
            )
            for side in sides
        ],
    )


EXPERIMENTS = (
    Experiment(
        name="last-sentence",
        verb="edit_last_sentence",
        title="Last sentence",
        about="Replace a passage's last sentence; return how far every earlier token's state moved.",
        hint="Replace the passage's last sentence and see which earlier tokens notice. An encoder "
        "that reads left to right cannot; one that reads in both directions does.",
        fields=(
            replace(PASSAGE, about="The passage; empty for the library's first."),
            Field(
                "replacement",
                Kind.TEXT,
                "The new last sentence.",
                label="New last sentence",
                default=DEFAULT_EDIT,
                most=2000,
            ),
        ),
        record=LastSentenceEdit,
        show=show,
        run=lambda context, *, passage_id, **rest: edit_last_sentence(
            context.encoders, context.corpus.passage(passage_id).text, **rest
        ),
        order=1,
    ),
)


def _side(
    indexed: IndexedEncoder,
    before: str,
    after: str,
    start: int,
    spans: tuple[tuple[int, int], ...],
    attention: Attention | None,
) -> EncoderEdit:
    how = attention or indexed.encoder.spec.attention
    try:
        one, two = trace(indexed.encoder, [before, after], attention=attention)
        count = _shared_tokens(one, two, start)
        _comparable(indexed, one, two, count)
        exact = _equal_at_one_length(indexed, (before, after), (one, two), count, attention)
    except (EncoderError, LaboratoryError) as exc:
        nothing = float("nan")
        return EncoderEdit(
            name_of(indexed), how, (), (), nothing, nothing, unmoved=False, cosine=nothing, dropped=0,
            problem=str(exc),
        )  # fmt: skip
    changes = [state_change(one.states[place], two.states[place]) for place in range(count)]
    changes = [
        0.0 if equal and change < _ROUNDING else change
        for equal, change in zip(exact, changes, strict=True)
    ]
    strip = tuple(
        TokenChange(token, int(start), int(end), change)
        for token, (start, end), change in zip(one.tokens, one.offsets, changes, strict=False)
    )
    return EncoderEdit(
        system=name_of(indexed),
        attention=how,
        strip=strip,
        sentences=_by_sentence(strip, spans),
        largest=max(changes),
        mean=float(np.mean(changes)),
        unmoved=not any(changes),
        cosine=float(pooled(one) @ pooled(two)),
        dropped=max(one.tokens_dropped, two.tokens_dropped),
        problem="",
    )


def _comparable(indexed: IndexedEncoder, one: TokenTrace, two: TokenTrace, count: int) -> None:
    """Refuse a comparison that could show no change whichever way the encoder reads.

    Raises:
        LaboratoryError: If the encoder got the same tokens twice, or none stands before the edit.
    """
    if np.array_equal(one.token_ids, two.token_ids):
        reason = (
            f"the edit lies beyond the {len(one.tokens):,} tokens that it reads. Choose a shorter "
            "passage or a higher limit"
            if one.tokens_dropped or two.tokens_dropped
            else "its tokenizer writes both sentences alike. Write another sentence"
        )
        raise LaboratoryError(
            f"{indexed.label} gets the same tokens before and after the edit: {reason}."
        )
    if not count:
        raise LaboratoryError(
            f"{indexed.label} has no token that ends before the edit; choose a longer passage."
        )


def _equal_at_one_length(
    indexed: IndexedEncoder,
    texts: tuple[str, str],
    traces: tuple[TokenTrace, TokenTrace],
    count: int,
    attention: Attention | None,
) -> NDArray[np.bool_]:
    """Tell which of the first ``count`` states are equal bit by bit, ``(count,)``.

    A text of another length, or in another row of a batch, is added up in another order, which
    moves states by rounding alone. So the states are compared once more, each text in a batch of
    its own and with filler after the shorter one until both have as many tokens. Nothing is cut
    off: both edits stay whole, and what is equal then depends on nothing that follows it; under
    full attention nothing is.
    """
    one, two = traces
    equal_texts = _filled(indexed, texts, traces)
    if equal_texts:
        filled = [trace(indexed.encoder, [text], attention=attention)[0] for text in equal_texts]
        same = all(np.array_equal(x.token_ids[:count], one.token_ids[:count]) for x in filled)
        if same and not np.array_equal(filled[0].token_ids, filled[1].token_ids):
            one, two = filled
    equal: NDArray[np.bool_] = (one.states[:count] == two.states[:count]).all(axis=1)
    return equal


def _filled(
    indexed: IndexedEncoder, texts: tuple[str, str], traces: tuple[TokenTrace, TokenTrace]
) -> tuple[str, ...]:
    """Return both texts with filler after the shorter, as many tokens each; () where none fits."""
    lengths = [len(found.tokens) for found in traces]
    gap = abs(lengths[0] - lengths[1])
    if not gap:
        return texts
    shorter = lengths.index(min(lengths))
    for filler in _FILLERS:
        tried = [texts[shorter] + filler * times for times in range(1, gap + 1)]
        received = indexed.encoder.received(tried, kind=TextKind.PASSAGE)
        for text, got in zip(tried, received, strict=True):
            if got.tokens_kept == max(lengths):
                return (text, texts[1]) if shorter == 0 else (texts[0], text)
    return ()


def _shared_tokens(one: TokenTrace, two: TokenTrace, start: int) -> int:
    """Return how many leading tokens are the same and end before the edit.

    A token that reaches into the edited sentence (a space before its first word, say) is part of
    the edit.
    """
    count = 0
    for place in range(min(len(one.tokens), len(two.tokens))):
        if one.token_ids[place] != two.token_ids[place] or one.offsets[place, 1] > start:
            break
        count += 1
    # an end token that both texts close with is no earlier token
    while (
        count and one.offsets[count - 1, 1] < 0 and count == min(len(one.tokens), len(two.tokens))
    ):
        count -= 1
    return count


def _by_sentence(
    strip: tuple[TokenChange, ...], spans: tuple[tuple[int, int], ...]
) -> tuple[SentenceChange, ...]:
    found = []
    for number, (start, end) in enumerate(spans, start=1):
        changes = [token.change for token in strip if token.start >= 0 and start < token.end <= end]
        if changes:
            found.append(SentenceChange(number, start, end, float(np.mean(changes))))
    return tuple(found)


def _sentence(side: EncoderEdit) -> str:
    if side.problem:
        return f"Nothing to show for {side.system.label}: {side.problem}"
    label = side.system.label
    if side.unmoved:
        reason = (
            "it reads forward only"
            if side.attention is Attention.CAUSAL
            else "nothing reached them"
        )
        return f"{label}: not one of {len(side.strip)} earlier tokens moved; {reason}."
    if side.attention is Attention.CAUSAL:
        return (
            f"{label}: earlier tokens moved by at most {side.largest:.1e}, rounding of the "
            "arithmetic; it reads forward only."
        )
    moved = sum(token.change > 0 for token in side.strip)
    return (
        f"{label}: {moved} of {len(side.strip)} earlier tokens moved, the most by "
        f"{side.largest:.2g} (1 - cosine); it reads in both directions."
        if side.attention is Attention.BIDIRECTIONAL
        else f"{label}: {moved} of {len(side.strip)} earlier tokens moved; it reads backward only."
    )
