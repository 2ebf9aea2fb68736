"""The sample library keeps its promises: size, variety, no padding, the same bytes each time."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from core.records import Document

REPORT = "thornholme-barrage-report"
PAPER = "orrefall-ice-acoustics"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    # Imported by name: reportlab has no type stubs, and only this module of the tests needs it.
    return importlib.import_module("assets.sample.build")


def source_paragraphs(folder: Path) -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))]
    return [
        " ".join(part.split())
        for text in texts
        for part in re.split(r"\n\s*\n", text)
        if len(part.split()) >= 8
    ]


def test_there_are_at_least_six_documents_and_sixty_pages(
    sample_documents: dict[str, Document],
) -> None:
    pages = {stem: len(document.pages) for stem, document in sample_documents.items()}
    assert len(pages) >= 6
    assert sum(pages.values()) >= 60
    assert pages[REPORT] >= 25


def test_every_page_has_text_from_the_first_reader_and_nothing_is_warned_about(
    sample_documents: dict[str, Document],
) -> None:
    for document in sample_documents.values():
        assert document.warnings == ()
        for page in document.pages:
            assert document.text[page.start : page.end].strip()
            assert page.text_source == "pdfium"


def test_the_library_holds_at_least_27_thousand_words(
    sample_documents: dict[str, Document],
) -> None:
    assert sum(len(document.text.split()) for document in sample_documents.values()) >= 27_000


def test_the_files_are_small(sample_folder: Path) -> None:
    assert sum(path.stat().st_size for path in (sample_folder / "pdf").iterdir()) < 1_500_000


def test_the_paper_is_set_in_two_columns(sample_documents: dict[str, Document]) -> None:
    # On an inner page no letter stands in the gap between the columns, and both are full.
    document = sample_documents[PAPER]
    page = document.pages[1]
    boxes = page.char_boxes[~np.isnan(page.char_boxes[:, 0])]
    body = boxes[(boxes[:, 1] > 60) & (boxes[:, 3] < page.height - 60)]
    middle = page.width / 2
    left, right = body[:, 2] < middle, body[:, 0] > middle
    assert np.all(left | right)
    assert left.sum() > 1000
    assert right.sum() > 1000


def test_the_report_has_a_table_of_contents_whose_page_numbers_are_true(
    sample_documents: dict[str, Document],
) -> None:
    document = sample_documents[REPORT]
    contents = " ".join(document.text[page.start : page.end] for page in document.pages[1:3])
    entries = re.findall(r"(\d+\.\d+ [A-Z][\w, ]+?)\s+(\d{1,2})\n", contents)
    assert len(entries) >= 40
    for title, number in entries:
        page = document.pages[int(number) - 1]
        text = " ".join(document.text[page.start : page.end].split())
        assert title in text, (title, number)


def test_several_documents_have_tables(sample_folder: Path) -> None:
    sources = [path.read_text(encoding="utf-8") for path in (sample_folder / "source").glob("*.md")]
    assert sum("\n|" in text for text in sources) >= 6


def test_no_two_paragraphs_are_alike(sample_folder: Path) -> None:
    paragraphs = source_paragraphs(sample_folder / "source")
    assert len(paragraphs) > 400
    assert [text for text, times in Counter(paragraphs).items() if times > 1] == []


def test_no_long_sentence_occurs_twice(sample_folder: Path) -> None:
    sentences = [
        sentence
        for paragraph in source_paragraphs(sample_folder / "source")
        if not paragraph.startswith(("Table ", "|"))
        for sentence in re.split(r"(?<=[.!?]) ", paragraph)
        if len(sentence.split()) >= 6
    ]
    assert [text for text, times in Counter(sentences).items() if times > 1] == []


def test_the_pdfs_are_what_the_sources_give_byte_for_byte(build: ModuleType) -> None:
    assert build.stale() == []


def test_check_names_missing_changed_and_left_over_files(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, pdfs = tmp_path / "source", tmp_path / "pdf"
    sources.mkdir()
    pdfs.mkdir()
    monkeypatch.setattr(build, "SOURCE_FOLDER", sources)
    head = "---\ntitle: A\nlayout: plain\n---\n\n"
    for name in ("changed", "missing", "current"):
        (sources / f"{name}.md").write_text(f"{head}# One\n\nText of {name}.\n")
    for name in ("changed", "current"):
        (pdfs / f"{name}.pdf").write_bytes(build.typeset(sources / f"{name}.md"))
    (pdfs / "leftover.pdf").write_bytes(b"%PDF-1.4")
    (sources / "changed.md").write_text(f"{head}# One\n\nOther text.\n")
    assert build.stale(pdfs) == ["changed.pdf", "leftover.pdf", "missing.pdf"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no front matter", "front matter"),
        ("---\ntitle: A\nlayout: plain\n---\n\n:::proof\nopen\n", "not closed"),
        ("---\ntitle: A\nlayout: plain\n---\n\n:::riddle\nx\n:::\n", "unknown block"),
        ("---\ntitle: A\nlayout: plain\n---\n\n| a | b |\n|---|---|\n| 1 |\n", "uneven"),
    ],
    ids=["no-front-matter", "open-fence", "unknown-block", "uneven-table"],
)
def test_a_source_out_of_order_is_refused(
    build: ModuleType, tmp_path: Path, text: str, complaint: str
) -> None:
    source = tmp_path / "bad.md"
    source.write_text(text)
    with pytest.raises(ValueError, match=complaint):
        build.typeset(source)


@pytest.mark.parametrize(("wrong", "code"), [(["a.pdf"], 1), ([], 0)], ids=["stale", "current"])
def test_check_tells_the_shell_and_names_the_files(
    build: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: list[str],
    code: int,
) -> None:
    monkeypatch.setattr(build, "stale", lambda: wrong)
    assert build.main(["--check"]) == code
    assert ("not up to date: a.pdf" in capsys.readouterr().out) is bool(wrong)


def test_the_readme_counts_pages_and_queries_right(
    sample_folder: Path, sample_documents: dict[str, Document]
) -> None:
    readme = (sample_folder / "README.md").read_text(encoding="utf-8")
    for stem, document in sample_documents.items():
        assert re.search(rf"\| `{stem}` \| [a-z ]+ \| {len(document.pages)} \|", readme), stem
    groups = Counter(
        re.findall(r'"group": "([a-z-]+)"', (sample_folder / "queries.jsonl").read_text())
    )
    for group, size in groups.items():
        assert f"| `{group}` | {size} |" in readme
