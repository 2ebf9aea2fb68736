"""What a real pair costs, before anything is fetched; and the download while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.records import Family
from core.render import escape, join
from core.render.systems import named
from core.words import DOT, plural
from demo import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.encoders.hub import FetchPlan, PairPlan
    from core.encoders.spec import Pair

_GIB = 1024**3
_MIB = 1024**2
_MINUTE = 60.0
_HOUR = 3600.0
_COMMIT_CHARS = 12


def size(count: int) -> str:
    """Return ``1.21 GiB`` or ``310 MiB``."""
    return f"{count / _GIB:.2f} GiB" if count >= _GIB else f"{count / _MIB:,.1f} MiB"


def duration(seconds: float) -> str:
    """Return a length of time no more exact than an estimate is."""
    if seconds < 1:
        return "under a second"
    if seconds < _MINUTE:
        return f"about {seconds:.0f} s"
    if seconds < _HOUR:
        return f"about {seconds / _MINUTE:.0f} min"
    return f"about {seconds / _HOUR:,.1f} h"


def offer(pair: Pair, plan: PairPlan, *, seconds: Sequence[float], passages: int, now: str) -> str:
    """Return what a pair costs on this machine, with the buttons to take it or leave it.

    Args:
        pair: Chosen.
        plan: What it costs.
        seconds: To embed the library, for each encoder of the plan.
        passages: Of the library.
        now: Label of the pair in use.
    """
    rows = join(_arm(one, wait) for one, wait in zip(plan.plans, seconds, strict=True))
    tight = (
        ' class="r short"' if plan.memory_needed_bytes > plan.memory_present_bytes else ' class="r"'
    )
    together = (
        '<tr class="gap"><th scope="row">together</th><td></td><td></td>'
        f'<td class="r" data-label="to download">{size(plan.download_bytes)}</td>'
        f'<td{tight} data-label="memory">{size(plan.memory_needed_bytes)}</td>'
        f'<td class="r" data-label="embedding here">{duration(sum(seconds))}</td></tr>'
        '<tr><th scope="row">free on this machine</th><td></td><td></td>'
        f'<td class="r" data-label="disk">{size(plan.disk_present_bytes)}</td>'
        f'<td class="r" data-label="memory">{size(plan.memory_present_bytes)}</td><td></td></tr>'
    )
    table = (
        '<div class="scroll-x"><table class="plain"><thead><tr><th></th><th>checkpoint</th>'
        '<th>licence</th><th class="r">to download</th><th class="r">memory</th>'
        f'<th class="r">embedding {plural(passages, "passage")} here</th></tr></thead>'
        f"<tbody>{rows}{together}</tbody></table></div>"
    )
    matched = f"Matched: {pair.matched}" + (
        f" Not matched: {pair.unmatched}" if pair.unmatched else ""
    )
    if plan.refusal:
        end = (
            f'<p class="notice bad" role="alert">{escape(plan.refusal)}</p>'
            f'<p class="row">{_keep(now)}</p>'
        )
    else:
        verb = texts.FETCH_TAKE if plan.download_bytes else texts.FETCH_USE
        if any(one.kept_bytes for one in plan.plans):
            verb = texts.FETCH_ON
        end = f'<p class="row">{_take(pair.pair_id, verb)}{_keep(now)}</p>'
    how = texts.FETCH_HOW if plan.download_bytes else texts.FETCH_HOW_HERE
    return _frame(
        pair.label,
        f'<p class="how">{escape(matched)}</p>{table}<p class="how">{escape(how)}</p>{end}',
    )


def underway(label: str, progress: str) -> str:
    """Return a download that runs.

    Args:
        label: Of the pair.
        progress: Safe HTML.
    """
    stop = f'<button class="button" data-act="stop-fetch">{escape(texts.STOP)}</button>'
    return _frame(texts.FETCHING.format(pair=label), f'{progress}<p class="row">{stop}</p>')


def interrupted(pair_id: str, label: str, words: str) -> str:
    """Return why a pair is not here, with a button to ask again."""
    again = (
        f'<button class="button strong" data-act="look-pair" data-pair="{escape(pair_id)}">'
        f"{escape(texts.FETCH_AGAIN)}</button>"
    )
    return _frame(
        label,
        f'<p class="notice bad" role="alert">{escape(words)}</p><p class="row">{again}{_keep("")}</p>',
    )


def stopped(pair_id: str, label: str) -> str:
    """Return a download that its user stopped, with a button to go on."""
    return _frame(
        label,
        f'<p class="notice" role="status">{escape(texts.FETCH_STOPPED)}</p>'
        f'<p class="row">{_take(pair_id, texts.FETCH_ON)}{_keep("")}</p>',
    )


def asking(label: str) -> str:
    """Return the waiting state while the hub is asked and the machine measured."""
    return _frame(label, f'<p class="how" role="status">{escape(texts.FETCH_ASKING)}</p>')


def _arm(plan: FetchPlan, seconds: float) -> str:
    family = Family(plan.family) if plan.family else Family.REFERENCE
    commit = f"at {plan.revision[:_COMMIT_CHARS]}" if plan.revision else ""
    if plan.revision_origin:
        commit += f" ({plan.revision_origin})"
    kept = (
        f'<br><span class="meta">{size(plan.kept_bytes)} here already</span>'
        if plan.kept_bytes
        else ""
    )
    gated = DOT + "gated" if plan.gated else ""
    download = size(plan.download_bytes) if plan.download_bytes else "here already"
    memory = size(plan.memory_needed_bytes) if plan.memory_needed_bytes else "loaded"
    return (
        f'<tr><th scope="row">{named(family, plan.label or plan.encoder_id)}</th>'
        f'<td><bdi>{escape(plan.checkpoint)}</bdi><br><span class="meta">{escape(commit)}</span></td>'
        f'<td data-label="licence">{escape(plan.licence)}{gated}</td>'
        f'<td class="r" data-label="to download">{download}{kept}</td>'
        f'<td class="r" data-label="memory">{memory}</td>'
        f'<td class="r" data-label="embedding here">{duration(seconds)}</td></tr>'
    )


def _take(pair_id: str, verb: str) -> str:
    return (
        f'<button class="button strong" data-act="take-pair" data-pair="{escape(pair_id)}">'
        f"{escape(verb)}</button>"
    )


def _keep(now: str) -> str:
    words = texts.FETCH_KEEP.format(pair=now) if now else texts.FETCH_CLOSE
    return f'<button class="button" data-act="keep-pair">{escape(words)}</button>'


def _frame(title: str, body: str) -> str:
    return f'<section class="bf offer" aria-live="polite"><h3>{escape(title)}</h3>{body}</section>'
