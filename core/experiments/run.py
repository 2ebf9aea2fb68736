"""A library as the bench of experiments, and their results kept in its workspace."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from core.comparison.from_search import background_of
from core.experiments.context import Context, make_context
from core.experiments.results import from_json, to_json
from core.library import LEXICAL

if TYPE_CHECKING:
    from core.library import Library
    from core.monitor import Monitor

R = TypeVar("R")

# The last bench of every open library: making one reads all its vectors.
_LAST: WeakKeyDictionary[Library, tuple[tuple[str, ...], Context]] = WeakKeyDictionary()


def open_context(library: Library, *, monitor: Monitor | None = None) -> Context:
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
    context = make_context(
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
    _LAST[library] = (key, context)
    return context


def kept_result(library: Library, key: str, kind: type[R], run: Callable[[Context], R]) -> R:
    """Return an experiment's result, from the workspace's cache when it was run before.

    Args:
        library: Where it runs.
        key: From `core.experiments.results.result_key`; corpus and encoders are added here.
        kind: Record type of the result.
        run: Computes it.
    """
    context = open_context(library)
    corpus = hashlib.sha256(
        "\n".join(passage.passage_id for passage in context.corpus.passages).encode()
    ).hexdigest()
    full = ":".join(
        ("experiment", key, corpus, context.a.encoder.fingerprint, context.b.encoder.fingerprint)
    )
    stored = library.workspace.cached_result(full)
    if stored is not None:
        try:
            return from_json(kind, stored.decode())
        except (ValueError, TypeError, KeyError):
            pass  # an older layout; computed again below
    result = run(context)
    library.workspace.cache_result(full, to_json(result).encode())
    return result
