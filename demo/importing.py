"""Imported runs in the page: files in, columns out, and ids without a match."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.comparison.imported import read_runs
from core.errors import UsageError
from core.settings import MEBIBYTE
from demo.presenters import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.comparison.runs import KeptRun
    from demo.handlers import Handlers

MAX_FILE_BYTES = 32 * MEBIBYTE
QUERY_FILES = (".tsv", ".jsonl", ".ndjson")


class Importing:
    """The verbs of imported runs."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def add(
        self, visitor_id: object, library_id: str, files: Sequence[str | Path]
    ) -> tuple[KeptRun, ...]:
        """Keep the runs of uploaded files; one file may hold the texts of their queries.

        Raises:
            DatasetError: If a file is not what it should be; names file and line.
            UsageError: If there is no run among them, or more than a library keeps.
        """
        paths = [Path(file) for file in files]
        texts = [path for path in paths if path.suffix.lower() in QUERY_FILES]
        given = [path for path in paths if path not in texts]
        if not given:
            raise UsageError(
                "There is no run among the files: a TREC file, a CSV, mteb's predictions or an "
                "export of Bifocal's. Texts of queries come along with one."
            )
        if len(texts) > 1:
            raise UsageError("Give one file of queries' texts (.tsv or .jsonl) with a run.")
        made = [
            run
            for path in given
            for run in read_runs(
                path, queries=texts[0] if texts else None, most_bytes=MAX_FILE_BYTES
            )
        ]
        with self.handlers.sessions.library(visitor_id, library_id) as bench:
            return bench.add_runs(made)

    def remove(self, visitor_id: object, library_id: str, run_id: str) -> None:
        """Forget a run.

        Raises:
            UnknownNameError: If the library has none of this id.
        """
        with self.handlers.sessions.library(visitor_id, library_id) as bench:
            bench.remove_run(run_id)

    def shown(self, visitor_id: object, library_id: str) -> str:
        """Return a library's runs as HTML."""
        with self.handlers.sessions.library(visitor_id, library_id, look=True) as bench:
            return runs.runs(bench.runs())
