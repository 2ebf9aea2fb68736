"""What endpoints share: who is asking for which library, how they are registered and answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from core.errors import CoreError
from core.experiments.results import to_jsonable
from core.library import Library
from demo.handlers import Handlers
from demo.jobs import Work
from demo.toolkit import gr

MOST_AT_ONCE = 8  # calls of one endpoint that run beside each other
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Door:
    """What endpoints share: who is asking and for which library."""

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
    gr.events.api(told(function), api_name=function.__name__, concurrency_limit=MOST_AT_ONCE)


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a `CoreError` reach the caller as its sentence."""

    @wraps(function)
    def telling(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        try:
            return function(*args, **kwargs)
        except CoreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return telling


def fields(value: object) -> dict[str, Any]:
    """Return a record as a JSON object."""
    return cast("dict[str, Any]", to_jsonable(value))


def listed(values: Sequence[object]) -> list[dict[str, Any]]:
    """Return records as a JSON list."""
    return [fields(value) for value in values]
