from __future__ import annotations

import pytest
from jinja2 import DictLoader, UndefinedError, nodes

from core.render.environment import TEMPLATES, environment
from core.render.escape import Html

HOSTILE = "<script>{{7*7}}${8*8}`\u202e\x00"
ESCAPED = "&lt;script&gt;&#123;&#123;7*7&#125;&#125;&#36;&#123;8*8&#125;&#96;"


def filled(source: str, **values: object) -> str:
    made = environment().overlay(loader=DictLoader({"t.html": source}))
    return made.get_template("t.html").render(values)


def test_what_a_template_fills_in_is_escaped_by_our_rule_and_html_passes() -> None:
    assert filled("<b>{{ text }}</b>", text=HOSTILE) == f"<b>{ESCAPED}</b>"
    assert filled("<b>{{ text }}</b>", text=Html("<i>1 < 2</i>")) == "<b><i>1 < 2</i></b>"
    assert filled("{% macro m(x) %}<i>{{ x }}</i>{% endmacro %}{{ m(text) }}", text=HOSTILE) == (
        f"<i>{ESCAPED}</i>"
    )


def test_nothing_stands_for_none_and_a_name_that_is_missing_is_an_error() -> None:
    assert filled("[{{ text }}]", text=None) == "[]"
    with pytest.raises(UndefinedError, match="'text' is undefined"):
        filled("{{ text }}")


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.stem)
def test_a_template_never_goes_round_the_rule(path: object) -> None:
    """``~``, ``safe`` and ``join`` glue by Jinja's rule, which leaves the page's own ``{`` alone."""
    tree = environment().parse(TEMPLATES.joinpath(str(path)).read_text("utf-8"))
    assert not list(tree.find_all(nodes.Concat))
    banned = {"safe", "join", "xmlattr", "escape", "e", "forceescape", "replace", "format"}
    assert not {call.name for call in tree.find_all(nodes.Filter)} & banned
