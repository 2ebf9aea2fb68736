"""The sample library: fill an empty workspace with it, and re-make the vectors that ship.

The PDFs go the way of every PDF. What ships beside them is each bundled arm's vectors and score
background, under the fingerprint of the encoder that made them: another encoder, or a chunker that
cuts differently, simply finds nothing that fits and embeds anew.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from core.chosen import fingerprint_fact
from core.errors import DatasetError
from core.evaluation.evaluate import measure_runs
from core.evaluation.records import Evaluation
from core.evaluation.render import to_fields
from core.evaluation.sample import load_sample_queries, sample_qrels
from core.library import SourceFile, encoder_facts
from core.records import Family, Query, SystemInfo
from core.search import ScoreBackground
from core.search.background import BACKGROUND_VERSION
from core.workbench import LEXICAL

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from core.encoders.protocol import Encoder
    from core.monitor import Monitor
    from core.records import Passage
    from core.workbench import Workbench

SAMPLE_FOLDER = "sample"
VECTORS_FOLDER = "vectors"
MEASURED_DEPTH = 100
FUSION = SystemInfo("rrf", Family.FUSION, "Both arms fused (RRF)")
SAMPLE_NOTES = (
    "The same hand wrote documents and queries: the figures show tendencies, not the second "
    "decimal.",
    "Re-made by `python -m core sample --write`.",
)


def seed_sample(bench: Workbench, folder: Path, *, monitor: Monitor | None = None) -> None:
    """Fill an empty workspace with the sample documents and the vectors that ship with them.

    Loads no encoder. A workspace that holds the documents already only gets vectors it lacks.

    Raises:
        DatasetError: If a sample PDF cannot be read.
    """
    paths = sorted((folder / "pdf").glob("*.pdf"))
    known = {report.name for report in bench.documents()}
    missing = [SourceFile(path.name, path=path) for path in paths if path.name not in known]
    if missing:
        report = bench.library.add_files(missing, monitor=monitor)
        if report.skipped:
            raise DatasetError(f"The sample library is incomplete: {report.skipped[0].reason}")
    passages = bench.library.passages()
    for path in sorted((folder / VECTORS_FOLDER).glob("*.safetensors")):
        _take_vectors(bench, passages, path)


def write_sample_vectors(
    bench: Workbench, folder: Path, *, monitor: Monitor | None = None
) -> tuple[Path, ...]:
    """Embed the sample library with both arms and write what ships; returns the files.

    Raises:
        EncoderError: If an arm cannot be loaded.
    """
    bench.embed_missing(monitor=monitor)
    laboratory = bench.bench(monitor=monitor)
    target = folder / VECTORS_FOLDER
    target.mkdir(exist_ok=True)
    for old in target.glob("*.safetensors"):
        old.unlink()
    written = []
    for arm in laboratory.arms:
        path = target / f"{arm.system_id}.safetensors"
        _write_vectors(bench, arm.encoder, laboratory.corpus.passages, path)
        written.append(path)
    return tuple(written)


def measure_sample(
    bench: Workbench, folder: Path, *, monitor: Monitor | None = None
) -> dict[str, Any]:
    """Measure every system on the sample queries, all together and by group.

    Returns:
        The fields of `core.evaluation.render.to_fields`, and the same per group under ``groups``.
    """
    started = time.perf_counter()
    queries = load_sample_queries(folder)
    documents = [bench.document(report.doc_id) for report in bench.documents()]
    arms = bench.bench(monitor=monitor).arms
    systems = [SystemInfo(arm.system_id, arm.family, arm.label) for arm in arms]
    view = bench.library.view([*systems, LEXICAL, FUSION])
    qrels = sample_qrels(queries, documents, view.passages)
    runs = view.searcher.run(
        [Query(query.query_id, query.text) for query in queries], k=MEASURED_DEPTH, monitor=monitor
    )
    infos = {info.system_id: info for info in (*systems, LEXICAL, FUSION)}

    def measured(wanted: set[str], name: str) -> dict[str, Any]:
        part = measure_runs(
            {query_id: grades for query_id, grades in qrels.items() if query_id in wanted},
            {
                system_id: (infos[system_id], [r for r in rankings if r.query_id in wanted])
                for system_id, rankings in runs.items()
            },
            name=name,
            passages=len(view.passages),
        )
        evaluation = Evaluation(
            dataset=name,
            unit=bench.settings.chunking.unit,
            whole=part,
            lengths=(),
            arms=(arms[0].system_id, arms[1].system_id),
            seconds=time.perf_counter() - started,
            notes=SAMPLE_NOTES,
        )
        return to_fields(evaluation)

    fields = measured({query.query_id for query in queries}, "Sample library")
    groups = dict.fromkeys(query.group for query in queries)
    fields["groups"] = [
        {
            "group": group.value,
            **{
                name: value
                for name, value in measured(
                    {query.query_id for query in queries if query.group is group}, group.value
                ).items()
                if name in {"systems", "difference", "queries", "clusters", "passages"}
            },
        }
        for group in groups
    ]
    return fields


def _write_vectors(
    bench: Workbench, encoder: Encoder, passages: tuple[Passage, ...], path: Path
) -> None:
    info = SystemInfo(encoder.spec.encoder_id, encoder.spec.family, encoder.spec.label)
    view = bench.library.view([info])
    background = bench.library.background(encoder, view)
    save_file(
        {
            "keys": _keys(passages),
            "embeddings": bench.library.embeddings(encoder, passages),
            "query_passage": background.query_passage,
            "passage_passage": background.passage_passage,
        },
        path,
        metadata={
            "fingerprint": encoder.fingerprint,
            "passage_fingerprint": encoder.passage_fingerprint,
            "corpus_key": view.corpus_key,
            "background_version": str(BACKGROUND_VERSION),
            "encoder": encoder.spec.encoder_id,
            "max_tokens": str(bench.token_limit()),
            **{f"spec.{name}": str(value) for name, value in encoder_facts(encoder).items()},
        },
    )


def _take_vectors(bench: Workbench, passages: tuple[Passage, ...], path: Path) -> None:
    try:
        with safe_open(path, framework="numpy") as stored:
            facts = stored.metadata() or {}
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        fingerprint, corpus_key = facts["fingerprint"], facts["corpus_key"]
        stored_under = facts["passage_fingerprint"]
        rows = {bytes(key): row for row, key in enumerate(arrays["keys"])}
        embeddings = _sound(arrays["embeddings"], len(arrays["keys"]))
        background = ScoreBackground(
            fingerprint, corpus_key, arrays["query_passage"], arrays["passage_passage"]
        )
    except (SafetensorError, OSError, KeyError, ValueError):
        return  # as good as not shipped: the library is embedded anew
    workspace = bench.workspace
    texts = [passage.text for passage in passages]
    lacking = workspace.missing(stored_under, texts)
    wanted = [
        (passages[i].text, rows[bytes(key)])
        for i, key in zip(lacking, _keys(tuple(passages[i] for i in lacking)), strict=True)
        if bytes(key) in rows
    ]
    if wanted:
        spec = {name[5:]: value for name, value in facts.items() if name.startswith("spec.")}
        found = np.ascontiguousarray(embeddings[[row for _text, row in wanted]])
        workspace.append(stored_under, spec, [text for text, _row in wanted], found)
    if "encoder" in facts and "max_tokens" in facts:
        name = fingerprint_fact(facts["encoder"], int(facts["max_tokens"]))
        workspace.put_fact(name, stored_under)
    key = f"background:{facts.get('background_version')}:{fingerprint}:{corpus_key}"
    if workspace.cached_result(key) is None:
        workspace.cache_result(key, background.to_bytes())


def _sound(embeddings: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """Return embeddings that can be what an encoder gave: ``(rows, dim)``, finite, unit rows."""
    if embeddings.ndim != 2 or len(embeddings) != rows:
        raise ValueError("rows and keys do not belong together")
    if not np.allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-3):  # nan is not close
        raise ValueError("not unit vectors")
    return embeddings


def _keys(passages: tuple[Passage, ...]) -> NDArray[np.uint8]:
    digests = [hashlib.sha256(passage.text.encode("utf-8")).digest() for passage in passages]
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(passages), 32)
