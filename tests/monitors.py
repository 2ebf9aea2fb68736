"""Who watches in tests: remembers what it is told, and presses Stop at a chosen moment."""

from __future__ import annotations

from typing_extensions import override

from core.monitor import Progress


class Watcher:
    """Remembers reports; presses Stop after so many of them."""

    def __init__(self, *, stop_after: int = 10**9) -> None:
        self.reports: list[Progress] = []
        self._stop_after = stop_after

    def report(self, progress: Progress) -> None:
        self.reports.append(progress)

    def stop_requested(self) -> bool:
        return len(self.reports) >= self._stop_after


class StopWhenDone(Watcher):
    """Presses Stop once so many steps are reported done."""

    def __init__(self, done: int) -> None:
        super().__init__()
        self._done = done

    @override
    def stop_requested(self) -> bool:
        return bool(self.reports) and self.reports[-1].done >= self._done


class StopWhenAsked(Watcher):
    """Presses Stop once it has been asked so many times whether to."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._calls = calls

    @override
    def stop_requested(self) -> bool:
        self._calls -= 1
        return self._calls < 0
