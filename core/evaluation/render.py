"""An evaluation as a table for the terminal, and as JSON and TREC runs for other tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.comparison.export import to_trec_run
from core.errors import DatasetError
from core.evaluation.measures import ACCURACY, MEASURES
from core.evaluation.records import DimensionCost, Evaluation, Measured
from core.evaluation.significance import Difference, Interval, holm


def to_fields(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as plain values."""
    return {
        "dataset": evaluation.dataset,
        "unit": evaluation.unit.value,
        **part_fields(evaluation.whole),
        "seconds": round(evaluation.seconds, 3),
        "arms": None if evaluation.pair is None else list(evaluation.pair),
        "lengths": [{"length": part.length, **part_fields(part)} for part in evaluation.lengths],
        "cut_share": dict(evaluation.cut_share),
        "notes": list(evaluation.notes),
        "dimensions": [
            {
                "id": cost.system_id,
                "of": cost.of,
                "dimension": cost.dimension,
                "difference": _difference_fields(cost.difference),
            }
            for cost in evaluation.dimensions
        ],
    }


def part_fields(measured: Measured) -> dict[str, Any]:
    """Return one collection's figures as plain values."""
    return {
        "systems": _systems_fields(measured),
        "difference": _difference_fields(measured.difference),
        "holm": _holm_fields(measured.difference),
        "queries": measured.queries,
        "clusters": measured.independent,
        "passages": measured.passages,
    }


def to_text(evaluation: Evaluation) -> str:
    """Return an evaluation as a plain text table."""
    whole = evaluation.whole
    lines = [
        f"{evaluation.dataset}: {_counted(whole)}, {whole.passages:,} documents, "
        f"unit {evaluation.unit.value}, {evaluation.seconds:.1f} s",
        *(f"  {note}" for note in evaluation.notes),
        "",
        *_measured_lines(whole, evaluation.pair),
        *_dimension_lines(evaluation.dimensions),
    ]
    for part in evaluation.lengths:
        lines += [
            "",
            f"length {part.length:,}: {_counted(part)}, {part.passages:,} documents",
            *_measured_lines(part, evaluation.pair),
        ]
    lines += [
        "",
        *_withheld_lines([whole, *evaluation.lengths]),
        "[low, high]: 95 % studentised bootstrap interval over clusters of queries that share a "
        "relevant document. p: two-sided, from the same resamples; Holm: adjusted for the measures "
        "of the table.",
    ]
    return "\n".join(lines) + "\n"


def write_results(
    evaluation: Evaluation, *, json_path: Path | None = None, runs_folder: Path | None = None
) -> None:
    """Write an evaluation as JSON, and every system's run as ``<system id>.trec``, where asked.

    Raises:
        DatasetError: If a file cannot be written.
    """
    try:
        if json_path is not None:
            json_path.parent.mkdir(parents=True, exist_ok=True)
            fields = json.dumps(to_fields(evaluation), indent=2, allow_nan=False)
            json_path.write_text(fields + "\n", encoding="utf-8")
        if runs_folder is not None:
            runs_folder.mkdir(parents=True, exist_ok=True)
            for system in evaluation.whole.systems:
                name = system.system_id.replace("/", "_").replace("#", "_")
                run = to_trec_run(system.rankings, tag=system.system_id)
                (runs_folder / f"{name}.trec").write_text(run, encoding="utf-8")
    except OSError as exc:
        raise DatasetError(
            f"{exc.filename} cannot be written: {exc.strerror}. Choose another place."
        ) from exc


def _counted(measured: Measured) -> str:
    clusters = f" in {measured.independent:,} clusters"
    return f"{measured.queries:,} queries" + clusters * (measured.independent < measured.queries)


# -- parts ---------------------------------------------------------------------------------


def _interval_fields(interval: Interval) -> dict[str, Any]:
    fields: dict[str, Any] = {"value": interval.value, "low": interval.low, "high": interval.high}
    return fields | ({"withheld": interval.withheld} if interval.withheld else {})


def _systems_fields(measured: Measured) -> list[dict[str, Any]]:
    return [
        {
            "id": system.system_id,
            "family": system.family.value,
            "measures": {
                name: _interval_fields(interval) for name, interval in system.measures.items()
            },
        }
        for system in measured.systems
    ]


def _difference_fields(difference: Mapping[str, Difference]) -> dict[str, dict[str, Any]]:
    return {
        name: {**_interval_fields(one), "p_value": one.p_value} for name, one in difference.items()
    }


def _holm_fields(difference: Mapping[str, Difference]) -> dict[str, float]:
    return holm({name: one.p_value for name, one in difference.items()})


def _measured_lines(measured: Measured, pair: tuple[str, str] | None) -> list[str]:
    names = MEASURES if measured.length is None else (ACCURACY, *MEASURES)
    rows: list[tuple[str, ...]] = [("system", *names)]
    rows += [
        (system.system_id, *(interval_text(system.measures[name]) for name in names))
        for system in measured.systems
    ]
    if pair is not None and measured.difference:
        adjusted = _holm_fields(measured.difference)
        ordered = [measured.difference[name] for name in names]
        rows.append(("difference", *(interval_text(one, signed=True) for one in ordered)))
        rows.append(
            (
                "p (Holm)",
                *(
                    f"{one.p_value:.4f} ({adjusted[name]:.4f})"
                    for name, one in zip(names, ordered, strict=True)
                ),
            )
        )
    lines = table_lines(rows)
    if pair is not None and measured.difference:
        lines.append(f"difference: {pair[0]} minus {pair[1]}")
    return lines


def _withheld_lines(parts: Sequence[Measured]) -> list[str]:
    """Why an interval is withheld, each reason once."""
    reasons = dict.fromkeys(
        interval.withheld
        for part in parts
        for figures in (*(system.measures for system in part.systems), part.difference)
        for interval in figures.values()
        if interval.withheld
    )
    return [f"[withheld]: no interval, for {'; '.join(reasons)}."] if reasons else []


def _dimension_lines(costs: Sequence[DimensionCost]) -> list[str]:
    """Return each encoder's loss at shorter lengths against its full one."""
    if not costs:
        return []
    rows: list[tuple[str, ...]] = [("cut minus uncut", *MEASURES)]
    rows += [
        (cost.system_id, *(interval_text(cost.difference[name], signed=True) for name in MEASURES))
        for cost in costs
    ]
    return ["", *table_lines(rows)]


def interval_text(interval: Interval, *, signed: bool = False) -> str:
    """Return a mean with its interval, ``[withheld]`` where there is none."""
    form = "+.3f" if signed else ".3f"
    if interval.low is None:
        return f"{interval.value:{form}} [withheld]"
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def table_lines(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of cells as lines with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
