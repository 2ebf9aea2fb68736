from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from core.errors import DatasetError, InvalidSettingError
from core.evaluation.beir import only_lengths, read_beir, sample_passages
from tests.data import shared_data
from tests.evaluation.folders import ANIMALS, write_folder, write_lines

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    whole = read_beir(write_folder(tmp_path / "animals")).whole
    assert whole.name == "animals"
    assert list(whole.documents) == ["cat", "dog", "eel", "fox", "owl"]
    assert whole.documents["cat"] == "Cat The cat sleeps on the mat all day long."
    assert whole.queries["q1"] == "who barks at the postman"
    assert whole.qrels["q3"] == {"owl": 2, "fox": 1}
    assert whole.notes == ()


def test_documents_come_in_order_of_id_whatever_the_file_says(tmp_path: Path) -> None:
    backwards = dict(reversed(ANIMALS.items()))
    assert list(read_beir(write_folder(tmp_path, documents=backwards)).whole.documents) == list(
        ANIMALS
    )


def test_lengths_are_collections_of_their_own(tmp_path: Path) -> None:
    documents = {
        f"key_{length}_{number}": ("", f"text {length} {number}")
        for length in (256, 2560)
        for number in range(3)
    }
    qrels = {"qa": {"key_256_0": 1}, "qb": {"key_2560_1": 1}}
    dataset = read_beir(
        write_folder(
            tmp_path,
            documents=documents,
            queries={"qa": "a", "qb": "b"},
            qrels=qrels,
            lengths={2560: {"qb": {"key_2560_1": 1}}, 256: {"qa": {"key_256_0": 1}}},
        )
    )
    assert [part.length for part in dataset.lengths] == [256, 2560]
    assert list(dataset.lengths[0].documents) == ["key_256_0", "key_256_1", "key_256_2"]
    assert list(dataset.lengths[0].queries) == ["qa"]
    assert len(dataset.whole.documents) == 6


def test_some_lengths_alone(tmp_path: Path) -> None:
    documents = {
        f"key_{length}_{number}": ("", f"text {length} {number}")
        for length in (256, 512, 1024)
        for number in range(3)
    }
    lengths = {n: {f"q{n}": {f"key_{n}_0": 1}} for n in (256, 512, 1024)}
    dataset = read_beir(
        write_folder(
            tmp_path / "keys",
            documents=documents,
            queries={"q256": "a", "q512": "b", "q1024": "c"},
            qrels={
                query_id: grades for part in lengths.values() for query_id, grades in part.items()
            },
            lengths=lengths,
        )
    )
    chosen = only_lengths(dataset, [512, 256])
    assert [part.length for part in chosen.lengths] == [256, 512]
    assert list(chosen.whole.queries) == ["q256", "q512"]
    assert list(chosen.whole.qrels) == ["q256", "q512"]
    assert sorted(chosen.whole.documents) == sorted(d for d in documents if "_1024_" not in d)
    assert chosen.whole.notes == ("Lengths 256, 512 alone: 6 of 9 documents.",)
    assert chosen.query_texts == ("a", "b")
    with pytest.raises(InvalidSettingError, match=r"no length 300\. Those it has: 256, 512, 1024"):
        only_lengths(dataset, [300])
    ordinary = read_beir(write_folder(tmp_path / "animals"))
    with pytest.raises(InvalidSettingError, match="no qrels by length"):
        only_lengths(ordinary, [256])


def test_the_synthetic_sets_have_eight_lengths_of_their_own_documents() -> None:
    folder = shared_data() / "eval" / "passkey_pd"
    if not folder.is_dir():
        pytest.skip("passkey_pd is not among the shared data")
    lengths = read_beir(folder).lengths
    assert [part.length for part in lengths] == [256 * 2**power for power in range(8)]
    assert all(f"_{part.length}_" in doc_id for part in lengths for doc_id in part.documents)
    assert [len(part.queries) for part in lengths] == [50] * 8


def test_queries_without_a_relevant_document_are_left_out_and_told(tmp_path: Path) -> None:
    whole = read_beir(write_folder(tmp_path, qrels={"q1": {"dog": 1}, "q2": {"cat": 0}})).whole
    assert list(whole.queries) == ["q1"]
    assert whole.notes == ("1 judged query is without a relevant document and left out.",)


def test_judged_queries_that_are_not_there_are_left_out_and_told(tmp_path: Path) -> None:
    whole = read_beir(write_folder(tmp_path, qrels={"q1": {"dog": 1}, "q9": {"cat": 1}})).whole
    assert list(whole.qrels) == ["q1"]
    assert whole.notes == ("1 judged query is not in queries.jsonl and left out.",)


def test_ids_are_read_alike_on_both_sides(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    write_lines(folder / "corpus.jsonl", ['{"_id": "d1 ", "text": "a b"}'])
    write_lines(folder / "qrels/test.tsv", ["q1\td1 \t1"])
    whole = read_beir(folder).whole
    assert list(whole.documents) == ["d1"]
    assert whole.notes == ()  # d1 is there


def test_a_blank_line_may_stand_before_the_header(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    write_lines(folder / "qrels/test.tsv", ["", "query-id\tcorpus-id\tscore", "q1\tdog\t1"])
    assert read_beir(folder).whole.qrels == {"q1": {"dog": 1}}


def test_judged_documents_that_are_not_there_are_counted(tmp_path: Path) -> None:
    whole = read_beir(write_folder(tmp_path, qrels={"q1": {"dog": 1, "gnu": 1}})).whole
    assert whole.notes == ("1 relevant documents are not in the corpus; they count as missed.",)


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        ("corpus.jsonl", ['{"_id": "a", "text": "x"}', "{"], r"corpus.jsonl, line 2: this is not JSON"),
        ("corpus.jsonl", ['{"_id": "a", "m": ' + "[" * 5000], r"line 1: this is not JSON \(nested too"),
        ("corpus.jsonl", ["[1]"], r"corpus.jsonl, line 1: expected an object"),
        ("corpus.jsonl", ['{"text": "x"}'], r'line 1: "_id" is missing'),
        ("corpus.jsonl", ['{"_id": " ", "text": "x"}'], r'line 1: "_id" is missing'),
        ("corpus.jsonl", ['{"_id": "a"}'], r'line 1: "text" is missing'),
        ("corpus.jsonl", ['{"_id": "a", "title": 3, "text": "x"}'], r'line 1: "title" is missing'),
        ("corpus.jsonl", ['{"_id": "a", "text": "x"}'] * 2, r"line 2: the id 'a' comes twice"),
        ("corpus.jsonl", [], r"holds no documents"),
        ("queries.jsonl", ['{"_id": "q1", "text": null}'], r'queries.jsonl, line 1: "text"'),
        ("queries.jsonl", ['{"_id": "q1", "text": "x"}'] * 2, r"line 2: the id 'q1' comes twice"),
        ("qrels/test.tsv", ["query-id\tcorpus-id\tscore", "q1 dog 1"], r"test.tsv, line 2: expected"),
        ("qrels/test.tsv", ["h\th\th", "q1\tdog\tyes"], r"line 2: the score 'yes' is not a whole"),
        ("qrels/test.tsv", ["h\th\th", "q9\tdog\t1"], r"queries.jsonl has none of the judged queries"),
        ("qrels/test.tsv", ["q1\tdog\t1", "q1\tdog\t0"], r"line 2: .* were judged 1 before"),
        ("qrels/test.tsv", ["query-id\tcorpus-id\tscore"], r"holds no judgments"),
        ("qrels/test.tsv", ["q1\tdog\t0"], r"no query has a relevant document"),
    ],
)  # fmt: skip
def test_errors_name_the_file_and_the_line(
    tmp_path: Path, file: str, lines: list[str], message: str
) -> None:
    folder = write_folder(tmp_path)
    write_lines(folder / file, lines)
    with pytest.raises(DatasetError, match=message):
        read_beir(folder)


def test_qrels_without_a_header_are_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    write_lines(folder / "qrels" / "test.tsv", ["q1\tdog\t1"])
    assert read_beir(folder).whole.qrels == {"q1": {"dog": 1}}


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path)
    (folder / name).unlink()
    with pytest.raises(DatasetError, match=f"{name.rsplit('/', maxsplit=1)[-1]} is missing"):
        read_beir(folder)


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "corpus.jsonl").write_bytes(b'{"_id": "a", "text": "x"}\n{"_id": "\xff"}\n')
    with pytest.raises(DatasetError, match=r"line 2: this is not UTF-8"):
        read_beir(folder)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder"):
        read_beir(tmp_path / "nowhere")


def test_a_sample_keeps_what_is_relevant_and_says_so(tmp_path: Path) -> None:
    dataset = read_beir(write_folder(tmp_path, qrels={"q1": {"dog": 1}, "q2": {"cat": 1}}))
    sampled = sample_passages(dataset, count=3, seed=0).whole
    assert {"cat", "dog"} < set(sampled.documents)
    assert len(sampled.documents) == 3
    assert list(sampled.documents) == sorted(sampled.documents)
    assert "3 of 5 documents (2 relevant and 1 others drawn with seed 0)" in sampled.notes[0]


def test_samples_repeat_with_their_seed(tmp_path: Path) -> None:
    documents = {f"d{number:02d}": ("", f"text {number}") for number in range(50)}
    dataset = read_beir(
        write_folder(tmp_path, documents=documents, queries={"q": "x"}, qrels={"q": {"d00": 1}})
    )
    first, again, other = (
        list(sample_passages(dataset, count=10, seed=seed).whole.documents) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_sample_smaller_than_what_is_relevant_keeps_all_of_it(tmp_path: Path) -> None:
    dataset = read_beir(write_folder(tmp_path))
    assert set(sample_passages(dataset, count=1, seed=0).whole.documents) == {
        "cat",
        "dog",
        "fox",
        "owl",
    }
    with pytest.raises(InvalidSettingError, match="from 1 up"):
        sample_passages(dataset, count=0, seed=0)
