"""Every experiment there is: each module of this package that names one `EXPERIMENT` or several."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import core.experiments
from core.errors import UnknownNameError
from core.experiments.experiment import Experiment, Place


def _registered() -> Iterator[Experiment[Any]]:
    for module in pkgutil.iter_modules(core.experiments.__path__, "core.experiments."):
        if module.name != __name__:
            yield from getattr(importlib.import_module(module.name), "EXPERIMENTS", ())


EXPERIMENTS = tuple(sorted(_registered(), key=lambda one: (one.order, one.name)))


def experiment(name: str) -> Experiment[Any]:
    """Return an experiment by its name.

    Raises:
        UnknownNameError: If there is none; names those there are.
    """
    for one in EXPERIMENTS:
        if one.name == name:
            return one
    raise UnknownNameError(
        f"No experiment {name!r}; there are {', '.join(one.name for one in EXPERIMENTS)}."
    )


def offered(place: Place) -> tuple[Experiment[Any], ...]:
    """Return the experiments of one place on the page, in order."""
    return tuple(one for one in EXPERIMENTS if one.place is place)
