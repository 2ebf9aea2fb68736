"""How far a download has come, told to a monitor."""

from __future__ import annotations

import time
from typing import Any

from tqdm.auto import tqdm  # type: ignore[import-untyped]

from core.encoders.fetch.sizes import size_words
from core.monitor import Monitor, Progress, raise_if_stopped

_SETTLED_SECONDS = 2.0  # before a speed means anything
_MINUTE = 60


class DownloadProgress:
    """Bytes of a whole checkpoint, told to a monitor."""

    def __init__(self, watcher: Monitor, label: str, total: int) -> None:
        self._watcher, self._label, self._total = watcher, label, total
        self._done = 0
        self._fetched = 0
        self._began = time.monotonic()

    def add(self, count: int, *, fetched: bool = True) -> None:
        """Report so many bytes more; those that were here already say nothing about speed."""
        self._done += count
        self._fetched += count if fetched else 0
        done = min(self._done, self._total)
        detail = f"{size_words(done)} of {size_words(self._total)}{self._speed(self._total - done)}"
        self._watcher.report(Progress(f"fetching {self._label}", done, self._total, detail))

    def _speed(self, left: int) -> str:
        seconds = time.monotonic() - self._began
        if seconds < _SETTLED_SECONDS or self._fetched <= 0 or left <= 0:
            return ""
        rate = self._fetched / seconds
        wait = left / rate
        words = f"{wait:.0f} s" if wait < _MINUTE else f"{wait / _MINUTE:.0f} min"
        return f", {rate / 1e6:.1f} MB/s, about {words} left"

    def raise_if_stopped(self) -> None:
        """Raise `StoppedError` when the user pressed Stop."""
        raise_if_stopped(self._watcher)

    def bar_class(self) -> Any:  # noqa: ANN401 (untyped library)
        """Return a progress bar class for huggingface_hub that prints nothing and reports here."""
        outer = self

        class MonitorBar(tqdm):  # type: ignore[misc]
            def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (tqdm's own)
                options["disable"] = True
                options.pop("name", None)
                super().__init__(*args, **options)

            def update(self, n: float | None = 1) -> bool | None:
                outer.add(int(n or 0))
                outer.raise_if_stopped()
                return None

        return MonitorBar
