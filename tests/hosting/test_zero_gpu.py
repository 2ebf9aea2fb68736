"""Encoders whose network runs in lent GPU calls: same vectors, honest durations, honest refusals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.encoders import zero_gpu
from core.encoders.encoder import EncoderOptions, LoadedEncoder
from core.encoders.loading import load_folder
from core.encoders.spec import TextKind
from core.encoders.zero_gpu import GpuAbortedError, GpuTask, estimate_seconds, host_error, parts
from core.errors import (
    EncoderLoadError,
    EncodingError,
    GpuQuotaError,
    StoppedError,
    WeightsMismatchError,
)
from tests.encoders.checkpoints import TEXTS, Checkpoint, write_checkpoint
from tests.hosting.stand_in_spaces import HostError, StandInSpaces
from tests.monitors import Watcher

PASSAGE, QUERY = TextKind.PASSAGE, TextKind.QUERY
Refuse = Callable[[int, int], Exception | None]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    torch.set_num_threads(1)
    return write_checkpoint("qwen3-embedding", tmp_path_factory.mktemp("zero") / "checkpoint")


@pytest.fixture(scope="module")
def plain(checkpoint: Checkpoint) -> LoadedEncoder:
    return load_folder(checkpoint.spec, checkpoint.folder)


@pytest.fixture(autouse=True)
def _fresh_worker() -> Iterator[None]:
    zero_gpu._on_gpu.clear()
    yield
    zero_gpu._on_gpu.clear()


def lent(checkpoint: Checkpoint, host: StandInSpaces, *, small: int = 0) -> LoadedEncoder:
    """The checkpoint as an `EncoderPool` would load it on a host (which runs on the CPU here)."""
    load = zero_gpu.loader(host.GPU, device="cpu", small_parameters=small)
    return load(checkpoint.spec, assets=Path("assets"), device="auto")


def test_vectors_equal_those_of_the_encoder_at_home(
    checkpoint: Checkpoint, plain: LoadedEncoder
) -> None:
    host = StandInSpaces()
    away = lent(checkpoint, host)
    for kind in TextKind:
        np.testing.assert_allclose(
            away.encode(TEXTS, kind=kind), plain.encode(TEXTS, kind=kind), atol=1e-5
        )
    assert away.fingerprint == plain.fingerprint  # the same type on both sides here
    assert away.received(TEXTS, kind=QUERY) == plain.received(TEXTS, kind=QUERY)
    assert all(isinstance(found, np.ndarray) for found in host.received)


def test_traces_and_late_chunking_go_the_same_way(
    checkpoint: Checkpoint, plain: LoadedEncoder
) -> None:
    away = lent(checkpoint, StandInSpaces())
    for one, other in zip(
        away.trace(TEXTS, kind=PASSAGE), plain.trace(TEXTS, kind=PASSAGE), strict=True
    ):
        np.testing.assert_allclose(one.states, other.states, atol=1e-5)
        assert one.tokens == other.tokens
    text = " ".join(TEXTS)
    spans = [(0, 27), (28, 60)]
    np.testing.assert_allclose(
        away.encode_spans(text, spans), plain.encode_spans(text, spans), atol=1e-5
    )


def test_options_cross_the_border_and_change_the_fingerprint(
    checkpoint: Checkpoint, plain: LoadedEncoder
) -> None:
    options = EncoderOptions(max_tokens=16, query_instruction="find the captain", dimension=8)
    away = lent(checkpoint, StandInSpaces()).with_options(options)
    home = plain.with_options(options)
    np.testing.assert_allclose(
        away.encode(TEXTS, kind=QUERY), home.encode(TEXTS, kind=QUERY), atol=1e-5
    )
    assert away.fingerprint == home.fingerprint != plain.fingerprint


def test_another_compute_type_on_the_gpu_is_another_fingerprint(checkpoint: Checkpoint) -> None:
    load = zero_gpu.loader(StandInSpaces().GPU, small_parameters=0)  # cuda: bfloat16
    away = load(checkpoint.spec, assets=Path("assets"))
    home = load_folder(checkpoint.spec, checkpoint.folder)
    assert away.device == "cuda:0"
    assert away.fingerprint != home.fingerprint
    assert away.passage_fingerprint not in {home.passage_fingerprint, away.fingerprint}


def test_weights_move_once_however_many_calls(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = []
    moved = LoadedEncoder.moved

    def counted(self: LoadedEncoder, device: str, dtype: torch.dtype) -> LoadedEncoder:
        moves.append(device)
        return moved(self, "cpu", torch.float32)  # there is no GPU to go to

    monkeypatch.setattr(LoadedEncoder, "moved", counted)
    load = zero_gpu.loader(StandInSpaces().GPU, device="cuda:0", small_parameters=0)
    away = load(checkpoint.spec, assets=Path("assets"))
    for _ in range(3):
        away.encode(TEXTS[:2], kind=PASSAGE)
    away.with_options(EncoderOptions(max_tokens=8)).encode(TEXTS[:2], kind=PASSAGE)
    assert moves == ["cuda:0"]


def test_moving_needs_a_whole_network(checkpoint: Checkpoint) -> None:
    whole = load_folder(checkpoint.spec, checkpoint.folder, packed=False)
    there = whole.moved("cpu", torch.float64)  # another type stands for another device
    assert there.backbone.dtype is torch.float64
    with pytest.raises(EncoderLoadError, match="taken apart"):
        load_folder(checkpoint.spec, checkpoint.folder).moved("cpu", torch.float32)


@pytest.mark.slow
def test_a_spawned_worker_loads_by_itself(checkpoint: Checkpoint, plain: LoadedEncoder) -> None:
    # Spawned, not forked: it inherits no weights, as a worker that began before they were loaded.
    host = StandInSpaces(spawn=True)
    try:
        found = lent(checkpoint, host).encode(TEXTS, kind=PASSAGE)
    finally:
        host.close()
    np.testing.assert_allclose(found, plain.encode(TEXTS, kind=PASSAGE), atol=1e-5)
    assert max(host.sent_bytes) < 20_000  # texts and a spec, no weights


def test_errors_of_ours_come_back_as_what_they_are(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(task: GpuTask) -> LoadedEncoder:
        raise WeightsMismatchError(f"{task.spec.label}: the hash differs. Fetch it again.")

    away = lent(checkpoint, StandInSpaces())
    monkeypatch.setattr(zero_gpu, "_moved", broken)
    with pytest.raises(WeightsMismatchError, match="the hash differs"):
        away.encode(["a"], kind=PASSAGE)


def test_small_encoders_need_no_gpu(checkpoint: Checkpoint) -> None:
    host = StandInSpaces()
    home = lent(checkpoint, host, small=10**9)
    home.encode(TEXTS, kind=PASSAGE)
    assert (type(home), home.device, host.durations) == (LoadedEncoder, "cpu", [])


# -- durations and parts -----------------------------------------------------------------------


def test_seconds_follow_tokens_and_size(checkpoint: Checkpoint) -> None:
    small = replace(checkpoint.spec, parameters=600_000_000)
    large = replace(checkpoint.spec, parameters=7_000_000_000)
    # 0.6B: 6 s start, 2.4 GB at 2 GB/s is 1.2 s, 100,000 tokens x 1.2e9 / 2e13 is 6 s: 13.2 -> 14
    assert estimate_seconds(small, tokens=100_000, texts=1) == 14
    assert estimate_seconds(small, tokens=10) == 10  # never less: a GPU call has its own overhead
    assert estimate_seconds(large, tokens=10_000) > estimate_seconds(small, tokens=10_000)


def test_parts_cover_everything_in_order_and_stay_below_the_aim(checkpoint: Checkpoint) -> None:
    spec = replace(checkpoint.spec, parameters=7_000_000_000)
    lengths = [4000] * 30
    ranges = parts(spec, lengths)
    assert [start for start, _ in ranges[1:]] == [end for _, end in ranges[:-1]]
    assert (ranges[0][0], ranges[-1][1]) == (0, 30)
    assert len(ranges) > 1
    for start, end in ranges:
        tokens = sum(lengths[start:end])
        assert estimate_seconds(spec, tokens=tokens, texts=end - start) <= 40
    assert parts(spec, []) == []
    assert parts(spec, [10**9]) == [(0, 1)]  # one text alone is asked for, whatever it costs


def test_the_duration_asked_for_is_the_estimate_of_the_call(checkpoint: Checkpoint) -> None:
    host = StandInSpaces()
    lent(checkpoint, host).encode(TEXTS, kind=PASSAGE)
    assert host.durations == [10]


def test_progress_is_kept_between_calls_and_stop_is_heeded(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        zero_gpu, "parts", lambda _spec, lengths: [(i, i + 1) for i in range(len(lengths))]
    )
    host = StandInSpaces()
    away = lent(checkpoint, host)
    watcher = Watcher(stop_after=3)
    with pytest.raises(StoppedError):
        away.encode(TEXTS, kind=PASSAGE, monitor=watcher)
    assert [(report.done, report.total) for report in watcher.reports] == [(1, 8), (2, 8), (3, 8)]
    assert len(host.durations) == 3


# -- refusals ----------------------------------------------------------------------------------

OUT = "You have exceeded your free ZeroGPU quota (60s requested vs. 3s left). Try again in 1:02:03."


def refuses(call: int, error: Exception) -> Refuse:
    return lambda number, _seconds: error if number == call else None


def test_no_quota_left_is_a_sentence_with_what_to_do(checkpoint: Checkpoint) -> None:
    host = StandInSpaces(refuses(1, HostError("ZeroGPU quota exceeded", OUT)))
    with pytest.raises(GpuQuotaError) as told:
        lent(checkpoint, host).encode(TEXTS, kind=PASSAGE)
    assert "3s left" in str(told.value)
    assert "bundled pair, which needs no GPU" in str(told.value)


@pytest.mark.parametrize(
    ("title", "message", "kind", "said"),
    [
        (
            "ZeroGPU quota exceeded",
            "Space app has reached its GPU limit. x",
            GpuQuotaError,
            "GPU limit",
        ),
        (
            "ZeroGPU pending credits exceeded",
            "Too many credits allocated",
            GpuQuotaError,
            "Too many",
        ),
        ("ZeroGPU illegal duration", "The requested GPU duration (90s)", GpuQuotaError, "90s"),
        (
            "ZeroGPU queue timeout",
            'No GPU was available <a href="x">Sign up</a>',
            GpuQuotaError,
            "No GPU is free",
        ),
        ("ZeroGPU worker error", "GPU task aborted", GpuAbortedError, "before it was done"),
        ("ZeroGPU worker error", "RuntimeError", EncodingError, "failed on the GPU"),
    ],
)
def test_what_the_host_says_is_told_in_our_words(
    title: str, message: str, kind: type[Exception], said: str
) -> None:
    error = host_error(HostError(title, message), "An encoder")
    assert type(error) is kind
    assert said in str(error)
    assert "<a" not in str(error)


def test_an_aborted_call_is_tried_again_in_halves(
    checkpoint: Checkpoint, plain: LoadedEncoder
) -> None:
    host = StandInSpaces(refuses(1, HostError("ZeroGPU worker error", "GPU task aborted")))
    found = lent(checkpoint, host).encode(TEXTS, kind=PASSAGE)
    assert len(host.durations) == 3  # all eight in vain, then four and four
    np.testing.assert_allclose(found, plain.encode(TEXTS, kind=PASSAGE), atol=1e-5)


def test_a_single_text_that_is_aborted_is_an_error(checkpoint: Checkpoint) -> None:
    def always(_call: int, _seconds: int) -> Exception:
        return HostError("ZeroGPU worker error", "GPU task aborted")

    with pytest.raises(GpuAbortedError, match="start again"):
        lent(checkpoint, StandInSpaces(always)).encode(["one"], kind=PASSAGE)


# -- the real package --------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="the package is for Linux hosts")
def test_the_real_decorator_changes_nothing_away_from_its_host(
    checkpoint: Checkpoint, plain: LoadedEncoder
) -> None:
    spaces = pytest.importorskip("spaces", reason="the extra package of Hugging Face's hosts")
    load = zero_gpu.loader(spaces.GPU, device="cpu", small_parameters=0)
    away = load(checkpoint.spec, assets=Path("assets"), device="auto")
    np.testing.assert_allclose(
        away.encode(TEXTS, kind=PASSAGE), plain.encode(TEXTS, kind=PASSAGE), atol=1e-5
    )
