"""Memory and time: what an encoder needs against what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.encoders import machine
from core.encoders.machine import expected_seconds, memory_needed, memory_present

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from core.encoders.spec import EncoderSpec


def test_memory_is_the_containers_where_that_is_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: EncoderSpec
) -> None:
    limit, used = tmp_path / "max", tmp_path / "current"
    limit.write_text("1000\n")
    used.write_text("400\n")
    monkeypatch.setattr(machine, "_CGROUP_LIMIT", limit)
    monkeypatch.setattr(machine, "_CGROUP_USED", used)
    assert memory_present("cpu") == 600
    limit.write_text("max\n")
    assert memory_present("cpu") > 600
    assert memory_needed(spec, "cuda:0") < memory_needed(spec, "cpu")


def test_time_grows_with_the_encoder() -> None:
    small, large = expected_seconds(10**7, "cpu"), expected_seconds(10**9, "cpu")
    assert large > 10 * small > 0
