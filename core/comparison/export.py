"""A comparison as CSV, JSON, TREC run or Quepid snapshot, safe to open in other programs.

Text from documents is hostile: a cell that a spreadsheet would take for a formula gets an
apostrophe in front, control characters are dropped, and ids in TREC files hold no white space.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable

import numpy as np

from core.comparison.records import Comparison, to_json
from core.records import Ranking

__all__ = [
    "quepid_ratings",
    "quepid_snapshot",
    "query_id_of",
    "safe_cell",
    "to_csv",
    "to_json",
    "to_trec_qrels",
    "to_trec_run",
    "trec_id",
    "trec_runs",
]

# Also the full-width forms, which some spreadsheets treat alike.
_FORMULA = re.compile("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_UNSAFE_IN_ID = re.compile("[%\\s\x00-\x1f\x7f\ud800-\udfff]")


def safe_cell(text: str) -> str:
    """Return text that no spreadsheet runs: formulas quoted, control characters dropped."""
    clean = _CONTROL.sub("", text)
    leading = clean[:1] in ("\t", "\r", "\n")
    return f"'{clean}" if leading or _FORMULA.match(clean) else clean


def to_csv(comparison: Comparison) -> str:
    """Return a line per compared passage: ids, document, pages, text, and four columns a system.

    Ranks are over the whole corpus; empty cells mean not ranked or not calibrated. Write it as
    ``utf-8-sig`` for spreadsheets that guess.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    header = ["query", "passage_id", "doc_id", "document", "page_first", "page_last", "text"]
    for column in comparison.columns:
        name = column.info.system_id
        header += [f"{name} rank", f"{name} score", f"{name} z", f"{name} percentile"]
    writer.writerow([safe_cell(cell) for cell in header])
    for passage in comparison.passages:
        row: list[str] = [
            safe_cell(comparison.query.text),
            safe_cell(passage.passage_id),
            safe_cell(passage.doc_id),
            safe_cell(passage.document),
            str(passage.page_first),
            str(passage.page_last),
            safe_cell(passage.text),
        ]
        for standing in passage.standings:
            row += [
                "" if number is None else repr(number)
                for number in (standing.rank, standing.score, standing.z, standing.percentile)
            ]
        writer.writerow(row)
    return stream.getvalue()


def to_trec_run(rankings: Iterable[Ranking], *, tag: str) -> str:
    """Return rankings as a TREC run: ``qid Q0 docid rank score tag`` a line.

    trec_eval ignores the rank and sorts by score with a tie rule of its own, so scores are made
    strictly decreasing where they are not: by the least step of single precision, which is what
    trec_eval keeps. White space and ``%`` in ids are written as ``%20`` and ``%25``.
    """
    lines = []
    for ranking in rankings:
        previous = np.float32(np.inf)
        for hit in ranking.hits:
            below = np.nextafter(previous, np.float32(-np.inf))
            score = min(np.float32(hit.score), below) if np.isfinite(previous) else hit.score
            previous = np.float32(score)
            lines.append(
                f"{trec_id(ranking.query_id)} Q0 {trec_id(hit.passage_id)} {hit.rank} "
                f"{float(previous)!r} {trec_id(tag)}\n"
            )
    return "".join(lines)


def trec_runs(comparison: Comparison) -> dict[str, str]:
    """Return a TREC run for every system of a comparison, by system id."""
    return {
        column.info.system_id: to_trec_run([column.ranking], tag=column.info.system_id)
        for column in comparison.columns
    }


def trec_id(identifier: str) -> str:
    """Return an id without white space or control characters, two different ids kept apart."""
    if not identifier:
        return "%00"
    return _UNSAFE_IN_ID.sub(
        lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")),
        identifier,
    )


def quepid_snapshot(comparison: Comparison, *, time: str, case_id: int = 1) -> str:
    """Return the columns as Quepid's snapshot CSV, a snapshot per system.

    Args:
        comparison: What to export; documents are named by passage id.
        time: Of the snapshot, ISO 8601.
        case_id: Number of the case in Quepid.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["Snapshot Name", "Snapshot Time", "Case ID", "Query Text", "Doc ID", "Doc Position"]
    )
    for column in comparison.columns:
        for hit in column.ranking.hits[: comparison.k]:
            writer.writerow(
                [
                    safe_cell(column.info.label),
                    time,
                    case_id,
                    safe_cell(comparison.query.text),
                    safe_cell(hit.passage_id),
                    hit.rank,
                ]
            )
    return stream.getvalue()


def quepid_ratings(ratings: Iterable[tuple[str, str, int]]) -> str:
    """Return graded judgments as Quepid's basic CSV: query text, passage id, rating."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["query", "docid", "rating"])
    for query, passage_id, grade in ratings:
        writer.writerow([safe_cell(query), safe_cell(passage_id), grade])
    return stream.getvalue()


def to_trec_qrels(qrels: Iterable[tuple[str, str, int]]) -> str:
    """Return judgments as TREC qrels: ``qid 0 docid grade`` a line."""
    return "".join(
        f"{trec_id(query_id)} 0 {trec_id(passage_id)} {grade}\n"
        for query_id, passage_id, grade in qrels
    )


def query_id_of(text: str) -> str:
    """Return a query id for a typed query: equal texts get equal ids, in every session."""
    return "q" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
