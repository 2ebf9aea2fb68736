"""Batches of texts of like length; one that does not fit in memory is retried in halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.errors import EncodingError
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped


def plan_batches(
    lengths: Sequence[int], *, token_budget: int, padded: bool = True
) -> list[list[int]]:
    """Group texts of like length, longest first, so that next to nothing is padding.

    Longest first, because a batch that does not fit in memory should show at the start.

    Args:
        lengths: Tokens of each text.
        token_budget: Most tokens of a batch; a longer text gets a batch of its own.
        padded: Whether a text costs as much as the longest beside it.

    Returns:
        Positions into ``lengths``; each occurs once.
    """
    order = sorted(range(len(lengths)), key=lambda position: (-lengths[position], position))
    batches: list[list[int]] = []
    cost = 0
    longest = 0
    for position in order:
        length = lengths[position]
        added = longest if padded and batches else length
        if not batches or cost + added > token_budget:
            batches.append([])
            cost, longest = 0, length
            added = length
        batches[-1].append(position)
        cost += added
    return batches


def run_batches(
    batches: Sequence[Sequence[int]],
    work: Callable[[Sequence[int]], None],
    *,
    stage: str,
    monitor: Monitor | None = None,
    done_before: int = 0,
    total: int = 0,
    is_out_of_memory: Callable[[BaseException], bool] = lambda _: False,
    free_memory: Callable[[], None] = lambda: None,
) -> None:
    """Run every batch, report after each, stop when asked, halve batches that exceed memory.

    Args:
        batches: Positions of texts.
        work: Does one batch.
        stage: What it is called in progress reports; their unit is texts.
        monitor: Watches, and may stop it.
        done_before: Texts of a larger job that were finished before this call.
        total: Texts of the larger job; 0 means just these.
        is_out_of_memory: Tells a device's out-of-memory error from others.
        free_memory: Called after such an error.

    Raises:
        EncodingError: If one text alone does not fit.
        StoppedError: If the monitor asks to stop.
    """
    watcher = monitor or SilentMonitor()
    total = total or sum(len(batch) for batch in batches)
    waiting = [list(batch) for batch in reversed(batches)]
    most = max((len(batch) for batch in batches), default=0)
    done = done_before
    while waiting:
        raise_if_stopped(watcher)
        batch = waiting.pop()
        if len(batch) > most:
            waiting.extend(_halves(batch))
            continue
        failed = False
        try:
            work(batch)
        except RuntimeError as error:  # both CUDA's and MPS's are RuntimeErrors
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise EncodingError(
                    "One text alone does not fit in the device's memory. Lower the encoder's "
                    "token limit, choose a smaller encoder, or run on the CPU."
                ) from error
            failed = True
        # outside the except block, where the error no longer keeps the batch's tensors alive
        if failed:
            free_memory()
            most = max(1, len(batch) // 2)
            waiting.extend(_halves(batch))
            continue
        done += len(batch)
        watcher.report(Progress(stage, done, total))


def _halves(batch: list[int]) -> list[list[int]]:
    middle = (len(batch) + 1) // 2
    return [batch[middle:], batch[:middle]]
