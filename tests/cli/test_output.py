"""What commands share: the line of progress, excerpts, files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core.cli.output import ConsoleMonitor, excerpt, write
from core.errors import UsageError
from core.monitor import Progress


def test_an_error_finds_the_line_of_progress_cleared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    def fail() -> None:
        with ConsoleMonitor() as monitor:
            monitor.report(Progress("embedding", 3, 1200, "a\nb.pdf"))
            raise UsageError("no")

    with pytest.raises(UsageError):
        fail()
    written = capsys.readouterr().err
    shown, cleared = "embedding 3 of 1,200 a b.pdf".ljust(100), " " * 100
    assert written == f"\r{shown}\r{cleared}\r"


def test_nothing_is_written_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleMonitor() as monitor:
        monitor.report(Progress("embedding", 3, 1200))
    assert capsys.readouterr().err == ""


def test_an_excerpt_is_one_line_of_ninety_characters() -> None:
    assert excerpt("a\tb\u202ec" + "d" * 200) == "a b c" + "d" * 85


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write(tmp_path / "new" / "report.html", "a\n")
    assert (tmp_path / "new" / "report.html").read_bytes() == b"a\n"
    with pytest.raises(UsageError, match=r"new cannot be written: .*Choose another\."):
        write(tmp_path / "new", "a folder stands here")
