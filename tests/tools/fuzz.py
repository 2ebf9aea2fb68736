"""Damaged files through the real worker: none may hang it, none may end in an unplanned error.

    python -m tests.tools.fuzz --files 2000 --seed 0

Takes small files of our own, PDFs most of all, changes them at random (bytes flipped, cut short, tokens swapped,
numbers replaced, streams spliced, parts of two files joined), half of them with a new cross-reference
table so that readers get inside, reads each and prints what came of
it. One worker serves until a file kills it. Exit code 1 when a file took longer than the limits
allow or an error came that is no `CoreError`; such files are kept in ``--keep``.
"""

from __future__ import annotations

import argparse
import collections
import io
import random
import re
import sys
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from core.documents import Worker, read_document, render_page
from core.errors import CoreError, LimitExceededError
from core.settings import MEBIBYTE, ExtractionLimits
from tests import office, pdfs

LIMITS = ExtractionLimits(
    pages=200, page_seconds=5.0, file_seconds=15.0, cpu_seconds=15, memory_bytes=768 * MEBIBYTE
)
GRACE_SECONDS = 5.0  # to notice and kill, on a busy machine
RENDER_EVERY = 20  # drawing starts a worker of its own, so only some are drawn

REPAIRED_SHARE = 0.5

_TOKEN = re.compile(rb"/[A-Za-z0-9]+|\d+ \d+ R|\b\d+\b|<<|>>|\[|\]|endobj|endstream|stream")
_OBJECT = re.compile(rb"(?<!\d)(\d{1,5}) 0 obj\b")
_ROOT = re.compile(rb"/Root (\d{1,5}) 0 R")
_NUMBER = re.compile(rb"-?\d+")
_STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
_NUMBERS = [b"-1", b"0", b"1", b"4294967295", b"2147483648", b"99999999999999999999", b"0.0001"]
_OPERATORS = [b"BT", b"ET", b"Tj", b"q", b"Q", b"cm", b"Do", b"Tf", b"TJ", b"'", b"[", b"(", b"<<"]


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        files: How many were tried.
        counts: Read, or the name of the error, and how many files each.
        slowest_seconds: The file that took longest.
        restarts: How many times a file cost the worker its life.
        failures: What must not happen, in words, with the number of the file.
    """

    files: int = 0
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest_seconds: float = 0.0
    restarts: int = 0
    failures: list[str] = field(default_factory=list)


def seeds() -> list[bytes]:
    """Small files of every kind; streams unpacked in half of the PDFs: changes reach inside."""
    packed = [
        pdfs.plain_pdf([pdfs.PROSE, "Two.", ""]),
        pdfs.two_column_pdf(),
        pdfs.table_pdf(),
        pdfs.partly_scanned_pdf([pdfs.PROSE, ""]),
        pdfs.rotated_pdf(90, crop=(50, 400, 500, 800)),
        pdfs.encrypted_pdf("", algorithm="AES-256"),
        pdfs.encrypted_pdf("", algorithm="RC4-40"),
        pdfs.encrypted_pdf("secret", algorithm="AES-128"),
        pdfs.many_pages_pdf(30),
    ]
    open_ones = [
        pdfs.unicode_pdf("oﬃce 😀 日本 text with a map"),
        pdfs.hostile_text_pdf(),
        pdfs.self_referencing_pdf(),
        pdfs.one_page_pdf(b"BT /F1 12 Tf 50 700 Td (plain) Tj 0 -14 Td [(ker) -80 (ned)] TJ ET"),
        pdfs.undrawn_glyphs_pdf(),
        pdfs.form_pdf(),
        pdfs.object_stream_pdf(),
    ]
    others = [
        office.docx_file(rows=[("Sluice", "Depth"), ("S1", "1.5")], heading="Locks"),
        office.PAGE.encode(),
        b'name;depth;note\nS1;1,5;"two\nlines"\nS2;;\n' * 5,
    ]
    return packed + open_ones + others


def mutated(chance: random.Random, originals: list[bytes]) -> bytes:
    """Return one of the originals, changed one to four times."""
    data = chance.choice(originals)
    for _ in range(chance.choice([1, 1, 2, 4])):
        change = chance.choice(CHANGES)
        data = change(chance, data, originals) or data
    return _with_new_table(data) if chance.random() < REPAIRED_SHARE else data


def ending(chance: random.Random, data: bytes) -> str:
    """Return a file ending: what a PDF calls itself does not matter, what a table does decides."""
    return ".pdf" if b"%PDF-" in data else chance.choice([".html", ".csv", ".tsv", ".docx"])


def _with_new_table(data: bytes) -> bytes:
    """Give a damaged file a right cross-reference table, so that readers get to its inside."""
    places = {int(found.group(1)): found.start() for found in _OBJECT.finditer(data)}
    root = _ROOT.search(data)
    if not places or max(places) > 10_000:
        return data
    catalog = root.group(1) if root else b"1"
    rows = b"".join(
        b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 65535 f \n"
        for number in range(max(places) + 1)
    )
    size = max(places) + 1
    return (
        data
        + b"\nxref\n0 %d\n%strailer\n<< /Size %d /Root %s 0 R >>\nstartxref\n%d\n%%%%EOF"
        % (
            size,
            rows,
            size,
            catalog,
            len(data) + 1,
        )
    )


def _flip_bytes(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _flip in range(chance.choice([1, 2, 8, 40])):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _cut_short(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    return data[: chance.randrange(1, len(data) + 1)]


def _drop_middle(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.choice([1, 5, 50, 500]) :]


def _repeat_part(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start = chance.randrange(len(data))
    part = data[start : start + chance.choice([1, 20, 300])]
    return data[:start] + part * chance.choice([2, 50]) + data[start:]


def _swap_tokens(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    found = list(_TOKEN.finditer(data))
    if len(found) < 2:
        return data
    first, second = sorted(chance.sample(found, 2), key=lambda match: match.start())
    return b"".join(
        [
            data[: first.start()],
            second.group(),
            data[first.end() : second.start()],
            first.group(),
            data[second.end() :],
        ]
    )


def _change_number(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    place = chance.choice(found)
    return data[: place.start()] + chance.choice(_NUMBERS) + data[place.end() :]


def _splice_stream(chance: random.Random, data: bytes, originals: list[bytes]) -> bytes:
    """Put a stream of another file, or one made up, in the place of a stream."""
    found = list(_STREAM.finditer(data))
    others = list(_STREAM.finditer(chance.choice(originals)))
    if not found:
        return data
    place = chance.choice(found)
    content = chance.choice(others).group(1) if others else b""
    if chance.random() < 0.5:
        words = [chance.choice([*_OPERATORS, *_NUMBERS, b"(ab)", b"/F1"]) for _ in range(200)]
        content = b" ".join(words)
    if chance.random() < 0.3:
        content = zlib.compress(content)
    return data[: place.start(1)] + content + data[place.end(1) :]


def _change_stream(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Unpack a Flate stream, change it, pack it again: the damage is inside then."""
    for place in _STREAM.finditer(data):
        try:
            content = zlib.decompress(place.group(1))
        except zlib.error:
            continue
        if content:
            changed = _change_number(chance, _swap_tokens(chance, content, []), [])
            return data[: place.start(1)] + zlib.compress(changed) + data[place.end(1) :]
    return data


def _change_part(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Damage a part of a ZIP file and pack it again."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            name = chance.choice(packed.namelist())
            part = chance.choice([_flip_bytes, _drop_middle, _repeat_part])(
                chance, packed.read(name) or b" ", []
            )
        return office.with_parts(data, {name: part})
    except Exception:  # noqa: BLE001 - no ZIP, or damaged before: nothing to do here
        return data


def _join_two(chance: random.Random, data: bytes, originals: list[bytes]) -> bytes:
    other = chance.choice(originals)
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


Change = Callable[[random.Random, bytes, list[bytes]], bytes]
CHANGES: list[Change] = [
    _flip_bytes,
    _cut_short,
    _drop_middle,
    _repeat_part,
    _swap_tokens,
    _change_number,
    _change_number,
    _splice_stream,
    _change_stream,
    _change_part,
    _join_two,
]


def fuzz(files: int, seed: int, *, keep: Path | None = None) -> Outcome:
    """Try ``files`` damaged files; the same seed tries the same ones."""
    originals = seeds()
    outcome = Outcome()
    running = Worker(LIMITS)
    try:
        for number in range(files):
            data = mutated(random.Random(f"{seed}-{number}"), originals)
            if not running.alive:
                running.close()
                running = Worker(LIMITS)
                outcome.restarts += 1
            started = time.monotonic()
            problem = ""
            try:
                name = f"{number}{ending(random.Random(number), data)}"
                read_document(data, name, limits=LIMITS, worker_process=running)
                outcome.counts["read"] += 1
                if number % RENDER_EVERY == 0 and name.endswith(".pdf"):
                    render_page(data, 1, limits=LIMITS, width_pixels=300)
                    outcome.counts["drawn"] += 1
            except LimitExceededError as exc:
                why = str(exc).partition(": ")[2] or str(exc).partition('" ')[2]
                outcome.counts["limit: " + re.sub(r"[\d.,]+", "N", why)[:48]] += 1
            except CoreError as exc:
                crashed = " (worker broke down)" if "broke down" in str(exc) else ""
                outcome.counts[type(exc).__name__ + crashed] += 1
            except Exception:  # noqa: BLE001 - this is what the run is for
                problem = traceback.format_exc()
            seconds = time.monotonic() - started
            outcome.files += 1
            outcome.slowest_seconds = max(outcome.slowest_seconds, seconds)
            if seconds > 2 * LIMITS.file_seconds + GRACE_SECONDS:
                problem = f"took {seconds:.1f} seconds"
            if problem:
                outcome.failures.append(f"file {number} of seed {seed}: {problem}")
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{seed}-{number}").write_bytes(data)
    finally:
        running.close()
    return outcome


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=None, help="folder for files that failed")
    arguments = parser.parse_args()
    started = time.monotonic()
    outcome = fuzz(arguments.files, arguments.seed, keep=arguments.keep)
    lines = [
        f"{outcome.files} damaged files in {time.monotonic() - started:.0f} s, "
        f"slowest {outcome.slowest_seconds:.2f} s, worker restarted {outcome.restarts} times",
        *(f"{count:6d}  {what}" for what, count in outcome.counts.most_common()),
        f"{len(outcome.failures)} failures",
        *outcome.failures,
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
