"""Every agreement measure there is: each module of this package that names a `MEASURE`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence

from core.comparison.measures.measure import Figures, Measure


def _registered() -> Iterator[Measure]:
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        measure = getattr(importlib.import_module(module.name), "MEASURE", None)
        if measure is not None:
            yield measure


MEASURES = tuple(sorted(_registered(), key=lambda one: (one.order, one.name)))


def figures(a: Sequence[str], b: Sequence[str], *, k: int) -> Figures:
    """Return the figures of every measure.

    Args:
        a: Passage ids of system A, best first, none twice.
        b: Passage ids of system B, for the same query.
        k: Depth, at least 1.
    """
    values: dict[str, float | None] = {}
    for measure in MEASURES:
        values |= measure.compute(a, b, k)
    return values
