"""A score taken apart into its tokens: exact by the arithmetic of pooling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.encoders.spec import TextKind
from core.errors import LaboratoryError
from core.experiments.context import (
    Context,
    IndexedEncoder,
    SystemName,
    encode,
    name_of,
    readable,
    trace,
)
from core.experiments.experiment import PASSAGE, QUERY, Experiment, Place
from core.experiments.rendering import shares
from core.monitor import Monitor, SilentMonitor, raise_if_stopped

_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class TokenShare:
    """One token's exact part of the score."""

    token: str  # readable piece. Hostile text: escape it.
    start: int  # first character in the passage text; -1 for prompt and special tokens
    end: int  # one past the last
    share: float  # what it adds to the score; all shares add up to it


@dataclass(frozen=True, slots=True)
class TokenShares:
    """A score taken apart into its tokens.

    Exact as arithmetic: the embedding is a weighted mean of token states, so the score is a sum
    over tokens. It does not say what would happen without a token, since every state depends on
    the other tokens: deletion above says that.
    """

    system: SystemName  # the encoder
    score: float  # of query and passage
    shares: tuple[TokenShare, ...]  # one per token, in order
    residual: float  # ``score - sum of shares``: rounding only


@dataclass(frozen=True, slots=True)
class SharedScores:
    """A passage's tokens, and each encoder's shares where its pooling is linear."""

    text: str
    sides: tuple[TokenShares, ...]


def token_shares(indexed: IndexedEncoder, query: str, text: str) -> TokenShares:
    """Split the score of a passage exactly over its tokens.

    Raises:
        LaboratoryError: If the shares do not add up to the score: the pooling is not linear then,
            and no heat map is shown.
        EncodingError: If the encoder fails.
    """
    readable(query, what="query")
    readable(text)
    vector = encode(indexed.encoder, [query], kind=TextKind.QUERY)[0].astype(np.float64)
    score = float(
        encode(indexed.encoder, [text], kind=TextKind.PASSAGE)[0].astype(np.float64) @ vector
    )
    (found,) = trace(indexed.encoder, [text])
    weights, states = found.weights.astype(np.float64), found.states.astype(np.float64)
    length = float(np.linalg.norm(weights @ states))
    shares = weights * (states @ vector) / length if length > 0 else np.zeros(len(weights))
    residual = score - float(shares.sum())
    if abs(residual) > _TOLERANCE:
        raise LaboratoryError(
            f"{indexed.label} does not pool its tokens linearly, so a token has no exact share of the "
            "score. Look at the sentences instead."
        )
    return TokenShares(
        system=name_of(indexed),
        score=score,
        shares=tuple(
            TokenShare(token, int(start), int(end), float(share))
            for token, (start, end), share in zip(found.tokens, found.offsets, shares, strict=True)
        ),
        residual=residual,
    )


def both_token_shares(
    context: Context, query: str, passage_id: str, *, monitor: Monitor | None = None
) -> SharedScores:
    """Split both encoders' scores of a passage over its tokens.

    An encoder whose pooling is not linear is left out: no heat map where exactness is not given.

    Raises:
        LaboratoryError: If query or passage are unreadable.
        EncodingError: If an encoder fails.
        StoppedError: If stopped.
    """
    readable(query, what="query")
    text = readable(context.corpus.passage(passage_id).text)
    sides = []
    for indexed in context.encoders:
        raise_if_stopped(monitor or SilentMonitor())
        try:
            sides.append(token_shares(indexed, query, text))
        except LaboratoryError:
            continue
    return SharedScores(text, tuple(sides))


EXPERIMENTS = (
    Experiment(
        name="shares",
        verb="token_shares",
        title="Exact share of each token",
        about="Split the score of a passage exactly over its tokens, where pooling is linear.",
        fields=(QUERY, PASSAGE),
        record=SharedScores,
        run=both_token_shares,
        show=shares,
        place=Place.EVIDENCE,
        order=14,
    ),
)
