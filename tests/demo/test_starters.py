"""Questions to begin with."""

from __future__ import annotations

from types import SimpleNamespace

from core.records import Document, Passage
from demo.starters import drafted


def test_questions_to_begin_with_come_from_all_documents() -> None:
    # 900 passages of which the rules can make nothing stand before the few they can read
    text = "A sluice gate is a barrier that slides in grooves. " * 4
    passages = [
        *(Passage(f"d1:{at:08d}", "d1", 0, 9, "\u2200x \u2208 X.", 1, 1) for at in range(900)),
        *(Passage(f"d2:{at:08d}", "d2", 0, len(text), text, 1, 1) for at in range(90)),
    ]
    documents = {
        name: Document(name, name, name, "text/plain", body, (), 1)
        for name, body in (("d1", "\u2200x \u2208 X."), ("d2", text))
    }
    found = drafted(SimpleNamespace(document=documents.__getitem__), passages)  # type: ignore[arg-type]  # all it reads
    assert [one.text for one in found] == ["What is a sluice gate?"]
