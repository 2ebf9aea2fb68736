"""The same information in ever longer text: how fast does each encoder's embedding dilute?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from core.documents.sentences import sentence_spans
from core.encoders.spec import TextKind
from core.errors import EncoderError, LaboratoryError, StoppedError
from core.experiments.context import (
    Context,
    Floats,
    IndexedEncoder,
    SystemName,
    encode,
    guarded,
    most_tokens,
    name_of,
    raise_problems,
    rank_of,
    readable,
)
from core.experiments.experiment import PASSAGE, QUERY, Experiment, Field, Kind
from core.experiments.late_context import nested_windows
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.render import Html, render
from core.render.plots import line_chart
from core.render.strips import named
from core.render.systems import family_kind
from core.words import way

DEFAULT_LARGEST = 2048
_STEP = 1.6  # each text is about this many times longer than the last


class Growth(StrEnum):
    """On which side of the passage text is added."""

    BOTH = "both"
    BEFORE = "before"  # the passage stays at the end
    AFTER = "after"  # the passage stays at the beginning


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """One encoder at one length."""

    start: int  # first character of the text in the document
    end: int  # one past its last
    tokens: int  # tokens of the text for this encoder
    tokens_kept: int  # tokens it read
    passage_kept: bool  # whether the whole passage lies within what it read
    score: float  # of the query and the grown text
    z: float  # against the background of passages; NaN without one
    rank: int  # of the grown text among all other passages of the library, each as it is


@dataclass(frozen=True, slots=True)
class GrowingText:
    """Both encoders' curves."""

    query: str  # what was asked
    passage_id: str  # the passage that is padded
    growth: Growth  # side
    corpus_size: int  # passages the ranks are out of
    a: SystemName  # system A
    b: SystemName  # system B
    points_a: tuple[GrowthPoint, ...]  # by length
    points_b: tuple[GrowthPoint, ...]  # same lengths
    notes: tuple[str, ...]  # what the reader should know
    stopped: bool  # whether the user stopped it
    problem: str  # why one encoder ends early; "" when none does
    summary: tuple[str, ...] = ()


def grow(
    context: Context,
    query: str,
    passage_id: str,
    *,
    growth: Growth = Growth.BOTH,
    largest_tokens: int = DEFAULT_LARGEST,
    monitor: Monitor | None = None,
) -> GrowingText:
    """Pad a passage with the rest of its document step by step and follow score and rank.

    Args:
        context: Both encoders over the corpus.
        query: What was asked.
        passage_id: The passage.
        growth: On which side text is added.
        largest_tokens: The longest text, counted by the encoder that needs more tokens.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If the passage is unreadable or is the whole document.
        EncoderError: If both encoders failed at once.
        StoppedError: If stopped before both encoders had a point.
    """
    readable(query, what="query")
    row = context.corpus.position(passage_id)
    passage = context.corpus.passages[row]
    readable(passage.text)
    document = context.corpus.texts.get(passage.doc_id, "")
    windows = _windows(context, document, (passage.start, passage.end), growth, largest_tokens)
    watch = monitor or SilentMonitor()
    points: list[list[GrowthPoint]] = [[], []]
    scores: dict[int, tuple[Floats, Floats]] = {}
    problems = ["", ""]
    stopped = False
    steps = [(window, side) for window in windows for side in (0, 1)]
    for step, (window, side) in enumerate(steps):
        indexed = context.encoders[side]
        watch.report(Progress("growing the text", step, len(steps), indexed.label))
        try:
            raise_if_stopped(watch)
            if problems[side]:
                continue
            if side not in scores:
                vector = encode(indexed.encoder, [query], kind=TextKind.QUERY)[0]
                scores[side] = (vector, indexed.vectors @ vector)
            points[side].append(_point(indexed, document, window, passage.end, row, *scores[side]))
        except StoppedError:
            if not all(points):
                raise
            stopped = True
            break
        except EncoderError as exc:
            problems[side] = str(exc)
    if not any(points):
        raise_problems(problems)
    watch.report(Progress("growing the text", len(steps), len(steps)))
    return GrowingText(
        query=query,
        passage_id=passage_id,
        growth=growth,
        corpus_size=len(context.corpus.passages),
        a=name_of(context.a),
        b=name_of(context.b),
        points_a=tuple(points[0]),
        points_b=tuple(points[1]),
        notes=(
            "The other passages keep their own length, so a falling rank says that the longer text "
            "loses against short ones, as it would in a library of mixed lengths.",
        ),
        stopped=stopped,
        problem=" ".join(problem for problem in problems if problem),
        summary=tuple(
            sentence
            for indexed, curve in zip(context.encoders, points, strict=True)
            for sentence in _words(indexed, curve)
        ),
    )


def show(found: GrowingText) -> Html:
    """Return both encoders' rank and z against the length of the text around the passage."""
    sides = ((found.a, found.points_a), (found.b, found.points_b))
    charts = {}
    for name, y_title in (("rank", f"rank among {found.corpus_size:,}"), ("z", "z")):
        charts[name] = line_chart(
            [
                (
                    system.label,
                    family_kind(system.family),
                    [(float(point.tokens), float(getattr(point, name))) for point in points],
                )
                for system, points in sides
            ],
            x_title="tokens of the text",
            y_title=y_title,
            label=f"{name.capitalize() if name == 'rank' else name} against length",
            y_reversed=name == "rank",
            x_log=True,
        )
    return render(
        "growing", found=found, named=named, sides=sides, ranks=charts["rank"], scores=charts["z"]
    )


EXPERIMENTS = (
    Experiment(
        name="growing",
        verb="growing_text",
        title="Growing text",
        about="Pad a passage with the rest of its document step by step; follow rank and score.",
        hint="Does a longer passage hide what you look for? Pad the passage with the rest of its "
        "document, step by step; follow rank and score. Some ten seconds.",
        fields=(
            QUERY,
            PASSAGE,
            Field(
                "side",
                Kind.CHOICE,
                "Where text is added: both, before or after.",
                label="Text is added",
                default=Growth.BOTH.value,
                choices={
                    Growth.BOTH.value: "on both sides",
                    Growth.BEFORE.value: "before the passage",
                    Growth.AFTER.value: "after it",
                },
            ),
        ),
        record=GrowingText,
        show=show,
        run=lambda context, *, side, **rest: grow(context, growth=Growth(side), **rest),
        order=3,
    ),
)


def _words(indexed: IndexedEncoder, points: Sequence[GrowthPoint]) -> list[str]:
    if len(points) < 2:
        return []
    first, last = points[0], points[-1]
    cut = next((point for point in points if not point.passage_kept), None)
    words = (
        f"{indexed.label}: from {first.tokens:,} to {last.tokens:,} tokens the passage "
        f"{way(first.rank, last.rank)}"
    )
    if last.tokens_kept < last.tokens:
        words += f"; it reads no more than {last.tokens_kept:,} of them"
    if cut is not None:
        words += f"; from {cut.tokens:,} tokens on part of it is cut off"
    return [f"{words}."]


def _windows(
    context: Context, document: str, inner: tuple[int, int], growth: Growth, largest: int
) -> list[tuple[int, int]]:
    if growth is Growth.BOTH:
        every = nested_windows(document, inner)
    else:
        edges = sentence_spans(document)
        every = [inner]
        if growth is Growth.BEFORE:
            every += [(start, inner[1]) for start, _ in reversed(edges) if start < inner[0]]
        else:
            every += [(inner[0], end) for _, end in edges if end > inner[1]]
    if len(every) < 2:
        side = "around" if growth is Growth.BOTH else str(growth)
        raise LaboratoryError(
            f"There is no text {side} this passage in its document; choose another passage."
        )
    chosen = [every[0]]
    length = every[0][1] - every[0][0]
    for window in every[1:]:
        if window[1] - window[0] >= length * _STEP or window == every[-1]:
            if most_tokens(context, document[slice(*window)]) > largest:
                break
            chosen.append(window)
            length = window[1] - window[0]
    if len(chosen) < 2:
        raise LaboratoryError(
            f"The passage does not fit into {largest:,} tokens with anything around it; "
            "choose a larger limit or smaller passages."
        )
    return chosen


def _point(
    indexed: IndexedEncoder,
    document: str,
    window: tuple[int, int],
    passage_end: int,
    row: int,
    vector: Floats,
    scores: Floats,
) -> GrowthPoint:
    start, end = window
    text = document[start:end]
    whole, head = guarded(
        indexed.encoder,
        lambda: indexed.encoder.received(
            [text, document[start:passage_end]], kind=TextKind.PASSAGE
        ),
    )
    embedded = encode(indexed.encoder, [text], kind=TextKind.PASSAGE)[0]
    score = float(embedded.astype(np.float64) @ vector.astype(np.float64))
    return GrowthPoint(
        start=start,
        end=end,
        tokens=whole.tokens_total,
        tokens_kept=whole.tokens_kept,
        passage_kept=head.tokens_total <= whole.tokens_kept,
        score=score,
        z=indexed.z(score),
        rank=rank_of(scores, row, score),
    )
