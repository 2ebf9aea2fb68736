"""Official benchmarks: every Bifocal encoder as an mteb encoder, and mteb's results read back.

The only module that knows mteb, which is an optional extra and takes seconds to import: it is
imported when a benchmark starts. mteb's own evaluator does the measuring; Bifocal gives vectors,
keeps them in a workspace so that a stopped task goes on where it was, and keeps results per
encoder fingerprint so that finished tasks are not run again.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.encoders.spec import Encoder, TextKind
from core.errors import DatasetError, UnknownNameError, UsageError
from core.evaluation.units import embed_cached
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.store.workspace import Workspace

Instructed = Callable[[Encoder, str], Encoder]

RESULTS_FOLDER = "benchmarks"  # in the data folder
INSTRUCTION = "{instruction}"
_ORGANISATION = "bifocal"
_REVISION_CHARS = 16
MAX_RESULT_BYTES = 8 * 1024 * 1024
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """One encoder's figure on one split of one official task."""

    task: str  # its name in mteb
    encoder_id: str  # whose
    split: str  # of the task; LongEmbed's synthetic tasks have one per length
    subset: str  # of the task; BRIGHT has one per domain
    measure: str  # the task's main score by name; "" where the file does not say
    value: float  # the main score
    scores: Mapping[str, float]  # every number mteb wrote for it
    revision: str = ""  # of the encoder as mteb files it: Bifocal's fingerprint, or a commit


@dataclass(eq=False)
class MtebEncoder:
    """A Bifocal encoder as mteb wants it (mteb's EncoderProtocol).

    Queries and texts of symmetric tasks are embedded as queries, documents as passages. Where the
    encoder's query prompt takes an instruction, ``instructed`` makes the encoder with the official
    one of the task; an encoder with a fixed prompt keeps its own.
    """

    encoder: Encoder
    _: KW_ONLY
    instructed: Instructed | None = None
    workspace: Workspace | None = None
    monitor: Monitor | None = None

    def __post_init__(self) -> None:
        """Describe the encoder as mteb wants it."""
        self.mteb_model_meta = _model_meta(self.encoder)

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,  # noqa: ANN401 - mteb is not imported here
        prompt_type: Any = None,  # noqa: ANN401
        **options: Any,  # noqa: ANN401, ARG002 - split, subset, batch size: not ours to use
    ) -> NDArray[np.float32]:
        """Embed all batches of a data loader; ``(n, dim)`` float32 unit rows.

        Raises:
            UsageError: If the task has no text (images, sound).
        """
        raise_if_stopped(self.monitor or SilentMonitor())
        texts = [text for batch in inputs for text in _texts(batch, task_metadata.name)]
        is_passage = str(getattr(prompt_type, "value", prompt_type)) in ("document", "passage")
        encoder = self.encoder
        if not is_passage:
            encoder = self._with_official_prompt(task_metadata)
        return embed_cached(
            encoder,
            texts,
            kind=TextKind.PASSAGE if is_passage else TextKind.QUERY,
            workspace=self.workspace,
            monitor=self.monitor,
        )

    def similarity(
        self, embeddings1: NDArray[np.float32], embeddings2: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return ``(n, m)`` inner products; rows are of unit length, so these are cosines."""
        return np.asarray(np.atleast_2d(embeddings1) @ np.atleast_2d(embeddings2).T)

    def similarity_pairwise(
        self, embeddings1: NDArray[np.float32], embeddings2: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return ``(n,)`` inner products of rows in the same place."""
        return np.asarray(np.einsum("ij,ij->i", embeddings1, embeddings2))

    def _with_official_prompt(self, task_metadata: Any) -> Encoder:  # noqa: ANN401
        takes_one = INSTRUCTION in self.encoder.spec.query_prompt
        instruction = _official_instruction(task_metadata.prompt)
        if not (takes_one and instruction and self.instructed):
            return self.encoder
        return self.instructed(self.encoder, instruction)


def benchmark(
    tasks: Sequence[Any],
    encoders: Sequence[Encoder],
    *,
    results_folder: Path,
    instructed: Instructed | None = None,
    workspace: Workspace | None = None,
    predictions_folder: Path | None = None,
    monitor: Monitor | None = None,
) -> tuple[BenchmarkResult, ...]:
    """Run official tasks with mteb's own evaluator.

    Call it again after a stop: finished tasks are read from ``results_folder``, the vectors of a
    half-done one from the workspace.

    Args:
        tasks: Names in mteb (LEMBPasskeyRetrieval, BrightRetrieval, ...) or task objects.
        encoders: Usually both encoders of a pair.
        results_folder: mteb's result cache; a file per task, encoder and fingerprint.
        instructed: Makes an encoder with another instruction, for official prompts.
        workspace: Where vectors are kept.
        predictions_folder: Where runs are written for reading back as columns; None for none.
        monitor: Sees the progress, may stop.

    Raises:
        UsageError: If mteb is not installed.
        UnknownNameError: If mteb knows no such task.
        DatasetError: If a task's data cannot be had.
        EncodingError: If an encoder fails.
        StoppedError: If the monitor asks to stop.
    """
    monitor = monitor or SilentMonitor()
    mteb = _mteb()
    resolved = [task for given in tasks for task in _resolved(mteb, given)]
    results: list[BenchmarkResult] = []
    total = len(resolved) * len(encoders)
    cache = mteb.ResultCache(cache_path=results_folder)
    for place, (task, encoder) in enumerate(
        (task, encoder) for task in resolved for encoder in encoders
    ):
        raise_if_stopped(monitor)
        name = task.metadata.name
        monitor.report(Progress(f"{name} ({encoder.spec.label})", place, total))
        adapted = MtebEncoder(encoder, instructed=instructed, workspace=workspace, monitor=monitor)
        try:
            run = mteb.evaluate(
                adapted,
                task,
                cache=cache,
                overwrite_strategy="only-missing",
                co2_tracker=False,
                prediction_folder=None
                if predictions_folder is None
                else predictions_folder / encoder.spec.encoder_id,
                encode_kwargs={"batch_size": 256, "show_progress_bar": False},
                show_progress_bar=False,
            )
        except OSError as exc:  # the data could not be had
            raise DatasetError(
                f"The data of {name} cannot be loaded: {exc}. Go online once to fetch it, or set "
                "HF_HOME to a cache that holds it; finished tasks are kept."
            ) from exc
        for result in run.task_results:
            results.extend(
                _results(
                    result.task_name,
                    encoder.spec.encoder_id,
                    result.scores,
                    measure=task.metadata.main_score,
                    revision=encoder.fingerprint[:_REVISION_CHARS],
                )
            )
    monitor.report(Progress("benchmark", total, total))
    return tuple(results)


def find_mteb_results(folder: Path) -> tuple[tuple[BenchmarkResult, ...], tuple[str, ...]]:
    """Return every result below a folder (``<model>/<revision>/<Task>.json``), at any depth.

    A sentence stands for each that cannot be read; other JSON files are left alone. Needs no mteb.
    """
    results: list[BenchmarkResult] = []
    problems = []
    for path in _result_files(folder):
        model = path.parent.parent.name.removeprefix(f"{_ORGANISATION}__")
        try:
            results += _read_result(path, model, path.parent.name)
        except DatasetError as exc:
            problems.append(str(exc))
    return tuple(results), tuple(problems)


def add_mteb_results(
    source: Path, results_folder: Path, *, model: str = ""
) -> tuple[BenchmarkResult, ...]:
    """Copy external results, a file or a folder as mteb lays it out, to where the page finds them.

    A single file needs the name of the model whose results it holds.

    Raises:
        DatasetError: If there is no result, or one is damaged; nothing is copied then.
        UsageError: If a single file comes without a model's name.
    """
    if source.is_dir():
        found, problems = find_mteb_results(source)
        if problems or not found:
            none = f"{source} holds no mteb results (<model>/<revision>/<Task>.json)."
            raise DatasetError(problems[0] if problems else none)
        files = {
            path: path.parent.parent.name
            for path in _result_files(source)
            if _read_result(path, "", "")
        }
    else:
        if not model.strip():
            raise UsageError(f"{source.name} does not say whose results it holds; name the model.")
        files = {source: model}
        found = tuple(_read_result(source, model, ""))
        if not found:
            raise DatasetError(f"{source.name} is no mteb result (task_name and scores).")
    for path, name in files.items():
        safe = _UNSAFE_IN_NAME.sub("-", name).strip("-.")[:80] or "model"
        revision = path.parent.name if source.is_dir() else "added"
        target = results_folder / "added" / safe / (_UNSAFE_IN_NAME.sub("-", revision) or "added")
        target.mkdir(parents=True, exist_ok=True)
        task = _UNSAFE_IN_NAME.sub("-", path.stem)[:120]
        (target / f"{task}.json").write_bytes(path.read_bytes())
    return found


# -- parts ---------------------------------------------------------------------------------


def _result_files(folder: Path) -> list[Path]:
    """The files that can be results: predictions beside them are larger by far."""
    return [
        path for path in sorted(folder.rglob("*.json")) if path.stat().st_size <= MAX_RESULT_BYTES
    ]


def _read_result(path: Path, model: str, revision: str) -> list[BenchmarkResult]:
    """Read one file; nothing for JSON that is no result."""
    try:
        if path.stat().st_size > MAX_RESULT_BYTES:
            raise DatasetError(f"{path.name} is too large for an mteb result.")
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise DatasetError(f"{path} cannot be read as JSON: {exc}.") from exc
    if not (isinstance(fields, dict) and {"task_name", "scores"} <= set(fields)):
        return []
    try:
        task, scores = str(fields["task_name"]), fields["scores"]
        return list(_results(task, model, scores, measure="", revision=revision))
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise DatasetError(f"{path} is not an mteb result: {exc!r}.") from exc


def _mteb() -> Any:  # noqa: ANN401 - an optional package
    try:
        return importlib.import_module("mteb")
    except ImportError as exc:
        raise UsageError(
            "Official benchmarks need mteb: pip install 'bifocal[mteb]' and start again."
        ) from exc


def _resolved(mteb: Any, given: Any) -> Iterator[Any]:  # noqa: ANN401 - mteb's own types
    if not isinstance(given, str):
        yield given
        return
    try:
        yield from mteb.get_tasks(tasks=[given])
    except (KeyError, ValueError) as exc:
        raise UnknownNameError(
            f"mteb has no task {given!r}. Names are as on its leaderboard: LEMBPasskeyRetrieval."
        ) from exc


def _model_meta(encoder: Encoder) -> Any:  # noqa: ANN401 - mteb's own type
    _mteb()
    models = importlib.import_module("mteb.models.model_meta")
    spec = encoder.spec
    # The fingerprint is the revision: another prompt, limit or weights never reuses old results.
    return models.ModelMeta.create_empty(
        {
            "name": f"{_ORGANISATION}/{spec.encoder_id}",
            "revision": encoder.fingerprint[:_REVISION_CHARS],
            "max_tokens": spec.max_tokens,
            "embed_dim": spec.dimension,
            "n_parameters": spec.parameters,
            "similarity_fn_name": models.ScoringFunction.COSINE,
            "use_instructions": INSTRUCTION in spec.query_prompt,
            "framework": ["PyTorch"],
        }
    )


def _texts(batch: Mapping[str, Any], task: str) -> list[str]:
    texts = batch.get("text")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{task} has inputs that are not text; choose a text task.")
    return texts


def _official_instruction(prompt: Any) -> str:  # noqa: ANN401 - a string, a dictionary or None
    if isinstance(prompt, dict):
        prompt = prompt.get("query")
    return prompt if isinstance(prompt, str) else ""


def _results(
    task: str,
    encoder_id: str,
    scores: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    measure: str,
    revision: str,
) -> Iterator[BenchmarkResult]:
    for split, subsets in scores.items():
        for subset in subsets:
            yield BenchmarkResult(
                task=task,
                encoder_id=encoder_id,
                split=split,
                subset=str(subset.get("hf_subset", "default")),
                measure=measure,
                value=float(subset["main_score"]),
                scores={
                    str(name): float(value)
                    for name, value in subset.items()
                    if isinstance(value, int | float)
                    and not isinstance(value, bool)
                    and math.isfinite(value)  # mteb writes NaN where a measure is not defined
                },
                revision=revision,
            )
