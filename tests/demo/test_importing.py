"""Runs from elsewhere in the page: over the real rooms, with hostile names and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import CoreError, DatasetError, UnknownNameError, UsageError
from core.render.cards import columns
from demo.importing import Importing
from tests.demo.world import lent

PLACE = ("local", "my-documents")
QUERY = "sluice gate built of oak"


@pytest.fixture
def importing(real: Any) -> Importing:
    return Importing(real)


@pytest.fixture
def upload(tmp_path: Path) -> Any:
    def make(name: str, text: str) -> Path:
        folder = tmp_path / "incoming"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(text, "utf-8")
        return path

    return make


def compared(importing: Importing) -> Any:
    return lent(importing.handlers.services, *PLACE).ask(QUERY, k=5)


def test_a_run_is_kept_shown_asked_and_removed(importing: Importing, upload: Any) -> None:
    run = upload(
        "theirs.trec", "7 Q0 tides.txt:0-60 1 0.9 <b>x</b>\n7 Q0 gone.pdf 2 0.5 <b>x</b>\n"
    )
    texts = upload("queries.tsv", f"7\t{QUERY}\n")
    (kept,) = importing.add(*PLACE, [run, texts])
    assert run.exists()  # another visitor may have uploaded the same
    assert texts.exists()
    html = importing.shown(*PLACE)
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert "<b>x" not in html
    assert "1 of 2 hits are of this library" in html
    assert f'data-act="ask" data-text="{QUERY}"' in html
    comparison = compared(importing)
    column = comparison.columns[-1]
    assert (column.info.family, len(column.ranking.hits)) == ("imported", 1)
    shown = columns(comparison, {})
    assert "<b>x" not in shown
    assert "gone.pdf" in shown  # named where it is missing
    importing.remove(*PLACE, kept.run_id)
    assert "None yet" in importing.shown(*PLACE)
    assert len(compared(importing).columns) == 3


def test_a_run_without_the_words_of_its_queries_says_so(importing: Importing, upload: Any) -> None:
    importing.add(*PLACE, [upload("theirs.trec", "7 Q0 tides.txt:0-60 1 0.9 x\n")])
    assert "The words of its queries are not known" in importing.shown(*PLACE)
    html = columns(compared(importing), {})
    assert "This run has nothing to show for this question" in html
    assert "was not asked this query" in html


@pytest.mark.parametrize(
    ("name", "text", "error", "words"),
    [
        ("x.csv", "<script>,b\n1,2\n", DatasetError, "expected columns query_id"),
        ("x.json", "[" * 100_000, DatasetError, "not JSON"),
        ("q.tsv", "1\twhy\n", UsageError, "There is no run among the files"),
        ("x.trec", "1 Q0 a 1 nan t\n", DatasetError, "not finite"),
    ],
)
def test_what_is_no_run_is_refused(
    importing: Importing, upload: Any, name: str, text: str, error: type[CoreError], words: str
) -> None:
    path = upload(name, text)
    with pytest.raises(error, match=words):
        importing.add(*PLACE, [path])
    assert "None yet" in importing.shown(*PLACE)


def test_a_huge_file_is_refused(importing: Importing, upload: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("demo.importing.MAX_FILE_BYTES", 8)
    with pytest.raises(DatasetError, match="up to 0 MiB are read"):
        importing.add(*PLACE, [upload("x.trec", "1 Q0 tides.txt 1 1 t\n")])


def test_a_strangers_library_is_closed(importing: Importing, upload: Any) -> None:
    path = upload("x.trec", "1 Q0 tides.txt 1 1 t\n")
    with pytest.raises(UnknownNameError):
        importing.add("somebody", "my-documents", [path])
    with pytest.raises(UnknownNameError):
        importing.remove(*PLACE, "nothing")
