"""`benchmark`: official tasks and results made elsewhere, into the folder that the page shows."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.cli import measure
from core.evaluation import mteb_adapter
from core.evaluation.beir import read_beir
from core.evaluation.evaluate import evaluate_beir
from core.evaluation.mteb_adapter import RESULTS_FOLDER, find_mteb_results
from demo.presenters.official import official
from tests.evaluation.folders import local_task, write_folder
from tests.libraries import AUTOREGRESSIVE, DIFFUSION

if TYPE_CHECKING:
    from tests.cli.conftest import Terminal

pytestmark = pytest.mark.filterwarnings("default")  # mteb's own are not ours to mend


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(measure, "data_folder", lambda: tmp_path / "data")
    return tmp_path / "data"


def test_it_wants_tasks_or_results(terminal: Terminal, data: Path) -> None:
    result = terminal("benchmark")
    assert result.exit_code == 2
    assert "--tasks" in result.stderr
    assert not data.exists()


def test_results_made_elsewhere_land_where_the_page_looks(
    terminal: Terminal, data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "LEMBQMSumRetrieval.json"
    file.write_text(
        json.dumps({"task_name": "LEMBQMSumRetrieval", "scores": {"test": [{"main_score": 0.4}]}})
    )
    assert terminal("benchmark", "--add", file).exit_code == 2  # whose?
    (told,) = terminal.json("benchmark", "--add", file, "--model", "theirs")
    assert (told["task"], told["value"], told["encoder_id"]) == (
        "LEMBQMSumRetrieval", 0.4, "theirs",
    )  # fmt: skip
    html = official(find_mteb_results(data / RESULTS_FOLDER)[0], {})
    assert "40.0" in html
    assert "43.8" in html  # the paper's own cell, apart


@pytest.mark.skipif(importlib.util.find_spec("mteb") is None, reason="mteb is not installed")
def test_a_task_runs_once_agrees_with_evaluate_and_lands_in_the_page(
    terminal: Terminal, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(
        tmp_path / "words",
        documents={f"d{i}": ("", f"word{i} word{i + 1} common{i % 3}") for i in range(12)},
        queries={f"q{i}": f"word{i} common{i % 3}" for i in range(8)},
        qrels={f"q{i}": {f"d{i}": 1} for i in range(8)},
    )
    task = local_task(read_beir(folder).whole)
    monkeypatch.setattr(mteb_adapter, "_resolved", lambda _mteb, _given: iter([task]))
    first = terminal.json("benchmark", "--tasks", "Words")
    encoded = {name: encoder.total_encoded for name, encoder in terminal.load.encoders.items()}
    assert set(encoded) == {DIFFUSION.encoder_id, AUTOREGRESSIVE.encoder_id}
    assert min(encoded.values()) >= 20
    again = terminal.json("benchmark", "--tasks", "Words")
    assert again == first
    # The second command loaded the encoders anew, and had nothing to do for them.
    assert {encoder.total_encoded for encoder in terminal.load.encoders.values()} == {0}
    ours = evaluate_beir(folder, list(terminal.load.encoders.values()))
    for line in first:
        system = ours.whole.system(line["encoder_id"])
        assert system is not None
        assert line["value"] == pytest.approx(system.measures["nDCG@10"].value, abs=2e-5)
    html = official(find_mteb_results(data / RESULTS_FOLDER)[0], {})
    assert "Words" in html
    assert html.count('<td class="r">') >= 3
