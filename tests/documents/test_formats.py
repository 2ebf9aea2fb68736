"""Word documents, web pages and tables: worked examples, then hostile ones."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from core.documents import read_document as read_in_worker
from core.documents.plain import ENDINGS, READ_WORDS
from core.errors import (
    DocumentError,
    LimitExceededError,
    NoTextError,
    PdfReadError,
    UnsupportedFileError,
)
from core.settings import ExtractionLimits
from tests.inprocess import read_document
from tests.office import PAGE, docx_file, part, with_parts

MAIN = "word/document.xml"
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def zipped(*names: str, start: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name in names:
            packed.writestr(name, start or "x")
    return buffer.getvalue()


def text_of(content: str, name: str) -> str:
    return read_document(content.encode(), name).text


def body(xml: str) -> bytes:
    """A Word document whose body is ``xml``."""
    return with_parts(
        docx_file(), {MAIN: f"<w:document {W}><w:body>{xml}</w:body></w:document>".encode()}
    )


# -- docx --------------------------------------------------------------------------------------


def test_a_word_document_is_paragraphs_and_table_rows() -> None:
    data = docx_file(
        ["The keeper opened the gate.", "", "Line one\nline\ttwo"],
        [("Sluice", "Depth"), ("S1", "1.5\nmetres")],
        heading="Locks",
    )
    document = read_document(data, "a.docx")
    assert document.text == (
        "Locks\n\nThe keeper opened the gate.\n\nLine one\nline two\n\n"
        "Sluice | Depth\n\nS1 | 1.5\nmetres"
    )
    assert document.media_type == ENDINGS[".docx"]
    (page,) = document.pages
    assert (page.start, page.end, page.width) == (0, len(document.text), 0.0)
    assert document.text[slice(*document.sentences[1])] == "The keeper opened the gate."
    assert read_document(data, "renamed.txt").text == document.text


def test_content_controls_and_insertions_are_read_and_what_was_deleted_is_not() -> None:
    def run(text: str) -> str:
        return f"<w:r><w:t>{text}</w:t></w:r>"

    data = body(
        f"<w:sdt><w:sdtContent><w:p>{run('Control.')}</w:p></w:sdtContent></w:sdt>"
        f"<w:p><w:ins>{run('New')}</w:ins><w:del><w:r><w:delText>Old</w:delText></w:r></w:del>"
        f"<w:moveFrom>{run('Moved')}</w:moveFrom><w:r><w:noBreakHyphen/></w:r>{run('er')}</w:p>"
    )
    assert read_document(data, "a.docx").text == "Control.\n\nNew-er"


def test_footnotes_come_after_the_body() -> None:
    data = docx_file(["Body."])
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
    relations = part(data, "word/_rels/document.xml.rels").replace(
        b"</Relationships>",
        f'<Relationship Id="n1" Type="{kind}" Target="notes.xml"/></Relationships>'.encode(),
    )
    notes = f"<w:footnotes {W}><w:footnote><w:p><w:r><w:t>A note.</w:t></w:r></w:p></w:footnote></w:footnotes>"
    parts = {"word/_rels/document.xml.rels": relations, "word/notes.xml": notes.encode()}
    assert read_document(with_parts(data, parts), "a.docx").text == "Body.\n\nA note."


def test_entities_of_a_word_document_stay_closed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("stolen")
    data = body("<w:p><w:r><w:t>Kept.</w:t></w:r></w:p><w:p><w:r><w:t>&out;</w:t></w:r></w:p>")
    out = f'<!DOCTYPE d [<!ENTITY out SYSTEM "{secret.as_uri()}">]>'.encode()
    hostile = with_parts(data, {MAIN: out + part(data, MAIN)})
    assert read_document(hostile, "a.docx").text == "Kept."
    laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(10))
    laughs = f'<!DOCTYPE d [<!ENTITY l0 "ha">{laughs}<!ENTITY out "&l9;">]>'
    hostile = with_parts(data, {MAIN: laughs.encode() + part(data, MAIN)})
    with pytest.raises(PdfReadError, match="damaged"):
        read_in_worker(hostile, "a.docx")


def test_a_word_document_that_unpacks_to_too_much_is_refused() -> None:
    bomb = with_parts(docx_file(), {"word/media/a.png": bytes(8 * 2**20)})
    assert len(bomb) < 100_000
    with pytest.raises(LimitExceededError, match="unpacks to 9 MiB; up to 1 MiB are read"):
        read_document(bomb, "a.docx", limits=ExtractionLimits(file_bytes=2**20))


def test_huge_and_deep_xml_is_a_limit_or_damage() -> None:
    tiny = ExtractionLimits(memory_bytes=300 * 2**20)
    with pytest.raises(LimitExceededError, match=r'"a.docx" was not read: .* memory'):
        read_in_worker(body("<w:p/>" * 8_000_000), "a.docx", limits=tiny)
    with pytest.raises(DocumentError, match=r'"a.docx" is'):
        read_in_worker(body("<w:p>" * 100_000), "a.docx")


def test_macros_and_templates_are_refused() -> None:
    kind = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    data = docx_file()
    types = part(data, "[Content_Types].xml")
    assert kind in types
    macro = types.replace(kind, b"application/vnd.ms-word.document.macroEnabled.main+xml")
    with pytest.raises(UnsupportedFileError, match=r"holds macros.* Save it as a plain Word"):
        read_document(with_parts(data, {"[Content_Types].xml": macro}), "a.docm")
    relations = part(data, "_rels/.rels").replace(
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument",
        b"http://purl.oclc.org/ooxml/officeDocument/relationships/officeDocument",
    )
    with pytest.raises(UnsupportedFileError, match="Strict Open XML"):
        read_document(with_parts(data, {"_rels/.rels": relations}), "a.docx")


def test_a_word_document_cut_short_is_damaged() -> None:
    with pytest.raises(UnsupportedFileError, match="damaged Office document"):
        read_document(docx_file()[:5000], "a.docx")
    with pytest.raises(PdfReadError, match="damaged or cut short"):
        read_in_worker(with_parts(docx_file(), {MAIN: b"<w:doc"}), "a.docx")
    with pytest.raises(NoTextError, match="nothing to read"):
        read_document(docx_file([]), "a.docx")


# -- html --------------------------------------------------------------------------------------


def test_a_web_page_is_its_main_text() -> None:
    document = read_document(PAGE.encode(), "a.html")
    assert document.text == (
        "The lock\n\nThe keeper opened the upper gate & waited.\n\n"
        "Sluice | Depth\n\nS1 | 1.5\n\none\ntwo"
    )
    assert document.media_type == "text/html"
    assert document.warnings == ()
    assert read_document(PAGE.encode(), "a.txt").text == document.text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("just words", "just words"),
        ("<p>one<p>two<br>lines", "one\n\ntwo\nlines"),
        ("<title>T</title><p>x</p>", "T\n\nx"),
        ("<p>a</p><p hidden>b</p><p style='display: none'>c</p><p aria-hidden=true>d</p>", "a"),
        ("<script>x()</script><p onclick='y()'>a &lt;b&gt; &#60;script&#62;", "a <b> <script>"),
        # a table that lays out a page is no table
        ("<table><tr><td><p>a</p><table><tr><td>1<td>2</table><td>b</table>", "a\n\n1 | 2\n\nb"),
        # links alone are a menu, unless nothing else is there
        ("<ul>" + "<li><a>Menu</a>" * 4 + "</ul><p>text</p>", "text"),
        ("<ul>" + "<li><a>Menu</a>" * 4 + "</ul>", "Menu\n\nMenu\n\nMenu\n\nMenu"),
        ("<ul>" + "<li><a>A long title of a paper on locks and weirs</a>" * 4 + "</ul>",
         "\n\n".join(["A long title of a paper on locks and weirs"] * 4)),
        # a name alone does not drop most of the text
        ("<div class=sidebar>" + "word " * 9 + "</div><p>x</p>", "word " * 8 + "word\n\nx"),
    ],
)  # fmt: skip
def test_pages_of_every_shape(page: str, text: str) -> None:
    assert text_of(page, "a.htm") == text


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        ('<meta charset="windows-1251">', "cp1251"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS">', "shift_jis"),
        ('<?xml version="1.0" encoding="koi8-r"?>', "koi8-r"),
        ('<meta charset="utf-16">', "utf-8"),  # as browsers do: it cannot be
        ('<meta charset="no-such-thing">', "utf-8"),
        ("", "utf-8-sig"),
        ("", "utf-16"),
    ],
)
def test_the_charset_of_a_page_is_what_it_declares(head: str, codec: str) -> None:
    page = f"{head}<html><body><p>Вода</p></body></html>"
    assert read_document(page.encode(codec), "a.html").text == "Вода"


def test_a_hundred_thousand_nested_tags_and_entities_of_a_page_do_no_harm() -> None:
    assert text_of("<div>" * 2000 + "deep", "a.html") == "deep"
    document = read_document(b"<p>first</p>" + b"<div>" * 100_000 + b"deep", "a.html")
    assert document.text == "first"
    assert document.warnings == ("Its tags are nested too deeply: what comes after is left out.",)
    entity = '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/hostname">]><p>a&x;b</p>'
    assert "a&x;b" in text_of(entity, "a.html")


@pytest.mark.parametrize("page", ["<html></html>", "<script>x</script>", "<!-- a -->"])
def test_a_page_without_text_says_so(page: str) -> None:
    with pytest.raises(NoTextError, match="nothing to read"):
        text_of(page, "a.html")


# -- csv and tsv -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        ("name,depth\nS1,1.5\nS2,\n", "a.csv", "name: S1\ndepth: 1.5\n\nname: S2"),
        ("name;depth\r\nS1;1,5\r\nS2;2,5", "a.csv", "name: S1\ndepth: 1,5\n\nname: S2\ndepth: 2,5"),
        ("name\tnote\nS1\ta, b", "a.tsv", "name: S1\nnote: a, b"),
        ("\ufeffname,note\nS1,\"two\nlines, \"\"said\"\"\"", "a.csv",
         'name: S1\nnote: two lines, "said"'),
        ("a,,c\n1,2,3,4\n5\n\n", "a.csv", "a: 1\ncolumn 2: 2\nc: 3\ncolumn 4: 4\n\na: 5"),
        ('name,value\nx,"=HYPERLINK(""http://a"")"', "a.csv",
         'name: x\nvalue: =HYPERLINK("http://a")'),
        ("only,a,header", "a.csv", "only | a | header"),
        ("words\none two\nthree", "a.csv", "words: one two\n\nwords: three"),
        ('a,b\n1,"never closed\n2,3', "a.csv", "a: 1\nb: never closed 2,3"),
    ],
)  # fmt: skip
def test_a_table_is_a_record_a_paragraph(content: str, name: str, text: str) -> None:
    assert text_of(content, name) == text


def test_a_table_of_another_charset_has_a_warning() -> None:
    document = read_document("Straße;Länge\nWehr;3".encode("cp1252"), "a.csv")
    assert document.text == "Straße: Wehr\nLänge: 3"
    assert "not UTF-8" in document.warnings[0]


def test_wide_tables_are_read_and_long_headers_do_not_multiply() -> None:
    wide = ",".join(f"c{n}" for n in range(200_000)) + "\n" + ",".join(["1"] * 200_000)
    assert text_of(wide, "a.csv").endswith("c199998: 1\nc199999: 1")
    bomb = "x" * 100_000 + ",b\n" + "1,2\n" * 100_000  # would be ten billion characters
    with pytest.raises(LimitExceededError, match="more than 20,000,000 characters"):
        text_of(bomb, "a.csv")
    million = ",".join(["a"] * 1_000_000) + "\n" + ",".join(["1"] * 1_000_000)
    with pytest.raises(LimitExceededError, match=r"more than 1,000,000 characters"):
        read_document(million.encode(), "a.csv", limits=ExtractionLimits(chars=1_000_000))


# -- what is not read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (zipped("mimetype", "META-INF/container.xml"), "a.epub", "an EPUB book.*convert it to PDF"),
        (zipped("mimetype", "content.xml"), "a.odt", "an OpenDocument file.*save it as docx"),
        (zipped("xl/workbook.xml"), "a.xlsx", "an Excel workbook.*each sheet as CSV"),
        (zipped("ppt/presentation.xml"), "a.pptx", "a PowerPoint presentation.*as PDF"),
        (zipped("notes.txt"), "a.zip", "a ZIP archive.*unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.doc", "old or encrypted Office.*as docx"),
        (b"\xff\xd8\xff\xe0", "a.jpg", "a JPEG image.*ocrmypdf"),
        (b"<?xml version='1.0'?><a/>", "a.xml", "is XML.*export it as PDF"),
    ],
)
def test_other_kinds_are_refused_with_what_to_do(data: bytes, name: str, words: str) -> None:
    with pytest.raises(UnsupportedFileError, match=words) as caught:
        read_document(data, name)
    assert READ_WORDS in str(caught.value)


def test_the_readme_lists_what_is_read() -> None:
    assert READ_WORDS in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
