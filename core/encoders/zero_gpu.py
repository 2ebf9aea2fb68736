"""Encoders on a ZeroGPU Space, where a GPU is lent to one function call at a time.

The server process keeps the weights in main memory and never touches CUDA. Everything that runs the
network is one call of `run_task`, which the ``spaces`` package runs in a worker process that has a
GPU. A worker forked after an encoder was loaded inherits its weights; a worker that lacks it reads
them from disk. Either way they move to the GPU once and stay there as long as the worker does. What
crosses the border is a frozen `GpuTask` on the way in and NumPy arrays on the way out.

Small encoders stay on the CPU: they need no GPU, and a visitor's daily quota is minutes.

Only `app.py` imports this, and only on such a Space, after ``spaces`` (which must come before torch).
"""

from __future__ import annotations

import hashlib
import math
import re
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from core.encoders import loading
from core.encoders.encoder import EncoderOptions, LoadedEncoder
from core.encoders.spec import Attention, EncoderSpec, TextKind, TokenTrace
from core.errors import CoreError, EncodingError, GpuQuotaError
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped

GPU_DEVICE = "cuda:0"
SMALL_PARAMETERS = 200_000_000
CALL_SECONDS = 40.0  # aimed at per call: under the host's default of 60, and Stop is heeded between
LEAST_SECONDS = 10
# Deliberately low figures: too short an estimate ends the call half-way, too long a one only asks
# for a little more of the quota than is used.
_START_SECONDS = 6.0
_BYTES_PER_SECOND = 2e9  # main memory to GPU
_OPERATIONS_PER_SECOND = 2e13  # a tenth of what such a GPU reaches in bfloat16
_SECONDS_PER_TEXT = 0.002
_BYTES_PER_PARAMETER = 4  # float32 in main memory
_GPU_ENCODERS_KEPT = 2
_TAG = re.compile(r"<[^<>]*>")
_QUOTA_WORDS = ("quota", "credits", "gpu limit", "illegal duration", "runs limit")
_BUSY_WORDS = ("no gpu", "queue timeout", "client error")
_ABORTED = "aborted"


@dataclass(frozen=True, slots=True, eq=False)
class GpuTask:
    """One piece of work for a GPU: everything a worker needs, and nothing that cannot be pickled."""

    spec: EncoderSpec  # which encoder
    assets: Path  # bifocal's assets folder
    cache_dir: Path | None  # where hub checkpoints are kept; None for huggingface_hub's own rule
    device: str  # where the worker runs it
    options: EncoderOptions  # what the user changed about the encoder
    verb: str  # name of a `LoadedEncoder` method
    arguments: dict[str, Any]  # its keyword arguments
    tokens: int  # how many go through the network
    texts: int  # how many texts they belong to


# NDArray, tuple of TokenTrace, or an error of ours: raised, ``spaces`` would pass on its class name only
GpuResult = Any

# What this process has in main memory (inherited by workers forked from it), and what it has on a
# GPU (workers only). Encoders, never anything of a visitor's.
_in_memory: weakref.WeakValueDictionary[EncoderSpec, LoadedEncoder] = weakref.WeakValueDictionary()
_on_gpu: OrderedDict[tuple[EncoderSpec, str], LoadedEncoder] = OrderedDict()


def estimate_seconds(spec: EncoderSpec, *, tokens: int, texts: int = 1) -> int:
    """Return how many seconds of GPU to ask for: start, weights, then two operations a weight."""
    weights = spec.parameters * _BYTES_PER_PARAMETER / _BYTES_PER_SECOND
    work = 2.0 * spec.parameters * tokens / _OPERATIONS_PER_SECOND
    return max(
        LEAST_SECONDS, math.ceil(_START_SECONDS + weights + work + texts * _SECONDS_PER_TEXT)
    )


def run_task(task: GpuTask) -> GpuResult:
    """Do one task with the GPU at hand. In a worker process; decorated by `loader`."""
    try:
        encoder = _moved(task).with_options(task.options)
        return getattr(encoder, task.verb)(**task.arguments)
    except CoreError as error:
        return error


def loader(
    gpu: Callable[..., Callable[[Callable[[GpuTask], GpuResult]], Callable[[GpuTask], GpuResult]]],
    *,
    device: str = GPU_DEVICE,
    small_parameters: int = SMALL_PARAMETERS,
) -> Callable[..., LoadedEncoder]:
    """Loader of an `EncoderPool` on a ZeroGPU Space.

    Call it before the page is launched: the host looks for decorated functions then. ``gpu`` is
    ``spaces.GPU``, which changes nothing without a ZeroGPU host around it.
    """
    call = gpu(duration=_seconds)(run_task)

    def load(
        spec: EncoderSpec,
        *,
        assets: Path,
        device: str = GPU_DEVICE,  # noqa: ARG001  the pool's; here the worker's is what counts
        cache_dir: Path | None = None,
        offline: bool = False,
        monitor: Monitor | None = None,
    ) -> LoadedEncoder:
        small = spec.parameters < small_parameters
        inner = loading.load_encoder(
            spec,
            assets=assets,
            device="cpu",  # torch claims to have CUDA on such a host, in this process it has not
            cache_dir=cache_dir,
            offline=offline,
            packed=small,
            monitor=monitor,
        )
        if small:
            return inner
        _in_memory[spec] = inner
        return ZeroGpuEncoder(
            **{name.name: getattr(inner, name.name) for name in fields(inner)},
            inner=inner,
            call=call,
            assets=assets,
            cache_dir=cache_dir,
            gpu_device=worker_device,
        )

    worker_device = device
    return load


@dataclass(frozen=True, eq=False, kw_only=True)
class ZeroGpuEncoder(LoadedEncoder):
    """An encoder whose network runs in GPU calls; everything else happens in this process."""

    inner: LoadedEncoder  # the same on the CPU, its network whole; keeps it in `_in_memory`
    call: Callable[[GpuTask], GpuResult]  # `run_task`, decorated
    assets: Path  # bifocal's assets folder
    cache_dir: Path | None  # where hub checkpoints are kept
    gpu_device: str  # where workers run it

    @property
    @override
    def device(self) -> str:
        """Where the network runs."""
        return self.gpu_device

    @override
    def raw_embeddings(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        """Pooled and projected states, ``(n, readout dimension)``; one GPU call after another."""
        found = self._in_parts(texts, kind, "raw_embeddings", {}, monitor)
        return np.concatenate([np.empty((0, self.readout.dimension), np.float32), *found])

    @override
    def trace(
        self, texts: Sequence[str], *, kind: TextKind, attention: Attention | None = None
    ) -> tuple[TokenTrace, ...]:
        """Follow texts token by token."""
        found = self._in_parts(texts, kind, "trace", {"attention": attention}, None)
        return tuple(trace for part in found for trace in part)

    @override
    def encode_spans(
        self, text: str, spans: Sequence[tuple[int, int]], *, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        """Embed character ranges of one text in its light, in one GPU call."""
        raise_if_stopped(monitor or SilentMonitor())
        tokens = len(text)  # a window may be read twice; characters are enough for all
        found: NDArray[np.float32] = self._ask(
            "encode_spans", {"text": text, "spans": list(spans)}, tokens=tokens, texts=len(spans)
        )
        return found

    @override
    def _digest(self, prompts: list[str]) -> str:
        own = super()._digest(prompts)
        there, here = loading.compute_dtype(self.gpu_device), self.backbone.dtype
        if there == here:
            return own
        return hashlib.sha256(f"{own}:{there}".encode()).hexdigest()

    def _in_parts(
        self,
        texts: Sequence[str],
        kind: TextKind,
        verb: str,
        arguments: dict[str, Any],
        monitor: Monitor | None,
    ) -> list[Any]:
        """Call the GPU for a part of the texts at a time, in order; halve a part that is cut short."""
        watcher = monitor or SilentMonitor()
        lengths = [len(text.ids) for text in self._tokenise(texts, kind)]
        waiting = parts(self.spec, lengths)
        results = []
        while waiting:
            raise_if_stopped(watcher)
            start, end = waiting.pop(0)
            try:
                result = self._ask(
                    verb,
                    {"texts": list(texts[start:end]), "kind": kind, **arguments},
                    tokens=sum(lengths[start:end]),
                    texts=end - start,
                )
            except GpuAbortedError:
                if end - start == 1:
                    raise
                middle = (start + end) // 2
                waiting[:0] = [(start, middle), (middle, end)]
                continue
            results.append(result)
            watcher.report(Progress(f"embedding ({self.spec.label})", end, len(texts)))
        return results

    def _ask(self, verb: str, arguments: dict[str, Any], *, tokens: int, texts: int) -> Any:  # noqa: ANN401  what the verb returns
        task = GpuTask(
            spec=self.spec,
            assets=self.assets,
            cache_dir=self.cache_dir,
            device=self.gpu_device,
            options=self.options,
            verb=verb,
            arguments=arguments,
            tokens=tokens,
            texts=texts,
        )
        try:
            found = self.call(task)
        except CoreError:
            raise
        except Exception as exc:
            # The host reports with the page toolkit's own error class, which core does not know.
            raise host_error(exc, self.spec.label) from exc
        if isinstance(found, CoreError):
            raise found
        return found


class GpuAbortedError(EncodingError):
    """The host ended a call before it was done, most likely because its time was over."""


def parts(spec: EncoderSpec, lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Cut texts into runs, half-open ranges, whose estimate stays below `CALL_SECONDS`."""
    found: list[tuple[int, int]] = []
    start = tokens = 0
    for position, length in enumerate(lengths):
        count = position - start
        if count and (
            estimate_seconds(spec, tokens=tokens + length, texts=count + 1) > CALL_SECONDS
        ):
            found.append((start, position))
            start, tokens = position, 0
        tokens += length
    if lengths:
        found.append((start, len(lengths)))
    return found


def host_error(error: Exception, label: str) -> CoreError:
    """Sentence for a visitor when the host refuses or ends a GPU call."""
    title = str(getattr(error, "title", ""))
    said = _TAG.sub("", str(getattr(error, "message", "") or error)).strip()
    both = f"{title} {said}".lower()
    if any(word in both for word in _QUOTA_WORDS):
        return GpuQuotaError(
            f"No GPU time is left for you here right now. The host says: {said.rstrip('.')}. What "
            "was embedded is kept. Try again later, sign in to Hugging Face for a larger quota, "
            "choose the bundled pair, which needs no GPU, or run Bifocal on your own machine."
        )
    if any(word in both for word in _BUSY_WORDS):
        return GpuQuotaError(
            f"No GPU is free right now. The host says: {said.rstrip('.')}. What was embedded is "
            "kept; try again in a few minutes, or choose the bundled pair, which needs no GPU."
        )
    if _ABORTED in both:
        return GpuAbortedError(
            f"The host ended a GPU call of {label} before it was done. What was embedded is kept; "
            "start again to go on from there."
        )
    return EncodingError(
        f"{label} failed on the GPU ({title or type(error).__name__}: {said}). Try again; if it "
        "happens again, choose another pair and report it."
    )


def _seconds(task: GpuTask) -> int:
    """The decorator's ``duration``: called with the function's arguments."""
    return estimate_seconds(task.spec, tokens=task.tokens, texts=task.texts)


def _moved(task: GpuTask) -> LoadedEncoder:
    """Return a task's encoder where this process runs it, moved there the first time only."""
    key = (task.spec, task.device)
    if key in _on_gpu:
        _on_gpu.move_to_end(key)
        return _on_gpu[key]
    held = _in_memory.get(task.spec)
    if held is None:  # loaded by the server after this worker had begun
        encoder = loading.load_encoder(
            task.spec,
            assets=task.assets,
            device=task.device,
            cache_dir=task.cache_dir,
            offline=True,
            packed=False,
        )
    elif held.device == task.device:
        encoder = held
    else:
        encoder = held.moved(task.device, loading.compute_dtype(task.device))
    _on_gpu[key] = encoder
    while len(_on_gpu) > _GPU_ENCODERS_KEPT:
        _on_gpu.popitem(last=False)
    return encoder
