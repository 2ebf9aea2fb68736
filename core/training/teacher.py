"""A teacher's vectors, computed once per text; both arms learn from the very same numbers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_BATCH = 64
_CHARS = 800  # the teacher reads 256 word pieces; more text would only be cut again


class CachingTeacher:
    """A sentence-transformers model that remembers what it has embedded.

    Args:
        model: Folder of the model.
        cache: ``.npz`` file to keep vectors in; read when it exists.
        device: Where it runs.
        max_tokens: Texts are cut after so many tokens.
    """

    def __init__(self, model: Path, cache: Path, *, device: str, max_tokens: int = 128) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(model), device=device)
        self._model.max_seq_length = max_tokens
        self._cache = cache
        self._rows: dict[str, NDArray[np.float16]] = {}
        if cache.exists():
            with np.load(cache) as saved:
                keys, rows = saved["keys"], saved["rows"]
            self._rows = dict(zip(keys.tolist(), rows, strict=True))

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Embed texts: ``(n, dim)`` float32, unit rows."""
        keys = [_key(text) for text in texts]
        missing = {
            key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows
        }
        if missing:
            rows = self._model.encode(
                [text[:_CHARS] for text in missing.values()],
                batch_size=_BATCH,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            for key, row in zip(missing, rows, strict=True):
                self._rows[key] = np.asarray(row, dtype=np.float16)
        stacked = np.stack([self._rows[key] for key in keys]).astype(np.float32)
        return torch.nn.functional.normalize(torch.from_numpy(stacked), dim=-1)

    def save(self) -> None:
        """Write what is remembered to the cache file."""
        np.savez(
            self._cache,
            keys=np.array(list(self._rows)),
            rows=np.stack(list(self._rows.values())),
        )


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:24]
