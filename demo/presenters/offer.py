"""Cost of a real pair before anything is fetched; and the download while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.render import Html, render
from core.render.systems import family_kind
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


def offer(pair: Pair, plan: PairPlan, *, seconds: Sequence[float], passages: int, now: str) -> Html:
    """Return the cost of a pair on this machine, with the buttons to take it or leave it.

    Args:
        pair: Chosen.
        plan: What it costs.
        seconds: To embed the library, for each encoder of the plan.
        passages: Of the library.
        now: Label of the pair in use.
    """
    matched = f"Matched: {pair.matched}" + (
        f" Not matched: {pair.unmatched}" if pair.unmatched else ""
    )
    verb = texts.FETCH_TAKE if plan.download_bytes else texts.FETCH_USE
    if any(one.kept_bytes for one in plan.plans):
        verb = texts.FETCH_ON
    return _framed(
        pair.label,
        matched=matched,
        rows=[
            (one, family_kind(one.family), _commit(one), duration(wait))
            for one, wait in zip(plan.plans, seconds, strict=True)
        ],
        whole=plan,
        together=duration(sum(seconds)),
        passages=passages,
        how=texts.FETCH_HOW if plan.download_bytes else texts.FETCH_HOW_HERE,
        problem=plan.refusal,
        buttons=[*([] if plan.refusal else [_take(pair.pair_id, verb)]), _keep(now)],
    )


def underway(label: str, progress: Html) -> Html:
    """Return a download that runs, with its progress."""
    stop = ("stop-fetch", "", texts.STOP)
    return _framed(texts.FETCHING.format(pair=label), progress=progress, buttons=[stop])


def interrupted(pair_id: str, label: str, words: str) -> Html:
    """Return why a pair is not here, with a button to ask again."""
    again = ("look-pair", pair_id, texts.FETCH_AGAIN)
    return _framed(label, problem=words, buttons=[again, _keep("")])


def stopped(pair_id: str, label: str) -> Html:
    """Return a download that its user stopped, with a button to go on."""
    buttons = [_take(pair_id, texts.FETCH_ON), _keep("")]
    return _framed(label, said=texts.FETCH_STOPPED, buttons=buttons)


def asking(label: str) -> Html:
    """Return the waiting state while the hub is asked and the machine measured."""
    return _framed(label, how=texts.FETCH_ASKING, waiting=True)


def _framed(title: str, **parts: object) -> Html:
    empty: dict[str, object] = dict.fromkeys(
        ("matched", "rows", "progress", "how", "waiting", "problem", "said", "buttons")
    )
    return render("offer", title=title, size=size, **(empty | parts))


def _commit(plan: FetchPlan) -> str:
    commit = f"at {plan.revision[:_COMMIT_CHARS]}" if plan.revision else ""
    return f"{commit} ({plan.revision_origin})" if plan.revision_origin else commit


def _take(pair_id: str, verb: str) -> tuple[str, str, str]:
    """Return a button's act, its pair and its words."""
    return "take-pair", pair_id, verb


def _keep(now: str) -> tuple[str, str, str]:
    return "keep-pair", "", texts.FETCH_KEEP.format(pair=now) if now else texts.FETCH_CLOSE
