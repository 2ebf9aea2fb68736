"""Is it a language model? Token losses of both arms on held-out text, and infilling samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.encoders.spec import Attention
from core.training.adaptation import masked_token_loss, next_token_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from core.training.network import AdaptedNetwork

MASK_RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True, slots=True)
class Infilling:
    """A masked sentence and what the arm wrote into it.

    Attributes:
        original: The text before masking.
        masked: With ``[MASK]`` for every hidden token.
        filled: The arm's most likely completion, most certain token first.
    """

    original: str
    masked: str
    filled: str


@torch.inference_mode()
def masked_losses(
    network: AdaptedNetwork,
    sequences: NDArray[np.int64],
    *,
    attention: Attention,
    ratios: Sequence[float] = MASK_RATIOS,
    batch: int = 8,
    seed: int = 0,
) -> dict[float, float]:
    """Mean cross-entropy in nats of masked tokens, by mask ratio.

    The same tokens are masked whatever network is measured.
    """
    found = {}
    for ratio in ratios:
        generator = torch.Generator().manual_seed(seed)
        total, count = 0.0, 0
        for at in range(0, len(sequences), batch):
            ids = torch.from_numpy(sequences[at : at + batch])
            masked = torch.rand(ids.shape, generator=generator) < ratio
            scored = int(masked[:, 1:].sum())
            if scored == 0:
                continue
            ids, masked = ids.to(network.device), masked.to(network.device)
            _, final = network.states(ids, attention=attention, layers=[], masked=masked)
            total += float(masked_token_loss(network, final, ids, masked)) * scored
            count += scored
        found[ratio] = total / max(count, 1)
    return found


@torch.inference_mode()
def next_token_losses(
    network: AdaptedNetwork,
    sequences: NDArray[np.int64],
    *,
    batch: int = 8,
) -> float:
    """Mean cross-entropy in nats of every token given those before it."""
    losses = [
        float(next_token_loss(network, torch.from_numpy(rows).to(network.device))) * len(rows)
        for rows in (sequences[at : at + batch] for at in range(0, len(sequences), batch))
    ]
    return sum(losses) / max(len(sequences), 1)


def unigram_loss(
    stream: NDArray[np.uint16],
    sequences: NDArray[np.int64],
    *,
    vocabulary: int,
) -> float:
    """Mean cross-entropy in nats of the sequences' tokens under add-one counts of the stream."""
    counts = np.bincount(stream, minlength=vocabulary) + 1
    probabilities = counts / counts.sum()
    return float(-np.log(probabilities[sequences[:, 1:]]).mean())


@torch.inference_mode()
def infill(
    network: AdaptedNetwork,
    tokenizer: Tokenizer,
    text: str,
    *,
    ratio: float,
    seed: int = 0,
) -> Infilling:
    """Mask part of a text and let the arm fill it in, the most certain token first.

    Deterministic: at each of as many steps as there are masks, the token of highest probability
    over all masked places is set.
    """
    original = tokenizer.encode(text, add_special_tokens=False).ids
    ids = torch.tensor([original], device=network.device)
    draws = torch.rand(ids.shape, generator=torch.Generator().manual_seed(seed))
    masked = (draws < ratio).to(network.device)
    masked[:, 0] = False  # nothing stands before the first token to predict it from
    pieces = [
        "[MASK]" if hidden else tokenizer.decode([token])
        for token, hidden in zip(original, masked[0].tolist(), strict=True)
    ]
    while bool(masked.any()):
        _, final = network.states(ids, attention=Attention.BIDIRECTIONAL, layers=[], masked=masked)
        places = masked[0].nonzero().flatten()
        certainty, choice = network.logits(final[0, places - 1]).softmax(dim=-1).max(dim=-1)
        best = int(certainty.argmax())
        ids[0, places[best]] = choice[best]
        masked[0, places[best]] = False
    return Infilling(
        original=text,
        masked="".join(pieces),
        filled=tokenizer.decode(ids[0].tolist()),
    )
