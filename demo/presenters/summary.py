"""Words before charts: the summary of a comparison, and what to know before believing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.records import Family
from core.render import escape, join
from core.words import DOT, plural
from demo import texts
from demo.presenters.columns import count_line
from demo.presenters.families import named, short_name

if TYPE_CHECKING:
    from core.comparison.records import Comparison


def summary(comparison: Comparison, *, saved: bool = False) -> str:
    """Return the summary, the conditions in one line, and red flags in words."""
    words = join(f"<p>{escape(sentence)}</p>" for sentence in comparison.summary)
    conditions = [f"<span>{escape(count_line(comparison))}</span>", _limits(comparison)]
    seconds = [column.seconds for column in comparison.columns if column.seconds is not None]
    if seconds:
        told = "time the columns took, added up"
        conditions.append(f'<span title="{told}">{_duration(sum(seconds))}</span>')
    act = '<button class="link" data-act="{act}"{more}>{label}</button>'
    conditions += [
        act.format(act="save", more="", label="saved" if saved else "save"),
        act.format(act="export", more=' data-kind="csv"', label="CSV"),
        act.format(act="export", more=' data-kind="json"', label="JSON"),
        act.format(act="export", more=' data-kind="trec"', label="TREC run"),
        act.format(act="export", more=' data-kind="html"', label="report"),
        act.format(act="view", more=' data-view="disagree"', label=texts.ONE_QUERY),
    ]
    return (
        f'<div class="bf"><div class="summary" role="status" dir="auto">{words}</div>'
        f'<div class="under">{join(conditions)}</div>{_flags(comparison)}</div>'
    )


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def _limits(comparison: Comparison) -> str:
    if comparison.equal_limits is None:
        return ""
    if comparison.equal_limits:
        return f"<span>{escape(texts.EQUAL_YES)}</span>"
    limits = join(
        named(column.info.family, f"{column.max_tokens:,}") + " "
        for column in comparison.columns
        if column.max_tokens
    )
    return (
        f"<span>{escape(texts.EQUAL_NO)} ({limits.strip()} tokens) "
        f'<button class="link" data-act="equal">{escape(texts.EQUAL_RUN)}</button></span>'
    )


def _flags(comparison: Comparison) -> str:
    """Say what could make the difference an artefact: a query that was cut for one arm only."""
    flags = []
    for column in comparison.columns:
        received = column.received
        if received is not None and received.tokens_dropped:
            name = short_name(comparison, column.info.system_id)
            flags.append(
                f'<p class="notice warn">{named(column.info.family, name)} read only the first '
                f"{received.tokens_kept:,} of {plural(received.tokens_total, 'token')} of this "
                "query; the rest was cut off.</p>"
            )
    return f'<div class="flags">{join(flags)}</div>' if flags else ""


def received(comparison: Comparison) -> str:
    """Return what each encoder received for the query: one click away from the columns."""
    blocks = []
    for column in comparison.columns:
        if column.received is None or column.info.family is Family.LEXICAL:
            continue
        got = column.received
        facts = [
            plural(got.tokens_total, "token"),
            f"{got.tokens_kept:,} kept",
            f"{got.tokens_dropped:,} dropped",
            f"limit {column.max_tokens:,}",
        ]
        if column.seconds is not None:
            facts.append(f"{column.seconds * 1000:,.0f} ms")
        print_ = column.fingerprint[:12]
        blocks.append(
            f"<div><h3>{named(column.info.family, column.info.label)}</h3>"
            f'<p class="meta">{escape(DOT.join(facts))}'
            + (f"{DOT}fingerprint <code>{escape(print_)}</code>" if print_ else "")
            + f'</p><pre class="exact">{escape(got.text)}</pre></div>'
        )
    if not blocks:
        return ""
    return (
        f'<details class="received"><summary>{escape(texts.RECEIVED_TITLE)}</summary>'
        f'<p class="how">{escape(texts.RECEIVED_HOW)}</p><div class="twin">{join(blocks)}</div>'
        "</details>"
    )
