"""The templates: their folder, their filters, and how they escape."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core import words
from core.render.escape import Html, attrs, escape, sentence, with_code

TEMPLATES = Path(__file__).resolve().parent / "templates"
FILTERS = {
    "code": with_code,
    "flowing": words.flowing,
    "number": words.number,
    "ordinal": words.ordinal,
    "percent": words.percent,
    "percentile": words.percentile,
    "sentence": sentence,
    "shortened": words.shortened,
    "signed": words.signed,
}


def _shown(value: object) -> Html:
    """Return the value of a template's expression as escaped text, nothing for None."""
    if isinstance(value, float):
        value = round(value, 4)  # a place on a picture; numbers that are read come as words
    return Html("") if value is None else escape(value)


@cache
def environment() -> Environment:
    """Return the environment of every template. A name that is not given is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_shown,  # before autoescape, which finds nothing left to do
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(FILTERS)
    made.globals.update(attrs=attrs, plural=words.plural, DASH=words.DASH, DOT=words.DOT)
    return made


def render(template: str, **values: object) -> Html:
    """Return a template of ``templates/`` filled with values, every one escaped.

    Args:
        template: Its file name without ``.html``.
        values: What its expressions name.
    """
    return Html(environment().get_template(f"{template}.html").render(values))
