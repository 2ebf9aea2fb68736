"""Encoders in memory: loaded once, late, shared; failures told and tried again."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from core.encoders.encoder import LoadedEncoder
from core.encoders.pool import LOADED_AT_ONCE, EncoderPool, LoadState
from core.encoders.registry import Registry
from core.encoders.spec import EncoderSpec, TextKind
from core.errors import EncoderLoadError, EncoderUnavailableError, UnknownNameError
from tests.encoders.fake import fake_spec
from tests.libraries import AUTOREGRESSIVE, DIFFUSION, Loader, make_pool

A, B = DIFFUSION.encoder_id, AUTOREGRESSIVE.encoder_id


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    load = Loader()
    pool = make_pool(load)
    assert pool.state(A) == (LoadState.NOT_LOADED, "")
    first = pool.get(A)
    assert pool.get(A) is first
    assert load.loaded == [A]
    assert pool.state(A) == (LoadState.READY, "")
    assert pool.state(B) == (LoadState.NOT_LOADED, "")


def test_many_threads_wait_for_one_load() -> None:
    begun, go_on = threading.Event(), threading.Event()
    inner = Loader()

    def slow(spec: EncoderSpec, **options: Any) -> LoadedEncoder:
        begun.set()
        assert go_on.wait(20)
        return inner(spec, **options)

    pool = make_pool(slow)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(pool.get(A))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(20)
    assert pool.state(A)[0] is LoadState.LOADING
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert inner.loaded == [A]
    assert len({id(encoder) for encoder in found}) == 1
    assert len(found) == 8


def test_a_failure_is_told_and_tried_again() -> None:
    load = Loader({A: EncoderUnavailableError("The hub cannot be reached.")})
    pool = make_pool(load)
    with pytest.raises(EncoderUnavailableError):
        pool.get(A)
    assert pool.state(A) == (LoadState.FAILED, "The hub cannot be reached.")
    load.failing.clear()
    pool.get(A)
    assert pool.state(A) == (LoadState.READY, "")
    assert load.loaded == [A, A]


def test_what_nobody_expected_becomes_a_sentence() -> None:
    pool = make_pool(Loader({A: RuntimeError("CUDA driver says no")}))
    with pytest.raises(EncoderLoadError, match="RuntimeError: CUDA driver says no"):
        pool.get(A)
    assert "could not be loaded" in pool.state(A)[1]


def test_variants_share_one_load_and_are_kept() -> None:
    load = Loader()
    pool = make_pool(load)
    whole, cut = pool.get(A), pool.get(A, max_tokens=4)
    assert load.loaded == [A]
    assert pool.get(A, max_tokens=4) is cut
    text = ["one two three four five six"]
    assert whole.received(text, kind=TextKind.PASSAGE)[0].tokens_kept == 6
    assert cut.received(text, kind=TextKind.PASSAGE)[0].tokens_kept == 4


def test_limits_and_instructions_that_change_nothing_are_no_variant() -> None:
    pool = make_pool()
    whole = pool.get(A)
    assert pool.get(A, max_tokens=DIFFUSION.max_tokens) is whole
    assert pool.get(A, max_tokens=10**6) is whole
    assert pool.get(A, query_instruction=DIFFUSION.default_instruction) is whole


def test_encoders_unused_for_longest_go_first() -> None:
    specs = [fake_spec(encoder_id=f"e{number}") for number in range(LOADED_AT_ONCE + 1)]
    load = Loader()
    known = Registry({spec.encoder_id: spec for spec in specs}, {})
    pool = EncoderPool(assets=Path("nowhere"), registry=known, load=load)
    pool._set_threads = lambda: None  # type: ignore[method-assign]
    for spec in specs[:LOADED_AT_ONCE]:
        pool.get(spec.encoder_id)
    pool.get("e0", max_tokens=4)  # used again: e1 is the oldest now
    pool.get(specs[-1].encoder_id)
    assert pool.state("e1")[0] is LoadState.NOT_LOADED
    assert pool.state("e0")[0] is LoadState.READY
    pool.get("e1")
    assert load.loaded.count("e1") == 2


def test_using_a_variant_keeps_its_encoder() -> None:
    specs = [fake_spec(encoder_id=f"e{number}") for number in range(LOADED_AT_ONCE + 1)]
    known = Registry({spec.encoder_id: spec for spec in specs}, {})
    pool = EncoderPool(assets=Path("nowhere"), registry=known, load=Loader())
    pool._set_threads = lambda: None  # type: ignore[method-assign]
    for spec in specs[:LOADED_AT_ONCE]:
        pool.get(spec.encoder_id, max_tokens=8)
    pool.get("e0", max_tokens=8)
    pool.get(specs[-1].encoder_id)
    assert pool.state("e0")[0] is LoadState.READY


def test_warming_goes_past_failures() -> None:
    pool = make_pool(Loader({A: EncoderUnavailableError("No hub.")}))
    pool.warm([A, B]).join(30)
    assert pool.state(A) == (LoadState.FAILED, "No hub.")
    assert pool.state(B) == (LoadState.READY, "")


def test_unknown_encoders_are_named() -> None:
    with pytest.raises(UnknownNameError, match="no encoder 'nobody'"):
        make_pool().get("nobody")


def test_importing_the_pool_does_not_import_torch() -> None:
    program = "import sys, core.encoders.pool; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "False"
