"""The sample library's documents and the vectors that ship with them.

The PDFs go the way of every PDF. What ships beside them is each bundled encoder's vectors and score
background, under the fingerprint of the encoder that made them: another encoder, or a chunker that
cuts differently, simply finds nothing that fits and embeds anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from core.errors import DatasetError, WorkspaceDamagedError
from core.library.encoders import fingerprint_fact
from core.library.ingest import SourceFile
from core.library.library import Library
from core.monitor import Monitor
from core.records import Passage
from core.search import Background
from core.search.background import BACKGROUND_VERSION
from core.store.embedding import encoder_facts

SAMPLE_FOLDER = "sample"
VECTORS_FOLDER = "vectors"


def seed_sample(library: Library, folder: Path, *, monitor: Monitor | None = None) -> None:
    """Fill an empty workspace with the sample documents and the vectors that ship with them.

    Loads no encoder. A workspace that holds the documents already only gets vectors it lacks.

    Raises:
        DatasetError: If a sample PDF cannot be read.
    """
    paths = sorted((folder / "pdf").glob("*.pdf"))
    names = {stored.name for stored in library.workspace.documents()}
    missing = [SourceFile(path.name, path=path) for path in paths if path.name not in names]
    if missing:
        report = library.add(missing, embed=False, monitor=monitor)
        if report.skipped:
            raise DatasetError(f"The sample library is incomplete: {report.skipped[0].reason}")
    passages = library.passages()
    for path in sorted((folder / VECTORS_FOLDER).glob("*.safetensors")):
        _take_vectors(library, passages, path)


def write_sample_vectors(
    library: Library, folder: Path, *, monitor: Monitor | None = None
) -> tuple[Path, ...]:
    """Embed the sample library with both encoders and write the shipped files; returns them.

    Raises:
        EncoderError: If an encoder cannot be loaded.
    """
    library.index(monitor=monitor)
    encoders = [library.encoders.get(spec.encoder_id) for spec in library.encoders.pair()]
    target = folder / VECTORS_FOLDER
    target.mkdir(exist_ok=True)
    for old in target.glob("*.safetensors"):
        old.unlink()
    written = []
    for encoder in encoders:
        path = target / f"{encoder.spec.encoder_id}.safetensors"
        view = library.view([library.encoders.info(encoder.spec)])
        background = library.background(encoder, view, monitor=monitor)
        save_file(
            {
                "keys": _keys(view.passages),
                "embeddings": library.embeddings(encoder, view.passages),
                "background": np.frombuffer(background.to_bytes(), np.uint8),
            },
            path,
            metadata={
                "fingerprint": encoder.fingerprint,
                "passage_fingerprint": encoder.passage_fingerprint,
                "corpus_key": view.corpus_key,
                "background_version": str(BACKGROUND_VERSION),
                "encoder": encoder.spec.encoder_id,
                "max_tokens": str(library.encoders.token_limit()),
                **{f"spec.{name}": str(value) for name, value in encoder_facts(encoder).items()},
            },
        )
        written.append(path)
    return tuple(written)


def _take_vectors(library: Library, passages: Sequence[Passage], path: Path) -> None:
    try:
        with safe_open(path, framework="numpy") as stored:
            facts = stored.metadata() or {}
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        fingerprint, corpus_key = facts["fingerprint"], facts["corpus_key"]
        stored_under = facts["passage_fingerprint"]
        rows = {bytes(key): row for row, key in enumerate(arrays["keys"])}
        embeddings = _sound(arrays["embeddings"], len(arrays["keys"]))
        background = Background.from_bytes(arrays["background"].tobytes())
    except (SafetensorError, OSError, KeyError, ValueError, WorkspaceDamagedError):
        return  # as good as not shipped: the library is embedded anew
    workspace = library.workspace
    texts = [passage.text for passage in passages]
    lacking = workspace.missing(stored_under, texts)
    wanted = [
        (passages[i].text, rows[bytes(key)])
        for i, key in zip(lacking, _keys([passages[i] for i in lacking]), strict=True)
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
    """Embeddings that an encoder can have given: ``(rows, dim)``, finite, unit rows."""
    if embeddings.ndim != 2 or len(embeddings) != rows:
        raise ValueError("rows and keys do not belong together")
    if not np.allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-3):  # nan is not close
        raise ValueError("not unit vectors")
    return embeddings


def _keys(passages: Sequence[Passage]) -> NDArray[np.uint8]:
    digests = [hashlib.sha256(passage.text.encode("utf-8")).digest() for passage in passages]
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(passages), 32)
