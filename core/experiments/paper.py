"""What the paper reported, as data: tables, claims, and the arithmetic of choosing a baseline.

Source: S. Zhang, Y. Zhao, L. Geng, A. Cohan, A. T. Luu, C. Zhao, "Diffusion vs. Autoregressive
Language Models: A Text Embedding Perspective", arXiv 2505.15045 v1; EMNLP 2025, pp. 4273-4303.
The controlled ablation is from "Diffusion-Pretrained Dense and Contextual Embeddings",
arXiv 2602.11151. All figures are the authors'; they are never mixed with what Bifocal measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.errors import UnknownNameError
from core.experiments.hidden_key import truncation_ceiling

PAPER = "arXiv 2505.15045 v1"
PPLX = "arXiv 2602.11151"
ROUNDING = 0.1  # cells and averages are both rounded to one decimal
AVERAGE = "Avg"
PAPER_LIMIT = 4096  # tokens at which the paper cut its test inputs
CUT_LENGTHS = (8192, 16384, 32768)  # what the ">4k" columns average


class SystemKind(StrEnum):
    """What a row of the paper is."""

    DIFFUSION = "diffusion"
    AUTOREGRESSIVE = "autoregressive"  # same data as DiffEmbed, mask removed in training and test
    REFERENCE = "reference"  # other data or other training: not a controlled comparison


@dataclass(frozen=True, slots=True)
class PaperColumn:
    """One column.

    Attributes:
        name: As in the paper.
        measure: What the numbers are.
        ceiling: Highest value that the set-up allows where that is below 100: the cell measures
            truncation and not the model. None elsewhere.
    """

    name: str
    measure: str
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
    """One table.

    Attributes:
        table_id: Short name.
        title: For people.
        source: Paper and table.
        columns: In order.
        rows: In order.
        averages: Average column -> the columns it is stated to be the mean of.
        caveats: What a reader must know, each a sentence.
        higher_is_better: Always so far.
    """

    table_id: str
    title: str
    source: str
    columns: tuple[PaperColumn, ...]
    rows: tuple[PaperRow, ...]
    averages: dict[str, tuple[str, ...]]
    caveats: tuple[str, ...]
    higher_is_better: bool = True

    def row(self, system: str) -> PaperRow:
        """Return a system's row.

        Raises:
            UnknownNameError: If the table has no such system; names those it has.
        """
        for row in self.rows:
            if row.system == system:
                return row
        names = ", ".join(row.system for row in self.rows)
        msg = f"{self.title} has no system {system!r}; it has {names}."
        raise UnknownNameError(msg)

    def value(self, system: str, column: str) -> float:
        """Return one cell.

        Raises:
            UnknownNameError: If there is no such system or column.
        """
        row = self.row(system)
        for place, found in enumerate(self.columns):
            if found.name == column:
                return row.values[place]
        names = ", ".join(found.name for found in self.columns)
        msg = f"{self.title} has no column {column!r}; it has {names}."
        raise UnknownNameError(msg)


@dataclass(frozen=True, slots=True)
class Claim:
    """A headline of the paper and what it is made of.

    Attributes:
        words: The claim.
        table_id: Where its cells stand.
        column: Which column.
        system: Its subject.
        baseline: What it was measured against.
        stated: Points as claimed.
    """

    words: str
    table_id: str
    column: str
    system: str
    baseline: str
    stated: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One training-set size; nDCG@10 on TheoremQA questions."""

    samples: int
    dream: float
    qwen: float


@dataclass(frozen=True, slots=True)
class MisaddedAverage:
    """An average that does not follow from its row."""

    table_id: str
    system: str
    column: str
    printed: float
    recomputed: float


D, A, R = SystemKind.DIFFUSION, SystemKind.AUTOREGRESSIVE, SystemKind.REFERENCE
_CEILING = round(100 * truncation_ceiling(CUT_LENGTHS, PAPER_LIMIT), 1)  # 29.2
_BIDIRECTIONAL = (
    "Every autoregressive baseline had its causal mask removed, in training and in test: the paper "
    "compares bidirectional pre-training with bidirectional attention added later, not causal "
    "with bidirectional encoders."
)
_ONE_RUN = "One run per cell; no seeds, no intervals."

LONGEMBED = PaperTable(
    table_id="longembed",
    title="LongEmbed (long documents)",
    source=f"{PAPER}, Table 2",
    columns=(
        PaperColumn("Passkey ≤4k", "Acc@1"),
        PaperColumn("Passkey >4k", "Acc@1", _CEILING),
        PaperColumn("Needle ≤4k", "Acc@1"),
        PaperColumn("Needle >4k", "Acc@1", _CEILING),
        PaperColumn("NarrQA", "nDCG@10"),
        PaperColumn("QMSum", "nDCG@10"),
        PaperColumn("SummScrFD", "nDCG@10"),
        PaperColumn("2WikiMQA", "nDCG@10"),
        PaperColumn(AVERAGE, "mean"),
    ),
    rows=(
        PaperRow("E5-Mistral", R, "2M", (95.6, 30.0, 68.8, 14.0, 44.6, 43.6, 96.8, 82.0, 59.4)),
        PaperRow("Llama3", A, "16k", (54.0, 3.3, 51.2, 4.0, 31.9, 30.8, 67.6, 47.3, 32.3)),
        PaperRow("Llama3+LLM2Vec", A, "16k", (59.6, 4.0, 59.2, 6.7, 36.5, 34.4, 84.5, 51.1, 42.0)),
        PaperRow("Mistral", A, "16k", (87.6, 22.0, 72.4, 20.0, 35.0, 36.8, 85.4, 62.9, 52.8)),
        PaperRow(
            "Mistral+LLM2Vec", A, "16k", (98.8, 30.0, 69.2, 21.3, 39.5, 40.0, 91.6, 78.0, 58.6)
        ),
        PaperRow("Qwen2.5", A, "16k", (86.8, 24.6, 68.0, 19.3, 31.7, 35.6, 88.0, 68.3, 52.8)),
        PaperRow(
            "Qwen2.5+LLM2Vec", A, "16k", (94.0, 28.7, 72.4, 20.0, 36.5, 37.3, 90.5, 68.1, 55.9)
        ),
        PaperRow("DiffEmbed", D, "16k", (100.0, 29.3, 86.8, 20.0, 42.1, 43.8, 98.0, 77.2, 62.2)),
    ),
    averages={
        AVERAGE: (
            "Passkey ≤4k",
            "Passkey >4k",
            "Needle ≤4k",
            "Needle >4k",
            "NarrQA",
            "QMSum",
            "SummScrFD",
            "2WikiMQA",
        )
    },
    caveats=(
        "The “>4k” columns average documents of 8k, 16k and 32k tokens while the input was cut at "
        f"4,096: with the key at a uniform depth nobody can pass {_CEILING} by reading. These cells "
        "measure truncation, not the model (Bifocal's own arithmetic).",
        "On 2WikiMQA Mistral+LLM2Vec (78.0) is ahead of DiffEmbed (77.2); E5-Mistral, trained on "
        "more data, also leads on NarrQA.",
        "On such tasks plain BM25 is ahead of most dense encoders in an independent check "
        "(NanoLongEmbed: 0.822 against 0.727 for the best of five).",
        _BIDIRECTIONAL,
        _ONE_RUN,
    ),
)

BRIGHT = PaperTable(
    table_id="bright",
    title="BRIGHT (reasoning)",
    source=f"{PAPER}, Tables 3 and 7",
    columns=(
        PaperColumn("TheoT", "nDCG@10"),
        PaperColumn("TheoQ", "nDCG@10"),
        PaperColumn("AoPS", "nDCG@10"),
        PaperColumn("LeetCode", "nDCG@10"),
        PaperColumn(AVERAGE, "mean"),
    ),
    rows=(
        PaperRow("E5-Mistral", R, "-", (26.8, 26.1, 7.1, 28.7, 22.2)),
        PaperRow("ReasonIR", R, "-", (27.2, 31.9, 14.7, 35.0, 27.2)),
        PaperRow("Llama3", A, "10k", (31.0, 34.6, 5.8, 18.9, 22.6)),
        PaperRow("Llama3+LLM2Vec", A, "10k", (28.3, 33.8, 12.6, 23.6, 24.6)),
        PaperRow("Llama3+LLM2Vec+SimCSE", A, "10k", (29.0, 36.0, 10.4, 24.1, 24.9)),
        PaperRow("Mistral", A, "10k", (32.4, 33.7, 9.4, 20.7, 24.1)),
        PaperRow("Mistral+LLM2Vec", A, "10k", (30.8, 30.4, 9.1, 22.9, 23.3)),
        PaperRow("Mistral+LLM2Vec+SimCSE", A, "10k", (25.5, 32.0, 10.3, 23.2, 22.8)),
        PaperRow("Qwen2.5", A, "10k", (34.7, 40.2, 15.5, 32.0, 30.6)),
        PaperRow("Qwen2.5+LLM2Vec", A, "10k", (32.3, 37.2, 10.3, 31.0, 27.7)),
        PaperRow("DiffEmbed", D, "10k", (38.9, 48.3, 15.4, 30.0, 33.2)),
    ),
    averages={AVERAGE: ("TheoT", "TheoQ", "AoPS", "LeetCode")},
    caveats=(
        "Four of BRIGHT's subsets only; the StackExchange subsets and Pony were left out.",
        "DiffEmbed is behind Qwen2.5 on AoPS (-0.1) and LeetCode (-2.0). The authors re-judged ten "
        "queries per set and found 22 % (TheoQ), 57 % (AoPS) and 44 % (LeetCode) of gold answers "
        "wrong.",
        _BIDIRECTIONAL,
        _ONE_RUN,
    ),
)

FOLLOWIR = PaperTable(
    table_id="followir",
    title="FollowIR (instructions)",
    source=f"{PAPER}, Table 4",
    columns=(
        PaperColumn("Robust04", "MAP@1000"),
        PaperColumn("Robust04 p-MRR", "p-MRR"),
        PaperColumn("News21", "nDCG@5"),
        PaperColumn("News21 p-MRR", "p-MRR"),
        PaperColumn("Core17", "MAP@1000"),
        PaperColumn("Core17 p-MRR", "p-MRR"),
        PaperColumn(AVERAGE, "mean of scores"),
        PaperColumn("Avg p-MRR", "mean of p-MRR"),
    ),
    rows=(
        PaperRow("Promptriever", R, "1M", (28.3, 11.7, 28.5, 6.4, 21.6, 15.4, 26.1, 11.2)),
        PaperRow("Llama3", A, "16k", (12.7, 2.3, 17.6, -1.0, 11.7, 1.7, 14.0, 1.0)),
        PaperRow("Llama3+LLM2Vec", A, "16k", (17.6, 1.9, 21.6, 1.2, 16.7, 4.7, 18.6, 2.6)),
        PaperRow("Mistral", A, "16k", (21.4, 7.0, 27.4, 1.1, 16.0, 7.2, 21.5, 5.1)),
        PaperRow("Mistral+LLM2Vec", A, "16k", (20.7, 5.7, 25.1, 1.1, 16.3, 7.5, 20.7, 4.8)),
        PaperRow("Qwen2.5", A, "16k", (15.6, 1.4, 20.4, 1.7, 13.9, 4.4, 16.6, 2.5)),
        PaperRow("Qwen2.5+LLM2Vec", A, "16k", (14.5, 1.6, 19.7, 0.1, 13.8, 2.8, 16.0, 1.5)),
        PaperRow("DiffEmbed", D, "16k", (18.9, 5.7, 27.7, 3.6, 16.2, 6.0, 20.9, 5.1)),
    ),
    averages={
        AVERAGE: ("Robust04", "News21", "Core17"),
        "Avg p-MRR": ("Robust04 p-MRR", "News21 p-MRR", "Core17 p-MRR"),
    },
    caveats=(
        "Mistral without any adaptation is ahead of DiffEmbed by score (21.5 against 20.9) and "
        "level by p-MRR (5.1).",
        _BIDIRECTIONAL,
        _ONE_RUN,
    ),
)

_MTEB_TASKS = (
    ("ArguAna", "nDCG@10", 57.33, 54.46, 58.47),
    ("Banking77", "accuracy", 87.35, 87.03, 87.50),
    ("BiorxivClustS2S", "v-measure", 38.45, 35.80, 35.56),
    ("Emotion", "accuracy", 47.81, 50.81, 51.44),
    ("MassiveIntent", "accuracy", 78.69, 76.89, 75.64),
    ("MedrxivClustS2S", "v-measure", 33.46, 31.26, 31.42),
    ("NFCorpus", "nDCG@10", 38.04, 39.27, 35.44),
    ("SciDocsRR", "MAP", 85.19, 84.41, 82.00),
    ("SICK-R", "Spearman", 80.64, 78.92, 76.49),
    ("SprintDup", "AP", 92.30, 95.28, 95.30),
    ("StackOverflowDup", "MAP", 55.32, 54.32, 50.69),
    ("STS17", "Spearman", 87.30, 88.15, 87.83),
    ("STSB", "Spearman", 84.76, 85.47, 83.43),
    ("20Newsgroups", "v-measure", 53.28, 49.50, 52.56),
    ("SciFact", "nDCG@10", 75.93, 71.21, 71.42),
)

MTEB = PaperTable(
    table_id="mteb",
    title="MTEB, 15 tasks (ordinary short texts)",
    source=f"{PAPER}, Table 6",
    columns=(
        *(PaperColumn(name, measure) for name, measure, *_ in _MTEB_TASKS),
        PaperColumn(AVERAGE, "mean"),
    ),
    rows=(
        PaperRow("Llama3+LLM2Vec", A, "16k", (*(task[2] for task in _MTEB_TASKS), 66.39)),
        PaperRow("Mistral+LLM2Vec", A, "16k", (*(task[3] for task in _MTEB_TASKS), 65.52)),
        PaperRow("DiffEmbed", D, "16k", (*(task[4] for task in _MTEB_TASKS), 65.01)),
    ),
    averages={AVERAGE: tuple(name for name, *_ in _MTEB_TASKS)},
    caveats=(
        "On ordinary short texts the diffusion encoder is slightly behind (-1.4 against "
        "Llama3+LLM2Vec). The paper has no BEIR table.",
        _BIDIRECTIONAL,
        _ONE_RUN,
    ),
)

ATTENTION = PaperTable(
    table_id="attention",
    title="Full or causal attention at test time",
    source=f"{PAPER}, Table 5",
    columns=(
        PaperColumn("TheoT", "nDCG@10"),
        PaperColumn("TheoQ", "nDCG@10"),
        PaperColumn("AoPS", "nDCG@10"),
        PaperColumn("LeetCode", "nDCG@10"),
    ),
    rows=(
        PaperRow("Mistral, full", A, "10k", (32.4, 33.7, 9.4, 20.7)),
        PaperRow("Mistral, causal", A, "10k", (4.0, 9.6, 7.8, 34.9)),
        PaperRow("DiffEmbed, full", D, "10k", (38.9, 48.3, 15.4, 30.0)),
        PaperRow("DiffEmbed, causal", D, "10k", (1.1, 0.7, 2.8, 29.5)),
    ),
    averages={},
    caveats=(
        "Both were trained with full attention and only tested with a causal mask: a mismatch "
        "between training and test, not an encoder trained causally. The paper has no such run.",
        "Mistral gains 14.2 points on LeetCode when the mask is put back.",
        _ONE_RUN,
    ),
)

PPLX_ABLATION = PaperTable(
    table_id="pplx-ablation",
    title="The controlled ablation: one base, one training, two directions, two poolings",
    source=f"{PPLX}, Table 9",
    columns=(PaperColumn("English retrieval", "mean"),),
    rows=(
        PaperRow("causal, last token", A, "same pairs", (39.9,)),
        PaperRow("causal, mean", A, "same pairs", (38.8,)),
        PaperRow("diffusion, last token", D, "same pairs", (39.7,)),
        PaperRow("diffusion, mean", D, "same pairs", (40.6,)),
    ),
    averages={},
    caveats=(
        "Qwen3-0.6B with and without diffusion pre-training, the same short pair training: what "
        "the paper above lacks. The gain over the best causal set-up is +0.7, and +1.8 when both "
        "must average their tokens.",
    ),
)

TABLES = (LONGEMBED, BRIGHT, FOLLOWIR, MTEB, ATTENTION, PPLX_ABLATION)

TRAINING_CURVE = (
    CurvePoint(3_200, 32.2, 36.4),
    CurvePoint(4_800, 39.1, 30.5),
    CurvePoint(6_400, 45.8, 35.9),
    CurvePoint(8_000, 44.8, 35.3),
    CurvePoint(9_600, 47.4, 38.0),
    CurvePoint(10_880, 48.3, 40.2),
)
TRAINING_CURVE_SOURCE = f"{PAPER}, Figure 4; points from the authors' plotting script"

CLAIMS = (
    Claim("+20 % on long documents", "longembed", AVERAGE, "DiffEmbed", "Llama3+LLM2Vec", 20.2),
    Claim("+8 % on reasoning", "bright", AVERAGE, "DiffEmbed", "Llama3+LLM2Vec", 8.6),
    Claim("+2 % on instructions", "followir", AVERAGE, "DiffEmbed", "Llama3+LLM2Vec", 2.3),
    Claim("+16.4 % on TheoremQA", "bright", "TheoQ", "DiffEmbed", "ReasonIR", 16.4),
)

# mteb's task, and where it has several its subset, for the columns of the paper's tables.
_MTEB_COLUMNS: dict[tuple[str, str], tuple[str, str]] = {
    ("LEMBNarrativeQARetrieval", ""): ("longembed", "NarrQA"),
    ("LEMBQMSumRetrieval", ""): ("longembed", "QMSum"),
    ("LEMBSummScreenFDRetrieval", ""): ("longembed", "SummScrFD"),
    ("LEMBWikimQARetrieval", ""): ("longembed", "2WikiMQA"),
    ("BrightRetrieval", "theoremqa_theorems"): ("bright", "TheoT"),
    ("BrightRetrieval", "theoremqa_questions"): ("bright", "TheoQ"),
    ("BrightRetrieval", "aops"): ("bright", "AoPS"),
    ("BrightRetrieval", "leetcode"): ("bright", "LeetCode"),
    ("BrightTheoremQATheoremsRetrieval", ""): ("bright", "TheoT"),
    ("BrightTheoremQAQuestionsRetrieval", ""): ("bright", "TheoQ"),
    ("BrightAopsRetrieval", ""): ("bright", "AoPS"),
    ("BrightLeetcodeRetrieval", ""): ("bright", "LeetCode"),
    ("Robust04InstructionRetrieval", ""): ("followir", "Robust04 p-MRR"),
    ("News21InstructionRetrieval", ""): ("followir", "News21 p-MRR"),
    ("Core17InstructionRetrieval", ""): ("followir", "Core17 p-MRR"),
    ("ArguAna", ""): ("mteb", "ArguAna"),
    ("Banking77Classification", ""): ("mteb", "Banking77"),
    ("BiorxivClusteringS2S", ""): ("mteb", "BiorxivClustS2S"),
    ("EmotionClassification", ""): ("mteb", "Emotion"),
    ("MassiveIntentClassification", "en"): ("mteb", "MassiveIntent"),
    ("MedrxivClusteringS2S", ""): ("mteb", "MedrxivClustS2S"),
    ("NFCorpus", ""): ("mteb", "NFCorpus"),
    ("SciDocsRR", ""): ("mteb", "SciDocsRR"),
    ("SICK-R", ""): ("mteb", "SICK-R"),
    ("SprintDuplicateQuestions", ""): ("mteb", "SprintDup"),
    ("StackOverflowDupQuestions", ""): ("mteb", "StackOverflowDup"),
    ("STS17", "en-en"): ("mteb", "STS17"),
    ("STSBenchmark", ""): ("mteb", "STSB"),
    ("TwentyNewsgroupsClustering", ""): ("mteb", "20Newsgroups"),
    ("SciFact", ""): ("mteb", "SciFact"),
}
# One split a length; the paper's cells are means over the lengths on one side of its limit.
_BY_LENGTH = {"LEMBPasskeyRetrieval": "Passkey", "LEMBNeedleRetrieval": "Needle"}
SHORT_LENGTHS = (256, 512, 1024, 2048, 4096)


@dataclass(frozen=True, slots=True)
class PaperPlace:
    """Where an official task stands in the paper.

    Attributes:
        table_id: Of the table.
        column: Of the table.
        lengths: How many splits of mteb the cell is a mean of; 1 for most.
    """

    table_id: str
    column: str
    lengths: int = 1


def place_of(task: str, split: str, subset: str) -> PaperPlace | None:
    """Return which cell of the paper an official task of mteb corresponds to, None for most.

    Args:
        task: Its name in mteb.
        split: As mteb has it; LongEmbed's synthetic tasks name a length: ``test_8192``.
        subset: As mteb has it.
    """
    if task in _BY_LENGTH:
        length = split.removeprefix("test_")
        if not length.isdigit():
            return None
        short = int(length) <= PAPER_LIMIT
        column = f"{_BY_LENGTH[task]} {'≤4k' if short else '>4k'}"
        return PaperPlace("longembed", column, len(SHORT_LENGTHS if short else CUT_LENGTHS))
    found = _MTEB_COLUMNS.get((task, subset)) or _MTEB_COLUMNS.get((task, ""))
    return None if found is None else PaperPlace(*found)


def table(table_id: str) -> PaperTable:
    """Return a table by its id.

    Raises:
        UnknownNameError: If there is none; names those there are.
    """
    for found in TABLES:
        if found.table_id == table_id:
            return found
    names = ", ".join(found.table_id for found in TABLES)
    msg = f"No table {table_id!r}; there are {names}."
    raise UnknownNameError(msg)


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
    kept = [
        name
        for name in found.averages[column]
        if next(one for one in found.columns if one.name == name).ceiling is None
    ]
    return round(sum(found.value(system, name) for name in kept) / len(kept), 2)


def recomputed_average(found: PaperTable, system: str, column: str) -> float:
    """Return the mean of the cells that an average column stands for, unrounded."""
    names = found.averages[column]
    return sum(found.value(system, name) for name in names) / len(names)


def misadded_averages() -> tuple[MisaddedAverage, ...]:
    """Return the averages that do not follow from their rows, beyond rounding."""
    return tuple(
        MisaddedAverage(
            found.table_id,
            row.system,
            column,
            found.value(row.system, column),
            round(recomputed_average(found, row.system, column), 2),
        )
        for found in TABLES
        for column in found.averages
        for row in found.rows
        if abs(found.value(row.system, column) - recomputed_average(found, row.system, column))
        > ROUNDING + 1e-9
    )
