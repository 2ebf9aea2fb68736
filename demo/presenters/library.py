"""The library's side: its documents, how far an upload is, and what an upload came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.render import escape, join
from core.render.systems import family_kind
from core.words import DOT, plural
from demo import texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.library import EncoderStatus
    from core.records import DocumentReport, IngestionReport
    from core.store import StoredComparison
    from demo.jobs import Snapshot


# Stages whose steps cost about the same, so that what is left can be foretold from what is done.
_EVEN = ("embedding", "asking")


def documents(reports: Sequence[DocumentReport], *, removable: bool) -> str:
    """Return one line per document: pages, passages, and what could not be read."""
    if not reports:
        return ""
    items = join(_document(report, removable=removable) for report in reports)
    pages = sum(report.pages for report in reports)
    passages = sum(report.passages for report in reports)
    return (
        f'<div class="bf"><p class="side-title">{plural(len(reports), "document")}, '
        f"{plural(pages, 'page')}, {plural(passages, 'passage')}</p>"
        f'<ul class="docs">{items}</ul></div>'
    )


def _document(report: DocumentReport, *, removable: bool) -> str:
    remove = (
        f'<button class="x" data-act="remove" data-doc="{escape(report.doc_id)}" '
        f'data-name="{escape(report.name)}" aria-label="remove {escape(report.name)}" '
        'title="remove from this library">\u00d7</button>'
        if removable
        else "<span></span>"
    )
    notes = join(f'<span class="note">{escape(note)}</span>' for note in _notes(report))
    return (
        f'<li><bdi class="name" title="{escape(report.name)}">{escape(report.name)}</bdi>{remove}'
        f'<span class="meta num">{report.pages:,} p{DOT}{plural(report.passages, "passage")}{DOT}'
        f"{plural(report.tokens, 'token')}</span>{notes}</li>"
    )


def _notes(report: DocumentReport) -> list[str]:
    notes = list(report.warnings)
    if report.pages_with_text < report.pages and not any("have text" in note for note in notes):
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


def progress(snapshot: Snapshot, *, stop: str = "") -> str:
    """Return how far a job is: a line and a bar for each stage.

    Args:
        snapshot: Of the job.
        stop: The page's signal that stops it, for places without a Stop button of their own.
    """
    if snapshot.waiting:
        lead = "Waiting for another job on this machine to finish\u2026"
    elif snapshot.stopping:
        lead = texts.STOPPING
    else:
        lead = ""
    rows = join(
        _stage(stage.stage, stage.done, stage.total, stage.detail, snapshot.left.get(stage.stage))
        for stage in snapshot.stages
    )
    if not rows and not lead:
        lead = "Starting\u2026"
    lead = f'<p class="meta">{escape(lead)}</p>' if lead else ""
    button = (
        f'<button class="button" data-act="{escape(stop)}">{escape(texts.STOP)}</button>'
        if stop and not snapshot.stopping
        else ""
    )
    return (
        f'<div class="bf" role="status" aria-live="polite">{lead}<div class="steps">{rows}</div>'
        f'<p class="meta num">{_clock(snapshot.seconds)} {button}</p></div>'
    )


def _stage(name: str, done: int, total: int, detail: str, left: float | None = None) -> str:
    kind = "dif" if "diffusion" in name else "aut" if "autoregressive" in name else ""
    share = f"{done:,} / {total:,}" if total else (f"{done:,}" if done else "")
    width = 100 * min(1.0, done / total) if total else 30
    if name.startswith("fetching "):
        share = f"{width:.0f} %" if total else ""  # the detail has the bytes, in words
    unknown = "" if total else " unknown"
    if left is not None and name.startswith(_EVEN):
        detail = DOT.join(part for part in (texts.LEFT.format(time=_about(left)), detail) if part)
    what = (
        f'<bdi class="what">{escape(detail)}</bdi>'
        if detail and (not total or done < total)
        else ""
    )
    return (
        f'<div class="step {kind}"><span>{escape(name)}</span><span class="num">{share}</span>'
        f'<span class="bar{unknown}"><i style="width:{width:.0f}%"></i></span>{what}</div>'
    )


def _about(seconds: float) -> str:
    """Return a time as it can be foretold: in steps of 5 s, from two minutes on in minutes."""
    if seconds < 120:
        return f"{max(5, round(seconds / 5) * 5)} s"
    return f"{round(seconds / 60)} min"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def ingestion(report: IngestionReport, waiting: Mapping[str, str]) -> str:
    """Return what an upload came to.

    Args:
        report: Of the library.
        waiting: Token to file name of the files that wait for a password.
    """
    parts = []
    if report.stopped:
        parts.append(f'<p class="notice warn">{escape(texts.STOPPED)}</p>')
    fresh = [item for item in report.documents if item.duplicate_of is None]
    again = [item for item in report.documents if item.duplicate_of is not None]
    if fresh:
        pages = sum(item.pages for item in fresh)
        with_text = sum(item.pages_with_text for item in fresh)
        words = (
            f"Read {plural(len(fresh), 'document')}: {with_text:,} of {plural(pages, 'page')} "
            f"with text, {plural(sum(item.passages for item in fresh), 'passage')} "
            f"in {_clock(report.seconds)}."
        )
        parts.append(f'<p class="notice">{escape(words)}</p>')
    parts += [
        f'<p class="notice">{escape(f"{item.name} is here already ({item.duplicate_of}).")}</p>'
        for item in again
    ]
    waiting_names = set(waiting.values())
    parts += [
        f'<p class="notice warn">{escape(skipped.reason)}</p>'
        for skipped in report.skipped
        if not (skipped.needs_password and skipped.name in waiting_names)
    ]
    parts += [password_form(token, name) for token, name in waiting.items()]
    if not parts:
        return ""
    return f'<div class="bf" role="status">{join(parts)}</div>'


def password_form(token: str, name: str, problem: str = "") -> str:
    """Return the question for one encrypted file's password."""
    words = problem or f"{name} is encrypted. Type its password to read it."
    return (
        f'<form class="notice warn ask-password" data-token="{escape(token)}" autocomplete="off">'
        f"<p>{escape(words)}</p>"
        f'<p class="row"><input type="password" name="password" aria-label="{texts.PASSWORD_LABEL} for '
        f'{escape(name)}" placeholder="{texts.PASSWORD_LABEL}" autocomplete="off">'
        '<button class="button" type="submit">Open</button>'
        f'<button class="link" type="button" data-act="forget" data-token="{escape(token)}">skip'
        "</button></p></form>"
    )


def trouble(message: str) -> str:
    """Return an error as a sentence in its place."""
    return f'<div class="bf"><p class="notice bad" role="alert">{escape(message)}</p></div>'


def notice(message: str) -> str:
    """Return a remark in its place."""
    return f'<div class="bf"><p class="notice" role="status">{escape(message)}</p></div>'


def arms(statuses: Sequence[EncoderStatus]) -> str:
    """Return what is not ready about the two encoders; nothing when all is well."""
    lines = []
    for arm in statuses:
        kind = family_kind(arm.family)
        name = f'<span class="{kind}"><i class="sym"></i>{escape(arm.label)}</span>'
        if arm.problem:
            lines.append(f'<p class="notice bad">{name}: {escape(arm.problem)}</p>')
        elif arm.passages_embedded < arm.passages:
            lines.append(
                f'<p class="notice warn">{name} has embedded {arm.passages_embedded:,} of '
                f"{plural(arm.passages, 'passage')}. "
                '<button class="link" data-act="embed">go on</button></p>'
            )
    return f'<div class="bf">{join(lines)}</div>' if lines else ""


def saved(entries: Sequence[StoredComparison]) -> str:
    """Return the saved comparisons, newest first."""
    if not entries:
        return f'<div class="bf"><p class="meta">{escape(texts.SAVED_NONE)}</p></div>'
    items = join(
        f'<li><button data-act="open-saved" data-id="{escape(entry.comparison_id)}" '
        f'title="{escape(entry.query)}"><bdi class="name">{escape(entry.query[:200])}</bdi>'
        f'</button><span></span><span class="meta">{escape(entry.created[:16].replace("T", " "))} UTC'
        f"{DOT}{escape(entry.pair_id)}</span></li>"
        for entry in entries[:200]
    )
    return f'<div class="bf"><ul class="docs">{items}</ul></div>'
