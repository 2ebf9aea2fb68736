"""Compare reading of a folder of PDFs with pdftotext (if installed) and pypdf, file by file.

    make read-bench FOLDER=somewhere        # or: python -m tests.tools.read_bench somewhere

Recall is the share of a reference's words, each as often as the reference has it, that are in our
text. Running heads and page numbers, which are no part of the text, count as read; what lies
outside the crop box counts for nobody. Words are runs of letters and digits in their matching form
(scripts without spaces: characters), cut words joined. A file is *worse* when pypdf has more of
pdftotext's words than we have, or when more than a hundredth of pdftotext's characters is missing;
without pdftotext, pypdf is the reference.
"""

from __future__ import annotations

import argparse
import io
import logging
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pypdf

from core.documents.reading import Worker, read_document
from core.errors import CoreError
from core.normal import matching_form
from core.settings import ExtractionLimits

MARGIN = 0.01
FEW_WORDS = 4
TIMEOUT_SECONDS = 120
_EAST_ASIAN = "\u2e80"


def words_of(text: str) -> Counter[str]:
    """Return the words of a text, however its lines are broken."""
    words: list[str] = []
    word = ""
    for letter in matching_form(text).casefold().replace("\xad", "").replace("\u200b", "") + " ":
        if not letter.isalnum() and unicodedata.category(letter)[0] != "M":
            words.append(word)
            word = ""
        elif letter >= _EAST_ASIAN or "\u0e00" <= letter <= "\u0eff":
            words.append(letter)
        else:
            word += letter
    return Counter(filter(None, words))


def joined_lines(text: str) -> str:
    """Return a reference's text with words that are cut at line ends joined, as ours are."""
    return "".join(
        line[:-1] if line.endswith(("-", "\u2010")) and line[-2:-1].isalpha() else f"{line}\n"
        for line in text.replace("\f", "\n").splitlines()
    )


def recall(ours: Counter[str], theirs: Counter[str]) -> float:
    """Return the share of their words that are ours; 1 where they have none."""
    total = theirs.total()
    return (ours & theirs).total() / total if total else 1.0


def characters(words: Counter[str]) -> Counter[str]:
    """Return how often each character stands in the words."""
    counted: Counter[str] = Counter()
    for word, times in words.items():
        for letter in word:
            counted[letter] += times
    return counted


def read_by_pdftotext(path: Path, window: list[str]) -> str:
    """Return poppler's text; "" when it fails."""
    command = ["pdftotext", "-q", "-enc", "UTF-8", *window, str(path), "-"]
    try:
        made = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return made.stdout.decode("utf-8", "replace")


def read_by_pypdf(data: bytes) -> tuple[str, list[str]]:
    """Return pypdf's text, "" when it fails, and pdftotext's options for the crop box."""
    try:
        pages = pypdf.PdfReader(io.BytesIO(data)).pages
        [(window, _)] = Counter(map(_window, pages)).most_common(1)
        return "\n".join(page.extract_text() or "" for page in pages), list(window)
    except Exception:  # noqa: BLE001 - any file of any kind
        return "", []


def _window(page: Any) -> tuple[str, ...]:
    crop, media = page.cropbox, page.mediabox
    sides = crop.left - media.left, media.top - crop.top, crop.width, crop.height
    if crop == media or page.rotation or min(sides) < 0:
        return ()
    named = zip(("-x", "-y", "-W", "-H"), sides, strict=True)
    return ("-r", "72", *(part for name, side in named for part in (name, str(round(side)))))


def read_by_us(data: bytes, name: str, worker: Worker) -> tuple[str, str]:
    """Return our text with its furniture, and its warnings or the error."""
    try:
        document = read_document(data, name, limits=worker.limits, worker_process=worker)
    except CoreError as exc:
        return "", str(exc)
    furniture = "\n".join(page.furniture for page in document.pages)
    return f"{document.text}\n{furniture}", "; ".join(document.warnings)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Print a line for every file, then the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    has_pdftotext = shutil.which("pdftotext") is not None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    tally: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    worker = Worker(ExtractionLimits(file_seconds=TIMEOUT_SECONDS))
    say("verdict   words: ours / pypdf's   characters   file")
    for path in sorted(options.folder.rglob("*.pdf")):
        data = path.read_bytes()
        if not worker.alive:
            worker = Worker(worker.limits)
        text, said = read_by_us(data, path.name, worker)
        ours = words_of(text)
        second, window = read_by_pypdf(data)
        pypdfs = words_of(joined_lines(second))
        reference = pypdfs
        if has_pdftotext:
            reference = words_of(joined_lines(read_by_pdftotext(path, window)))
        if reference.total() < FEW_WORDS:
            tally["without text"] += 1
            continue
        words, theirs = recall(ours, reference), recall(pypdfs, reference)
        found = recall(characters(ours), characters(reference))
        lost = found < 1 - MARGIN
        worse = lost or (has_pdftotext and words < theirs - MARGIN)
        verdict = "worse" if worse else "better" if words > theirs + MARGIN else "same"
        tally.update([verdict, *["losing characters"] * lost])
        sums.update({"ours": words, "pypdf": theirs, "files": 1})
        say(f"{verdict:9} {words:.3f} / {theirs:.3f}   {found:.3f}   {path.name}   {said[:90]}")
    worker.close()
    files = max(sums["files"], 1)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in sorted(tally.items()))
    say(
        f"{counted}; mean recall {sums['ours'] / files:.3f}, pypdf's {sums['pypdf'] / files:.3f} "
        f"over {files} files with text"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
