"""The bundled pair as it ships, once through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.cli import cli
from core.settings import DEFAULT_PAIR
from tests.libraries import TEXTS
from tests.tools.lock import ROOT

MANIFEST = ROOT / "assets" / "encoders" / DEFAULT_PAIR / "manifest.json"


@pytest.mark.skipif(not MANIFEST.is_file(), reason="the bundled pair is not in this checkout")
def test_the_bundled_pair_indexes_and_answers(tmp_path: Path) -> None:
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
    runner = CliRunner()
    files = [str(tmp_path / name) for name in TEXTS]
    workspace = str(tmp_path / "w")
    indexed = runner.invoke(cli, ["index", *files, "-w", workspace, "--offline", "--json"])
    assert indexed.exit_code == 0, indexed.output
    assert set(json.loads(indexed.stdout)["passages_embedded"].values()) == {3}
    found = runner.invoke(cli, ["search", "Which bird catches mice?", "-w", workspace, "--json"])
    assert found.exit_code == 0, found.output
    systems = json.loads(found.stdout)["systems"]
    assert [system["family"] for system in systems] == ["diffusion", "autoregressive", "lexical"]
    for system in systems[:2]:
        assert system["failure"] == ""
        assert system["hits"][0]["document"] == "owls.md"
