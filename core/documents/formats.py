"""Word documents, web pages and tables into plain text: a blank line after every part.

Nothing is run, fetched or expanded: lxml reads, entities stay closed, and a ZIP is measured before
it is unpacked. Runs in the worker only.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from core.documents import plain
from core.errors import LimitExceededError, NoTextError, UnsupportedFileError
from core.settings import MEBIBYTE
from core.words import plural, word_set

if TYPE_CHECKING:
    from lxml.etree import _Element

    from core.settings import ExtractionLimits

    Read = tuple[str, tuple[str, ...]]

# Stand-ins while a text is put together; what a file holds of them only moves a line break.
_LINE, _BLOCK, _CELL = "\x1d", "\x1e", "\x1f"
_WORD_SPACE = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_WORD_ROLES = {
    "t": "text", "p": "block", "tbl": "table", "tr": "row", "tc": "cell", "moveFrom": "skip",
    "br": _LINE, "cr": _LINE, "tab": " ", "noBreakHyphen": "-",
}  # fmt: skip
_PAGE_ROLES = {
    **dict.fromkeys(word_set(
        "address article aside blockquote body caption center dd details div dl dt fieldset "
        "figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main ol p pre section "
        "summary ul"
    ), "block"),
    **dict.fromkeys(word_set(
        "audio button canvas datalist dialog embed head iframe input map nav noscript object option "
        "script select style svg template textarea video"
    ), "skip"),
    "table": "table", "tr": "row", "td": "cell", "th": "cell", "br": _LINE,
}  # fmt: skip
_MENU_ROLES = word_set("navigation banner contentinfo search menu menubar complementary dialog")
_MENU_NAMES = word_set(
    "advert advertisement breadcrumb breadcrumbs consent cookie cookies menu nav navbar navigation "
    "newsletter pagination popup share sharing sidebar social toolbar"
)
_OUTER = ("aside", "footer", "header")  # menus and the like, outside an article
_LISTS = ("div", "dl", "ol", "p", "section", "table", "ul")
_MANY_LINKS = 4
_LINK_SHARE = 0.7  # of the characters of a list that are links: a menu
_SHORT_LINK = 30  # characters; longer ones are titles and say something
_LEAST_SHARE = 0.1  # of the menus' characters: with less beside them they are the text
_CHARSET = re.compile(r"(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{2,40})")
_CHARSET_WITHIN = 2048
_WESTERN = word_set("iso-8859-1 latin-1 latin1 ascii us-ascii iso8859-1")  # browsers' reading
_DELIMITERS = ",;\t|"
_ROWS_TRIED = 100


def docx_text(data: bytes, name: str, limits: ExtractionLimits) -> Read:
    """Return the text of a Word document: paragraphs, tables row by row, then its notes."""
    import docx
    from docx.oxml import parse_xml

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        unpacked = sum(part.file_size for part in packed.infolist())
    if unpacked > limits.file_bytes:
        raise LimitExceededError(
            f'"{name}" is too large: it unpacks to {unpacked / MEBIBYTE:,.0f} MiB; up to '
            f"{limits.file_bytes / MEBIBYTE:,.0f} MiB are read. Take out its pictures, or split it "
            "into smaller files."
        )
    try:
        part = docx.Document(io.BytesIO(data)).part
    except (ValueError, KeyError) as exc:  # its main part is of another type, or not there
        raise UnsupportedFileError(
            f'"{name}" is a Word template, holds macros, is Strict Open XML or damaged. Save it as '
            "a plain Word document (docx) and add that."
        ) from exc
    notes = (
        relation.target_part.blob
        for relation in part.rels.values()
        if relation.reltype.endswith(("/footnotes", "/endnotes")) and not relation.is_external
    )
    roots = [part.element.body, *map(parse_xml, notes)]
    roles = {_WORD_SPACE + tag: role for tag, role in _WORD_ROLES.items()} | {_FALLBACK: "skip"}
    return _laid_out(piece for root in roots for piece in _pieces(root, roles)), ()


def html_text(data: bytes, name: str, _limits: ExtractionLimits) -> Read:
    """Return the main text of a web page, without menus and scripts."""
    from lxml import etree, html

    text, warnings = _page_decoded(data, name)
    parser = html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True
    )
    try:
        root = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except etree.ParserError as exc:
        raise NoTextError(f'"{name}" is an empty web page; there is nothing to read.') from exc
    chosen = root.xpath("//main | //*[@role='main']")
    if len(chosen) != 1:
        chosen = root.xpath("//article")
    main = chosen[0] if len(chosen) == 1 else root
    clutter = _clutter(main)
    read = _laid_out(_pieces(main, _PAGE_ROLES, clutter)) or _laid_out(_pieces(root, _PAGE_ROLES))
    if any("depth" in error.message for error in parser.error_log):  # libxml2 stops there
        warnings += ("Its tags are nested too deeply: what comes after is left out.",)
    title = " ".join((root.findtext(".//title") or "").split())
    if title and main.find(".//h1") is None and read:
        read = f"{title}\n\n{read}"
    return read, warnings


def table_text(data: bytes, name: str, limits: ExtractionLimits) -> Read:
    """Return a table's records, a blank line after each: ``column: value`` lines, none if empty.

    The first row names the columns; what goes beyond it stands under ``column 7``.
    """
    text, warnings = plain.decoded(data, name)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    csv.field_size_limit(len(text) + 1)
    rows = _rows(text, "\t" if name.lower().endswith(".tsv") else _delimiter(text))
    header = [" ".join(cell.split()) for cell in next(rows, [])]
    records: list[str] = []
    room = limits.chars
    for row in rows:
        lines = []
        for place, cell in enumerate(row):
            if value := " ".join(cell.split()):
                column = header[place] if place < len(header) else ""
                lines.append(f"{column or f'column {place + 1}'}: {value}")
                room -= len(lines[-1])
                if room < 0:  # long names of columns make much of little
                    raise too_many_chars(name, limits)
        records.append("\n".join(lines))
    return "\n\n".join(filter(None, records)) or " | ".join(filter(None, header)), warnings


READERS: dict[str, Callable[[bytes, str, ExtractionLimits], Read]] = {
    plain.DOCX: docx_text,
    plain.HTML: html_text,
    plain.CSV: table_text,
    plain.TSV: table_text,
    plain.PLAIN_TEXT: lambda data, name, _limits: plain.decoded(data, name),
    plain.MARKDOWN: lambda data, name, _limits: plain.decoded(data, name),
}


def too_many_chars(name: str, limits: ExtractionLimits) -> LimitExceededError:
    """Error of a text beyond the limit."""
    return LimitExceededError(
        f'"{name}" holds more than {plural(limits.chars, "character")} of text. '
        "Split it into smaller files."
    )


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the rows of a table that hold anything; a quoted cell may go over lines."""
    for row in csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter):
        if any(cell.strip() for cell in row):
            yield row


def _delimiter(text: str) -> str:
    """Return the delimiter by which the most of the first rows have one and the same width."""

    def agreeing(delimiter: str) -> tuple[int, int]:
        rows = zip(range(_ROWS_TRIED), _rows(text, delimiter), strict=False)
        widths = [len(row) for _, row in rows]
        usual = max(widths, key=widths.count, default=1)
        return (widths.count(usual), usual) if usual > 1 else (0, 0)

    return max(_DELIMITERS, key=agreeing)


def _page_decoded(data: bytes, name: str) -> Read:
    """Decode a web page: by its byte order mark, by its declaration, else as plain text is."""
    declared = _CHARSET.search(data[:_CHARSET_WITHIN].decode("latin-1"))
    codec = declared.group(1).lower() if declared else ""
    codec = "cp1252" if codec in _WESTERN else codec
    marked = data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if codec and not marked and not codec.startswith(("utf-16", "utf-32", "utf16", "utf32")):
        try:
            return data.decode(codec), ()
        except (LookupError, UnicodeError):
            pass
    return plain.decoded(data, name)


def _laid_out(pieces: Iterable[str]) -> str:
    """Return pieces as blocks with a blank line between, white space made single blanks."""
    blocks = (
        " | ".join(
            filter(
                None,
                (
                    "\n".join(filter(None, (" ".join(line.split()) for line in cell.split(_LINE))))
                    for cell in block.split(_CELL)
                ),
            )
        )
        for block in "".join(pieces).split(_BLOCK)
    )
    return "\n\n".join(filter(None, blocks))


def _pieces(
    root: _Element, roles: Mapping[str, str], clutter: frozenset[_Element] = frozenset()
) -> Iterator[str]:
    """Yield the text below an element with marks for blocks, cells and lines; never recursive.

    A role is a kind of element, or the character that an element stands for. A row of a table is one block, unless a table stands inside it: that one only lays out a page.
    """
    from lxml import etree

    marked = "text" in roles.values()  # text stands in elements of its own
    layout = _around(root.iter(*(tag for tag, role in roles.items() if role == "table")))
    skipped = rows = lines = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        role = roles.get(element.tag, "")
        begins = event == "start"
        if role == "skip" or element in clutter:
            skipped += 1 if begins else -1
        elif not skipped:
            if role == "row" and element not in layout:
                rows += 1 if begins else -1
                yield _BLOCK
            elif role in {"block", "row", "table", "cell"}:
                yield (_CELL if role == "cell" and begins else " ") if rows else _BLOCK
            elif len(role) == 1 and begins:
                yield role
        lines += (1 if begins else -1) if element.tag == "pre" else 0
        held = (element.text if not marked or role == "text" else "") if begins else element.tail
        if held and not skipped and (begins or (not marked and element is not root)):
            yield held.replace("\n", _LINE) if lines else held


def _around(elements: Iterable[_Element]) -> set[_Element]:
    """Return every element that holds one of some elements."""
    holders: set[_Element] = set()
    for element in elements:
        for ancestor in element.iterancestors():
            if ancestor in holders:
                break
            holders.add(ancestor)
    return holders


def _clutter(root: _Element) -> frozenset[_Element]:
    """Elements of a web page that are no part of its text: hidden, menus, lists of links.

    Where next to nothing would be left, menus and lists are the text.
    """
    from lxml import etree

    hidden: set[_Element] = set()
    menus: set[_Element] = set()
    menu_chars = 0
    counts = [[0, 0, 0]]  # characters, those of links, links: of each open element
    link = article = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        tag = element.tag
        step = 1 if event == "start" else -1
        link += step if tag == "a" else 0
        article += step if tag in {"article", "main"} else 0
        if event == "start":
            counts.append([0, 0, 0])
            held = element.text
        else:
            held = element.tail if element is not root else ""
            chars, of_links, links = counts.pop()
            if _PAGE_ROLES.get(tag) == "skip":
                pass
            elif _is_hidden(element):
                hidden.add(element)
            elif element is not root and (
                _looks_like_menu(element, inside=article > 0)
                or (
                    tag in _LISTS
                    and links >= _MANY_LINKS
                    and of_links > _LINK_SHARE * chars
                    and of_links < _SHORT_LINK * links
                )
            ):
                menus.add(element)
                menu_chars += chars
            else:
                for place, count in enumerate((chars, of_links, links + (tag == "a"))):
                    counts[-1][place] += count
        size = len(held.strip()) if held else 0
        counts[-1][0] += size
        counts[-1][1] += size if link else 0
    return frozenset(hidden if counts[0][0] < _LEAST_SHARE * menu_chars else hidden | menus)


def _is_hidden(element: _Element) -> bool:
    """Whether a page says that an element is not to be seen."""
    style = element.get("style", "").replace(" ", "").lower()
    return (
        element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or "display:none" in style
    )


def _looks_like_menu(element: _Element, *, inside: bool) -> bool:
    """Whether an element's tag, role or name is that of a menu or the like."""
    if element.tag in _OUTER and not inside and element.find(".//h1") is None:
        return True
    names = re.split(r"[\W_]+", f"{element.get('class', '')} {element.get('id', '')}".lower())
    return element.get("role", "") in _MENU_ROLES or not _MENU_NAMES.isdisjoint(names)
