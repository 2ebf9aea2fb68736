from core.experiments.drafts import DraftKind, draft_queries
from tests.experiments.stand_in import document, paragraphs, passages_of, texts_of


def test_a_heading_belongs_to_the_passage_it_opens() -> None:
    text = "# Sluice Gates of the River\n\nThe gates were closed in March after the flood had come."
    doc = document("md", text)
    (body,) = passages_of(doc, (text.index("The gates"), len(text)))
    drafts = draft_queries([body], texts_of([doc]))
    heading = next(draft for draft in drafts if draft.kind is DraftKind.HEADING)
    assert (heading.text, heading.passage_id) == ("Sluice Gates of the River", body.passage_id)


def test_running_heads_and_table_of_contents_are_no_headings() -> None:
    page = "Annual Report of the Board\n\nThe gates were closed in March, after which nobody passed.\n\n"
    text = "Opening the Gates ........ 12\n\n" + page * 4
    doc = document("toc", text)
    drafts = draft_queries(paragraphs(doc), texts_of([doc]))
    assert not [draft for draft in drafts if draft.kind is DraftKind.HEADING]
