"""Evaluations that are kept as runs, query by query: named, listed, and compared two by two."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError

from core import __version__
from core.errors import CoreError, DatasetError, UnknownNameError, UsageError
from core.evaluation.beir import content_hash
from core.evaluation.measures import MEASURES
from core.evaluation.records import Measured
from core.evaluation.render import interval_text, table_lines
from core.evaluation.significance import Clusters, Difference, Values, paired_difference
from core.store.files import TEMPORARY_PREFIX, disk_errors, write_atomically
from core.words import DASH, plural, shortened, signed

if TYPE_CHECKING:
    from core.library.library import Library

RUNS_FOLDER = "evaluations"  # in the data folder, and in a library's
UNNAMED_KEPT = 100  # the oldest runs that were not named by their user go first
DECIDING = 10  # queries shown
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_TEXT_CHARS = 500  # kept of a query
_TINY = 1e-9
_DIFFERING = {
    "documents": "a difference may come from them and not from an encoder",
    "queries": "only those that both runs have are compared",
    "judgments": "a passage that counts in one run may be unjudged in the other, and a difference "
    "may come from that",
}


@dataclass(frozen=True, slots=True)
class KeptRun:
    """An evaluation that other evaluations are compared with."""

    name: str  # the user's, or one made of dataset, date and number
    made: str  # when, ISO 8601 in UTC
    # what it was made of, by part; see `identity_of`. A part that is not there is unknown.
    identity: Mapping[str, str]
    query_ids: tuple[str, ...]  # in the order of all figures
    clusters: tuple[int, ...]  # number of each query's cluster; see `query_clusters`
    # by system id and name of measure: a figure of each query, 0 to 1
    figures: Mapping[str, Mapping[str, tuple[float, ...]]]
    dataset: str = ""  # what was measured; "" where unknown
    pair: tuple[str, str] | None = None  # system ids of the two encoders; None where unknown
    texts: tuple[str, ...] = ()  # beginnings of the queries; none where unknown
    named: bool = True  # by its user: it stays until its user removes it


@dataclass(frozen=True, slots=True)
class RunLine:
    """A kept run as a list names it."""

    name: str  # of its file
    made: str  # when, ISO 8601 in UTC. Hostile text, as the other texts are: escape it.
    dataset: str  # "" where unknown
    queries: int  # how many
    encoders: tuple[str, ...]  # their ids
    difference: float | None  # nDCG@10 of the pair, first minus second; None where unknown
    named: bool  # by its user
    content: str  # hash of everything but name and date


@dataclass(frozen=True, slots=True)
class SystemChange:
    """One system in two runs, over the queries that both have."""

    system_id: str  # whose
    first: float  # mean in the first run
    second: float  # mean in the second
    difference: Difference  # second minus first, query by query


@dataclass(frozen=True, slots=True)
class DecidingQuery:
    """A query whose figure differs much between two runs, in the system where it differs most."""

    query_id: str  # which
    text: str  # its beginning; "" where unknown
    system_id: str  # whose figures
    first: float  # in the first run
    second: float  # in the second


@dataclass(frozen=True, slots=True)
class RunsCompared:
    """Two kept runs, side by side."""

    first: str  # name
    second: str  # name
    parts: Mapping[str, tuple[str, str, str]]  # as `identity_parts` gives them
    warnings: tuple[str, ...]  # what to know before any figure, each a sentence
    measure: str  # of the figures
    queries: int  # how many both runs have
    systems: tuple[SystemChange, ...]  # those of both runs
    deciding: tuple[DecidingQuery, ...]  # the largest differences first


# -- keeping -------------------------------------------------------------------------------


def kept_run(
    measured: Measured,
    identity: Mapping[str, str],
    *,
    pair: tuple[str, str] | None = None,
    queries: Mapping[str, str] | None = None,
    name: str = "",
) -> KeptRun:
    """Return figures as a run to keep; without a name it gets one when it is kept.

    Args:
        measured: The figures.
        identity: What they were made of, by part, Bifocal's version aside.
        pair: System ids of the two encoders.
        queries: Their texts, by id.
        name: The user's.
    """
    return new_run(
        measured.name,
        identity,
        query_ids=measured.query_ids,
        clusters=measured.clusters,
        figures={system.system_id: system.per_query for system in measured.systems},
        pair=pair,
        texts=[queries[one] for one in measured.query_ids] if queries else (),
        name=name,
    )


def new_run(
    dataset: str,
    identity: Mapping[str, str],
    *,
    query_ids: Sequence[str],
    clusters: Clusters,
    figures: Mapping[str, Mapping[str, Sequence[float] | Values]],
    pair: tuple[str, str] | None,
    texts: Sequence[str],
    name: str = "",
) -> KeptRun:
    """Return a run of this moment and version, its texts such that they can be written."""
    return KeptRun(
        name=name,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        identity={**identity, "bifocal": __version__},
        query_ids=tuple(map(_utf8, query_ids)),
        clusters=tuple(clusters.tolist()),
        figures={
            system_id: {measure: tuple(map(float, values)) for measure, values in columns.items()}
            for system_id, columns in figures.items()
        },
        dataset=_utf8(dataset),
        pair=pair,
        texts=tuple(_utf8(text)[:_TEXT_CHARS] for text in texts),
        named=bool(name),
    )


def library_identity(library: Library) -> dict[str, str]:
    """Return a hash of a library's documents, and its settings, as parts of a run's identity."""
    return {
        "documents": content_hash(sorted(one.sha256 for one in library.workspace.documents())),
        "chunking": library.settings.chunking.key,
    }


def keep(run: KeptRun, folder: Path) -> str:
    """Keep a run below a folder, and return its name there.

    A run without a name gets one. It is not kept twice: where the same content is there under any
    name, that is returned. Beyond `UNNAMED_KEPT` the oldest run without a user's name goes.

    Raises:
        UsageError: If the name cannot be one.
        StoreError: If the disk refuses.
    """
    lines: Sequence[RunLine] = ()
    if not run.name:
        lines, _ = list_runs(folder)
        content = _content(run)
        same = next((line.name for line in lines if line.content == content), "")
        if same:
            return same
        start = re.sub(r"[^A-Za-z0-9._-]+", "-", run.dataset)[:40].strip("._-") or "run"
        names = (f"{start}-{run.made[:10]}-{number}" for number in count(1))
        run = replace(run, name=next(name for name in names if not _file(name, folder).exists()))
    path = run_path(run.name, folder)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, run_to_json(run).encode())
    for line in [line for line in lines if not line.named][UNNAMED_KEPT - 1 :]:
        with suppress(OSError):  # the run itself is kept
            _file(line.name, folder).unlink(missing_ok=True)
    return run.name


def run_path(name: str, *folders: Path) -> Path:
    """Return where a run is kept: a name below one of the folders, or a path that ends in .json.

    A name that is in none of the folders is one of the first.

    Raises:
        UsageError: If it is neither.
    """
    if name.endswith(".json"):
        return Path(name)
    paths = [_file(name, folder) for folder in folders]
    return next((path for path in paths if path.exists()), paths[0])


def run_to_json(run: KeptRun) -> str:
    """Return a run as JSON text."""
    return TypeAdapter(KeptRun).dump_json(run).decode() + "\n"


# -- reading -------------------------------------------------------------------------------


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
        raise DatasetError(f"{path.name} cannot be read: {exc.strerror}.") from exc
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
    if len(run.texts) not in (0, len(run.query_ids)):
        raise DatasetError(f"{path.name}: each query needs its text, or none has one.")
    return run


def list_runs(*folders: Path) -> tuple[tuple[RunLine, ...], tuple[str, ...]]:
    """Return the runs below folders, newest first, and a sentence for each that cannot be read."""
    lines: dict[str, tuple[str, int, RunLine]] = {}
    problems = []
    for folder in folders:
        for path in sorted((folder / RUNS_FOLDER).glob("*.json")):
            if path.name.startswith(TEMPORARY_PREFIX) or path.stem in lines:
                continue
            try:
                found = _file(path.stem, folder).stat()
                line = _line(path, found.st_mtime_ns, found.st_size)
            except (CoreError, OSError) as error:
                problems.append(f"A kept run is left out: {error}")
            else:
                lines[path.stem] = (line.made, found.st_mtime_ns, line)
    newest = sorted(lines.values(), key=lambda one: one[:2], reverse=True)
    return tuple(line for *_, line in newest), tuple(problems)


@lru_cache(maxsize=512)
def _line(path: Path, _changed: int, _size: int) -> RunLine:
    """Read a run for a list; again only when its file has changed."""
    run = read_kept_run(path)
    difference = None
    if run.pair is not None:
        one, two = (run.figures.get(encoder, {}).get(MEASURES[0], ()) for encoder in run.pair)
        if one and two:
            difference = float(np.mean(one) - np.mean(two))
    return RunLine(
        name=path.stem,
        made=run.made,
        dataset=run.dataset,
        queries=len(run.query_ids),
        encoders=tuple(name for name in run.figures if name in run.identity),
        difference=difference,
        named=run.named,
        content=_content(run),
    )


# -- comparing -----------------------------------------------------------------------------


def identity_parts(first: KeptRun, second: KeptRun) -> dict[str, tuple[str, str, str]]:
    """Return the parts of two identities, those that differ first, then the unknown ones.

    Each has ``same``, ``differs`` or ``unknown`` (where one lacks it), and both values.
    """
    parts = {}
    for name in dict.fromkeys((*first.identity, *second.identity)):
        one, two = first.identity.get(name, ""), second.identity.get(name, "")
        state = "unknown" if not (one and two) else "same" if one == two else "differs"
        parts[name] = (state, one, two)
    rank = ("differs", "unknown", "same").index
    return dict(sorted(parts.items(), key=lambda item: rank(item[1][0])))


def differing(parts: Mapping[str, tuple[str, str, str]]) -> list[str]:
    """Return a line for each part of two identities that is not known to be the same."""
    return [
        f"{name}: {one or 'unknown'} -> {two or 'unknown'}"
        for name, (state, one, two) in parts.items()
        if state != "same"
    ]


def paired(first: KeptRun, second: KeptRun) -> tuple[list[int], list[int], Clusters]:
    """Return the places of the queries that both runs have, in each, and their clusters.

    A query is the same where its id is and, as far as they are known, its text.
    """
    places = {query: place for place, query in enumerate(second.query_ids)}
    texts = [dict(zip(run.query_ids, run.texts, strict=False)) for run in (first, second)]
    shared = [
        place
        for place, query in enumerate(first.query_ids)
        if query in places and len({one[query] for one in texts if query in one}) < 2
    ]
    theirs = [places[first.query_ids[place]] for place in shared]
    numbers = np.array(second.clusters, dtype=np.int64)[theirs]
    return shared, theirs, np.unique(numbers, return_inverse=True)[1]


def compare_runs(
    first: KeptRun, second: KeptRun, *, measure: str = MEASURES[0], seed: int = 0
) -> RunsCompared:
    """Compare two runs: the differences of their identities, then each system, paired by query.

    Raises:
        UsageError: If no system has the measure in both runs.
    """
    parts = identity_parts(first, second)
    shared, theirs, clusters = paired(first, second)
    common = [name for name in first.figures if name in second.figures]
    known = [
        name
        for name in dict.fromkeys(name for one in common for name in first.figures[one])
        if any(name in first.figures[one] and name in second.figures[one] for one in common)
    ]
    wanted = next((name for name in known if name.casefold() == measure.casefold()), "")
    if common and not wanted:
        raise UsageError(
            f"The runs have no {measure} in common; choose one of {', '.join(known) or 'none'}."
        )
    figures = {
        one: (
            np.array(first.figures[one][wanted])[shared],
            np.array(second.figures[one][wanted])[theirs],
        )
        for one in common
        if shared and wanted in first.figures[one] and wanted in second.figures[one]
    }
    return RunsCompared(
        first=first.name,
        second=second.name,
        parts=parts,
        warnings=tuple(_warnings(first, second, parts, queries=len(shared), common=common)),
        measure=wanted or measure,
        queries=len(shared),
        systems=tuple(
            SystemChange(
                one,
                float(old.mean()),
                float(new.mean()),
                paired_difference(new, old, clusters, seed=seed),
            )
            for one, (old, new) in figures.items()
        ),
        deciding=_deciding(first, second, figures, shared=shared, theirs=theirs),
    )


def withheld_words(compared: RunsCompared) -> str:
    """Return why intervals are withheld, as a sentence; "" where none is."""
    reasons = dict.fromkeys(
        one.difference.withheld for one in compared.systems if one.difference.withheld
    )
    return f"[withheld]: no interval, for {'; '.join(reasons)}." if reasons else ""


def runs_text(lines: Sequence[RunLine]) -> list[str]:
    """Return kept runs as lines of a table."""
    if not lines:
        return ["No run is kept yet; `evaluate` keeps one."]
    rows = [
        ("name", "dataset", "queries", "made", "encoders", f"{MEASURES[0]}: first minus second")
    ]
    rows += [
        (
            line.name,
            shortened(line.dataset, 40) or DASH,
            f"{line.queries:,}",
            line.made[:16],
            shortened(", ".join(line.encoders), 60),
            DASH if line.difference is None else signed(line.difference, 3),
        )
        for line in lines
    ]
    return table_lines(rows)


def compared_text(compared: RunsCompared) -> list[str]:
    """Return two compared runs as lines: differences of identity first, figures after them."""
    differences = differing(compared.parts)
    lines = [
        f"{compared.first} and {compared.second}",
        *([f"  {one}" for one in differences] or ["  Nothing differs between their identities."]),
        *compared.warnings,
    ]
    if compared.systems:
        lines += [
            "",
            f"{compared.measure} over {plural(compared.queries, 'query', 'queries')} in both runs",
            *table_lines(
                [("system", compared.first, compared.second, "second minus first")]
                + [
                    (
                        one.system_id,
                        f"{one.first:.3f}",
                        f"{one.second:.3f}",
                        interval_text(one.difference, signed=True),
                    )
                    for one in compared.systems
                ]
            ),
            *filter(None, [withheld_words(compared)]),
        ]
    if compared.deciding:
        lines += ["", "The queries that decide:"]
        lines += table_lines(
            [
                (
                    f"{one.first:.3f} -> {one.second:.3f}",
                    one.system_id,
                    shortened(one.text, 80) or one.query_id,
                )
                for one in compared.deciding
            ]
        )
    return lines


# -- parts ---------------------------------------------------------------------------------


def _warnings(
    first: KeptRun,
    second: KeptRun,
    parts: Mapping[str, tuple[str, str, str]],
    *,
    queries: int,
    common: Sequence[str],
) -> list[str]:
    """Return the sentences to read before any figure."""
    said = []
    for name, why in _DIFFERING.items():
        state, one, two = parts.get(name, ("unknown", "", ""))
        if state == "differs":
            said.append(f"The {name} differ: {why}.")
        elif state == "unknown":
            where = "one run" if one or two else "both runs"
            said.append(f"The {name} of {where} are unknown and may differ: {why}.")
    for run, other in ((first, second), (second, first)):
        alone = [name for name in run.figures if name not in other.figures]
        if alone:
            said.append(f"Only {run.name} has {', '.join(alone)}.")
    if not common:
        said.append("The runs have no system in common, so there is nothing to compare.")
    if not queries:
        said.append("The runs have no query in common, so there is nothing to compare.")
    return said


def _deciding(
    first: KeptRun,
    second: KeptRun,
    figures: Mapping[str, tuple[Values, Values]],
    *,
    shared: Sequence[int],
    theirs: Sequence[int],
) -> tuple[DecidingQuery, ...]:
    """Return the queries with the largest differences, each in the system where it is largest."""
    if not figures:
        return ()
    names = list(figures)
    sizes = np.abs(np.array([new - old for old, new in figures.values()]))  # (systems, queries)
    most = sizes.argmax(axis=0)
    found = []
    for place in np.argsort(-sizes.max(axis=0), kind="stable")[:DECIDING].tolist():
        name = names[most[place]]
        if sizes[most[place], place] > _TINY:
            old, new = (float(values[place]) for values in figures[name])
            text = next(
                (
                    run.texts[at]
                    for run, at in ((second, theirs[place]), (first, shared[place]))
                    if run.texts
                ),
                "",
            )
            found.append(DecidingQuery(first.query_ids[shared[place]], text, name, old, new))
    return tuple(found)


def _file(name: str, folder: Path) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"A run is named with up to 60 letters, digits, dots and dashes; {name!r:.80} is not."
        )
    return folder / RUNS_FOLDER / f"{name}.json"


def _content(run: KeptRun) -> str:
    """Return a hash of everything but name and date."""
    return hashlib.sha256(
        run_to_json(replace(run, name="", made="", named=True)).encode()
    ).hexdigest()


def _utf8(text: str) -> str:
    """Return a text that can be written: a lone surrogate cannot."""
    return text.encode("utf-8", "replace").decode()
