"""Does the sentence that one encoder seems to need most really matter more than another?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from core.encoders.spec import TextKind
from core.experiments.context import Floats, IndexedEncoder, encode
from core.experiments.evidence import Effect, Faithfulness, Part
from core.experiments.parts import without

CONTEXTS = 8  # random copies of the passage, the same for both encoders
_SHARE_REMOVED = 0.5  # of the sentences that are not the one named


def draw_copies(count: int, *, seed: int) -> tuple[tuple[int, ...], ...]:
    """Draw a random order of all sentences (0-based) per copy; none below three sentences.

    Which of them a copy lacks follows from its order, whichever sentence an encoder names: both encoders
    are tested on the same draw.
    """
    if count < 3:
        return ()
    generator = np.random.default_rng(seed)
    return tuple(
        tuple(int(place) for place in generator.permutation(count)) for _ in range(CONTEXTS)
    )


def check_faithfulness(
    indexed: IndexedEncoder,
    query: Floats,
    text: str,
    parts: Sequence[Part],
    effects: Sequence[Effect],
    top: int,
    copies: Sequence[Sequence[int]],
) -> Faithfulness:
    """Delete the named sentence, and in turn a random other, from copies of the passage.

    Args:
        indexed: The encoder that named it.
        query: ``(dim,)`` the query's embedding.
        text: The passage.
        parts: Its sentences.
        effects: What leaving each of them out of the whole passage does.
        top: Number of the sentence named.
        copies: As `draw_copies` gave them.

    Raises:
        EncodingError: If the encoder fails.
    """
    named = top - 1
    top_drop = -effects[named].score_change
    others_drop = float(
        np.mean([-effect.score_change for effect in effects if effect.number != top])
    )
    if not copies:
        return Faithfulness(top, top_drop, others_drop, 0, math.nan, math.nan, math.nan)
    texts: list[str] = []
    for order in copies:
        others = [place for place in order if place != named]
        random_other = others[-1]
        gone = set(others[: int(len(others) * _SHARE_REMOVED)]) - {random_other}
        texts.append(without(text, parts, gone))
        texts.append(without(text, parts, gone | {named}))
        texts.append(without(text, parts, gone | {random_other}))
    rows = encode(indexed.encoder, texts, kind=TextKind.PASSAGE).astype(np.float64)
    values = (rows @ query.astype(np.float64)).reshape(-1, 3)
    top_drops = values[:, 0] - values[:, 1]
    other_drops = values[:, 0] - values[:, 2]
    wins = np.where(top_drops > other_drops, 1.0, np.where(top_drops == other_drops, 0.5, 0.0))
    return Faithfulness(
        top=top,
        top_drop=top_drop,
        others_drop=others_drop,
        contexts=len(copies),
        context_top_drop=float(top_drops.mean()),
        context_other_drop=float(other_drops.mean()),
        wins=float(wins.mean()),
    )
