"""Options that several commands share: one name, one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="Folder of the workspace; made when missing.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
PairOption = Annotated[str, typer.Option("--pair", help="Which two encoders; see `pairs`.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Never ask a model hub.")]
DepthOption = Annotated[int, typer.Option("-k", help="Depth, 5 to 50.")]
EncoderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder-option",
        help="As in ID:output=int8,dimension=256 or ID:centred; ID:default undoes it. Kept.",
    ),
]
QueriesOption = Annotated[
    Path | None,
    typer.Option("--run-queries", help="Texts of a run's queries: BEIR's jsonl, or id, tab, text."),
]
