"""One comparison as one HTML file that opens anywhere and explains itself.

No script, no request to anywhere (a strict Content-Security-Policy says so to the browser), pictures
drawn as SVG inside. Every text from a document, a query or a file name is escaped in one place.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.comparison.calibration import is_weak_match
from core.comparison.records import (
    Agreement,
    Column,
    ComparedPassage,
    Comparison,
    MoveKind,
    Standing,
)
from core.laboratory.evidence import ArmEvidence, Effect, Evidence
from core.laboratory.fairness import FairnessReport
from core.laboratory.words import ordinal, shortened
from core.records import Family, Unit

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff"
    "\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_LINE_END = re.compile(r"(?<!\n)\n(?!\n)")  # of a line in the file, not of a paragraph
_PNG = b"\x89PNG\r\n\x1a\n"
_SHOWN_ROWS = 50
_CLASSES = {
    Family.DIFFUSION: "a",
    Family.AUTOREGRESSIVE: "b",
}
_WHAT = {
    Family.DIFFUSION: (
        "a diffusion encoder: its network learned by restoring words that were masked anywhere in "
        "a text, and reads in both directions"
    ),
    Family.AUTOREGRESSIVE: (
        "an autoregressive encoder: its network learned by predicting the next word, and reads "
        "from left to right"
    ),
    Family.REFERENCE: "another encoder, for orientation",
    Family.LEXICAL: "plain keyword search (BM25): it counts shared words and knows no meaning",
    Family.FUSION: "a fusion of the other rankings",
    Family.IMPORTED: "a ranking computed elsewhere",
}

_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c1c1c;--soft:#5c5c5c;--line:#dedede;--wash:#f6f6f4;
--a:#0072b2;--a-ink:#005a8e;--b:#d55e00;--b-ink:#a84a00;--mark:#fff3c4}
@media (prefers-color-scheme:dark){:root{--paper:#161616;--ink:#ececec;--soft:#a8a8a8;--line:#383838;
--wash:#202020;--a:#4aa8dd;--a-ink:#6fbbe6;--b:#f08a3c;--b-ink:#f5a566;--mark:#4a4012}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Noto Sans",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:72rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.1rem;font-weight:600;color:var(--soft);margin:0 0 .75rem}
h2{font-size:1.15rem;margin:2.75rem 0 .6rem}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
p{margin:.5rem 0;max-width:46rem}
small,.small{font-size:.84rem;color:var(--soft)}
.query{font-size:1.45rem;line-height:1.4;margin:0 0 1rem;padding:0;white-space:pre-wrap;
overflow-wrap:anywhere;max-width:52rem}
.query.long{font-size:1.05rem}
.summary{font-size:1.08rem}
.a{color:var(--a-ink)}.b{color:var(--b-ink)}
.dot{display:inline-block;width:.68em;height:.68em;margin-right:.4em;background:var(--soft)}
.dot.a{background:var(--a);border-radius:50%}.dot.b{background:var(--b)}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:2rem}
ol.hits{list-style:none;margin:0;padding:0}
ol.hits li{display:grid;grid-template-columns:2.2rem 1fr;gap:.4rem;padding:.55rem 0;
border-top:1px solid var(--line)}
.rank{font-size:1.25rem;font-weight:600;line-height:1.3}
a{color:inherit;text-decoration-color:var(--soft);text-underline-offset:2px}
ul.systems{list-style:none;padding:0}
.text,.name{overflow-wrap:anywhere}
.snippet{display:-webkit-box;-webkit-line-clamp:3;-webkit-box-orient:vertical;overflow:hidden}
.tag{font-size:.78rem;border:1px solid var(--line);border-radius:.6rem;padding:0 .45rem;
white-space:nowrap;color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:anywhere}
td.n,th.n{text-align:right;white-space:nowrap}
.scroll{overflow-x:auto}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--wash);padding:.7rem .8rem;
font:.84rem/1.5 ui-monospace,Menlo,Consolas,monospace;margin:.4rem 0;max-height:24rem;overflow:auto}
details{margin:.4rem 0}summary{cursor:pointer}
article{padding:.9rem 0;border-top:1px solid var(--line)}
article p.text{white-space:pre-line;max-width:52rem}
svg{max-width:100%;height:auto;display:block;font:12px system-ui,sans-serif}
svg text{fill:var(--ink)}svg .soft{fill:var(--soft)}
.axis{stroke:var(--line);stroke-width:1}.zero{stroke:var(--soft);stroke-dasharray:3 3}
.cloud{fill:var(--soft);opacity:.28}.pa{fill:var(--a)}.pb{fill:var(--b)}
.both{fill:var(--a);stroke:var(--b);stroke-width:2.5}
.same{stroke:var(--soft)}.move{stroke:var(--ink)}.link{fill:none;opacity:.75;stroke-width:1.6}
.stub{stroke-dasharray:2 4;opacity:.7;stroke-width:1.4}.stub.a{stroke:var(--a)}.stub.b{stroke:var(--b)}
.warn{border-left:3px solid var(--ink);padding-left:.8rem}
img{max-width:100%;height:auto;border:1px solid var(--line);display:block}
.sheet{position:relative;margin:1rem 0;max-width:44rem}
.sheet svg{position:absolute;left:0;top:0;width:100%;height:auto;max-height:none}
.sheet figcaption{font-size:.84rem;color:var(--soft);margin-top:.3rem;overflow-wrap:anywhere}
.box{fill:none;stroke-width:1.4}.box.a{stroke:#0072b2}.box.b{stroke:#d55e00}
@media print{details{display:block}pre{max-height:none}article{break-inside:auto}.sheet{break-inside:avoid}}
"""


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page as the report shows it, with the passage's place on it.

    Attributes:
        png: The page as PNG; anything else is left out of the file.
        width: Of the page in points.
        height: Of the page in points.
        boxes: Left, top, right, bottom in points, one per line of the passage.
    """

    png: bytes
    width: float = 0.0
    height: float = 0.0
    boxes: tuple[tuple[float, float, float, float], ...] = ()


def html_report(
    comparison: Comparison,
    *,
    evidence: Sequence[Evidence] = (),
    fairness: FairnessReport | None = None,
    pictures: Mapping[str, PagePicture] | None = None,
) -> str:
    """Return a whole HTML document about one comparison.

    Args:
        comparison: What was compared. Everything shown comes from it and the rest given here.
        evidence: Explanations of single hits, shown after the passages.
        fairness: The panel, for its flags and counts.
        pictures: The page of a passage by passage id, put into the file itself.

    Returns:
        HTML that makes no request and runs no script; equal comparisons give equal text.
    """
    arms = [column for column in comparison.columns if column.info.system_id in _arms(comparison)]
    title = f"Bifocal: {shortened(comparison.query.text, 80)}"
    parts = [
        "<main>",
        _head(comparison),
        _introduction(comparison),
        _summary(comparison),
        _flags(comparison, fairness),
        _columns(comparison),
        _pictures(comparison, arms),
        _agreements(comparison),
        _passages(comparison, pictures or {}),
        _evidence(evidence, comparison),
        _received(comparison, fairness),
        _method(comparison),
        "</main>",
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style></head><body>",
            *parts,
            "</body></html>\n",
        ]
    )


def escape(text: str) -> str:
    """Return hostile text as HTML text or attribute value.

    Control characters, lone surrogates and direction overrides become U+FFFD: none of them may
    change how the rest of the page reads.
    """
    return html.escape(_UNPRINTABLE.sub("\ufffd", text), quote=True)


def _arms(comparison: Comparison) -> tuple[str, str]:
    return (comparison.arm_a, comparison.arm_b)


def _side(comparison: Comparison, system_id: str) -> str:
    """Return ``a``, ``b`` or "" : which colour a system has. Its family decides, then its place."""
    column = comparison.column(system_id)
    known = _CLASSES.get(column.info.family)
    if comparison.arm_a == comparison.arm_b or system_id not in _arms(comparison):
        return known or ""
    first, second = (comparison.column(arm).info.family for arm in _arms(comparison))
    if known and first is not second:
        return known
    return "a" if system_id == comparison.arm_a else "b"


def _label(comparison: Comparison, system_id: str) -> str:
    side = _side(comparison, system_id)
    label = escape(comparison.column(system_id).info.label)
    return f'<span class="{side}"><span class="dot {side}"></span>{label}</span>'


def _unit(comparison: Comparison, count: int = 2) -> str:
    word = "document" if comparison.unit is Unit.DOCUMENT else "passage"
    return word if count == 1 else f"{word}s"


def _head(comparison: Comparison) -> str:
    text = comparison.query.text
    size = " long" if len(text) > 200 else ""
    limits = {
        True: " Both encoders ran at one token limit.",
        False: " The encoders ran at different token limits.",
        None: "",
    }[comparison.equal_limits]
    return (
        "<h1>Bifocal comparison</h1>"
        f'<div class="query{size}" dir="auto">{escape(text)}</div>'
        f'<p class="small">Asked of {comparison.corpus_size:,} '
        f"{_unit(comparison, comparison.corpus_size)}; the {comparison.k} best of each system are "
        f"compared.{limits}</p>"
    )


def _introduction(comparison: Comparison) -> str:
    lines = []
    for column in comparison.columns:
        what = _WHAT[column.info.family]
        lines.append(f"<li>{_label(comparison, column.info.system_id)}: {what}.</li>")
    return (
        "<h2>What this is</h2><p>The same question was put to several search systems over the same "
        "documents. An encoder turns each text into a list of numbers; texts whose numbers point "
        "the same way count as related. The systems are:</p>"
        f'<ul class="systems">{"".join(lines)}</ul>'
        "<p>Below is what each of them put first, where they part, and what each really read. "
        "Which of them is right is for the reader to judge: a difference is not an error.</p>"
    )


def _summary(comparison: Comparison) -> str:
    if not comparison.summary:
        return ""
    sentences = " ".join(escape(sentence) for sentence in comparison.summary)
    return f'<h2>In words</h2><p class="summary" dir="auto">{sentences}</p>'


def _flags(comparison: Comparison, fairness: FairnessReport | None) -> str:
    flags = list(fairness.flags) if fairness else []
    for column in comparison.columns:
        got = column.received
        if got is not None and got.tokens_dropped > 0:
            flags.append(
                f"{column.info.label} read {got.tokens_kept:,} of the query's "
                f"{got.tokens_total:,} tokens; the rest was cut off."
            )
    if comparison.equal_limits is False and not fairness:
        flags.append("The encoders ran at different token limits: one may have read more text.")
    if not flags:
        return ""
    items = "".join(f"<p>{escape(flag)}</p>" for flag in flags)
    return f'<h2>Before you believe a difference</h2><div class="warn">{items}</div>'


def _columns(comparison: Comparison) -> str:
    columns = "".join(_column(comparison, column) for column in comparison.columns)
    return f'<h2>What each system put first</h2><div class="columns">{columns}</div>'


def _column(comparison: Comparison, column: Column) -> str:
    head = f"<h3>{_label(comparison, column.info.system_id)}</h3>"
    if column.failure:
        return f"<section>{head}<p>{escape(column.failure)}</p></section>"
    hits = column.ranking.hits[: comparison.k]
    if not hits:
        return f"<section>{head}<p>Nothing found: no word of the query occurs.</p></section>"
    rows = "".join(
        _hit(comparison, column, comparison.passage(hit.passage_id), hit.rank) for hit in hits
    )
    return f'<section>{head}<ol class="hits">{rows}</ol></section>'


def _hit(comparison: Comparison, column: Column, passage: ComparedPassage, rank: int) -> str:
    standing = passage.standing(column.info.system_id)
    tags = [_tag(text) for text in _moves(comparison, column, passage)]
    if rank == 1 and _is_weak(comparison, standing):
        tags.append(_tag("weak match"))
    return (
        f'<li><span class="rank">{rank}</span><div>'
        f'<a href="#{_anchor(comparison, passage)}" class="name" dir="auto">'
        f"{escape(shortened(passage.document, 60))}</a> "
        f"<small>{_pages(passage)}{_standing_words(standing)}</small> {' '.join(tags)}"
        f'<div class="text snippet" dir="auto">{escape(shortened(passage.text, 260))}</div>'
        "</div></li>"
    )


def _tag(text: str) -> str:
    return f'<span class="tag">{escape(text)}</span>'


def _moves(comparison: Comparison, column: Column, passage: ComparedPassage) -> list[str]:
    """Say what became of a hit in the other arm; nothing for systems that are no arm."""
    agreement = comparison.arms_agreement
    if agreement is None or column.info.system_id not in _arms(comparison):
        return []
    in_a = column.info.system_id == comparison.arm_a
    for move in agreement.moves:
        if move.passage_id == passage.passage_id:
            only = (move.kind is MoveKind.ONLY_A) if in_a else (move.kind is MoveKind.ONLY_B)
            other = move.rank_b if in_a else move.rank_a
            if only:
                return [f"only here; {ordinal(other)} there" if other else "only here"]
            return [f"{ordinal(other)} there"] if other and move.places else []
    return []


def _is_weak(comparison: Comparison, standing: Standing) -> bool:
    return standing.percentile is not None and is_weak_match(
        standing.percentile, corpus_size=comparison.corpus_size
    )


def _standing_words(standing: Standing) -> str:
    if standing.z is None or standing.percentile is None:
        return f" · score {standing.score:.2f}" if standing.score is not None else ""
    return f" · z {_one_decimal(standing.z)} · {_percentile(standing.percentile)}"


def _one_decimal(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}"  # adding 0.0 turns -0.0 into 0.0


def _percentile(value: float) -> str:
    return "above all random pairs" if value >= 100 else f"{value:.1f}th percentile"


def _pages(passage: ComparedPassage) -> str:
    if passage.page_first == passage.page_last:
        return f"p. {passage.page_first}"
    return f"pp. {passage.page_first}-{passage.page_last}"


def _anchor(comparison: Comparison, passage: ComparedPassage) -> str:
    # passage ids come from files: a number of our own is safe as an anchor
    return f"p{comparison.passages.index(passage) + 1}"


# -- pictures ------------------------------------------------------------------------------


def _pictures(comparison: Comparison, arms: Sequence[Column]) -> str:
    if len(arms) != 2 or any(column.failure for column in arms):
        return ""
    plot = score_plot(comparison)
    drawn = (
        "<h3>Scores of both encoders</h3>"
        "<p>Each dot is a passage; to the right it matches better for the one, upwards for the "
        "other, both in standard deviations above what random pairs of this library score. "
        "Dots on the diagonal are where both agree. Grey: other passages of the library.</p>"
        f"{plot}"
        if plot
        else ""
    )
    return (
        "<h2>Where they part</h2><p>Each line is a passage on its way from one ranking to the "
        "other; a line that ends on the way leads below the shown ranks.</p>"
        f"{rank_picture(comparison)}{drawn}"
    )


def rank_picture(comparison: Comparison) -> str:
    """Return the two rankings as an SVG with a line per passage."""
    agreement = comparison.arms_agreement
    if agreement is None:
        return ""
    k = comparison.k
    row, top, left, right, width = 26, 34, 250, 470, 720
    height = top + row * k + 8
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Ranks in both systems, top {k}">'
    ]
    names = (comparison.column(arm).info.label for arm in _arms(comparison))
    for x, anchor, name in zip((left, right), ("end", "start"), names, strict=True):
        parts.append(
            f'<text x="{x}" y="16" text-anchor="{anchor}" font-weight="600">'
            f"{escape(shortened(name, 34))}</text>"
        )
    sides = [_side(comparison, arm) or "a" for arm in _arms(comparison)]
    for move in agreement.moves:
        shown_a = move.rank_a if move.rank_a is not None and move.rank_a <= k else None
        shown_b = move.rank_b if move.rank_b is not None and move.rank_b <= k else None
        passage = comparison.passage(move.passage_id)
        words = escape(f"{shortened(passage.document, 26)}, {_pages(passage)}")
        title = (
            f"<title>{escape(shortened(passage.text, 200))} "
            f"({move.rank_a or 'not ranked'} / {move.rank_b or 'not ranked'})</title>"
        )
        y_a = top + row * ((shown_a or 0) - 0.5)
        y_b = top + row * ((shown_b or 0) - 0.5)
        if shown_a and shown_b:
            kind = "same" if shown_a == shown_b else "move"
            middle = (left + right) / 2
            parts.append(
                f'<path class="link {kind}" d="M{left + 30} {y_a:.1f} C{middle} {y_a:.1f} '
                f'{middle} {y_b:.1f} {right - 30} {y_b:.1f}">{title}</path>'
            )
        elif shown_a:
            parts.append(
                f'<line class="stub {sides[0]}" x1="{left + 30}" y1="{y_a:.1f}" '
                f'x2="{left + 90}" y2="{y_a + 8:.1f}">{title}</line>'
            )
        elif shown_b:
            parts.append(
                f'<line class="stub {sides[1]}" x1="{right - 90}" y1="{y_b + 8:.1f}" '
                f'x2="{right - 30}" y2="{y_b:.1f}">{title}</line>'
            )
        if shown_a:
            parts.append(_rank_label(left, y_a, "end", words, shown_a, sides[0]))
        if shown_b:
            parts.append(_rank_label(right, y_b, "start", words, shown_b, sides[1]))
    parts.append("</svg>")
    return "".join(parts)


def _rank_label(x: int, y: float, anchor: str, words: str, rank: int, side: str) -> str:
    step = 1 if anchor == "end" else -1
    mark = (
        f'<circle class="p{side}" cx="{x + 22 * step}" cy="{y:.1f}" r="4.5"/>'
        if side == "a"
        else f'<rect class="p{side}" x="{x + 22 * step - 4}" y="{y - 4:.1f}" width="8" height="8"/>'
    )
    return (
        f'{mark}<text x="{x + 8 * step}" y="{y + 4:.1f}" text-anchor="middle" '
        f'font-weight="600">{rank}</text>'
        f'<text class="soft" x="{x - 6 * step}" y="{y + 4:.1f}" text-anchor="{anchor}">{words}</text>'
    )


def score_plot(comparison: Comparison) -> str:
    """Return calibrated scores of both arms as an SVG; "" where they cannot be placed."""
    shown: list[tuple[float, float, str, ComparedPassage]] = []
    agreement = comparison.arms_agreement
    kinds = {move.passage_id: move.kind for move in agreement.moves} if agreement else {}
    for passage in comparison.passages:
        z_a = passage.standing(comparison.arm_a).z
        z_b = passage.standing(comparison.arm_b).z
        if z_a is not None and z_b is not None and passage.passage_id in kinds:
            shown.append((z_a, z_b, kinds[passage.passage_id].value, passage))
    if not shown:
        return ""
    cloud = [(point.z_a, point.z_b) for point in comparison.cloud]
    places = [(x, y) for x, y, _, _ in shown] + cloud
    values = [value for place in places for value in place if math.isfinite(value)]
    low, high = math.floor(min(values) - 0.3), math.ceil(max(values) + 0.3)
    size, pad = 440, 44
    scale = (size - 2 * pad) / (high - low)

    def x_of(z: float) -> float:
        return pad + (z - low) * scale

    def y_of(z: float) -> float:
        return size - pad - (z - low) * scale

    parts = [
        f'<svg viewBox="0 0 {size} {size}" width="{size}" role="img" '
        'aria-label="Calibrated scores of both encoders, one dot per passage">'
    ]
    step = max(1, round((high - low) / 8))
    parts.extend(
        f'<line class="axis" x1="{x_of(tick):.1f}" y1="{pad}" x2="{x_of(tick):.1f}" '
        f'y2="{size - pad}"/><line class="axis" x1="{pad}" y1="{y_of(tick):.1f}" '
        f'x2="{size - pad}" y2="{y_of(tick):.1f}"/>'
        f'<text class="soft" x="{x_of(tick):.1f}" y="{size - pad + 16}" '
        f'text-anchor="middle">{tick}</text>'
        f'<text class="soft" x="{pad - 8}" y="{y_of(tick) + 4:.1f}" '
        f'text-anchor="end">{tick}</text>'
        for tick in range(low, high + 1, step)
    )
    parts.append(
        f'<line class="zero" x1="{x_of(low):.1f}" y1="{y_of(low):.1f}" x2="{x_of(high):.1f}" '
        f'y2="{y_of(high):.1f}"/>'
    )
    parts += [
        f'<circle class="cloud" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="2"/>'
        for x, y in cloud
        if math.isfinite(x) and math.isfinite(y)
    ]
    sides = [_side(comparison, arm) or "a" for arm in _arms(comparison)]
    for x, y, kind, passage in shown:
        title = f"<title>{escape(shortened(passage.text, 200))} ({x:.1f} / {y:.1f})</title>"
        only = {MoveKind.ONLY_A.value: sides[0], MoveKind.ONLY_B.value: sides[1]}.get(kind)
        if only == "b":
            parts.append(
                f'<rect class="pb" x="{x_of(x) - 4.5:.1f}" y="{y_of(y) - 4.5:.1f}" width="9" '
                f'height="9">{title}</rect>'
            )
        else:
            style = "pa" if only else "both"
            parts.append(
                f'<circle class="{style}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="5">{title}'
                "</circle>"
            )
    labels = [escape(shortened(comparison.column(arm).info.label, 40)) for arm in _arms(comparison)]
    parts.append(
        f'<text x="{size / 2}" y="{size - 8}" text-anchor="middle">{labels[0]}, z</text>'
        f'<text x="14" y="{size / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {size / 2})">{labels[1]}, z</text></svg>'
    )
    return "".join(parts)


# -- numbers -------------------------------------------------------------------------------


def _agreements(comparison: Comparison) -> str:
    if not comparison.agreements:
        return ""
    rows = "".join(_agreement(comparison, agreement) for agreement in comparison.agreements)
    return (
        "<h2>How far they agree</h2>"
        '<div class="scroll"><table><thead><tr><th>systems</th>'
        f'<th class="n">shared in the top {comparison.k}</th><th class="n">overlap</th>'
        '<th class="n">Jaccard</th><th class="n">RBO</th><th class="n">Kendall τ-b</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
        "<p><small>Overlap: share of the top passages that both have. Jaccard: shared over all that "
        "either has. RBO (rank-biased overlap, extrapolated): 1 for the same order, 0 for nothing "
        "in common, the top counting most. Kendall τ-b: whether the shared passages stand in the "
        "same order, 1 the same, -1 reversed.</small></p>"
    )


def _agreement(comparison: Comparison, agreement: Agreement) -> str:
    tau = "-" if agreement.tau_b is None else f"{agreement.tau_b:.2f}"
    return (
        f"<tr><td>{_label(comparison, agreement.system_a)} and "
        f"{_label(comparison, agreement.system_b)}</td>"
        f'<td class="n">{agreement.shared}</td><td class="n">{agreement.overlap:.2f}</td>'
        f'<td class="n">{agreement.jaccard:.2f}</td><td class="n">{agreement.rbo:.2f}</td>'
        f'<td class="n">{tau}</td></tr>'
    )


def _passages(comparison: Comparison, pictures: Mapping[str, PagePicture]) -> str:
    shown = [
        passage
        for passage in comparison.passages
        if any(
            standing.rank is not None and standing.rank <= comparison.k
            for standing in passage.standings
        )
    ][:_SHOWN_ROWS]
    body = "".join(_passage(comparison, passage, pictures) for passage in shown)
    return f"<h2>The passages</h2>{body}" if body else ""


def _passage(
    comparison: Comparison, passage: ComparedPassage, pictures: Mapping[str, PagePicture]
) -> str:
    rows = [_standing_row(comparison, standing) for standing in passage.standings]
    return (
        f'<article id="{_anchor(comparison, passage)}"><h3 class="name" dir="auto">'
        f"{escape(passage.document)}, {_pages(passage)}</h3>"
        f'<p class="text" dir="auto">{escape(_LINE_END.sub(" ", passage.text))}</p>'
        '<div class="scroll"><table><thead><tr><th>system</th><th class="n">rank</th>'
        '<th class="n">z</th><th class="n">percentile</th><th class="n">raw score</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f"{_image(comparison, passage, pictures.get(passage.passage_id))}</article>"
    )


def _standing_row(comparison: Comparison, standing: Standing) -> str:
    rank = standing.rank if standing.rank is not None else "-"
    score = f"{standing.score:.3f}" if standing.score is not None else "-"
    z = _one_decimal(standing.z) if standing.z is not None else "-"
    place = f"{standing.percentile:.1f}" if standing.percentile is not None else "-"
    return (
        f"<tr><td>{_label(comparison, standing.system_id)}</td>"
        f'<td class="n">{rank}</td><td class="n">{z}</td><td class="n">{place}</td>'
        f'<td class="n">{score}</td></tr>'
    )


def _image(comparison: Comparison, passage: ComparedPassage, picture: PagePicture | None) -> str:
    """Return the page with the passage outlined in the colour of every arm that has it."""
    if picture is None or not picture.png.startswith(_PNG):  # nothing but PNG goes into the file
        return ""
    data = base64.b64encode(picture.png).decode("ascii")
    label = escape(f"Page {passage.page_first} of {passage.document}")
    sides = [
        _side(comparison, standing.system_id)
        for standing in passage.standings
        if standing.rank is not None and standing.rank <= comparison.k
    ]
    drawn = "".join(
        f'<rect class="box {side}" x="{left - pad:.1f}" y="{top - pad:.1f}" '
        f'width="{right - left + 2 * pad:.1f}" height="{bottom - top + 2 * pad:.1f}"/>'
        for pad, side in enumerate((side for side in dict.fromkeys(sides) if side), start=1)
        for left, top, right, bottom in picture.boxes
    )
    over = (
        f'<svg viewBox="0 0 {picture.width:.1f} {picture.height:.1f}" preserveAspectRatio="none">'
        f"{drawn}</svg>"
        if drawn and picture.width > 0
        else ""
    )
    return (
        f'<figure class="sheet"><img alt="{label}" src="data:image/png;base64,{data}">{over}'
        f"<figcaption>{label}</figcaption></figure>"
    )


# -- evidence and what was sent ------------------------------------------------------------


def _evidence(found: Iterable[Evidence], comparison: Comparison) -> str:
    parts = [_one_evidence(one, comparison) for one in found]
    return f"<h2>Why</h2>{''.join(parts)}" if parts else ""


def _one_evidence(found: Evidence, comparison: Comparison) -> str:
    anchors = {passage.passage_id: passage for passage in comparison.passages}
    passage = anchors.get(found.passage_id)
    where = (
        f'<a href="#{_anchor(comparison, passage)}">{escape(shortened(passage.document, 60))}, '
        f"{_pages(passage)}</a>"
        if passage
        else escape(found.passage_id)
    )
    what = "the passage" if found.side == "passage" else "the query"
    head = (
        f"<h3>{where}: each {found.unit} of {what} left out in turn</h3>"
        f"{''.join(f'<p>{escape(sentence)}</p>' for sentence in found.contrast)}"
    )
    rows = []
    for part, effect_a, effect_b in zip(found.parts, found.a.effects, found.b.effects, strict=True):
        rows.append(
            f'<tr><td class="n">{part.number}</td><td dir="auto">{escape(shortened(part.text, 300))}'
            f"</td>{_effect(effect_a)}{_effect(effect_b)}</tr>"
        )
    table = (
        '<div class="scroll"><table><thead><tr><th class="n"></th>'
        f"<th>{found.unit} left out</th>"
        f'<th class="n">{escape(found.a.system.label)}: z</th><th class="n">rank</th>'
        f'<th class="n">{escape(found.b.system.label)}: z</th><th class="n">rank</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    return head + table + _faithful(found.a) + _faithful(found.b)


def _effect(effect: Effect) -> str:
    z = f"{effect.z_change:+.2f}" if math.isfinite(effect.z_change) else "-"
    rank = str(effect.rank)
    if effect.rank_change:
        rank = f"{effect.rank - effect.rank_change} → {effect.rank}"
    return f'<td class="n">{z}</td><td class="n">{rank}</td>'


def _faithful(side: ArmEvidence) -> str:
    check = side.faithfulness
    if check is None:
        return ""
    tried = (
        f" In {check.contexts} random halves of the passage it cost {check.context_top_drop:.3f}, "
        f"a random other sentence {check.context_other_drop:.3f}."
        if check.contexts
        else ""
    )
    return (
        f"<p><small>{escape(side.system.label)}: deleting sentence {check.top} costs "
        f"{check.top_drop:.3f} of score, another one {check.others_drop:.3f} on average.{tried}"
        "</small></p>"
    )


def _received(comparison: Comparison, fairness: FairnessReport | None) -> str:
    rows = []
    for column in comparison.columns:
        got = column.received
        if got is None:
            continue
        took = f", {column.seconds * 1000:.0f} ms" if column.seconds is not None else ""
        rows.append(
            f"<h3>{_label(comparison, column.info.system_id)}</h3>"
            f'<p class="small">{got.tokens_kept:,} tokens read, {got.tokens_dropped:,} cut off; '
            f"limit {column.max_tokens:,}{took}. Fingerprint of everything that decides its "
            f"numbers: {escape(column.fingerprint[:16])}</p>"
            f'<pre dir="auto">{escape(got.text)}</pre>'
        )
    table = ""
    if fairness:
        pairs = (
            ("weights", fairness.a.checkpoint, fairness.b.checkpoint),
            ("revision", fairness.a.revision or "local", fairness.b.revision or "local"),
            ("attention", fairness.a.attention, fairness.b.attention),
            ("pooling", fairness.a.pooling, fairness.b.pooling),
            ("dimension", str(fairness.a.dimension), str(fairness.b.dimension)),
            ("chosen for it", fairness.a.options or "-", fairness.b.options or "-"),
            ("precision", fairness.a.dtype, fairness.b.dtype),
            ("token limit", f"{fairness.a.max_tokens:,}", f"{fairness.b.max_tokens:,}"),
            (
                "passages cut",
                f"{fairness.stats_a.cut:,} of {fairness.stats_a.passages:,}",
                f"{fairness.stats_b.cut:,} of {fairness.stats_b.passages:,}",
            ),
            ("trained on", fairness.a.trained_on, fairness.b.trained_on),
        )
        body = "".join(
            f"<tr><th>{name}</th><td>{escape(one)}</td><td>{escape(two)}</td></tr>"
            for name, one, two in pairs
        )
        table = (
            '<div class="scroll"><table><thead><tr><th></th>'
            f"<th>{escape(fairness.a.label)}</th><th>{escape(fairness.b.label)}</th></tr></thead>"
            f"<tbody>{body}</tbody></table></div>"
        )
    if not rows and not table:
        return ""
    return f"<h2>What each encoder got for the query</h2>{table}{''.join(rows)}"


def _method(comparison: Comparison) -> str:
    backgrounds = [
        f"{escape(column.info.label)}: {column.background.samples:,} pairs, mean "
        f"{column.background.mean:.3f}, standard deviation {column.background.deviation:.3f}"
        for column in comparison.columns
        if column.background is not None
    ]
    scale = f" Here: {'; '.join(backgrounds)}." if backgrounds else ""
    return (
        "<h2>How this was computed</h2>"
        f"<p>Every system searched the same {comparison.corpus_size:,} "
        f"{_unit(comparison, comparison.corpus_size)} exactly, without approximation; equal scores "
        "are ordered by place in the documents. The raw score of an encoder is the cosine between "
        "query and passage. Cosines of two encoders cannot be compared with each other, so each "
        "score is also placed among that encoder's own scores for random pairs of query and passage "
        "of this library: z is the distance from their mean in standard deviations, the percentile "
        f"the share of random pairs that score lower.{scale} “Weak match” marks a first hit that "
        "some unrelated passage could be expected to reach by chance.</p>"
        "<p><small>Made by Bifocal. Small encoders stand for their kind here; their figures are not "
        "those of the large models in the literature. This file holds everything it shows and "
        "makes no connection to anywhere.</small></p>"
    )
