"""How many CPU threads the backbones use."""

from __future__ import annotations

import psutil
import torch


def set_threads(threads: int) -> int:
    """Set torch's threads; 0 takes every physical core this process may use. Returns the number."""
    if threads < 1:
        physical = psutil.cpu_count(logical=False) or 1
        try:
            usable = len(psutil.Process().cpu_affinity())
        except (AttributeError, psutil.Error):  # not offered on macOS
            usable = physical
        threads = max(1, min(physical, usable))
    torch.set_num_threads(threads)
    return threads
