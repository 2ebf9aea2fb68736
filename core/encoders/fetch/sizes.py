"""Numbers of bytes in words."""

from __future__ import annotations

GIBIBYTE = 1024**3


def gibibytes(count: int) -> str:
    """Return ``9.5 GiB``."""
    return f"{count / GIBIBYTE:.1f} GiB"


def size_words(count: int) -> str:
    """Return ``9.5 GiB``, or ``120 MiB`` where that reads better."""
    return gibibytes(count) if count >= GIBIBYTE else f"{count / 1024**2:.0f} MiB"
