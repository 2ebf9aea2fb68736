"""Why hits stand where they do, and what each encoder really got."""

from __future__ import annotations

import math
from collections.abc import Iterable

from core.comparison.records import Comparison
from core.experiments.evidence import Effect, EncoderEvidence, Evidence
from core.experiments.fairness import FairnessReport
from core.laboratory.report.markup import anchor_of, escape, label_of, pages_of
from core.words import shortened


def explanations(found: Iterable[Evidence], comparison: Comparison) -> str:
    """Return the tables of what was left out of single hits."""
    parts = [_one_evidence(one, comparison) for one in found]
    return f"<h2>Why</h2>{''.join(parts)}" if parts else ""


def _one_evidence(found: Evidence, comparison: Comparison) -> str:
    anchors = {passage.passage_id: passage for passage in comparison.passages}
    passage = anchors.get(found.passage_id)
    where = (
        f'<a href="#{anchor_of(comparison, passage)}">{escape(shortened(passage.document, 60))}, '
        f"{pages_of(passage)}</a>"
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


def _faithful(side: EncoderEvidence) -> str:
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


def received(comparison: Comparison, fairness: FairnessReport | None) -> str:
    """Return the strings and settings that each encoder really ran with."""
    rows = []
    for column in comparison.columns:
        got = column.received
        if got is None:
            continue
        took = f", {column.seconds * 1000:.0f} ms" if column.seconds is not None else ""
        rows.append(
            f"<h3>{label_of(comparison, column.info.system_id)}</h3>"
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
