"""What was measured on this machine or shipped with Bifocal: figures with their intervals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from core.records import Family
from core.render import escape, join, with_code
from core.render.systems import family_kind
from core.words import DASH, DOT, number, signed
from demo import texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MEASURES = ("nDCG@10", "R@10", "Recall@10", "R@100", "Recall@100", "RR@10", "MRR@10", "AP@100")
OVERVIEW_MEASURE = "nDCG@10"
NONE_YET = (
    "No figures are here yet. Measure any collection in BEIR layout with "
    "`python -m core evaluate --beir FOLDER --json assets/benchmarks/NAME.json`."
)


def read_results(folder: Path | None) -> list[tuple[str, Mapping[str, Any]]]:
    """Return name and content of every readable result file, by name."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    # The sample library first: it is what the reader has before them.
    for path in (
        sorted(folder.glob("*.json"), key=_order) if folder is not None and folder.is_dir() else ()
    ):
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # a half-written file is not a figure
        if isinstance(content, dict):
            found.append((path.stem, content))
    return found


def _order(path: Path) -> tuple[bool, bool, str]:
    return (path.stem == "bench", path.stem != "sample-library", path.stem)


def benchmarks(results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return every result: evaluations as tables with intervals, other figures as they are."""
    if not results:
        return f'<div class="bf lab"><h2>Measured by Bifocal</h2><p class="how">{with_code(NONE_YET)}</p></div>'
    measured = [(name, content) for name, content in results if "systems" in _whole(content)]
    others = [(name, content) for name, content in results if "systems" not in _whole(content)]
    # One line each on top; all of a collection's figures are folded below it.
    blocks = overview(measured) + join(
        _evaluation(name, content, is_open=place == 0)
        for place, (name, content) in enumerate(measured)
    )
    # What is no evaluation (speed, losses) stands below, folded: it is read by few.
    blocks += join(
        f"<details><summary>{escape(_words(name))}</summary>{_plain(name, content)}</details>"
        for name, content in others
    )
    return (
        '<div class="bf lab"><h2>Measured by Bifocal</h2><p class="how">With the pairs named. '
        "Brackets: 95 % bootstrap interval over queries, or over clusters of queries that share a "
        "relevant document, where their number is given. The difference is diffusion minus "
        f"autoregressive, query by query. The first table has {OVERVIEW_MEASURE}; every measure, "
        f"group and length is folded below it.</p>{blocks}</div>"
    )


def _whole(content: Mapping[str, Any]) -> Mapping[str, Any]:
    whole = content.get("whole", content)
    return whole if isinstance(whole, dict) else {}


def title(name: str, content: Mapping[str, Any]) -> str:
    """Return a collection's name in words, and whether it is a sample or has controls."""
    dataset = str(content.get("dataset", name))
    parts = [texts.DATASET_NAMES.get(dataset, dataset)]
    if name.endswith("_controls"):
        parts.append("with controls")
    if any(str(note).startswith("Sample:") for note in content.get("notes", ())):
        parts.append("a sample")
    return ", ".join(parts)


def overview(results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return a line per collection that both arms were measured on; "" where there is none."""
    rows = join(_overview_row(name, content) for name, content in results)
    if not rows:
        return ""
    return (
        '<div class="scroll-x"><table class="plain figures">'
        '<thead><tr><th>collection</th><th class="r">queries</th>'
        '<th class="r"><span class="dif"><i class="sym"></i>diffusion</span></th>'
        '<th class="r"><span class="aut"><i class="sym"></i>autoregressive</span></th>'
        '<th class="r">BM25</th><th class="r">difference of the arms</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _overview_row(name: str, content: Mapping[str, Any]) -> str:
    """Return one collection's line; nothing for a file that holds no evaluation of both arms."""
    whole = content.get("whole", content)
    systems = whole.get("systems") if isinstance(whole, dict) else None
    if not isinstance(systems, list):
        return ""
    by_family = {
        str(item.get("family")): item.get("measures", {}).get(OVERVIEW_MEASURE)
        for item in reversed(systems)  # the pair stands first: it wins over further encoders
        if isinstance(item, dict) and isinstance(item.get("measures"), dict)
    }
    if not {"diffusion", "autoregressive"} <= by_family.keys():
        return ""
    gap = whole.get("difference")
    gap = gap.get(OVERVIEW_MEASURE) if isinstance(gap, dict) else None
    cells = join(
        f'<td class="r">{_mean(by_family.get(family))}</td>'
        for family in ("diffusion", "autoregressive", "lexical")
    )
    queries = whole.get("queries")
    return (
        f'<tr><th scope="row">{escape(title(name, content))}</th>'
        f'<td class="r">{escape(f"{queries:,}" if isinstance(queries, int) else DASH)}</td>{cells}'
        f'<td class="r">{_gap(gap)}</td></tr>'
    )


def _mean(value: Any) -> str:  # noqa: ANN401  parsed JSON
    mean = value.get("value", value.get("mean")) if isinstance(value, dict) else value
    return number(float(mean), 3) if isinstance(mean, int | float) else DASH


def _gap(value: Any) -> str:  # noqa: ANN401  parsed JSON
    if not isinstance(value, dict):
        return DASH
    ends = (value.get("value", value.get("mean")), value.get("low"), value.get("high"))
    if value.get("withheld") and isinstance(ends[0], int | float):
        return f'{signed(float(ends[0]), 3)} <span class="meta">no interval</span>'
    known = [float(end) for end in ends if isinstance(end, int | float)]
    if len(known) < len(ends):
        return DASH
    mean, low, high = (signed(end, 3) for end in known)
    return f'{mean} <span class="meta">[{low}, {high}]</span>'


def _evaluation(name: str, content: Mapping[str, Any], *, is_open: bool) -> str:
    whole = _whole(content)
    notes = join(f'<p class="how">{escape(note)}</p>' for note in content.get("notes", ()))
    facts = DOT.join(
        f"{value:,} {word}"
        for word in ("queries", "clusters", "passages")
        if isinstance(value := whole.get(word), int)
    )
    groups = join(
        f"<h4>{escape(part.get('group'))}{DOT}{escape(part.get('queries'))} queries</h4>{_table(part)}"
        for part in content.get("groups", ())
        if isinstance(part, dict)
    )
    lengths = join(
        f"<h4>{escape(part.get('length'))} tokens</h4>{_table(part)}"
        for part in content.get("lengths", ())
        if isinstance(part, dict)
    )
    folded = f"<details><summary>by length</summary>{lengths}</details>" if lengths else ""
    return (
        f'<details class="collection"{" open" if is_open else ""}><summary>'
        f'<b>{escape(title(name, content))}</b> <span class="num">{escape(facts)}</span></summary>'
        f"{_table(whole)}{groups}{folded}{notes}</details>"
    )


def _table(part: Mapping[str, Any]) -> str:
    systems = [item for item in part.get("systems", ()) if isinstance(item, dict)]
    names: dict[str, None] = {}
    for system in systems:
        names.update(dict.fromkeys(_measures(system)))
    heads = join(f'<th class="r">{escape(name)}</th>' for name in names)
    rows = join(_system(system, list(names)) for system in systems)
    gap = part.get("difference") or {}
    if isinstance(gap, dict) and gap:
        cells = join(f'<td class="r">{_interval(gap.get(name), sign=True)}</td>' for name in names)
        rows += f'<tr class="gap"><th scope="row">difference of the arms</th>{cells}</tr>'
    return (
        f'<div class="scroll-x"><table class="plain figures"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _measures(system: Mapping[str, Any]) -> Mapping[str, Any]:
    found = system.get("measures", {})
    return found if isinstance(found, dict) else {}


def _system(system: Mapping[str, Any], names: Sequence[str]) -> str:
    try:
        kind = family_kind(Family(system.get("family", "")))
    except ValueError:
        kind = "lex"
    cells = join(f'<td class="r">{_interval(_measures(system).get(name))}</td>' for name in names)
    system_id = system.get("id") or system.get("system_id") or system.get("system", "")
    label = system.get("label") or texts.SYSTEM_NAMES.get(str(system_id), system_id)
    return f'<tr><th scope="row" class="{kind}"><i class="sym"></i>{escape(label)}</th>{cells}</tr>'


def _interval(value: Any, *, sign: bool = False) -> str:  # noqa: ANN401  parsed JSON
    """Return ``.662 [.61, .71]`` from an interval as JSON has it."""
    if isinstance(value, int | float):
        return signed(float(value), 3) if sign else number(float(value), 3)
    if not isinstance(value, dict):
        return "\u2013"
    mean = value.get("mean", value.get("value", value.get("estimate")))
    low, high = value.get("low"), value.get("high")
    if not isinstance(mean, int | float):
        return "\u2013"
    text = signed(float(mean), 3) if sign else number(float(mean), 3)
    if value.get("withheld"):
        text += f'<br><span class="meta" title="{escape(value["withheld"])}">no interval</span>'
    if isinstance(low, int | float) and isinstance(high, int | float):
        shown = signed if sign else number
        text += f'<br><span class="meta">[{shown(float(low), 3)}, {shown(float(high), 3)}]</span>'
    p_value = value.get("p", value.get("p_value"))
    if isinstance(p_value, int | float):
        text += f'<br><span class="meta">p {number(float(p_value), 3)}</span>'
    return text


def _words(name: str) -> str:
    words = name if name in texts.FIGURE_NAMES else name.replace("_", " ")
    return texts.FIGURE_NAMES.get(words, words)


def _plain(name: str, content: Mapping[str, Any], depth: int = 0) -> str:
    """Return other measured figures as a two-column table."""
    rows = []
    for key, value in content.items():
        words = _words(str(key))
        if isinstance(value, dict):
            if depth < 2:
                rows.append(f'<tr><td colspan="2">{_plain(words, value, depth + 1)}</td></tr>')
        elif isinstance(value, list):
            if value and all(isinstance(item, dict) for item in value):
                rows.append(
                    f'<tr><td colspan="2"><h4>{escape(words)}</h4>{_records(value)}</td></tr>'
                )
            else:
                shown = ", ".join(_scalar(item) for item in value[:20])
                rows.append(f"<tr><th scope=row>{escape(words)}</th><td>{escape(shown)}</td></tr>")
        else:
            rows.append(
                f'<tr><th scope="row">{escape(words)}</th><td class="num">{escape(_scalar(value))}</td></tr>'
            )
    heading = f"<h4>{escape(name)}</h4>" if depth else ""
    return f'<section>{heading}<table class="plain">{join(rows)}</table></section>'


def _records(items: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(key for item in items[:50] for key in item))[:10]
    heads = join(f"<th>{escape(str(name).replace('_', ' '))}</th>" for name in names)
    rows = join(
        "<tr>" + join(f"<td>{escape(_scalar(item.get(name, '')))}</td>" for name in names) + "</tr>"
        for item in items[:50]
    )
    return f'<div class="scroll-x"><table class="plain"><tr>{heads}</tr>{rows}</table></div>'


def _scalar(value: Any) -> str:  # noqa: ANN401  parsed JSON
    if isinstance(value, bool) or value is None:
        return "" if value is None else "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return number(value, 3 if abs(value) < 10 else 1)
    return str(value)
