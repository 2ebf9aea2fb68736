"""Quotations into character ranges, character ranges into relevant passages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import DatasetError
from core.library.sample import SampleGroup, SampleQuery, locate, sample_qrels
from core.records import Document, Passage, make_passage_id


@pytest.mark.parametrize(
    ("text", "quotation", "found"),
    [
        ("one two three", "two", "two"),
        ("one two\n  three four", "two three", "two\n  three"),
        ("the inter-\nval is long", "interval is", "inter-\nval is"),
        ("the inter\u00ad\nval", "interval", "inter\u00ad\nval"),
        ("a well-known fact", "well known", "well-known"),
        ("an e\ufb00ect of \ufb01re", "effect of fire", "e\ufb00ect of \ufb01re"),
        ("it is \u201cso\u201d", 'is "so"', "is \u201cso\u201d"),
        ("2,950\u00a0m away", "2,950 m", "2,950\u00a0m"),
        ("sill at \u20132.60 m", "at -2.60", "at \u20132.60"),
    ],
    ids=[
        "plain",
        "line-end",
        "hyphenated",
        "soft-hyphen",
        "compound",
        "ligature",
        "quotes",
        "no-break",
        "minus",
    ],
)
def test_locate_looks_through_line_ends_and_letter_forms(
    text: str, quotation: str, found: str
) -> None:
    start, end = locate(text, quotation)
    assert text[start:end] == found


@pytest.mark.parametrize(
    ("text", "quotation", "complaint"),
    [
        ("one two", "three", "'three' is not in the document"),
        ("one two one", "one", "more than once"),
        ("aaa", "aa", "more than once"),
        ("one", " -\n", "without letters"),
    ],
    ids=["absent", "twice", "overlapping", "empty"],
)
def test_locate_refuses_what_is_not_there_exactly_once(
    text: str, quotation: str, complaint: str
) -> None:
    with pytest.raises(DatasetError, match=complaint):
        locate(text, quotation)


@settings(deadline=None)  # a busy machine is not a wrong answer
@given(
    before=st.text(alphabet="abc ", max_size=20),
    inside=st.text(alphabet="xyz", min_size=1, max_size=12),
    after=st.text(alphabet="abc ", max_size=20),
    breaks=st.sets(st.integers(1, 11)),
)
def test_locate_finds_what_was_hidden(
    before: str, inside: str, after: str, breaks: set[int]
) -> None:
    # The quotation's letters occur nowhere else; break it at random places and find it again.
    broken = "".join(("-\n" if i in breaks else "") + letter for i, letter in enumerate(inside))
    start, end = locate(before + broken + after, inside)
    assert (start, end) == (len(before), len(before) + len(broken))


def document(text: str) -> Document:
    return Document("d0", "tale.pdf", "00", "application/pdf", text, (), len(text))


def passage(text: str, start: int, end: int, *, doc_id: str = "d0") -> Passage:
    passage_id = make_passage_id(doc_id, start, end)
    return Passage(passage_id, doc_id, start, end, text[start:end], 1, 1)


def query(*answer: str, stem: str = "tale") -> SampleQuery:
    return SampleQuery("q", SampleGroup.LOOKUP, "?", stem, answer, "because")


TEXT = "aaaaaaaaaaBBBBBBBBcccccccccc"  # the answer is characters 10 to 18


@pytest.mark.parametrize(
    ("spans", "relevant"),
    [
        ([(0, 14), (14, 28)], [(0, 14), (14, 28)]),  # 4 + 4 of 8: both hold half
        ([(0, 13), (13, 28)], [(13, 28)]),  # 3 + 5
        ([(0, 20), (8, 28)], [(0, 20), (8, 28)]),  # overlapping passages, both whole
        ([(0, 12), (12, 15), (15, 28)], [(12, 15)]),  # 2 + 3 + 3: most, the first of two
        ([(0, 28)], [(0, 28)]),  # the whole document as one unit
    ],
    ids=["halves", "larger-part", "overlap", "thirds", "document"],
)
def test_relevant_is_who_holds_half_or_else_most(
    spans: list[tuple[int, int]], relevant: list[tuple[int, int]]
) -> None:
    passages = [passage(TEXT, *span) for span in spans]
    qrels = sample_qrels([query("BBBBBBBB")], [document(TEXT)], passages)
    assert qrels == {"q": {make_passage_id("d0", *span): 1 for span in relevant}}


def test_every_quotation_of_an_answer_counts_and_other_documents_do_not() -> None:
    text = "red fox. grey owl. brown hen."
    passages = [passage(text, 0, 8), passage(text, 9, 18), passage(text, 19, 29)]
    stranger = passage(text, 0, 29, doc_id="d1")
    qrels = sample_qrels([query("red fox", "brown hen")], [document(text)], [stranger, *passages])
    assert set(qrels["q"]) == {passages[0].passage_id, passages[2].passage_id}


def test_a_missing_document_is_named() -> None:
    with pytest.raises(DatasetError, match="'novel', which is not among"):
        sample_qrels([query("x", stem="novel")], [document("x")], [])


def test_an_answer_that_no_passage_touches_is_an_error() -> None:
    with pytest.raises(DatasetError, match=r"No passage of tale\.pdf touches"):
        sample_qrels([query("B")], [document("aaB")], [passage("aaB", 0, 2)])
