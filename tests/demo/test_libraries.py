"""Arriving, what is shown about a library, and forgetting a document."""

from __future__ import annotations

import re
from typing import Any

import pytest

from core.errors import UsageError
from tests.demo.conftest import upload


def test_arriving_shows_the_sample_library_with_its_examples(handlers: Any) -> None:
    visitor, screen = handlers.libraries.arrive("")
    assert visitor == "local"
    assert screen.library_id == "sample"
    assert "tides.pdf" in screen.documents
    assert 'data-act="remove"' not in screen.documents
    for group in ("lookup", "paraphrase", "long-range", "reasoning"):
        assert f"{group} (1)" in screen.examples


def test_a_link_to_a_library_that_is_not_there_leads_to_the_default(handlers: Any) -> None:
    assert handlers.libraries.arrive("local", "nobody's")[1].library_id == "sample"


def test_the_screen_before_a_question_is_about_the_library_that_is_open(
    handlers: Any, tmp_path: Any
) -> None:
    text = b"The sluice gate was built of oak in 1840. It opens when the tide falls below the sill."
    assert "This library is empty" in handlers.libraries.blank("local", "my-documents")
    handlers.indexing.upload("local", "my-documents", [upload(tmp_path, "a.txt", text)])[
        1
    ].outcome()
    own = handlers.libraries.blank("local", "my-documents")
    assert "Ask your documents a question" in own
    assert 'data-view="disagree"' in own
    # what is offered is drafted from this library, not taken from the sample
    assert all(
        "sluice" in asked or "tide" in asked for asked in re.findall('data-text="([^"]*)', own)
    )
    assert handlers.libraries.blank("nobody", "my-documents") is None


def test_a_document_can_be_removed_but_not_from_the_sample(
    handlers: Any, world: Any, tmp_path: Any
) -> None:
    handlers.indexing.upload("local", "my-documents", [upload(tmp_path, "a.txt")])[1].outcome()
    doc_id = world.library().documents()[0].doc_id
    assert (
        "a.txt" not in handlers.libraries.remove_document("local", "my-documents", doc_id).documents
    )
    sample = world.library("sample").documents()[0].doc_id
    with pytest.raises(UsageError, match="sample library stays"):
        handlers.libraries.remove_document("local", "sample", sample)
