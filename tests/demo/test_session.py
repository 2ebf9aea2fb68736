"""The server's memory of visitors is bounded, and nobody fills another one's share of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import UnknownNameError
from demo import session
from demo.session import Sessions, take_in


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    monkeypatch.setattr(session, "COMPARISONS_KEPT", 3)
    monkeypatch.setattr(session, "PENDING_FILES_KEPT", 2)
    return Sessions(None)  # type: ignore[arg-type]  # no visitor is looked up


def test_a_visitor_who_asks_much_loses_their_own_oldest_answers(sessions: Sessions) -> None:
    answer: Any = object()
    anna = sessions.show("anna", "l", answer, {})
    bert = [sessions.show("bert", "l", answer, {}) for _ in range(5)]
    assert sessions.shown("anna", anna).comparison is answer
    assert sessions.shown("bert", bert[4]).comparison is answer
    for token in bert[:3]:
        with pytest.raises(UnknownNameError, match="no longer in memory"):
            sessions.shown("bert", token)


def test_a_visitor_whose_files_wait_loses_their_own_first(
    sessions: Sessions, tmp_path: Path
) -> None:
    (tmp_path / "a.pdf").write_bytes(b"a")
    own = [take_in(tmp_path / "a.pdf") for _ in range(4)]
    anna = sessions.hold("anna", "l", "a.pdf", own[0])
    for path in own[1:]:
        sessions.hold("bert", "l", "a.pdf", path)
    assert sessions.waiting("anna", anna).path == own[0]
    assert [file.path for file in sessions.held("bert", "l").values()] == [own[3]]
    assert [path.exists() for path in own] == [True, False, False, True]
