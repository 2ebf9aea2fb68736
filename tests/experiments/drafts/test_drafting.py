import pytest

from core.errors import LaboratoryError
from core.experiments.drafts import PARAGRAPH_SHARE, DraftKind, draft_queries
from core.records import Document
from tests.experiments.stand_in import KITCHEN, RIVER, document, paragraphs, texts_of


def test_every_draft_names_its_source_and_texts_differ() -> None:
    passages = paragraphs(RIVER) + paragraphs(KITCHEN)
    drafts = draft_queries(passages, texts_of([RIVER, KITCHEN]))
    ids = {passage.passage_id: passage for passage in passages}
    assert all(ids[draft.passage_id].doc_id == draft.doc_id for draft in drafts)
    texts = [" ".join(draft.text.casefold().split()) for draft in drafts]
    assert len(set(texts)) == len(texts)
    assert {DraftKind.HEADING, DraftKind.DEFINITION, DraftKind.QUESTION} <= {d.kind for d in drafts}
    assert "The Sluice Gates" in {draft.text for draft in drafts}


def _word(number: int) -> str:
    """A word of its own for every number below 196."""
    digits = (number // 14, number % 14)
    return "".join("aeiou"[digit % 5] + "bcdfghklmnprst"[digit] for digit in digits) + "ar"


def _library(count: int, size: tuple[int, ...]) -> list[Document]:
    documents = []
    for number in range(count):
        body = "\n\n".join(
            f"The {_word(place)} valve was opened in the {_word(number)} hall by the night crew "
            f"because the pump of {_word(place)} had failed in the {_word(number)} trial."
            + " More of the same follows here."
            * 6
            for place in range(size[number])
        )
        documents.append(document(f"{number:02d}", body))
    return documents


def test_long_documents_do_not_drown_short_ones() -> None:
    documents = _library(3, (60, 60, 4))
    passages = [passage for doc in documents for passage in paragraphs(doc)]
    drafts = draft_queries(passages, texts_of(documents), count=24)
    counts = [sum(draft.doc_id == doc.doc_id for draft in drafts) for doc in documents]
    assert sum(counts) == 24
    assert max(counts) - min(counts) <= 2


def test_whole_paragraphs_stay_few() -> None:
    documents = _library(2, (60, 60))
    passages = [passage for doc in documents for passage in paragraphs(doc)]
    drafts = draft_queries(passages, texts_of(documents), count=100)
    long = [draft for draft in drafts if draft.kind is DraftKind.PARAGRAPH]
    assert 0 < len(long) <= 100 * PARAGRAPH_SHARE


def test_only_the_kinds_asked_for_are_drafted() -> None:
    kinds = (DraftKind.QUESTION, DraftKind.DEFINITION)
    drafts = draft_queries(paragraphs(RIVER), texts_of([RIVER]), kinds=kinds)
    assert {draft.kind for draft in drafts} == set(kinds)
    assert all(draft.text.endswith("?") for draft in drafts)


def test_headings_and_rows_make_no_questions() -> None:
    text = (
        "The gates of the upper lock are closed in winter\n\n"
        "Pool level 12.40 is 3.20 above 9.10\n\n"
        "The barges on the river were stopped by the flood of March.\n\n"
    )
    doc = document("rows", text)
    drafts = draft_queries(paragraphs(doc), texts_of([doc]), kinds=(DraftKind.QUESTION,))
    assert [draft.text for draft in drafts] == [
        "Were the barges on the river stopped by the flood of March?"
    ]


def test_same_seed_same_drafts_in_whatever_order_the_library_comes() -> None:
    documents = _library(2, (30, 30))
    passages = [passage for doc in documents for passage in paragraphs(doc)]
    one = draft_queries(passages, texts_of(documents), count=20, seed=3)
    assert one == draft_queries(passages[::-1], texts_of(documents[::-1]), count=20, seed=3)
    assert one != draft_queries(passages, texts_of(documents), count=20, seed=4)


def test_a_library_without_words_gives_a_sentence() -> None:
    doc = document("scan", "· · ·")
    with pytest.raises(LaboratoryError, match="No query can be drafted"):
        draft_queries(paragraphs(doc), texts_of([doc]))


def test_formulas_and_code_draft_nothing() -> None:
    formula = "(U ∩ V) = f(x) ≤ 0.5, x0 → x1, { 0, 1 } ⊆ T, ∃ε > 0: Bε(x) ⊆ U ⇒ U ∈ T. " * 6
    story = "The gates were closed in March after the flood had come down the river.\n\n"
    doc = document("maths", f"SLn(K) = {{A | det A}}\n\n{formula}\n\n{story}")
    drafts = draft_queries(paragraphs(doc), texts_of([doc]))
    assert drafts
    assert not any("∩" in draft.text or "SLn" in draft.text for draft in drafts)


def test_german_is_drafted_in_german() -> None:
    text = (
        "Axiome von\n\nEin Hochlager ist eine Halle mit Regalen, die bis zur Decke reichen, und "
        "es wird von Kranen bedient, die auch in der Nacht fahren.\n\n"
        "Will jedoch jemand die Halle betreten, so muss der Kran mit dem Schlüssel gesperrt werden."
    )
    doc = document("lager", text)
    drafts = draft_queries(paragraphs(doc), texts_of([doc]))
    texts = {draft.text for draft in drafts}
    assert "Was ist ein Hochlager?" in texts
    assert not any(draft.kind is DraftKind.QUESTION for draft in drafts)
    words = {w.casefold() for d in drafts if d.kind is DraftKind.KEYWORDS for w in d.text.split()}
    assert words
    assert words.isdisjoint({"die", "eine", "mit", "und", "der", "muss"})
    assert "Axiome von" not in texts
