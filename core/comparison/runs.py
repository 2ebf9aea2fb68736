"""External runs, kept in a workspace and shown as columns beside the library's own systems."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from core.comparison.imported import ImportedRun
from core.comparison.matching import MatchReport, PassageMatcher, merge_reports
from core.errors import UnknownNameError, UsageError
from core.records import Family, Hit, Query, Ranking, SystemInfo
from core.search.answer import MemoryAnswer
from core.store.workspace import Workspace

RUNS_KEPT = 4
HITS_KEPT = 200  # of a query; a column shows 50 at most
MAX_KEPT_CHARS = 4 * 1024 * 1024
LABEL_CHARS = 60
_INDEX_FACT = "runs"
_NAMED_QUERIES = 3
_QUERY_CHARS = 60
_UNSAFE = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run that a library shows as a column."""

    run_id: str  # opaque
    run: ImportedRun  # what it ranks, under the ids it came with
    matched: MatchReport  # what became of those ids under the library's present chunking

    def facts(self) -> dict[str, object]:
        """Return its line in a list of runs: id, name, number of queries, matches, notes."""
        return {
            "run_id": self.run_id,
            "name": self.run.name,
            "queries": len(self.run.rankings),
            "matched": self.matched,
            "notes": self.run.notes,
        }


def kept_runs(workspace: Workspace) -> dict[str, ImportedRun]:
    """Return the runs kept in a workspace by id, in the order they were added."""
    found = {}
    for run_id in _ids(workspace):
        text = workspace.fact(_fact(run_id))
        if text:
            found[run_id] = _from_json(text)
    return found


def keep_run(workspace: Workspace, run: ImportedRun) -> str:
    """Keep a run; returns its id.

    Raises:
        UsageError: If there are as many as can be shown, or it is too large to be kept.
    """
    ids = _ids(workspace)
    if len(ids) >= RUNS_KEPT:
        raise UsageError(f"There are {RUNS_KEPT} runs in this library already; remove one first.")
    text = _to_json(run)
    if len(text) > MAX_KEPT_CHARS:
        raise UsageError(
            f"The run {run.name[:LABEL_CHARS]!r} ranks {len(run.rankings):,} queries, which is more "
            "than a library keeps. Keep the queries that you want to look at."
        )
    run_id = secrets.token_hex(6)
    workspace.put_fact(_fact(run_id), text)
    workspace.put_fact(_INDEX_FACT, json.dumps([*ids, run_id]))
    return run_id


def forget_run(workspace: Workspace, run_id: str) -> None:
    """Forget a kept run.

    Raises:
        UnknownNameError: If there is none of this id.
    """
    ids = _ids(workspace)
    if run_id not in ids:
        raise UnknownNameError("That run is not in this library (any more).")
    workspace.put_fact(_INDEX_FACT, json.dumps([name for name in ids if name != run_id]))
    workspace.put_fact(_fact(run_id), "")


def matched_runs(runs: Mapping[str, ImportedRun], matcher: PassageMatcher) -> tuple[KeptRun, ...]:
    """Match every run's ids with this library's passages."""
    return tuple(
        KeptRun(
            run_id,
            run,
            merge_reports(
                matcher.matched(ranking, system_id="")[1] for ranking in run.rankings.values()
            ),
        )
        for run_id, run in runs.items()
    )


def run_columns(
    runs: Sequence[ImportedRun],
    query: Query,
    *,
    matcher: PassageMatcher,
    taken: Iterable[str] = (),
    also_known_as: Iterable[str] = (),
) -> list[MemoryAnswer]:
    """Return the answers of external runs to a query, a column each.

    A run that has not been asked the query, or ranks nothing of this library, has a column that
    says so.

    Args:
        runs: In the order of the columns.
        query: As asked here.
        matcher: Of the library.
        taken: System ids of the other columns.
        also_known_as: Ids under which the query is known elsewhere (a sample query's own).
    """
    used = set(taken)
    results = []
    for run in runs:
        system_id = _system_id(run.name, used)
        used.add(system_id)
        results.append(_column(run, query, matcher, system_id, tuple(also_known_as)))
    return results


def _column(
    run: ImportedRun,
    query: Query,
    matcher: PassageMatcher,
    system_id: str,
    also_known_as: Sequence[str],
) -> MemoryAnswer:
    info = SystemInfo(system_id, Family.IMPORTED, _label(run.name))
    nothing = Ranking(query_id=query.query_id, system_id=system_id, hits=())
    found = run.answer(query.text, (query.query_id, *also_known_as))
    if found is None:
        texts = [run.queries.get(name, name) for name in list(run.rankings)[:_NAMED_QUERIES]]
        some = "; ".join(f'"{text[:_QUERY_CHARS]}"' for text in texts)
        failure = (
            f"This run was not asked this query. It has {len(run.rankings):,}: {some}. Ask one of "
            "them in the same words, or give the run with a file of its queries' texts."
        )
        return MemoryAnswer(info, nothing, failure=failure)
    placed, report = matcher.matched(found, system_id=system_id)
    placed = replace(placed, query_id=query.query_id)
    if not placed.hits:
        return MemoryAnswer(info, nothing, failure=f"Nothing to show: {report.words}")
    whole = report.matched == report.hits and not report.merged
    said = (*run.notes, *([] if whole else [report.words]))
    return MemoryAnswer(info, placed, note=" ".join(said))


def _system_id(name: str, used: set[str]) -> str:
    stem = "run-" + (_UNSAFE.sub("-", name.lower()).strip("-")[:40] or "imported")
    number, made = 2, stem
    while made in used:
        made, number = f"{stem}-{number}", number + 1
    return made


def _label(name: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in name)
    return " ".join(plain.split())[:LABEL_CHARS] or "imported run"


def _fact(run_id: str) -> str:
    return f"run:{run_id}"


def _ids(workspace: Workspace) -> list[str]:
    found = json.loads(workspace.fact(_INDEX_FACT) or "[]")
    return [str(name) for name in found]


def _to_json(run: ImportedRun) -> str:
    rankings = {
        query_id: [[hit.passage_id, hit.score] for hit in ranking.hits[:HITS_KEPT]]
        for query_id, ranking in run.rankings.items()
    }
    return json.dumps(
        {
            "name": run.name,
            "queries": dict(run.queries),
            "rankings": rankings,
            "notes": list(run.notes),
        }
    )


def _from_json(text: str) -> ImportedRun:
    fields = json.loads(text)
    name = str(fields["name"])
    return ImportedRun(
        name=name,
        rankings={
            query_id: Ranking(
                query_id=query_id,
                system_id=name,
                hits=tuple(
                    Hit(passage_id, float(score), rank)
                    for rank, (passage_id, score) in enumerate(hits, start=1)
                ),
            )
            for query_id, hits in fields["rankings"].items()
        },
        queries={str(name): str(text) for name, text in fields["queries"].items()},
        notes=tuple(map(str, fields.get("notes", ()))),
    )
