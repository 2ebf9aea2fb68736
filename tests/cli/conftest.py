"""The command line over two hashed-word encoders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from core.cli import cli, doctor, measure, output
from core.encoders.pool import EncoderPool
from tests.libraries import TEXTS, Loader, count_words, make_pool

Run = Callable[..., Result]


class Terminal:
    """What a user types, and what comes back."""

    def __init__(self, load: Loader) -> None:
        self.load = load
        self._runner = CliRunner()

    def __call__(self, *arguments: object) -> Result:
        return self._runner.invoke(cli, [str(argument) for argument in arguments])

    def json(self, *arguments: object, exit_code: int = 0) -> Any:
        """Run with ``--json``; stdout must be one JSON value and nothing else."""
        result = self(*arguments, "--json")
        assert result.exit_code == exit_code, result.output
        assert result.stdout.isascii()
        return json.loads(result.stdout)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    load = Loader()
    monkeypatch.setattr(output, "user_data_path", lambda *_, **__: tmp_path / "data")

    def pool(*, device: str = "auto", offline: bool = False) -> EncoderPool:
        return make_pool(load)

    for module in (output, measure, doctor):
        monkeypatch.setattr(module, "make_pool", pool)
    for module in (output, measure):
        monkeypatch.setattr(module, "counter", lambda: count_words)
    return Terminal(load)


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    (folder / "ignored.xlsx").write_bytes(b"PK")
    return folder


@pytest.fixture
def workspace(terminal: Terminal, papers: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "w"
    result = terminal("index", papers, "-w", folder)
    assert result.exit_code == 0, result.output
    return folder
