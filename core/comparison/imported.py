"""External runs: TREC runs, mteb predictions, JSON or CSV of scores, Bifocal's exports.

A file is hostile input: it is read strictly, line by line, and nothing in it is run. What its ids
are in a library is `core.comparison.matching`'s business.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.comparison.records import from_fields
from core.errors import DatasetError, UsageError
from core.records import Hit, Ranking

MAX_RUN_BYTES = 512 * 1024 * 1024
MAX_QUERY_FILE_BYTES = 64 * 1024 * 1024
MAX_RUNS_IN_A_FILE = 8
_TREC_COLUMNS = 6
_HEADERS = {
    "query": ("query_id", "qid", "query-id", "query", "query text"),
    "text": ("query text", "query_text", "query"),
    "passage": ("passage_id", "docid", "doc_id", "corpus-id", "doc id", "id"),
    "document": ("document", "file", "filename", "file_name", "source", "doc_name"),
    "page": ("page", "page_number", "page_first"),
    "label": ("page_label",),
    "score": ("score", "similarity"),
    "rank": ("rank", "doc position", "position"),
}
_EXPORT_RANK = " rank"  # Bifocal's own CSV: "<system> rank", "<system> score", ...
_EXPORT_SCORE = " score"
_SPACES = re.compile(r"\s+")
_BLANKS = re.compile(r"[ \t]+")  # wide spaces belong to ids

_Scores = dict[str, dict[str, list[tuple[float, int]]]]  # query, passage: minus score and rank


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """An external run."""

    name: str  # its tag or file name
    # by query id; hits by score, ties by the rank that the run gave, then by passage id
    rankings: Mapping[str, Ranking]
    queries: Mapping[str, str] = field(default_factory=dict)  # text by query id, where it is known
    notes: tuple[str, ...] = ()  # what was read otherwise than it stands, each a sentence

    def answer(self, text: str, ids: Iterable[str] = ()) -> Ranking | None:
        """Return the ranking of a query by its text or one of its ids; None when it was not asked.

        Case and white space of the text do not count. A text may itself be the id (Quepid's CSV).
        """
        wanted = _folded(text)
        for query_id, known in self.queries.items():
            if _folded(known) == wanted and query_id in self.rankings:
                return self.rankings[query_id]
        for name in ids:
            if name in self.rankings:
                return self.rankings[name]
        return next(
            (found for name, found in self.rankings.items() if _folded(name) == wanted), None
        )


def read_runs(
    path: Path, *, queries: Path | None = None, most_bytes: int = MAX_RUN_BYTES
) -> tuple[ImportedRun, ...]:
    """Read every run in a file, or in a folder of mteb predictions.

    ``.json``: mteb predictions, a plain table of scores, or a comparison saved by Bifocal;
    ``.csv``: scores or ranks, Quepid's snapshot, or Bifocal's export; anything else: TREC, one run
    for each tag.

    Args:
        path: What to read.
        queries: The texts of its queries, see `read_query_texts`.
        most_bytes: Largest file that is read.

    Raises:
        DatasetError: If it is not what it should be; names file and line.
    """
    texts = {} if queries is None else read_query_texts(queries)
    paths = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not paths:
        raise DatasetError(f"{path.name} holds no predictions (JSON files, as mteb writes them).")
    runs = [run for one in paths for run in _runs_of(one, most_bytes)]
    if len(runs) > MAX_RUNS_IN_A_FILE:
        names = ", ".join(run.name[:40] for run in runs[:4])
        raise DatasetError(
            f"{path.name} holds {len(runs)} runs ({names} ...); keep {MAX_RUNS_IN_A_FILE} at most."
        )
    return tuple(replace(run, queries={**run.queries, **texts}) for run in runs)


def read_query_texts(path: Path) -> dict[str, str]:
    """Read queries' texts by id: BEIR's ``queries.jsonl``, or lines of id, tab, text.

    Raises:
        DatasetError: If it is neither; names file and line.
    """
    found: dict[str, str] = {}
    is_json = path.suffix.lower() in {".jsonl", ".ndjson"}
    for number, line in enumerate(_lines(path, MAX_QUERY_FILE_BYTES), start=1):
        if not line.strip():
            continue
        if is_json:
            query_id, text = _json_query(line)
        else:
            query_id, _, text = line.partition("\t")
        if not query_id.strip() or not text.strip():
            raise DatasetError(
                f"{path.name}, line {number}: expected "
                + ('{"_id": ..., "text": ...}.' if is_json else "a query id, a tab, its text.")
            )
        found[query_id.strip()] = text.strip()
    if not found:
        raise DatasetError(f"{path.name} holds no queries.")
    return found


def read_trec_runs(path: Path, *, most_bytes: int = MAX_RUN_BYTES) -> tuple[ImportedRun, ...]:
    """Read ``qid Q0 docid rank score tag`` lines; further columns are ignored.

    The score decides, as for trec_eval; among equal scores the rank does. Several tags in one file are several runs, as Bifocal's own export has them.

    Raises:
        DatasetError: If a line is not that; names file and line.
    """
    tagged: dict[str, _Scores] = {}
    for number, line in enumerate(_lines(path, most_bytes), start=1):
        parts = _BLANKS.split(line.strip(" \t"))
        if parts == [""]:
            continue
        where = f"{path.name}, line {number}"
        if len(parts) < _TREC_COLUMNS:
            raise DatasetError(
                f"{where}: expected qid Q0 docid rank score tag, found {len(parts)} column(s)."
            )
        query_id, _, passage_id, rank, score, tag = parts[:_TREC_COLUMNS]
        place = int(rank) if rank.isascii() and rank.isdecimal() else 0
        _add(tagged.setdefault(tag, {}), query_id, passage_id, _number(score, where), where, place)
    if not tagged:
        raise DatasetError(f"{path.name} holds no rankings.")
    return tuple(_run(name, scores, path) for name, scores in tagged.items())


def read_json_run(path: Path, *, most_bytes: int = MAX_RUN_BYTES) -> ImportedRun:
    """Read ``{query id: {passage id: score}}``, plain or inside mteb's prediction file.

    mteb writes it under subset and split: ``{"default": {"test": {...}}}`` beside its own
    ``mteb_model_meta``. With several subsets or splits the file is ambiguous and is refused.

    Raises:
        DatasetError: If it is not that.
    """
    found = _json(path, most_bytes)
    if isinstance(found, dict) and {"task_name", "scores"} <= set(found):
        raise DatasetError(
            f"{path.name} is an mteb result: figures, not a ranking. Add it to the benchmark table; "
            "a column is made of mteb's predictions."
        )
    table = _score_table(found, path)
    scores: _Scores = {}
    for query_id, row in table.items():
        for passage_id, score in row.items():
            where = f"{path.name}, query {query_id!r}"
            _add(scores, query_id, passage_id, _number(score, where), where)
    return _run(path.stem, scores, path)


def read_csv_run(path: Path, *, most_bytes: int = MAX_RUN_BYTES) -> ImportedRun:
    """Read a CSV with columns for the query, a passage or document, and a score or a rank.

    What was found is a passage id, or a document with or without a page. Quepid's snapshot CSV is
    one: Query Text, Doc ID, Doc Position.

    Raises:
        DatasetError: If a column is missing or a line is not as it should be.
    """
    header, rows = _csv(path, most_bytes)
    places = {
        what: next((header.index(name) for name in names if name in header), None)
        for what, names in _HEADERS.items()
    }
    query = places["query"]
    found = places["document"] if places["passage"] is None else places["passage"]
    pages, notes = _pages(places, rows) if places["passage"] is None else ({}, ())
    by_rank = places["score"] is None
    value = places["rank"] if by_rank else places["score"]
    if query is None or found is None or value is None:
        raise DatasetError(
            f"{path.name}, line 1: expected columns query_id, passage_id (or document and page) "
            "and score or rank."
        )
    last = max(place for place in places.values() if place is not None)
    scores: _Scores = {}
    texts: dict[str, str] = {}
    for number, row in rows:
        where = f"{path.name}, line {number}"
        if len(row) <= last:
            raise DatasetError(f"{where}: found {len(row)} column(s), the header has more.")
        score = _number(row[value], where)
        query_id, passage_id = row[query].strip(), row[found].strip()
        if pages.get(number):
            passage_id += f"#page={pages[number]}"
        if places["text"] is not None:
            texts[query_id] = row[places["text"]].strip()
        rank = "" if places["rank"] is None else row[places["rank"]].strip()
        place = int(rank) if rank.isascii() and rank.isdecimal() else 0
        _add(scores, query_id, passage_id, -score if by_rank else score, where, place)
    run = _run(path.stem, scores, path)
    return replace(run, queries=texts, notes=(*notes, *run.notes))


# -- parts ---------------------------------------------------------------------------------


def _runs_of(path: Path, most_bytes: int) -> tuple[ImportedRun, ...]:
    form = path.suffix.lower()
    if form == ".json":
        found = _json(path, most_bytes)
        if isinstance(found, dict) and {"columns", "query", "format"} <= set(found):
            return _saved_comparison(path, found)
        return (read_json_run(path, most_bytes=most_bytes),)
    if form == ".csv":
        header, rows = _csv(path, most_bytes)
        if "passage_id" in header and any(name.endswith(_EXPORT_RANK) for name in header):
            return _exported_csv(path, header, rows)
        return (read_csv_run(path, most_bytes=most_bytes),)
    return read_trec_runs(path, most_bytes=most_bytes)


def _saved_comparison(path: Path, fields: dict[str, Any]) -> tuple[ImportedRun, ...]:
    """The columns of a comparison that Bifocal exported as JSON."""
    try:
        comparison = from_fields(fields)
    except UsageError as exc:
        raise DatasetError(f"{path.name}: {exc}") from exc
    query = comparison.query
    return tuple(
        ImportedRun(
            name=column.info.label,
            rankings={query.query_id: replace(column.ranking, system_id=column.info.label)},
            queries={query.query_id: query.text},
        )
        for column in comparison.columns
        if column.ranking.hits
    )


def _exported_csv(
    path: Path, header: list[str], rows: Iterable[tuple[int, list[str]]]
) -> tuple[ImportedRun, ...]:
    """The columns of a comparison that Bifocal exported as CSV."""
    query, passage = header.index("query"), header.index("passage_id")
    tables: dict[str, _Scores] = {
        name.removesuffix(_EXPORT_RANK): {} for name in header if name.endswith(_EXPORT_RANK)
    }
    for number, row in rows:
        where = f"{path.name}, line {number}"
        if len(row) != len(header):
            raise DatasetError(
                f"{where}: found {len(row)} column(s), the header has {len(header)}."
            )
        for name, scores in tables.items():
            rank = row[header.index(name + _EXPORT_RANK)].strip()
            if rank and name + _EXPORT_SCORE in header:
                score = _number(row[header.index(name + _EXPORT_SCORE)], where)
                _add(scores, row[query].strip(), row[passage].strip(), score, where)
    # The text is the query's id here, and its text.
    return tuple(
        replace(_run(name, scores, path), queries={text: text for text in scores})
        for name, scores in tables.items()
        if scores
    )


def _json(path: Path, most_bytes: int) -> Any:  # noqa: ANN401 - parsed JSON
    try:
        return json.loads(_text(path, most_bytes))
    except (ValueError, RecursionError) as exc:
        raise DatasetError(f"{path.name}: this is not JSON ({exc}).") from exc


def _json_query(line: str) -> tuple[str, str]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(found, dict):
        return "", ""
    name = next((found[key] for key in ("_id", "id", "query_id", "qid") if key in found), "")
    text = found.get("text", found.get("query", ""))
    return str(name), text if isinstance(text, str) else ""


def _csv(path: Path, most_bytes: int) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header in lower case, and every line that is not empty with its number."""
    reader = csv.reader(io.StringIO(_text(path, most_bytes), newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as exc:
        raise DatasetError(f"{path.name}, line {reader.line_num}: {exc}.") from exc
    if not rows:
        raise DatasetError(f"{path.name} is empty.")
    header = [cell.strip().lower() for cell in rows[0][1]]
    return header, [(number, row) for number, row in rows[1:] if row]


def _pages(
    places: Mapping[str, int | None], rows: Iterable[tuple[int, list[str]]]
) -> tuple[dict[int, str], tuple[str, ...]]:
    """Pages by line, counted from 1, and a note where they were counted from 0.

    A label that is a number is what people see; else a page 0 shows that the file counts from 0.
    """
    read = {
        name: {n: row[place].strip() for n, row in rows if len(row) > place}
        for name in ("label", "page")
        if (place := places[name]) is not None
    }
    labels, pages = read.get("label", {}), read.get("page", {})
    if labels and ("page" not in read or all(one.isdecimal() for one in labels.values())):
        return labels, ()
    if "0" not in pages.values():
        return pages, ()
    moved = {n: str(int(one) + 1) if one.isdecimal() else one for n, one in pages.items()}
    return moved, ("Its pages count from 0; 1 was added to each.",)


def _lines(path: Path, most_bytes: int) -> list[str]:
    """Lines as programs write them: only a line feed ends one."""
    return [line.removesuffix("\r") for line in _text(path, most_bytes).split("\n")]


def _folded(text: str) -> str:
    return _SPACES.sub(" ", text).strip().casefold()


def _text(path: Path, most_bytes: int) -> str:
    try:
        if path.stat().st_size > most_bytes:
            size = path.stat().st_size / 2**20
            raise DatasetError(
                f"{path.name} has {size:,.0f} MiB; up to {most_bytes / 2**20:,.0f} MiB are read."
            )
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DatasetError(f"{path.name} is not UTF-8 text.") from exc
    except OSError as exc:
        raise DatasetError(f"{path.name} cannot be read: {exc.strerror}.") from exc


def _score_table(found: Any, path: Path) -> Mapping[str, Mapping[str, Any]]:  # noqa: ANN401 - parsed JSON
    """Return the table of scores below any levels that hold one entry."""
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
            raise DatasetError(
                f"{path.name}: there are several runs in it ({names}); keep one of them."
            )
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
    scores: _Scores, query_id: str, passage_id: str, score: float, where: str, rank: int = 0
) -> None:
    if not query_id or not passage_id:
        raise DatasetError(f"{where}: an id is empty.")
    scores.setdefault(query_id, {}).setdefault(passage_id, []).append((-score, rank))


def _run(name: str, scores: _Scores, path: Path) -> ImportedRun:
    if not scores:
        raise DatasetError(f"{path.name} holds no rankings.")
    merged = sum(len(found) - 1 for row in scores.values() for found in row.values())
    again = "hit names" if merged == 1 else "hits name"
    return ImportedRun(
        name=name,
        rankings={query_id: _ranking(name, query_id, row) for query_id, row in scores.items()},
        notes=(f"{merged:,} {again} again what stands higher already.",) if merged else (),
    )


def _ranking(name: str, query_id: str, row: Mapping[str, list[tuple[float, int]]]) -> Ranking:
    ordered = sorted((min(found), passage_id) for passage_id, found in row.items())
    return Ranking(
        query_id=query_id,
        system_id=name,
        hits=tuple(
            Hit(passage_id=passage_id, score=-score, rank=place)
            for place, ((score, _), passage_id) in enumerate(ordered, start=1)
        ),
    )
