"""The library's side: its documents, the progress of an upload, and its result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.library.encoders import EncoderStatus
from core.library.ingest import wants_ocr
from core.monitor import Progress
from core.records import DocumentReport, IngestionReport
from core.render import Html, render
from core.render.systems import family_kind
from core.store.records import StoredComparison
from core.words import DOT, plural
from demo import texts
from demo.jobs import Snapshot

# Stages whose steps cost about the same, so that what is left can be foretold from what is done.
_EVEN = ("embedding", "asking")
_COUNTED = re.compile("ha(?:ve|s) text")  # the reader's own sentence says it
# Of a file that waits: its name, what to say of the last answer, languages to read it in; without
# any it waits for a password.
Waiting = tuple[str, str, Sequence[str]]


def documents(
    reports: Sequence[DocumentReport],
    *,
    removable: bool,
    label: str = "",
    languages: Sequence[str] = (),
) -> Html:
    """Return a library's name, and one line per document: pages, passages, unreadable parts.

    ``languages`` are those that scanned pages can be read in, offered where there are any.
    """
    offered = languages if removable else ()
    lines = [(report, _notes(report), bool(offered) and wants_ocr(report)) for report in reports]
    return render(
        "documents",
        label=label,
        reports=reports,
        lines=lines,
        removable=removable,
        languages=offered,
    )


def _notes(report: DocumentReport) -> list[str]:
    notes = list(report.warnings)
    if report.pages_with_text < report.pages and not any(_COUNTED.search(note) for note in notes):
        words = f"{report.pages_with_text:,} of {report.pages:,} pages have text"
        if report.scanned_pages:
            words += f"; {_page_list(report.scanned_pages)} look scanned: {texts.SCANNED_ADVICE}"
        notes.insert(0, words + ".")
    return notes


def _page_list(numbers: Sequence[int]) -> str:
    """Return ``pages 3, 7-9``."""
    runs: list[list[int]] = []
    for page in sorted(numbers):
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    words = [str(a) if a == b else f"{a}-{b}" for a, b in runs[:12]]
    if len(runs) > len(words):
        words.append("and more")
    return ("page " if len(numbers) == 1 else "pages ") + ", ".join(words)


@dataclass(frozen=True, slots=True)
class _Stage:
    """One stage of a job, as it is drawn."""

    name: str
    kind: str
    share: str
    width: str
    known: bool
    detail: str


def progress(snapshot: Snapshot, *, stop: str = "") -> Html:
    """Return how far a job is: a line and a bar for each stage.

    Args:
        snapshot: Of the job.
        stop: The page's signal that stops it, for places without a Stop button of their own.
    """
    stages = [_stage(stage, snapshot.left.get(stage.stage)) for stage in snapshot.stages]
    lead = "" if stages else "Starting\u2026"
    if snapshot.waiting:
        lead = "Waiting for another job on this machine to finish\u2026"
    elif snapshot.stopping:
        lead = texts.STOPPING
    return render(
        "progress",
        lead=lead,
        stages=stages,
        clock=_clock(snapshot.seconds),
        stop="" if snapshot.stopping else stop,
    )


def _stage(stage: Progress, left: float | None) -> _Stage:
    name, done, total, detail = stage.stage, stage.done, stage.total, stage.detail
    width = 100 * min(1.0, done / total) if total else 30
    share = f"{done:,} / {total:,}" if total else (f"{done:,}" if done else "")
    if name.startswith("fetching "):
        share = f"{width:.0f} %" if total else ""  # the detail has the bytes, in words
    if left is not None and name.startswith(_EVEN):
        detail = DOT.join(part for part in (texts.LEFT.format(time=_about(left)), detail) if part)
    kind = "dif" if "diffusion" in name else "aut" if "autoregressive" in name else ""
    if total and done >= total:
        detail = ""
    return _Stage(name, kind, share, f"{width:.0f}", bool(total), detail)


def _about(seconds: float) -> str:
    """Return a time as it can be foretold: in steps of 5 s, from two minutes on in minutes."""
    if seconds < 120:
        return f"{max(5, round(seconds / 5) * 5)} s"
    return f"{round(seconds / 60)} min"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def ingestion(report: IngestionReport, waiting: Mapping[str, Waiting], *, advice: str = "") -> Html:
    """Return the result of an upload.

    Args:
        report: Of the library.
        waiting: Files that wait for an answer, by token.
        advice: Sentence on scanned pages, said once where there are any that were not read.
    """
    fresh = [item for item in report.documents if item.duplicate_of is None]
    read = ""
    if fresh:
        pages = sum(item.pages for item in fresh)
        with_text = sum(item.pages_with_text for item in fresh)
        read = (
            f"Read {plural(len(fresh), 'document')}: {with_text:,} of {plural(pages, 'page')} "
            f"with text, {plural(sum(item.passages for item in fresh), 'passage')} "
            f"in {_clock(report.seconds)}."
        )
    names = {name for name, *_ in waiting.values()}
    unread = any(map(wants_ocr, fresh)) or any(skipped.needs_ocr for skipped in report.skipped)
    return render(
        "ingestion",
        stopped=texts.STOPPED if report.stopped else "",
        read=read,
        again=[item for item in report.documents if item.duplicate_of is not None],
        refused=[
            skipped.reason
            for skipped in report.skipped
            if not ((skipped.needs_password or skipped.needs_ocr) and skipped.name in names)
        ]
        + ([advice] if advice and unread else []),
        waiting=[(token, *one) for token, one in waiting.items()],
    )


def question(token: str, waiting: Waiting) -> Html:
    """Return the question for one file's password or language."""
    name, words, languages = waiting
    return render("password", token=token, name=name, words=words, languages=languages)


def trouble(message: str, waiting: Mapping[str, Waiting] | None = None) -> Html:
    """Return an error as a sentence in its place, and below it the files that wait for an answer."""
    return render(
        "said",
        kind="bad",
        words=message,
        waiting=[(key, *one) for key, one in (waiting or {}).items()],
    )


def notice(message: str) -> Html:
    """Return a remark in its place."""
    return render("said", kind="", words=message, waiting=())


def encoders(statuses: Sequence[EncoderStatus]) -> Html:
    """Return the faults and gaps of the two encoders; nothing when all is well."""
    lacking = [one for one in statuses if one.problem or one.passages_embedded < one.passages]
    return render("not_ready", encoders=[(one, family_kind(one.family)) for one in lacking])


def saved(entries: Sequence[StoredComparison]) -> Html:
    """Return the saved comparisons, newest first."""
    return render("saved", entries=entries[:200], none_yet=texts.SAVED_NONE)
