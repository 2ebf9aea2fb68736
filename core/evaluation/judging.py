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
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from core.comparison.compare import search_depth
from core.comparison.export import quepid_ratings, query_id_of, to_trec_qrels
from core.errors import CoreError, InvalidQueryError, InvalidSettingError, UsageError
from core.evaluation.evaluate import measure_runs
from core.evaluation.measures import DEPTH, MEASURES, unjudged_share
from core.evaluation.render import interval_text
from core.evaluation.significance import ALPHA, holm, more_to_tell
from core.records import Judgment
from core.search.order import require_depth
from core.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from core.comparison.records import Comparison
    from core.evaluation.records import Measured
    from core.library.library import Library
    from core.monitor import Monitor
    from core.records import Passage, Ranking, SystemInfo

T = TypeVar("T")
POOL_DEPTH = 10
# not relevant; related: on the topic, does not answer; answers in part; answers it
GRADES = (0, 1, 2, 3)
_HALF = 0.5


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


def judge(query_text: str, passage: Passage, *, sha256: str, grade: int) -> Judgment:
    """Return a judgment of a passage, kept on the characters of its file.

    Raises:
        InvalidSettingError: If the grade is not 0, 1, 2 or 3.
    """
    if grade not in GRADES:
        raise InvalidSettingError(f"The grade is {grade}; choose 0, 1, 2 or 3.")
    return Judgment(
        query_text=query_text,
        sha256=sha256,
        page_number=passage.page_first,
        start=passage.start,
        end=passage.end,
        grade=grade,
    )


def project(
    judgments: Iterable[Judgment], passages: Iterable[Passage], *, sha256_of: Mapping[str, str]
) -> dict[str, dict[str, int]]:
    """Grades by query text and passage id, under the present chunking.

    A passage takes over a grade above 0 when it holds at least half of the judged characters, or
    lies at least half among them. It takes over a 0 only when at least half of it was judged: the
    rest of a longer passage may well be relevant. Of several grades the highest counts; of several
    judgments of the same characters the last. ``sha256_of`` has each document's file hash.
    """
    latest = {
        (one.query_text, one.sha256, one.start, one.end): one for one in judgments
    }  # a dict keeps the last
    by_file: dict[str, list[Passage]] = {}
    for passage in passages:
        sha256 = sha256_of.get(passage.doc_id)
        if sha256 is not None:
            by_file.setdefault(sha256, []).append(passage)
    grades: dict[str, dict[str, int]] = {}
    for judgment in latest.values():
        for passage in by_file.get(judgment.sha256, ()):
            if _takes_over(judgment, passage):
                row = grades.setdefault(judgment.query_text, {})
                before = row.get(passage.passage_id, judgment.grade)
                row[passage.passage_id] = max(before, judgment.grade)
    return grades


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


def keep_grade(library: Library, query: str, passage_id: str, grade: int) -> None:
    """Keep a grade on the characters of the passage's file.

    Raises:
        InvalidQueryError: If the query is blank.
        InvalidSettingError: If the grade is not 0, 1, 2 or 3.
        UnknownNameError: If there is no such passage.
    """
    if not query.strip():
        raise InvalidQueryError("A judgment needs the query it is about.")
    passage = library.passage(passage_id)
    sha256 = library.document(passage.doc_id).sha256
    library.judge([judge(query, passage, sha256=sha256, grade=grade)])


def grades_of(library: Library) -> dict[str, dict[str, int]]:
    """Return all grades of a library, by query text and passage id of its chunking now."""
    judgments = library.judgments()
    if not judgments:
        return {}
    return project(judgments, library.passages(), sha256_of=_sha256_of(library))


def grades_on(library: Library, comparison: Comparison) -> dict[str, int]:
    """Return the grades that were given for a comparison's query, by passage id.

    Passages of another chunking (in a saved comparison) and documents that are gone have none.
    """
    text = comparison.query.text
    judgments = library.judgments(text)
    if not judgments:
        return {}
    passages = []
    for compared in comparison.passages:
        with suppress(CoreError):
            passages.append(library.passage(compared.passage_id))
    return project(judgments, passages, sha256_of=_sha256_of(library)).get(text, {})


def answers_on(library: Library, comparison: Comparison) -> frozenset[str]:
    """Return the passages known to answer a comparison's query: the sample's, and the judged."""
    known = {passage for passage, grade in grades_on(library, comparison).items() if grade > 0}
    text = comparison.query.text.strip()
    for example in library.examples():
        if example.text.strip() == text:
            known.update(example.relevant)
    return frozenset(known)


def measure_judgments(library: Library, monitor: Monitor | None = None) -> JudgedReport:
    """Ask every judged query again and measure every system on the grades.

    Raises:
        UsageError: If nothing was judged relevant yet.
    """
    runs: dict[str, tuple[SystemInfo, list[Ranking]]] = {}
    qrels: dict[str, dict[str, int]] = {}
    failures: dict[str, tuple[SystemInfo, str]] = {}
    for text, row in grades_of(library).items():
        if not any(row.values()):
            continue
        comparison = library.ask(text, monitor=monitor)
        qrels[comparison.query.query_id] = row
        for column in comparison.columns:
            if column.failure:
                failures[column.info.system_id] = (column.info, column.failure)
            else:
                _, rankings = runs.setdefault(column.info.system_id, (column.info, []))
                rankings.append(column.ranking)
    return judged_report(
        qrels,
        # Without an answer to every query a system would be given a 0 for its failure.
        {name: run for name, run in runs.items() if name not in failures},
        passages=library.passage_count(),
        depth=search_depth(library.settings.k),
        failures={info.label: why for info, why in failures.values()},
    )


def judgments_as(grades: Mapping[str, Mapping[str, int]], form: str) -> str:
    """Return grades by query text and passage id as ``quepid`` ratings, else as TREC qrels."""
    if form == "quepid":
        return quepid_ratings(
            [(text, one, row[one]) for text, row in sorted(grades.items()) for one in sorted(row)]
        )
    return to_trec_qrels(
        sorted(
            (query_id_of(text), passage_id, grade)
            for text, row in grades.items()
            for passage_id, grade in row.items()
        )
    )


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


def _sha256_of(library: Library) -> dict[str, str]:
    # from the lines about documents: reading each whole for this would take seconds
    return {stored.doc_id: stored.sha256 for stored in library.workspace.documents()}


def _generator(seed: int, *names: str) -> np.random.Generator:
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode("utf-8", "surrogatepass"))
    return np.random.default_rng(int.from_bytes(digest.digest()[:8], "big"))


def _takes_over(judgment: Judgment, passage: Passage) -> bool:
    overlap = min(judgment.end, passage.end) - max(judgment.start, passage.start)
    if overlap <= 0:
        return False
    if overlap >= _HALF * (passage.end - passage.start):
        return True
    return judgment.grade > 0 and overlap >= _HALF * (judgment.end - judgment.start)


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
