"""No regular expression of the product takes more than linear time, whatever it is given.

The list makes itself: every `re.compile(...)` and `re.search(...)` in the source is found in the
syntax tree, and its pattern evaluated in its module. One that is built from local values needs an
example of them in `LOCALS`.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SIZES = (2_000, 30_000, 1_000_000)
SECONDS = 2.0  # for a million characters, and proportionally less for fewer
SLACK = 0.02  # whatever the size
FLAGS = "flags"
NO_PATTERN = {"escape", "purge", "Match", "Pattern"}
METHODS = {"search", "match", "fullmatch", "finditer", "findall", "sub", "subn", "split"}
CLASSES = {
    "stops": ".",
    "blanks": " ",
    "opening brackets": "(",
    "closing brackets": ")",
    "digits": "1",
    "combining marks": "\u0301",
    "closing quotes": "\u201d",
    "letters": "a",
    "capitals": "I",
    "newlines": "\n",
    "dashes": "-",
    "ideographs": "\u6c34",
    "stops and blanks": ". ",
    "letters and stops": "a.",
    "words": "a ",
    "words and commas": "ab, ",
    "letters and dashes": "a-",
    "blank lines": "\n ",
    "tags": "<a",
}
# Examples of the local names in patterns that are built at run time.
LOCALS: dict[str, object] = {
    "split": "test",  # of a BEIR folder
    "length": 1024,
    "pattern": r"layers\.\d+\.attn\.(k|q)\.bias",  # of a table of tensor names
}


@dataclass(frozen=True)
class Found:
    """A pattern of the product: where it stands, and the methods that the product calls on it."""

    place: str
    pattern: re.Pattern[str]
    methods: frozenset[str]


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for path in [ROOT / "app.py", *(ROOT / "core").rglob("*.py"), *(ROOT / "demo").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        if "import re" in text or "from re " in text:
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), ast.parse(text)


def _evaluated(module: ModuleType, node: ast.expr) -> object:
    return eval(ast.unparse(node), {**LOCALS, **vars(module)})  # noqa: S307 - our own source


def _called_on_names() -> dict[str, set[str]]:
    """Return the methods called on each name anywhere in the product."""
    methods: dict[str, set[str]] = {}
    for _, tree in _sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                owner = node.value
                name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                methods.setdefault(name, set()).add(node.attr)
    return methods


def found_patterns() -> list[Found]:
    called = _called_on_names()
    found = []
    for name, tree in _sources():
        assigned = {
            id(node.value): node.targets[0].id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if not (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and node.func.attr not in NO_PATTERN
            ):
                continue
            module = importlib.import_module(name)
            place = f"{name}:{node.lineno}"
            flags = [word.value for word in node.keywords if word.arg == FLAGS]
            if node.func.attr == "compile":
                methods = called.get(assigned.get(id(node), ""), set()) or METHODS
                flags += node.args[1:2]
            else:
                methods = {node.func.attr}
            try:
                values = [_evaluated(module, part) for part in (node.args[0], *flags)]
            except NameError as exc:
                pytest.fail(f"{place} is built at run time ({exc}): add an example to LOCALS")
            found.append(Found(place, re.compile(*values), frozenset(methods)))  # type: ignore[call-overload]
    return found


def calls(pattern: re.Pattern[str], method: str) -> Callable[[str], object]:
    if method in {"sub", "subn"}:
        return lambda text: pattern.sub("", text)
    if method == "finditer":
        return lambda text: sum(1 for _ in pattern.finditer(text))
    function: Callable[[str], object] = getattr(pattern, method)
    return function


@functools.cache
def text_of(unit: str, size: int) -> str:
    return (unit * size)[:size]


def least_seconds(call: Callable[[str], object], text: str, allowed: float) -> float:
    """Return the CPU seconds of one call: the least of three tries where it takes long."""
    least = float("inf")
    for _ in range(3):
        started = time.thread_time()
        call(text)
        least = min(least, time.thread_time() - started)
        if least <= allowed:
            break
    return least


def slow_case(pattern: re.Pattern[str], methods: frozenset[str]) -> str:
    """Return the first input that a pattern takes too long for, in words; "" when there is none."""
    for kind, unit in CLASSES.items():
        for method in sorted(methods):
            call = calls(pattern, method)
            for size in SIZES:
                text = text_of(unit, size)
                allowed = SLACK + SECONDS * size / SIZES[-1]
                seconds = least_seconds(call, text, allowed)
                if seconds > allowed:
                    return f"{method}() took {seconds:.2f} s on {size:,} characters of {kind}"
    return ""


PATTERNS = found_patterns()


def test_the_list_is_not_empty_and_knows_a_quadratic_pattern() -> None:
    assert len(PATTERNS) > 40
    quadratic = re.compile(r"[.!?]+[)\"]*(?=[ \t\n])")
    assert "characters of stops" in slow_case(quadratic, frozenset({"finditer"}))


@pytest.mark.parametrize("found", PATTERNS, ids=lambda found: found.place)
def test_every_pattern_stays_linear_at_a_million_characters(found: Found) -> None:
    assert slow_case(found.pattern, found.methods) == ""
