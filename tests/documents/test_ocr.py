"""Scanned pages: read by tesseract where it is installed, named with what to do where not."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import psutil
import pytest
from reportlab.lib.utils import ImageReader  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]
from typing_extensions import override

from core.documents import ocr_languages, require_languages
from core.documents import read_document as read_in_worker
from core.errors import InvalidSettingError, NeedsOcrError, NoTextError, StoppedError, UsageError
from core.monitor import Progress, SilentMonitor
from core.records import TextSource
from core.settings import ExtractionLimits
from tests import pdfs, tesseract
from tests.inprocess import read_document

LINES = (("The", "lock", "keeper", "opened"), ("the", "upper", "gate", "again."))
TEXT = "The lock keeper opened\nthe upper gate again."


def test_without_tesseract_nothing_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ocr_languages() == ()
    with pytest.raises(UsageError, match=r"not installed\. Install tesseract with the languages"):
        require_languages("eng")


def test_languages_are_those_that_tesseract_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tesseract.install(tmp_path / "bin", monkeypatch)
    assert ocr_languages() == ("deu", "eng")
    assert require_languages("eng+deu") == "eng+deu"
    for chosen in ("fra", "eng+fra", "", "--help"):
        with pytest.raises(InvalidSettingError, match="it has deu, eng"):
            require_languages(chosen)


def test_a_scanned_page_is_read_with_a_box_for_every_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tesseract.install(tmp_path / "bin", monkeypatch, LINES)
    data = pdfs.partly_scanned_pdf([pdfs.PROSE, ""])
    document = read_document(data, "a.pdf", ocr="eng+deu")
    first, second = document.pages
    assert (first.text_source, second.text_source) == (TextSource.PDFIUM, TextSource.OCR)
    assert document.text[second.start : second.end] == TEXT
    assert not second.looks_scanned
    # "The" begins 248 of 2,480 pixels from the left and 300 from the top, 100 wide, 40 high
    points = second.width / 2480
    expected = [248 * points, 300 * points, (248 + 100 / 3) * points, 340 * points]
    assert second.char_boxes[0].tolist() == pytest.approx(expected, rel=1e-3)
    assert document.warnings == (
        "Page 2 was read by OCR (tesseract, eng+deu): letters may be wrong.",
    )
    assert (folder / "asked").read_text().startswith("stdin stdout -l eng+deu --dpi 300 tsv")


def test_pages_with_text_are_not_given_to_tesseract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tesseract.install(tmp_path / "bin", monkeypatch, LINES)
    assert read_document(pdfs.plain_pdf(), "a.pdf", ocr="eng").warnings == ()
    assert not (folder / "asked").exists()


def test_it_runs_under_the_limits_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tesseract.install(tmp_path / "bin", monkeypatch, LINES)
    seen: list[Progress] = []
    monitor = SilentMonitor()
    monkeypatch.setattr(SilentMonitor, "report", lambda _, progress: seen.append(progress))
    document = read_in_worker(pdfs.scanned_pdf(2), "a.pdf", ocr="eng", monitor=monitor)
    assert document.text == f"{TEXT}\n{TEXT}"
    assert [(one.done, one.total) for one in seen] == [(1, 2), (2, 2)]
    assert not (folder / "asked").read_text()  # it may write no file; else this would hold words


def test_hostile_output_is_text_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = "5\t1\t1\t1\t1\t1\t{}\t10\t100\t40\t90\t{}\n"
    rows = [
        "5\tnot\ta\trow\n", "\x00\xff\n", word.format("x", "lost"), word.format(0, "<b>a\u202eb\x07"),
        word.format("1" * 400, "lost"), word.format(-50, "out\tside"), word.format(5, " "),
    ]  # fmt: skip
    tesseract.install(tmp_path / "bin", monkeypatch, tsv=tesseract.HEAD + "\n" + "".join(rows))
    document = read_document(pdfs.scanned_pdf(), "a.pdf", ocr="eng")
    assert document.text == "<b>ab\ufffd out side"
    document = read_document(
        pdfs.scanned_pdf(), "a.pdf", ocr="eng", limits=ExtractionLimits(chars_per_page=5)
    )
    assert document.text == "<b>a"


def test_a_failure_is_named_and_the_document_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tesseract.install(tmp_path / "bin", monkeypatch, LINES)
    (folder / "fails").touch()
    document = read_document(pdfs.partly_scanned_pdf([pdfs.PROSE, ""]), "a.pdf", ocr="eng")
    assert document.warnings == (
        "1 of 2 pages has text; page 2 looks scanned: run OCR, for example ocrmypdf.",
        "OCR failed on page 2 (tesseract: Error opening data file).",
    )
    with pytest.raises(NeedsOcrError, match=r"OCR failed \(tesseract: Error opening data file\)"):
        read_document(pdfs.scanned_pdf(), "a.pdf", ocr="eng")
    (folder / "fails").unlink()
    (folder / "slow").touch()
    with pytest.raises(NeedsOcrError, match=r"OCR failed \(it took longer than 0.8 seconds\)"):
        read_document(
            pdfs.scanned_pdf(), "a.pdf", ocr="eng", limits=ExtractionLimits(page_seconds=1.0)
        )


def test_a_picture_without_words_is_blank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tesseract.install(tmp_path / "bin", monkeypatch)
    with pytest.raises(NoTextError, match="its one page is blank") as caught:
        read_document(pdfs.scanned_pdf(), "a.pdf", ocr="eng")
    assert not isinstance(caught.value, NeedsOcrError)


def test_stop_ends_tesseract_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tesseract.install(tmp_path / "bin", monkeypatch, LINES)
    (folder / "slow").touch()

    def sleepers() -> list[psutil.Process]:
        below = psutil.Process().children(recursive=True)
        return [one for one in below if one.name() == "sleep"]

    class Stopper(SilentMonitor):
        running: list[psutil.Process] = []  # noqa: RUF012  of this test alone

        @override
        def stop_requested(self) -> bool:
            self.running = self.running or sleepers()
            return bool(self.running)

    monitor = Stopper()
    with pytest.raises(StoppedError):
        read_in_worker(pdfs.scanned_pdf(), "a.pdf", ocr="eng", monitor=monitor)
    gone, alive = psutil.wait_procs(monitor.running, timeout=10)
    assert len(gone) == 1
    assert not alive


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_the_real_tesseract_reads_a_picture_of_text() -> None:
    if "eng" not in ocr_languages():
        pytest.skip("tesseract has no English here")
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (1200, 400), 255)
    font = ImageFont.load_default(size=60)
    ImageDraw.Draw(image).text((60, 150), "The harbour floods twice", fill=0, font=font)
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(600, 200), invariant=1)
    canvas.drawImage(ImageReader(image), 0, 0, 600, 200)
    canvas.save()
    document = read_in_worker(buffer.getvalue(), "a.pdf", ocr="eng")
    assert document.text == "The harbour floods twice"
    left = document.pages[0].char_boxes[0][0]
    assert 25 < left < 40  # drawn 30 points from the left
