"""Run an experiment on a library: its two encoders, cache, partial results, Stop.

Page, API and command line run every experiment through `run`, so that the same inputs give the same
picture at once, whichever of them asks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from core import codec
from core.errors import EmptyLibraryError
from core.evaluation.runs import keep, library_identity
from core.experiments.context import Context, make_context
from core.experiments.experiment import Experiment, Kind
from core.library.library import Library
from core.monitor import Monitor
from core.records import LEXICAL

R = TypeVar("R")

RESULT_VERSION = 3  # raise it when an experiment's meaning changes: kept results are then stale

# The last context of every open library: making one reads all its vectors.
_LAST: WeakKeyDictionary[Library, tuple[tuple[str, ...], Context]] = WeakKeyDictionary()


def run(
    library: Library,
    experiment: Experiment[R],
    values: Mapping[str, object],
    *,
    monitor: Monitor | None = None,
) -> R:
    """Return an experiment's result, from the workspace where it was run before.

    What was stopped, or where an encoder failed, is returned as far as it came and not kept.

    Args:
        library: Where it runs.
        experiment: Which one.
        values: Its fields by name; those left out take their defaults.
        monitor: Hears progress; may stop.

    Raises:
        InvalidSettingError: If a value is out of bounds.
        EmptyLibraryError: Nothing has been indexed.
        EncoderError: If an encoder cannot be loaded, or both failed.
        LaboratoryError: If the experiment cannot be made on what was chosen.
        StoppedError: If stopped before anything was finished.
    """
    chosen = _completed(library, experiment, experiment.checked(values))
    context = open_context(library, monitor=monitor)
    corpus = "\n".join(passage.passage_id for passage in context.corpus.passages)
    key = ":".join(
        (
            "experiment",
            result_key(f"{experiment.name} {experiment.version}", **chosen),
            hashlib.sha256(corpus.encode()).hexdigest(),
            *(indexed.encoder.fingerprint for indexed in context.encoders),
        )
    )
    stored = library.workspace.cached_result(key)
    if stored is not None:
        try:
            return codec.from_json(experiment.record, stored.decode())
        except ValueError:
            pass  # an older layout; computed again below
    result = experiment.run(context, monitor=monitor, **chosen)
    if not is_partial(result):
        library.workspace.cache_result(key, codec.to_json(result, keep_nan=True).encode())
        if experiment.as_run is not None:
            identity = library_identity(library) | {
                indexed.system_id: indexed.encoder.fingerprint for indexed in context.encoders
            }
            keep(experiment.as_run(result, identity), library.workspace.folder)
    return result


def result_key(experiment: str, **inputs: object) -> str:
    """Key of an experiment: equal inputs give equal keys, in any order of options.

    The hex digest is safe as a file name or a database key.
    """
    payload = {"experiment": experiment, "version": RESULT_VERSION, "inputs": inputs}
    text = json.dumps(codec.to_jsonable(payload), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_partial(result: object) -> bool:
    """Whether a result was stopped, or an encoder failed in it or in one encoder's part of it."""
    parts = (result, getattr(result, "a", None), getattr(result, "b", None))
    return any(getattr(one, "stopped", False) or getattr(one, "problem", "") for one in parts)


def _completed(
    library: Library, experiment: Experiment[Any], values: dict[str, Any]
) -> dict[str, Any]:
    """Fill in open fields: the best hit, the first passage, the first document."""
    for one in experiment.fields:
        if values[one.name] != "":
            continue
        if one.kind is Kind.PASSAGE:
            query = values.get("query", "")
            values[one.name] = best_hits(library, query)[0] if query else _first_passage(library)
        elif one.kind is Kind.DOCUMENT:
            values[one.name] = min((line.doc_id for line in library.documents()), default="")
    if values.get("k") == 0:
        values["k"] = library.settings.k
    return values


def best_hits(library: Library, query: str) -> tuple[str, ...]:
    """Return the id of each encoder's first hit, A's first; one where they agree.

    Raises:
        EmptyLibraryError: If there is no hit at all.
    """
    comparison = library.ask(query)
    columns = [comparison.column(name) for name in (comparison.encoder_a, comparison.encoder_b)]
    ids = [column.ranking.hits[0].passage_id for column in columns if column.ranking.hits]
    if not ids:
        raise EmptyLibraryError("Neither encoder finds a passage; add a document first.")
    return tuple(dict.fromkeys(ids))


def _first_passage(library: Library) -> str:
    return min((passage.passage_id for passage in library.passages()), default="")


def open_context(library: Library, *, monitor: Monitor | None = None) -> Context:
    """Return both encoders of the pair over a library.

    Raises:
        EmptyLibraryError: Nothing has been indexed.
        EncoderError: If an encoder cannot be loaded: an experiment needs both.
    """
    specs = library.encoders.pair()
    first, second = (library.encoders.get(spec.encoder_id) for spec in specs)
    view = library.view([*(library.encoders.info(spec) for spec in specs), LEXICAL])
    key = (view.corpus_key, first.fingerprint, second.fingerprint)
    last = _LAST.get(library)
    if last is not None and last[0] == key:
        return last[1]
    doc_ids = sorted({passage.doc_id for passage in view.passages})
    context = make_context(
        view.passages,
        [library.document(doc_id) for doc_id in doc_ids],
        encoders=(first, second),
        vectors=(
            library.embeddings(first, view.passages),
            library.embeddings(second, view.passages),
        ),
        backgrounds=(
            library.background(first, view, monitor=monitor),
            library.background(second, view, monitor=monitor),
        ),
        monitor=monitor,
    )
    _LAST[library] = (key, context)
    return context
