"""Map of a library for two encoders at once: a projection of each, and the neighbours they share."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.encoders.spec import TextKind
from core.errors import LaboratoryError
from core.experiments.context import (
    Context,
    Floats,
    IndexedEncoder,
    SystemName,
    each_encoder,
    encode,
    name_of,
)
from core.experiments.experiment import QUERY, Experiment, Field, Kind
from core.monitor import Monitor, SilentMonitor
from core.records import Passage
from core.render import Html, render, systems
from core.search.dense import DenseIndex, nearest
from core.settings import ASSETS
from core.words import percent, plural, shortened

HITS = 10  # of the query, marked in each picture
LISTED = 20  # passages in a list; those with the fewest common neighbours have lines too
PAIRS = 200_000_000  # scores computed for neighbours; above it they are of a sample
COLOURED = 5  # documents with a colour of their own
_TEXT_CHARS = 110
_BLOCK = 8192
_NO_COUNT = 255  # of common neighbours, in the picture's data
_GRID = 65_535  # steps across a picture

Place = tuple[float, float]
_Frame = tuple[float, float, float]
_Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MapDocument:
    """A document on the map."""

    doc_id: str  # its id
    name: str  # as the user knows it. Hostile text: escape it.
    passages: int  # how many of the points are its


@dataclass(frozen=True, slots=True)
class MapPoint:
    """One passage in both pictures."""

    passage_id: str  # its id
    document: int  # place of its document in the map's list
    page: int  # of its first character
    a: Place  # in the picture of A
    b: Place  # in the picture of B
    # how many of its nearest neighbours are the same for both encoders; None where not counted
    shared: int | None
    rank_a: int = 0  # of the query, for A; 0 without one
    rank_b: int = 0
    text: str = ""  # how it begins, where the map lists it. Hostile text: escape it.


@dataclass(frozen=True, slots=True)
class MapSide:
    """One encoder's picture."""

    system: SystemName
    dimension: int  # of the space
    variance: (
        float  # share of the variance that the picture keeps; NaN where it keeps distances not
    )
    kept: float  # share of nearest neighbours in the space that are nearest in the picture too
    query: Place | None  # the query's place


@dataclass(frozen=True, slots=True)
class LibraryMap:
    """A library as two encoders see it."""

    method: str  # of projection
    neighbours: int  # nearest neighbours looked at, at most; fewer in a smaller library
    query: str  # what was asked; "" for nothing
    a: MapSide
    b: MapSide
    documents: tuple[MapDocument, ...]  # most passages first
    points: tuple[MapPoint, ...]  # fewest common neighbours first, ties by passage id
    counted: int  # passages whose neighbours were looked at
    shared: float  # share of common neighbours, on average over those
    summary: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def library_map(
    context: Context,
    *,
    query: str = "",
    method: str = "pca",
    neighbours: int = 10,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> LibraryMap:
    """Lay out every passage once for each encoder and count the neighbours that both give it.

    Neighbours are looked for in the full space, by cosine; the picture has no part in it.

    Args:
        context: Both encoders over the corpus.
        query: Placed in both pictures with its hits; "" for none.
        method: ``pca`` or ``umap``.
        neighbours: How many nearest ones of every passage.
        seed: Decides the sample of a large library, and UMAP's picture.
        monitor: Hears progress; may stop.

    Raises:
        LaboratoryError: If there are fewer than three passages, or UMAP is not installed.
        EncodingError: If the query cannot be embedded.
        StoppedError: If stopped.
    """
    passages = context.corpus.passages
    if len(passages) < 3:
        raise LaboratoryError("A map needs three passages or more; add a document first.")
    watch = monitor or SilentMonitor()
    k = min(neighbours, (len(passages) - 1) // 2)  # of a few passages all would be near
    rows = counted_rows(len(passages), seed=seed)
    text = query.strip()

    def ranks(indexed: IndexedEncoder) -> tuple[Floats | None, NDArray[np.int64]]:
        if not text:
            return None, np.zeros(len(passages), np.int64)
        vector = encode(indexed.encoder, [text], kind=TextKind.QUERY)[0]
        scores = DenseIndex([item.passage_id for item in passages], indexed.vectors).scores(vector)
        found = np.empty(len(scores), np.int64)
        found[np.lexsort((np.arange(len(scores)), -scores))] = np.arange(1, len(scores) + 1)
        return vector, found

    asked = each_encoder(context.encoders, "placing the query", ranks, monitor=watch)
    sides = [
        _project(indexed, method, asked[place][0], neighbours=k, seed=seed)
        for place, indexed in enumerate(context.encoders)
    ]
    turn = turned(sides[1][0], sides[0][0])
    places = [sides[0][0], sides[1][0] @ turn]
    queries = [sides[0][1], None if sides[1][1] is None else sides[1][1] @ turn]
    near = [
        nearest(indexed.vectors, rows, k=k, monitor=watch, stage=f"neighbours ({indexed.label})")
        for indexed in context.encoders
    ]
    shared = np.full(len(passages), -1)
    shared[rows] = common(near[0], near[1])
    measured = [
        MapSide(
            name_of(indexed),
            indexed.vectors.shape[1],
            sides[place][2],
            float(np.mean(common(near[place], _flat_neighbours(places[place], rows, k)))) / k,
            None if query_place is None else _place(query_place),
        )
        for place, (indexed, query_place) in enumerate(zip(context.encoders, queries, strict=True))
    ]
    counts = Counter(item.doc_id for item in passages)
    documents = sorted(counts, key=lambda doc_id: (-counts[doc_id], doc_id))
    number = {doc_id: place for place, doc_id in enumerate(documents)}
    order = np.lexsort((np.arange(len(passages)), np.where(shared < 0, k + 1, shared)))
    points = tuple(
        MapPoint(
            item.passage_id,
            number[item.doc_id],
            item.page_first,
            _place(places[0][row]),
            _place(places[1][row]),
            None if shared[row] < 0 else int(shared[row]),
            int(asked[0][1][row]),
            int(asked[1][1][row]),
            shortened(item.text, _TEXT_CHARS) if place < LISTED or _is_hit(asked, row) else "",
        )
        for place, row in enumerate(order.tolist())
        for item in [passages[row]]
    )
    found = LibraryMap(
        method=method,
        neighbours=k,
        query=text,
        a=measured[0],
        b=measured[1],
        documents=tuple(
            MapDocument(doc_id, context.corpus.names.get(doc_id, doc_id), counts[doc_id])
            for doc_id in documents
        ),
        points=points,
        counted=len(rows),
        shared=float(np.mean(shared[rows])) / k,
    )
    return replace(found, summary=_summary(found), notes=_notes(found))


def counted_rows(count: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Return the rows whose neighbours are looked at: all, or a sample of a large library."""
    most = max(1, PAIRS // count)
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def common(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many entries each row of ``(m, k)`` shares with the same row of another."""
    return np.array(
        [len(set(a) & set(b)) for a, b in zip(one.tolist(), other.tolist(), strict=True)], np.int64
    )


def principal_axes(vectors: Floats) -> tuple[_Doubles, _Doubles, float]:
    """Return mean ``(dim,)``, the two principal axes ``(dim, 2)`` and the variance they keep.

    The sign of an axis is free; here its largest weight is positive, so that the same library
    always gives the same picture.
    """
    from scipy.linalg import eigh

    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), _BLOCK):
        block = (vectors[start : start + _BLOCK] - mean).astype(np.float32)
        covariance += block.T @ block
    last = len(covariance) - 1
    values, axes = eigh(covariance, subset_by_index=[last - 1, last])
    values, axes = values[::-1], axes[:, ::-1]  # the larger first
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(2)]
    total = float(np.trace(covariance))
    return (
        mean,
        axes * np.where(largest < 0, -1.0, 1.0),
        float(values.sum()) / total if total else 1.0,
    )


def turned(points: _Doubles, onto: _Doubles) -> _Doubles:
    """Return the turn or mirroring ``(2, 2)`` that lays centred points most nearly onto others."""
    left, _, right = np.linalg.svd((points - points.mean(axis=0)).T @ (onto - onto.mean(axis=0)))
    turn: _Doubles = left @ right
    return turn


def _project(
    indexed: IndexedEncoder, method: str, query: Floats | None, *, neighbours: int, seed: int
) -> tuple[_Doubles, _Doubles | None, float]:
    """Return every passage's place ``(n, 2)``, the query's, and the share of variance kept."""
    if method == "umap":
        try:
            import umap  # the extra `map`
        except ImportError as exc:
            raise LaboratoryError(
                'UMAP is not installed here: pip install "bifocal[map]", or choose PCA.'
            ) from exc
        maker = umap.UMAP(
            metric="cosine", n_neighbors=max(2, neighbours), random_state=seed, n_jobs=1
        )
        flat = np.asarray(maker.fit_transform(indexed.vectors), np.float64)
        placed = None if query is None else np.asarray(maker.transform(query[None])[0], np.float64)
        return flat, placed, math.nan
    mean, axes, share = principal_axes(indexed.vectors)
    flat = (indexed.vectors - mean).astype(np.float32) @ axes
    return flat, None if query is None else (query - mean) @ axes, share


def _flat_neighbours(places: _Doubles, rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return the k nearest points of rows in a picture, ``(m, k)``."""
    from scipy.spatial import KDTree

    _, found = KDTree(places).query(places[rows], k=k + 1)
    own = found == rows[:, None]
    own[~own.any(axis=1), -1] = True  # hidden behind points on the same spot
    near: NDArray[np.int64] = found[~own].reshape(len(rows), k)
    return near


def _is_hit(asked: Sequence[tuple[Any, NDArray[np.int64]]], row: int) -> bool:
    return any(0 < ranks[row] <= HITS for _, ranks in asked)


def _place(point: _Doubles) -> Place:
    return round(float(point[0]), 5), round(float(point[1]), 5)


def _names(found: LibraryMap) -> tuple[str, str]:
    """Return both encoders' names: the families', unless they are of one."""
    one, two = found.a.system, found.b.system
    if one.family == two.family:
        return one.label, two.label
    return systems.family_name(one.family, one.label), systems.family_name(two.family, two.label)


def _summary(found: LibraryMap) -> tuple[str, ...]:
    (a, b), k = _names(found), found.neighbours
    apart = sum(point.shared == 0 for point in found.points)
    first = (
        f"Of the {k} nearest neighbours of a passage, {found.shared * k:.1f} on average are the "
        "same for both encoders."
    )
    if apart:
        of = f" of {found.counted:,} counted" if found.counted < len(found.points) else ""
        first += (
            f" {plural(apart, 'passage')}{of} {'has' if apart == 1 else 'have'} none in common."
        )
    if found.method == "pca":
        kept = (
            f"A picture is not the space: its 2 dimensions keep {percent(found.a.variance)} of the "
            f"variance for {a}, {percent(found.b.variance)} for {b}."
        )
    else:
        kept = "A picture is not the space: distances in it and the size of its groups say little."
    return (
        first,
        kept,
        f"Of a passage's nearest neighbours {percent(found.a.kept)} are still nearest in the picture "
        f"for {a}, {percent(found.b.kept)} for {b}.",
    )


def _notes(found: LibraryMap) -> tuple[str, ...]:
    k = found.neighbours
    sample = ""
    if found.counted < len(found.points):
        sample = (
            f" In a library of {len(found.points):,} passages they are counted for a sample of "
            f"{found.counted:,}, drawn at random, among all passages."
        )
    sizes = " and ".join(dict.fromkeys(f"{side.dimension:,}" for side in (found.a, found.b)))
    how = {
        "pca": "PCA: each picture shows the two directions in which that encoder's embeddings "
        "vary most.",
        "umap": "UMAP tries to keep neighbours together and gives up distances; another seed "
        "gives another picture.",
    }[found.method]
    return (
        f"Common neighbours: the {k} passages with the highest cosine to a passage, in all {sizes} "
        f"dimensions, by each encoder; counted are those in both lists.{sample}",
        f"{how} The second picture is turned and mirrored, never stretched, to lie as the first "
        "does.",
    )


# -- how it looks --------------------------------------------------------------------------


def show(found: LibraryMap) -> Html:
    """Return both pictures, and the passages with the fewest common neighbours as a table."""
    rows = [(place, point, point.text) for place, point in enumerate(found.points)]
    hits = [row for row in rows if found.query and min(row[1].rank_a, row[1].rank_b) <= HITS]
    hits.sort(key=lambda hit: (min(hit[1].rank_a, hit[1].rank_b), hit[1].rank_a))
    frames = (_frame(found, 0), _frame(found, 1))
    return render(
        "map",
        found=found,
        documents=found.documents[:COLOURED],
        others=found.documents[COLOURED:],
        data=_data(found, frames, [place for place, *_ in hits]),
        columns=_columns(found, frames),
        code=_packed((ASSETS / "style" / "map.js").read_bytes()),
        tables=[
            (
                "Fewest common neighbours",
                [row for row in rows[:LISTED] if row[1].shared is not None],
            ),
            ("Hits of the question", hits),
        ],
        encoders=_encoders(found),
    )


def show_chosen(found: LibraryMap, passages: Mapping[str, Passage]) -> Html:
    """Return passages chosen on the map as a table, those with the fewest common neighbours first.

    Args:
        found: The map.
        passages: The chosen ones by id.
    """
    rows = [
        (place, point, shortened(passages[point.passage_id].text, _TEXT_CHARS))
        for place, point in enumerate(found.points)
        if point.passage_id in passages
    ]
    return render("map_list", found=found, tables=[("Chosen", rows)], encoders=_encoders(found))


def _encoders(found: LibraryMap) -> list[tuple[str, Html]]:
    """Return both encoders' names, plain and in their colours."""
    families = [side.system.family for side in (found.a, found.b)]
    return [
        (name, systems.named(family, name))
        for name, family in zip(_names(found), families, strict=True)
    ]


def _data(found: LibraryMap, frames: tuple[_Frame, _Frame], hits: Sequence[int]) -> str:
    """Return the little that the script needs beside the columns, as JSON."""
    queries = [found.a.query, found.b.query]
    return json.dumps(
        {
            "documents": [[one.doc_id, one.name] for one in found.documents],
            "coloured": COLOURED,
            "listed": LISTED,
            "neighbours": found.neighbours,
            "hits": [
                [place, found.points[place].rank_a, found.points[place].rank_b] for place in hits
            ],
            "most": HITS,
            "query": [
                None if one is None else [(one[0] - left) / size, (one[1] - top) / size]
                for one, (left, top, size) in zip(queries, frames, strict=True)
            ],
            "inputs": {
                "query": found.query,
                "method": found.method,
                "neighbours": found.neighbours,
            },
        }
    )


def _columns(found: LibraryMap, frames: tuple[_Frame, _Frame]) -> dict[str, str]:
    """Return the points by column, as little-endian numbers in base64."""
    places = np.empty((len(found.points), 4), np.float64)
    for side, (left, top, size) in enumerate(frames):
        own = [point.b if side else point.a for point in found.points]
        places[:, 2 * side : 2 * side + 2] = (np.array(own) - (left, top)) / size * _GRID
    spans = [point.passage_id.rpartition(":")[2].split("-") for point in found.points]
    return {
        "places": _packed(places.round().astype("<u2").tobytes()),
        "owners": _packed(
            np.array([point.document for point in found.points]).astype("<u2").tobytes()
        ),
        "shared": _packed(
            bytes(_NO_COUNT if point.shared is None else point.shared for point in found.points)
        ),
        "spans": _packed(np.array(spans).astype("<u4").tobytes()),
    }


def _frame(found: LibraryMap, side: int) -> _Frame:
    """Return left, top and size of the square around a picture's points and its query."""
    query = found.b.query if side else found.a.query
    own = np.array([point.b if side else point.a for point in found.points] + [query] * bool(query))
    middle = (own.max(axis=0) + own.min(axis=0)) / 2
    size = float(np.ptp(own, axis=0).max()) * 1.08 or 1.0  # a little air
    return float(middle[0]) - size / 2, float(middle[1]) - size / 2, size


def _packed(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


EXPERIMENTS = (
    Experiment(
        name="map",
        verb="library_map",
        title="Map",
        about="Lay out the library once for each encoder; list passages with few common neighbours.",
        hint="The whole library, once as each encoder sees it. Draw around passages in one picture "
        "and see where the other has them.",
        fields=(
            replace(QUERY, needed=False, about="Placed on the map with its hits; may be empty."),
            Field(
                "method",
                Kind.CHOICE,
                "Projection: pca, or umap (an extra).",
                label="Projection",
                default="pca",
                choices={"pca": "PCA", "umap": "UMAP"},
            ),
            Field(
                "neighbours",
                Kind.NUMBER,
                "Nearest neighbours that are compared.",
                default=10,
                least=1,
                most=100,
            ),
            Field("seed", Kind.NUMBER, "Decides UMAP's picture.", default=0, most=2**31 - 1),
        ),
        record=LibraryMap,
        show=show,
        choose=show_chosen,
        run=library_map,
        long_list="points",
        order=6,
    ),
)
