"""The door for scripts: the page `docs/python.md` runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core import open_library
from core.errors import UnknownNameError, UsageError
from core.script import Answer, Measures
from tests.evaluation.folders import write_folder
from tests.golden.outputs import PDFS, QUESTIONS
from tests.pdfs import plain_pdf
from tests.tools.lock import ROOT

DOCS = ROOT / "docs" / "python.md"


def examples() -> list[str]:
    """Return the page's examples."""
    return re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def files(folder: Path) -> None:
    """Write the files that the examples read."""
    for name, pages in PDFS.items():
        (folder / name).write_bytes(plain_pdf(pages))
    write_folder(
        folder / "questions",
        documents={
            f"{Path(name).stem}-{number}": ("", page)
            for name, pages in PDFS.items()
            for number, page in enumerate(pages, start=1)
        },
        queries={name: text for name, (text, _right) in QUESTIONS.items()},
        qrels={name: right for name, (_text, right) in QUESTIONS.items()},
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_every_example_of_the_page_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for example in examples():
        exec(compile(example, str(DOCS), "exec"), names)  # noqa: S102 - our own page
    answer, measures = names["answer"], names["measures"]
    assert isinstance(answer, Answer)
    assert isinstance(measures, Measures)
    printed = capsys.readouterr().out
    assert "['locks.pdf', 'owls.pdf'] 0 skipped" in printed
    assert "Who hears mice under the snow?" in answer._repr_html_()
    assert "owls.pdf</b>, page 1" in answer._repr_html_()
    table = answer.to_pandas()
    assert set(table["system"]) == {column.info.system_id for column in answer.comparison.columns}
    first = table[(table["system"] == "bm25") & (table["rank"] == 1)].iloc[0]
    assert (first["document"], first["page"]) == ("owls.pdf", 1)
    assert "nDCG@10" in measures._repr_html_()
    assert set(measures.to_pandas()["queries"]) == {len(QUESTIONS)}
    stored = pd.read_parquet(place / "papers.parquet")
    assert [len(row) for row in stored["bifocal-diffusion-135m"]] == [
        len(row) for row in stored["bifocal-autoregressive-135m"]
    ]
    assert list(stored.columns[:4]) == ["passage_id", "document", "page", "text"]


def test_markup_in_a_name_stays_text_in_a_notebook(place: Path) -> None:
    hostile = place / "<img src=x onerror=alert(1)>.txt"
    hostile.write_text("Owls hear mice under the snow.")
    with open_library(place / "w", offline=True) as library:
        library.add(hostile)
        shown = library.ask("<script>alert(2)</script> mice")._repr_html_()
    assert "<img" not in shown
    assert "<script" not in shown


def test_bad_input_is_named(place: Path) -> None:
    with pytest.raises(UnknownNameError, match="nobody"):
        open_library(place / "w", pair="nobody")
    with open_library(place / "w", offline=True) as library:  # it was closed again
        with pytest.raises(UsageError, match=r"gone\.pdf does not exist"):
            library.add("gone.pdf")
        with pytest.raises(UsageError, match="choose"):
            library.evaluate("questions", unit="page")
