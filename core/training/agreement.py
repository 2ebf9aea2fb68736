"""How far two forms of one encoder agree: what storage or a speed mode costs, in rankings."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.comparison.rbo import rank_biased_overlap
from core.encoders.encoder import LoadedEncoder
from core.encoders.registry import ENCODERS_FOLDER, load_encoder
from core.encoders.spec import TextKind
from core.errors import UsageError
from core.evaluation.evaluate import chosen_dataset
from core.library.embedding import stored_under
from core.search.dense import DenseIndex
from core.search.order import best_positions
from core.training.controls import Control, Weights, embed_together

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from core.encoders.spec import EncoderSpec
    from core.monitor import Monitor
    from core.records import Family
    from core.store import Workspace

DEPTH = 10
STORED_COSINE = 0.999  # what storage must not go below, for any text
STORED_RBO = 0.99  # and what the mean of the queries must reach


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two forms of one encoder on one data set.

    Attributes:
        dataset: The folder's name.
        encoder_id: Of the first form.
        queries: How many.
        passages: How many.
        mean_cosine: Over all texts, each against itself.
        lowest_cosine: Of all texts.
        mean_rbo: Of the top ten, over queries (RBO_ext, p 0.9).
        lowest_rbo: Of all queries.
        same_top: Share of the queries whose ten are the same in the same order.
    """

    dataset: str
    encoder_id: str
    queries: int
    passages: int
    mean_cosine: float
    lowest_cosine: float
    mean_rbo: float
    lowest_rbo: float
    same_top: float

    def to_fields(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def agreement(
    first: tuple[NDArray[np.float32], NDArray[np.float32]],
    second: tuple[NDArray[np.float32], NDArray[np.float32]],
    *,
    dataset: str = "",
    encoder_id: str = "",
) -> Agreement:
    """Compare vectors and rankings.

    Args:
        first: Query and passage vectors of one form, ``(q, dim)`` and ``(p, dim)``, unit rows.
        second: The same texts by the other form.
        dataset: For the record.
        encoder_id: For the record.
    """
    cosines = np.concatenate(
        [(one * other).sum(axis=1) for one, other in zip(first, second, strict=True)]
    )
    tops = []
    for queries, passages in (first, second):
        index = DenseIndex([f"u{place:09d}" for place in range(len(passages))], passages)
        tops.append([best_positions(index.scores(query), k=DEPTH).tolist() for query in queries])
    overlaps = np.array(
        [
            rank_biased_overlap([str(x) for x in one], [str(x) for x in other]).ext
            for one, other in zip(*tops, strict=True)
        ]
    )
    return Agreement(
        dataset=dataset,
        encoder_id=encoder_id,
        queries=len(first[0]),
        passages=len(first[1]),
        mean_cosine=float(cosines.mean()),
        lowest_cosine=float(cosines.min()),
        mean_rbo=float(overlaps.mean()),
        lowest_rbo=float(overlaps.min()),
        same_top=float(np.mean([one == other for one, other in zip(*tops, strict=True)])),
    )


def measured_agreement(
    beir: Path,
    first: LoadedEncoder,
    second: LoadedEncoder,
    *,
    workspace: Workspace,
    sample: int | None = None,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> Agreement:
    """Embed a data set with two forms of an encoder and compare; vectors are kept.

    Args:
        beir: Folder in BEIR's layout.
        first: One form.
        second: The other.
        workspace: Where vectors are kept.
        sample: Keep the relevant documents and this many minus those others; None for all.
        seed: Of the sample.
        monitor: Told of the progress.
    """
    dataset = chosen_dataset(beir, sample=sample, seed=seed)
    passages, queries = tuple(dataset.whole.documents.values()), dataset.query_texts
    embed_together(workspace, [first, second], passages=passages, queries=queries, monitor=monitor)
    sides = ((TextKind.QUERY, queries), (TextKind.PASSAGE, passages))
    rows = [
        [workspace.vectors(stored_under(one, kind=kind), texts, kind=kind) for kind, texts in sides]
        for one in (first, second)
    ]
    return agreement(
        (rows[0][0], rows[0][1]),
        (rows[1][0], rows[1][1]),
        dataset=dataset.whole.name,
        encoder_id=first.spec.encoder_id,
    )


def as_trained(family: Family) -> Control:
    """Return the arm as the last checkpoint of stage 2 has it, in float32, before it is stored."""
    return Control(
        f"{family.value}-as-trained", Weights.CHECKPOINT, family=family, name=family.value
    )


@dataclass(frozen=True, slots=True)
class LoadTime:
    """How long an arm takes to load, hash checks and attention probe included.

    Attributes:
        encoder_id: Which arm.
        seconds: By the clock on the wall.
        processor_seconds: Of all threads; other programs on the machine do not count.
    """

    encoder_id: str
    seconds: float
    processor_seconds: float


def load_times(pair_folder: Path, specs: Sequence[EncoderSpec]) -> tuple[LoadTime, ...]:
    """Load each arm as Bifocal does and take the time; libraries are in memory already.

    Raises:
        UsageError: If the folder does not stand where bundled pairs stand.
    """
    folder = pair_folder.resolve()
    if folder.parent.name != ENCODERS_FOLDER:
        msg = f"{pair_folder} is not in a folder {ENCODERS_FOLDER!r}, where pairs are loaded from."
        raise UsageError(msg)
    found = []
    for spec in specs:
        wall, processor = time.perf_counter(), time.process_time()
        load_encoder(spec, assets=folder.parent.parent, device="cpu")
        found.append(
            LoadTime(spec.encoder_id, time.perf_counter() - wall, time.process_time() - processor)
        )
    return tuple(found)
