"""Units of a benchmark: whole documents, passages, and passages in the light of their document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.encoders.encoder import LoadedEncoder
from core.encoders.loading import load_folder
from core.encoders.spec import TextKind
from core.evaluation.evaluate import evaluate_beir
from core.evaluation.units import embed_units, in_document_light, units_of
from core.records import Unit
from core.store.workspace import Workspace
from tests.encoders.tiny import WORDS, write_tiny_checkpoint
from tests.evaluation.folders import fake_pair, write_folder


def prose(seed: int, sentences: int) -> str:
    words = np.random.default_rng(seed).choice(WORDS, size=(sentences, 12))
    return " ".join(" ".join(row) + "." for row in words)


SHARED = " ".join(["the sea"] * 6) + "."
DOCUMENTS = {
    "long": f"{SHARED} {prose(1, 60)}",
    "other": f"{prose(2, 40)} {SHARED} {prose(3, 20)}",
    "short": prose(4, 3),
    "void": "",
}


def costly(texts: Sequence[str]) -> list[int]:
    """A word costs 32 tokens, so that several passages fit the 48 tokens of the tiny encoder."""
    return [32 * len(text.split()) for text in texts]


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> LoadedEncoder:
    folder = tmp_path_factory.mktemp("late") / "pplx-embed"
    spec = replace(write_tiny_checkpoint("pplx-embed", folder), late_chunking=True)
    return load_folder(spec, folder)


def test_passages_lie_in_their_documents_and_leave_nothing_out() -> None:
    units = units_of(DOCUMENTS, Unit.PASSAGE)
    assert not units.one_to_one
    for text, start, place in zip(units.texts, units.starts, units.owner, strict=True):
        assert units.documents[place][start : start + len(text)] == text
    for place, whole in enumerate(units.documents):
        joined = " ".join(t for t, o in zip(units.texts, units.owner, strict=True) if o == place)
        assert joined.split() == whole.split()
    uncut = units_of(DOCUMENTS, Unit.DOCUMENT)
    assert uncut.one_to_one
    assert uncut.texts == tuple(DOCUMENTS.values())


def test_an_encoder_for_late_chunking_reads_each_document_once(
    tmp_path: Path, late: LoadedEncoder
) -> None:
    units = units_of(DOCUMENTS, Unit.PASSAGE, count_tokens=costly)
    found = embed_units(late, units, workspace=None)
    wanted = []
    for place, whole in enumerate(units.documents):
        spans = [
            (int(start), int(start) + len(text))
            for text, start, owner in zip(units.texts, units.starts, units.owner, strict=True)
            if owner == place
        ]
        wanted.append(
            late.encode_spans(whole, spans) if whole else late.encode([""], kind=TextKind.PASSAGE)
        )
    np.testing.assert_allclose(found, np.concatenate(wanted), atol=1e-6)
    alone = late.encode(units.texts, kind=TextKind.PASSAGE)
    assert np.abs(alone - found).max() > 0.01
    # the same from a workspace, and from one that has the vectors already
    workspace = Workspace.open(tmp_path)
    for _ in range(2):
        kept = embed_units(late, units, workspace=workspace)
        np.testing.assert_allclose(kept, found, atol=1e-5)
    workspace.close()


def test_equal_passages_of_two_documents_have_each_its_own_vector(late: LoadedEncoder) -> None:
    wholes = {"a": DOCUMENTS["long"], "b": f"{' '.join(['wind'] * 15)} {DOCUMENTS['long']}"}
    units = units_of(wholes, Unit.PASSAGE, count_tokens=costly)
    twice = [
        (i, j)
        for i, one in enumerate(units.texts)
        for j, other in enumerate(units.texts)
        if i < j and one == other and units.owner[i] != units.owner[j]
    ]
    assert twice
    found = embed_units(late, units, workspace=None)
    assert max(np.abs(found[i] - found[j]).max() for i, j in twice) > 1e-4


def test_the_evaluation_says_who_read_in_the_documents_light(
    tmp_path: Path, late: LoadedEncoder
) -> None:
    folder = write_folder(
        tmp_path,
        documents={name: ("", text) for name, text in DOCUMENTS.items() if text},
        queries={"q": "the sea"},
        qrels={"q": {"long": 1}},
    )
    (plain, _) = fake_pair()
    notes = evaluate_beir(folder, (late, plain), unit=Unit.PASSAGE, count_tokens=costly).notes
    said = [note for note in notes if "late chunking" in note]
    assert said == [
        f"{late.spec.label} embedded each passage in the light of its document (late chunking)."
    ]
    assert not in_document_light(late, units_of(DOCUMENTS, Unit.DOCUMENT))
    whole = evaluate_beir(folder, (late, plain), unit=Unit.DOCUMENT)
    assert not any("late chunking" in note for note in whole.notes)
