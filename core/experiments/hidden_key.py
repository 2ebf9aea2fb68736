"""A key hidden in the user's own text: at which depth and length does each encoder still find it?

After LongEmbed's personalised passkey (dwzhu/LongEmbed), which is what the paper's Table 2
measures. Truncation alone sets a ceiling on such a map; it is drawn with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.documents.sentences import sentence_spans
from core.encoders.spec import TextKind
from core.errors import EncoderError, LaboratoryError, StoppedError
from core.experiments.context import (
    Context,
    Floats,
    Hushed,
    IndexedEncoder,
    SystemName,
    encode,
    guarded,
    limit_of,
    most_tokens,
    name_of,
    readable,
)
from core.experiments.experiment import DOCUMENT, SEED, Experiment, Field, Kind
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.records import Family
from core.render import Html, render, systems
from core.render.strips import named
from core.render.systems import family_kind
from core.search.lexical import LexicalIndex
from core.words import DASH, percent

DEFAULT_LENGTHS = (128, 256, 512, 1024)
LENGTHS = (*DEFAULT_LENGTHS, 2048, 4096)
DEFAULT_DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
DEFAULT_COPIES = 6

_FIRST_NAMES = (
    "Ada", "Bruno", "Carla", "Dario", "Edith", "Felix", "Greta", "Hugo", "Irene", "Jonas",
    "Karin", "Lucas", "Mona", "Nils", "Olga", "Pavel", "Rosa", "Simon", "Tilda", "Viktor",
)  # fmt: skip
_LAST_NAMES = (
    "Almeida", "Berger", "Castell", "Dahlin", "Ekman", "Fontaine", "Grünwald", "Holm", "Ivanov",
    "Jansson", "Keller", "Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Sandoval",
    "Tanaka", "Weber",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """One planted fact: the sentence hidden in a copy, and the query that asks for it."""

    name: str
    number: int

    @property
    def sentence(self) -> str:
        """Planted sentence."""
        return f"The pass key of {self.name} is {self.number}. Remember it: {self.number}."

    @property
    def query(self) -> str:
        """Query."""
        return f"What is the pass key of {self.name}?"


@dataclass(frozen=True, slots=True)
class KeyCell:
    """One depth at one length."""

    depth: float  # where the key stands: 0 before the first sentence, 1 after the last
    length: int  # nominal tokens of a copy
    tokens_a: float  # tokens a copy really has for A, on average
    tokens_b: float  # for B
    # share of keys whose copy comes first; a tie for first counts 1/(tied). NaN where the encoder
    # failed.
    accuracy_a: float
    accuracy_b: float  # for B
    accuracy_lexical: float  # for BM25
    kept_a: float  # share of copies whose key lies within what A reads
    kept_b: float  # within what B reads
    ceiling_a: float  # what A could reach at most: the kept, and chance for the rest
    ceiling_b: float  # for B


@dataclass(frozen=True, slots=True)
class HiddenKeyMap:
    """The whole map."""

    a: SystemName  # system A
    b: SystemName  # system B
    depths: tuple[float, ...]  # columns asked for
    lengths: tuple[int, ...]  # rows that the document is long enough for
    copies: int  # copies per cell, each with a key of its own; one query per copy
    chance: float  # accuracy of guessing: 1 / copies
    cells: tuple[KeyCell, ...]  # by length, then depth; those finished
    truncation_a: int  # tokens at which A stops reading: draw the line above lengths beyond it
    truncation_b: int  # for B
    notes: tuple[str, ...]  # what the reader should know
    stopped: bool  # whether the user stopped it
    problem: str  # why an encoder has no figures from some cell on; "" when all went well
    summary: tuple[str, ...] = ()

    def ceiling(self, length: int) -> tuple[float, float]:
        """Return both encoders' mean ceiling over the depths of one length; NaN where none is done."""
        row = [cell for cell in self.cells if cell.length == length]
        if not row:
            return math.nan, math.nan
        return (
            sum(cell.ceiling_a for cell in row) / len(row),
            sum(cell.ceiling_b for cell in row) / len(row),
        )


def draw_keys(count: int, *, seed: int) -> tuple[Key, ...]:
    """Draw different names with different five-digit numbers."""
    generator = np.random.default_rng(seed)
    names = [f"{first} {last}" for first in _FIRST_NAMES for last in _LAST_NAMES]
    chosen = generator.choice(len(names), size=count, replace=False)
    numbers = generator.choice(np.arange(10_000, 100_000), size=count, replace=False)
    return tuple(
        Key(names[int(place)], int(number)) for place, number in zip(chosen, numbers, strict=True)
    )


def hidden_key(
    context: Context,
    text: str,
    *,
    lengths: Sequence[int] = DEFAULT_LENGTHS,
    depths: Sequence[float] = DEFAULT_DEPTHS,
    copies: int = DEFAULT_COPIES,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> HiddenKeyMap:
    """Plant keys in copies of a text at every depth and length and ask for each of them.

    In a cell all copies are the same stretch of the text but for the key planted at the same
    depth: only the key can tell them apart. Lengths are counted by the encoder that needs more
    tokens, so that neither reads more than the label says.

    Args:
        context: Both encoders; their corpus is not searched here.
        text: The user's own text; its beginning is used.
        lengths: Tokens per copy, key included. Those the text is too short for are left out.
        depths: 0 to 1.
        copies: Keys per cell, 2 to 100.
        seed: Decides names and numbers.
        monitor: Hears progress after every cell; may stop.

    Returns:
        The map; what was finished when stopped or when an encoder failed half-way (the other encoder's
        figures go on).

    Raises:
        LaboratoryError: If the text is unreadable, shorter than the key, or shorter than every
            length asked for; or an option is out of range.
        StoppedError: If stopped before the first cell was done.
    """
    readable(text, what="document")
    _check(lengths, depths, copies)
    keys = draw_keys(copies, seed=seed)
    _require_room(context, text, keys)
    stretches = _stretches(context, text, sorted(set(lengths)), keys)
    watch = monitor or SilentMonitor()
    total = len(stretches) * len(depths)
    cells: list[KeyCell] = []
    failed: dict[int, str] = {}
    queries: dict[int, Floats] = {}
    stopped = False
    for length, stretch in stretches.items():
        for depth in sorted(set(depths)):
            watch.report(
                Progress("hiding keys", len(cells), total, f"{length:,} tokens, depth {depth:.0%}")
            )
            try:
                raise_if_stopped(watch)
                cells.append(_cell(context, stretch, length, depth, keys, queries, failed, watch))
            except StoppedError:
                if not cells:
                    raise
                stopped = True
                break
        if stopped:
            break
    watch.report(Progress("hiding keys", len(cells), total))
    return HiddenKeyMap(
        a=name_of(context.a),
        b=name_of(context.b),
        depths=tuple(sorted(set(depths))),
        lengths=tuple(stretches),
        copies=copies,
        chance=1 / copies,
        cells=tuple(cells),
        truncation_a=limit_of(context.a.encoder),
        truncation_b=limit_of(context.b.encoder),
        notes=_notes(lengths, stretches, copies),
        stopped=stopped,
        problem=" ".join(failed[side] for side in sorted(failed)),
        summary=_summary(context, cells, copies),
    )


def _in_document(
    context: Context,
    *,
    doc_id: str,
    longest: int,
    copies: int,
    seed: int,
    monitor: Monitor | None = None,
) -> HiddenKeyMap:
    """Hide keys in a document of the library, up to a length in tokens."""
    return hidden_key(
        context,
        context.corpus.text(doc_id),
        lengths=[length for length in LENGTHS if length <= longest],
        copies=copies,
        seed=seed,
        monitor=monitor,
    )


def show(found: HiddenKeyMap) -> Html:
    """Return three maps, depth by length, with the line where truncation begins."""
    by_place = {(cell.length, cell.depth): cell for cell in found.cells}

    def rows(side: str) -> list[tuple[int, list[tuple[float | None, float]]]]:
        """Accuracy of every cell, None where it is missing, and the most that truncation allows."""
        lines = []
        for length in found.lengths:
            cells = [by_place.get((length, depth)) for depth in found.depths]
            values = [
                math.nan if one is None else getattr(one, f"accuracy_{side}") for one in cells
            ]
            ceilings = [getattr(one, f"ceiling_{side}", 1.0) for one in cells]
            shown = [value if math.isfinite(value) else None for value in values]
            lines.append((length, list(zip(shown, ceilings, strict=True))))
        return lines

    means = []
    for length in found.lengths:
        cells = [cell for cell in found.cells if cell.length == length]
        values = [
            sum(getattr(cell, f"accuracy_{side}") for cell in cells) / len(cells)
            for side in ("a", "b", "lexical")
            if cells
        ]
        if cells:
            shown = [
                DASH if math.isnan(value) else f"{value:.0%}"
                for value in (*values, *found.ceiling(length))
            ]
            means.append((length, shown))
    return render(
        "hidden_key",
        found=found,
        means=means,
        maps=[
            (named(found.a), family_kind(found.a.family), rows("a"), found.truncation_a),
            (named(found.b), family_kind(found.b.family), rows("b"), found.truncation_b),
            (systems.named(Family.LEXICAL, "BM25"), "lex", rows("lexical"), 0),
        ],
    )


EXPERIMENTS = (
    Experiment(
        name="hidden-key",
        verb="hidden_key",
        title="Hidden key",
        about="Plant a key at several depths and lengths of a document and ask for it.",
        hint="Would the encoders find a fact deep inside a long text? Plant a key at several depths "
        "in copies of the document (the query above is not used), cut to several lengths, and ask "
        "for it. One or two minutes; Stop keeps what is finished.",
        fields=(
            DOCUMENT,
            Field(
                "longest",
                Kind.NUMBER,
                "Longest text in tokens.",
                label="Longest text in tokens",
                default=1024,
                least=LENGTHS[0],
                most=LENGTHS[-1],
                choices={length: f"{length:,}" for length in LENGTHS[2:]},
            ),
            Field(
                "copies",
                Kind.NUMBER,
                "Keys per cell, 2 to 20.",
                label="Keys per cell",
                default=DEFAULT_COPIES,
                least=2,
                most=20,
            ),
            SEED,
        ),
        record=HiddenKeyMap,
        show=show,
        run=_in_document,
        heavy=True,
        order=4,
    ),
)


def _check(lengths: Sequence[int], depths: Sequence[float], copies: int) -> None:
    if not lengths or min(lengths) < 16:
        raise LaboratoryError("Lengths must be 16 tokens or more, and at least one.")
    if not depths or min(depths) < 0 or max(depths) > 1:
        raise LaboratoryError("Depths must lie between 0 (the beginning) and 1 (the end).")
    if not 2 <= copies <= 100:
        raise LaboratoryError(f"{copies} copies were asked for; choose 2 to 100.")


def _require_room(context: Context, text: str, keys: Sequence[Key]) -> None:
    longest = max(keys, key=lambda key: len(key.sentence)).sentence
    need, have = most_tokens(context, longest), most_tokens(context, text)
    if have < need:
        raise LaboratoryError(
            f"The document has {have:,} tokens, the hidden sentence alone needs {need:,}; "
            "choose a longer document."
        )


def _stretches(
    context: Context, text: str, lengths: Sequence[int], keys: Sequence[Key]
) -> dict[int, str]:
    """Return, per length, the longest beginning of the text (in sentences) that fits with a key."""
    spans = sentence_spans(text)
    longest = max(keys, key=lambda key: len(key.sentence)).sentence
    whole = most_tokens(context, f"{text} {longest}")
    found: dict[int, str] = {}
    for length in lengths:
        low, high = 0, len(spans)  # how many sentences
        while low < high:
            middle = (low + high + 1) // 2
            if most_tokens(context, f"{text[: spans[middle - 1][1]]} {longest}") <= length:
                low = middle
            else:
                high = middle - 1
        if low == 0 or (low == len(spans) and whole < 0.75 * length):
            continue  # one sentence is too long for it, or the text too short
        found[length] = text[: spans[low - 1][1]]
    if not found:
        asked = ", ".join(f"{length:,}" for length in lengths)
        reason = (
            "is shorter than every length asked for"
            if whole < min(lengths)
            else "has no beginning of whole sentences that fits a length asked for"
        )
        raise LaboratoryError(
            f"The document ({whole:,} tokens with the hidden sentence) {reason} ({asked}); choose "
            "other lengths or another document."
        )
    return found


def plant(stretch: str, sentence: str, depth: float) -> tuple[str, int, int]:
    """Put a sentence between two sentences of a text.

    Args:
        stretch: The text.
        sentence: What is hidden.
        depth: 0 before the first sentence, 1 after the last, by characters in between.

    Returns:
        The new text and the range of the planted sentence in it.
    """
    spans = sentence_spans(stretch)
    borders = [0, *(end for _, end in spans)]
    place = min(borders, key=lambda border: (abs(border - depth * len(stretch)), border))
    before, after = stretch[:place].rstrip(), stretch[place:].lstrip()
    head = f"{before} " if before else ""
    tail = f" {after}" if after else ""
    return f"{head}{sentence}{tail}", len(head), len(head) + len(sentence)


def _cell(
    context: Context,
    stretch: str,
    length: int,
    depth: float,
    keys: Sequence[Key],
    queries: dict[int, Floats],
    failed: dict[int, str],
    watch: Monitor,
) -> KeyCell:
    planted = [plant(stretch, key.sentence, depth) for key in keys]
    texts = [text for text, _, _ in planted]
    accuracy = [math.nan, math.nan]
    for side, indexed in enumerate(context.encoders):
        if side in failed:
            continue
        try:
            if side not in queries:
                queries[side] = encode(
                    indexed.encoder, [key.query for key in keys], kind=TextKind.QUERY
                )
            rows = encode(indexed.encoder, texts, kind=TextKind.PASSAGE, monitor=Hushed(watch))
        except EncoderError as exc:
            failed[side] = f"{exc} Its cells from {length:,} tokens on are empty."
            continue
        accuracy[side] = first_place(queries[side] @ rows.T)
    lexical = LexicalIndex([f"copy{number:03d}" for number in range(len(texts))], texts)
    words = np.stack([lexical.scores(key.query) for key in keys])
    accounts = [_kept(indexed, planted, len(keys)) for indexed in context.encoders]
    return KeyCell(
        depth=depth,
        length=length,
        tokens_a=accounts[0][0],
        tokens_b=accounts[1][0],
        accuracy_a=accuracy[0],
        accuracy_b=accuracy[1],
        accuracy_lexical=first_place(words),
        kept_a=accounts[0][1],
        kept_b=accounts[1][1],
        ceiling_a=accounts[0][2],
        ceiling_b=accounts[1][2],
    )


def first_place(scores: Floats) -> float:
    """Return the expected share of rows whose diagonal comes first, ties broken by chance.

    Args:
        scores: ``(keys, copies)``, square; row i asks for copy i.

    >>> first_place(np.array([[0.9, 0.1], [0.5, 0.5]], dtype=np.float32))
    0.75
    """
    won = 0.0
    for row, line in enumerate(scores):
        # equal to float32 noise: copies cut before the key are one and the same text
        level = np.abs(line - line[row]) <= 1e-6
        if not np.any((line > line[row]) & ~level):
            won += 1.0 / int(level.sum())
    return won / len(scores)


def _kept(
    indexed: IndexedEncoder, planted: Sequence[tuple[str, int, int]], copies: int
) -> tuple[float, float, float]:
    """Return mean tokens, the share of copies whose key is read whole, and the ceiling."""
    received = guarded(
        indexed.encoder,
        lambda: (
            indexed.encoder.received([text for text, _, _ in planted], kind=TextKind.PASSAGE),
            indexed.encoder.received(
                [text[:end] for text, _, end in planted], kind=TextKind.PASSAGE
            ),
        ),
    )
    whole, to_key = received
    read = [head.tokens_total <= full.tokens_kept for full, head in zip(whole, to_key, strict=True)]
    share = sum(read) / len(read)
    tokens = sum(full.tokens_total for full in whole) / len(whole)
    return tokens, share, share + (1 - share) / copies


def _summary(context: Context, cells: Sequence[KeyCell], copies: int) -> tuple[str, ...]:
    columns = (
        (context.a.label, [cell.accuracy_a for cell in cells]),
        (context.b.label, [cell.accuracy_b for cell in cells]),
        ("BM25", [cell.accuracy_lexical for cell in cells]),
    )
    shares = []
    for label, values in columns:
        known = [value for value in values if not math.isnan(value)]
        if known:
            shares.append(f"{label} {percent(sum(known) / len(known))}")
    sentences = [
        f"Keys found over {len(cells)} cells: {', '.join(shares)}; guessing finds "
        f"{percent(1 / copies)}."
    ]
    for indexed, kept in zip(
        context.encoders,
        ([cell.kept_a for cell in cells], [cell.kept_b for cell in cells]),
        strict=True,
    ):
        if min(kept) < 1:
            sentences.append(
                f"{indexed.label} stops reading at {limit_of(indexed.encoder):,} tokens: in "
                f"{sum(share < 1 for share in kept)} of {len(kept)} cells the key lies beyond, and "
                "what is missed there says nothing about the encoder."
            )
    return tuple(sentences)


def _notes(lengths: Sequence[int], stretches: dict[int, str], copies: int) -> tuple[str, ...]:
    notes = [
        f"Each cell asks {copies} questions, so one answer more or less is {100 / copies:.0f} "
        "points; use more copies before reading small differences."
    ]
    left_out = [f"{length:,}" for length in sorted(set(lengths)) if length not in stretches]
    if left_out:
        notes.append(f"The document does not fit {', '.join(left_out)} tokens; left out.")
    return tuple(notes)
