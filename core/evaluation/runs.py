"""Evaluations that are kept: figures query by query, with their identity."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError

from core import __version__
from core.errors import DatasetError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from core.evaluation.beir import Collection
    from core.evaluation.records import Evaluation

RUNS_FOLDER = "evaluations"  # in the data folder
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


@dataclass(frozen=True, slots=True)
class KeptRun:
    """An evaluation that other evaluations are compared with."""

    name: str  # the user's
    made: str  # when, ISO 8601 in UTC
    # what it was made of, by part; see `identity_of`. A part that is not there is unknown.
    identity: Mapping[str, str]
    query_ids: tuple[str, ...]  # in the order of all figures
    clusters: tuple[int, ...]  # number of each query's cluster; see `query_clusters`
    # by system id and name of measure: a figure of each query, 0 to 1
    figures: Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of two runs' identities: ``same``, ``differs``, or ``unknown`` where one lacks it."""

    name: str
    first: str
    second: str
    state: str


def identity_of(collection: Collection) -> dict[str, str]:
    """Return hashes of a collection's documents, queries and judgments."""
    parts = {
        "documents": collection.documents,
        "queries": collection.queries,
        "judgments": collection.qrels,
    }
    return {
        name: hashlib.sha256(
            json.dumps(part, sort_keys=True).encode("utf-8", "surrogatepass")
        ).hexdigest()[:16]
        for name, part in parts.items()
    }


def kept_run(evaluation: Evaluation, *, name: str) -> KeptRun:
    """Return an evaluation as a run to keep."""
    whole = evaluation.whole
    return KeptRun(
        name=name,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        identity={**evaluation.identity, "bifocal": __version__},
        query_ids=whole.query_ids,
        clusters=tuple(whole.clusters.tolist()),
        figures={
            system.system_id: {
                measure: tuple(values.tolist()) for measure, values in system.per_query.items()
            }
            for system in whole.systems
        },
    )


def run_path(name: str, folder: Path) -> Path:
    """Return where a run is kept: a name below a data folder, or a path that ends in .json.

    Raises:
        UsageError: If it is neither.
    """
    if name.endswith(".json"):
        return Path(name)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"A run is named with up to 60 letters, digits, dots and dashes; {name!r} is not."
        )
    return folder / RUNS_FOLDER / f"{name}.json"


def run_to_json(run: KeptRun) -> str:
    """Return a run as JSON text."""
    return TypeAdapter(KeptRun).dump_json(run).decode() + "\n"


def read_kept_run(path: Path) -> KeptRun:
    """Read a kept run, strictly.

    Raises:
        UnknownNameError: If there is none.
        DatasetError: If it is not one, or its figures are not numbers from 0 to 1 for each query.
    """
    try:
        run = TypeAdapter(KeptRun).validate_json(path.read_bytes())
    except FileNotFoundError as exc:
        raise UnknownNameError(
            f"There is no run {path.stem!r}; keep one with `evaluate --keep {path.stem}`."
        ) from exc
    except OSError as exc:
        raise DatasetError(f"{path} cannot be read: {exc.strerror}.") from exc
    except ValidationError as exc:
        wrong = ".".join(map(str, exc.errors()[0]["loc"])) or "the file"
        raise DatasetError(f"{path.name} is no kept run: {wrong} is not as it should be.") from exc
    for system_id, measures in run.figures.items():
        for measure, values in measures.items():
            numbers = np.array(values)
            if len(values) != len(run.query_ids) or not ((numbers >= 0) & (numbers <= 1)).all():
                raise DatasetError(
                    f"{path.name}: {measure} of {system_id} is not a number from 0 to 1 a query."
                )
    if len(run.clusters) != len(run.query_ids) or min(run.clusters, default=0) < 0:
        raise DatasetError(f"{path.name}: each query needs its cluster.")
    return run


def identity_parts(first: KeptRun, second: KeptRun) -> tuple[Part, ...]:
    """Return every part of two identities, those that differ first, then the unknown ones."""
    names = dict.fromkeys((*first.identity, *second.identity))
    parts = []
    for name in names:
        one, two = first.identity.get(name, ""), second.identity.get(name, "")
        state = "unknown" if not (one and two) else "same" if one == two else "differs"
        parts.append(Part(name, one, two, state))
    return tuple(sorted(parts, key=lambda part: ("differs", "unknown", "same").index(part.state)))
