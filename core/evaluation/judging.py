"""Judge once, blind, and use it for ever.

The top hits of all systems are pooled and shuffled, so that nobody can tell which system found
what; a grade from 0 to 3 is kept on characters of a file (`core.records.Judgment`), not on a
passage, so it survives another chunking. From the judgments come the usual measures, with
intervals, a test between the encoders, the share of hits nobody judged, and about how many more
judgments it would take to tell the encoders apart.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from core.comparison.compare import search_depth
from core.errors import InvalidQueryError, StoreError, UsageError
from core.evaluation.beir import content_hash
from core.evaluation.evaluate import measure_runs, pair_of
from core.evaluation.grades import grades_of
from core.evaluation.measures import DEPTH, MEASURES, unjudged_share
from core.evaluation.render import interval_text
from core.evaluation.runs import keep, kept_run, library_identity
from core.evaluation.significance import ALPHA, holm, more_to_tell
from core.search.order import require_depth
from core.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from core.evaluation.records import Measured
    from core.library.library import Library
    from core.monitor import Monitor
    from core.records import Ranking, SystemInfo

T = TypeVar("T")
POOL_DEPTH = 10
# not relevant; related: on the topic, does not answer; answers in part; answers it


@dataclass(frozen=True, slots=True)
class PoolItem:
    """A passage to be judged, without the system that found it."""

    passage_id: str  # what to show
    grade: int | None  # from an earlier judgment; None when not judged


@dataclass(frozen=True, slots=True)
class JudgedReport:
    """Measures on the judgments so far."""

    measured: (
        Measured  # every system on the judged queries, and the difference between the encoders
    )
    # by measure: p-value of the difference adjusted for the number of measures
    p_holm: Mapping[str, float]
    unjudged: Mapping[str, float]  # by system id: share of its top hits without a judgment
    judgments: int  # how many (query, passage) judgments there are
    # by measure: about how many more would tell the difference seen from none; 0 when it is told
    # already (adjusted p below 5 %), None where no number can be named
    more_judgments: Mapping[str, int | None]
    words: tuple[str, ...]  # one to three sentences on what can be said


def pool(
    rankings: Iterable[Ranking],
    *,
    k: int = POOL_DEPTH,
    seed: int = 0,
    grades: Mapping[str, int] | None = None,
) -> tuple[PoolItem, ...]:
    """Return the passages to judge for one query: all top k, each once, in a blind order.

    The order depends on the seed, the query and the passages alone, never on who ranked them
    where, so neither order nor count gives a system away. ``grades`` are those so far.

    Raises:
        InvalidDepthError: If k is below 1.
        UsageError: If the rankings answer different queries.
    """
    require_depth(k)
    listed = list(rankings)
    query_ids = {ranking.query_id for ranking in listed}
    if len(query_ids) > 1:
        raise UsageError("A pool is made for one query; these rankings answer several.")
    found = sorted({hit.passage_id for ranking in listed for hit in ranking.hits[:k]})
    shuffle = _generator(seed, *query_ids)
    known = grades or {}
    return tuple(
        PoolItem(passage_id=found[position], grade=known.get(found[position]))
        for position in shuffle.permutation(len(found)).tolist()
    )


def judged_report(
    qrels: Mapping[str, Mapping[str, int]],
    runs: Mapping[str, tuple[SystemInfo, Sequence[Ranking]]],
    *,
    passages: int,
    k: int = POOL_DEPTH,
    depth: int = DEPTH,
    failures: Mapping[str, str] | None = None,
) -> JudgedReport:
    """Measure systems on the queries judged so far, as often as one likes.

    Intervals and p-values are those of `confidence_sequence`: they hold at every look, so judging
    may stop as soon as they tell. Queries without a grade above 0 are left out, since every system
    scores 0 on them, and so are measures that look deeper than the rankings go.

    Args:
        qrels: Grades by query id and passage id, in the order of judging.
        runs: By system id: who it is, and its rankings for those queries.
        passages: Size of the library.
        k: Depth at which unjudged hits are counted.
        depth: Hits that every ranking was asked for.
        failures: Why a system is not among the runs, by its label.

    Raises:
        UsageError: If no query has a relevant passage.
    """
    useful = {query: row for query, row in qrels.items() if any(g > 0 for g in row.values())}
    if not useful:
        raise UsageError(
            "No query has a passage judged relevant yet. Judge some, and give grades above 0."
        )
    measured = _down_to(
        measure_runs(useful, runs, name="judged", passages=passages, watched=True), depth
    )
    judgments = sum(len(row) for row in useful.values())
    p_holm = holm({name: one.p_value for name, one in measured.difference.items()})
    more = {
        name: _more_judgments(measured, name, p_holm[name], judgments=judgments)
        for name in measured.difference
    }
    unjudged = {
        system_id: unjudged_share(useful, rankings, k=k)
        for system_id, (_, rankings) in runs.items()
    }
    return JudgedReport(
        measured=measured,
        p_holm=p_holm,
        unjudged=unjudged,
        judgments=judgments,
        more_judgments=more,
        words=(
            *_words(measured, p_holm, unjudged, more, judgments=judgments, k=k),
            *(f"{label} is not measured: {why}" for label, why in (failures or {}).items()),
        ),
    )


# -- the judgments of a library ------------------------------------------------------------


def pooled(library: Library, query: str, *, monitor: Monitor | None = None) -> tuple[PoolItem, ...]:
    """Ask a library and return the passages to judge, in a blind order, with their grades so far.

    Raises:
        InvalidQueryError: If the query is blank.
    """
    if not query.strip():
        raise InvalidQueryError("Type a query to judge, or ask one in Compare first.")
    comparison = library.ask(query, k=POOL_DEPTH, monitor=monitor)
    return pool(
        [column.ranking for column in comparison.columns if not column.failure],
        k=POOL_DEPTH,
        grades=grades_of(library).get(query),
    )


def measure_judgments(library: Library, monitor: Monitor | None = None) -> JudgedReport:
    """Ask every judged query again and measure every system on the grades; keep that as a run.

    Raises:
        UsageError: If nothing was judged relevant yet.
    """
    runs: dict[str, tuple[SystemInfo, list[Ranking]]] = {}
    qrels: dict[str, dict[str, int]] = {}
    texts: dict[str, str] = {}
    fingerprints: dict[str, str] = {}
    failures: dict[str, tuple[SystemInfo, str]] = {}
    for text, row in grades_of(library).items():
        if not any(row.values()):
            continue
        comparison = library.ask(text, monitor=monitor)
        qrels[comparison.query.query_id] = row
        texts[comparison.query.query_id] = text
        for column in comparison.columns:
            if column.failure:
                failures[column.info.system_id] = (column.info, column.failure)
            else:
                _, rankings = runs.setdefault(column.info.system_id, (column.info, []))
                rankings.append(column.ranking)
                if column.fingerprint:
                    fingerprints[column.info.system_id] = column.fingerprint
    report = judged_report(
        qrels,
        # Without an answer to every query a system would be given a 0 for its failure.
        {name: run for name, run in runs.items() if name not in failures},
        passages=library.passage_count(),
        depth=search_depth(library.settings.k),
        failures={info.label: why for info, why in failures.values()},
    )
    asked = set(texts.values())
    judged = [one for one in library.judgments() if one.query_text in asked]
    run = kept_run(
        report.measured,
        {
            **library_identity(library),
            "queries": content_hash(sorted(asked)),
            "judgments": content_hash(sorted(astuple(one) for one in judged)),
            "depth": str(search_depth(library.settings.k)),
            **fingerprints,
        },
        pair=pair_of(report.measured.systems) if report.measured.difference else None,
        queries=texts,
    )
    try:
        said = f"Kept as {keep(run, library.workspace.folder)}."
    except StoreError as error:
        said = f"It is not kept: {error}"
    return replace(report, words=(*report.words, said))


# -- parts ---------------------------------------------------------------------------------


def _down_to(measured: Measured, depth: int) -> Measured:
    """Leave out the measures that look deeper than the rankings go: recall@100 of 50 hits is none."""

    def kept(values: Mapping[str, T]) -> dict[str, T]:
        return {name: value for name, value in values.items() if int(name.split("@")[1]) <= depth}

    return replace(
        measured,
        systems=tuple(
            replace(one, measures=kept(one.measures), per_query=kept(one.per_query))
            for one in measured.systems
        ),
        difference=kept(measured.difference),
        differences=kept(measured.differences),
    )


def _generator(seed: int, *names: str) -> np.random.Generator:
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode("utf-8", "surrogatepass"))
    return np.random.default_rng(int.from_bytes(digest.digest()[:8], "big"))


def _more_judgments(
    measured: Measured, name: str, p_adjusted: float, *, judgments: int
) -> int | None:
    if p_adjusted < ALPHA:
        return 0
    # Holm's hardest step divides alpha by the number of measures.
    alpha = ALPHA / len(measured.differences)
    needed = more_to_tell(measured.differences[name], measured.clusters, alpha=alpha)
    return None if needed is None else math.ceil(needed * judgments / measured.queries)


def _words(
    measured: Measured,
    p_holm: Mapping[str, float],
    unjudged: Mapping[str, float],
    more: Mapping[str, int | None],
    *,
    judgments: int,
    k: int,
) -> tuple[str, ...]:
    queries = plural(measured.queries, "query", "queries")
    sentences = [f"{queries} judged, {plural(judgments, 'judgment')}."]
    if measured.difference:
        name = MEASURES[0]
        difference = measured.difference[name]
        shown = f"{name} differs by {interval_text(difference, signed=True)}"
        if measured.queries == 1:
            sentences.append(
                f"{name} differs by {difference.value:+.3f} on this one query, which tells nothing: "
                "judge more queries before you believe a difference."
            )
        elif p_holm[name] < ALPHA:
            sentences.append(f"{shown}; that is more than chance (p {p_holm[name]:.3f}, Holm).")
        elif more[name] is None:
            sentences.append(
                f"{shown}; no number of judgments can be named to tell the encoders apart."
            )
        else:
            sentences.append(
                f"{shown}; that may be chance (p {p_holm[name]:.3f}, Holm), and about "
                f"{more[name]:,} more judgments would tell a difference of this size."
            )
    if unjudged:
        worst = max(unjudged, key=lambda system_id: (unjudged[system_id], system_id))
        label = next((one.label for one in measured.systems if one.system_id == worst), worst)
        if unjudged[worst] > 0:
            sentences.append(
                f"{100 * unjudged[worst]:.0f} % of the top {k} of {label} are unjudged and count "
                "as not relevant."
            )
    return tuple(sentences)
