"""BM25 beside the encoders, by bm25s with its defaults (Lucene's formula, k1 1.5, b 0.75).

English stopwords, no stemming: the setting behind the published baselines we compare with.
Texts are folded first (`core.normal`). Runs of scripts without spaces count as single characters and
pairs of characters, marks with their letters; texts in other scripts are not touched by that.
"""

from __future__ import annotations

import itertools
import logging
import re
from typing import TYPE_CHECKING

import bm25s  # type: ignore[import-untyped]
import numpy as np
from bm25s.stopwords import STOPWORDS_EN  # type: ignore[import-untyped]

from core.errors import IndexMismatchError
from core.normal import MARKS, matching_form
from core.search.order import best_positions, id_order, make_ranking, require_depth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from core.records import Ranking

# It sets itself to DEBUG on import and would talk into every terminal and log.
logging.getLogger("bm25s").setLevel(logging.WARNING)

K1 = 1.5
B = 0.75
_WORD = re.compile(f"[\\w{MARKS}]{{2,}}")  # bm25s's own default, marks being part of words
_NO_SPACES = re.compile(  # Chinese, Japanese, Korean, Thai, Lao, Burmese, Khmer
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003134f]+"
)
_CLUSTER = re.compile(f".[{MARKS}]*", re.DOTALL)
# Vowel points of Hebrew and Arabic, which most texts and queries leave out, and joiners.
_UNWRITTEN = {
    code: None
    for codes in (
        range(0x591, 0x5BE),
        (0x5BF, 0x5C1, 0x5C2, 0x5C4, 0x5C5, 0x5C7, 0x640),
        range(0x64B, 0x660),
        (0x670, 0x200C, 0x200D),
    )
    for code in codes
}
_STOPWORDS = frozenset(STOPWORDS_EN)


def words(text: str) -> list[str]:
    """Return the words BM25 sees in a text, in order, repeats kept."""
    lowered = matching_form(text).lower()
    if not lowered.isascii():
        lowered = _NO_SPACES.sub(_spread, lowered.translate(_UNWRITTEN))
    return [word for word in _WORD.findall(lowered) if word not in _STOPWORDS]


def _spread(match: re.Match[str]) -> str:
    run = _CLUSTER.findall(match[0])
    # A lone character gets an underscore: words have at least two characters.
    singles = (f"{cluster}_" for cluster in run)
    pairs = ("".join(pair) for pair in itertools.pairwise(run))
    return f" {' '.join((*singles, *pairs))} "


class LexicalIndex:
    """BM25 over one corpus. Immutable, safe between threads.

    Args:
        passage_ids: n ids, unique.
        texts: Their texts, in the same order.

    Raises:
        IndexMismatchError: If there are not as many ids as texts.
    """

    def __init__(self, passage_ids: Sequence[str], texts: Sequence[str]) -> None:
        if len(passage_ids) != len(texts):
            raise IndexMismatchError(f"{len(passage_ids)} passages came with {len(texts)} texts.")
        if len(set(passage_ids)) != len(passage_ids):
            raise IndexMismatchError("The same passage id stands in the corpus twice.")
        self.passage_ids = tuple(passage_ids)
        self._id_order = id_order(self.passage_ids)
        self._number_of: dict[str, int] = {}
        number_of = self._number_of
        corpus = [
            [number_of.setdefault(word, len(number_of)) for word in words(text)] for text in texts
        ]
        self._bm25: bm25s.BM25 | None = None
        if self._number_of:  # a corpus without a single word cannot be indexed, only searched
            self._bm25 = bm25s.BM25(k1=K1, b=B, method="lucene")
            vocabulary = dict(self._number_of)  # bm25s adds an entry of its own
            self._bm25.index((corpus, vocabulary), show_progress=False)

    def __len__(self) -> int:
        return len(self.passage_ids)

    def known_words(self, query: str) -> tuple[str, ...]:
        """Return the words of the query that occur in the corpus; none means nothing to match."""
        return tuple(word for word in words(query) if word in self._number_of)

    def scores(self, query: str) -> NDArray[np.float32]:
        """Return the BM25 score of every passage, ``(n,)`` float32; 0 where no word matches."""
        numbers = [self._number_of[word] for word in self.known_words(query)]
        if self._bm25 is None or not numbers:
            return np.zeros(len(self), np.float32)
        scores: NDArray[np.float32] = self._bm25.get_scores_from_ids(numbers)
        return scores

    def top(
        self, scores: NDArray[np.float32], *, k: int, query_id: str = "", system_id: str = "bm25"
    ) -> Ranking:
        """The k best of the passages that match at all, given their scores."""
        positions = best_positions(scores, k=k, id_order=self._id_order)
        matching = positions[scores[positions] > 0]
        return make_ranking(
            self.passage_ids, scores, matching, query_id=query_id, system_id=system_id
        )

    def search(
        self,
        queries: Sequence[str],
        *,
        k: int,
        query_ids: Sequence[str] | None = None,
        system_id: str = "bm25",
    ) -> tuple[Ranking, ...]:
        """Return a ranking of at most k hits for each query; empty where no word is known.

        Raises:
            InvalidDepthError: If k is below 1.
        """
        require_depth(k)
        if query_ids is None:
            query_ids = [f"q{row + 1}" for row in range(len(queries))]
        if len(query_ids) != len(queries):
            raise IndexMismatchError(f"{len(query_ids)} query ids for {len(queries)} queries.")
        return tuple(
            self.top(self.scores(query), k=k, query_id=query_id, system_id=system_id)
            for query, query_id in zip(queries, query_ids, strict=True)
        )
