"""Shared by endpoints: visitor and library of a call, registration and answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_type_hints

from core.codec import to_jsonable
from core.errors import CoreError, UsageError
from core.settings import MAX_QUERY_CHARS
from demo.toolkit import gr

if TYPE_CHECKING:
    from core.library.library import Library
    from demo.handlers import Handlers
    from demo.jobs import Work

MOST_AT_ONCE = 8  # calls of one endpoint that run beside each other
MOST_CHARS = 10_000  # of a text that is given
WHOLE_FILES = ("text", "queries")  # texts of files: as long as a request may be
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Door:
    """Visitor and library of an endpoint's call."""

    handlers: Handlers

    def visitor(self, visitor: str) -> str:
        """Return a checked visitor id; locally the empty one is the only one there is."""
        if not visitor and not self.handlers.services.hosted:
            return self.handlers.services.visitors.new()
        return self.handlers.sessions.require(visitor)

    def place(self, visitor: str, library: str) -> tuple[str, str]:
        """Return a checked visitor id and a library id."""
        return self.visitor(visitor), library or self.handlers.services.default_library_id

    @contextmanager
    def library(self, visitor: str, library: str, *, look: bool = False) -> Iterator[Library]:
        """Lend a library; as `Visitors.library`."""
        place = self.place(visitor, library)
        with self.handlers.services.visitors.library(*place, look=look) as lent:
            yield lent

    def experiment(self, visitor: str, library: str, work: Work[R], *, heavy: bool = False) -> R:
        """Run work on a library as a job of it, so that it takes turns with the page's own."""
        key = (*self.place(visitor, library), "experiment")
        return self.handlers.sessions.jobs.start(key, "experiment", work, heavy=heavy).outcome()


def verb(function: Callable[..., Any]) -> None:
    """Register an endpoint under its function's name; docstring and signature describe it."""
    gr.events.api(checked(function), api_name=function.__name__, concurrency_limit=MOST_AT_ONCE)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check an endpoint's arguments, and let a `CoreError` reach the caller as its sentence."""
    kinds = get_type_hints(function)
    signature = inspect.signature(function)

    @wraps(function)
    def telling(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        try:
            given = signature.bind(*args, **kwargs).arguments
            checked = {name: _checked(name, kinds[name], value) for name, value in given.items()}
            return function(**checked)
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return telling


def _checked(name: str, kind: object, value: object) -> object:
    """Return an argument of the kind that the endpoint states: a text, a number or a list."""
    if kind is int:
        if not isinstance(value, int | float) or value != value // 1 or isinstance(value, bool):
            raise UsageError(f"{name} is {value!r:.40}; give a whole number.")
        return int(value)
    if kind is not str:
        if not isinstance(value, list):
            raise UsageError(f"{name} is {value!r:.40}; give a list.")
        return value
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"{name} is {value!r:.40}; give a text.")
    most = {"query": MAX_QUERY_CHARS, **dict.fromkeys(WHOLE_FILES, len(value))}.get(
        name, MOST_CHARS
    )
    if len(value) > most:
        raise UsageError(f"{name} has {len(value):,} characters; up to {most:,} are taken.")
    return value


def fields(value: object) -> dict[str, Any]:
    """Return a record as a JSON object."""
    return cast("dict[str, Any]", to_jsonable(value))


def listed(values: Sequence[object]) -> list[dict[str, Any]]:
    """Return records as a JSON list."""
    return [fields(value) for value in values]
