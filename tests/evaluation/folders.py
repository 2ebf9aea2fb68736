"""Small BEIR folders for evaluation tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from core.encoders.spec import Attention
from core.records import Family
from tests.encoders.fake import FakeEncoder, fake_spec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

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
