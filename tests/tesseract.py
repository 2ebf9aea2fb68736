"""A stand-in for tesseract on the path: it speaks its command line and answers from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

HEAD = (
    "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
)
SCRIPT = """#!/bin/sh
here=$(dirname "$0")
if [ "$1" = --list-langs ]; then
  printf 'List of available languages in "/usr/share/tessdata/" (3):\\ndeu\\neng\\nosd\\n'
  exit 0
fi
(echo "$@" | dd of="$here/asked") 2>/dev/null  # under the worker's limits nothing is written
if [ -e "$here/slow" ]; then exec sleep 600; fi
cat > /dev/null
if [ -e "$here/fails" ]; then echo "Error opening data file" >&2; exit 1; fi
cat "$here/page.tsv"
"""


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: Sequence[Sequence[str]] = (),
    *,
    tsv: str = "",
) -> Path:
    """Put the stand-in on the path; it finds these words on every page, 100 pixels each."""
    folder.mkdir()
    program = folder / "tesseract"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    rows = [HEAD, "1\t1\t0\t0\t0\t0\t0\t0\t2480\t3508\t-1\t", "4\t1\t1\t1\t1\t0\t9\t9\t9\t9\t-1\t"]
    for line, words in enumerate(lines):
        for place, word in enumerate(words):
            at = f"{248 + 120 * place}\t{300 + 50 * line}\t100\t40"
            rows.append(f"5\t1\t1\t1\t{line + 1}\t{place + 1}\t{at}\t96.5\t{word}")
    (folder / "page.tsv").write_text(tsv or "\n".join(rows) + "\n")
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder
