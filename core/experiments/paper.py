"""The tables and claims of the paper, from `assets/paper.json`, and the choice of a baseline.

The file names its source. All figures are the authors'; they are never mixed with what Bifocal
measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import TypeAdapter

from core.errors import UnknownNameError
from core.settings import ASSETS

AVERAGE = "Avg"
PAPER_LIMIT = 4096  # tokens at which the paper cut its test inputs
CUT_LENGTHS = (8192, 16384, 32768)  # what the ">4k" columns average


class SystemKind(StrEnum):
    """Kinds of rows in the paper's tables."""

    DIFFUSION = "diffusion"
    AUTOREGRESSIVE = "autoregressive"  # same data as DiffEmbed, mask removed in training and test
    REFERENCE = "reference"  # other data or other training: not a controlled comparison


@dataclass(frozen=True, slots=True)
class PaperColumn:
    """One column."""

    name: str  # as in the paper
    measure: str  # what the numbers are
    # highest value that the set-up allows where that is below 100: the cell measures truncation and
    # not the model. None elsewhere.
    ceiling: float | None = None


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One system; ``values`` in the order of the table's columns."""

    system: str
    kind: SystemKind
    samples: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One table."""

    table_id: str  # short name
    title: str  # for people
    source: str  # paper and table
    columns: tuple[PaperColumn, ...]  # in order
    rows: tuple[PaperRow, ...]  # in order
    # average column -> the columns it is stated to be the mean of
    averages: dict[str, tuple[str, ...]]
    caveats: tuple[str, ...]  # what a reader must know, each a sentence

    def column(self, name: str) -> PaperColumn:
        """Return a column by its name.

        Raises:
            UnknownNameError: If the table has none; names those it has.
        """
        return self.columns[_place([one.name for one in self.columns], name, self.title, "column")]

    def value(self, system: str, column: str) -> float:
        """Return one cell.

        Raises:
            UnknownNameError: If there is no such system or column; names those there are.
        """
        row = self.rows[_place([one.system for one in self.rows], system, self.title, "system")]
        return row.values[self.columns.index(self.column(column))]


@dataclass(frozen=True, slots=True)
class Claim:
    """A headline of the paper with the figures behind it."""

    words: str  # the claim
    table_id: str  # where its cells stand
    column: str  # which column
    system: str  # its subject
    baseline: str  # what it was measured against
    stated: float  # points as claimed


@dataclass(frozen=True, slots=True)
class Task:
    """An official task of mteb, and its subset where it has several, beside the paper's cell."""

    task: str
    subset: str
    table_id: str
    column: str


@dataclass(frozen=True, slots=True)
class TrainingCurve:
    """nDCG@10 on TheoremQA questions by training samples: Dream, then Qwen2.5."""

    source: str
    points: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True, slots=True)
class Paper:
    """The whole file."""

    source: str  # where the figures come from
    tables: tuple[PaperTable, ...]  # in the page's order
    claims: tuple[Claim, ...]  # the headlines
    training_curve: TrainingCurve  # both systems by size of the training set
    mteb: tuple[Task, ...]  # official tasks that have a cell in a table
    # tasks with a split for each length, and the column without its length
    by_length: dict[str, str]


def _place(names: Sequence[str], name: str, where: str, what: str) -> int:
    if name not in names:
        raise UnknownNameError(f"{where} has no {what} {name!r}; it has {', '.join(names)}.")
    return names.index(name)


_PAPER = TypeAdapter(Paper).validate_json((ASSETS / "paper.json").read_bytes())
TABLES = _PAPER.tables
CLAIMS = _PAPER.claims
TRAINING_CURVE = _PAPER.training_curve
SHORT_LENGTHS = (256, 512, 1024, 2048, 4096)


@dataclass(frozen=True, slots=True)
class PaperPlace:
    """Where an official task stands in the paper."""

    table_id: str  # of the table
    column: str  # of the table
    lengths: int = 1  # how many splits of mteb the cell is a mean of; 1 for most


def place_of(task: str, split: str, subset: str) -> PaperPlace | None:
    """Return which cell of the paper an official task of mteb corresponds to, None for most.

    Args:
        task: Its name in mteb.
        split: As mteb has it; LongEmbed's synthetic tasks name a length: ``test_8192``.
        subset: As mteb has it.
    """
    if task in _PAPER.by_length:
        length = split.removeprefix("test_")
        if not length.isdigit():
            return None
        short = int(length) <= PAPER_LIMIT
        column = f"{_PAPER.by_length[task]} {'≤4k' if short else '>4k'}"
        return PaperPlace("longembed", column, len(SHORT_LENGTHS if short else CUT_LENGTHS))
    cells = {one.subset: one for one in _PAPER.mteb if one.task == task}
    cell = cells.get(subset) or cells.get("")
    return None if cell is None else PaperPlace(cell.table_id, cell.column)


def table(table_id: str) -> PaperTable:
    """Return a table by its id.

    Raises:
        UnknownNameError: If there is none; names those there are.
    """
    ids = [found.table_id for found in TABLES]
    if table_id not in ids:
        raise UnknownNameError(f"No table {table_id!r}; there are {', '.join(ids)}.")
    return TABLES[ids.index(table_id)]


def difference(found: PaperTable, system: str, baseline: str, column: str = AVERAGE) -> float:
    """Return ``system - baseline`` in points of one column, rounded as the cells are.

    Raises:
        UnknownNameError: If the table has no such system or column.
    """
    return round(found.value(system, column) - found.value(baseline, column), 2)


def differences(found: PaperTable, system: str, baseline: str) -> dict[str, float]:
    """Return ``system - baseline`` for every column."""
    return {
        column.name: difference(found, system, baseline, column.name) for column in found.columns
    }


def baselines(found: PaperTable) -> tuple[str, ...]:
    """Return the systems a reader may choose as baseline, in the table's order."""
    return tuple(row.system for row in found.rows if row.kind is not SystemKind.DIFFUSION)


def best_baseline(found: PaperTable, column: str = AVERAGE) -> str:
    """Return the strongest autoregressive system trained on the same data, by one column.

    Ties go to the one that stands first in the table.
    """
    rows = [row.system for row in found.rows if row.kind is SystemKind.AUTOREGRESSIVE]
    return max(rows, key=lambda system: found.value(system, column))


def measures_truncation(column: PaperColumn, value: float) -> bool:
    """Whether a cell is near the ceiling that truncation alone imposes on its column.

    A little above the ceiling is possible by guessing and by chance of the drawn depths.
    """
    return column.ceiling is not None and value >= column.ceiling - 5.0


def average_without_truncation(found: PaperTable, system: str, column: str = AVERAGE) -> float:
    """Return an average over the columns whose ceiling is 100, rounded to two decimals.

    Bifocal's own arithmetic, not a figure of the paper.
    """
    values = [
        found.value(system, name)
        for name in found.averages[column]
        if found.column(name).ceiling is None
    ]
    return round(sum(values) / len(values), 2)
