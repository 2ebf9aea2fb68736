"""Frame of the results: brand, navigation, example queries, and the empty states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.render import Html, render
from demo import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.library.library import ExampleQuery


def brand(*, heading: bool = False) -> Html:
    """Return the name; once on the page it is its heading."""
    return render("frame", part="brand", texts=texts, heading=heading)


def add_files() -> Html:
    """Return the button that chooses files; a file may also be dropped anywhere."""
    return render("frame", part="add", texts=texts)


def help_dialog() -> Html:
    """Return the help that opens over the page."""
    return render("frame", part="help", texts=texts)


def settings_head() -> Html:
    """Return the heading of the Settings page: theme, help, API."""
    return render("frame", part="settings", texts=texts)


def navigation(current: str = "compare") -> Html:
    """Return the list of views."""
    return render("frame", part="views", texts=texts, current=current)


def examples(queries: Sequence[ExampleQuery]) -> Html:
    """Return the example queries in their groups, each group a sheet to choose from."""
    if not queries:
        return Html("")
    order = list(texts.GROUP_TITLES)
    names = dict.fromkeys(query.group for query in queries)
    return render(
        "frame",
        part="examples",
        texts=texts,
        groups=[
            (
                texts.GROUP_TITLES.get(name, name),
                texts.GROUP_HINTS.get(name, ""),
                [query for query in queries if query.group == name],
            )
            for name in sorted(names, key=lambda name: order.index(name) if name in order else 9)
        ],
    )


def blank(
    *,
    empty: bool,
    hosted: bool,
    keep_hours: int,
    examples: Sequence[ExampleQuery],
    notice: str = "",
    reading: bool = False,
) -> Html:
    """Return the Compare view before the first question."""
    known = [query for query in examples if query.group != texts.DRAFTED]
    if known and not empty:  # the sample library, whose answers are known
        return render("frame", part="first", notice=notice, text=known[0].text)
    action: tuple[str, str, str, str | None] | None = None
    if empty and reading:
        title, words = texts.BLANK_READING
    elif empty:
        title, words = texts.BLANK_LIBRARY_HOSTED if hosted else texts.BLANK_LIBRARY
        words = words.format(hours=keep_hours)
        action = ("drop", " strong", "Choose files", None)
    else:
        title, words = texts.BLANK_OWN
        action = ("view", "", texts.ASK_MANY, "disagree")
    return render(
        "frame",
        part="blank",
        notice=notice,
        title=title,
        words=words,
        action=action,
        picks=[] if empty else [(query.group, query.text) for query in examples],
    )


def failure(title: str, words: str) -> Html:
    """Return a failing state: the fault and its remedy."""
    return render("frame", part="failure", title=title, words=words)


def section(title: str, words: str) -> Html:
    """Return a view's heading."""
    return render("frame", part="section", title=title, words=words)


def stale() -> Html:
    """Return the notice above an answer whose library has changed since."""
    return render("frame", part="stale", texts=texts)


def hint(words: str) -> Html:
    """Return a remark beside a button."""
    return render("how", words=words)
