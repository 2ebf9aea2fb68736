"""Typeset the sample library: ``source/*.md`` to ``pdf/*.pdf``. The only user of reportlab.

    python -m assets.sample.build            make every PDF
    python -m assets.sample.build --check    exit 1 when a PDF is missing, stale or left over

The same sources give the same bytes on every machine and every run: reportlab's invariant mode
fixes dates and ids, and streams are left uncompressed because compressors differ between builds.
Only the fourteen fonts every PDF reader has are used, so no font is embedded.

The sources are a small dialect of Markdown; README.md beside this file describes it.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Line, Polygon, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.enums import TA_JUSTIFY, TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    FrameBreak,
    HRFlowable,
    KeepTogether,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)
from reportlab.platypus.tableofcontents import TableOfContents

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

HERE = Path(__file__).resolve().parent
SOURCE_FOLDER = HERE / "source"
PDF_FOLDER = HERE / "pdf"

INK = HexColor("#1b1b1b")
GREY = HexColor("#666666")
HAIRLINE = HexColor("#b9b9b9")

PADDINGS = ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING", "BOTTOMPADDING")
LONG_TABLE_ROWS, LONG_TABLE_START = 15, 190.0
PAIR_COLUMNS, PAIR_WIDTH = 2, 0.72
COLUMN_GAP = 20.0
PAPER_MARGIN = 54.0
BOOK_MARGIN = 90.0


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a source file.

    Attributes:
        kind: ``heading``, ``paragraph``, ``table``, ``bullets``, ``numbers``, ``note`` or the
            name after ``:::``.
        lines: Its lines, marks of the block removed.
        level: Heading level from 1; 0 otherwise.
        label: What followed the name after ``:::``, or a table's caption.
    """

    kind: str
    lines: tuple[str, ...]
    level: int = 0
    label: str = ""


# ---------------------------------------------------------------------------- reading the source


def read_source(path: Path) -> tuple[dict[str, str], list[Block]]:
    """Return the front matter and the blocks of one source file.

    Raises:
        ValueError: If the front matter is missing or a ``:::`` block is not closed.
    """
    text = path.read_text(encoding="utf-8")
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    if match is None:
        raise ValueError(f"{path.name}: the front matter between --- lines is missing.")
    meta = {}
    for line in match[1].splitlines():
        key, _, value = line.partition(":")
        meta[key.strip()] = value.strip()
    return meta, parse_blocks(text[match.end() :], name=path.name)


def parse_blocks(text: str, *, name: str = "source") -> list[Block]:
    """Split source text into blocks; blank lines part them, except inside ``:::``."""
    blocks: list[Block] = []
    pending: list[str] = []
    fenced: list[str] | None = None
    fence_head = ""
    for line in [*text.splitlines(), ""]:
        if fenced is not None:
            if line.strip() == ":::":
                kind, _, label = fence_head.partition(" ")
                blocks.append(Block(kind, tuple(fenced), label=label.strip()))
                fenced = None
            else:
                fenced.append(line)
        elif line.startswith(":::"):
            fenced, fence_head = [], line[3:].strip()
        elif line.strip():
            pending.append(line)
        elif pending:
            blocks.append(_block(pending))
            pending = []
    if fenced is not None:
        raise ValueError(f"{name}: the block ':::{fence_head}' is not closed.")
    return blocks


def _block(lines: list[str]) -> Block:
    first = lines[0]
    heading = re.match(r"(#{1,3}) (.+)", first)
    if heading:
        return Block("heading", (heading[2],), level=len(heading[1]))
    if first.startswith("Table ") and len(lines) > 1 and lines[1].startswith("|"):
        return Block("table", tuple(lines[1:]), label=first)
    if first.startswith("|"):
        return Block("table", tuple(lines))
    if first.startswith("- "):
        return Block("bullets", tuple(_items(lines, r"- ")))
    if re.match(r"\d+\. ", first):
        return Block("numbers", tuple(_items(lines, r"\d+\. ")))
    if first.startswith("> "):
        return Block("note", (" ".join(line.removeprefix(">").strip() for line in lines),))
    return Block("paragraph", (" ".join(line.strip() for line in lines),))


def _items(lines: list[str], mark: str) -> list[str]:
    items: list[str] = []
    for line in lines:
        found = re.match(mark, line)
        if found:
            items.append(line[found.end() :].strip())
        else:
            items[-1] += " " + line.strip()
    return items


def typographic(text: str) -> str:
    """Replace typewriter quotation marks, minus signs and dashes by a printer's."""
    text = re.sub(r'(^|[\s(*\[])"', "\\1\u201c", text).replace('"', "\u201d")
    text = re.sub(r"(^|[\s(*\[])'", "\\1\u2018", text).replace("'", "\u2019")
    return re.sub(r"(?<![\w)])-(?=\d)| - ", lambda found: found[0].replace("-", "\u2013"), text)


def markup(text: str) -> str:
    """Turn the inline marks (bold, italic, code, super- and subscript) into reportlab's tags."""
    out = escape(typographic(text))
    out = re.sub(r"`([^`]+)`", r'<font face="Courier" size="-1">\1</font>', out)
    out = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", out)
    out = re.sub(r"\*(.+?)\*", r"<i>\1</i>", out)
    out = re.sub(r"\^\{(.+?)\}", r'<super size="70%">\1</super>', out)
    return re.sub(r"_\{(.+?)\}", r'<sub size="70%">\1</sub>', out)


# ------------------------------------------------------------------------------------ typography


def make_styles(*, accent: Color, narrow: bool) -> dict[str, ParagraphStyle]:
    """Return the paragraph styles; ``narrow`` is for two columns."""
    size, leading = (10.0, 12.6) if narrow else (11.0, 15.6)
    body = ParagraphStyle(
        "body",
        fontName="Times-Roman",
        fontSize=size,
        leading=leading,
        textColor=INK,
        alignment=TA_LEFT if narrow else TA_JUSTIFY,
        spaceAfter=leading * 0.5,
        allowWidows=0,
        allowOrphans=0,
    )

    def sans(name: str, points: float, **more: object) -> ParagraphStyle:
        defaults: dict[str, object] = {
            "fontName": "Helvetica-Bold",
            "fontSize": points,
            "leading": points * 1.25,
            "textColor": INK,
            "alignment": TA_LEFT,
        }
        return ParagraphStyle(name, **(defaults | more))

    return {
        "body": body,
        "h1": sans(
            "h1",
            11.5 if narrow else 17,
            textColor=accent,
            spaceBefore=10 if narrow else 22,
            spaceAfter=4 if narrow else 9,
            keepWithNext=1,
        ),
        "h2": sans(
            "h2",
            10 if narrow else 12.5,
            spaceBefore=7 if narrow else 13,
            spaceAfter=3 if narrow else 5,
            keepWithNext=1,
        ),
        "h3": sans(
            "h3",
            9.5 if narrow else 10.5,
            fontName="Helvetica-BoldOblique",
            spaceBefore=5 if narrow else 8,
            spaceAfter=2 if narrow else 3,
            keepWithNext=1,
        ),
        "title": sans("title", 21 if narrow else 25, textColor=accent, spaceAfter=8),
        "cover": sans("cover", 32, textColor=accent, leading=37, spaceAfter=14),
        "subtitle": sans(
            "subtitle", 12.5, fontName="Helvetica", textColor=GREY, leading=17, spaceAfter=10
        ),
        "byline": sans("byline", 9.5, fontName="Helvetica", leading=14, spaceAfter=4),
        "caption": sans(
            "caption",
            8.6,
            fontName="Helvetica-Bold",
            leading=11,
            spaceBefore=6,
            spaceAfter=4,
            keepWithNext=1,
        ),
        "legend": sans("legend", 8.6, fontName="Helvetica", leading=11, spaceAfter=10),
        "cell": sans("cell", 8.3, fontName="Helvetica", leading=10.6),
        "cellr": sans("cellr", 8.3, fontName="Helvetica", leading=10.6, alignment=TA_RIGHT),
        "head": sans("head", 8.3, leading=10.6),
        "headr": sans("headr", 8.3, leading=10.6, alignment=TA_RIGHT),
        "item": ParagraphStyle(
            "item",
            parent=body,
            leftIndent=16,
            bulletIndent=2,
            alignment=TA_LEFT,
            spaceAfter=leading * 0.25,
        ),
        "note": ParagraphStyle(
            "note", parent=body, fontName="Times-Italic", alignment=TA_LEFT, spaceAfter=0
        ),
        "abstract": ParagraphStyle(
            "abstract", parent=body, fontSize=10, leading=13.2, alignment=TA_JUSTIFY
        ),
        "statement": ParagraphStyle("statement", parent=body, spaceAfter=leading * 0.35),
        "toc1": sans("toc1", 10, leading=13, spaceBefore=6),
        "toc2": sans("toc2", 9.2, fontName="Helvetica", leading=12.2, leftIndent=16),
    }


def _frame(x: float, y: float, width: float, height: float) -> Frame:
    return Frame(x, y, width, height, 0, 0, 0, 0)


class SampleTemplate(BaseDocTemplate):  # type: ignore[misc, unused-ignore]
    """Pages with a running head, a folio, an outline and, where asked, a table of contents."""

    def __init__(self, target: io.BytesIO, meta: dict[str, str]) -> None:
        """Lay out the page templates for ``meta['layout']``: report, paper or plain.

        A paper gets its templates when `lay_out_columns` knows how tall its head is.
        """
        self.meta = meta
        self.section = ""
        self.bookmark_count = 0
        self.accent = HexColor(meta.get("accent", "#24476b"))
        page = LETTER if meta.get("page") == "Letter" else A4
        super().__init__(
            target,
            pagesize=page,
            title=meta["title"],
            author=meta.get("author", ""),
            subject=meta.get("subtitle", ""),
            creator="Bifocal sample library",
            invariant=1,
            pageCompression=0,
            lang="en-GB",
        )
        width, height = page
        self.narrow = meta["layout"] == "paper"
        margin = PAPER_MARGIN if self.narrow else BOOK_MARGIN
        self.margin = margin
        self.full_width = width - 2 * margin
        if self.narrow:
            self.text_width = (self.full_width - COLUMN_GAP) / 2
            return
        self.text_width = self.full_width
        frame = _frame(margin, 82, self.full_width, height - 82 - 88)
        if meta["layout"] == "report":
            cover = _frame(margin, 82, self.full_width, height - 82 - 190)
            first = PageTemplate("first", [cover], onPageEnd=self.draw_cover)
        else:
            first = PageTemplate("first", [frame], onPageEnd=self.draw_folio)
        self.addPageTemplates(
            [first, PageTemplate("later", [frame], onPageEnd=self.draw_running_head)]
        )

    def lay_out_columns(self, head: list[Flowable]) -> None:
        """Give a two-column paper its pages: a head across the first, columns below it."""
        top, bottom = self.pagesize[1] - 58, 66
        height = sum(
            part.wrap(self.full_width, top)[1] + part.getSpaceBefore() + part.getSpaceAfter()
            for part in head
        )

        def columns(column_height: float) -> list[Frame]:
            step = self.text_width + COLUMN_GAP
            return [
                _frame(self.margin + i * step, bottom, self.text_width, column_height)
                for i in range(2)
            ]

        title = _frame(self.margin, top - height - 1, self.full_width, height + 1)
        first = [title, *columns(top - height - 18 - bottom)]
        self.addPageTemplates(
            [
                PageTemplate("first", first, onPageEnd=self.draw_folio),
                PageTemplate("later", columns(top - bottom), onPageEnd=self.draw_running_head),
            ]
        )

    def beforeDocument(self) -> None:  # noqa: N802 (reportlab's name)
        """Start each pass of a table of contents from the same state."""
        self.section = ""
        self.bookmark_count = 0

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 (reportlab's name)
        """Note headings for the running head, the outline and the table of contents."""
        level = getattr(flowable, "heading_level", 0)
        if level not in (1, 2):
            return
        text = flowable.getPlainText()
        key = f"h{self.bookmark_count}"
        self.bookmark_count += 1
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(text, key, level=level - 1, closed=level == 1)
        if level == 1:
            self.section = text
        self.notify("TOCEntry", (level - 1, text, self.page, key))

    def draw_cover(self, canvas: Canvas, _doc: BaseDocTemplate) -> None:
        """A band in the accent colour along the outer edge of the cover."""
        width, height = self.pagesize
        canvas.saveState()
        canvas.setFillColor(self.accent)
        canvas.rect(0, 0, 34, height, stroke=0, fill=1)
        canvas.setStrokeColor(self.accent)
        canvas.setLineWidth(1.2)
        canvas.line(self.margin, height - 150, width - self.margin, height - 150)
        canvas.restoreState()

    def draw_folio(self, canvas: Canvas, _doc: BaseDocTemplate) -> None:
        """The page number alone, at the foot."""
        canvas.saveState()
        canvas.setFont("Helvetica", 8.5)
        canvas.setFillColor(GREY)
        canvas.drawCentredString(self.pagesize[0] / 2, 40, str(self.page))
        canvas.restoreState()

    def draw_running_head(self, canvas: Canvas, doc: BaseDocTemplate) -> None:
        """Short title left, section right, a hairline, and the page number."""
        width, height = self.pagesize
        canvas.saveState()
        canvas.setFont("Helvetica", 8)
        canvas.setFillColor(GREY)
        y = height - (42 if self.narrow else 58)
        canvas.drawString(self.margin, y, self.meta.get("head", self.meta["title"]))
        canvas.drawRightString(width - self.margin, y, self.section)
        canvas.setStrokeColor(HAIRLINE)
        canvas.setLineWidth(0.5)
        canvas.line(self.margin, y - 6, width - self.margin, y - 6)
        canvas.restoreState()
        self.draw_folio(canvas, doc)


# ---------------------------------------------------------------------------- blocks to flowables


def make_flowables(
    blocks: list[Block],
    styles: dict[str, ParagraphStyle],
    *,
    width: float,
    accent: Color,
    room_for_chapter: float = 90.0,
) -> list[Flowable]:
    """Typeset blocks for a column ``width`` points wide.

    A first-level heading goes to the next page when less than ``room_for_chapter`` points are left.
    """
    out: list[Flowable] = []
    for block in blocks:
        if block.level == 1:
            out.append(CondPageBreak(room_for_chapter))
        if block.kind == "table":
            _add_kept(out, _table(block, styles, width=width, accent=accent))
        elif block.kind in ("lines", "bars", "elevation"):
            _add_kept(out, _figure(block, styles, width=width, accent=accent))
        elif block.kind == "note":
            out.extend(_note(block.lines[0], styles, width=width, accent=accent))
        else:
            out.extend(_prose(block, styles))
    return out


def _prose(block: Block, styles: dict[str, ParagraphStyle]) -> list[Flowable]:
    """Typeset a block whose shape does not depend on the column's width."""
    if block.kind == "heading":
        heading = Paragraph(markup(block.lines[0]), styles[f"h{block.level}"])
        heading.heading_level = block.level
        return [heading]
    if block.kind == "paragraph":
        return [Paragraph(markup(block.lines[0]), styles["body"])]
    if block.kind in ("bullets", "numbers"):
        marks = [
            "\u2022" if block.kind == "bullets" else f"{i + 1}." for i in range(len(block.lines))
        ]
        items = zip(marks, block.lines, strict=True)
        rows = [Paragraph(markup(item), styles["item"], bulletText=mark) for mark, item in items]
        return [*rows, Spacer(1, 4)]
    if block.kind in ("theorem", "definition", "problem", "solution", "proof", "clause"):
        return _statement(block, styles)
    raise ValueError(f"unknown block ':::{block.kind}'")


def _add_kept(out: list[Flowable], parts: list[Flowable]) -> None:
    """Add ``parts`` in one piece, with the headings just above them.

    A long table that follows text may break, so that it leaves no hole on the page before.
    """
    headings: list[Flowable] = []
    while out and hasattr(out[-1], "heading_level"):
        headings.insert(0, out.pop())
    rows = max(len(part._cellvalues) if isinstance(part, Table) else 0 for part in parts)
    if rows > LONG_TABLE_ROWS and not headings:
        caption = ParagraphStyle("caption-free", parent=parts[0].style, keepWithNext=0)
        parts[0].style = caption
        out += [CondPageBreak(LONG_TABLE_START), *parts]
    else:
        out.append(KeepTogether([*headings, *parts]))


def _paragraphs(lines: tuple[str, ...]) -> list[str]:
    return [
        " ".join(part.split()) for part in re.split(r"\n\s*\n", "\n".join(lines)) if part.strip()
    ]


def _statement(block: Block, styles: dict[str, ParagraphStyle]) -> list[Flowable]:
    label = block.label or block.kind.capitalize()
    italic = block.kind == "theorem"
    parts = _paragraphs(block.lines)
    out: list[Flowable] = []
    for position, part in enumerate(parts):
        text = markup(part)
        if italic:
            text = f"<i>{text}</i>"
        if position == 0:
            text = f'<font face="Helvetica-Bold" size="9.5">{markup(label)}.</font> {text}'
        if block.kind == "proof" and position == len(parts) - 1:
            text += ' <font face="Helvetica-Bold" size="8">Q.E.D.</font>'
        out.append(Paragraph(text, styles["statement"]))
    out.append(Spacer(1, 3))
    return out


def _note(
    text: str, styles: dict[str, ParagraphStyle], *, width: float, accent: Color
) -> list[Flowable]:
    tint = Color(
        1 - (1 - accent.red) * 0.07, 1 - (1 - accent.green) * 0.07, 1 - (1 - accent.blue) * 0.07
    )
    table = Table([[Paragraph(markup(text), styles["note"])]], colWidths=[width])
    table.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), tint),
                ("LINEBEFORE", (0, 0), (0, -1), 2.2, accent),
                ("LEFTPADDING", (0, 0), (-1, -1), 11),
                ("RIGHTPADDING", (0, 0), (-1, -1), 10),
                ("TOPPADDING", (0, 0), (-1, -1), 6),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 8),
            ]
        )
    )
    return [Spacer(1, 3), table, Spacer(1, 9)]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _table(
    block: Block, styles: dict[str, ParagraphStyle], *, width: float, accent: Color
) -> list[Flowable]:
    caption, _, options = block.label.partition("{")
    head, rule, *rows = [_cells(line) for line in block.lines]
    right = [cell.endswith(":") and not cell.startswith(":") for cell in rule]
    shares = [float(part) for part in options.rstrip("} ").split()] or [1.0] * len(head)
    if len(shares) != len(head) or any(len(row) != len(head) for row in rows):
        raise ValueError(f"table with uneven rows: {caption or head}")
    if len(head) == PAIR_COLUMNS:
        width *= PAIR_WIDTH  # a name and its value should not stand a page apart
    widths = [width * share / sum(shares) for share in shares]
    cells = [
        [
            Paragraph(markup(cell), styles["headr" if right[i] else "head"])
            for i, cell in enumerate(head)
        ]
    ]
    cells += [
        [
            Paragraph(markup(cell), styles["cellr" if right[i] else "cell"])
            for i, cell in enumerate(row)
        ]
        for row in rows
    ]
    table = Table(cells, colWidths=widths, repeatRows=1, hAlign="LEFT")
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEABOVE", (0, 0), (-1, 0), 1.0, accent),
                ("LINEBELOW", (0, 0), (-1, 0), 0.6, accent),
                ("LINEBELOW", (0, 1), (-1, -2), 0.25, HAIRLINE),
                ("LINEBELOW", (0, -1), (-1, -1), 1.0, accent),
                ("LEFTPADDING", (0, 0), (-1, -1), 3),
                ("RIGHTPADDING", (0, 0), (-1, -1), 5),
                ("TOPPADDING", (0, 0), (-1, -1), 2.6),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3.4),
            ]
        )
    )
    parts: list[Flowable] = []
    if caption.strip():
        parts.append(Paragraph(markup(caption.strip()), styles["caption"]))
    parts += [table, Spacer(1, 12)]
    return parts


# ---------------------------------------------------------------------------------------- figures


def _figure(
    block: Block, styles: dict[str, ParagraphStyle], *, width: float, accent: Color
) -> list[Flowable]:
    if block.kind == "elevation":
        drawing = _elevation(width, accent)
    else:
        drawing = _chart(block, width, accent)
    legend = Paragraph(markup(block.label), styles["legend"])
    return [Spacer(1, 6), drawing, Spacer(1, 4), legend]


def _number(text: str) -> float:
    return float(text.replace("\u2013", "-"))


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: float = 7.5) -> String:
    return String(
        x, y, text, fontName="Helvetica", fontSize=size, fillColor=GREY, textAnchor=anchor
    )


def _chart(block: Block, width: float, accent: Color) -> Drawing:
    """Draw lines or bars from ``name: v v v`` rows.

    ``x:`` names the places, ``y:`` is low, high and step, ``run:`` after how many a line breaks.
    """
    rows = {}
    for line in block.lines:
        key, _, written = line.partition(":")
        rows[key.strip()] = written.split()
    labels = [label.replace("_", " ") for label in rows.pop("x")]
    low, high, step = (_number(part) for part in rows.pop("y"))
    run = int(rows.pop("run", [str(len(labels))])[0])
    height, left, bottom, top = min(170.0, width * 0.5), 34.0, 22.0, 12.0
    drawing = Drawing(width, height)
    plot_width, plot_height = width - left - 6, height - bottom - top

    def y_of(value: float) -> float:
        return bottom + plot_height * (value - low) / (high - low)

    for tick in range(round((high - low) / step) + 1):
        value = low + tick * step
        drawing.add(
            Line(left, y_of(value), width - 6, y_of(value), strokeColor=HAIRLINE, strokeWidth=0.4)
        )
        drawing.add(_text(left - 4, y_of(value) - 2.5, f"{value:g}", anchor="end"))
    slot = plot_width / len(labels)
    for i, label in enumerate(labels):
        drawing.add(_text(left + slot * (i + 0.5), 8, label))
    shades = [accent, HexColor("#8a8a8a"), HexColor("#c9a227")]
    for series, (name, raw) in enumerate(rows.items()):
        values = [_number(part) for part in raw]
        shade = shades[series % len(shades)]
        if block.kind == "bars":
            bar = slot * 0.7 / len(rows)
            for i, value in enumerate(values):
                x = left + slot * (i + 0.15) + series * bar
                base = max(low, 0.0)
                drawing.add(
                    Rect(
                        x,
                        y_of(base),
                        bar,
                        y_of(value) - y_of(base),
                        fillColor=shade,
                        strokeColor=None,
                    )
                )
        else:
            for first in range(0, len(values), run):
                points = [
                    part
                    for i, value in enumerate(values[first : first + run], start=first)
                    for part in (left + slot * (i + 0.5), y_of(value))
                ]
                drawing.add(PolyLine(points, strokeColor=shade, strokeWidth=1.5))
        legend_x = left + 6 + series * plot_width / max(len(rows), 2)
        drawing.add(Rect(legend_x, height - 7, 8, 4, fillColor=shade, strokeColor=None))
        drawing.add(_text(legend_x + 12, height - 8, name.replace("_", " "), anchor="start"))
    drawing.add(Line(left, bottom, left, height - top, strokeColor=GREY, strokeWidth=0.6))
    return drawing


def _elevation(width: float, accent: Color) -> Drawing:
    """The barrage seen from the sea: lock, piers, six gates, deck and control house."""
    drawing = Drawing(width, 150)
    sand, concrete = HexColor("#d9cfb8"), HexColor("#c4c4c4")
    water = Color(0.80, 0.87, 0.92)
    drawing.add(Rect(0, 0, width, 26, fillColor=sand, strokeColor=None))
    drawing.add(Rect(0, 26, width, 44, fillColor=water, strokeColor=None))
    lock, abutment, pier = 52.0, 24.0, 9.0
    bay = (width - lock - 2 * abutment - 6 * pier) / 6
    drawing.add(Rect(0, 14, abutment, 92, fillColor=concrete, strokeColor=None))
    x = abutment
    for number in range(1, 7):
        drawing.add(Rect(x, 22, bay, 6, fillColor=concrete, strokeColor=None))
        drawing.add(Rect(x + 1, 28, bay - 2, 52, fillColor=accent, strokeColor=white))
        drawing.add(
            String(
                x + bay / 2,
                50,
                str(number),
                fontName="Helvetica-Bold",
                fontSize=13,
                fillColor=white,
                textAnchor="middle",
            )
        )
        x += bay
        drawing.add(Rect(x, 14, pier, 100, fillColor=concrete, strokeColor=None))
        if number == 3:
            drawing.add(Rect(x - 12, 114, pier + 24, 20, fillColor=concrete, strokeColor=GREY))
            drawing.add(
                Polygon(
                    [x - 15, 134, x + pier + 15, 134, x + pier / 2, 145],
                    fillColor=accent,
                    strokeColor=None,
                )
            )
        x += pier
    drawing.add(Rect(x, 26, lock, 30, fillColor=water, strokeColor=GREY))
    drawing.add(_text(x + lock / 2, 62, "lock"))
    drawing.add(Rect(x + lock, 14, abutment, 92, fillColor=concrete, strokeColor=None))
    drawing.add(Rect(0, 106, width, 8, fillColor=HexColor("#9a9a9a"), strokeColor=None))
    drawing.add(_text(3, 119, "west", anchor="start"))
    drawing.add(_text(width - 3, 119, "east", anchor="end"))
    return drawing


# -------------------------------------------------------------------------------- whole documents


def typeset(source: Path) -> bytes:
    """Return the PDF of one source file, the same bytes each time.

    Raises:
        ValueError: If the source is not in the dialect README.md describes.
    """
    meta, blocks = read_source(source)
    target = io.BytesIO()
    template = SampleTemplate(target, meta)
    accent = template.accent
    styles = make_styles(accent=accent, narrow=template.narrow)
    abstract = [block for block in blocks if block.kind == "abstract"]
    body = [block for block in blocks if block.kind != "abstract"]
    report = meta["layout"] == "report"
    rule = HRFlowable(width="100%", thickness=1, color=accent, spaceBefore=4, spaceAfter=10)
    head: list[Flowable] = [
        Paragraph(markup(meta["title"]), styles["cover" if report else "title"])
    ]
    if "subtitle" in meta:
        head.append(Paragraph(markup(meta["subtitle"]), styles["subtitle"]))
    if report:
        head.append(Spacer(1, 40))
    head.extend(
        Paragraph(markup(meta[key]), styles["byline"])
        for key in ("author", "place", "date")
        if key in meta
    )
    if abstract:
        head.append(Spacer(1, 30 if report else 8))
        head.extend(
            Paragraph(markup(part), styles["abstract"])
            for block in abstract
            for part in _paragraphs(block.lines)
        )
    if not report:
        head.append(rule)
    story: list[Flowable] = [NextPageTemplate("later"), *head]
    if report:
        contents = TableOfContents(
            levelStyles=[styles["toc1"], styles["toc2"]], dotsMinLevel=-1, rightColumnWidth=36
        )
        contents.tableStyle = TableStyle(
            [(side, (0, 0), (-1, -1), 0) for side in PADDINGS]
            + [("VALIGN", (0, 0), (-1, -1), "BOTTOM")]
        )
        story += [PageBreak(), Paragraph("Contents", styles["h1"]), contents, PageBreak()]
    elif template.narrow:
        template.lay_out_columns(head)
        story.append(FrameBreak())
    story += make_flowables(
        body,
        styles,
        width=template.text_width,
        accent=accent,
        room_for_chapter=300.0 if report else 90.0,
    )
    template.multiBuild(story)
    return target.getvalue()


def sources() -> list[Path]:
    """Return the source files in name order."""
    return sorted(SOURCE_FOLDER.glob("*.md"))


def stale(pdf_folder: Path = PDF_FOLDER) -> list[str]:
    """Return names of PDFs that are missing, differ from their source, or have none."""
    wanted = {f"{source.stem}.pdf": source for source in sources()}
    present = {path.name for path in pdf_folder.glob("*.pdf")}
    wrong = present - set(wanted)
    for name, source in wanted.items():
        if name not in present or (pdf_folder / name).read_bytes() != typeset(source):
            wrong.add(name)
    return sorted(wrong)


def main(arguments: list[str] | None = None) -> int:
    """Make the PDFs, or with ``--check`` say which are not up to date; return the exit code."""
    parser = argparse.ArgumentParser(description="Typeset the sample library.")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    parser.add_argument("names", nargs="*", help="file stems; all when none is given")
    options = parser.parse_args(arguments)
    if options.check:
        wrong = stale()
        for name in wrong:
            sys.stdout.write(f"not up to date: {name}\n")
        sys.stdout.write(
            "Run `python -m assets.sample.build`.\n" if wrong else "All sample PDFs are current.\n"
        )
        return 1 if wrong else 0
    PDF_FOLDER.mkdir(exist_ok=True)
    for source in sources():
        if options.names and source.stem not in options.names:
            continue
        content = typeset(source)
        (PDF_FOLDER / f"{source.stem}.pdf").write_bytes(content)
        sys.stdout.write(f"{source.stem}.pdf  {len(content):,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
