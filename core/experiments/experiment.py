"""Registration of an experiment: fields, function, record and presenter.

Page, API and command line loop over `core.experiments.EXPERIMENTS` and write none of them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from core.errors import InvalidSettingError
from core.records import Passage
from core.render import Html

if TYPE_CHECKING:
    from core.evaluation.runs import KeptRun

R = TypeVar("R")
LONGEST_TEXT = 20_000  # characters of a text field


class Kind(StrEnum):
    """Type of a field, which decides its input."""

    QUERY = "query"
    PASSAGE = "passage"  # an id; "" stands for the query's best hit, or the first passage
    PASSAGES = "passages"  # ids
    DOCUMENT = "document"  # an id; "" stands for the first document
    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Field:
    """One input of an experiment."""

    name: str  # of the function's argument, and in the API
    kind: Kind  # what it holds
    about: str  # what it is, for the API and the command line
    label: str = ""  # on the page; "" keeps it off the page
    default: str | int = ""  # where nothing is given
    least: int = 0  # smallest number
    most: int = 0  # largest number, or characters of a text (0: `LONGEST_TEXT`)
    step: int = 1  # between the numbers that the page offers
    needed: bool = False  # whether nothing can be done without it
    # value to label, of a choice; of a number those that the page offers
    choices: Mapping[Any, str] = field(default_factory=dict)

    def checked(self, value: object) -> Any:  # noqa: ANN401  of the field's kind
        """Return a value as the experiment's function takes it.

        Raises:
            InvalidSettingError: If it is of another type or out of bounds; says what is possible.
        """
        if value is None or (value == "" and self.kind is not Kind.TEXT):
            value = self.default
        if self.kind is Kind.NUMBER:
            return self._number(value)
        if self.kind is Kind.PASSAGES:
            return self._ids(value or ())
        return self._text(value)

    def _number(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
            raise InvalidSettingError(f"{self.name} is {value!r}; it must be a whole number.")
        if not self.least <= value <= self.most:
            raise InvalidSettingError(
                f"{self.name} is {value:,}; choose {self.least:,} to {self.most:,}."
            )
        return int(value)

    def _ids(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise InvalidSettingError(f"{self.name} must be a list of passage ids.")
        return tuple(value)

    def _text(self, value: object) -> str:
        if not isinstance(value, str):
            raise InvalidSettingError(f"{self.name} is {value!r}; it must be a text.")
        if self.kind is Kind.CHOICE and value not in self.choices:
            raise InvalidSettingError(
                f"{self.name} is {value!r}; choose {', '.join(self.choices)}."
            )
        if self.needed and not value.strip():
            raise InvalidSettingError(f"{self.name} is empty; it is needed here.")
        most = self.most or LONGEST_TEXT
        if len(value) > most:
            raise InvalidSettingError(
                f"{self.name} has {len(value):,} characters; {most:,} are the most."
            )
        return value


SEED = Field("seed", Kind.NUMBER, "Decides what is drawn.", default=0, most=2**31 - 1)
QUERY = Field("query", Kind.QUERY, "What was asked.", needed=True)
PASSAGE = Field("passage_id", Kind.PASSAGE, "The passage; empty for the query's best hit.")
DOCUMENT = Field("doc_id", Kind.DOCUMENT, "The document; empty for the first.")


class Place(StrEnum):
    """Where the page offers an experiment."""

    LABORATORY = "laboratory"  # a tab of the view
    EVIDENCE = "evidence"  # a part of what *why* shows of a hit, in the registry's order
    DISAGREE = "disagree"  # a view of its own


@dataclass(frozen=True, slots=True)
class Experiment(Generic[R]):
    """One experiment: everything that page, API and command line know of it."""

    name: str  # on the command line (``probe NAME``) and of kept results
    verb: str  # in the API
    title: str  # of its tab
    about: str  # what it does, in a sentence for API and command line
    fields: tuple[Field, ...]  # inputs, in order
    record: type[R]  # type of its result
    run: Callable[..., R]  # ``(context, monitor=..., **fields) -> record``
    show: Callable[[R], Html]  # the result as HTML
    place: Place = Place.LABORATORY  # where the page offers it
    hint: str = ""  # what the page says beside its button
    heavy: bool = False  # it takes turns with other heavy work
    # what was chosen in its picture, passages by id, as HTML; None where nothing can be
    choose: Callable[[R, Mapping[str, Passage]], Html] | None = None
    # the result as a run to keep, from it and the identity of its library and encoders; None where
    # it is no evaluation
    as_run: Callable[[R, Mapping[str, str]], KeptRun] | None = None
    # name of the record's list of findings, of which the API returns the first few
    long_list: str = ""
    order: int = 0  # among the others
    version: int = 0  # raised when its meaning changes: kept results are then stale

    def checked(self, values: Mapping[str, object]) -> dict[str, Any]:
        """Return every field's value, defaults for those not given.

        Raises:
            InvalidSettingError: If a value is out of bounds, or a name is no field.
        """
        names = [one.name for one in self.fields]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise InvalidSettingError(
                f"{self.name} has no {unknown[0]!r}; it takes {', '.join(names)}."
            )
        return {one.name: one.checked(values.get(one.name)) for one in self.fields}
