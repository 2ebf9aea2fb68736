"""The docs check (`make check`): the pages and the program say the same.

Generated blocks stand between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``; ``--write``
renews them. Relative links must lead somewhere; commands, files and folders that are named must exist.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

import typer.main

from core.cli import cli
from demo.options import OPTIONS
from tests.tools import card, pairs
from tests.tools.lock import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "NOTICE.md",
    card.CARD,
    *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md")),
)
README_WORDS = 900


def app_options() -> str:
    """Option table of ``app.py``."""
    rows = ["| option | environment | meaning | default |", "|---|---|---|---|"]
    rows += [
        f"| `{option.flag}` | `{option.variable}` | {option.help} | {option.shown_default} |"
        for option in OPTIONS
    ]
    return "\n".join(rows)


def commands() -> dict[str, str]:
    """Commands of ``python -m core``, each with the first line of its help."""
    group = typer.main.get_command(cli)
    found = getattr(group, "commands", {})
    return {name: (command.help or "").strip().splitlines()[0] for name, command in found.items()}


def command_table() -> str:
    """Table of commands."""
    rows = ["| command | what it does |", "|---|---|"]
    rows += [f"| `python -m core {name}` | {text} |" for name, text in commands().items()]
    return "\n".join(rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "app-options": app_options,
    "commands": command_table,
    **card.BLOCKS,
    **pairs.BLOCKS,
}


def renewed(text: str) -> str:
    """Page with its generated blocks made anew."""
    for name, make in BLOCKS.items():
        pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        found = pattern.search(text)
        if found is not None:
            text = f"{text[: found.end(1)]}{make()}\n{text[found.start(2) :]}"
    return text


def dead_links(page: str, text: str) -> list[str]:
    """Complaints about relative links that lead nowhere."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r'src="([^"]+)"', text)
    return [
        f"{page}: link to {link}, which does not exist"
        for link in links
        if "://" not in link and not (ROOT / page).parent.joinpath(link).exists()
    ]


def unknown_commands(page: str, text: str) -> list[str]:
    """Complaints about commands that do not exist."""
    named = set(re.findall(r"python -m core ([a-z][a-z-]*)", text))
    targets = set(re.findall(r"`make ([a-z][a-z-]*)", text))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    existing = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    return [
        *(f"{page}: `python -m core {name}` does not exist" for name in named - set(commands())),
        *(f"{page}: `make {name}` does not exist" for name in targets - existing),
    ]


def unknown_files(page: str, text: str) -> list[str]:
    """Complaints about files and folders of the project that are named and do not exist."""
    named = set(re.findall(r"`((?:core|demo|tests|assets|docs)/[\w./-]*\w|app\.py)/?`", text))
    return [f"{page}: `{name}` does not exist" for name in named if not (ROOT / name).exists()]


def too_long(page: str, text: str) -> list[str]:
    """Complaint about a README that takes more than a few minutes to read."""
    words = len(text.split("---\n", 2)[-1].split())
    return [f"{page}: {words} words"] if page == "README.md" and words > README_WORDS else []


def main(arguments: list[str]) -> int:
    """Check the pages, or renew their generated blocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args(arguments).write
    complaints: list[str] = []
    for page in PAGES:
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        fresh = renewed(text)
        if fresh != text and write:
            path.write_text(fresh, encoding="utf-8")
        elif fresh != text:
            complaints.append(f"{page}: a generated block is stale; run with --write")
        for check in (dead_links, unknown_commands, unknown_files, too_long):
            complaints += check(page, text)
    for complaint in complaints:
        sys.stderr.write(complaint + "\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
