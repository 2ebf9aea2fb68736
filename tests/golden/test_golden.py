"""The figures of every verb stay what they were, on the sample library and on three PDFs.

By values and their paths in the command line's JSON: layout and wording of the page are free.
Fields may be added; one that is renamed is renamed in the golden files too.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from core.cli import measure, output
from tests.golden.outputs import FOLDER, golden, leaves, quick_outputs, slow_outputs

KEPT = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.fixture(autouse=True)
def _one_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the encoders once for all commands; without this the test is only slower."""
    pool = functools.cache(output.make_pool)
    for module in (output, measure):
        monkeypatch.setattr(module, "make_pool", lambda **_options: pool(), raising=False)


@pytest.mark.parametrize("library", KEPT)
def test_compare_disagree_evaluate_and_the_report_answer_as_before(
    library: str, tmp_path: Path
) -> None:
    require_golden(library, quick_outputs(library, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("library", KEPT)
def test_explain_and_the_experiments_answer_as_before(library: str, tmp_path: Path) -> None:
    quick_outputs(library, tmp_path)
    require_golden(library, slow_outputs(library, tmp_path))


def require_golden(library: str, outputs: dict[str, Any]) -> None:
    different = []
    for verb, value in outputs.items():
        now = dict(leaves(value))
        for path, before in golden(library)[verb].items():
            if path not in now or not same(before, now[path]):
                different.append(f"{verb}{path}: {before!r} -> {now.get(path, 'missing')!r}")
    assert not different, "\n".join([f"{len(different)} differ", *different[:20]])


def same(before: Any, now: Any) -> bool:
    """Whether two values show the same: floats to the fifth decimal, relative from 1 on."""
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(same, before, now))
    if isinstance(before, float) and isinstance(now, (int, float)):
        return abs(before - now) <= 1e-5 * max(1.0, abs(before))
    return bool(before == now)


def test_a_changed_figure_and_a_missing_field_are_noticed() -> None:
    assert dict(leaves({"a": [1, 0.5], "seconds": 3, "b": [{"c": "x"}]})) == {
        "/a": [1, 0.5],
        "/b/0/c": "x",
    }
    assert same([1, 0.5], [1, 0.500001])
    assert not same([1, 0.5], [1, 0.5001])
    assert not same(3, 4)
