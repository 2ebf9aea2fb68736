"""A library as the bench of experiments, and their results kept in its workspace."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from core.comparison.from_search import background_of
from core.laboratory.arms import Bench, make_bench
from core.laboratory.results import from_json, to_json
from core.library import LEXICAL

if TYPE_CHECKING:
    from core.library import Library
    from core.monitor import Monitor

R = TypeVar("R")

# The last bench of every open library: making one reads all its vectors.
_LAST: WeakKeyDictionary[Library, tuple[tuple[str, ...], Bench]] = WeakKeyDictionary()


def open_bench(library: Library, *, monitor: Monitor | None = None) -> Bench:
    """Return both encoders of the pair over a library.

    Raises:
        EmptyLibraryError: Nothing has been indexed.
        EncoderError: If an encoder cannot be loaded: an experiment needs both.
    """
    specs = library.encoders.pair()
    encoders = tuple(library.encoders.get(spec.encoder_id) for spec in specs)
    view = library.view([*(library.encoders.info(spec) for spec in specs), LEXICAL])
    key = (view.corpus_key, *(encoder.fingerprint for encoder in encoders))
    last = _LAST.get(library)
    if last is not None and last[0] == key:
        return last[1]
    doc_ids = sorted({passage.doc_id for passage in view.passages})
    first, second = encoders
    bench = make_bench(
        view.passages,
        [library.document(doc_id) for doc_id in doc_ids],
        encoders=(first, second),
        vectors=(
            library.embeddings(first, view.passages),
            library.embeddings(second, view.passages),
        ),
        backgrounds=(
            background_of(library.background(first, view, monitor=monitor)),
            background_of(library.background(second, view, monitor=monitor)),
        ),
        monitor=monitor,
    )
    _LAST[library] = (key, bench)
    return bench


def kept_result(library: Library, key: str, kind: type[R], run: Callable[[Bench], R]) -> R:
    """Return an experiment's result, from the workspace's cache when it was run before.

    Args:
        library: Where it runs.
        key: From `core.laboratory.results.result_key`; corpus and encoders are added here.
        kind: Record type of the result.
        run: Computes it.
    """
    bench = open_bench(library)
    corpus = hashlib.sha256(
        "\n".join(passage.passage_id for passage in bench.corpus.passages).encode()
    ).hexdigest()
    full = ":".join(
        ("experiment", key, corpus, bench.a.encoder.fingerprint, bench.b.encoder.fingerprint)
    )
    stored = library.workspace.cached_result(full)
    if stored is not None:
        try:
            return from_json(kind, stored.decode())
        except (ValueError, TypeError, KeyError):
            pass  # an older layout; computed again below
    result = run(bench)
    library.workspace.cache_result(full, to_json(result).encode())
    return result
