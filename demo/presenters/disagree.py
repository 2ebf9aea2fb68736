"""Where the encoders part most, without a query from anyone: a list to walk, and what it adds up to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from core.render import escape, join, plots, sentence
from core.render.strips import named as system_name
from core.render.systems import family_kind, page_range
from core.words import DASH, DOT, number, ordinal, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.experiments.context import SystemName
    from core.experiments.disagree import (
        AgreementBin,
        DisagreementReport,
        Finding,
        Hubness,
    )
    from core.experiments.verdict import Contrast, Verdict
    from core.records import Passage

QUERY_CHARS = 220
ALL_DRAFTS = "all drafts"


def verdict(found: DisagreementReport) -> str:
    """Return which encoder to choose for these documents: the sentence, its interval, what next."""
    warn = ""
    if found.stopped:
        warn = '<p class="notice warn">Stopped early; the figures are of what was finished.</p>'
    if found.problem:
        warn += f'<p class="notice warn">{escape(found.problem)}</p>'
    decided = found.verdict
    said = decided.sentences if decided else ()
    head = join(f'<p class="lead">{sentence(words)}</p>' for words in said[:1])
    rest = join(f"<p>{sentence(words)}</p>" for words in said[1:])
    more = join(f"<p>{sentence(words)}</p>" for words in found.summary)
    picture = _forest(decided, found) if decided and decided.encoders.queries else ""
    notes = join(f'<p class="how">{escape(note)}</p>' for note in found.notes)
    return (
        f'<div class="bf lab verdict">{warn}<div class="split"><div><div class="summary">{head}</div>'
        f'<div class="words">{rest}</div><div class="more">{more}</div>{_next(found)}</div>'
        f"<div>{picture}{notes}</div></div></div>"
    )


def _next(found: DisagreementReport) -> str:
    """Return where to go from the verdict: the widest gap, blind judging, fairness."""
    links = []
    if found.findings and found.findings[0].disagreement > 0:
        text = escape(found.findings[0].draft.text)
        links.append(
            f'<button class="button" data-act="ask" data-text="{text}">See the query they part on '
            "most</button>"
        )
        links.append(
            f'<button class="button" data-act="view" data-view="judge" data-text="{text}">Judge it '
            "blind</button>"
        )
    links.append(
        '<button class="button" data-act="view" data-view="laboratory" data-tab="Fairness">Check '
        "that the comparison is fair</button>"
    )
    return f'<div class="go next"><span class="meta">Next</span>{join(links)}</div>'


def _forest(decided: Verdict, found: DisagreementReport) -> str:
    """Return every contrast as a point with its interval, in the colour of the encoder it favours."""
    rows = [(ALL_DRAFTS, decided.encoders), *sorted(decided.by_kind.items())]
    reach = max(0.05, *(abs(end) for _, one in rows for end in (one.low, one.high)))
    ticks = plots.nice_ticks(-reach, reach, 5)
    # names above their lines: legible on a phone too
    width, left, right, step, top = 430, 12, 12, 38, 24
    across = plots.Scale(ticks[0], ticks[-1], left, width - right)
    bottom = top + step * len(rows)
    zero = across(0.0)
    grid = join(
        f'<line class="grid" x1="{across(tick)}" x2="{across(tick)}" y1="{top}" y2="{bottom}"/>'
        f'<text x="{across(tick)}" y="{bottom + 16}" text-anchor="middle">{_points(tick)}</text>'
        for tick in ticks
    )
    lines = join(
        _interval(name, one, found, across, top + step * (place + 0.72))
        for place, (name, one) in enumerate(rows)
    )
    kinds = family_kind(found.a.family), family_kind(found.b.family)
    return (
        f'<svg class="plot forest" style="max-width:{width}px" viewBox="0 0 {width} {bottom + 40}" '
        'role="img" aria-label="Difference of the encoders with its interval, by kind of query">'
        f'<text class="title {kinds[1]}" x="{zero - 8}" y="14" text-anchor="end">\u2190 '
        f"{escape(shortened(found.b.label, 22))} ahead</text>"
        f'<text class="title {kinds[0]}" x="{zero + 8}" y="14">{escape(shortened(found.a.label, 22))} ahead \u2192</text>'
        f'{grid}<line class="axis" x1="{zero}" x2="{zero}" y1="{top}" y2="{bottom}"/>{lines}'
        f'<text x="{(left + width - right) / 2}" y="{bottom + 34}" text-anchor="middle">difference '
        "in mean reciprocal rank</text></svg>"
    )


def _points(value: float) -> str:
    text = f"{abs(value):.2f}".rstrip("0").rstrip(".")
    return "0" if value == 0 else f"{'+' if value > 0 else chr(0x2212)}{text}"


def _interval(
    name: str, one: Contrast, found: DisagreementReport, across: plots.Scale, y: float
) -> str:
    ahead = {"first": found.a, "second": found.b}.get(one.lead.value)
    kind = family_kind(ahead.family) if ahead else "lex"
    tip = (
        f"{name}: {one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}]; higher "
        f"{one.first_higher:,} / {one.second_higher:,}, level {one.level:,}"
    )
    strong = ' font-weight="600"' if name == ALL_DRAFTS else ""
    mark = (
        f'<rect class="aut-mark" x="{across(one.difference) - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" '
        'height="9"/>'
        if kind == "aut"
        else f'<circle class="{kind}-mark" cx="{across(one.difference)}" cy="{y:.1f}" r="5"/>'
    )
    return (
        f'<g class="pt" data-tip="{escape(tip)}"><text x="{across.start}" y="{y - 10:.1f}"'
        f'{strong}>{escape(name)} ({one.queries:,})</text><line class="line-{kind}" '
        f'x1="{across(one.low)}" x2="{across(one.high)}" y1="{y:.1f}" y2="{y:.1f}"/>{mark}'
        f'<rect class="hitbox" x="0" y="{y - 24:.1f}" width="{across.end}" height="36"/></g>'
    )


def report(
    found: DisagreementReport,
    findings: Sequence[Finding],
    names: Mapping[str, str],
    passages: Mapping[str, Passage],
    *,
    most: int,
) -> str:
    """Return the list to walk and the aggregate pictures.

    Args:
        found: Of all drafts.
        findings: Those that pass the filter, most apart first.
        names: Document names by id.
        passages: Source passages by id, where they are known.
        most: Longest list shown.
    """
    items = join(
        _finding(finding, found, names, passages.get(finding.draft.passage_id))
        for finding in findings[:most]
    )
    shown = f"{min(most, len(findings)):,} of {len(findings):,} shown, most apart first"
    listed = (
        f'<p class="meta">{shown}{DOT}keys <kbd>j</kbd> <kbd>k</kbd> walk, <kbd>Enter</kbd> opens, '
        "<kbd>[</kbd> <kbd>]</kbd> go on from there</p>"
        f'<ol class="walk">{items}</ol>'
        if findings
        else '<p class="notice">No draft passes these filters. Widen them.</p>'
    )
    return (
        f'<div class="bf lab"><div class="split"><div><h3>Where they part</h3>{listed}</div>'
        f"<div>{_aggregates(found)}</div></div></div>"
    )


def _finding(
    finding: Finding,
    found: DisagreementReport,
    names: Mapping[str, str],
    passage: Passage | None,
) -> str:
    draft = finding.draft
    where = escape(shortened(names.get(draft.doc_id, draft.doc_id), 60))
    page = f", {page_range(passage.page_first, passage.page_last)}" if passage else ""
    lexical = (
        f"{DOT}BM25 {ordinal(finding.source_rank_lexical)}" if finding.source_rank_lexical else ""
    )
    return (
        f'<li tabindex="0" role="button" data-act="ask" data-text="{escape(draft.text)}">'
        f'<span class="gap num">{number(finding.disagreement, 2)}</span>'
        f'<div><p class="q" dir="auto">{escape(shortened(draft.text, QUERY_CHARS))}</p>'
        f'<p class="meta">{escape(draft.kind.value)} from <bdi>{where}</bdi>{page}{DOT}overlap '
        f"{finding.overlap:.0%}{DOT}the passage it came from: "
        f'<span class="{family_kind(found.a.family)} nowrap"><i class="sym"></i>{ordinal(finding.source_rank_a)}</span> '
        f'<span class="{family_kind(found.b.family)} nowrap"><i class="sym"></i>{ordinal(finding.source_rank_b)}</span>'
        f"{lexical}</p></div></li>"
    )


def _aggregates(found: DisagreementReport) -> str:
    totals = found.aggregates
    charts = join(
        _agreement_chart(title, unit, bins, scale)
        for title, unit, bins, scale in (
            ("Agreement against length of the query", "words", totals.by_query_words, 1.0),
            ("\u2026 against length of the passage", "characters", totals.by_passage_chars, 1.0),
            ("\u2026 against depth in the document", "depth in %", totals.by_depth, 100.0),
        )
    )
    sources = join(
        f'<tr><th scope="row">{_source_name(item.system_id, found)}</th>'
        f'<td class="r">{item.first:.0%}</td><td class="r">{item.within_k:.0%}</td>'
        f'<td class="r">{number(item.reciprocal_rank, 2)}</td></tr>'
        for item in totals.found
    )
    return (
        "<h3>Who finds the passage a query was drafted from</h3>"
        f'<table class="plain"><thead><tr><th></th><th class="r">first</th><th class="r">top {found.k}'
        f'</th><th class="r">MRR@{found.k}</th></tr></thead><tbody>{sources}</tbody></table>'
        f"{charts}{_documents(found)}{join(_hubs(item, found) for item in found.hubness)}"
        '<p class="how">Disagreement is 1 \u2212 RBO (p = 0.9) of the two top lists: a difference at '
        "rank 1 weighs ten times one at rank 10 and more. Vertical bars: 95 % interval of the mean."
        "</p>"
    )


def _source_name(system_id: str, found: DisagreementReport) -> str:
    for system in (found.a, found.b):
        if system.system_id == system_id:
            return system_name(system)
    return '<span class="lex"><i class="sym"></i>BM25</span>'


def _agreement_chart(title: str, unit: str, bins: Sequence[AgreementBin], scale: float) -> str:
    if not bins:
        return ""
    points = [((item.low + item.high) / 2 * scale, item.rbo) for item in bins]
    chart = plots.line_chart(
        [("RBO", "lex", points)],
        x_title=unit,
        y_title="RBO",
        label=title,
        y_range=(0.0, 1.0),
        height=200,
        margins=[
            (x, item.rbo - item.margin, item.rbo + item.margin)
            for (x, _), item in zip(points, bins, strict=True)
        ],
    )
    return f"<h4>{escape(title)}</h4>{chart}"


def _documents(found: DisagreementReport) -> str:
    rows = found.aggregates.documents
    if not rows:
        return ""
    most = max(max(row.share_a, row.share_b, row.passages) for row in rows) or 1.0
    items = join(
        f'<tr><th scope="row"><bdi>{escape(shortened(row.name, 48))}</bdi></th>'
        f'<td class="r">{row.passages:.0%}</td>'
        f'<td class="r {family_kind(found.a.family)}">{_bar(row.share_a / most, family_kind(found.a.family))}{row.share_a:.0%}</td>'
        f'<td class="r {family_kind(found.b.family)}">{_bar(row.share_b / most, family_kind(found.b.family))}{row.share_b:.0%}</td>'
        "</tr>"
        for row in rows[:12]
    )
    return (
        "<h4>Which documents each encoder favours</h4>"
        '<div class="scroll-x"><table class="plain favours"><thead><tr><th></th><th class="r">of passages</th>'
        f'<th class="r">{_short(found.a)}</th><th class="r">{_short(found.b)}</th></tr></thead>'
        f"<tbody>{items}</tbody></table></div>"
    )


def _short(system: SystemName) -> str:
    return f'<span class="{family_kind(system.family)}"><i class="sym"></i>{escape(system.family)}</span>'


def _bar(share: float, kind: str) -> str:
    return f'<span class="inbar {kind}"><i style="width:{100 * share:.0f}%"></i></span>'


def _hubs(item: Hubness, found: DisagreementReport) -> str:
    system = found.a if item.system_id == found.a.system_id else found.b
    skew = DASH if math.isnan(item.skewness) else number(item.skewness, 1)
    top = item.hubs[0].count if item.hubs else 0
    return (
        f'<p class="meta">{system_name(system)} hubness: skewness {skew}; '
        f"{item.never:.0%} of passages never come up; the busiest comes up {top:,} times "
        f"({number(item.expected, 1)} expected).</p>"
    )
