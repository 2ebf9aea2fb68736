"""Figures measured on this machine or shipped with Bifocal, with their intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.evaluation.render import interval_text
from core.evaluation.runs import RunLine, RunsCompared, withheld_words
from core.records import Family
from core.render import Html, render
from core.render.figures import Row
from core.render.systems import family_kind, named
from core.words import DASH, DOT, number, plural, signed
from demo import texts

MEASURES = ("nDCG@10", "R@10", "Recall@10", "R@100", "Recall@100", "RR@10", "MRR@10", "AP@100")
OVERVIEW_MEASURE = "nDCG@10"
OVERVIEW_SAYS = (
    "{measure}: on {first} of {all} the diffusion encoder is ahead by more than chance, on {second} "
    "the autoregressive one."
)
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


def kept_runs(lines: Sequence[RunLine], problems: Sequence[str] = ()) -> Html:
    """Return the kept runs as a list, or how to make one."""
    return render(
        "kept_runs", lines=lines, problems=problems, texts=texts, measure=OVERVIEW_MEASURE
    )


def runs_compared(compared: RunsCompared) -> Html:
    """Return two kept runs side by side: their differences stand first."""
    rows = [
        Row(
            "",
            texts.SYSTEM_NAMES.get(one.system_id, one.system_id),
            (
                (number(one.first, 3), ()),
                (number(one.second, 3), ()),
                (
                    signed(one.difference.value, 3),
                    (interval_text(one.difference, signed=True).partition(" ")[2],),
                ),
            ),
        )
        for one in compared.systems
    ]
    return render(
        "runs_compared",
        compared=compared,
        parts=[
            (name, one, two)
            for name, (state, one, two) in compared.parts.items()
            if state != "same"
        ],
        rows=rows,
        names=texts.SYSTEM_NAMES,
        says=f"{compared.measure} over {plural(compared.queries, 'query', 'queries')} in both runs",
        withheld=withheld_words(compared),
        texts=texts,
    )


def _order(path: Path) -> tuple[bool, bool, str]:
    return (path.stem == "bench", path.stem != "sample-library", path.stem)


def benchmarks(results: Sequence[tuple[str, Mapping[str, Any]]]) -> Html:
    """Return every result: evaluations as tables with intervals, other figures as they are."""
    measured = [(name, content) for name, content in results if "systems" in _whole(content)]
    return render(
        "benchmarks",
        # One line each on top; all of a collection's figures are folded below it.
        overview=overview(measured),
        measured=[_evaluation(name, content) for name, content in measured],
        # What is no evaluation (speed, losses) stands below, folded: it is read by few.
        others=[(name, content) for name, content in results if "systems" not in _whole(content)],
        measure=OVERVIEW_MEASURE,
        none_yet=NONE_YET,
        words=_words,
        scalar=_scalar,
        columns=_columns,
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


def overview(results: Sequence[tuple[str, Mapping[str, Any]]]) -> Html:
    """Return a line per collection that both encoders were measured on; "" where there is none."""
    lines = [_overview_row(name, content) for name, content in results]
    rows = [row for row in lines if row is not None]
    ahead = [
        _ahead(_whole(content)) for (_, content), row in zip(results, lines, strict=True) if row
    ]
    says = OVERVIEW_SAYS.format(
        measure=OVERVIEW_MEASURE,
        first=ahead.count("diffusion"),
        second=ahead.count("autoregressive"),
        all=plural(len(ahead), "line"),
    )
    pair = [named(Family.DIFFUSION, "Diffusion"), named(Family.AUTOREGRESSIVE, "Autoregressive")]
    heads = ["difference", *pair, "BM25", "queries"]
    return render("figures", heads=heads, rows=rows, says=says) if rows else Html("")


def _ahead(part: Mapping[str, Any]) -> str:
    """Return the family whose lead is outside chance by its interval; "" for none."""
    gap = part.get("difference")
    found = gap.get(OVERVIEW_MEASURE) if isinstance(gap, dict) else None
    low, high = (found.get(end) if isinstance(found, dict) else None for end in ("low", "high"))
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return ""
    return "diffusion" if low > 0 else "autoregressive" if high < 0 else ""


def _says(part: Mapping[str, Any]) -> str:
    """Return the finding of a table in one sentence; "" without a difference."""
    gap = part.get("difference")
    found = gap.get(OVERVIEW_MEASURE) if isinstance(gap, dict) else None
    found = found if isinstance(found, dict) else {}
    mean = _mean(found)
    if not isinstance(mean, int | float):
        return ""
    leader = _ahead(part)
    if leader:
        return f"{leader.capitalize()} is ahead by {number(abs(mean), 3)} {OVERVIEW_MEASURE}."
    if found.get("low") is None:
        return f"The difference is {signed(mean, 3)} {OVERVIEW_MEASURE}, without an interval."
    return f"No difference is shown: {signed(mean, 3)} {OVERVIEW_MEASURE}, within chance."


def _overview_row(name: str, content: Mapping[str, Any]) -> Row | None:
    """Return one collection's line; None for a file that holds no evaluation of both encoders."""
    whole = _whole(content)
    systems = whole.get("systems")
    if not isinstance(systems, list):
        return None
    by_family = {
        str(item.get("family")): _measures(item).get(OVERVIEW_MEASURE)
        for item in reversed(systems)  # the pair stands first: it wins over further encoders
        if isinstance(item, dict) and isinstance(item.get("measures"), dict)
    }
    if not {"diffusion", "autoregressive"} <= by_family.keys():
        return None
    gap = whole.get("difference")
    queries = whole.get("queries")
    means = [
        (_interval(by_family.get(family))[0], ())
        for family in ("diffusion", "autoregressive", "lexical")
    ]
    difference = _interval(gap.get(OVERVIEW_MEASURE) if isinstance(gap, dict) else None, sign=True)
    counted = f"{queries:,}" if isinstance(queries, int) else DASH
    return Row("", title(name, content), (difference, *means, (counted, ())))


def _evaluation(name: str, content: Mapping[str, Any]) -> dict[str, object]:
    whole = _whole(content)

    def parts(key: str, titled: str) -> list[dict[str, object]]:
        return [
            {"title": titled.format(**{"group": "", "queries": "", "length": ""} | part)}
            | _table(part)
            for part in content.get(key, ())
            if isinstance(part, dict)
        ]

    return {
        "title": title(name, content),
        "facts": [
            f"{value:,} {word}"
            for word in ("queries", "clusters", "passages")
            if isinstance(value := whole.get(word), int)
        ],
        "whole": _table(whole),
        "groups": parts("groups", f"{{group}}{DOT}{{queries}} queries"),
        "lengths": parts("lengths", "{length} tokens"),
        "notes": content.get("notes", ()),
    }


def _table(part: Mapping[str, Any]) -> dict[str, object]:
    systems = [item for item in part.get("systems", ()) if isinstance(item, dict)]
    names = list(dict.fromkeys(name for system in systems for name in _measures(system)))
    rows = [
        Row(
            family_kind(str(system.get("family", ""))),
            _label(system),
            tuple(_interval(_measures(system).get(name)) for name in names),
        )
        for system in systems
    ]
    gap = part.get("difference")
    if isinstance(gap, dict) and gap:
        cells = tuple(_interval(gap.get(name), sign=True) for name in names)
        rows.insert(0, Row("", "difference of the encoders", cells, "gap"))
    return {"heads": names, "rows": rows, "says": _says(part)}


def _measures(system: Mapping[str, Any]) -> Mapping[str, Any]:
    found = system.get("measures", {})
    return found if isinstance(found, dict) else {}


def _label(system: Mapping[str, Any]) -> str:
    system_id = str(system.get("id") or system.get("system_id") or system.get("system", ""))
    return str(system.get("label") or texts.SYSTEM_NAMES.get(system_id, system_id))


def _mean(value: Mapping[str, Any]) -> Any:  # noqa: ANN401  parsed JSON
    return value.get("mean", value.get("value", value.get("estimate")))


def _interval(value: Any, *, sign: bool = False) -> tuple[str, tuple[str, ...]]:  # noqa: ANN401  parsed JSON
    """Return a figure, and below it its interval and p, from parsed JSON."""
    shown = signed if sign else number
    if isinstance(value, int | float):
        return shown(float(value), 3), ()
    if not isinstance(value, dict):
        return DASH, ()
    mean = _mean(value)
    low, high = value.get("low"), value.get("high")
    if not isinstance(mean, int | float):
        return DASH, ()
    below: list[str] = []
    if value.get("withheld"):
        below.append(render("titled", text="no interval", title=value["withheld"]))
    if isinstance(low, int | float) and isinstance(high, int | float):
        below.append(f"[{shown(float(low), 3)}, {shown(float(high), 3)}]")
    p_value = value.get("p", value.get("p_value"))
    if isinstance(p_value, int | float):
        below.append(f"p {number(float(p_value), 3)}")
    return shown(float(mean), 3), tuple(below)


def _words(name: object) -> str:
    words = str(name) if name in texts.FIGURE_NAMES else str(name).replace("_", " ")
    return texts.FIGURE_NAMES.get(words, words)


def _columns(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the fields of records, ten at most, as they come."""
    return list(dict.fromkeys(key for item in items for key in item))[:10]


def _scalar(value: Any) -> str:  # noqa: ANN401  parsed JSON
    if isinstance(value, bool) or value is None:
        return "" if value is None else "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return number(value, 3 if abs(value) < 10 else 1)
    if isinstance(value, list):
        return ", ".join(_scalar(item) for item in value[:20])
    return str(value)
