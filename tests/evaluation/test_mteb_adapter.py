from __future__ import annotations

import importlib
import importlib.util
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typing_extensions import override

from core.encoders.spec import TextKind
from core.errors import DatasetError, StoppedError, UnknownNameError, UsageError
from core.evaluation.beir import read_beir
from core.evaluation.evaluate import evaluate_beir
from core.evaluation.mteb_adapter import (
    MtebEncoder,
    add_mteb_results,
    benchmark,
    find_mteb_results,
)
from core.store.workspace import Workspace
from tests.encoders.fake import FakeEncoder, fake_spec
from tests.evaluation.folders import fake_pair, local_task, write_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from core.encoders.spec import Encoder
    from core.monitor import Monitor, Progress

needs_mteb = pytest.mark.skipif(
    importlib.util.find_spec("mteb") is None, reason="mteb is not installed (extra [mteb])"
)
# What mteb and the packages below it warn about is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")

THEIRS = {
    "nDCG@10": "ndcg_at_10",
    "Recall@10": "recall_at_10",
    "Recall@100": "recall_at_100",
    "MRR@10": "mrr_at_10",
    "AP@100": "map_at_100",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of 150 documents of random words, where each query repeats some of its document's."""
    generator = np.random.default_rng(0)
    words = [f"w{number}" for number in range(300)]
    documents = {
        f"d{number:03d}": ("Title", " ".join(generator.choice(words, 40))) for number in range(150)
    }
    queries, qrels = {}, {}
    for number in range(40):
        text = documents[f"d{number:03d}"][1].split()
        asked = list(generator.choice(text, 4)) + list(generator.choice(words, 5))
        queries[f"q{number}"] = " ".join(asked)
        qrels[f"q{number}"] = {f"d{number:03d}": 1, f"d{number + 60:03d}": 1}
    return write_folder(tmp_path / "words", documents=documents, queries=queries, qrels=qrels)


class Projected(FakeEncoder):
    """Word counts under a random projection: no two documents tie, as mteb breaks ties by chance."""

    @override
    def encode(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        counts = super().encode(texts, kind=kind, monitor=monitor)
        dimension = 100 if self.spec.encoder_id == "wide" else 24
        projection = np.random.default_rng(1).normal(size=(counts.shape[1], dimension))
        rows = counts @ projection
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def wide_pair() -> list[FakeEncoder]:
    return [
        Projected(fake_spec(encoder_id="wide", dimension=600)),
        Projected(fake_spec(encoder_id="narrow", dimension=600)),
    ]


@needs_mteb
def test_mtebs_own_evaluator_agrees_with_ours(folder: Path, tmp_path: Path) -> None:
    encoders = wide_pair()
    ours = evaluate_beir(folder, encoders)
    theirs = benchmark(
        [local_task(read_beir(folder).whole)], encoders, results_folder=tmp_path / "results"
    )
    assert [result.encoder_id for result in theirs] == ["wide", "narrow"]
    for result in theirs:
        system = ours.whole.system(result.encoder_id)
        assert system is not None
        assert (result.split, result.subset, result.measure) == ("test", "default", "ndcg_at_10")
        assert result.value == result.scores["ndcg_at_10"]
        for name, interval in system.measures.items():
            # mteb rounds to five places
            assert result.scores[THEIRS[name]] == pytest.approx(interval.value, abs=2e-5), name
    assert 0.1 < theirs[1].value < theirs[0].value  # the premise: there is something to agree on


@needs_mteb
def test_finished_tasks_are_not_run_again(folder: Path, tmp_path: Path) -> None:
    encoder = fake_pair()[0]
    task = local_task(read_beir(folder).whole)
    first = benchmark([task], [encoder], results_folder=tmp_path / "results")
    count = encoder.encoded_texts
    assert count == 190
    again = benchmark([task], [encoder], results_folder=tmp_path / "results")
    assert encoder.encoded_texts == count
    assert [one.value for one in again] == [one.value for one in first]
    other = FakeEncoder(fake_spec(dimension=32))  # same id, another fingerprint
    benchmark([task], [other], results_folder=tmp_path / "results")
    assert other.encoded_texts == 190
    read, _ = find_mteb_results(tmp_path / "results")
    assert {(one.task, one.encoder_id) for one in read} == {("Words", "fake-diffusion")}
    assert first[0].value in [one.value for one in read]


@needs_mteb
def test_a_stopped_task_goes_on_from_its_vectors(folder: Path, tmp_path: Path) -> None:
    class StopsLate:
        calls = 0

        def report(self, progress: Progress) -> None:
            pass

        def stop_requested(self) -> bool:
            self.calls += 1
            return self.calls > 6

    encoder = fake_pair()[0]
    task = local_task(read_beir(folder).whole)
    with Workspace.open(tmp_path / "cache") as workspace:
        with pytest.raises(StoppedError):
            benchmark(
                [task],
                [encoder],
                results_folder=tmp_path / "results",
                workspace=workspace,
                monitor=StopsLate(),
            )
        before = encoder.encoded_texts
        assert 0 < before < 190
        benchmark([task], [encoder], results_folder=tmp_path / "results", workspace=workspace)
        assert encoder.encoded_texts < before + 190


class Metadata:
    def __init__(self) -> None:
        self.name = "SciFact"
        self.prompt = {"query": "Find what supports the claim"}


@needs_mteb
def test_official_prompts_reach_the_queries_of_encoders_that_take_one() -> None:
    takes = FakeEncoder(fake_spec(encoder_id="takes", query_prompt="Instruct: {instruction} "))
    fixed = FakeEncoder(fake_spec(encoder_id="fixed", query_prompt="query: "))
    asked: list[str] = []

    def instructed(encoder: Encoder, instruction: str) -> Encoder:
        asked.append(instruction)
        prompt = encoder.spec.query_prompt.replace("{instruction}", instruction)
        return FakeEncoder(fake_spec(encoder_id="takes", query_prompt=prompt))

    batches = [{"text": ["water flows"]}, {"text": ["eels swim"]}]
    adapted = MtebEncoder(takes, instructed=instructed)
    queries = adapted.encode(batches, task_metadata=Metadata(), prompt_type="query")
    passages = adapted.encode(batches, task_metadata=Metadata(), prompt_type="document")
    assert asked == ["Find what supports the claim"]
    assert queries.shape == passages.shape == (2, 64)
    expected = FakeEncoder(
        fake_spec(query_prompt="Instruct: Find what supports the claim ")
    ).encode(["water flows", "eels swim"], kind=TextKind.QUERY)
    np.testing.assert_allclose(queries, expected)
    MtebEncoder(fixed, instructed=instructed).encode(batches, task_metadata=Metadata())
    assert len(asked) == 1


@needs_mteb
def test_similarities_are_inner_products() -> None:
    adapted = MtebEncoder(fake_pair()[0])
    rows = np.eye(3, dtype=np.float32)
    np.testing.assert_array_equal(adapted.similarity(rows, rows[:2]), rows[:, :2])
    np.testing.assert_array_equal(adapted.similarity_pairwise(rows, rows), np.ones(3))


@needs_mteb
def test_inputs_that_are_not_text_are_refused() -> None:
    with pytest.raises(UsageError, match="not text"):
        MtebEncoder(fake_pair()[0]).encode([{"image": [1]}], task_metadata=Metadata())


@needs_mteb
def test_unknown_tasks_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="mteb has no task 'NoSuchTask'"):
        benchmark(["NoSuchTask"], [], results_folder=tmp_path)


def test_without_mteb_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match=r"pip install 'bifocal\[mteb\]'"):
        benchmark(["SciFact"], [], results_folder=tmp_path)


# -- result folders ------------------------------------------------------------------------


def result_file(folder: Path, text: str) -> Path:
    path = folder / "results" / "org__model" / "abc123" / "SciFact.json"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return folder


def test_a_result_folder_is_read_without_mteb(tmp_path: Path) -> None:
    fields = {
        "task_name": "SciFact",
        "mteb_version": "2.0",
        "scores": {
            "test": [
                {
                    "main_score": 0.7,
                    "ndcg_at_10": 0.7,
                    "hf_subset": "default",
                    "languages": ["eng-Latn"],
                }
            ]
        },
    }
    folder = result_file(tmp_path, json.dumps(fields))
    (folder / "results" / "org__model" / "abc123" / "model_meta.json").write_text('{"name": "x"}')
    ((result,), _) = find_mteb_results(folder)
    assert (result.task, result.encoder_id, result.split) == ("SciFact", "org__model", "test")
    assert result.value == 0.7
    assert result.scores == {"main_score": 0.7, "ndcg_at_10": 0.7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ('{"task_name": "x", "scores": {"test": [{}]}}', "is not an mteb result"),
        ('{"task_name": "x", "scores": [1]}', "is not an mteb result"),
        ('{"task_name": "x", "scores": {"test": [{"main_score": "high"}]}}', "not an mteb result"),
        ("{}", "holds no mteb results"),
    ],
)
def test_damaged_result_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        add_mteb_results(result_file(tmp_path, text), tmp_path / "ours")


def test_a_damaged_result_does_not_hide_the_others(tmp_path: Path) -> None:
    fields = {"task_name": "SciFact", "scores": {"test": [{"main_score": 0.5}]}}
    folder = result_file(tmp_path, json.dumps(fields))
    (folder / "results" / "org__model" / "abc123" / "Other.json").write_text("{")
    (result,), (problem,) = find_mteb_results(folder)
    assert result.value == 0.5
    assert "Other.json cannot be read as JSON" in problem


def test_results_made_elsewhere_are_added(tmp_path: Path) -> None:
    fields = {"task_name": "SciFact", "scores": {"test": [{"main_score": 0.5}]}}
    theirs = result_file(tmp_path / "theirs", json.dumps(fields))
    (theirs / "results" / "org__model" / "abc123" / "model_meta.json").write_text("{}")
    ours = tmp_path / "ours"
    (added,) = add_mteb_results(theirs, ours)
    assert (added.encoder_id, added.revision) == ("org__model", "abc123")
    assert find_mteb_results(ours) == ((added,), ())
    file = theirs / "results" / "org__model" / "abc123" / "SciFact.json"
    (again,) = add_mteb_results(file, ours, model="../../<b>evil</b>")
    assert again.encoder_id == "../../<b>evil</b>"
    assert sorted(path.relative_to(ours).as_posix() for path in ours.rglob("*.json")) == [
        "added/b-evil-b/added/SciFact.json",
        "added/org__model/abc123/SciFact.json",
    ]


def test_what_is_no_result_is_not_added(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("{}")
    with pytest.raises(UsageError, match="name the model"):
        add_mteb_results(file, tmp_path / "ours")
    with pytest.raises(DatasetError, match="is no mteb result"):
        add_mteb_results(file, tmp_path / "ours", model="m")
    file.write_text('{"task_name": "x", "scores": {"test": [{"main_score": "<script>"}]}}')
    with pytest.raises(DatasetError, match="is not an mteb result"):
        add_mteb_results(file, tmp_path / "ours", model="m")
    assert not (tmp_path / "ours").exists()


@needs_mteb
def test_data_that_cannot_be_had_is_told(folder: Path, tmp_path: Path) -> None:
    task = local_task(read_beir(folder).whole)
    task.data_loaded = False

    def load_data(**_options: object) -> None:
        raise ConnectionError("offline mode is enabled")

    task.load_data = load_data
    with pytest.raises(DatasetError, match="The data of Words cannot be loaded: offline mode"):
        benchmark([task], [fake_pair()[0]], results_folder=tmp_path / "results")
