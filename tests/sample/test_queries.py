"""The sample queries: enough of each kind, answers where they say, words kept apart."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.documents import chunk_document
from core.errors import DatasetError
from core.library.sample import SampleGroup, SampleQuery, load_sample_queries, sample_qrels
from core.records import Document
from core.settings import ChunkingSettings
from tests.sample.words import content_stems

LONG_QUERY_WORDS = 40


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_each_group_has_at_least_sixteen_queries(sample_queries: tuple[SampleQuery, ...]) -> None:
    sizes = Counter(query.group for query in sample_queries)
    assert set(sizes) == set(SampleGroup)
    assert min(sizes.values()) >= 16


def test_texts_are_unique_and_ids_tell_the_group(sample_queries: tuple[SampleQuery, ...]) -> None:
    assert len({query.text for query in sample_queries}) == len(sample_queries)
    for query in sample_queries:
        assert query.query_id.startswith(f"{query.group}-")


def test_some_queries_are_pasted_paragraphs(sample_queries: tuple[SampleQuery, ...]) -> None:
    assert sum(len(query.text.split()) >= LONG_QUERY_WORDS for query in sample_queries) >= 3


def test_every_document_is_asked_about(
    sample_queries: tuple[SampleQuery, ...], sample_documents: dict[str, Document]
) -> None:
    asked = Counter(query.document for query in sample_queries)
    assert set(asked) == set(sample_documents)
    assert min(asked.values()) >= 4


@pytest.mark.parametrize(
    ("group", "at_most"), [(SampleGroup.REASONING, 0), (SampleGroup.LONG_RANGE, 2)]
)
def test_queries_share_few_content_words_with_their_answers(
    sample_queries: tuple[SampleQuery, ...], group: SampleGroup, at_most: int
) -> None:
    shared = {
        query.query_id: content_stems(query.text) & content_stems(" ".join(query.answer))
        for query in sample_queries
        if query.group is group
    }
    assert {key: stems for key, stems in shared.items() if len(stems) > at_most} == {}


def test_lookups_share_words_with_their_answers(sample_queries: tuple[SampleQuery, ...]) -> None:
    lookups = [query for query in sample_queries if query.group is SampleGroup.LOOKUP]
    for query in lookups:
        assert content_stems(query.text) & content_stems(" ".join(query.answer)), query.query_id


def test_the_word_rule_sees_through_endings_and_keeps_numbers() -> None:
    assert content_stems("The gates were falling on 48 homes") == {"gate", "fall", "48", "home"}


def test_long_range_answers_stand_well_after_the_beginning(
    sample_queries: tuple[SampleQuery, ...], sample_documents: dict[str, Document]
) -> None:
    # What they lean on is on the first pages (of the report: up to page 8); they are later.
    documents = list(sample_documents.values())
    for query in sample_queries:
        if query.group is not SampleGroup.LONG_RANGE:
            continue
        document = sample_documents[query.document]
        tenths = chunk_document(
            document,
            count_tokens=count_words,
            settings=ChunkingSettings(chunk_tokens=64, overlap_tokens=0),
        )
        qrels = sample_qrels([query], documents, tenths)
        starts = [p.start for p in tenths if p.passage_id in qrels[query.query_id]]
        assert min(starts) > 0.15 * len(document.text), query.query_id


@pytest.mark.parametrize("chunk_tokens", [32, 128, 512])
def test_every_answer_is_found_once_whatever_the_chunking(
    sample_queries: tuple[SampleQuery, ...],
    sample_documents: dict[str, Document],
    chunk_tokens: int,
) -> None:
    documents = list(sample_documents.values())
    settings = ChunkingSettings(chunk_tokens=chunk_tokens, overlap_tokens=chunk_tokens // 8)
    passages = [
        passage
        for document in documents
        for passage in chunk_document(document, count_tokens=count_words, settings=settings)
    ]
    qrels = sample_qrels(sample_queries, documents, passages)  # raises where one is not found
    assert list(qrels) == [query.query_id for query in sample_queries]
    assert max(len(relevant) for relevant in qrels.values()) <= 4


def row(**changes: object) -> dict[str, object]:
    good: dict[str, object] = {
        "query_id": "lookup-01",
        "group": "lookup",
        "text": "Which code?",
        "document": "manual",
        "answer": ["H22"],
        "note": "A code.",
    }
    return good | changes


def write(folder: Path, *rows: object) -> Path:
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    (folder / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_queries_are_read_in_file_order_and_blank_lines_ignored(tmp_path: Path) -> None:
    folder = write(tmp_path, row(query_id="b"), "", row(query_id="a", group="long-range"))
    queries = load_sample_queries(folder)
    assert [query.query_id for query in queries] == ["b", "a"]
    assert queries[1].group is SampleGroup.LONG_RANGE
    assert queries[0].answer == ("H22",)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["{"], "line 1 is not JSON"),
        ([row(), ["x"]], "line 2 lacks query_id"),
        ([row(note="")], "lacks note"),
        ([row(answer="H22")], "answer must be a list"),
        ([row(answer=[" "])], "answer must be a list"),
        ([row(group="riddle")], "no group 'riddle'"),
        ([row(query_id="a b")], "no spaces"),
        ([row(), row()], "lookup-01 occurs twice"),
    ],
    ids=["json", "not-a-row", "empty-field", "text-answer", "blank-answer", "group", "id", "twice"],
)
def test_a_bad_file_is_refused_with_its_line(
    tmp_path: Path, rows: list[object], complaint: str
) -> None:
    with pytest.raises(DatasetError, match=complaint):
        load_sample_queries(write(tmp_path, *rows))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"queries\.jsonl cannot be read"):
        load_sample_queries(tmp_path)
