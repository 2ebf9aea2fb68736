"""A commit that was taken once stays, whatever the hub's "main" does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.encoders.pins import Pins
from core.errors import EncoderLoadError
from tests.encoders.fake import fake_spec

FIRST, LATER = "a" * 40, "b" * 40
UNPINNED = replace(fake_spec(), checkpoint="owner/model", revision="main")


def test_the_first_commit_is_written_down_and_stays(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "new" / "pins.json")
    assert pins.applied(UNPINNED) is UNPINNED
    first = pins.pinned(UNPINNED, lambda: FIRST)
    assert first.revision == FIRST
    assert first.revision_origin.startswith("the hub's when first fetched, 20")
    # main has moved since; nobody asks it
    again = Pins(pins.path).pinned(UNPINNED, lambda: pytest.fail("the hub was asked again"))
    assert again == first == Pins(pins.path).applied(UNPINNED)


def test_it_moves_only_when_its_user_says_so(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins.json")
    pins.pinned(UNPINNED, lambda: FIRST)
    pins.move("owner/model", LATER)
    assert pins.applied(UNPINNED).revision == LATER


def test_a_commit_that_another_process_wrote_meanwhile_stands(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins.json")

    def slow() -> str:
        Pins(pins.path).pinned(UNPINNED, lambda: FIRST)
        return LATER

    assert pins.pinned(UNPINNED, slow).revision == FIRST


@pytest.mark.parametrize(
    "spec",
    [
        replace(UNPINNED, revision=LATER),
        replace(UNPINNED, checkpoint="bundled:pair"),
        replace(UNPINNED, checkpoint="local:/models/x"),
    ],
    ids=["stated", "bundled", "local"],
)
def test_what_needs_no_pin_gets_none(spec: object, tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins.json")
    assert pins.pinned(spec, lambda: FIRST) is spec  # type: ignore[arg-type]
    assert not pins.path.exists()


def test_what_is_no_commit_is_refused(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins.json")
    with pytest.raises(EncoderLoadError, match="'main' as the commit of owner/model"):
        pins.pinned(UNPINNED, lambda: "main")
    assert not pins.path.exists()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"owner/model": {}}', json.dumps({"owner/model": {"revision": "x", "since": ""}})],
)
def test_a_damaged_account_is_told_and_not_guessed_around(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pins.json"
    path.write_text(text)
    with pytest.raises(EncoderLoadError, match=r"pins\.json is damaged .* delete it"):
        Pins(path).applied(UNPINNED)
    assert path.read_text() == text
