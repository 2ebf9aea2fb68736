"""Two forms of one encoder: agreement by hand, storage and speed mode on a tiny random pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from core.comparison.rbo import rank_biased_overlap
from core.training.agreement import agreement
from core.training.cli import app
from core.training.export import write_converted, write_readout
from tests.evaluation.folders import write_folder
from tests.training.tiny import base, exported_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOCUMENTS = {f"d{n}": ("", f"w{n} w{n + 1} w{2 * n}") for n in range(1, 29)}
QUERIES = {f"q{n}": f"w{n} w{n + 1}" for n in (1, 5, 9)}
QRELS = {f"q{n}": {f"d{n}": 1} for n in (1, 5, 9)}


def rows(*angles: float) -> NDArray[np.float32]:
    return np.array([[np.cos(a), np.sin(a)] for a in np.radians(angles)], dtype=np.float32)


def test_agreement_by_hand() -> None:
    queries, passages = rows(0, 90), rows(10, 20, 30)
    moved = rows(10, 40, 30)  # the second passage falls behind the third for q1, not for q2
    found = agreement((queries, passages), (queries, moved))
    assert found.lowest_cosine == pytest.approx(np.cos(np.radians(20)))
    assert found.mean_cosine == pytest.approx((4 + np.cos(np.radians(20))) / 5)
    first = rank_biased_overlap(["0", "1", "2"], ["0", "2", "1"]).ext
    second = rank_biased_overlap(["2", "1", "0"], ["1", "2", "0"]).ext
    assert found.mean_rbo == pytest.approx((first + second) / 2)
    assert found.lowest_rbo == pytest.approx(min(first, second))
    assert found.same_top == 0.0
    same = agreement((queries, passages), (queries, passages))
    assert (same.mean_rbo, same.same_top) == (1.0, 1.0)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """A pair, the working folder it is from, and a data set."""
    pair, work = tmp_path / "encoders" / "tiny", tmp_path / "work"
    nets = exported_pair(pair)
    write_converted(work, base())
    for family, (net, readout) in nets.items():
        saved = {name: value.detach() for name, value in net.trained(layers=2).items()}
        torch.save({"parameters": saved}, work / f"stage2_{family.value}.pt")
        write_readout(work / f"final_{family.value}.pt", readout)
    beir = write_folder(tmp_path / "words", documents=DOCUMENTS, queries=QUERIES, qrels=QRELS)
    return {
        "--pair-folder": str(pair),
        "--work": str(work),
        "--beir": str(beir),
        "--cache": str(tmp_path / "cache"),
        "--out": str(tmp_path / "out.json"),
    }


def test_storage_in_half_precision_changes_next_to_nothing(folders: dict[str, str]) -> None:
    result = CliRunner().invoke(app, ["agreement", *sum(folders.items(), ())])
    assert result.exit_code == 0, result.output
    fields = json.loads(Path(folders["--out"]).read_text())
    assert [one["encoder_id"] for one in fields["loading"]] == [
        "bifocal-diffusion-135m",
        "bifocal-autoregressive-135m",
    ]
    assert all(one["seconds"] > 0 for one in fields["loading"])
    for one in fields["agreement"]:
        assert (one["queries"], one["passages"]) == (3, 28)
        assert 0.999 < one["lowest_cosine"] < 0.99999999  # close, and not the same numbers
        assert one["mean_rbo"] > 0.9
    assert "cosine of every text at least 0.999: yes" in result.output


def test_speed_mode_is_measured_for_both_arms(folders: dict[str, str]) -> None:
    del folders["--work"]
    result = CliRunner().invoke(
        app, ["speed-mode", *sum(folders.items(), ()), "--rounds", "1", "--outliers", "2"]
    )
    assert result.exit_code == 0, result.output
    fields = json.loads(Path(folders["--out"]).read_text())
    assert fields["options"] == {"smoothing": 0.5, "outliers": 2, "float_down": False}
    assert len(fields["speed"]) == len(fields["agreement"]) == 2
    for one in fields["agreement"]:
        assert 0.95 < one["lowest_cosine"] < 1.0
    for one in fields["batch"]:
        assert one["8 bits"] < 1e-5
    assert "RBO of the top 10 at least 0.98 on every set" in result.output
