"""What surrounds the results: brand, navigation, example queries, and the designed empty states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.render import escape, join
from demo import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.library import ExampleQuery

# Two lenses that overlap: circle and square of the two families.
_LENSES = (
    '<svg class="lenses" viewBox="0 0 36 20" aria-hidden="true">'
    '<circle cx="11" cy="10" r="9" fill="var(--dif)" fill-opacity=".8"/>'
    '<rect x="16" y="1" width="18" height="18" fill="var(--aut)" fill-opacity=".72"/></svg>'
)


def brand() -> str:
    """Return the name."""
    return (
        f'<div class="bf brand">{_LENSES}<b>{texts.NAME}</b>'
        f'<span class="meta">{escape(texts.TAGLINE)}</span></div>'
    )


def tools() -> str:
    """Return help and theme buttons, and the help dialog."""
    keys = join(
        f"<dt><kbd>{escape(key)}</kbd></dt><dd>{escape(what)}</dd>" for key, what in texts.KEYS
    )
    words = join(f"<p>{escape(text)}</p>" for text in texts.HELP_TEXT)
    return (
        '<div class="bf"><div class="tools">'
        '<button data-act="help" aria-label="help" title="help and keys">?</button>'
        '<button data-act="theme" aria-label="light or dark" title="light or dark">'
        '<span class="when-light">dark</span><span class="when-dark">light</span></button></div>'
        f'<dialog class="help" id="bf-help-dialog"><h2>{escape(texts.HELP_TITLE)}</h2>{words}'
        f'<dl class="keys">{keys}</dl><button class="button" data-act="close-help">Close</button>'
        "</dialog></div>"
    )


def navigation(current: str = "compare") -> str:
    """Return the list of views."""
    items = join(
        f'<button data-act="view" data-view="{key}"'
        + (' aria-current="page"' if key == current else "")
        + f">{escape(name)}</button>"
        for key, name in texts.VIEWS
    )
    return f'<nav class="bf" aria-label="Views"><div class="nav">{items}</div></nav>'


def examples(queries: Sequence[ExampleQuery]) -> str:
    """Return the example queries in their groups, each group a sheet to choose from."""
    if not queries:
        return ""
    groups: dict[str, list[ExampleQuery]] = {}
    for query in queries:
        groups.setdefault(query.group, []).append(query)
    ordered = sorted(
        groups,
        key=lambda name: list(texts.GROUP_TITLES).index(name) if name in texts.GROUP_TITLES else 9,
    )
    sheets = join(_group(name, groups[name]) for name in ordered)
    return (
        f'<div class="bf examples"><span class="meta">{texts.EXAMPLES_LABEL}</span>{sheets}</div>'
    )


def _group(name: str, queries: Sequence[ExampleQuery]) -> str:
    hint = texts.GROUP_HINTS.get(name, "")
    items = join(_question(query.text) for query in queries)
    return (
        f"<details><summary>{escape(texts.GROUP_TITLES.get(name, name))} ({len(queries)})</summary>"
        f'<div class="sheet"><p class="meta">{escape(hint)}</p>{items}</div></details>'
    )


def _question(text: str) -> str:
    return f'<button data-act="ask" data-text="{escape(text)}" dir="auto">{escape(text)}</button>'


def blank(
    *,
    empty: bool,
    hosted: bool,
    keep_hours: int,
    examples: Sequence[ExampleQuery],
    notice: str = "",
    reading: bool = False,
) -> str:
    """Return the Compare view before the first question."""
    if empty and reading:
        title, words = texts.BLANK_READING
        actions = ""
    elif empty:
        title, words = texts.BLANK_LIBRARY_HOSTED if hosted else texts.BLANK_LIBRARY
        words = words.format(hours=keep_hours)
        actions = '<button class="button strong" data-act="drop">Choose files</button>'
    else:
        own = not examples or examples[0].group == texts.DRAFTED
        title, words = texts.BLANK_OWN if own else texts.BLANK_COMPARE
        actions = (
            '<button class="button" data-act="view" data-view="disagree">'
            f"{escape(texts.ASK_MANY)}</button>"
        )
    picks = [query for query in examples if query.group == texts.DRAFTED]
    for group in texts.GROUP_TITLES:
        picks += [query for query in examples if query.group == group][:1]
    rows = join(
        f'<li><span class="meta">{escape(texts.GROUP_TITLES.get(query.group, query.group))}</span>'
        f"{_question(query.text)}</li>"
        for query in picks
    )
    listed = f'<ul class="starters">{rows}</ul>' if rows and not empty else ""
    said = f'<p class="notice" role="alert">{escape(notice)}</p>' if notice else ""
    return (
        f'<div class="bf blank">{said}<h2>{escape(title)}</h2><p>{escape(words)}</p>{listed}'
        f'<div class="go">{actions}</div></div>'
    )


def failure(title: str, words: str) -> str:
    """Return a failing state: what happened and what to do."""
    return f'<div class="bf fail" role="alert"><h3>{escape(title)}</h3><p>{escape(words)}</p></div>'


def section(title: str, words: str) -> str:
    """Return a view's heading."""
    return f'<div class="bf lab"><h2>{escape(title)}</h2><p class="how">{escape(words)}</p></div>'


def hint(words: str) -> str:
    """Return a remark beside a button."""
    return f'<div class="bf"><p class="how">{escape(words)}</p></div>'
