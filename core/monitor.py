"""Progress out, Stop in: how long work talks to its caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from core.errors import StoppedError


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work is.

    Attributes:
        stage: What is being done, in words for the user ("reading", "embedding (diffusion)").
        done: Units finished.
        total: Units in all; 0 when not known.
        detail: What is in hand right now (a file name, say).
    """

    stage: str
    done: int
    total: int
    detail: str = ""


class Monitor(Protocol):
    """Interface that long work calls at every step."""

    def report(self, progress: Progress) -> None:
        """Tell how far the work is."""
        ...

    def stop_requested(self) -> bool:
        """Whether the user pressed Stop."""
        ...


class SilentMonitor:
    """Monitor without an observer; it never stops."""

    def report(self, progress: Progress) -> None:
        """Do nothing."""

    def stop_requested(self) -> bool:
        """Return False."""
        return False


def raise_if_stopped(monitor: Monitor) -> None:
    """Raise `StoppedError` when the user pressed Stop."""
    if monitor.stop_requested():
        msg = "Stopped. What was finished before is kept; start again to go on from there."
        raise StoppedError(msg)
