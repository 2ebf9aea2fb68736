"""Read a folder in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/<split>.tsv.

Source of the layout: N. Thakur et al., "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation
of Information Retrieval Models", NeurIPS 2021 Datasets and Benchmarks. Where a folder also has
``qrels/<split>_<L>.tsv`` (LongEmbed's synthetic tasks), each such file is a collection of its own:
its queries, and of the corpus the documents whose id has ``_<L>_`` in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import DatasetError, InvalidSettingError
from core.store.centre import CENTRE_PASSAGES

Qrels = Mapping[str, Mapping[str, int]]

DEFAULT_SPLIT = "test"
_COLUMNS = 3  # of a qrels line


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, queries and relevance judgments, measured together."""

    name: str  # the folder's name, with ``@<L>`` for a length
    # text by document id, ids ascending. title and text joined with a space.
    documents: Mapping[str, str]
    # text by query id, in file order; only those with a relevant document
    queries: Mapping[str, str]
    qrels: Qrels  # grade by query id and document id; 0 and below is not relevant
    length: int | None = None  # nominal length in tokens of a synthetic collection; None otherwise
    notes: tuple[str, ...] = ()  # what a reader of the figures has to know, each a sentence


@dataclass(frozen=True, slots=True)
class BeirDataset:
    """A folder read: the whole, and its parts by nominal length where it has any."""

    whole: Collection
    lengths: tuple[Collection, ...] = ()

    @property
    def query_texts(self) -> tuple[str, ...]:
        """Every query of the whole and of its parts, each once."""
        parts = (self.whole, *self.lengths)
        return tuple(dict.fromkeys(text for part in parts for text in part.queries.values()))


def read_beir(folder: Path, *, split: str = DEFAULT_SPLIT) -> BeirDataset:
    """Read a BEIR folder, strictly.

    A judged document that the corpus lacks is no error (published sets have them): a note counts
    them, and they count as missed.

    Raises:
        DatasetError: If a file is missing or a line is not as it should be; names file and line.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. Name a folder in BEIR's layout.")
    documents = _read_documents(folder / "corpus.jsonl")
    queries = _read_queries(folder / "queries.jsonl")
    lengths = _length_files(folder / "qrels", split=split)
    whole_file = folder / "qrels" / f"{split}.tsv"
    if whole_file.is_file() or not lengths:
        qrels = _read_qrels(whole_file)
    else:  # lengths only: the whole is all of them
        qrels = {}
        for path in lengths.values():
            qrels.update(_read_qrels(path))
    whole = _collection(folder.resolve().name, documents, queries, qrels, length=None)
    return BeirDataset(
        whole=whole,
        lengths=tuple(
            _collection(
                f"{whole.name}@{length}",
                _documents_of_length(documents, length),
                queries,
                _read_qrels(path),
                length=length,
            )
            for length, path in sorted(lengths.items())
        ),
    )


def only_lengths(dataset: BeirDataset, lengths: Sequence[int]) -> BeirDataset:
    """Keep some nominal lengths; the whole becomes their union.

    Raises:
        InvalidSettingError: If the folder has no such length.
    """
    there = {part.length: part for part in dataset.lengths}
    absent = sorted(set(lengths) - there.keys())
    if absent:
        known = ", ".join(str(length) for length in there) or "none: it has no qrels by length"
        raise InvalidSettingError(
            f"{dataset.whole.name} has no length {absent[0]}. Those it has: {known}."
        )
    parts = tuple(part for part in dataset.lengths if part.length in set(lengths))
    kept = {doc_id for part in parts for doc_id in part.documents}
    shown = ", ".join(f"{part.length:,}" for part in parts)
    note = f"Lengths {shown} alone: {len(kept):,} of {len(dataset.whole.documents):,} documents."
    whole = replace(
        _restricted(dataset.whole, kept, note),
        queries={query_id: text for part in parts for query_id, text in part.queries.items()},
        qrels={query_id: grades for part in parts for query_id, grades in part.qrels.items()},
    )
    return BeirDataset(whole=whole, lengths=parts)


def sample_passages(dataset: BeirDataset, *, count: int, seed: int) -> BeirDataset:
    """Keep the relevant documents and ``count`` minus those others, drawn at random.

    Every query keeps all that is relevant to it, so the task becomes easier: figures of a sample
    compare with figures of the same sample only, and a note says so.

    Raises:
        InvalidSettingError: If ``count`` is below 1.
    """
    if count < 1:
        raise InvalidSettingError(f"sample_passages is {count}; choose a number from 1 up.")
    documents = dataset.whole.documents
    relevant = {
        doc_id
        for grades in dataset.whole.qrels.values()
        for doc_id, grade in grades.items()
        if grade > 0 and doc_id in documents
    }
    others = [doc_id for doc_id in documents if doc_id not in relevant]
    wanted = max(0, min(len(others), count - len(relevant)))
    drawn = np.random.default_rng(seed).choice(len(others), size=wanted, replace=False)
    kept = relevant | {others[position] for position in drawn.tolist()}
    note = (
        f"Sample: {len(kept):,} of {len(documents):,} documents ({len(relevant):,} relevant and "
        f"{wanted:,} others drawn with seed {seed}). Compare with the same sample only."
    )
    return BeirDataset(
        whole=_restricted(dataset.whole, kept, note),
        lengths=tuple(_restricted(part, kept, note) for part in dataset.lengths),
    )


def centring_texts(folder: Path, *, split: str = DEFAULT_SPLIT) -> list[str]:
    """Return an even spread of a folder's documents, to measure an encoder's mean on.

    Raises:
        DatasetError: If the folder is not as it should be.
    """
    documents = list(read_beir(folder, split=split).whole.documents.values())
    step = max(1, len(documents) // CENTRE_PASSAGES)
    return documents[::step][:CENTRE_PASSAGES]


def identity_of(collection: Collection) -> dict[str, str]:
    """Return hashes of a collection's documents, queries and judgments."""
    parts = {
        "documents": collection.documents,
        "queries": collection.queries,
        "judgments": collection.qrels,
    }
    return {name: content_hash(part) for name, part in parts.items()}


def content_hash(value: object) -> str:
    """Return the first 16 hex digits of the sha256 of a value as JSON."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# -- files ---------------------------------------------------------------------------------


def _read_documents(path: Path) -> dict[str, str]:
    documents: dict[str, str] = {}
    for where, fields in _json_lines(path):
        doc_id = _id(fields, where)
        if doc_id in documents:
            raise DatasetError(f"{where}: the id {doc_id!r} comes twice.")
        title = _text(fields, "title", where) if fields.get("title") is not None else ""
        # joined with a space, as BEIR and mteb do
        documents[doc_id] = f"{title} {_text(fields, 'text', where)}".strip()
    if not documents:
        raise DatasetError(f"{path} holds no documents.")
    return dict(sorted(documents.items()))


def _read_queries(path: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    for where, fields in _json_lines(path):
        query_id = _id(fields, where)
        if query_id in queries:
            raise DatasetError(f"{where}: the id {query_id!r} comes twice.")
        queries[query_id] = _text(fields, "text", where)
    return queries


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    first = True
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        where, is_first, first = f"{path}, line {number}", first, False
        parts = line.split("\t")
        if len(parts) != _COLUMNS:
            raise DatasetError(
                f"{where}: expected query-id, corpus-id and score with a tab between, "
                f"found {len(parts)} column(s)."
            )
        query_id, doc_id, score = (part.strip() for part in parts)
        try:
            grade = int(score)
        except ValueError as exc:
            if is_first:  # the header
                continue
            raise DatasetError(f"{where}: the score {score!r} is not a whole number.") from exc
        grades = qrels.setdefault(query_id, {})
        if grades.setdefault(doc_id, grade) != grade:
            raise DatasetError(
                f"{where}: {query_id!r} and {doc_id!r} were judged {grades[doc_id]} before."
            )
    if not qrels:
        raise DatasetError(f"{path} holds no judgments.")
    return qrels


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as exc:
            why = "nested too deeply" if isinstance(exc, RecursionError) else exc
            raise DatasetError(f"{where}: this is not JSON ({why}).") from exc
        if not isinstance(fields, dict):
            raise DatasetError(f'{where}: expected an object with "_id" and "text".')
        yield where, fields


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line numbers from 1 and lines without their end; blank lines are left out."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as exc:
                    raise DatasetError(f"{path}, line {number}: this is not UTF-8.") from exc
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError as exc:
        raise DatasetError(
            f"{path} is missing. A BEIR folder has corpus.jsonl, queries.jsonl and qrels/test.tsv."
        ) from exc
    except OSError as exc:
        raise DatasetError(f"{path} cannot be read: {exc.strerror}.") from exc


def _id(fields: Mapping[str, Any], where: str) -> str:
    identifier = fields.get("_id")
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        identifier = str(identifier)
    if not isinstance(identifier, str) or not identifier.strip():
        raise DatasetError(f'{where}: "_id" is missing or empty.')
    return identifier.strip()  # as in the qrels


def _text(fields: Mapping[str, Any], name: str, where: str) -> str:
    text = fields.get(name)
    if not isinstance(text, str):
        raise DatasetError(f'{where}: "{name}" is missing or not a string.')
    return text


# -- collections ---------------------------------------------------------------------------


def _length_files(folder: Path, *, split: str) -> dict[int, Path]:
    pattern = re.compile(rf"{re.escape(split)}_(\d{{1,9}})\.tsv")
    matches = ((pattern.fullmatch(path.name), path) for path in folder.glob("*.tsv"))
    return {int(match[1]): path for match, path in matches if match is not None}


def _documents_of_length(documents: Mapping[str, str], length: int) -> dict[str, str]:
    """Documents whose id has the length as a part of its own; all where none has."""
    part = re.compile(rf"(?:^|_){length}(?:_|$)")
    chosen = {doc_id: text for doc_id, text in documents.items() if part.search(doc_id)}
    return chosen or dict(documents)


def _collection(
    name: str,
    documents: Mapping[str, str],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    length: int | None,
) -> Collection:
    notes = []
    known = {q: grades for q, grades in qrels.items() if q in queries}
    judged = {q: grades for q, grades in known.items() if any(g > 0 for g in grades.values())}
    for count, why in (
        (len(qrels) - len(known), "not in queries.jsonl"),
        (len(known) - len(judged), "without a relevant document"),
    ):
        if count:
            said = "judged query is" if count == 1 else "judged queries are"
            notes.append(f"{count:,} {said} {why} and left out.")
    absent = sum(
        grade > 0 and doc_id not in documents
        for grades in judged.values()
        for doc_id, grade in grades.items()
    )
    if absent:
        notes.append(f"{absent:,} relevant documents are not in the corpus; they count as missed.")
    if not known:
        raise DatasetError(
            f"{name}: queries.jsonl has none of the judged queries; are both its own?"
        )
    if not judged:
        raise DatasetError(f"{name}: no query has a relevant document, so nothing can be measured.")
    return Collection(
        name=name,
        documents=documents,
        queries={query_id: text for query_id, text in queries.items() if query_id in judged},
        qrels=judged,
        length=length,
        notes=tuple(notes),
    )


def _restricted(collection: Collection, kept: set[str], note: str) -> Collection:
    documents = {d: text for d, text in collection.documents.items() if d in kept}
    return replace(collection, documents=documents, notes=(*collection.notes, note))
