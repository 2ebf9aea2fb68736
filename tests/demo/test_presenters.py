from __future__ import annotations

from typing import Any

import pytest

from core.encoders.pool import LoadState
from core.library.encoders import EncoderStatus
from core.library.library import ExampleQuery
from core.monitor import Progress
from core.records import DocumentReport, Family, IngestionReport, SkippedFile
from core.store.records import StoredComparison
from demo.jobs import Snapshot
from demo.presenters import frame, library

HOSTILE = "<script>alert(1)</script>\u202e.pdf"


def report(**changes: Any) -> Any:
    made = {
        "doc_id": "d1", "name": "a.pdf", "pages": 311, "pages_with_text": 287,
        "scanned_pages": tuple(range(12, 36)), "passages": 900, "tokens": 120_000,
    }  # fmt: skip
    return DocumentReport(**{**made, **changes})


def test_an_ingestion_line_names_scanned_pages_and_what_to_do() -> None:
    html = library.documents([report()], removable=True)
    assert (
        "287 of 311 pages have text; pages 12-35 look scanned: run OCR, for example ocrmypdf"
        in html
    )


def test_a_saved_comparison_says_which_clock_its_time_is_of() -> None:
    html = library.saved([StoredComparison("c1", "2026-11-23T01:50:07+00:00", "why?", "pair")])
    assert "2026-11-23 01:50 UTC" in html


def test_the_sample_library_offers_no_remove_button() -> None:
    assert 'data-act="remove"' in library.documents([report()], removable=True)
    assert 'data-act="remove"' not in library.documents([report()], removable=False)


def test_scanned_pages_are_offered_where_they_can_be_read() -> None:
    words = "1 of 2 pages has text; page 2 looks scanned: run OCR, for example ocrmypdf."
    scanned = report(warnings=(words,))
    html = library.documents(
        [scanned, report(doc_id="other", scanned_pages=())], removable=True, languages=("deu",)
    )
    assert html.count('data-ask="ocr"') == 1
    assert html.count("look") == 1  # said once
    assert f'data-token="{scanned.doc_id}"' in html
    assert "<option>deu</option>" in html
    assert "data-ask" not in library.documents([scanned], removable=False, languages=("deu",))
    assert "data-ask" not in library.documents([scanned], removable=True)
    made = IngestionReport((), (SkippedFile("s.pdf", "s.pdf is scanned.", needs_ocr=True),))
    assert "Install it." in library.ingestion(made, {}, advice="Install it.")
    html = library.ingestion(made, {"t": ("s.pdf", "", ("deu", "eng"))})
    assert "s.pdf has no readable text of its own. OCR (tesseract) can read its pages" in html
    assert "<option selected>eng</option>" in html


def test_what_an_upload_came_to() -> None:
    made = IngestionReport(
        documents=(report(pages=3, pages_with_text=3, scanned_pages=(), passages=7),),
        skipped=(
            SkippedFile("bad.pdf", "bad.pdf is damaged; save it again."),
            SkippedFile("locked.pdf", "locked.pdf is encrypted.", needs_password=True),
        ),
        seconds=2.0,
    )
    html = library.ingestion(made, {"token-1": ("locked.pdf", "", ())})
    assert "bad.pdf is damaged; save it again." in html
    assert 'data-token="token-1"' in html
    assert 'type="password"' in html
    assert "locked.pdf is encrypted. Type its password" in html


@pytest.mark.parametrize(
    "html",
    [
        library.documents(
            [report(name=HOSTILE, warnings=(HOSTILE, f"{HOSTILE}: run OCR"))],
            removable=True,
            languages=(HOSTILE,),
        ),
        library.ingestion(
            IngestionReport((), (SkippedFile(HOSTILE, HOSTILE),)),
            {"t": (HOSTILE, HOSTILE, ()), "u": (HOSTILE, HOSTILE, (HOSTILE,))},
        ),
        library.saved([StoredComparison(HOSTILE, HOSTILE, HOSTILE, HOSTILE)]),
        library.encoders(
            [EncoderStatus("a", Family.DIFFUSION, HOSTILE, LoadState.FAILED, HOSTILE, 0, 1)]
        ),
        library.trouble(HOSTILE),
        frame.examples([ExampleQuery("q", HOSTILE, HOSTILE, ())]),
        frame.failure(HOSTILE, HOSTILE),
    ],
)
def test_hostile_names_are_text_everywhere(html: Any) -> None:
    assert "<script" not in html
    assert "\u202e" not in html


def test_progress_shows_each_stage_once_with_its_latest_count() -> None:
    snapshot = Snapshot(
        kind="index",
        stages=(Progress("reading", 2, 3, "b.pdf"), Progress("embedding (diffusion)", 10, 40)),
        running=True,
        stopping=False,
        seconds=61.2,
    )
    html = library.progress(snapshot)
    assert "2 / 3" in html
    assert "b.pdf" in html
    assert "10 / 40" in html
    assert "width:25%" in html
    assert "1 min 01 s" in html


def test_progress_says_how_long_where_it_can_be_told_and_how_to_stop() -> None:
    stages = (Progress("embedding (diffusion)", 10, 40), Progress("hiding keys", 1, 9))
    left = {"embedding (diffusion)": 93.0, "hiding keys": 30.0}
    snapshot = Snapshot("index", stages, running=True, stopping=False, seconds=31.0, left=left)
    html = library.progress(snapshot, stop="stop-experiment")
    assert "about 95 s left" in html
    assert html.count("left") == 1  # the steps of the other stage are not alike
    assert 'data-act="stop-experiment"' in html
    assert "data-act" not in library.progress(snapshot)


def test_examples_stand_in_the_four_groups_in_order() -> None:
    queries = [ExampleQuery("1", "reasoning", "r", ()), ExampleQuery("2", "lookup", "l", ())]
    html = frame.examples(queries)
    assert html.index("lookup (1)") < html.index("reasoning (1)")
