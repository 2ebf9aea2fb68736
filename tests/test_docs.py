"""The pages that describe the program: names in them exist, generated blocks are fresh."""

from __future__ import annotations

from tests.tools import docs


def test_pages_and_program_agree() -> None:
    assert docs.main([]) == 0


def test_a_named_file_that_does_not_exist_is_a_complaint() -> None:
    text = "add a line to `core/errors.py`, then to `core/nowhere.py`"
    assert docs.unknown_files("CONTRIBUTING.md", text) == [
        "CONTRIBUTING.md: `core/nowhere.py` does not exist"
    ]


def test_a_readme_of_more_than_900_words_is_a_complaint() -> None:
    assert docs.too_long("README.md", "word " * 900) == []
    assert docs.too_long("README.md", "word " * 901) == ["README.md: 901 words"]
