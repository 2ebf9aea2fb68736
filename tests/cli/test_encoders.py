"""encoders list, add, remove, use: the real encoders over tiny checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from core.cli import cli, output
from core.encoders.catalogue import CATALOGUE_FILE
from core.encoders.loading import load_folder
from core.encoders.spec import TextKind
from tests.encoders.tiny import WORDS, write_tiny_checkpoint
from tests.evaluation.folders import write_folder
from tests.libraries import count_words


class Shell:
    """Runs commands over a data folder of their own."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *arguments: object, code: int = 0) -> Result:
        words = ["--data", str(self.data), *(str(argument) for argument in arguments)]
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == code, result.output
        return result

    def json(self, *arguments: object) -> Any:
        return json.loads(self(*arguments, "--json").stdout)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(output, "counter", lambda: count_words)
    return Shell(tmp_path / "data")


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    generator = np.random.default_rng(1)
    for number in range(12):
        text = " ".join(generator.choice(WORDS, size=14))
        (folder / f"{number}.txt").write_text(f"{text}.")
    return folder


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    names = ("diffugpt-m", "gpt2", "minilm")
    for name in names:
        write_tiny_checkpoint(name, tmp_path / "models" / name)
    return {name: tmp_path / "models" / name for name in names}


def test_added_encoders_become_encoders_and_columns_with_options(
    shell: Shell, papers: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    added = shell("encoders", "add", models["diffugpt-m"], "--family", "diffusion", "--label", "D")
    assert "d was added." in added.stdout
    assert "can be mean-centred" in added.stdout
    shell("encoders", "add", models["gpt2"], "--family", "autoregressive", "--label", "A")
    spec = shell.json(
        "encoders", "add", models["minilm"], "--label", "Mini", "--dimensions", "8,16"
    )
    assert (spec["family"], spec["attention"]) == ("reference", "bidirectional")
    listed = shell.json("encoders", "list")
    assert [e["spec"]["encoder_id"] for e in listed if e["added"]] == ["d", "a", "mini"]
    workspace = tmp_path / "w"
    shell(
        "index", papers, "-w", workspace, "--pair", "d+a", "--chunk-tokens", 32,
        "--overlap-tokens", 0, "--encoder-option", "d:centred",
    )  # fmt: skip
    kept = shell.json(
        "encoders", "use", "-w", workspace, "--also", "mini", "--encoder-option",
        "mini:dimension=8", "--encoder-option", "a:centred",
    )  # fmt: skip
    assert kept["settings"]["also"] == ["mini"]
    assert [c["label"] for c in kept["columns"]] == [
        "D (mean-centred)", "A (mean-centred)", "Mini (8 dimensions)",
    ]  # fmt: skip
    assert all(c["passages_embedded"] == 12 for c in kept["columns"])
    found = shell.json("compare", "the old harbour", "-w", workspace)
    labels = [column["info"]["label"] for column in found["columns"]]
    assert labels == [*(c["label"] for c in kept["columns"]), "BM25"]
    less = shell.json(
        "encoders", "use", "-w", workspace, "--also", "none", "--encoder-option", "a:default"
    )
    assert [c["label"] for c in less["columns"]] == ["D (mean-centred)", "A"]


def test_a_mean_centred_encoder_is_measured_as_the_definition_has_it(
    shell: Shell, models: dict[str, Path], tmp_path: Path
) -> None:
    generator = np.random.default_rng(5)
    documents = {f"d{n}": " ".join(generator.choice(WORDS, size=14)) for n in range(20)}
    queries = {f"q{n}": " ".join(documents[f"d{n}"].split()[3:9]) for n in range(6)}
    folder = write_folder(
        tmp_path / "set",
        documents={name: ("", text) for name, text in documents.items()},
        queries=queries,
        qrels={name: {f"d{name[1:]}": 1} for name in queries},
    )
    shell("encoders", "add", models["diffugpt-m"], "--family", "diffusion", "--label", "D")
    shell("encoders", "add", models["gpt2"], "--family", "autoregressive", "--label", "A")
    shell(
        "evaluate", "--beir", folder, "--pair", "d+a", "--encoder-option", "d:centred",
        "--runs", tmp_path / "runs", "--cache", tmp_path / "cache",
    )  # fmt: skip
    # by the definition: minus the mean of the passages, then unit length, then the inner product
    spec = write_tiny_checkpoint("diffugpt-m", tmp_path / "again")
    encoder = load_folder(spec, tmp_path / "again")
    rows = encoder.raw_embeddings(list(documents.values()), kind=TextKind.PASSAGE)
    mean = rows.mean(axis=0)
    rows = (rows - mean) / np.linalg.norm(rows - mean, axis=1, keepdims=True)
    asked = encoder.raw_embeddings(list(queries.values()), kind=TextKind.QUERY) - mean
    order = np.argsort(-(asked @ rows.T), axis=1)[:, :5]
    wanted = {q: [f"d{n}" for n in row] for q, row in zip(queries, order.tolist(), strict=True)}
    (path,) = (path for path in (tmp_path / "runs").iterdir() if path.stem.split(".")[-1] == "d")
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        query_id, _, doc_id, *_ = line.split()
        found.setdefault(query_id, []).append(doc_id)
    assert {query_id: ids[:5] for query_id, ids in found.items()} == wanted
    # not centred it ranks otherwise, so the check above would notice
    plain = np.argsort(
        -(encoder.encode(list(queries.values()), kind=TextKind.QUERY)
          @ encoder.encode(list(documents.values()), kind=TextKind.PASSAGE).T), axis=1,
    )[:, :5]  # fmt: skip
    assert (plain != order).any()


def test_what_cannot_be_is_refused_with_a_sentence(
    shell: Shell, models: dict[str, Path], tmp_path: Path
) -> None:
    for words, says in (
        (("add", tmp_path / "nothing"), "source: "),
        (("add", models["gpt2"], "--label", "gpt2"), "there is an encoder 'gpt2' already"),
        (("add", models["gpt2"], "--adapter", tmp_path / "x"), "adapter: "),
        (("add", models["gpt2"], "--dimensions", "8;16"), "--dimensions is '8;16'"),
        (("remove", "gpt2"), "no added encoder 'gpt2'"),
    ):
        result = CliRunner().invoke(
            cli, ["--data", str(shell.data), "encoders", *(str(word) for word in words)]
        )
        assert result.exit_code in {1, 2}
        assert says in result.stderr


def test_options_an_encoder_has_not_are_refused_before_anything_is_read(
    shell: Shell, papers: Path, tmp_path: Path
) -> None:
    words = ("index", papers, "-w", tmp_path / "w", "--encoder-option")
    wrong = shell(*words, "gpt2:dimension=64", code=2)
    assert "not trained for shorter" in wrong.stderr
    wrong = shell(*words, "gpt2", code=2)
    assert "write ID:output=int8" in wrong.stderr
    assert not list((tmp_path / "w").rglob("source*"))


def test_a_removed_encoder_is_gone_and_a_damaged_list_is_told(
    shell: Shell, models: dict[str, Path]
) -> None:
    shell("encoders", "add", models["gpt2"], "--family", "autoregressive", "--label", "A")
    assert "a was removed." in shell("encoders", "remove", "a").stdout
    assert not any(entry["added"] for entry in shell.json("encoders", "list"))
    (shell.data / CATALOGUE_FILE).write_text("{")
    result = shell("encoders", "list", code=1)
    assert "Encoders you added are left out." in result.stderr
    assert "is not JSON" in result.stderr
