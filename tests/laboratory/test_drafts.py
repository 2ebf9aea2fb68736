import pytest

from core.errors import LaboratoryError
from core.laboratory.drafts import (
    PARAGRAPH_SHARE,
    DraftKind,
    ask,
    define,
    draft_queries,
    keywords,
)
from core.records import Document
from tests.laboratory.stand_in import KITCHEN, RIVER, document, paragraphs, passages_of


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("A sluice gate is a barrier that slides in grooves.", "What is a sluice gate?"),
        ("Entropy refers to the disorder of a closed system.", "What does Entropy refer to?"),
        (
            "The term of office means the years served in one seat.",
            "What does the term of office mean?",
        ),
        ("It is a barrier that slides in grooves.", ""),
        ("This is the barrier that slides in grooves.", ""),
        ("A gate is a.", ""),
        ("Beneath each bay is a sill of oak and iron.", ""),
        ("The third is the one that was lost in the fire.", ""),
        ("The quiet one always means that the valve is shut.", ""),
    ],
)
def test_definitions_become_questions(sentence: str, question: str) -> None:
    assert define(sentence) == question


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        (
            "The sluice gates were closed in March after the flood.",
            "Were the sluice gates closed in March after the flood?",
        ),
        (
            "If the pressure falls, the valve shuts by itself.",
            "What happens if the pressure falls?",
        ),
        ("To open the gate, turn the wheel to the left.", "How do you open the gate?"),
        (
            "The gates were closed because the river had risen fast.",
            "Why were the gates closed?",
        ),
        ("Ada Lovelace was the first to see this.", "Was Ada Lovelace the first to see this?"),
        ("They were closed in March after the flood.", ""),
        ("Were the gates closed in March after the flood?", ""),
        ("Short one.", ""),
        ("Without them nobody would have known about the sand.", ""),
        ("Thirty-eight had their full strength after the winter.", ""),
        ("The rise in the second winter was not gradual at all.", ""),
        ("Die Schleuse öffnet sich bei steigendem Wasser von selbst.", ""),
    ],
)
def test_sentences_become_questions(sentence: str, question: str) -> None:
    assert ask(sentence) == question


def test_names_keep_their_capital_and_other_words_lose_it() -> None:
    common = frozenset({"magnesium", "gates"})
    said = "Magnesium has been tried five times in good studies"
    assert ask(said, common) == "Has magnesium been tried five times in good studies?"
    said = "Varne has been tried five times in good studies"
    assert ask(said, common) == "Has Varne been tried five times in good studies?"


def test_keywords_are_the_rarest_words_in_their_order() -> None:
    rarity = {
        "gate": 1.0,
        "sluice": 3.0,
        "barrier": 3.0,
        "river": 2.0,
        "rises": 3.0,
        "grooves": 3.0,
        "march": 3.0,
        "flood": 3.0,
    }
    text = "The sluice gate and the barrier in the river: grooves, March, flood, rises."
    # six of the seven rarest by weight; gate (1.0) and river (2.0) come last, so both go
    assert keywords(text, rarity) == "sluice barrier grooves March flood rises"


def test_every_draft_names_its_source_and_texts_differ() -> None:
    passages = paragraphs(RIVER) + paragraphs(KITCHEN)
    drafts = draft_queries(passages, [RIVER, KITCHEN])
    ids = {passage.passage_id: passage for passage in passages}
    assert all(ids[draft.passage_id].doc_id == draft.doc_id for draft in drafts)
    texts = [" ".join(draft.text.casefold().split()) for draft in drafts]
    assert len(set(texts)) == len(texts)
    assert {DraftKind.HEADING, DraftKind.DEFINITION, DraftKind.QUESTION} <= {d.kind for d in drafts}
    assert "The Sluice Gates" in {draft.text for draft in drafts}


def test_a_heading_belongs_to_the_passage_it_opens() -> None:
    text = "# Sluice Gates of the River\n\nThe gates were closed in March after the flood had come."
    doc = document("md", text)
    (body,) = passages_of(doc, (text.index("The gates"), len(text)))
    drafts = draft_queries([body], [doc])
    heading = next(draft for draft in drafts if draft.kind is DraftKind.HEADING)
    assert (heading.text, heading.passage_id) == ("Sluice Gates of the River", body.passage_id)


def test_running_heads_and_table_of_contents_are_no_headings() -> None:
    page = "Annual Report of the Board\n\nThe gates were closed in March, after which nobody passed.\n\n"
    text = "Opening the Gates ........ 12\n\n" + page * 4
    doc = document("toc", text)
    drafts = draft_queries(paragraphs(doc), [doc])
    assert not [draft for draft in drafts if draft.kind is DraftKind.HEADING]


def _library(count: int, size: tuple[int, ...]) -> list[Document]:
    documents = []
    for number in range(count):
        body = "\n\n".join(
            f"The valve{number}x{place} was opened in hall{place} by crew{number} under lamp{place} "
            f"because pump{place} had failed during test{number}."
            + " More of the same follows here."
            * 6
            for place in range(size[number])
        )
        documents.append(document(f"{number:02d}", body))
    return documents


def test_long_documents_do_not_drown_short_ones() -> None:
    documents = _library(3, (60, 60, 4))
    passages = [passage for doc in documents for passage in paragraphs(doc)]
    drafts = draft_queries(passages, documents, count=24)
    counts = [sum(draft.doc_id == doc.doc_id for draft in drafts) for doc in documents]
    assert sum(counts) == 24
    assert max(counts) - min(counts) <= 2


def test_whole_paragraphs_stay_few() -> None:
    documents = _library(2, (60, 60))
    passages = [passage for doc in documents for passage in paragraphs(doc)]
    drafts = draft_queries(passages, documents, count=100)
    long = [draft for draft in drafts if draft.kind is DraftKind.PARAGRAPH]
    assert 0 < len(long) <= 100 * PARAGRAPH_SHARE


def test_same_seed_same_drafts_in_whatever_order_the_library_comes() -> None:
    documents = _library(2, (30, 30))
    passages = [passage for doc in documents for passage in paragraphs(doc)]
    one = draft_queries(passages, documents, count=20, seed=3)
    assert one == draft_queries(passages[::-1], documents[::-1], count=20, seed=3)
    assert one != draft_queries(passages, documents, count=20, seed=4)


def test_a_library_without_words_gives_a_sentence() -> None:
    doc = document("scan", "· · ·")
    with pytest.raises(LaboratoryError, match="No query can be drafted"):
        draft_queries(paragraphs(doc), [doc])
