"""What all tests of the store share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests end processes, not machines: what matters is the order of steps, not the platter."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
