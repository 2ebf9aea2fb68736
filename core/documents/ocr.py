"""Scanned pages read by tesseract, where it is installed: the only program that is run beside us.

`languages` says in the main process what is on offer; `recognised` runs in the worker, under its
limits and in its process group, so that Stop ends it too. Nothing is written to the disk.
"""

from __future__ import annotations

import functools
import re
import shutil
import struct
import subprocess

import numpy as np

from core.documents.text import NEWLINE, SPACE, Characters, no_characters
from core.errors import InvalidSettingError, PdfReadError, UsageError

PROGRAM = "tesseract"
DOTS_PER_INCH = 300
PAGE_SECONDS = 120.0
FILE_SECONDS = 6 * 3600.0
ADVISED = "run OCR"  # in a warning: OCR would help
READ = "read by OCR"  # in a warning: it was done
INSTALL = (
    "Install tesseract with the languages you need (apt install tesseract-ocr tesseract-ocr-deu, "
    "or brew install tesseract tesseract-lang), and scanned pages are read here."
)
_WORD_LEVEL, _PLACE, _CONFIDENCE = 5, slice(1, 5), 10  # columns of tesseract's TSV
_LANGUAGE = re.compile(r"[A-Za-z][\w/-]{1,40}")
_NO_LANGUAGES = {"osd", "equ", "snum"}
_LISTING_SECONDS = 20.0
_FARTHEST = 10**6  # pixels; no page is as large


def languages() -> tuple[str, ...]:
    """Languages that scanned pages can be read in, by tesseract's codes; none without it."""
    program = shutil.which(PROGRAM)
    return _listed(program) if program else ()


def require_languages(chosen: str) -> str:
    """Return one or more languages, joined by "+", that can be read here.

    Raises:
        UsageError: If tesseract is not installed.
        InvalidSettingError: If it lacks one of them.
    """
    offered = languages()
    if not offered:
        raise UsageError(f"Scanned pages cannot be read: tesseract is not installed. {INSTALL}")
    for name in chosen.split("+"):
        if name not in offered:
            raise InvalidSettingError(
                f'tesseract has no language "{name}" here; it has {", ".join(offered)}. Choose '
                "from these, or install its data."
            )
    return chosen


@functools.lru_cache(maxsize=4)
def _listed(program: str) -> tuple[str, ...]:
    try:
        run = subprocess.run(  # noqa: S603 - found on the user's own path
            [program, "--list-langs"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LISTING_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    names = (run.stdout or run.stderr).decode("utf-8", "replace").split("\n")[1:]
    return tuple(
        name
        for name in map(str.strip, names)
        if _LANGUAGE.fullmatch(name) and name not in _NO_LANGUAGES
    )


def recognised(image: bytes, chosen: str, *, seconds: float, max_chars: int) -> Characters:
    """Return the characters of a PNG; boxes in shares of its width, from its top left corner.

    Raises:
        PdfReadError: If tesseract fails or takes too long; says why.
    """
    command = [shutil.which(PROGRAM) or PROGRAM, "stdin", "stdout", "-l", chosen]
    try:
        run = subprocess.run(  # noqa: S603 - `require_languages` saw the languages
            [*command, "--dpi", str(DOTS_PER_INCH), "tsv"],
            input=image,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise PdfReadError(f"it took longer than {seconds:g} seconds") from exc
    except OSError as exc:
        raise PdfReadError(f"tesseract does not start: {exc.strerror}") from exc
    if run.returncode:
        said = " ".join(run.stderr.decode("utf-8", "replace").split())
        raise PdfReadError(f"tesseract: {said[:200] or f'exit code {run.returncode}'}")
    (width,) = struct.unpack(">I", image[16:20])
    return _characters(run.stdout.decode("utf-8", "replace"), width, max_chars)


def _characters(table: str, width: int, max_chars: int) -> Characters:
    """Return the words of tesseract's TSV, one box cut evenly for the letters of each."""
    codes: list[int] = []
    boxes: list[tuple[float, float, float, float]] = []
    nowhere = (np.nan,) * 4
    line: list[str] = []
    for row in table.split("\n"):
        cells = row.rstrip("\r").split("\t", 11)
        try:
            level, (left, top, wide, high) = int(cells[0]), map(int, cells[6:10])
            sure = float(cells[_CONFIDENCE])
        except (ValueError, IndexError):  # the heading, or no row at all
            continue
        word = " ".join(cells[-1].split()) if len(cells) > _CONFIDENCE + 1 else ""
        far = max(abs(left), abs(top), abs(wide), abs(high)) > _FARTHEST
        if level != _WORD_LEVEL or sure < 0 or far or not word:
            continue
        if codes:
            codes.append(SPACE if cells[_PLACE] == line else NEWLINE)
            boxes.append(nowhere)
        line = cells[_PLACE]
        step = wide / len(word)
        codes += map(ord, word)
        boxes += (
            (left + n * step, top, left + (n + 1) * step, top + high) for n in range(len(word))
        )
        if len(codes) > max_chars:
            break
    if not codes:
        return no_characters()
    return Characters(
        np.array(codes[:max_chars], np.uint32),
        (np.array(boxes[:max_chars]) / width).astype(np.float32),
    )
