"""JSON of a hundred thousand brackets, wherever JSON is read: a sentence, and no overflow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.comparison.records import from_json
from core.encoders.architectures import read_json
from core.encoders.pins import Pins
from core.errors import CoreError
from core.settings import WorkspaceSettings
from core.store.records import settings_from_json
from core.store.workspace import Workspace

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "read",
    [
        lambda _: settings_from_json(DEEP),
        lambda _: from_json(DEEP),
        read_json,
        lambda path: Pins(path).get("x"),
    ],
    ids=["settings", "comparison", "checkpoint", "pins"],
)
def test_brackets_without_end_are_no_json(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    path = tmp_path / "deep.json"
    path.write_text(DEEP)
    with pytest.raises(CoreError):
        read(path)


def test_a_workspace_whose_settings_are_brackets_opens_with_the_usual_ones(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "w") as store:
        store.put_fact("settings", DEEP)
        assert store.settings() == WorkspaceSettings()
