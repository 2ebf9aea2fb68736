"""Another query instruction costs nothing: passages keep their vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from core.encoders.fake import FakeEncoder, fake_spec
from core.library import Library, SourceFile
from core.store import Workspace


def test_a_changed_query_prompt_embeds_no_passage_anew(tmp_path: Path) -> None:
    plain = FakeEncoder(fake_spec())
    asked = FakeEncoder(replace(plain.spec, query_prompt="Find the law: "))
    chosen = {"encoder": plain}
    with Workspace.open(tmp_path / "w") as workspace:
        library = Library(
            workspace,
            encoders=lambda _encoder_id: chosen["encoder"],
            count_tokens=lambda texts: [len(text.split()) for text in texts],
        )
        name = plain.spec.encoder_id
        library.add_files([SourceFile("a.txt", data=b"Tides turn. Ice melts.")], encoder_ids=[name])
        chosen["encoder"] = asked
        report = library.embed_missing([name])
    assert plain.fingerprint != asked.fingerprint
    assert report.passages_embedded == {name: 0}
    assert report.passages_reused == {name: 1}
