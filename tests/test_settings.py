"""Settings refuse what cannot work and name the field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import InvalidSettingError
from core.records import Unit
from core.settings import ChunkingSettings, ExtractionLimits, WorkspaceSettings
from core.store.records import settings_from_json, settings_to_json


def test_equal_chunkings_have_equal_keys() -> None:
    assert ChunkingSettings(chunk_tokens=200, overlap_tokens=20).key == "passage-200-20"
    # Whole documents are not cut, so budget and overlap do not tell two of them apart.
    assert ChunkingSettings(unit=Unit.DOCUMENT, chunk_tokens=99).key == "document"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"k": 4}, "k is 4"),
        ({"k": 51}, "k is 51"),
        ({"max_tokens": 8}, "max_tokens is 8"),
        ({"query_instruction": "x" * 2001}, "query instruction"),
        ({"also": ("a", "a")}, "further encoders"),
        ({"also": ("a", "b", "c", "d", "e")}, "at most 4"),
    ],
    ids=["shallow", "deep", "short limit", "long instruction", "twice", "too many"],
)
def test_a_bad_workspace_setting_is_named(change: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidSettingError, match=named):
        WorkspaceSettings(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("overlap", [-1, 81])
def test_overlap_is_at_most_half_a_passage(overlap: int) -> None:
    with pytest.raises(InvalidSettingError, match="overlap_tokens"):
        ChunkingSettings(chunk_tokens=160, overlap_tokens=overlap)


def test_limits_are_positive() -> None:
    with pytest.raises(InvalidSettingError, match="pages is 0"):
        ExtractionLimits(pages=0)


def test_settings_survive_their_json() -> None:
    settings = replace(
        WorkspaceSettings(),
        k=7,
        also=("e5-small", "gte-small"),
        chunking=ChunkingSettings(unit=Unit.DOCUMENT),
    )
    assert settings_from_json(settings_to_json(settings)) == settings
