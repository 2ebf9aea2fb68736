"""Only what is missing is embedded, and little is lost when it stops half-way."""

from __future__ import annotations

import numpy as np
import pytest

from core.encoders.spec import TextKind
from core.errors import EncodingError, StoppedError
from core.monitor import Progress
from core.store import embedding
from core.store.embedding import EmbeddingCounts, embed_texts
from tests.library.conftest import StoppingMonitor, Tiny

TEXTS = [f"{'abcdefghij'[i % 10]} text {i}" for i in range(100)]


def test_only_what_is_missing_is_embedded(tiny: Tiny) -> None:
    assert embed_texts(tiny.workspace, tiny.d, ["a", "b", "a"]) == EmbeddingCounts(3, 0)
    assert tiny.d.encoded == ["a", "b"]  # the repeat once
    assert embed_texts(tiny.workspace, tiny.d, ["c", "b"]) == EmbeddingCounts(1, 1)
    assert tiny.d.encoded == ["a", "b", "c"]
    expected = tiny.d.encode(["b"], kind=TextKind.PASSAGE)
    assert np.array_equal(tiny.workspace.vectors(tiny.d.passage_fingerprint, ["b"]), expected)


def test_another_encoder_has_vectors_of_its_own(tiny: Tiny) -> None:
    embed_texts(tiny.workspace, tiny.d, ["a"])
    assert embed_texts(tiny.workspace, tiny.a, ["a"]) == EmbeddingCounts(1, 0)


def test_queries_are_kept_under_the_whole_fingerprint(tiny: Tiny) -> None:
    embed_texts(tiny.workspace, tiny.d, ["a"], kind=TextKind.QUERY)
    assert tiny.workspace.vector_count(tiny.d.fingerprint) == 1
    assert tiny.workspace.vector_count(tiny.d.passage_fingerprint) == 0


def test_stop_keeps_the_blocks_that_were_finished(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "FIRST_BLOCK_TEXTS", 10)
    monkeypatch.setattr(embedding, "MAX_BLOCK_TEXTS", 10)
    stop_at_35 = StoppingMonitor(lambda progress: progress.done >= 35)
    with pytest.raises(StoppedError, match="start again to go on"):
        embed_texts(tiny.workspace, tiny.d, TEXTS, monitor=stop_at_35)
    assert tiny.workspace.vector_count(tiny.d.passage_fingerprint) == 30  # three whole blocks
    assert embed_texts(tiny.workspace, tiny.d, TEXTS) == EmbeddingCounts(70, 30)


def test_a_failing_block_keeps_the_ones_before(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "FIRST_BLOCK_TEXTS", 8)
    monkeypatch.setattr(embedding, "MAX_BLOCK_TEXTS", 8)
    tiny.d.fails_on = "text 20"
    with pytest.raises(EncodingError):
        embed_texts(tiny.workspace, tiny.d, TEXTS)
    assert tiny.workspace.vector_count(tiny.d.passage_fingerprint) == 16


def test_progress_counts_towards_the_whole_job(tiny: Tiny) -> None:
    monitor = StoppingMonitor()
    embed_texts(tiny.workspace, tiny.d, TEXTS, monitor=monitor, done_before=50, total=200)
    done = [progress.done for progress in monitor.seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (50, 150)
    assert {progress.total for progress in monitor.seen} == {200}
    assert monitor.seen[0] == Progress("embedding (Tiny-D)", 50, 200)


def test_blocks_grow_towards_one_save_every_few_seconds(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    append = tiny.workspace.append

    def recording(*arguments: object, **options: object) -> int:
        sizes.append(len(arguments[2]))  # type: ignore[arg-type]
        return append(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tiny.workspace, "append", recording)
    embed_texts(tiny.workspace, tiny.d, [f"text {i}" for i in range(32 + 128 + 512 + 5)])
    assert sizes == [32, 128, 512, 5]  # a quick encoder: four times as many each time


def test_nothing_to_embed_is_ordinary(tiny: Tiny) -> None:
    assert embed_texts(tiny.workspace, tiny.d, []) == EmbeddingCounts(0, 0)
