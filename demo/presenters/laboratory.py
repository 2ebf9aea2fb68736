"""The laboratory's pictures: fairness, the last sentence, attention, growing texts, hidden keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from core.experiments.rendering import changes
from core.render import Html, escape, join, plots, render, sentence
from core.render.strips import named as system_name
from core.render.strips import strip
from core.render.systems import family_kind
from core.words import DASH, DOT, number, ordinal, percentile, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.experiments.attention import AttentionSwitch, EncoderSwitch, ModeOutcome
    from core.experiments.context import SystemName
    from core.experiments.fairness import (
        Calibration,
        EncoderAccount,
        FairnessReport,
        TextAccount,
        TokenStats,
    )
    from core.experiments.growing import GrowingText, GrowthPoint
    from core.experiments.hidden_key import HiddenKeyMap, KeyCell
    from core.experiments.last_sentence import EncoderEdit, LastSentenceEdit

FULL_SHARE = 0.96  # of changed tokens lie below the full height
MODE_NAMES = {
    "full": "both directions",
    "causal": "causal (left to right)",
    "backward-only": "backward only",
    "reversed sentences": "sentences reversed",
}


def _notes(notes: Sequence[str]) -> str:
    return join(f'<p class="how">{escape(note)}</p>' for note in notes)


def _said(summary: Sequence[str]) -> str:
    """Return an experiment's own sentences: words before figures."""
    words = join(f"<p>{sentence(said)}</p>" for said in summary)
    return f'<div class="summary">{words}</div>' if words else ""


def _problem(words: str) -> str:
    return f'<p class="notice warn">{escape(words)}</p>' if words else ""


# -- fairness ------------------------------------------------------------------------------


def fairness(report: FairnessReport) -> str:
    """Return the panel: red flags in words first, then every fact side by side.

    The query is asked again when the reader runs both at equal limits.
    """
    if report.flags:
        flags = join(f'<p class="notice warn">{escape(flag)}</p>' for flag in report.flags)
    else:
        flags = (
            '<p class="notice">The encoders differ in nothing but themselves: same limits, prompts, '
            "pooling and size, and neither loses text that the other reads.</p>"
        )
    equal = (
        '<p><button class="button strong" data-act="equal" '
        f'data-text="{escape(report.query)}">Run both at {report.equal_limit:,} tokens</button> '
        '<span class="meta">Embeds the library again where it was cut differently, asks the query '
        "again, and records the limit in the comparison.</span></p>"
        if report.equal_limit
        else ""
    )
    return (
        f'<div class="bf lab"><div class="flags">{flags}{equal}</div>'
        f"{_accounts(report)}{_token_table(report)}"
        f"<h3>What a score means here</h3>"
        f'<div class="twin">{join(_calibration(item, account) for item, account in zip(report.calibration, (report.a, report.b), strict=True))}</div>'
        '<p class="how">Each encoder\'s cosines for queries of this library and passages of other '
        "documents, on its own axis; the marks are the hits on screen. The dashed line is the median "
        "of the best hits that off-topic questions get.</p>"
        f"{_texts(report)}</div>"
    )


_ACCOUNT_ROWS = (
    ("family", "family"),
    ("attention", "attention"),
    ("pooling", "pooling"),
    ("max_tokens", "token limit"),
    ("query_prompt", "query prompt"),
    ("passage_prompt", "passage prompt"),
    ("instruction", "instruction"),
    ("dimension", "dimension"),
    ("options", "options of its embeddings"),
    ("adapter", "adapter merged"),
    ("parameters", "weights that run"),
    ("dtype", "compute type"),
    ("device", "device"),
    ("architecture", "architecture"),
    ("checkpoint", "checkpoint"),
    ("revision", "revision or hash"),
    ("fingerprint", "fingerprint"),
    ("trained_on", "trained on"),
    ("licence", "licence"),
)


def _accounts(report: FairnessReport) -> str:
    rows = []
    for key, label in _ACCOUNT_ROWS:
        a, b = getattr(report.a, key), getattr(report.b, key)
        differs = (
            " class=differs"
            if a != b and key not in {"family", "checkpoint", "fingerprint", "revision"}
            else ""
        )
        rows.append(
            f'<tr{differs}><th scope="row">{label}</th><td>{_fact(a)}</td><td>{_fact(b)}</td></tr>'
        )
    return (
        '<div class="scroll-x"><table class="plain accounts"><thead><tr><th></th>'
        f"<th>{_account_name(report.a)}</th><th>{_account_name(report.b)}</th></tr></thead>"
        f"<tbody>{join(rows)}</tbody></table></div>"
    )


def _account_name(account: EncoderAccount) -> str:
    kind = {"diffusion": "dif", "autoregressive": "aut"}.get(account.family, "lex")
    return f'<span class="{kind}"><i class="sym"></i>{escape(account.label)}</span>'


def _fact(value: object) -> str:
    if isinstance(value, int):
        return f'<span class="num">{value:,}</span>'
    text = str(value)
    if not text:
        return '<span class="meta">none</span>'
    return f"<code>{escape(text)}</code>" if len(text) > 24 and " " not in text else escape(text)


def _token_table(report: FairnessReport) -> str:
    heads = ("passages", "cut", "share cut", "tokens", "dropped", "median", "95th pct", "longest")
    rows = join(
        f'<tr><th scope="row">{_account_name(account)}</th>' + _stat_cells(stats) + "</tr>"
        for account, stats in ((report.a, report.stats_a), (report.b, report.stats_b))
    )
    return (
        "<h3>Tokens over the whole library</h3>"
        '<div class="scroll-x"><table class="plain"><thead><tr><th></th>'
        + join(f'<th class="r">{head}</th>' for head in heads)
        + f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _stat_cells(stats: TokenStats) -> str:
    values = (
        f"{stats.passages:,}",
        f"{stats.cut:,}",
        f"{stats.share_cut:.1%}",
        f"{stats.tokens:,}",
        f"{stats.dropped:,}",
        f"{stats.quantiles[2]:,}",
        f"{stats.quantiles[4]:,}",
        f"{stats.quantiles[5]:,}",
    )
    return join(f'<td class="r">{value}</td>' for value in values)


def _calibration(item: Calibration, account: EncoderAccount) -> str:
    kind = {"diffusion": "dif", "autoregressive": "aut"}.get(account.family, "lex")
    if not item.edges:
        return (
            f"<div><h4>{_account_name(account)}</h4>"
            '<p class="meta">One passage gives no pair of unrelated texts, so a score has no '
            "background here; add documents.</p></div>"
        )
    width, height, base = 460, 170, 130
    low = min(item.edges[0], *(hit.score for hit in item.hits)) if item.hits else item.edges[0]
    high = max(item.edges[-1], *(hit.score for hit in item.hits)) if item.hits else item.edges[-1]
    if math.isfinite(item.off_topic_mark):
        high = max(high, item.off_topic_mark)
    ticks = plots.nice_ticks(low, high, 6)
    across = plots.Scale(ticks[0], ticks[-1], 10, width - 10)
    most = max(item.counts, default=1) or 1
    bars = join(
        f'<rect x="{across(left)}" width="{max(0.5, across(right) - across(left) - 0.5):.1f}" '
        f'y="{base - 100 * count / most:.1f}" height="{100 * count / most:.1f}" class="hist"/>'
        for left, right, count in zip(item.edges, item.edges[1:], item.counts, strict=False)
    )
    marks = join(
        f'<g class="pt" data-tip="{escape(f"cosine {number(hit.score, 3)}, z {number(hit.z)}, {percentile(hit.percentile)} percentile")}">'
        + (
            f'<rect class="aut-mark" x="{across(hit.score) - 4:.1f}" y="{base - 4}" width="8" height="8"/>'
            if kind == "aut"
            else f'<circle class="dif-mark" cx="{across(hit.score)}" cy="{base}" r="4.5"/>'
        )
        + f'<circle class="hitbox" cx="{across(hit.score)}" cy="{base}" r="9"/></g>'
        for hit in item.hits
    )
    chance = (
        f'<line class="diag" x1="{across(item.off_topic_mark)}" x2="{across(item.off_topic_mark)}" '
        f'y1="14" y2="{base}"/>'
        if math.isfinite(item.off_topic_mark)
        else ""
    )
    axis = join(
        f'<text x="{across(tick)}" y="{base + 20}" text-anchor="middle">{number(tick, 2)}</text>'
        for tick in ticks
    )
    return (
        f"<div><h4>{_account_name(account)}</h4>"
        f'<svg class="plot" viewBox="0 0 {width} {height}" role="img" aria-label="Scores of pairs that do not belong together">'
        f"{bars}{chance}{marks}{axis}"
        f'<text x="{width / 2}" y="{base + 38}" text-anchor="middle">cosine of this encoder</text>'
        f'</svg><p class="meta num">{item.samples:,} pairs ({escape(item.pairs)}), mean '
        f"{number(item.mean, 3)}, deviation {number(item.deviation, 3)}</p></div>"
    )


def _texts(report: FairnessReport) -> str:
    if not report.texts:
        return ""
    by_item: dict[tuple[str, str], list[TextAccount]] = {}
    for item in report.texts:
        by_item.setdefault((item.kind, item.item_id), []).append(item)
    kinds = {
        report.a.system_id: _account_name(report.a),
        report.b.system_id: _account_name(report.b),
    }
    blocks = join(
        f"<h4>{escape(kind if kind == 'query' else item_id)}</h4><div class=twin>"
        + join(
            f"<div><p class=meta>{kinds.get(item.system_id, '')} {plural(item.tokens_total, 'token')}"
            f"{DOT}{item.tokens_kept:,} kept{DOT}{item.tokens_dropped:,} dropped"
            + ("" if math.isnan(item.seconds) else f"{DOT}{item.seconds * 1000:,.0f} ms")
            + f'</p><pre class="exact">{escape(item.text)}</pre></div>'
            for item in items
        )
        + "</div>"
        for (kind, item_id), items in by_item.items()
    )
    return f"<details><summary>exact strings, query and passages</summary>{blocks}</details>"


# -- the last sentence ---------------------------------------------------------------------


def last_sentence(found: LastSentenceEdit) -> str:
    """Return the picture of reading in both directions: one edit, every earlier token's change."""
    sides = (found.a, found.b)
    most = _most(found)
    beyond = sum(token.change > most for side in sides for token in side.strip)
    cut = f"; {plural(beyond, 'token')} beyond it cut" if beyond else ""
    return (
        f'<div class="bf lab">{_said(found.summary)}{_ripple(found, most)}'
        f'<div class="twin edited">{join(_edited(found, side, most) for side in sides)}</div>'
        '<p class="how">Height and colour: 1 \u2212 cosine between a token\'s state before and after '
        f"the edit, on one square-root scale for both encoders (the whole height: {most:.2g}{cut}). "
        "Everything before the edit is the same text both times; only an encoder that looks ahead "
        "can notice.</p></div>"
    )


def picture(found: LastSentenceEdit) -> Html:
    """Return the edit in one picture: which earlier words notice that the last sentence changed."""
    return render(
        "live", removed=found.removed, added=found.added, ripple=Html(_ripple(found, _most(found)))
    )


def _most(found: LastSentenceEdit) -> float:
    """Return the change that fills the height; one token that jumps must not flatten all others."""
    changed = sorted(
        token.change
        for side in (found.a, found.b)
        for token in side.strip
        if math.isfinite(token.change) and token.change > 0
    )
    return changed[int(len(changed) * FULL_SHARE)] if changed else 1.0


def _ripple(found: LastSentenceEdit, most: float) -> str:
    """Return how far the edit is felt: a bar per earlier token, one encoder up, the other down.

    A bar is as wide as its token is long, so that both encoders' bars stand over the same words
    whatever their vocabularies. Bars are elements and not SVG: they fill any width.
    """
    waves = join(
        _wave(found, side, most, place)
        for place, side in (("up", found.a), ("down", found.b))
        if side.strip
    )
    if not waves:
        return ""
    return (
        f'<figure class="ripple" aria-label="Change of every token before the edit">{waves}'
        "<figcaption><span>beginning of the passage</span><span>the edit \u25b8</span></figcaption>"
        "</figure>"
    )


def _wave(found: LastSentenceEdit, side: EncoderEdit, most: float, place: str) -> str:
    starts = {sentence.start for sentence in side.sentences}
    kind = family_kind(side.system.family)
    tokens = [token for token in side.strip if token.start >= 0]
    bars = join(
        f'<i class="{"gap " if token.start in starts else ""}{"over" if token.change > most else ""}" '
        f'style="--w:{token.end - token.start};'
        f"--h:{min(1.0, math.sqrt(token.change / most)):.3f};"
        f'--d:{1 - token.end / max(1, found.edit_start):.2f}" '
        f'data-tip="{escape(f"{token.token.strip()}: {token.change:.2g}")}"></i>'
        for token in tokens
        if math.isfinite(token.change)
    )
    still = (
        f'<span class="still">exactly 0 on all {len(side.strip):,} tokens</span>'
        if side.unmoved
        else f'<span class="still">largest {side.largest:.2g}, mean {side.mean:.2g}</span>'
    )
    return (
        f'<div class="wave {place} {kind}"><p class="meta">{system_name(side.system)} {still}</p>'
        f'<div class="bars">{bars}</div></div>'
    )


def _edited(found: LastSentenceEdit, side: EncoderEdit, most: float) -> str:
    head = f"<h3>{system_name(side.system)}</h3>"
    if side.problem:
        return f"<div>{head}{_problem(side.problem)}</div>"
    dropped = (
        f"{DOT}{plural(side.dropped, 'token')} cut off: the edit may lie beyond the limit"
        if side.dropped
        else ""
    )
    painted = strip(
        found.before[: found.edit_start],
        changes(side.strip),
        kind=family_kind(side.system.family),
        unit="change",
        most=most,
        tail=render("swap", removed=found.removed, added=found.added),
    )
    return (
        f'<div>{head}<p class="meta num">attention {escape(side.attention)}{DOT}whole text: cosine '
        f"{number(side.cosine, 4)} to what it was{dropped}</p>{painted}</div>"
    )


# -- attention -----------------------------------------------------------------------------


def attention_switch(found: AttentionSwitch) -> str:
    """Return both encoders under each mask: rank, score, and how far every token's state moved."""
    rows = join(_switch_rows(side) for side in (found.a, found.b))
    strips = join(_switch_strips(side, found.text) for side in (found.a, found.b))
    stopped = _problem("Stopped; what was finished is shown.") if found.stopped else ""
    return (
        f'<div class="bf lab">{stopped}{_said(found.summary)}<div class="scroll-x">'
        '<table class="plain"><thead><tr><th>'
        "encoder</th><th>reads</th>"
        f'<th class="r">rank of {len(found.candidates)}</th><th class="r">cosine with query</th>'
        '<th class="r">moved by</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{_notes(found.notes)}"
        f'<div class="twin">{strips}</div>'
        '<p class="how">Moved by: 1 \u2212 cosine between the passage embedded this way and as the '
        "encoder normally reads. Colour in the strips: the same for each token.</p></div>"
    )


def _mode(outcome: ModeOutcome) -> str:
    marks = []
    if outcome.is_native:
        marks.append("as trained")
    if outcome.is_own:
        marks.append("Bifocal\u2019s own, not in the paper")
    name = escape(MODE_NAMES.get(outcome.mode.value, outcome.mode.value))
    return f"{name}" + (f' <span class="meta">({escape(", ".join(marks))})</span>' if marks else "")


def _switch_rows(side: EncoderSwitch) -> str:
    rows = join(
        f"<tr><td>{system_name(side.system)}</td><td>{_mode(outcome)}</td>"
        f'<td class="r"><b>{outcome.rank}</b></td><td class="r">{number(outcome.score, 3)}</td>'
        f'<td class="r">{number(1 - outcome.cosine, 3)}</td></tr>'
        for outcome in side.outcomes
    )
    if side.problem:
        rows += f'<tr><td>{system_name(side.system)}</td><td colspan="4">{escape(side.problem)}</td></tr>'
    return rows


def _switch_strips(side: EncoderSwitch, text: str) -> str:
    shown = [outcome for outcome in side.outcomes if not outcome.is_native]
    if not shown:
        return ""
    return (
        f"<div><h3>{system_name(side.system)}</h3>"
        + join(
            f"<details{' open' if not outcome.is_own else ''}><summary>{_mode(outcome)}</summary>"
            + strip(
                text, changes(outcome.strip), kind=family_kind(side.system.family), unit="change"
            )
            + "</details>"
            for outcome in shown
        )
        + "</div>"
    )


# -- growing -------------------------------------------------------------------------------


def growing(found: GrowingText) -> str:
    """Return both encoders' rank and z against the length of the text around the passage."""
    sides = ((found.a, found.points_a), (found.b, found.points_b))

    def series(pick: object) -> list[tuple[str, str, list[tuple[float, float]]]]:
        return [
            (
                system.label,
                family_kind(system.family),
                [(float(p.tokens), float(pick(p))) for p in points],  # type: ignore[operator]
            )
            for system, points in sides
        ]

    ranks = plots.line_chart(
        series(lambda point: point.rank),
        x_title="tokens of the text",
        y_title=f"rank among {found.corpus_size:,}",
        label="Rank against length",
        y_reversed=True,
        x_log=True,
    )
    scores = plots.line_chart(
        series(lambda point: point.z),
        x_title="tokens of the text",
        y_title="z",
        label="z against length",
        x_log=True,
    )
    stopped = _problem("Stopped; what was finished is shown.") if found.stopped else ""
    cut = join(_first_cut(system, points) for system, points in sides)
    return (
        f'<div class="bf lab">{stopped}{_problem(found.problem)}{_said(found.summary)}'
        '<div class="twin"><div><h3>Rank</h3>'
        f"{ranks}</div><div><h3>Score</h3>{scores}</div></div>{cut}{_notes(found.notes)}"
        f"{_growth_table(sides)}</div>"
    )


def _first_cut(system: SystemName, points: Sequence[GrowthPoint]) -> str:
    for point in points:
        if not point.passage_kept:
            return (
                f'<p class="meta">{system_name(system)} no longer reads the whole passage from '
                f"{point.tokens:,} tokens on.</p>"
            )
    return ""


def _growth_table(sides: Sequence[tuple[SystemName, Sequence[GrowthPoint]]]) -> str:
    rows = join(
        f"<tr><td>{system_name(system)}</td>"
        f'<td class="r">{point.tokens:,}</td><td class="r">{point.tokens_kept:,}</td>'
        f'<td class="r">{number(point.score, 4)}</td>'
        f'<td class="r">{DASH if math.isnan(point.z) else number(point.z, 2)}</td>'
        f'<td class="r">{ordinal(point.rank)}</td></tr>'
        for system, points in sides
        for point in points
    )
    return (
        '<details><summary>the numbers</summary><div class="scroll-x"><table class="plain"><thead>'
        '<tr><th></th><th class="r">tokens</th><th class="r">read</th><th class="r">cosine</th>'
        f'<th class="r">z</th><th class="r">rank</th></tr></thead><tbody>{rows}</tbody></table>'
        "</div></details>"
    )


# -- hidden key ----------------------------------------------------------------------------


def hidden_key(found: HiddenKeyMap) -> str:
    """Return three maps, depth by length, with the line where truncation begins."""
    a, b = found.a, found.b
    stopped = _problem("Stopped; what was finished is shown.") if found.stopped else ""
    maps = (
        _map(
            found,
            system_name(a),
            family_kind(a.family),
            "accuracy_a",
            "ceiling_a",
            found.truncation_a,
        ),
        _map(
            found,
            system_name(b),
            family_kind(b.family),
            "accuracy_b",
            "ceiling_b",
            found.truncation_b,
        ),
        _map(
            found,
            '<span class="lex"><i class="sym"></i>BM25</span>',
            "lex",
            "accuracy_lexical",
            "",
            0,
        ),
    )
    return (
        f'<div class="bf lab">{stopped}{_problem(found.problem)}{_said(found.summary)}'
        f'<div class="triple">{join(maps)}</div>'
        f"{_averages(found)}"
        f'<p class="how">Each cell: share of {found.copies} keys whose copy came first, guessing '
        f"gives {found.chance:.0%}. The dashed line is the encoder's token limit: below it, keys "
        "beyond the limit cannot be read at all, and the small number is the most that truncation "
        f"alone allows.</p>{_notes(found.notes)}</div>"
    )


def _map(found: HiddenKeyMap, title: str, kind: str, field: str, ceiling: str, limit: int) -> str:
    cell_width, cell_height, left, top = 58, 40, 52, 26
    width = left + cell_width * len(found.depths) + 6
    height = top + cell_height * len(found.lengths) + 34
    by_place = {(cell.length, cell.depth): cell for cell in found.cells}
    parts = []
    for row, length in enumerate(found.lengths):
        y = top + row * cell_height
        parts.append(
            f'<text x="{left - 8}" y="{y + cell_height / 2 + 4}" text-anchor="end">{length:,}</text>'
        )
        for column, depth in enumerate(found.depths):
            x = left + column * cell_width
            parts.append(
                _heat(
                    by_place.get((length, depth)),
                    field,
                    ceiling,
                    kind,
                    x,
                    y,
                    cell_width,
                    cell_height,
                )
            )
    for column, depth in enumerate(found.depths):
        parts.append(
            f'<text x="{left + (column + 0.5) * cell_width}" y="{top - 8}" '
            f'text-anchor="middle">{depth:.0%}</text>'
        )
    beyond = [row for row, length in enumerate(found.lengths) if limit and length > limit]
    if beyond:
        y = top + beyond[0] * cell_height
        parts.append(f'<line class="limit" x1="{left - 44}" x2="{width - 6}" y1="{y}" y2="{y}"/>')
    return (
        f"<div><h3>{title}</h3>"
        f'<svg class="plot heat {kind}" style="max-width:{width * 1.2:.0f}px" '
        f'viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Accuracy by length and depth">{join(parts)}'
        f'<text x="{left + (width - left) / 2}" y="{height - 10}" text-anchor="middle">depth of the '
        'key in the text</text></svg><p class="meta">rows: tokens of the text'
        + (f"{DOT}limit {limit:,}" if limit else "")
        + "</p></div>"
    )


def _heat(
    cell: KeyCell | None,
    field: str,
    ceiling: str,
    kind: str,
    x: float,
    y: float,
    width: float,
    height: float,
) -> str:
    value = getattr(cell, field) if cell is not None else math.nan
    if not math.isfinite(value):
        return f'<rect class="nocell" x="{x + 1}" y="{y + 1}" width="{width - 2}" height="{height - 2}"/>'
    del kind
    most = getattr(cell, ceiling) if ceiling else 1.0
    small = (
        f'<text class="ceil" x="{x + width / 2}" y="{y + height - 5}" text-anchor="middle">'
        f"of {most:.0%}</text>"
        if most < 0.995
        else ""
    )
    strong = " strong" if value > 0.55 else ""
    return (
        f'<g><rect class="heatcell" style="fill-opacity:{0.06 + 0.84 * value:.2f}" x="{x + 1}" '
        f'y="{y + 1}" width="{width - 2}" height="{height - 2}"/>'
        f'<text class="val{strong}" x="{x + width / 2}" y="{y + height / 2 + (0 if small else 4)}" '
        f'text-anchor="middle">{value:.0%}</text>{small}</g>'
    )


def _averages(found: HiddenKeyMap) -> str:
    rows = []
    for length in found.lengths:
        cells = [cell for cell in found.cells if cell.length == length]
        if not cells:
            continue
        ceilings = found.ceiling(length)
        means = [
            sum(getattr(cell, field) for cell in cells) / len(cells)
            for field in ("accuracy_a", "accuracy_b", "accuracy_lexical")
        ]
        shown = [DASH if math.isnan(value) else f"{value:.0%}" for value in (*means, *ceilings)]
        rows.append(
            f'<tr><th scope="row">{length:,}</th>'
            + join(f'<td class="r">{value}</td>' for value in shown)
            + "</tr>"
        )
    return (
        '<details><summary>means over depth</summary><div class="scroll-x"><table class="plain">'
        f'<thead><tr><th>tokens</th><th class="r">{escape(found.a.label)}</th>'
        f'<th class="r">{escape(found.b.label)}</th><th class="r">BM25</th>'
        '<th class="r">ceiling A</th><th class="r">ceiling B</th></tr></thead>'
        f"<tbody>{join(rows)}</tbody></table></div></details>"
    )
