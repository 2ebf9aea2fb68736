"""A workspace that version 0.1 wrote opens: documents, vectors, a comparison, a run, judgments."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.cli import cli
from core.store.workspace import Workspace
from tests.golden.outputs import FOLDER, PDFS, QUERY

ASKED = QUERY["three-pdfs"]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with zipfile.ZipFile(FOLDER / "workspace-0.1.zip") as stored:
        stored.extractall(tmp_path)
    return tmp_path


def test_its_documents_and_its_comparison_are_there_as_they_were(old: Path) -> None:
    listed = CliRunner().invoke(cli, ["documents", "-w", str(old), "--json"])
    assert listed.exit_code == 0, listed.output
    found = json.loads(listed.stdout)
    assert [document["name"] for document in found["documents"]] == sorted(PDFS)
    assert [kept["query"] for kept in found["comparisons"]] == [ASKED]
    out = old / "out.json"
    export = ["export", found["comparisons"][0]["comparison_id"], "-w", str(old)]
    written = CliRunner().invoke(cli, [*export, "--format", "json", "--out", str(out)])
    assert written.exit_code == 0, written.output
    comparison = json.loads(out.read_text())
    assert comparison["query"]["text"] == ASKED
    assert "It hears mice under the snow." in comparison["passages"][0]["text"]
    html = CliRunner().invoke(cli, [*export, "--format", "html", "--out", str(old / "out.html")])
    assert html.exit_code == 0, html.output


def test_its_run_its_judgment_and_its_vectors_are_kept(old: Path) -> None:
    runs = CliRunner().invoke(cli, ["runs", "-w", str(old), "--json"])
    assert [run["name"] for run in json.loads(runs.stdout)] == ["theirs"]
    with Workspace.open(old, create=False) as workspace:
        (judgment,) = workspace.judgments(ASKED)
        assert (judgment.grade, judgment.page_number) == (2, 1)
        assert not workspace.damage()
        for folder in (old / "vectors").iterdir():  # one an encoder
            facts = json.loads(next(folder.glob("gen-*/manifest.json")).read_text())
            assert workspace.vector_count(facts["fingerprint"]) == 8
