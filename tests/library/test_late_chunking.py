"""Passages embedded in their document's light: against an independent pass, and window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from core.encoders.encoder import EncoderOptions, LoadedEncoder
from core.encoders.loading import load_folder
from core.encoders.spec import Attention, Pooling, TextKind
from core.errors import StoppedError
from core.library.ingest import SourceFile
from core.library.library import Library
from core.monitor import Progress
from core.records import Family, Passage, SystemInfo
from core.settings import ChunkingSettings, WorkspaceSettings
from core.store.embedding import embed_in_context
from core.store.workspace import Workspace
from tests.encoders.tiny import WORDS, tiny_model, write_tiny_checkpoint
from tests.library.tiny import BM25, make_library

LIMIT = 48  # tokens of the tiny encoder; one word of `WORDS` is one token
CHUNKING = ChunkingSettings(chunk_tokens=32, overlap_tokens=0)


def sentence(seed: int, words: int) -> str:
    chosen = np.random.default_rng(seed).choice(WORDS, size=words)
    return " ".join(chosen) + "."


SHORT = " ".join(sentence(seed, 9) for seed in range(4))  # 40 tokens with the full stops: one pass
LONG = " ".join(sentence(seed, 15) for seed in range(10, 22))  # 192 tokens: several windows
SHARED = sentence(99, 20)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("late") / "pplx-embed"
    write_tiny_checkpoint("pplx-embed", folder)
    return folder


@pytest.fixture
def encoder(checkpoint: Path) -> LoadedEncoder:
    spec = replace(
        write_tiny_checkpoint("pplx-embed", checkpoint), late_chunking=True, encoder_id="late"
    )
    return load_folder(spec, checkpoint)


def library_of(folder: Path, *encoders: LoadedEncoder) -> Library:
    workspace = Workspace.open(folder)
    workspace.put_settings(WorkspaceSettings(chunking=CHUNKING))
    return make_library(workspace, *encoders)


def filled(folder: Path, encoder: LoadedEncoder, **texts: str) -> Library:
    library = library_of(folder, encoder)
    files = [SourceFile(f"{name}.txt", data=text.encode()) for name, text in texts.items()]
    report = library.add(files)
    assert not report.skipped
    return library


def one_pass(checkpoint: Path, text: str, spans: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """The definition, by the stock class alone: one forward, then the mean over a span's tokens."""
    encoding = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).encode(text)
    ids = encoding.ids[:LIMIT]
    mask = torch.zeros(1, 1, len(ids), len(ids))  # nothing is hidden
    with torch.inference_mode():
        states = tiny_model("pplx-embed")(input_ids=torch.tensor([ids]), attention_mask=mask)[0][0]
    rows = []
    for start, end in spans:
        inside = [a < end and b > start for a, b in encoding.offsets[:LIMIT]]
        row = states[torch.tensor(inside)].mean(dim=0).numpy()
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, dtype=np.float32)


def vectors(library: Library, encoder: LoadedEncoder) -> NDArray[np.float32]:
    return library.embeddings(encoder, library.passages())


def test_a_library_stores_the_mean_of_a_passages_tokens_in_the_whole_document(
    tmp_path: Path, checkpoint: Path, encoder: LoadedEncoder
) -> None:
    library = filled(tmp_path, encoder, short=SHORT)
    passages = library.passages()
    assert len(passages) > 1
    text = library.document(passages[0].doc_id).text
    wanted = one_pass(checkpoint, text, [(p.start, p.end) for p in passages])
    np.testing.assert_allclose(vectors(library, encoder), wanted, atol=1e-5)
    # alone each passage reads otherwise: the test above would notice
    alone = encoder.encode([p.text for p in passages], kind=TextKind.PASSAGE)
    assert np.abs(alone - wanted).max() > 0.01


def test_a_document_beyond_the_limit_is_read_in_windows_that_begin_at_passages(
    tmp_path: Path, checkpoint: Path, encoder: LoadedEncoder
) -> None:
    library = filled(tmp_path, encoder, long=LONG)
    passages = library.passages()
    text = library.document(passages[0].doc_id).text
    windows = encoder.span_windows(text, [(p.start, p.end) for p in passages])
    assert len(windows) > 2
    assert sorted(place for _, inside in windows for place in inside) == list(range(len(passages)))
    wanted = np.empty((len(passages), 32), dtype=np.float32)
    for begin, inside in windows:
        assert begin in {0, passages[inside[0]].start}
        spans = [(passages[p].start - begin, passages[p].end - begin) for p in inside]
        wanted[list(inside)] = one_pass(checkpoint, text[begin:], spans)
    np.testing.assert_allclose(vectors(library, encoder), wanted, atol=1e-5)


def test_the_same_words_in_two_documents_have_two_vectors_and_are_forgotten_apart(
    tmp_path: Path, encoder: LoadedEncoder
) -> None:
    first, second = sentence(5, 20), sentence(6, 20)
    library = filled(tmp_path, encoder, a=f"{first}\n\n{SHARED}", b=f"{second}\n\n{SHARED}")
    same = [place for place, p in enumerate(library.passages()) if p.text.strip() == SHARED]
    assert len(same) == 2
    rows = vectors(library, encoder)
    assert np.abs(rows[same[0]] - rows[same[1]]).max() > 1e-3
    kept = library.passages()[same[1]]
    count = library.workspace.vector_count(encoder.passage_fingerprint)
    library.remove(library.passages()[same[0]].doc_id)
    left = library.passages()
    assert library.workspace.vector_count(encoder.passage_fingerprint) == len(left) < count
    place = [p.passage_id for p in left].index(kept.passage_id)
    np.testing.assert_array_equal(vectors(library, encoder)[place], rows[same[1]])


def test_a_search_ranks_by_them(tmp_path: Path, encoder: LoadedEncoder) -> None:
    library = filled(tmp_path, encoder, short=SHORT, long=LONG)
    info = SystemInfo("late", Family.DIFFUSION, "Late")
    view = library.view([info, BM25])
    assert view.waiting == 0
    query = encoder.encode(["the old harbour"], kind=TextKind.QUERY)[0]
    order = np.argsort(-(vectors(library, encoder) @ query), kind="stable")
    from core.records import Query

    answer = view.searcher.search(Query("q", "the old harbour"), k=5)["late"]
    found = [hit.passage_id for hit in answer.ranking.hits]
    assert found == [library.passages()[place].passage_id for place in order[:5]]


class StopAfterAWindow:
    """Presses Stop once something was embedded."""

    def __init__(self) -> None:
        self.done = 0

    def report(self, progress: Progress) -> None:
        self.done = max(self.done, progress.done)

    def stop_requested(self) -> bool:
        return self.done > 0


def test_stop_keeps_finished_windows_and_goes_on_with_the_same_vectors(
    tmp_path: Path, encoder: LoadedEncoder
) -> None:
    whole = filled(tmp_path / "whole", encoder, long=LONG)
    library = library_of(tmp_path / "stopped", encoder)
    library.add([SourceFile("long.txt", data=LONG.encode())], embed=False)
    passages: tuple[Passage, ...] = library.passages()
    with pytest.raises(StoppedError):
        embed_in_context(
            library.workspace,
            encoder,
            library.document(passages[0].doc_id),
            passages,
            chunking=CHUNKING.key,
            monitor=StopAfterAWindow(),
        )
    kept = library.workspace.vector_count(encoder.passage_fingerprint)
    assert 0 < kept < len(passages)
    report = library.index()
    assert report.passages_embedded["late"] == len(passages) - kept
    assert report.passages_reused["late"] == kept
    np.testing.assert_allclose(vectors(library, encoder), vectors(whole, encoder), atol=1e-6)
    assert library.index().passages_embedded["late"] == 0


def test_late_chunking_is_part_of_the_fingerprint(checkpoint: Path, encoder: LoadedEncoder) -> None:
    plain = load_folder(replace(encoder.spec, late_chunking=False), checkpoint)
    assert plain.passage_fingerprint != encoder.passage_fingerprint
    assert encoder.with_options(EncoderOptions(max_tokens=24)).span_windows(LONG, [(0, 5)])


def test_an_encoder_that_pools_the_last_token_takes_the_passages_last_token(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "qwen"
    spec = write_tiny_checkpoint("qwen3-embedding", folder)
    assert (spec.pooling, spec.attention) == (Pooling.LAST_TOKEN, Attention.CAUSAL)
    late = load_folder(replace(spec, late_chunking=True, encoder_id="late"), folder)
    library = filled(tmp_path / "w", late, short=SHORT)
    passages = library.passages()
    text = library.document(passages[0].doc_id).text
    (trace,) = late.trace([text], kind=TextKind.PASSAGE)
    for passage, row in zip(passages, vectors(library, late), strict=True):
        inside = (trace.offsets[:, 0] < passage.end) & (trace.offsets[:, 1] > passage.start)
        last = trace.states[np.flatnonzero(inside)[-1]]
        np.testing.assert_allclose(row, last / np.linalg.norm(last), atol=1e-5)
