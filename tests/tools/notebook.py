"""`docs/python.ipynb`: the examples of `docs/python.md` with their text, executed.

``python -m tests.tools.notebook`` writes it anew, in a folder of its own with the test's files.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from tests.test_script import DOCS, files


def executed(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a cell; returns its outputs: what it prints, and its last expression as HTML or text."""
    tree, printed, outputs = ast.parse(source), io.StringIO(), list[dict[str, Any]]()
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        tree.body.pop()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, str(DOCS), "exec"), names)  # noqa: S102 - our own page
        value = None
        if isinstance(last, ast.Expr):
            expression = ast.Expression(last.value)
            value = eval(compile(expression, str(DOCS), "eval"), names)  # noqa: S307
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
    if value is not None:
        data = {"text/plain": str(value).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_().splitlines(keepends=True)
        outputs.append({"output_type": "execute_result", "data": data, "metadata": {}})
    return outputs


def notebook() -> dict[str, Any]:
    """Return the page as a notebook, every example executed in order."""
    cells: list[dict[str, Any]] = []
    names: dict[str, Any] = {}
    count = 0
    for part in re.split(r"(```python\n.*?```)", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL):
        if part.startswith("```python"):
            count += 1
            source = part.removeprefix("```python\n").removesuffix("```").rstrip()
            outputs = [
                one | ({"execution_count": count} if "data" in one else {})
                for one in executed(source, names)
            ]
            code = {"cell_type": "code", "execution_count": count, "outputs": outputs}
            cells.append(code | {"metadata": {}, "source": source.splitlines(keepends=True)})
        elif part.strip():
            text = part.strip().splitlines(keepends=True)
            cells.append({"cell_type": "markdown", "metadata": {}, "source": text})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return {
        "cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        files(Path(folder))
        os.environ.update(XDG_CACHE_HOME=f"{folder}/cache", XDG_DATA_HOME=f"{folder}/data")
        os.chdir(folder)
        made = notebook()
    target = DOCS.with_suffix(".ipynb")
    target.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
