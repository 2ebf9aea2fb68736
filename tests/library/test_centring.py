"""Mean-centring of raw language models: measured on the library, kept, named, refused elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.encoders.pool import EncoderPool
from core.encoders.registry import Registry
from core.encoders.spec import Pair, TextKind
from core.errors import InvalidSettingError, UnknownNameError
from core.experiments.fairness import fairness
from core.experiments.run import open_context
from core.library.ingest import SourceFile
from core.library.library import Library
from core.settings import ChunkingSettings, EncoderChoice, OutputType, WorkspaceSettings
from core.store.centre import CENTRE_PASSAGES, Centre, kept_centre, needs_measuring
from core.store.workspace import Workspace
from tests.encoders.tiny import WORDS, write_tiny_checkpoint
from tests.libraries import count_words

QUERY = "the old harbour"
SETTINGS = WorkspaceSettings(
    pair_id="tiny", chunking=ChunkingSettings(chunk_tokens=32, overlap_tokens=0)
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("checkpoints")
    raw = replace(write_tiny_checkpoint("diffugpt-m", folder / "raw"), raw=True, label="Raw")
    trained = replace(
        write_tiny_checkpoint("pplx-embed", folder / "trained"),
        label="Trained",
        matryoshka_dimensions=(8, 16),
        outputs=tuple(OutputType),
    )
    ids = {spec.encoder_id: spec for spec in (raw, trained)}
    pair = Pair("tiny", "Tiny", raw.encoder_id, trained.encoder_id, matched="", unmatched="")
    return Registry(ids, {"tiny": pair})


@pytest.fixture
def bench(tmp_path: Path, registry: Registry) -> Iterator[Library]:
    pool = EncoderPool(assets=tmp_path, registry=registry, device="cpu")
    pool._set_threads = lambda: None  # type: ignore[method-assign]  # other tests share torch
    made = Library(Workspace.open(tmp_path / "w"), pool=pool, count_tokens=count_words)
    made.workspace.put_settings(SETTINGS)
    yield made
    made.close()


def files(count: int, *, seed: int = 0) -> list[SourceFile]:
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.choice(WORDS, size=12)) + "." for _ in range(count)]
    return [SourceFile(f"{seed}-{n}.txt", data=text.encode()) for n, text in enumerate(texts)]


def centred(bench: Library) -> Any:
    raw, _ = bench.pool.registry.specs_of("tiny")
    bench.change_settings(bench.settings.with_choice(EncoderChoice(raw.encoder_id, centred=True)))
    return raw


def test_the_mean_of_the_library_is_subtracted_from_passages_and_queries(bench: Library) -> None:
    bench.add(files(20))
    raw = centred(bench)
    texts = [passage.text for passage in bench.passages()]
    plain = bench.pool.get(raw.encoder_id, max_tokens=bench.encoders.token_limit())
    states = plain.raw_embeddings(texts, kind=TextKind.PASSAGE)  # type: ignore[attr-defined]
    mean = states.mean(axis=0)
    wanted = states - mean
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    comparison = bench.ask(QUERY, k=5)
    column = comparison.column(raw.encoder_id)
    assert column.info.label == "Raw (mean-centred)"  # and so in every export
    assert comparison.column(bench.encoder_status()[1].system_id).info.label == "Trained"
    query = plain.raw_embeddings([QUERY], kind=TextKind.QUERY)[0] - mean  # type: ignore[attr-defined]
    scores = wanted @ (query / np.linalg.norm(query))
    order = np.argsort(-scores)[:5]
    passages = bench.passages()
    assert list(column.ranking.passage_ids[:5]) == [passages[i].passage_id for i in order]
    np.testing.assert_allclose(
        [hit.score for hit in column.ranking.hits[:5]], scores[order], atol=1e-4
    )
    # it opens the cone: the tiny model's texts are nearly parallel before
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    assert (wanted @ wanted.T).mean() < (unit @ unit.T).mean()


def test_adding_documents_moves_nothing_until_the_library_has_doubled(bench: Library) -> None:
    bench.add(files(20))
    raw = centred(bench)
    before = bench.encoders.get(raw.encoder_id).passage_fingerprint
    report = bench.add(files(5, seed=1))
    assert report.passages_embedded[raw.encoder_id] == 5
    assert bench.encoders.get(raw.encoder_id).passage_fingerprint == before
    report = bench.add(files(15, seed=2))  # 40: the mean of 20 stood on few passages
    assert report.passages_embedded[raw.encoder_id] == 40
    assert bench.encoders.get(raw.encoder_id).passage_fingerprint != before
    bench.change_settings(bench.settings.with_choice(EncoderChoice(raw.encoder_id)))
    assert bench.ask(QUERY, k=5).column(raw.encoder_id).info.label == "Raw"


def test_a_library_too_small_for_a_mean_says_so_in_the_column(bench: Library) -> None:
    raw = centred(bench)
    with pytest.raises(Exception, match="at least 8 passages"):
        bench.add(files(3))
    comparison = bench.ask(QUERY, k=5)
    assert "not measured yet" in comparison.column(raw.encoder_id).failure
    assert comparison.column(bench.encoder_status()[1].system_id).ranking.hits
    assert "at least 8" in bench.encoder_status()[0].problem
    bench.add(files(10, seed=4))
    assert not bench.ask(QUERY, k=5).column(raw.encoder_id).failure


def test_when_a_mean_is_measured() -> None:
    mean = np.zeros(4, np.float32)
    assert not needs_measuring(None, 7)
    assert needs_measuring(None, 8)
    assert not needs_measuring(Centre(mean, 20, 20), 39)
    assert needs_measuring(Centre(mean, 20, 20), 40)
    assert not needs_measuring(Centre(mean, CENTRE_PASSAGES, 1000), 10_000)


def test_a_mean_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "w") as workspace:
        for text in ("", "{}", '{"mean": "!", "passages": 1, "library_passages": 1}'):
            workspace.put_fact("centre:f", text)
            assert kept_centre(workspace, "f") is None


def test_choices_reach_the_vectors_the_name_and_the_fairness_panel(bench: Library) -> None:
    bench.add(files(20))
    _, trained = bench.pool.registry.specs_of("tiny")
    whole = bench.encoders.get(trained.encoder_id).passage_fingerprint
    choice = EncoderChoice(trained.encoder_id, output=OutputType.INT8, dimension=8)
    bench.change_settings(bench.settings.with_choice(choice))
    encoder = bench.encoders.get(trained.encoder_id)
    assert encoder.passage_fingerprint != whole
    assert bench.embeddings(encoder, bench.passages()).shape == (20, 8)
    comparison = bench.ask(QUERY, k=5)
    assert comparison.column(trained.encoder_id).info.label == "Trained (8 dimensions, int8)"
    made = open_context(bench)
    report = fairness(made, QUERY, [bench.passages()[0].passage_id])
    assert (report.a.options, report.b.options) == ("", "8 dimensions, int8")
    assert (report.a.dimension, report.b.dimension) == (32, 8)
    assert "Raw is as it is and Trained is 8 dimensions, int8" in report.flags[0]
    assert report.b.checkpoint == "local:trained"
    # back again: the old vectors are still there
    bench.change_settings(bench.settings.with_choice(EncoderChoice(trained.encoder_id)))
    assert bench.index().passages_embedded[trained.encoder_id] == 0


def test_what_an_encoder_does_not_offer_is_refused_and_not_kept(bench: Library) -> None:
    raw, trained = bench.pool.registry.specs_of("tiny")
    before = bench.settings
    for choice, says in (
        (EncoderChoice(trained.encoder_id, centred=True), "not mean-centred"),
        (EncoderChoice(raw.encoder_id, output=OutputType.BINARY), "no binary output"),
        (EncoderChoice(raw.encoder_id, dimension=8), "not trained for shorter"),
    ):
        with pytest.raises(InvalidSettingError, match=says):
            bench.change_settings(before.with_choice(choice))
    with pytest.raises(UnknownNameError):
        bench.change_settings(before.with_choice(EncoderChoice("nobody", centred=True)))
    assert bench.settings == before


def test_an_encoder_that_was_removed_leaves_the_library_usable(bench: Library) -> None:
    bench.add(files(20))
    raw, _ = bench.pool.registry.specs_of("tiny")
    extra = replace(raw, encoder_id="extra", label="Extra")
    bench.pool.register(extra)
    chosen = replace(bench.settings, also=("extra",))
    bench.change_settings(chosen.with_choice(EncoderChoice("extra", centred=True)))
    assert bench.ask(QUERY, k=5).column("extra").info.label == "Extra (mean-centred)"
    bench.pool.unregister("extra")
    assert "was removed" in bench.encoder_status()[-1].problem
    assert bench.ask(QUERY, k=5).columns
    bench.change_settings(replace(bench.settings, k=7))
    assert (bench.settings.also, bench.settings.choices) == ((), ())
