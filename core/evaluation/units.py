"""Units of an evaluation: whole documents, or passages that stand for theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from core.documents.chunking import chunk_document
from core.encoders.spec import ContextEncoder, Encoder, TextKind
from core.evaluation.beir import Collection
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.records import Document, Page, Passage, TextSource, Unit, make_passage_id
from core.settings import ChunkingSettings
from core.store.embedding import embed_in_context, embed_texts, stored_under
from core.store.vectors import in_context
from core.store.workspace import Workspace

CountTokens = Callable[[Sequence[str]], Sequence[int]]

PASSAGE_TOKENS = 512  # documents up to here stay whole when the unit is a passage
_CHUNKING = ChunkingSettings(chunk_tokens=PASSAGE_TOKENS, overlap_tokens=0)


@dataclass(frozen=True, slots=True)
class Units:
    """The texts that are embedded and scored."""

    doc_ids: tuple[str, ...]  # ``n`` document ids, ascending
    documents: tuple[str, ...]  # ``n`` texts, whole
    texts: tuple[str, ...]  # ``m`` texts of the units
    starts: NDArray[np.int64]  # ``(m,)`` where each begins in its document, in characters
    owner: NDArray[np.int64]  # ``(m,)`` position in ``doc_ids`` of each unit's document
    one_to_one: bool  # whether unit i is document i


def units_of(
    documents: Mapping[str, str], unit: Unit, *, count_tokens: CountTokens | None = None
) -> Units:
    """Return the units of a corpus of texts by document id, ids ascending.

    ``DOCUMENT`` leaves texts whole, ``PASSAGE`` cuts those of more than 512 tokens, by the neutral
    counter or, without one, 4 tokens to 3 words.
    """
    doc_ids, wholes = tuple(documents), tuple(documents.values())
    count = count_tokens or _tokens_by_words
    starts: list[int] = []
    texts: list[str] = []
    owner: list[int] = []
    for position, whole in enumerate(wholes):
        passages = [(0, whole)] if unit is Unit.DOCUMENT else _passages(whole, count)
        starts += [start for start, _ in passages]
        texts += [text for _, text in passages]
        owner += [position] * len(passages)
    return Units(
        doc_ids,
        wholes,
        tuple(texts),
        np.array(starts, dtype=np.int64),
        np.array(owner, dtype=np.int64),
        one_to_one=len(owner) == len(doc_ids),
    )


def units_within(units: Units, collection: Collection) -> tuple[Units, NDArray[np.int64]]:
    """Return the units of a collection's documents and their positions among all units."""
    if len(collection.documents) == len(units.doc_ids):
        return units, np.arange(len(units.texts))
    kept = [place for place, doc_id in enumerate(units.doc_ids) if doc_id in collection.documents]
    chosen = np.flatnonzero(np.isin(units.owner, kept))
    new_place = {place: new for new, place in enumerate(kept)}
    part = Units(
        tuple(units.doc_ids[place] for place in kept),
        tuple(units.documents[place] for place in kept),
        tuple(units.texts[position] for position in chosen.tolist()),
        units.starts[chosen],
        np.array([new_place[place] for place in units.owner[chosen].tolist()], dtype=np.int64),
        one_to_one=units.one_to_one,
    )
    return part, chosen


def in_document_light(encoder: Encoder, units: Units) -> bool:
    """Whether an encoder embeds these units in the light of their documents (late chunking)."""
    return encoder.spec.late_chunking and not units.one_to_one


def embed_units(
    encoder: Encoder, units: Units, *, workspace: Workspace | None, monitor: Monitor | None = None
) -> NDArray[np.float32]:
    """Return ``(m, dim)`` float32 vectors of units, as the encoder was made to be used.

    An encoder for late chunking reads each document once and pools it unit by unit (Günther et
    al., arXiv 2409.04701), as a library does; any other embeds each unit by itself.

    Raises:
        EncodingError: If the encoder fails.
        StoppedError: If the monitor asks to stop; vectors made before are kept in the workspace.
    """
    if not in_document_light(encoder, units):
        return embed_cached(
            encoder, units.texts, kind=TextKind.PASSAGE, workspace=workspace, monitor=monitor
        )
    reader = cast("ContextEncoder", encoder)
    monitor = monitor or SilentMonitor()
    found: list[NDArray[np.float32]] = []
    for document, members in _documents(units):
        passages = [member for member in members if member.text.strip()]
        done = sum(len(block) for block in found)
        if not passages:  # a document without text, which is a unit as well
            found.append(encoder.encode([document.text], kind=TextKind.PASSAGE))
        elif workspace is None:
            raise_if_stopped(monitor)
            spans = [(member.start, member.end) for member in passages]
            found.append(reader.encode_spans(document.text, spans, monitor=monitor))
            stage = f"embedding ({encoder.spec.label})"
            monitor.report(Progress(stage, done + len(passages), len(units.texts)))
        else:
            embed_in_context(
                workspace,
                reader,
                document,
                passages,
                chunking=_CHUNKING.key,
                monitor=monitor,
                done_before=done,
                total=len(units.texts),
            )
            keys = [in_context(_CHUNKING.key, p.passage_id, p.text) for p in passages]
            found.append(workspace.vectors(stored_under(encoder), keys))
    return np.concatenate(found)


def embed_cached(
    encoder: Encoder,
    texts: Sequence[str],
    *,
    kind: TextKind,
    workspace: Workspace | None,
    monitor: Monitor | None = None,
) -> NDArray[np.float32]:
    """Return ``(n, dim)`` float32 vectors, taken from the workspace where it has them."""
    if workspace is None:
        return encoder.encode(texts, kind=kind, monitor=monitor)
    what = "queries" if kind is TextKind.QUERY else "passages"
    stage = f"embedding {what} ({encoder.spec.label})"
    embed_texts(workspace, encoder, texts, kind=kind, monitor=monitor, stage=stage)
    return workspace.vectors(stored_under(encoder, kind=kind), texts, kind=kind)


def _documents(units: Units) -> list[tuple[Document, list[Passage]]]:
    """Return every document with its units, in order; the same text is the same document."""
    members: list[list[int]] = [[] for _ in units.doc_ids]
    for position, place in enumerate(units.owner.tolist()):
        members[place].append(position)
    found = []
    for whole, positions in zip(units.documents, members, strict=True):
        document = _document(whole)
        passages = []
        for position in positions:
            text, start = units.texts[position], int(units.starts[position])
            end = start + len(text)
            identity = make_passage_id(document.doc_id, start, end)
            passages.append(Passage(identity, document.doc_id, start, end, text, 1, 1))
        found.append((document, passages))
    return found


def _passages(text: str, count_tokens: CountTokens) -> list[tuple[int, str]]:
    if count_tokens([text])[0] <= PASSAGE_TOKENS:
        return [(0, text)]
    passages = chunk_document(_document(text), count_tokens=count_tokens, settings=_CHUNKING)
    return [(passage.start, passage.text) for passage in passages] or [(0, text)]


def _document(text: str) -> Document:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    page = Page(
        page_number=1,
        start=0,
        end=len(text),
        width=0.0,
        height=0.0,
        char_boxes=np.empty((0, 4), dtype=np.float32),
        text_source=TextSource.PLAIN,
    )
    return Document(
        doc_id=f"d{digest[:16]}",
        name="",
        sha256=digest,
        media_type="text/plain",
        text=text,
        pages=(page,),
        size_bytes=0,
    )


def _tokens_by_words(texts: Sequence[str]) -> list[int]:
    return [-(-4 * len(text.split()) // 3) for text in texts]  # 4 tokens to 3 words, rounded up
