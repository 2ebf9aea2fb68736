"""Which encoder for these documents, and does it matter? Drafted queries answer with an interval.

Every draft comes from a passage of the library, so that passage is a right answer to it. What is
compared is where two systems put it: the reciprocal rank within the top k, 0 below it, because
nobody reads on. Drafts from one passage are not independent: their intervals are those of
`core.evaluation.significance`, by clusters of queries that share a relevant passage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from core.evaluation.significance import confidence_sequence, paired_difference, query_clusters
from core.words import percent, plural, signed

SMALL = 0.05  # a mean reciprocal rank closer than this is the same to a reader
FEW_PASSAGES = 20  # fewer independent sources settle nothing
TIE_PASSAGES = 50  # and fewer than these do not show that two systems are alike


class Lead(StrEnum):
    """Conclusions that the interval of a contrast allows."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"  # the whole interval lies within `SMALL` of 0, over `TIE_PASSAGES` or more
    OPEN = "open"  # it holds 0, and more than `SMALL` or few passages: not settled


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two systems on the same drafts."""

    queries: int  # drafts
    passages: int  # passages they come from: the independent units
    first_higher: int  # drafts whose source passage stands higher for the first system, within k
    second_higher: int  # for the second
    level: int  # the same place, or in neither top k
    first_mean: float  # mean reciprocal rank of the source passage within the top k
    second_mean: float  # for the second
    difference: float  # ``first_mean - second_mean``
    low: float  # lower end of its 95 % interval
    high: float  # upper end
    lead: Lead  # what this allows to say

    @property
    def net_gain(self) -> float:
        """Share of drafts by which one system is ahead: higher minus lower, over all; 0 to 1."""
        return abs(self.first_higher - self.second_higher) / self.queries if self.queries else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which encoder these drafts speak for."""

    encoders: Contrast  # a against B
    keywords: Contrast | None  # the better encoder against BM25; None without BM25
    by_kind: dict[str, Contrast]  # a against B, by kind of draft; kinds with enough drafts only
    sentences: tuple[str, ...]  # the verdict in words, most important first


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where each system put the source passage of one draft."""

    passage_id: str  # the source: drafts that share it are resampled together
    kind: str  # of the draft, in words for the reader
    rank_a: int  # a's rank of the source
    rank_b: int  # b's
    rank_lexical: int | None  # BM25's; None where no word matches


def contrast(
    first: Sequence[int | None],
    second: Sequence[int | None],
    sources: Sequence[str],
    *,
    k: int,
    seed: int = 0,
) -> Contrast:
    """Compare where two systems put the right passage of the same queries.

    Args:
        first: Ranks of the source passage, from 1; None where it is not ranked.
        second: The same for the other system, in the same order.
        sources: Passage id of each query's source.
        k: Depth: ranks beyond it count as not found.
        seed: Of the bootstrap; swapping the systems mirrors the interval.
    """
    one, two = _clipped(first, k), _clipped(second, k)
    gains = _reciprocal(one) - _reciprocal(two)
    low, high = _interval(gains, sources, seed=seed)
    difference = round(float(gains.mean()), 12) if len(gains) else 0.0
    passages = len(set(sources))
    return Contrast(
        queries=len(gains),
        passages=passages,
        first_higher=int(np.count_nonzero(one < two)),
        second_higher=int(np.count_nonzero(two < one)),
        level=int(np.count_nonzero(one == two)),
        first_mean=float(_reciprocal(one).mean()) if len(gains) else 0.0,
        second_mean=float(_reciprocal(two).mean()) if len(gains) else 0.0,
        difference=difference,
        low=low,
        high=high,
        lead=_lead(low, high, passages),
    )


def _interval(
    gains: NDArray[np.float64], sources: Sequence[str], *, seed: int
) -> tuple[float, float]:
    """Ends of the 95 % interval of the mean; both 0 without values."""
    if not len(gains):
        return 0.0, 0.0
    clusters = query_clusters({str(n): {source: 1} for n, source in enumerate(sources)})
    interval = paired_difference(gains, np.zeros(len(gains)), clusters, seed=seed)
    if interval.low is None or interval.high is None:  # so few differ that only bets bound it
        interval = confidence_sequence(gains, clusters, low=-1.0)
    return interval.low or 0.0, interval.high or 0.0


def _clipped(ranks: Sequence[int | None], k: int) -> NDArray[np.float64]:
    """Return ranks with everything below the top k at infinity."""
    return np.array(
        [rank if rank is not None and rank <= k else np.inf for rank in ranks], dtype=np.float64
    )


def _reciprocal(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / ranks  # 1 / inf is 0


def _lead(low: float, high: float, passages: int) -> Lead:
    if low > -SMALL and high < SMALL and low <= 0 <= high and passages >= TIE_PASSAGES:
        return Lead.TIE
    if passages < FEW_PASSAGES or low <= 0 <= high:
        return Lead.OPEN
    return Lead.FIRST if low > 0 else Lead.SECOND


def verdict(
    outcomes: Sequence[Outcome], *, label_a: str, label_b: str, k: int, few: int = FEW_PASSAGES
) -> Verdict:
    """Say which encoder the drafts speak for, whether it matters, and how BM25 does on them.

    Args:
        outcomes: One per draft, in any order that depends on nothing but their ids.
        label_a: A for people.
        label_b: B for people.
        k: Depth.
        few: Kinds with fewer drafts than this are left out of ``by_kind``.
    """
    sources = [one.passage_id for one in outcomes]
    ranks_a = [one.rank_a for one in outcomes]
    ranks_b = [one.rank_b for one in outcomes]
    encoders = contrast(ranks_a, ranks_b, sources, k=k)
    keywords, best = None, label_a
    if any(one.rank_lexical is not None for one in outcomes):
        # a tie goes by name, so that swapping the encoders mirrors the report
        a_is_best = (-encoders.first_mean, label_a) <= (-encoders.second_mean, label_b)
        best = label_a if a_is_best else label_b
        keywords = contrast(
            ranks_a if a_is_best else ranks_b, [one.rank_lexical for one in outcomes], sources, k=k
        )
    by_kind: dict[str, Contrast] = {}
    for kind in dict.fromkeys(sorted(one.kind for one in outcomes)):
        some = [one for one in outcomes if one.kind == kind]
        if len(some) >= few:
            by_kind[kind] = contrast(
                [one.rank_a for one in some],
                [one.rank_b for one in some],
                [one.passage_id for one in some],
                k=k,
            )
    sentences = [*_encoders_words(encoders, label_a, label_b, k)]
    sentences += _kind_words(by_kind, encoders, label_a, label_b)
    if keywords is not None:
        sentences.append(_keyword_words(keywords, encoders, best))
    return Verdict(encoders, keywords, by_kind, tuple(sentences))


def _encoders_words(found: Contrast, label_a: str, label_b: str, k: int) -> list[str]:
    if not found.queries:
        return []
    first, second, gap = found.first_mean, found.second_mean, found.difference
    # As many decimals as it takes for the three to add up: 0.68 against 0.69 is no 0.00.
    digits = next(
        (d for d in (2, 3) if round(round(first, d) - round(second, d) - round(gap, d), d) == 0), 4
    )
    counts = (
        f"Within the top {k} the passage a query came from stands higher for {label_a} on "
        f"{found.first_higher:,} and for {label_b} on {found.second_higher:,} of "
        f"{plural(found.queries, 'drafted query', 'drafted queries')}, level on {found.level:,}; "
        f"mean reciprocal rank@{k} {first:.{digits}f} against {second:.{digits}f}, difference "
        f"{signed(gap, digits)}, 95 % interval {signed(found.low, digits)} to "
        f"{signed(found.high, digits)}."
    )
    if found.first_higher == found.second_higher == 0 and found.passages >= TIE_PASSAGES:
        head = "Choose either: both encoders put the right passage in the same place every time."
    elif found.lead is Lead.TIE:
        head = (
            "Choose either: on these documents the two encoders find the right passage equally well, "
            f"to within {SMALL:.2f} of reciprocal rank."
        )
    elif found.lead is Lead.OPEN:
        few = f" {found.passages:,} source passages are few." if found.passages < 100 else ""
        head = (
            f"Not settled: these drafts do not tell the two encoders apart.{few} Draft more, add "
            "documents, or judge queries of your own."
        )
    else:
        ahead = label_a if found.lead is Lead.FIRST else label_b
        gain = (
            f"a net {percent(found.net_gain)} of queries with the right passage in a better place"
        )
        head = (
            f"Lean to {ahead} for these documents, by a little: {gain}. Where something else speaks "
            "for the other encoder, either will do."
            if abs(found.difference) < SMALL
            else f"For these documents choose {ahead}: {gain}."
        )
    return [head, counts]


def _kind_words(
    by_kind: dict[str, Contrast], encoders: Contrast, label_a: str, label_b: str
) -> list[str]:
    """Name kinds of query for which another choice than the overall one holds."""
    found = []
    for lead, label in ((Lead.FIRST, label_a), (Lead.SECOND, label_b)):
        kinds = [kind for kind, one in by_kind.items() if one.lead is lead]
        if kinds and encoders.lead is not lead:
            found.append(
                f"By kind of query {label} leads on {' and '.join(kinds)}; of {len(by_kind)} kinds "
                "one may stand out by chance."
            )
    return found


def _keyword_words(found: Contrast, encoders: Contrast, best: str) -> str:
    subject = best if encoders.lead in {Lead.FIRST, Lead.SECOND} else "the better encoder"
    figures = (
        f"{found.first_mean:.2f} against {found.second_mean:.2f}, 95 % interval of the difference "
        f"{signed(found.low)} to {signed(found.high)}"
    )
    if found.lead is Lead.SECOND:
        return (
            f"Is an encoder worth it? On these drafts plain keywords (BM25) beat {subject} "
            f"({figures}); drafts use the documents' own words, so ask in words of your own before "
            "you decide."
        )
    if found.lead is Lead.FIRST:
        return f"An encoder is worth it here: {subject} beats plain keywords (BM25), {figures}."
    level = (
        "are about level on these drafts"
        if found.lead is Lead.TIE
        else "are not told apart by these drafts"
    )
    return (
        f"Is an encoder worth it? {subject[:1].upper()}{subject[1:]} and plain keywords (BM25) "
        f"{level} ({figures}); drafts use the documents' own words, questions of your own may not."
    )
