"""A teacher's vectors, computed once per text; both encoders learn from the very same numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_CHARS = 800  # the teacher reads 128 word pieces; more text would only be truncated again
_BLOCK = 2048


def teacher_rows(model: Path, texts: Sequence[str], *, cache: Path, device: str = "cpu") -> None:
    """Embed texts with a sentence-transformers model and keep the vectors.

    What the cache holds already is not computed again; it is written after every block of texts.

    Args:
        model: Folder of the model.
        texts: Queries and passages.
        cache: ``.npz`` file.
        device: Where it runs.
    """
    from sentence_transformers import SentenceTransformer  # Late: needed for training only.

    kept = _read(cache)
    missing = list({_key(text): text for text in texts if _key(text) not in kept}.items())
    missing.sort(key=lambda entry: min(len(entry[1]), _CHARS))
    encoder = SentenceTransformer(str(model), device=device)
    encoder.max_seq_length = 128
    for at in range(0, len(missing), _BLOCK):
        block = missing[at : at + _BLOCK]
        rows = encoder.encode(
            [text[:_CHARS] for _, text in block],
            batch_size=64,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        kept |= {key: row.astype(np.float16) for (key, _), row in zip(block, rows, strict=True)}
        beside = cache.with_suffix(".writing.npz")
        np.savez(beside, keys=np.array(list(kept)), rows=np.stack(list(kept.values())))
        beside.replace(cache)


def read_teacher(cache: Path, texts: Sequence[str]) -> dict[str, Tensor]:
    """Kept vectors of those texts that have one: unit rows, float32."""
    kept = _read(cache)
    keys = {text: _key(text) for text in texts}
    return {
        text: torch.nn.functional.normalize(torch.from_numpy(kept[key].astype(np.float32)), dim=-1)
        for text, key in keys.items()
        if key in kept
    }


def _read(cache: Path) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float16]]]:
    if not cache.exists():
        return {}
    with np.load(cache) as saved:
        return dict(zip(saved["keys"].tolist(), saved["rows"], strict=True))


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:24]
