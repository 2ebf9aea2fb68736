"""Bifocal in a notebook or a script: open a library, add files, ask, and have answers as tables.

See ``docs/python.md``. Everything else that a library can do stands under ``library.library``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from core.cli.library import source_files
from core.cli.measure import default_cache
from core.cli.output import counter, make_pool
from core.errors import UsageError
from core.evaluation.evaluate import evaluate_beir
from core.evaluation.records import Evaluation
from core.evaluation.render import interval_text
from core.library.library import Library
from core.records import IngestionReport, Unit
from core.render import render
from core.store.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from core.comparison.records import Comparison


@dataclass(frozen=True, slots=True)
class Answer:
    """Every system's answer to one query: a table in a notebook.

    Attributes:
        comparison: The whole record, as the page and the exports have it.
    """

    comparison: Comparison

    def to_pandas(self) -> pd.DataFrame:
        """Return a row per passage and system: ranks over the whole library, scores, text."""
        return _frame(
            {
                "passage_id": passage.passage_id,
                "system": standing.system_id,
                "rank": standing.rank,
                "score": standing.score,
                "z": standing.z,
                "percentile": standing.percentile,
                "document": passage.document,
                "page": passage.page_first,
                "text": passage.text,
            }
            for passage in self.comparison.passages
            for standing in passage.standings
        )

    def _repr_html_(self) -> str:
        found = self.comparison
        texts = {passage.passage_id: passage for passage in found.passages}
        columns = [column.ranking.hits[: found.k] for column in found.columns]
        rows = [
            [rank + 1, *(texts[hits[rank].passage_id] if rank < len(hits) else None
                         for hits in columns)]
            for rank in range(max(map(len, columns), default=0))
        ]  # fmt: skip
        return render(
            "answer_table",
            query=found.query.text,
            sentences=found.summary,
            columns=found.columns,
            rows=rows,
        )

    @override
    def __str__(self) -> str:
        return "\n".join(self.comparison.summary)


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of both encoders, BM25 and their fusion on a collection: a table in a notebook.

    Attributes:
        evaluation: The whole record.
    """

    evaluation: Evaluation

    def to_pandas(self) -> pd.DataFrame:
        """Return a row per system and measure, and the difference of the pair, with intervals."""
        whole = self.evaluation.whole
        rows = [(one.system_id, one.measures) for one in whole.systems]
        return _frame(
            {
                "system": name,
                "measure": measure,
                "value": interval.value,
                "low": interval.low,
                "high": interval.high,
                "queries": whole.queries,
            }
            for name, measures in [*rows, ("difference", whole.difference)]
            for measure, interval in measures.items()
        )

    def _repr_html_(self) -> str:
        whole = self.evaluation.whole
        names = tuple(whole.systems[0].measures) if whole.systems else ()
        rows = [
            (one.label, [interval_text(one.measures[name]) for name in names])
            for one in whole.systems
        ]
        if whole.difference:
            words = [interval_text(whole.difference[name], signed=True) for name in names]
            rows.append(("difference", words))
        return render("measures_table", evaluation=self.evaluation, names=names, rows=rows)

    @override
    def __str__(self) -> str:
        return "\n".join(
            f"{row.system} {row.measure} {row.value:.3f}" for row in self.to_pandas().itertuples()
        )


class ScriptLibrary:
    """A library of a script: made by `open_library`, closed by ``with`` or `close`.

    Attributes:
        library: The library with everything that the page and the command line ask of it.
    """

    def __init__(self, library: Library) -> None:
        """Take over an open library."""
        self.library = library

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the library; it can be opened again."""
        self.library.close()

    def add(
        self, *paths: str | Path, password: str | None = None, ocr: str = ""
    ) -> IngestionReport:
        """Read and embed files and folders; a bad file is skipped with its reason.

        ``ocr`` names languages ("eng+deu") to read scanned pages in, with tesseract.

        Raises:
            UsageError: If a path does not exist, or nothing is to be read.
            CoreError: As `core.library.library.Library.add`.
        """
        return self.library.add(source_files(list(map(Path, paths)), password=password, ocr=ocr))

    def ask(self, query: str, *, k: int | None = None) -> Answer:
        """Ask both encoders and BM25 the same query; errors as `core.library.library.Library.ask`."""
        return Answer(self.library.ask(query, k=k))

    def evaluate(
        self, folder: str | Path, *, split: str = "test", unit: str = "document"
    ) -> Measures:
        """Measure the library's pair on a BEIR folder; vectors are kept for the next time.

        Raises:
            UsageError: If ``unit`` is neither "document" nor "passage".
            DatasetError: If the folder is not as it should be; names file and line.
        """
        if unit not in tuple(Unit):
            raise UsageError(f'unit is "{unit}"; choose "document" or "passage".')
        pool, specs = self.library.pool, self.library.encoders.pair()
        limit = min(spec.max_tokens for spec in specs)
        with Workspace.open(default_cache(Path(folder))) as workspace:
            return Measures(
                evaluate_beir(
                    Path(folder),
                    [pool.get(spec.encoder_id, max_tokens=limit) for spec in specs],
                    unit=Unit(unit),
                    split=split,
                    workspace=workspace,
                    count_tokens=counter(),
                )
            )

    def to_pandas(self, *, vectors: bool = False) -> pd.DataFrame:
        """Return a row per passage; with ``vectors`` a column per encoder, float32 lists."""
        passages = self.library.passages()
        names = {line.doc_id: line.name for line in self.library.documents()}
        frame = _frame(
            {
                "passage_id": passage.passage_id,
                "document": names.get(passage.doc_id, passage.doc_id),
                "page": passage.page_first,
                "text": passage.text,
            }
            for passage in passages
        )
        for spec in self.library.encoders.pair() if vectors else ():
            rows = self.library.embeddings(self.library.encoders.get(spec.encoder_id), passages)
            frame[spec.encoder_id] = list(rows)
        return frame

    def to_parquet(self, path: str | Path) -> Path:
        """Write passages with both encoders' vectors, for viewers of embeddings; returns the path.

        Raises:
            UsageError: If pyarrow is not installed, or the file cannot be written.
        """
        try:
            self.to_pandas(vectors=True).to_parquet(path)
        except ImportError as exc:
            raise UsageError("Parquet needs pyarrow: pip install bifocal[parquet].") from exc
        except OSError as exc:
            raise UsageError(f"{path} cannot be written: {exc.strerror}. Choose another.") from exc
        return Path(path)


def open_library(
    folder: str | Path, *, pair: str = "", device: str = "auto", offline: bool = False
) -> ScriptLibrary:
    """Open the library in a folder, made when it is not there yet.

    Args:
        folder: Of the workspace; the command line opens the same with ``--workspace``.
        pair: Which two encoders, kept in the library; "" for the ones it has.
        device: auto, cpu, cuda or mps.
        offline: Fetch nothing, whatever the settings ask for.

    Raises:
        WorkspaceLockedError: If another process has it open.
        UnknownNameError: If the pair is not known.
    """
    library = Library(
        Workspace.open(Path(folder), create=True),
        pool=make_pool(device=device, offline=offline),
        count_tokens=counter(),
    )
    try:
        if pair and pair != library.settings.pair_id:
            library.change_settings(replace(library.settings, pair_id=pair))
    except BaseException:
        library.close()
        raise
    return ScriptLibrary(library)


def _frame(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    import pandas as pd  # slow to import, and only tables need it

    return pd.DataFrame(list(rows))
