"""What `spaces.GPU` does on a ZeroGPU host, without the host: pickle there, run, pickle back.

The first kind runs in a thread of this process, the second in a worker process that is spawned, so
that it inherits nothing. Both refuse what cannot be pickled, both call ``duration`` with the
arguments of the function, and both report trouble as the real one does: the page toolkit's error
with a title, never ours.
"""

from __future__ import annotations

import io
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import torch
from typing_extensions import override


class HostError(Exception):
    """Shaped like the page toolkit's error, which the real package raises."""

    def __init__(self, title: str, message: str) -> None:
        super().__init__(message)
        self.title = title
        self.message = message


class StandInSpaces:
    """A host that lends a GPU for a call.

    Args:
        refuse: Told every call's number (from 1) and seconds; what it returns is raised.
        spawn: Run in a spawned process instead of a thread.
    """

    def __init__(
        self,
        refuse: Callable[[int, int], Exception | None] = lambda _call, _seconds: None,
        *,
        spawn: bool = False,
    ) -> None:
        self.durations: list[int] = []
        self.sent_bytes: list[int] = []
        self.received: list[object] = []
        self._refuse = refuse
        self._spawn = spawn
        self._worker: ProcessPoolExecutor | ThreadPoolExecutor | None = None

    def GPU(self, *, duration: Callable[..., int]) -> Callable[[Any], Any]:  # noqa: N802 (its name)
        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                self.durations.append(duration(*args))
                error = self._refuse(len(self.durations), self.durations[-1])
                if error is not None:
                    raise error
                sent = pickle.dumps(args)
                self.sent_bytes.append(len(sent))
                answer = self._ready().submit(_work, function, sent).result()
                found = pickle.loads(answer)  # noqa: S301  our own worker's
                self.received.append(found)
                return found

            return call

        return decorate

    def close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown()

    def _ready(self) -> ProcessPoolExecutor | ThreadPoolExecutor:
        if self._worker is None:
            context = multiprocessing.get_context("spawn")
            self._worker = (
                ProcessPoolExecutor(1, mp_context=context) if self._spawn else ThreadPoolExecutor(1)
            )
        return self._worker


def _work(function: Callable[..., Any], sent: bytes) -> bytes:
    found = function(*pickle.loads(sent))  # noqa: S301  our own server's
    return _NumpyOnly.dumps(found)


class _NumpyOnly(pickle.Pickler):
    """Refuses tensors: on the real host one would initialise CUDA in the server process."""

    @staticmethod
    def dumps(value: object) -> bytes:
        buffer = io.BytesIO()
        _NumpyOnly(buffer).dump(value)
        return buffer.getvalue()

    @override
    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, torch.Tensor):
            raise pickle.PicklingError("a tensor crossed the process border")
        return NotImplemented
