"""Needs of an encoder against this machine: memory, disk and speed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import psutil
import torch

from core.encoders.spec import EncoderSpec
from core.errors import EncoderTooLargeError

GIBIBYTE = 1024**3
WORKING_BYTES = GIBIBYTE // 2
# While loading, one tensor in the file's type and one layer's fused copy lie beside the weights;
# the rest is activations and what Python and torch themselves take.
_LOADING_SHARE = 1.12
_PASSAGE_TOKENS = 160
_PASSAGES = 1000
_SUSTAINED_SHARE = 0.6  # of the matrix-product peak, over a whole forward pass
_PROBE_SIZE = 1024
_PROBE_SECONDS = 0.2
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CGROUP_USED = Path("/sys/fs/cgroup/memory.current")


def memory_needed(spec: EncoderSpec, device: str) -> int:
    """Bytes that an encoder needs while it loads and runs: 4 a weight on CPU, 2 on CUDA."""
    size = 2 if device.startswith("cuda") else 4
    return int(spec.parameters * size * _LOADING_SHARE) + WORKING_BYTES


def memory_present(device: str) -> int:
    """Bytes free on a device, and within the container's own limit where there is one."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
        used = _CGROUP_USED.read_text(encoding="ascii").strip()
        if limit.isdigit():
            free = min(free, int(limit) - int(used))
    except (OSError, ValueError):
        pass  # no such container: the machine's own figure stands
    return max(free, 0)


def require_memory(spec: EncoderSpec, device: str) -> None:
    """Refuse an encoder that does not fit.

    Raises:
        EncoderTooLargeError: With both figures.
    """
    refusal = memory_refusal(spec, memory_needed(spec, device), memory_present(device), device)
    if refusal:
        raise EncoderTooLargeError(refusal)


def memory_refusal(spec: EncoderSpec, needed: int, present: int, device: str) -> str:
    """Say why an encoder does not fit; "" when it does."""
    if needed <= present:
        return ""
    return (
        f"{spec.label} needs about {gibibytes(needed)} of memory on {device} and "
        f"{gibibytes(present)} is free. Close other programs, choose a smaller pair, or run on a "
        "larger machine."
    )


def disk_present(place: Path) -> int:
    """Bytes free on the disk of a folder, which need not be there yet."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def expected_seconds(
    parameters: int, device: str, *, passages: int = _PASSAGES, tokens: int = _PASSAGE_TOKENS
) -> float:
    """Expect an embedding time from a matrix product timed here and now (0.2 s).

    Two floating-point operations a weight and token, at the share of the peak that whole forward
    passes reach; attention, a few percent at this length, is left out.
    """
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    left = torch.randn(_PROBE_SIZE, _PROBE_SIZE, device=device, dtype=dtype)
    products = 0
    torch.matmul(left, left)
    _finish(device)
    start = time.perf_counter()
    while time.perf_counter() - start < _PROBE_SECONDS:
        torch.matmul(left, left)
        _finish(device)
        products += 1
    operations = 2 * _PROBE_SIZE**3 * products / (time.perf_counter() - start)
    return 2 * parameters * passages * tokens / (operations * _SUSTAINED_SHARE)


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def gibibytes(count: int) -> str:
    """Return ``9.5 GiB``."""
    return f"{count / GIBIBYTE:.1f} GiB"


def size_words(count: int) -> str:
    """Return ``9.5 GiB``, or ``120 MiB`` where that reads better."""
    return gibibytes(count) if count >= GIBIBYTE else f"{count / 1024**2:.0f} MiB"
