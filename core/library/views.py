"""View of a search: every passage that all encoders in use have embedded.

A view is made whole, replaced in one step and never changed; searches that began on one end on it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.encoders.spec import Encoder
from core.errors import EmptyLibraryError, EncoderError, WorkspaceDamagedError
from core.library.holdings import Holdings
from core.monitor import Monitor
from core.records import Family, Passage, SystemInfo
from core.search import (
    Background,
    DenseIndex,
    DenseSystem,
    FusedSystem,
    LexicalIndex,
    LexicalSystem,
    QueryEmbeddings,
    Searcher,
    System,
    UnavailableSystem,
    corpus_key,
    score_background,
)
from core.search.background import BACKGROUND_VERSION
from core.store.workspace import Workspace

VIEW_AGE_FACTOR = 10.0
STILL_EMBEDDED = "This encoder has no passage ready yet: the first ones are being embedded."


@dataclass(frozen=True, slots=True, eq=False)
class SearchView:
    """Passages that can be searched right now."""

    searcher: Searcher  # asks every system
    passages: tuple[Passage, ...]  # the passages searched, ordered by id
    by_id: Mapping[str, Passage]  # the same by id
    corpus_key: str  # hash of the passages
    waiting: int  # passages left out until every encoder has embedded them


@dataclass(frozen=True, slots=True, eq=False)
class _BuiltView:
    """The last view, with the versions that decide whether it still serves."""

    asked: object
    version: int
    epoch: int
    built_at: float
    build_seconds: float
    view: SearchView


class Views:
    """Makes views and keeps the last; safe to call from several threads.

    Args:
        workspace: Where score backgrounds are kept.
        holdings: Passages and their vectors.
        encoder: Gives an encoder by id, loading it when needed.
        indexing: Whether more is being indexed at this moment.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        holdings: Holdings,
        encoder: Callable[[str], Encoder],
        indexing: Callable[[], bool],
    ) -> None:
        self._workspace = workspace
        self._holdings = holdings
        self._encoder = encoder
        self._indexing = indexing
        self._building = threading.Lock()
        self._built: _BuiltView | None = None  # replaced in one step, and only while building
        self._query_embeddings = QueryEmbeddings()

    def get(self, systems: Sequence[SystemInfo]) -> SearchView:
        """Return the passages that these systems can search now, as one view.

        Args:
            systems: ``Family.LEXICAL`` is BM25, ``Family.FUSION`` fuses the encoders among them;
                for all others the system id is an encoder id. An encoder that cannot be had
                stands as a failure in its place.

        Raises:
            EmptyLibraryError: If no document is ready.
        """
        encoders: dict[str, Encoder] = {}
        unavailable: dict[str, str] = {}
        for info in systems:
            if info.family not in (Family.LEXICAL, Family.FUSION):
                try:
                    encoders[info.system_id] = self._encoder(info.system_id)
                except EncoderError as exc:
                    unavailable[info.system_id] = str(exc)
        fingerprints = tuple(sorted((name, e.fingerprint) for name, e in encoders.items()))
        asked = (tuple(systems), fingerprints, tuple(sorted(unavailable.items())))
        view = self._ready(asked)
        if view is not None:
            return view
        with self._building:  # one thread builds, the others wait for what it makes
            view = self._ready(asked)
            if view is None:
                version, epoch = self._holdings.state()  # before: what changes meanwhile is noticed
                started = time.monotonic()
                view = self._build(systems, encoders, unavailable)
                now = time.monotonic()
                self._built = _BuiltView(asked, version, epoch, now, now - started, view)
            return view

    def background(
        self, encoder: Encoder, view: SearchView, *, monitor: Monitor | None = None
    ) -> Background:
        """Score background of an encoder over a view's passages; kept once computed."""
        key = f"background:{BACKGROUND_VERSION}:{encoder.fingerprint}:{view.corpus_key}"
        kept = self._workspace.cached_result(key)
        if kept is not None:
            try:
                return Background.from_bytes(kept)
            except WorkspaceDamagedError:
                pass  # an older layout; computed again below
        background = score_background(
            encoder,
            view.passages,
            self._holdings.embeddings(encoder, view.passages),
            monitor=monitor,
        )
        if not self._workspace.read_only:
            self._workspace.cache_result(key, background.to_bytes())
        return background

    def _ready(self, asked: object) -> SearchView | None:
        built = self._built
        version, epoch = self._holdings.state()  # after: a change in between makes the view old
        if built is None or (built.asked, built.epoch) != (asked, epoch):
            return None
        if built.version == version:
            return built.view
        # While more is being indexed the last view serves on for a while: building one after
        # every few passages of a large library would leave no time for anything else.
        age = time.monotonic() - built.built_at
        fresh = age < VIEW_AGE_FACTOR * built.build_seconds
        return built.view if fresh and self._indexing() else None

    def _build(
        self,
        systems: Sequence[SystemInfo],
        encoders: Mapping[str, Encoder],
        unavailable: Mapping[str, str],
    ) -> SearchView:
        corpus = self._holdings.corpus()
        pending: set[str] = set()  # passage ids
        for encoder in encoders.values():
            waiting = self._holdings.waiting(
                encoder.passage_fingerprint,
                corpus.passages,
                late_chunking=encoder.spec.late_chunking,
            )
            pending |= {passage.passage_id for passage in waiting}
        passages = tuple(p for p in corpus.passages if p.passage_id not in pending)
        if (
            not passages
            and any(info.family is Family.LEXICAL for info in systems)
            and self._indexing()
        ):
            # BM25 needs no embedding: it answers at once, and the encoders say why they do not yet.
            passages = corpus.passages
            unavailable = {**unavailable, **dict.fromkeys(encoders, STILL_EMBEDDED)}
            encoders = {}
        if not passages:
            raise EmptyLibraryError(
                "The documents are not embedded yet; wait for indexing to finish, or start it "
                "again."
                if corpus.passages
                else "Nothing has been indexed yet. Add documents first."
            )
        key = corpus_key(passages)
        ids = tuple(passage.passage_id for passage in passages)
        ready_texts = [passage.text for passage in passages]
        members = tuple(info.system_id for info in systems if info.system_id in encoders)
        built: list[System] = []
        for info in systems:
            if info.system_id in unavailable:
                built.append(UnavailableSystem(info, unavailable[info.system_id]))
            elif info.family is Family.LEXICAL:
                lexical = self._last_lexical(key) or LexicalIndex(ids, ready_texts)
                built.append(LexicalSystem(info, lexical))
            elif info.family is Family.FUSION:
                built.append(FusedSystem(info, members))
            else:
                encoder = encoders[info.system_id]
                index = DenseIndex(ids, self._holdings.embedding_blocks(encoder, passages))
                built.append(DenseSystem(info, encoder, index))
        return SearchView(
            searcher=Searcher(built, query_embeddings=self._query_embeddings),
            passages=passages,
            by_id={passage.passage_id: passage for passage in passages},
            corpus_key=key,
            waiting=len(pending),
        )

    def _last_lexical(self, key: str) -> LexicalIndex | None:
        """Return the last view's BM25 when it is over the very same passages."""
        built = self._built
        if built is not None and built.view.corpus_key == key:
            for system in built.view.searcher.systems:
                if isinstance(system, LexicalSystem):
                    return system.index
        return None
