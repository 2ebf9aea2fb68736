"""Runs computed elsewhere, as columns: a TREC run, mteb predictions, JSON or CSV of scores.

A file is hostile input: it is read strictly, line by line, and nothing in it is run. What it
ranks is matched by passage id; ids this library does not hold are dropped and counted, because a
column of question marks helps nobody.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.comparison.compare import SystemResult
from core.errors import DatasetError, UnknownNameError
from core.records import Family, Hit, Ranking, SystemInfo

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

MAX_RUN_BYTES = 512 * 1024 * 1024
_TREC_COLUMNS = 6
_HEADERS = {
    "query": ("query_id", "qid", "query-id", "query", "query text"),
    "passage": ("passage_id", "docid", "doc_id", "corpus-id", "doc id"),
    "score": ("score",),
    "rank": ("rank", "doc position", "position"),
}


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A run from elsewhere.

    Attributes:
        name: Its tag or file name.
        rankings: By query id; hits by score, ties by passage id ascending.
    """

    name: str
    rankings: Mapping[str, Ranking]

    def ranking(self, query_id: str) -> Ranking:
        """Return the ranking of a query.

        Raises:
            UnknownNameError: If the run has no such query.
        """
        try:
            return self.rankings[query_id]
        except KeyError:
            some = ", ".join(list(self.rankings)[:3])
            msg = f"The run {self.name!r} has no query {query_id!r}; it has {some} ..."
            raise UnknownNameError(msg) from None


def read_run(path: Path) -> ImportedRun:
    """Read a run, by its form: ``.json`` (mteb predictions or plain), ``.csv``, else TREC.

    Raises:
        DatasetError: If it is not what it should be; names file and line.
    """
    if path.suffix.lower() == ".json":
        return read_json_run(path)
    if path.suffix.lower() == ".csv":
        return read_csv_run(path)
    return read_trec_run(path)


def read_trec_run(path: Path) -> ImportedRun:
    """Read ``qid Q0 docid rank score tag`` lines; ranks are ignored, as trec_eval does.

    Raises:
        DatasetError: If a line is not that; names file and line.
    """
    scores: dict[str, dict[str, float]] = {}
    tag = ""
    for number, line in enumerate(_text(path).splitlines(), start=1):
        parts = line.split()
        if not parts:
            continue
        where = f"{path.name}, line {number}"
        if len(parts) != _TREC_COLUMNS:
            msg = f"{where}: expected qid Q0 docid rank score tag, found {len(parts)} column(s)."
            raise DatasetError(msg)
        query_id, _, passage_id, _, score, tag = parts
        _add(scores, query_id, passage_id, _number(score, where), where)
    return _run(tag or path.stem, scores, path)


def read_json_run(path: Path) -> ImportedRun:
    """Read ``{query id: {passage id: score}}``, plain or inside mteb's prediction file.

    mteb writes it under subset and split: ``{"default": {"test": {...}}}`` beside its own
    ``mteb_model_meta``. With several subsets or splits the file is ambiguous and is refused.

    Raises:
        DatasetError: If it is not that.
    """
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError) as exc:
        raise DatasetError(f"{path.name}: this is not JSON ({exc}).") from exc
    table = _score_table(found, path)
    scores: dict[str, dict[str, float]] = {}
    for query_id, row in table.items():
        for passage_id, score in row.items():
            where = f"{path.name}, query {query_id!r}"
            _add(scores, query_id, passage_id, _number(score, where), where)
    return _run(path.stem, scores, path)


def read_csv_run(path: Path) -> ImportedRun:
    """Read a CSV with a header that names query, passage and a score or a rank.

    Quepid's snapshot CSV is one: Query Text, Doc ID, Doc Position.

    Raises:
        DatasetError: If a column is missing or a line is not as it should be.
    """
    reader = csv.reader(_text(path).splitlines(keepends=True))
    try:
        rows = list(reader)
    except csv.Error as exc:
        raise DatasetError(f"{path.name}, line {reader.line_num}: {exc}.") from exc
    if not rows:
        raise DatasetError(f"{path.name} is empty.")
    header = [cell.strip().lower() for cell in rows[0]]
    places = {
        what: next((header.index(name) for name in names if name in header), None)
        for what, names in _HEADERS.items()
    }
    query, passage = places["query"], places["passage"]
    by_rank = places["score"] is None
    value = places["rank"] if by_rank else places["score"]
    if query is None or passage is None or value is None:
        msg = f"{path.name}, line 1: expected columns query_id, passage_id and score or rank."
        raise DatasetError(msg)
    scores: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        where = f"{path.name}, line {number}"
        if len(row) <= max(query, passage, value):
            raise DatasetError(f"{where}: found {len(row)} column(s), the header has more.")
        score = _number(row[value], where)
        _add(scores, row[query].strip(), row[passage].strip(), -score if by_rank else score, where)
    return _run(path.stem, scores, path)


def imported_column(
    run: ImportedRun, *, query_id: str, known: Collection[str], system_id: str = "", label: str = ""
) -> tuple[SystemResult, int]:
    """Return a run's answer to one query as a column, and how many of its hits were dropped.

    Args:
        run: From `read_run`.
        query_id: Of the run.
        known: Passage ids of this library; others are dropped.
        system_id: In the comparison; "run-" and the run's name if not given.
        label: For people; the run's name if not given.

    Raises:
        UnknownNameError: If the run has no such query, or ranks nothing that is known.
    """
    ranking = run.ranking(query_id)
    kept = [hit for hit in ranking.hits if hit.passage_id in known]
    if ranking.hits and not kept:
        msg = (
            f"The run {run.name!r} ranks {len(ranking.hits)} passages, none of which this library "
            f"holds (the first is {ranking.hits[0].passage_id[:60]!r}). Export the run with this "
            "library's passage ids."
        )
        raise UnknownNameError(msg)
    name = system_id or "run-" + "_".join(run.name.split())
    hits = tuple(
        Hit(passage_id=hit.passage_id, score=hit.score, rank=rank)
        for rank, hit in enumerate(kept, start=1)
    )
    result = SystemResult(
        info=SystemInfo(system_id=name, family=Family.IMPORTED, label=label or run.name),
        ranking=Ranking(query_id=ranking.query_id, system_id=name, hits=hits),
    )
    return result, len(ranking.hits) - len(kept)


# -- parts ---------------------------------------------------------------------------------


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_RUN_BYTES:
            size = path.stat().st_size // 2**20
            msg = f"{path.name} has {size} MiB; runs up to {MAX_RUN_BYTES // 2**20} MiB are read."
            raise DatasetError(msg)
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DatasetError(f"{path.name} is not UTF-8 text.") from exc
    except OSError as exc:
        raise DatasetError(f"{path.name} cannot be read: {exc.strerror}.") from exc


def _score_table(found: Any, path: Path) -> Mapping[str, Mapping[str, Any]]:  # noqa: ANN401 - parsed JSON
    """Return the table of scores: what is reached after going down where there is one way."""
    wanted = f"{path.name}: expected query id, then passage id, then a score."
    table = found
    while True:
        if not isinstance(table, dict) or not table:
            raise DatasetError(wanted)
        rows = {key: one for key, one in table.items() if key != "mteb_model_meta"}
        if not rows or not all(isinstance(one, dict) for one in rows.values()):
            raise DatasetError(wanted)
        deeper = [cell for row in rows.values() for cell in row.values() if isinstance(cell, dict)]
        if not deeper:
            return rows
        if len(rows) > 1:
            names = ", ".join(map(str, list(rows)[:5]))
            msg = f"{path.name}: there are several runs in it ({names}); keep one of them."
            raise DatasetError(msg)
        table = next(iter(rows.values()))


def _number(value: Any, where: str) -> float:  # noqa: ANN401 - parsed JSON, CSV or TREC
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DatasetError(f"{where}: the score {value!r} is not a number.")
    try:
        number = float(value)
    except (ValueError, OverflowError) as exc:
        raise DatasetError(f"{where}: the score {value!r} is not a number.") from exc
    if not math.isfinite(number):
        raise DatasetError(f"{where}: the score {value!r} is not finite.")
    return number


def _add(
    scores: dict[str, dict[str, float]], query_id: str, passage_id: str, score: float, where: str
) -> None:
    if not query_id or not passage_id:
        raise DatasetError(f"{where}: an id is empty.")
    row = scores.setdefault(query_id, {})
    if passage_id in row:
        raise DatasetError(f"{where}: {passage_id!r} comes twice for query {query_id!r}.")
    row[passage_id] = score


def _run(name: str, scores: Mapping[str, Mapping[str, float]], path: Path) -> ImportedRun:
    if not scores:
        raise DatasetError(f"{path.name} holds no rankings.")
    return ImportedRun(
        name=name,
        rankings={query_id: _ranking(name, query_id, row) for query_id, row in scores.items()},
    )


def _ranking(name: str, query_id: str, row: Mapping[str, float]) -> Ranking:
    ordered: Iterable[str] = sorted(row, key=lambda passage_id: (-row[passage_id], passage_id))
    return Ranking(
        query_id=query_id,
        system_id=name,
        hits=tuple(
            Hit(passage_id=passage_id, score=row[passage_id], rank=rank)
            for rank, passage_id in enumerate(ordered, start=1)
        ),
    )
