"""Experiment results to JSON and back, and the key under which a workspace keeps them."""

from __future__ import annotations

import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any, TypeVar, cast

import numpy as np

from core.errors import LaboratoryError

T = TypeVar("T")

RESULT_VERSION = 3  # raise it when an experiment's meaning changes: kept results are then stale


class StaleResultError(LaboratoryError, ValueError):
    """A kept result that this Bifocal cannot read; the experiment has to run again."""


def to_jsonable(value: object) -> object:
    """Return a value made of dicts, lists, strings, numbers, booleans and None only.

    Numbers that JSON cannot say (NaN, infinities) become None, so that what is written can be
    read by any parser.
    """
    if isinstance(value, StrEnum):
        return str(value)
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return to_jsonable(value.item())
    if isinstance(value, np.ndarray):
        return to_jsonable(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_jsonable(item) for item in value]
    msg = f"{type(value).__name__} has no JSON form."
    raise TypeError(msg)


def to_json(value: object, *, indent: int | None = None) -> str:
    """Return a result record as JSON text; equal results give equal text."""
    return json.dumps(
        to_jsonable(value), ensure_ascii=False, allow_nan=False, indent=indent, sort_keys=True
    )


def from_json(kind: type[T], text: str) -> T:
    """Rebuild a result record from the text that `to_json` gave.

    Raises:
        StaleResultError: If the text is not such a record; run the experiment again then.
    """
    try:
        return cast("T", _rebuild(kind, json.loads(text)))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
        msg = f"A kept {kind.__name__} cannot be read ({exc}); run the experiment again."
        raise StaleResultError(msg) from exc


def _rebuild(kind: Any, value: Any) -> Any:  # noqa: ANN401 - driven by type hints
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _rebuild(next(item for item in arguments if item is not type(None)), value)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_rebuild(arguments[0], item) for item in value)
        return tuple(_rebuild(hint, item) for hint, item in zip(arguments, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {_rebuild(arguments[0], k): _rebuild(arguments[1], v) for k, v in value.items()}
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        names = {field.name for field in fields(kind)}
        if set(value) != names:
            msg = f"fields {sorted(set(value) ^ names)} do not fit"
            raise ValueError(msg)
        return cast("type", kind)(**{name: _rebuild(hints[name], value[name]) for name in names})
    if kind is float:
        return math.nan if value is None else float(value)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    return value


def result_key(experiment: str, **inputs: object) -> str:
    """Key of an experiment: equal inputs give equal keys, in any order of options.

    Put in everything that decides the picture: encoder fingerprints, passage ids, texts, options
    and seed. The hex digest is safe as a file name or a database key.
    """
    payload = to_json({"experiment": experiment, "version": RESULT_VERSION, "inputs": inputs})
    return hashlib.sha256(payload.encode("utf-8", "surrogatepass")).hexdigest()
