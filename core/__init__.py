"""Bifocal's core: documents in, two encoders side by side, where their rankings part.

Nothing here knows the page (``demo``); every step takes values and returns values. Notebooks and
scripts begin with `open_library`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.script import open_library

__all__ = ["__version__", "open_library"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the language has it
    """Import the door of scripts when it is first asked for: the page does without it."""
    if name == "open_library":
        return import_module("core.script").open_library
    raise AttributeError(f"module 'core' has no attribute {name!r}")
