"""Measure encoders, BM25 and their fusion on a collection with known answers.

Everything is the same for every system: the texts (title and text joined once), the corpus, the
tie rule, the depth, the queries. Dense search is exact. Vectors are kept in a workspace by encoder
fingerprint and text, so a second run embeds nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.encoders.spec import Encoder, TextKind, choice_of, labelled
from core.errors import InvalidSettingError, UsageError
from core.evaluation.beir import (
    DEFAULT_SPLIT,
    Collection,
    identity_of,
    only_lengths,
    read_beir,
    sample_passages,
)
from core.evaluation.measures import DEPTH, per_query
from core.evaluation.records import DimensionCost, Evaluation, Measured, MeasuredSystem
from core.evaluation.significance import (
    confidence_sequence,
    mean_interval,
    paired_difference,
    query_clusters,
)
from core.evaluation.units import (
    PASSAGE_TOKENS,
    CountTokens,
    Units,
    embed_cached,
    embed_units,
    in_document_light,
    units_of,
    units_within,
)
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.records import Family, Ranking, SystemInfo, Unit
from core.search.dense import DenseIndex
from core.search.fusion import reciprocal_rank_fusion
from core.search.lexical import LexicalIndex
from core.search.order import best_positions, make_ranking
from core.settings import OutputType
from core.store.workspace import Workspace

BM25 = SystemInfo(system_id="bm25", family=Family.LEXICAL, label="BM25")
RRF = SystemInfo(system_id="rrf", family=Family.FUSION, label="RRF of both encoders")
_TINY = 1e-12
_LOOK_AT = 1000  # texts whose tokens are counted to tell the share that was cut
_HEAD_CHARS_PER_TOKEN = 16  # hardly any text has so few tokens; those that have are counted whole


def evaluate_beir(
    folder: Path,
    encoders: Sequence[Encoder],
    *,
    unit: Unit = Unit.DOCUMENT,
    split: str = DEFAULT_SPLIT,
    lengths: Sequence[int] = (),
    sample: int | None = None,
    seed: int = 0,
    workspace: Workspace | None = None,
    count_tokens: CountTokens | None = None,
    dimensions: Sequence[int] = (),
    monitor: Monitor | None = None,
) -> Evaluation:
    """Measure a BEIR folder: every encoder, BM25 and, with two encoders, their fusion.

    Args:
        folder: With corpus.jsonl, queries.jsonl, qrels/<split>.tsv and maybe qrels/<split>_<L>.tsv.
        encoders: Usually a pair; more are measured beside it. The difference is that of the first
            diffusion and the first autoregressive encoder, else of the first two.
        unit: ``DOCUMENT`` gives each encoder whole documents up to its limit, which is what
            published BEIR figures measure. ``PASSAGE`` cuts documents of more than 512 tokens
            into passages, for BM25 as well, and ranks documents by their best passage.
        split: Of the qrels.
        lengths: Only these nominal lengths of a folder that has qrels by length; empty for all.
        sample: Keep the relevant documents and this many minus those others; None for all.
        seed: Of the sample, the bootstrap and the test.
        workspace: Where vectors are kept; None to embed everything anew.
        count_tokens: Neutral counter for ``PASSAGE``; 4 tokens to 3 words if not given.
        dimensions: Shorter lengths to measure as well, from the same vectors, for encoders trained
            for them (Matryoshka, Kusupati et al., arXiv 2205.13147); the notes name the others.
        monitor: Sees the progress, may stop.

    Raises:
        DatasetError: If the folder is not as it should be; names file and line.
        InvalidSettingError: If no encoder was trained for a dimension, or its output is not plain.
        UsageError: If two encoders share an id but are not the same, or sampling is impossible.
        EncodingError: If an encoder fails.
        StoppedError: If the monitor asks to stop; vectors made before are kept in the workspace.
    """
    started = time.perf_counter()
    monitor = monitor or SilentMonitor()
    dataset = read_beir(folder, split=split)
    if lengths:
        dataset = only_lengths(dataset, lengths)
    if sample is not None:
        dataset = sample_passages(dataset, count=sample, seed=seed)
    named = _named(encoders)
    shorter = _shortened(named, dimensions)
    whole = dataset.whole
    units = units_of(whole.documents, unit, count_tokens=count_tokens)
    queries = dataset.query_texts
    systems = [
        (
            info,
            embed_units(encoder, units, workspace=workspace, monitor=monitor),
            embed_cached(
                encoder, queries, kind=TextKind.QUERY, workspace=workspace, monitor=monitor
            ),
        )
        for info, encoder in named
    ]
    full = {info.system_id: vectors for info, *vectors in systems}
    for info, of, size in shorter:
        of_units, of_queries = (leading(rows, dimension=size) for rows in full[of])
        systems.append((info, of_units, of_queries))
    parts = []
    for part in (whole, *dataset.lengths):
        raise_if_stopped(monitor)
        parts.append(
            _measure(part, units, systems, query_texts=queries, seed=seed, monitor=monitor)
        )
    notes = list(dict.fromkeys(note for part in (whole, *dataset.lengths) for note in part.notes))
    if not units.one_to_one:
        notes.append(
            f"{len(units.doc_ids):,} documents were cut into {len(units.texts):,} passages of up "
            f"to {PASSAGE_TOKENS} tokens; a document counts by its best passage."
        )
        notes.extend(
            f"{info.label} embedded each passage in the light of its document (late chunking)."
            for info, encoder in named
            if in_document_light(encoder, units)
        )
    pair = pair_of([info for info, _ in named])
    cut_share = {info.system_id: _cut_share(encoder, units.texts) for info, encoder in named}
    notes.extend(_cut_notes(named, cut_share))
    if shorter:
        notes.extend(
            f"{info.label} was not trained for shorter embeddings and keeps all of its own."
            for info, _ in named
            if all(of != info.system_id for _, of, _ in shorter)
        )
    return Evaluation(
        dataset=whole.name,
        unit=unit,
        whole=parts[0],
        lengths=tuple(parts[1:]),
        pair=pair,
        seconds=time.perf_counter() - started,
        notes=tuple(notes),
        cut_share=cut_share,
        dimensions=tuple(
            _cost(parts[0], info.system_id, of, size, seed) for info, of, size in shorter
        ),
        identity={
            **identity_of(whole),
            "unit": unit.value,
            **{info.system_id: encoder.fingerprint for info, encoder in named},
        },
        queries=whole.queries,
    )


def measure_runs(
    qrels: Mapping[str, Mapping[str, int]],
    runs: Mapping[str, tuple[SystemInfo, Sequence[Ranking]]],
    *,
    name: str,
    passages: int,
    length: int | None = None,
    seed: int = 0,
    watched: bool = False,
) -> Measured:
    """Measure runs that are there already: of our own systems, or imported.

    Accuracy at 1 is measured as well where the collection has a nominal ``length``. With
    ``watched`` figures are looked at while queries are still being judged: intervals are confidence
    sequences over the queries in the order of ``qrels`` then.
    """
    clusters = query_clusters(qrels)
    systems = []
    for info, rankings in runs.values():
        values = per_query(qrels, rankings, accuracy=length is not None)
        systems.append(
            MeasuredSystem(
                system_id=info.system_id,
                family=info.family,
                label=info.label,
                measures={
                    name: confidence_sequence(column, clusters)
                    if watched
                    else mean_interval(column, clusters, seed=seed)
                    for name, column in values.items()
                },
                per_query=values,
                rankings=tuple(rankings),
            )
        )
    pair = pair_of([info for info, _ in runs.values()])
    by_id = {system.system_id: system for system in systems}
    pairs = {}
    if pair is not None:
        first, second = (by_id[encoder].per_query for encoder in pair)
        pairs = {measure: (first[measure], second[measure]) for measure in first}
    return Measured(
        name=name,
        length=length,
        systems=tuple(systems),
        difference={
            measure: confidence_sequence(one - other, clusters, low=-1.0)
            if watched
            else paired_difference(one, other, clusters, seed=seed)
            for measure, (one, other) in pairs.items()
        },
        differences={measure: one - other for measure, (one, other) in pairs.items()},
        query_ids=tuple(qrels),
        clusters=clusters,
        passages=passages,
    )


# -- systems -------------------------------------------------------------------------------


def _named(encoders: Sequence[Encoder]) -> list[tuple[SystemInfo, Encoder]]:
    """Give every encoder an id of its own; the same encoder twice becomes x and x#2."""
    named: list[tuple[SystemInfo, Encoder]] = []
    seen: dict[str, int] = {}
    for encoder in encoders:
        spec = encoder.spec
        seen[spec.encoder_id] = seen.get(spec.encoder_id, 0) + 1
        count = seen[spec.encoder_id]
        suffix = f"#{count}" if count > 1 else ""
        label = labelled(spec, choice_of(encoder))
        info = SystemInfo(spec.encoder_id + suffix, spec.family, label + suffix)
        if info.system_id in (BM25.system_id, RRF.system_id):
            raise UsageError(f"An encoder cannot be called {info.system_id!r}; rename it.")
        named.append((info, encoder))
    return named


def pair_of(infos: Sequence[SystemInfo | MeasuredSystem]) -> tuple[str, str] | None:
    """Return the ids of the two encoders whose difference is measured; None with fewer."""
    diffusion = next((i.system_id for i in infos if i.family is Family.DIFFUSION), None)
    causal = next((i.system_id for i in infos if i.family is Family.AUTOREGRESSIVE), None)
    if diffusion is not None and causal is not None:
        return diffusion, causal
    beside = (Family.LEXICAL, Family.FUSION)
    encoders = [info.system_id for info in infos if info.family not in beside]
    return (encoders[0], encoders[1]) if len(encoders) > 1 else None


def _measure(
    collection: Collection,
    units: Units,
    # each with its vectors of units and of queries: ``(units, dim)``, ``(queries, dim)``
    systems: Sequence[tuple[SystemInfo, NDArray[np.float32], NDArray[np.float32]]],
    *,
    query_texts: Sequence[str],
    seed: int,
    monitor: Monitor,
) -> Measured:
    part, chosen = units_within(units, collection)
    rows = {text: row for row, text in enumerate(query_texts)}
    query_ids = tuple(collection.queries)
    query_rows = [rows[collection.queries[query_id]] for query_id in query_ids]
    runs: dict[str, tuple[SystemInfo, Sequence[Ranking]]] = {}
    for info, of_units, of_queries in systems:
        index = DenseIndex(
            [f"u{position:09d}" for position in range(len(part.texts))], of_units[chosen]
        )
        scores = (index.scores(vector) for vector in of_queries[query_rows])
        runs[info.system_id] = (
            info,
            _rankings(part, query_ids, scores, info=info, floor=-np.inf, monitor=monitor),
        )
    lexical = LexicalIndex([f"u{position:09d}" for position in range(len(part.texts))], part.texts)
    scores = (lexical.scores(collection.queries[query_id]) for query_id in query_ids)
    runs[BM25.system_id] = (
        BM25,
        _rankings(part, query_ids, scores, info=BM25, floor=0.0, monitor=monitor),
    )
    pair = pair_of([info for info, *_ in systems])
    if pair is not None:
        pairs = zip(runs[pair[0]][1], runs[pair[1]][1], strict=True)
        fused = [reciprocal_rank_fusion(pair, k=DEPTH, system_id=RRF.system_id) for pair in pairs]
        runs[RRF.system_id] = (RRF, fused)
    monitor.report(Progress(f"measuring {collection.name}", len(query_ids), len(query_ids)))
    return measure_runs(
        collection.qrels,
        runs,
        name=collection.name,
        passages=len(part.doc_ids),
        length=collection.length,
        seed=seed,
    )


def _rankings(
    units: Units,
    query_ids: Sequence[str],
    scores: Iterator[NDArray[np.float32]],
    *,
    info: SystemInfo,
    floor: float,
    monitor: Monitor,
) -> list[Ranking]:
    """Rank documents by their best unit, those that score above the floor."""
    rankings = []
    for place, (query_id, unit_scores) in enumerate(zip(query_ids, scores, strict=True)):
        if place % 50 == 0:
            raise_if_stopped(monitor)
            monitor.report(Progress(f"searching ({info.label})", place, len(query_ids)))
        by_document = unit_scores
        if not units.one_to_one:
            by_document = np.full(len(units.doc_ids), -np.inf, dtype=np.float32)
            np.maximum.at(by_document, units.owner, unit_scores)
        # One more than needed: BEIR leaves a document out that is the query itself.
        positions = best_positions(by_document, k=DEPTH + 1)
        found = [
            position
            for position in positions.tolist()
            if by_document[position] > floor and units.doc_ids[position] != query_id
        ]
        rankings.append(
            make_ranking(
                units.doc_ids,
                by_document,
                np.array(found[:DEPTH], dtype=np.int64),
                query_id=query_id,
                system_id=info.system_id,
            )
        )
    return rankings


# -- shorter embeddings --------------------------------------------------------------------


def _shortened(
    named: Sequence[tuple[SystemInfo, Encoder]], dimensions: Sequence[int]
) -> list[tuple[SystemInfo, str, int]]:
    """Return the shorter systems to measure, each with the id it is cut from and its dimension.

    Raises:
        InvalidSettingError: If no encoder was trained for a dimension, or its output was chosen to
            be something else than plain numbers at full length.
    """
    found = [
        (
            SystemInfo(f"{info.system_id}@{size}", info.family, f"{info.label} @ {size}"),
            info.system_id,
            size,
        )
        for size in sorted(set(dimensions), reverse=True)
        for info, encoder in named
        if size in encoder.spec.shorter_dimensions
    ]
    for size in dimensions:
        if all(dimension != size for _, _, dimension in found):
            offers = "; ".join(
                f"{info.label}: {', '.join(map(str, encoder.spec.shorter_dimensions)) or 'none'}"
                for info, encoder in named
            )
            raise InvalidSettingError(
                f"No encoder here was trained for {size} dimensions. On offer: {offers}."
            )
    cut = {of for _, of, _ in found}
    for info, encoder in named:
        choice = choice_of(encoder)
        if info.system_id in cut and (choice.dimension or choice.output is not OutputType.FLOAT):
            raise InvalidSettingError(
                f"{info.label} is not at its full length in plain numbers; shorter lengths are "
                "measured from there. Leave its encoder option out."
            )
    return found


def leading(rows: NDArray[np.float32], *, dimension: int) -> NDArray[np.float32]:
    """Return the first numbers of each row at unit length: ``(n, dimension)`` float32."""
    kept = rows[:, :dimension]
    lengths = np.linalg.norm(kept, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (kept / np.maximum(lengths, _TINY)).astype(np.float32)
    return unit


def _cost(measured: Measured, cut_id: str, of: str, dimension: int, seed: int) -> DimensionCost:
    """Return cut minus uncut, paired by query."""
    cut, uncut = (
        next(one.per_query for one in measured.systems if one.system_id == name)
        for name in (cut_id, of)
    )
    return DimensionCost(
        cut_id,
        of,
        dimension,
        {
            name: paired_difference(values, uncut[name], measured.clusters, seed=seed)
            for name, values in cut.items()
        },
    )


# -- what was cut --------------------------------------------------------------------------


def _limit(encoder: Encoder) -> int:
    """Return the limit in force: a loaded encoder may run at a lower one than its spec's."""
    limit: int = getattr(encoder, "max_tokens", encoder.spec.max_tokens)
    return limit


def _cut_share(encoder: Encoder, texts: Sequence[str]) -> float:
    """Share of the texts longer than the encoder's limit, over up to 1,000 spread evenly."""
    places = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), _LOOK_AT)).astype(int))
    looked_at = [texts[place] for place in places]
    # The beginning of a long text is enough to see that it is cut, and much quicker.
    head_chars = _HEAD_CHARS_PER_TOKEN * _limit(encoder)
    heads = encoder.received([text[:head_chars] for text in looked_at], kind=TextKind.PASSAGE)
    cut = sum(head.tokens_dropped > 0 for head in heads)
    unclear = [
        text
        for text, head in zip(looked_at, heads, strict=True)
        if not head.tokens_dropped and len(text) > head_chars
    ]
    if unclear:
        whole = encoder.received(unclear, kind=TextKind.PASSAGE)
        cut += sum(one.tokens_dropped > 0 for one in whole)
    return cut / len(looked_at)


def _cut_notes(
    named: Sequence[tuple[SystemInfo, Encoder]], cut_share: Mapping[str, float]
) -> Iterator[str]:
    for info, encoder in named:
        share = cut_share[info.system_id]
        if share > 0:
            yield (
                f"{info.label} was cut at {_limit(encoder):,} tokens on {100 * share:.0f} % of "
                "the texts."
            )
