"""Why a hit stands where it stands: both arms side by side, with the check on the explanation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from core.records import Family
from core.render import escape, join
from core.words import DASH, DOT, number, ordinal, plural, signed
from demo.presenters.families import family_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.experiments.attention import TokenChange
    from core.experiments.context import SystemName
    from core.experiments.evidence import Effect, EncoderEvidence, Evidence
    from core.experiments.late_context import EncoderInContext, LateContext
    from core.experiments.token_shares import SharedScores

BAR_MOST = 1.5  # z; longer bars are cut there
PART_TITLES = {
    "sentence": "Without each sentence",
    "clause": "Without each clause of the query",
    "word": "Without each word of the query",
}


def kind_of(system: SystemName) -> str:
    """Return the class of a system's family."""
    try:
        return family_class(Family(system.family))
    except ValueError:
        return "lex"


def system_name(system: SystemName) -> str:
    """Return a system's label in its colour and shape."""
    return f'<span class="{kind_of(system)}"><i class="sym"></i>{escape(system.label)}</span>'


def evidence(found: Evidence) -> str:
    """Return leave-one-out over one text, both arms in the same rows."""
    sides = (found.a, found.b)
    words = join(f"<p>{escape(sentence)}</p>" for sentence in found.contrast)
    if not words:
        words = f"<p>Neither encoder needs a {found.unit} that the other does without.</p>"
    rows = join(
        f'<li><p class="part" dir="auto"><span class="meta num">{part.number}</span> '
        f"{escape(part.text)}</p>{join(_effect(side, side.effects[index]) for side in sides)}</li>"
        for index, part in enumerate(found.parts)
    )
    checks = join(_faithful(side) for side in sides)
    notes = join(f'<p class="how">{escape(note)}</p>' for note in found.notes)
    open_ = " open" if found.side == "passage" else ""
    return (
        f'<section class="bf"><details{open_}><summary><b>{escape(PART_TITLES[found.unit])}</b>'
        f'</summary><div class="words">{words}</div><ol class="parts">{rows}</ol>{checks}'
        '<p class="how">Each part is deleted in turn; the other '
        f"{plural(max(0, found.corpus_size - 1), 'passage')} stay as they are. Bars show the change "
        "in z: to the left, the match gets weaker without this part, so the part supports it."
        f"</p>{notes}</details></section>"
    )


def _effect(side: EncoderEvidence, effect: Effect) -> str:
    before = effect.rank - effect.rank_change
    moved = (
        f"{ordinal(before)} \u2192 {ordinal(effect.rank)}"
        if effect.rank_change
        else f"stays {ordinal(before)}"
    )
    change = effect.z_change
    shown = DASH if math.isnan(change) else signed(change, 2)
    width = 0.0 if math.isnan(change) else 50 * min(1.0, abs(change) / BAR_MOST)
    left = 50 - width if change < 0 else 50
    top = " top" if effect.number == side.top else ""
    return (
        f'<div class="effect {kind_of(side.system)}{top}"><i class="sym"></i>'
        f'<span class="bar2"><i style="left:{left:.1f}%;width:{width:.1f}%"></i></span>'
        f'<span class="num">{shown} z</span><span class="num">{escape(moved)}</span></div>'
    )


def _faithful(side: EncoderEvidence) -> str:
    check = side.faithfulness
    if check is None:
        return ""
    if check.contexts:
        words = (
            f"check: in {check.contexts} shortened copies, deleting sentence {check.top} costs "
            f"{number(check.context_top_drop, 4)} of cosine, a random other one "
            f"{number(check.context_other_drop, 4)}; it hurts more in {check.wins:.0%} of them"
        )
    else:
        words = (
            f"check: deleting sentence {check.top} costs {number(check.top_drop, 4)}, others "
            f"{number(check.others_drop, 4)} on average"
        )
    verdict = "The explanation holds." if check.holds else "Do not rely on this explanation."
    return f'<p class="meta check">{system_name(side.system)} {escape(words)}. <b>{verdict}</b></p>'


def context(found: LateContext) -> str:
    """Return the passage alone against the passage read inside its document."""
    rows = join(_context_row(side) for side in (found.a, found.b))
    notes = join(f'<p class="how">{escape(note)}</p>' for note in found.notes)
    words = join(f"<p>{escape(sentence)}</p>" for sentence in found.summary)
    return (
        '<section class="bf"><details open><summary><b>Alone, and inside its document</b></summary>'
        f'<div class="words">{words}</div>'
        '<div class="scroll-x"><table class="plain"><thead><tr><th></th><th class="r">alone</th>'
        '<th class="r">inside</th><th class="r">all inside</th><th class="r">moved by</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
        '<p class="how">Inside: one forward pass over the text around the passage, then the mean '
        "over the passage's own tokens (late chunking). All inside: the other passages of that "
        "stretch are read the same way. Moved by: 1 \u2212 cosine of both embeddings.</p>"
        f"{notes}</details></section>"
    )


def _context_row(side: EncoderInContext) -> str:
    def place(rank: int, z: float | None = None) -> str:
        words = ordinal(rank)
        return words if z is None or math.isnan(z) else f"{words}{DOT}z {number(z)}"

    return (
        f'<tr><th scope="row">{system_name(side.system)}<br><span class="meta">'
        f"{plural(side.window_tokens, 'token')} read</span></th>"
        f'<td class="r">{place(side.rank_alone, side.z_alone)}</td>'
        f'<td class="r">{place(side.rank_inside, side.z_inside)}</td>'
        f'<td class="r">{place(side.rank_all_inside)}</td>'
        f'<td class="r">{number(1 - side.cosine, 3)}</td></tr>'
    )


def shares(found: SharedScores) -> str:
    """Return the exact additive share of every token, where the pooling allows one."""
    if not found.sides:
        return ""
    blocks = join(
        f"<div><h4>{system_name(side.system)}</h4>"
        + strip(
            found.text,
            [(share.start, share.end, share.token, share.share) for share in side.shares],
            kind=kind_of(side.system),
            unit="of the cosine",
        )
        + f'<p class="meta num">sum {number(side.score, 4)}, rest {number(side.residual, 6)}</p></div>'
        for side in found.sides
    )
    return (
        '<section class="bf"><details><summary><b>Extra: exact share of each token</b></summary>'
        f'{blocks}<p class="how">The embedding is a mean of token states, so the cosine is a sum '
        "over tokens: this is arithmetic, not importance. What happens without a token is "
        "answered by the deletions above.</p></details></section>"
    )


def changes(strip_: Sequence[TokenChange]) -> list[tuple[int, int, str, float]]:
    """Return a strip's entries as `strip` takes them."""
    return [(item.start, item.end, item.token, item.change) for item in strip_]


def strip(
    text: str,
    entries: Sequence[tuple[int, int, str, float]],
    *,
    kind: str,
    unit: str,
    most: float | None = None,
    tail: str = "",
) -> str:
    """Return a text whose every token is coloured by a number; hover tells the number.

    Colour grows with the square root, so that one large value does not hide all others; nothing
    stays exactly uncoloured but zero.

    Args:
        text: The passage.
        entries: Start, end, readable token, value; starts below 0 are prompt and special tokens.
        kind: Colour class.
        unit: What the value is, for the tip.
        most: Value of the full colour; the largest by default.
        tail: Safe HTML that continues the text.
    """
    values = [abs(value) for start, _, _, value in entries if start >= 0 and math.isfinite(value)]
    top = most or max(values, default=0.0) or 1.0
    parts: list[str] = []
    at = 0
    for start, end, _, value in sorted(entries, key=lambda entry: (entry[0], entry[1])):
        if start < at or end <= start:
            continue
        parts.append(escape(text[at:start]))
        piece = escape(text[start:end])
        if not math.isfinite(value):
            parts.append(f'<span class="tok none">{piece}</span>')
        else:
            sign = " neg" if value < 0 else ""
            parts.append(
                f'<span class="tok{sign}" style="--c:{min(1.0, math.sqrt(abs(value) / top)):.3f}" '
                f'data-tip="{number(value, 4)} {escape(unit)}">{piece}</span>'
            )
        at = end
    parts.append(escape(text[at:]))
    return f'<div class="strip {kind}" dir="auto">{join(parts)}{tail}</div>'
