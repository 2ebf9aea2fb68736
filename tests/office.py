"""Small Word documents, web pages and tables for tests, made on the spot."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

import docx

PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>Locks - Canal News</title>
<style>p { color: red }</style><script>document.write("stolen")</script></head><body>
<header><a href="/">Canal News</a></header>
<nav><ul><li><a href="/a">Home</a></li><li><a href="/b">Boats</a></li></ul></nav>
<article><header><h1>The lock</h1></header>
<p>The keeper opened
the <b>upper</b> gate &amp; waited.</p><script>alert(1)</script>
<table><tr><th>Sluice</th><th>Depth</th></tr><tr><td>S1</td><td><p>1.5</p></td></tr></table>
<pre>one
two</pre></article>
<div class="cookie-banner">We use cookies.</div><footer>All rights reserved</footer>
</body></html>"""


def docx_file(
    paragraphs: Sequence[str] = ("The keeper opened the gate.",),
    rows: Sequence[Sequence[str]] = (),
    *,
    heading: str = "",
) -> bytes:
    """A heading, paragraphs, then a table."""
    document = docx.Document()
    if heading:
        document.add_heading(heading)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if rows:
        table = document.add_table(len(rows), len(rows[0]))
        for line, row in zip(table.rows, rows, strict=True):
            for cell, text in zip(line.cells, row, strict=True):
                cell.text = text
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def with_parts(data: bytes, parts: Mapping[str, bytes]) -> bytes:
    """Return a ZIP file with some parts replaced or added."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, parts.get(name) or old.read(name))
        for name in parts.keys() - set(old.namelist()):
            new.writestr(name, parts[name])
    return buffer.getvalue()


def part(data: bytes, name: str) -> bytes:
    """Return one part of a ZIP file."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return packed.read(name)
