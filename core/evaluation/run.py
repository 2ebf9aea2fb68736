"""`python -m core evaluate` without the command line: measure a folder, keep what was measured."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from core.comparison.export import to_trec_run
from core.errors import DatasetError, UsageError
from core.evaluation.beir import DEFAULT_SPLIT, read_beir
from core.evaluation.evaluate import evaluate_beir
from core.evaluation.render import to_json
from core.records import Unit
from core.store import Workspace
from core.store.centre import CENTRE_PASSAGES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from core.encoders.protocol import Encoder
    from core.evaluation.records import Evaluation
    from core.evaluation.units import CountTokens
    from core.monitor import Monitor


def default_cache(beir: Path) -> Path:
    """Return the vector cache of a data set: one workspace each, so that two can run at once."""
    name = hashlib.sha256(str(beir.resolve()).encode()).hexdigest()[:12]
    return user_cache_path("bifocal", appauthor=False) / "evaluate" / f"{beir.name}-{name}"


def number_list(numbers: str, *, option: str = "--lengths") -> tuple[int, ...]:
    """Read an option's whole numbers with commas between; none for an empty text.

    Raises:
        UsageError: If one is not a number.
    """
    try:
        return tuple(int(number) for number in numbers.split(",") if number.strip())
    except ValueError as exc:
        msg = f"{option} is {numbers!r}; write whole numbers with commas, as in 256,512."
        raise UsageError(msg) from exc


def centring_texts(folder: Path, *, split: str = DEFAULT_SPLIT) -> list[str]:
    """Return an even spread of a folder's documents, to measure an encoder's mean on.

    Raises:
        DatasetError: If the folder is not as it should be.
    """
    documents = list(read_beir(folder, split=split).whole.documents.values())
    step = max(1, len(documents) // CENTRE_PASSAGES)
    return documents[::step][:CENTRE_PASSAGES]


def run_evaluation(
    folder: Path,
    encoders: Sequence[Encoder],
    *,
    unit: Unit = Unit.DOCUMENT,
    split: str = DEFAULT_SPLIT,
    lengths: Sequence[int] = (),
    sample: int | None = None,
    seed: int = 0,
    vector_cache: Path | None = None,
    json_path: Path | None = None,
    runs_folder: Path | None = None,
    count_tokens: CountTokens | None = None,
    dimensions: Sequence[int] = (),
    monitor: Monitor | None = None,
) -> Evaluation:
    """Measure a BEIR folder; see `core.evaluation.evaluate.evaluate_beir`.

    Args:
        folder: In BEIR's layout.
        encoders: The pair, and maybe more.
        unit: Documents whole, or cut into passages.
        split: Of the qrels.
        lengths: ``--lengths``.
        sample: ``--sample-passages``.
        seed: Of the sample, the bootstrap and the test.
        vector_cache: Folder of a workspace for the vectors; made when it is not there.
        json_path: Where to write the JSON.
        runs_folder: Where to write ``<system id>.trec`` for every system.
        count_tokens: Neutral counter, for cutting into passages.
        dimensions: ``--dimensions``.
        monitor: Told of the progress, asked whether to stop.

    Raises:
        DatasetError: If the folder is not as it should be, or a result cannot be written.
        WorkspaceLockedError: If another process has the vector cache open.
    """
    workspace = None if vector_cache is None else Workspace.open(vector_cache)
    try:
        evaluation = evaluate_beir(
            folder,
            encoders,
            unit=unit,
            split=split,
            lengths=lengths,
            sample=sample,
            seed=seed,
            workspace=workspace,
            count_tokens=count_tokens,
            dimensions=dimensions,
            monitor=monitor,
        )
    finally:
        if workspace is not None:
            workspace.close()
    try:
        if json_path is not None:
            json_path.parent.mkdir(parents=True, exist_ok=True)
            json_path.write_text(to_json(evaluation), encoding="utf-8")
        if runs_folder is not None:
            runs_folder.mkdir(parents=True, exist_ok=True)
            for system in evaluation.whole.systems:
                name = system.system_id.replace("/", "_").replace("#", "_")
                run = to_trec_run(system.rankings, tag=system.system_id)
                (runs_folder / f"{name}.trec").write_text(run, encoding="utf-8")
    except OSError as exc:
        msg = f"{exc.filename} cannot be written: {exc.strerror}. Choose another place."
        raise DatasetError(msg) from exc
    return evaluation
