"""The mean that is subtracted from a raw language model's embeddings: measured here, kept here.

Raw language models put all texts into a narrow cone; subtracting the mean of the corpus opens it.
The mean decides every vector, so it is measured once and kept: adding a document moves nothing.
Only while it stands on few passages is it measured again when the library has doubled.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.records import Passage
    from core.store.workspace import Workspace

CENTRE_PASSAGES = 512
LEAST_PASSAGES = 8  # with fewer, what is subtracted is mostly the passages themselves


@dataclass(frozen=True, slots=True, eq=False)
class Centre:
    """A measured mean."""

    mean: NDArray[np.float32]  # ``(dim,)`` float32, of pooled states before unit length
    passages: int  # how many it was measured on
    library_passages: int  # how many the library had then


def centre_sample(passages: Sequence[Passage]) -> list[str]:
    """Return the texts to measure on: all, or an even spread that chance alone decided."""
    spread = sorted(passages, key=lambda p: hashlib.sha256(p.passage_id.encode()).digest())
    return [passage.text for passage in spread[:CENTRE_PASSAGES]]


def needs_measuring(kept: Centre | None, passages: int) -> bool:
    """Whether a library of so many passages should measure (again); too few never do."""
    if passages < LEAST_PASSAGES:
        return False
    if kept is None:
        return True
    return kept.passages < CENTRE_PASSAGES and passages >= 2 * kept.library_passages


def keep_centre(workspace: Workspace, fingerprint: str, centre: Centre) -> None:
    """Keep a mean under the passage fingerprint of the encoder as it is without it."""
    stored = {
        "passages": centre.passages,
        "library_passages": centre.library_passages,
        "mean": base64.b64encode(centre.mean.astype("<f4").tobytes()).decode("ascii"),
    }
    workspace.put_fact(_fact(fingerprint), json.dumps(stored))


def kept_centre(workspace: Workspace, fingerprint: str) -> Centre | None:
    """Return the mean kept for an encoder; None where there is none that can be read."""
    text = workspace.fact(_fact(fingerprint))
    if text is None:
        return None
    try:
        stored = json.loads(text)
        mean = np.frombuffer(base64.b64decode(stored["mean"], validate=True), dtype="<f4")
        centre = Centre(
            mean.astype(np.float32), int(stored["passages"]), int(stored["library_passages"])
        )
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        return None  # it is measured again
    return centre if np.isfinite(centre.mean).all() else None


def _fact(fingerprint: str) -> str:
    return f"centre:{fingerprint}"
