"""The answer of one system to one query: its best hits, and any passage's score and rank on request.

Nothing after search holds a number per passage of the corpus: it asks an `Answer` for the passages
that it shows. `MemoryAnswer` holds the scores in memory, for dense search and BM25; fusion and
imported runs know their own hits alone. An engine on other machines is another `Answer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.records import Ranking, ReceivedText, SystemInfo
from core.search.order import id_order


class Answer(Protocol):
    """The answer of one system to one query, and the conditions it was asked under.

    Attributes:
        info: The system.
        ranking: Its best hits; empty when it failed.
        fingerprint: Of the encoder; "" for other systems.
        max_tokens: The encoder's limit in force; 0 for other systems.
        received: Exactly the text that the encoder got for the query; None for other systems.
        seconds: Time it took; None when not measured.
        failure: Why it has no ranking, in a sentence: shown in its column, never as "no hits".
        note: Worth knowing besides, in a sentence or two. Hostile text: escape it.
    """

    @property
    def info(self) -> SystemInfo: ...  # noqa: D102 - described above
    @property
    def ranking(self) -> Ranking: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def max_tokens(self) -> int: ...  # noqa: D102
    @property
    def received(self) -> ReceivedText | None: ...  # noqa: D102
    @property
    def seconds(self) -> float | None: ...  # noqa: D102
    @property
    def failure(self) -> str: ...  # noqa: D102
    @property
    def note(self) -> str: ...  # noqa: D102

    def scores_of(self, passage_ids: Iterable[str]) -> dict[str, float]:
        """Return the scores of these passages; one without a score is left out."""
        ...

    def ranks_of(self, passage_ids: Iterable[str]) -> dict[str, int]:
        """Return these passages' ranks over the whole corpus; one that is not ranked is left out."""
        ...

    def sample(self, count: int) -> dict[str, float]:
        """Return the scores of so many passages, spread evenly over the corpus in order of id.

        Empty where the system has no score for every passage.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class MemoryAnswer:
    """An answer whose scores are in memory; the attributes of `Answer`, and these."""

    info: SystemInfo
    ranking: Ranking
    # position of every passage id in ``scores``; empty without scores
    places: Mapping[str, int] = field(default_factory=dict, repr=False)
    # ``(n,)`` finite, of the whole corpus; None where only the hits are known
    scores: NDArray[np.float32] | NDArray[np.float64] | None = field(default=None, repr=False)
    # a score of 0 or less means "not found" (BM25 without a shared word)
    positive_only: bool = False
    fingerprint: str = ""
    max_tokens: int = 0
    received: ReceivedText | None = None
    seconds: float | None = None
    # part of ``seconds`` in the encoder; 0.0 when the query was embedded before
    encode_seconds: float = 0.0
    failure: str = ""
    note: str = ""

    def scores_of(self, passage_ids: Iterable[str]) -> dict[str, float]:
        """Return scores as `Answer.scores_of`; a hit keeps the score of the ranking."""
        hits = {hit.passage_id: hit.score for hit in self.ranking.hits}
        scores = {}
        for passage_id in passage_ids:
            if passage_id in hits:
                scores[passage_id] = hits[passage_id]
            elif self.scores is not None and passage_id in self.places:
                scores[passage_id] = float(self.scores[self.places[passage_id]])
        return scores

    def ranks_of(self, passage_ids: Iterable[str]) -> dict[str, int]:
        """Return ranks as `Answer.ranks_of`; a hit keeps the rank of the ranking."""
        hits = {hit.passage_id: hit.rank for hit in self.ranking.hits}
        asked = list(dict.fromkeys(passage_ids))
        ranks = {name: hits[name] for name in asked if name in hits}
        rest = [name for name in asked if name in self.places and name not in hits]
        if self.scores is None or not rest:
            return ranks
        ids: Sequence[str] = list(self.places)
        scores = self.scores[[self.places[name] for name in rest]]
        ascending = np.sort(self.scores)
        not_above = np.searchsorted(ascending, scores, side="right")
        below = np.searchsorted(ascending, scores, side="left")
        for name, score, last, first in zip(rest, scores, not_above, below, strict=True):
            if self.positive_only and score <= 0:
                continue
            above = len(ascending) - int(last)
            if last - first > 1:  # ties by passage id
                above += sum(ids[i] < name for i in np.flatnonzero(self.scores == score).tolist())
            # Scores computed on another path may differ in the last bit from the ranking's.
            ranks[name] = max(above, len(hits)) + 1
        return ranks

    def sample(self, count: int) -> dict[str, float]:
        """Return scores as `Answer.sample`."""
        if self.scores is None or not len(self.scores):
            return {}
        ids = list(self.places)
        places = id_order(ids)
        order = np.arange(len(ids)) if places is None else np.argsort(places)
        spread = np.unique(np.linspace(0, len(ids) - 1, count).round().astype(int))
        return {ids[place]: float(self.scores[place]) for place in order[spread].tolist()}


def failed(info: SystemInfo, reason: str, *, query_id: str) -> MemoryAnswer:
    """Return the answer of a system that could not answer, and why, in a sentence."""
    return MemoryAnswer(info, Ranking(query_id, info.system_id, ()), failure=reason)
