"""Records to JSON and back: one codec for files, exports and answers.

Text from a broken PDF may hold lone surrogates, which no UTF-8 file can: JSON text is ASCII here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

T = TypeVar("T")
_ADAPTERS: dict[type, TypeAdapter[Any]] = {}  # making one takes longer than using it


def to_jsonable(value: object, *, keep_nan: bool = False) -> Any:  # noqa: ANN401 - JSON
    """Return a value made of dicts, lists, strings, numbers, booleans and None only.

    Numbers that JSON cannot say (NaN, infinities) become None, so that any parser can read what
    is written; ``keep_nan`` keeps them, for what only Bifocal reads again.
    """
    return to_jsonable_python(
        value, inf_nan_mode="constants" if keep_nan else "null", fallback=_plain
    )


def _plain(value: Any) -> object:  # noqa: ANN401 - whatever pydantic does not know
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form.")


def to_json(value: object, *, indent: int | None = None, keep_nan: bool = False) -> str:
    """Return a record as ASCII JSON text; equal records give equal text."""
    return json.dumps(to_jsonable(value, keep_nan=keep_nan), indent=indent)


def from_json(kind: type[T], text: str | bytes) -> T:
    """Return the record that `to_json` wrote; a field that is missing takes its default.

    Raises:
        ValueError: If the text is not such a record.
    """
    try:
        return from_jsonable(kind, json.loads(text))
    except RecursionError as exc:
        raise ValueError("brackets without end") from exc


def from_jsonable(kind: type[T], value: object) -> T:
    """Return the record that `to_jsonable` took apart.

    Raises:
        ValueError: If the value is not such a record.
    """
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    made: T = _ADAPTERS[kind].validate_python(value)
    return made
