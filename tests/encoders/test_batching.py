"""Batches: every text once, little padding, halves when memory is short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.encoders import encoder
from core.encoders.encoder import plan_batches, run_batches
from core.errors import EncodingError, StoppedError
from tests.monitors import Watcher

if TYPE_CHECKING:
    from collections.abc import Sequence


@given(st.lists(st.integers(1, 300), max_size=80), st.integers(1, 500), st.booleans())
def test_every_text_once_and_no_batch_over_budget(
    lengths: list[int], budget: int, padded: bool
) -> None:
    batches = plan_batches(lengths, token_budget=budget, padded=padded)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = [lengths[position] for position in batch]
        cost = len(sizes) * max(sizes) if padded else sum(sizes)
        assert len(batch) == 1 or cost <= budget
    longest = [lengths[position] for batch in batches for position in batch]
    assert longest == sorted(lengths, reverse=True)


def test_a_plan_by_hand() -> None:
    # 10 tokens a batch: 8 alone; 4 and 4 share; 1 joins 3 at the cost of 3 when padded
    assert plan_batches([4, 1, 8, 4, 3], token_budget=10) == [[2], [0, 3], [4, 1]]
    assert plan_batches([], token_budget=10) == []


def test_a_full_memory_halves_this_batch_and_the_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[list[int]] = []
    freed = []

    def work(batch: Sequence[int]) -> None:
        if len(batch) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        done.append(list(batch))

    monkeypatch.setattr(encoder, "free_memory", lambda: freed.append(1))
    run_batches([[0, 1, 2, 3, 4], [5, 6, 7, 8]], work, stage="embedding")

    assert [position for batch in done for position in batch] == list(range(9))
    assert max(len(batch) for batch in done) == 2
    assert len(freed) == 1  # only the first batch had to fail


def test_one_text_too_large_is_an_error_and_other_errors_pass() -> None:
    def full(_batch: Sequence[int]) -> None:
        raise RuntimeError("MPS backend out of memory")

    with pytest.raises(EncodingError, match="One text alone"):
        run_batches([[0, 1]], full, stage="x")

    def broken(_batch: Sequence[int]) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        run_batches([[0]], broken, stage="x")


def test_progress_counts_texts_of_the_whole_job_and_stop_is_between_batches() -> None:
    watcher = Watcher()
    run_batches([[0, 1], [2]], lambda _: None, stage="s", monitor=watcher, done_before=4, total=9)
    assert [(p.done, p.total) for p in watcher.reports] == [(6, 9), (7, 9)]

    done: list[int] = []
    with pytest.raises(StoppedError):
        run_batches([[0], [1], [2]], done.extend, stage="s", monitor=Watcher(stop_after=1))
    assert done == [0]
