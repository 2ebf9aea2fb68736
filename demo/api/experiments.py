"""Endpoints: every registered experiment, run as a job of its library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from inspect import Parameter, Signature
from typing import Any

from core.experiments.experiment import Experiment, Field, Kind
from core.experiments.registry import EXPERIMENTS
from core.experiments.run import run
from demo.api.door import Door, fields, verb

SHOW = Field("show", Kind.NUMBER, "How many findings to return.", default=50, most=2000)
_CHOSEN = {Kind.QUERY, Kind.PASSAGE, Kind.DOCUMENT}
_PLACE = {
    "library": "Id; empty for the sample library.",
    "visitor": "From `start`; empty when run locally.",
}


def add(door: Door) -> None:
    """Add an endpoint for every experiment."""
    for one in EXPERIMENTS:
        verb(_endpoint(door, one))


def _endpoint(door: Door, experiment: Experiment[Any]) -> Callable[..., dict[str, Any]]:
    """Return a function whose name, signature and docstring describe the experiment."""
    # Seeds and the like are for the command line: visitors get one picture for one question.
    asked = [one for one in experiment.fields if one.label or one.kind in _CHOSEN]
    asked += [SHOW] if experiment.long_list else []
    signature = Signature(
        [
            *(_parameter(one.name, _type(one), _default(one)) for one in asked),
            *(_parameter(name, str, "") for name in _PLACE),
        ],
        return_annotation=dict[str, Any],
    )

    def endpoint(*args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = dict(bound.arguments)
        visitor, library = values.pop("visitor"), values.pop("library")
        most = SHOW.checked(values.pop("show")) if experiment.long_list else 0
        result = door.experiment(
            visitor,
            library,
            lambda bench, monitor: run(bench, experiment, values, monitor=monitor),
            heavy=experiment.heavy,
        )
        if experiment.long_list:
            cut = getattr(result, experiment.long_list)[:most]
            result = replace(result, **{experiment.long_list: cut})
        return fields(result)

    about = {one.name: one.about for one in asked} | _PLACE
    endpoint.__name__ = experiment.verb
    endpoint.__doc__ = f"{experiment.about}\n\nArgs:\n" + "".join(
        f"    {name}: {words}\n" for name, words in about.items()
    )
    endpoint.__annotations__ = {
        **{name: one.annotation for name, one in signature.parameters.items()},
        "return": signature.return_annotation,
    }
    endpoint.__signature__ = signature  # type: ignore[attr-defined]  # what `inspect` asks first
    return endpoint


def _parameter(name: str, kind: type, default: object) -> Parameter:
    return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)


def _type(field: Field) -> Any:  # noqa: ANN401  a type or an alias of one
    if field.kind is Kind.PASSAGES:
        return list[str]
    return int if field.kind is Kind.NUMBER else str


def _default(field: Field) -> Any:  # noqa: ANN401  of the field's type
    if field.needed:
        return Parameter.empty
    return [] if field.kind is Kind.PASSAGES else field.default
