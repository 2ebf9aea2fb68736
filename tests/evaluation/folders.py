"""Small BEIR folders for evaluation tests."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

from core.encoders.spec import Attention
from core.records import Family
from tests.encoders.fake import FakeEncoder, fake_spec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from core.evaluation.beir import Collection

ANIMALS = {
    "cat": ("Cat", "The cat sleeps on the mat all day long."),
    "dog": ("Dog", "The dog barks at the postman every morning."),
    "eel": ("Eel", "An eel swims up the river to spawn."),
    "fox": ("Fox", "A fox hunts rabbits at dusk near the wood."),
    "owl": ("Owl", "The owl hunts mice at night in the barn."),
}
QUESTIONS = {
    "q1": "who barks at the postman",
    "q2": "which animal sleeps on the mat",
    "q3": "who hunts mice at night",
}
ANSWERS = {"q1": {"dog": 1}, "q2": {"cat": 1}, "q3": {"owl": 2, "fox": 1}}


def write_folder(
    folder: Path,
    *,
    documents: Mapping[str, tuple[str, str]] = ANIMALS,
    queries: Mapping[str, str] = QUESTIONS,
    qrels: Mapping[str, Mapping[str, int]] = ANSWERS,
    lengths: Mapping[int, Mapping[str, Mapping[str, int]]] | None = None,
) -> Path:
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    write_lines(
        folder / "corpus.jsonl",
        [
            json.dumps({"_id": doc_id, "title": title, "text": text})
            for doc_id, (title, text) in documents.items()
        ],
    )
    write_lines(
        folder / "queries.jsonl",
        [json.dumps({"_id": query_id, "text": text}) for query_id, text in queries.items()],
    )
    write_qrels(folder / "qrels" / "test.tsv", qrels)
    for length, part in (lengths or {}).items():
        write_qrels(folder / "qrels" / f"test_{length}.tsv", part)
    return folder


def write_qrels(path: Path, qrels: Mapping[str, Mapping[str, int]]) -> None:
    lines = ["query-id\tcorpus-id\tscore"]
    lines += [
        f"{query_id}\t{doc_id}\t{grade}"
        for query_id, grades in qrels.items()
        for doc_id, grade in grades.items()
    ]
    write_lines(path, lines)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def fake_pair(*, max_tokens: int = 512) -> tuple[FakeEncoder, FakeEncoder]:
    return (
        FakeEncoder(
            fake_spec(encoder_id="fake-diffusion", family=Family.DIFFUSION, max_tokens=max_tokens)
        ),
        FakeEncoder(
            fake_spec(
                encoder_id="fake-causal",
                family=Family.AUTOREGRESSIVE,
                attention=Attention.CAUSAL,
                max_tokens=max_tokens,
            )
        ),
    )


def local_task(collection: Collection, *, split: str = "test") -> Any:
    """Return a collection read from a BEIR folder as an mteb retrieval task; nothing is fetched."""
    retrieval = importlib.import_module("mteb.abstasks.retrieval")
    metadata = importlib.import_module("mteb.abstasks.task_metadata")
    datasets = importlib.import_module("datasets")
    name = "".join(part.capitalize() for part in collection.name.replace("@", "_").split("_"))

    local = type(
        "LocalRetrieval",
        (retrieval.AbsTaskRetrieval,),
        {
            "__doc__": "A collection on this machine.",
            "ignore_identical_ids": True,  # as BEIR and `evaluate_beir` do
            "metadata": metadata.TaskMetadata(
                name=name,
                description="A BEIR folder on this machine.",
                dataset={"path": "bifocal/local", "revision": "local"},
                type="Retrieval",
                category="t2t",
                eval_splits=[split],
                eval_langs=["eng-Latn"],
                main_score="ndcg_at_10",
            ),
        },
    )
    task = local()
    task.dataset = {
        "default": {
            split: {
                "corpus": datasets.Dataset.from_list(
                    [{"id": d, "title": "", "text": t} for d, t in collection.documents.items()]
                ),
                "queries": datasets.Dataset.from_list(
                    [{"id": q, "text": t} for q, t in collection.queries.items()]
                ),
                "relevant_docs": {q: dict(row) for q, row in collection.qrels.items()},
                "top_ranked": None,
            }
        }
    }
    task.data_loaded = True
    return task
