"""Where tests find data that the repository does not carry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_data() -> Path:
    """Return the folder of shared data, or skip the test and say why."""
    named = os.environ.get("BIFOCAL_SHARED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"shared data not found at {folder} (set BIFOCAL_SHARED_DATA)")
    return folder
