"""The vectors of passages: who has none yet, and the others in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.store import in_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from core.encoders.protocol import Encoder
    from core.records import Passage
    from core.store import Workspace

VECTOR_BLOCK_ROWS = 16_384


class PassageVectors:
    """Looks up the vectors of passages of the present chunking; makes none.

    Args:
        workspace: Where they are kept.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def waiting(
        self, fingerprint: str, passages: Sequence[Passage], *, late_chunking: bool
    ) -> list[Passage]:
        """Return the passages that have no vector yet under a passage fingerprint."""
        texts = self._kept_under(passages, late_chunking=late_chunking)
        missing = {texts[i] for i in self._workspace.missing(fingerprint, texts)}
        if not missing:
            return []
        placed = zip(passages, texts, strict=True)
        return [passage for passage, text in placed if text in missing]

    def of(self, encoder: Encoder, passages: Sequence[Passage]) -> NDArray[np.float32]:
        """Return ``(n, dim)`` float32 of passages that are embedded.

        Raises:
            IndexMismatchError: If one of them is not.
        """
        texts = self._kept_under(passages, late_chunking=encoder.spec.late_chunking)
        return self._workspace.vectors(encoder.passage_fingerprint, texts)

    def blocks(
        self, encoder: Encoder, passages: Sequence[Passage]
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the same in blocks of rows, so that they are never twice in memory."""
        texts = self._kept_under(passages, late_chunking=encoder.spec.late_chunking)
        for start in range(0, len(texts), VECTOR_BLOCK_ROWS):
            block = texts[start : start + VECTOR_BLOCK_ROWS]
            yield self._workspace.vectors(encoder.passage_fingerprint, block)

    def _kept_under(self, passages: Sequence[Passage], *, late_chunking: bool) -> list[str]:
        """What the vectors of passages are kept under: their text, or their text in its place."""
        if not late_chunking:
            return [passage.text for passage in passages]
        chunking = self._workspace.settings().chunking.key
        return [in_context(chunking, p.passage_id, p.text) for p in passages]
