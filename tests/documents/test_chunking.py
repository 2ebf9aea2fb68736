from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.documents import chunk_document
from core.errors import InvalidSettingError
from core.records import Document, Page, TextSource, Unit
from core.settings import ChunkingSettings
from tests.inprocess import read_document


def words(texts: Sequence[str]) -> list[int]:
    """Count tokens as words."""
    return [len(text.split()) for text in texts]


def characters(texts: Sequence[str]) -> list[int]:
    """Count tokens as characters, spaces included: longer together than apart."""
    return [len(text) for text in texts]


def document_of(*pages: str) -> Document:
    text = "".join(pages)
    made, position = [], 0
    for number, page in enumerate(pages, start=1):
        end = position + len(page)
        boxes = np.zeros((len(page), 4), np.float32)
        made.append(Page(number, position, end, 100, 100, boxes, TextSource.PDFIUM))
        position = end
    return Document("d0123456789abcdef", "a.pdf", "0" * 64, "application/pdf", text, tuple(made), 1)


def numbered(count: int, length: int) -> str:
    """Sentences of ``length`` words each: "S0 w w w. S1 w w w. ..."."""
    return " ".join(f"S{n} {' '.join(['w'] * (length - 1))}." for n in range(count))


# 8 sentences of 10 words, 32 to a passage, no overlap: 3 + 3 + 2.
def test_whole_sentences_are_packed_to_the_budget() -> None:
    document = document_of(numbered(8, 10))
    settings = ChunkingSettings(chunk_tokens=32, overlap_tokens=0)
    passages = chunk_document(document, count_tokens=words, settings=settings)
    assert [passage.text.split()[0] for passage in passages] == ["S0", "S3", "S6"]
    assert [passage.token_count for passage in passages] == [30, 30, 20]
    assert passages[0].passage_id == "d0123456789abcdef:00000000-00000065"
    assert passages[0].text.endswith("w.")


# With room for one repeated sentence each passage brings two new ones: 012 234 456 67.
def test_overlap_repeats_whole_sentences() -> None:
    document = document_of(numbered(8, 10))
    settings = ChunkingSettings(chunk_tokens=32, overlap_tokens=12)
    passages = chunk_document(document, count_tokens=words, settings=settings)
    firsts = [[word for word in p.text.split() if word[0] == "S"] for p in passages]
    assert firsts == [["S0", "S1", "S2"], ["S2", "S3", "S4"], ["S4", "S5", "S6"], ["S6", "S7"]]


def test_passages_run_across_page_breaks() -> None:
    document = document_of("A begins. The sentence runs\n", "over the break. ", "", "End here.")
    settings = ChunkingSettings(chunk_tokens=32, overlap_tokens=0)
    (passage,) = chunk_document(document, count_tokens=words, settings=settings)
    assert (passage.page_first, passage.page_last) == (1, 4)
    assert "runs\nover" in passage.text


def test_a_whole_document_is_one_passage() -> None:
    document = document_of(f"\n {numbered(50, 10)}\n")
    settings = ChunkingSettings(unit=Unit.DOCUMENT)
    (passage,) = chunk_document(document, count_tokens=words, settings=settings)
    assert passage.text == document.text.strip()
    assert passage.unit is Unit.DOCUMENT
    assert passage.token_count == 500


@pytest.mark.parametrize("unit", list(Unit))
def test_white_space_gives_no_passage(unit: Unit) -> None:
    settings = ChunkingSettings(unit=unit)
    assert chunk_document(document_of(" \n "), count_tokens=words, settings=settings) == ()


def test_a_sentence_longer_than_the_budget_is_cut_between_words() -> None:
    document = document_of("Start here. " + "word " * 100 + "end. Last one.")
    settings = ChunkingSettings(chunk_tokens=32, overlap_tokens=0)
    passages = chunk_document(document, count_tokens=words, settings=settings)
    assert max(passage.token_count for passage in passages) <= 32
    assert all(passage.text[-4:] in ("word", "end.", "one.", "ere.") for passage in passages)
    assert sum(passage.token_count for passage in passages) == 105


def test_a_word_longer_than_the_budget_is_cut_inside() -> None:
    document = document_of("x" * 1000)
    settings = ChunkingSettings(chunk_tokens=32, overlap_tokens=0)
    passages = chunk_document(document, count_tokens=characters, settings=settings)
    assert max(passage.token_count for passage in passages) <= 32
    assert "".join(passage.text for passage in passages) == document.text


def test_cutting_leaves_joined_emoji_and_accents_whole() -> None:
    document = document_of("👩‍🔬" * 300)
    settings = ChunkingSettings(chunk_tokens=32, overlap_tokens=0)
    passages = chunk_document(document, count_tokens=characters, settings=settings)
    assert all(passage.text.startswith("👩‍") for passage in passages)


def test_the_budget_holds_when_sentences_count_more_together_than_apart() -> None:
    def joints_cost(texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 * text.strip().count(". ") for text in texts]

    document = document_of(numbered(40, 10))
    settings = ChunkingSettings(chunk_tokens=64, overlap_tokens=0)
    passages = chunk_document(document, count_tokens=joints_cost, settings=settings)
    assert [passage.token_count for passage in passages] == [58] * 8  # 5 sentences, 4 joints


def test_texts_are_counted_in_batches() -> None:
    calls: list[int] = []

    def counting(texts: Sequence[str]) -> list[int]:
        calls.append(len(texts))
        return words(texts)

    document = document_of(numbered(2000, 10))
    chunk_document(document, count_tokens=counting, settings=ChunkingSettings())
    assert len(calls) == 2  # once for sentences, once for passages


def test_a_counter_that_does_not_answer_for_every_text_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="0 numbers for 1 texts"):
        chunk_document(document_of("One."), count_tokens=lambda _: [], settings=ChunkingSettings())


def test_the_same_document_gives_the_same_passages() -> None:
    text = numbered(60, 13).encode()
    settings = ChunkingSettings(chunk_tokens=64, overlap_tokens=20)
    one, two = (
        chunk_document(read_document(text, name), count_tokens=words, settings=settings)
        for name in ("a.txt", "b.txt")
    )
    assert one == two


PIECES = st.sampled_from(
    [
        "A short one. ",
        "word ",
        "\n",
        "\n\n",
        "水位が上がった。",
        "x" * 90,
        "👩‍🔬",
        "• item\n",
        "e.g. ",
        " ",
    ]
)


@example("A short one. word  " + "x" * 90, 41, 0, characters, 0)
@given(
    st.lists(PIECES, max_size=60).map("".join),
    st.integers(32, 80),
    st.integers(0, 16),
    st.sampled_from([words, characters]),
    st.integers(0, 200),
)
def test_passages_slice_back_cover_everything_and_keep_to_the_budget(
    text: str, budget: int, overlap: int, counter: object, cut: int
) -> None:
    count = words if counter is words else characters
    document = document_of(text[:cut], text[cut:])
    settings = ChunkingSettings(chunk_tokens=budget, overlap_tokens=overlap)
    passages = chunk_document(document, count_tokens=count, settings=settings)
    covered: set[int] = set()
    for passage in passages:
        assert document.text[passage.start : passage.end] == passage.text
        assert passage.text == passage.text.strip() != ""
        assert passage.token_count <= budget
        assert 1 <= passage.page_first <= passage.page_last <= 2
        covered.update(range(passage.start, passage.end))
    assert {place for place, letter in enumerate(text) if not letter.isspace()} <= covered
    for before, after in pairwise(passages):
        assert before.start < after.start
        assert before.end < after.end
        shared = document.text[after.start : before.end]
        assert count([shared])[0] <= max(overlap, 0) + 1
    assert len({passage.passage_id for passage in passages}) == len(passages)
