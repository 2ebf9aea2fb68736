"""The cost of shorter embeddings, for encoders trained for them (Matryoshka)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.encoders.spec import choice_of
from core.errors import InvalidSettingError
from core.evaluation.records import DimensionCost
from core.evaluation.significance import paired_difference
from core.records import SystemInfo
from core.settings import OutputType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from core.encoders.protocol import Encoder
    from core.evaluation.records import Measured

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Shortened:
    """A system made of another's vectors, cut."""

    info: SystemInfo  # of the new system
    of: str  # system id of the encoder
    dimension: int  # leading numbers kept


def shortened(
    named: Sequence[tuple[SystemInfo, Encoder]], dimensions: Sequence[int]
) -> tuple[Shortened, ...]:
    """Return the shorter systems to measure: every encoder at every dimension it was trained for.

    Raises:
        InvalidSettingError: If none was trained for one of them, or an encoder's output was chosen
            to be something else than plain numbers at full length.
    """
    found = [
        Shortened(
            SystemInfo(f"{info.system_id}@{size}", info.family, f"{info.label} @ {size}"),
            info.system_id,
            size,
        )
        for size in sorted(set(dimensions), reverse=True)
        for info, encoder in named
        if size in encoder.spec.shorter_dimensions
    ]
    for size in dimensions:
        if not any(one.dimension == size for one in found):
            offers = "; ".join(
                f"{info.label}: {', '.join(map(str, encoder.spec.shorter_dimensions)) or 'none'}"
                for info, encoder in named
            )
            raise InvalidSettingError(
                f"No encoder here was trained for {size} dimensions. On offer: {offers}."
            )
    cut = {one.of for one in found}
    for info, encoder in named:
        choice = choice_of(encoder)
        if info.system_id in cut and (choice.dimension or choice.output is not OutputType.FLOAT):
            raise InvalidSettingError(
                f"{info.label} is not at its full length in plain numbers; shorter lengths are "
                "measured from there. Leave its encoder option out."
            )
    return tuple(found)


def unshortened_notes(
    named: Sequence[tuple[SystemInfo, Encoder]], shorter: Sequence[Shortened]
) -> Iterator[str]:
    """Yield a sentence for each encoder that could not be cut: the encoders are not treated alike."""
    for info, _ in named:
        if not any(one.of == info.system_id for one in shorter):
            yield f"{info.label} was not trained for shorter embeddings and keeps all of its own."


def leading(rows: NDArray[np.float32], *, dimension: int) -> NDArray[np.float32]:
    """Return the first numbers of each row at unit length: ``(n, dimension)`` float32."""
    kept = rows[:, :dimension]
    lengths = np.linalg.norm(kept, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (kept / np.maximum(lengths, _TINY)).astype(np.float32)
    return unit


def costs(
    measured: Measured, shorter: Sequence[Shortened], *, seed: int
) -> tuple[DimensionCost, ...]:
    """Return cut minus uncut for every shorter system, paired by query."""
    found = []
    for one in shorter:
        cut, uncut = (measured.system(name) for name in (one.info.system_id, one.of))
        if cut is None or uncut is None:
            continue
        found.append(
            DimensionCost(
                system_id=one.info.system_id,
                of=one.of,
                dimension=one.dimension,
                difference={
                    name: paired_difference(
                        values, uncut.per_query[name], measured.clusters, seed=seed
                    )
                    for name, values in cut.per_query.items()
                },
            )
        )
    return tuple(found)
