"""Encoders in memory: each loaded once, late, and shared by all libraries and visitors."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.encoders.pins import Pins
from core.encoders.registry import Registry, read_registry
from core.encoders.spec import EncoderSpec, TextKind, require_offered
from core.errors import CoreError, EncoderLoadError, InvalidSettingError
from core.monitor import Monitor
from core.settings import EncoderChoice, OutputType

if TYPE_CHECKING:
    from core.encoders.encoder import LoadedEncoder
    from core.encoders.hub import FetchPlan, Hub, PairPlan
    from core.encoders.spec import Encoder

LOADED_AT_ONCE = 4
VARIANTS_KEPT = 64
_Variant = tuple[str, int, str, OutputType, int, str]


class LoadState(StrEnum):
    """Where an encoder is on its way into memory."""

    NOT_LOADED = "not loaded"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(slots=True)
class _Slot:
    lock: threading.Lock
    state: LoadState = LoadState.NOT_LOADED
    problem: str = ""
    encoder: LoadedEncoder | None = None


def load_encoder(spec: EncoderSpec, **options: Any) -> LoadedEncoder:  # noqa: ANN401 (its keywords)
    """Load an encoder, see `core.encoders.loading.load_encoder`; imports torch when called."""
    from core.encoders import loading

    return loading.load_encoder(spec, **options)


@dataclass(eq=False, kw_only=True)
class EncoderPool:
    """Encoders by id. Safe to use from several threads; importing it does not import torch."""

    assets: Path  # Bifocal's assets folder
    device: str = "auto"  # ``auto``, ``cpu``, ``cuda`` or ``mps``
    offline: bool = False  # never ask a hub for anything
    threads: int = 0  # CPU threads of the backbones; 0 takes every physical core
    cache_dir: Path | None = None  # for hub checkpoints; None keeps huggingface_hub's own rule
    # read from the assets unless given
    registry: Registry = field(default_factory=lambda: Registry({}, {}))
    load: Callable[..., LoadedEncoder] = load_encoder  # loads one encoder; for tests
    # commits of checkpoints that Bifocal states none for; None keeps no account of them
    pins: Pins | None = None
    endpoint: str | None = None  # another hub; None keeps huggingface_hub's own rule

    def __post_init__(self) -> None:
        """Read the registry where none is given."""
        if not self.registry.encoders:
            self.registry = read_registry(self.assets)
        self.built_in = frozenset(self.registry.encoders)  # all others were registered later
        self._lock = threading.Lock()
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        self._variants: OrderedDict[_Variant, LoadedEncoder] = OrderedDict()

    @cached_property
    def hub(self) -> Hub:
        """The hub that checkpoints come from."""
        from core.encoders.hub import Hub  # imports torch

        return Hub(self.cache_dir, offline=self.offline, endpoint=self.endpoint)

    def state(self, encoder_id: str) -> tuple[LoadState, str]:
        """Return where an encoder is, and the problem if it failed. Loads nothing."""
        with self._lock:
            slot = self._slots.get(encoder_id)
            return (slot.state, slot.problem) if slot else (LoadState.NOT_LOADED, "")

    def get(
        self,
        encoder_id: str,
        *,
        max_tokens: int = 0,
        query_instruction: str = "",
        choice: EncoderChoice | None = None,
        centre: NDArray[np.float32] | None = None,
        monitor: Monitor | None = None,
    ) -> Encoder:
        """Return an encoder, loading it when needed; variants share the weights.

        Args:
            encoder_id: As the registry knows it.
            max_tokens: The limit to run at; 0 keeps the encoder's own.
            query_instruction: Replaces ``{instruction}``; "" keeps the encoder's default.
            choice: Quantisation and length of the embeddings.
            centre: ``(dim,)`` what `measure_centre` returned, to be subtracted; None for nothing.
            monitor: Watches a download, and may stop it.

        Raises:
            UnknownNameError: If it is unknown.
            InvalidSettingError: If it does not offer what is chosen.
            EncoderError: If it cannot be loaded.
        """
        spec = self.registry.encoder(encoder_id)
        choice = choice or EncoderChoice(encoder_id)
        require_offered(spec, choice)
        limit = 0 if max_tokens >= spec.max_tokens else max_tokens
        instruction = "" if query_instruction == spec.default_instruction else query_instruction
        dimension = 0 if choice.dimension == spec.dimension else choice.dimension
        digest = "" if centre is None else hashlib.sha256(centre.tobytes()).hexdigest()
        key = (encoder_id, limit, instruction, choice.output, dimension, digest)
        with self._lock:
            variant = self._variants.get(key)
            if variant is not None:
                self._slots.move_to_end(encoder_id)
                self._variants.move_to_end(key)
                return variant
        base = self._loaded(spec, monitor)
        unchanged = (encoder_id, 0, "", OutputType.FLOAT, 0, "")
        if key != unchanged:
            from core.encoders.encoder import EncoderOptions  # imports torch, loaded by now

            options = EncoderOptions(
                max_tokens=limit,
                query_instruction=instruction,
                output=choice.output,
                dimension=dimension,
                centre=centre,
            )
            base = base.with_options(options)
        with self._lock:
            if encoder_id in self._slots:
                self._variants[key] = base
                while len(self._variants) > VARIANTS_KEPT:
                    self._variants.popitem(last=False)
        return base

    def measure_centre(
        self,
        encoder_id: str,
        texts: Sequence[str],
        *,
        max_tokens: int = 0,
        monitor: Monitor | None = None,
    ) -> NDArray[np.float32]:
        """Return the mean of an encoder's passage vectors before unit length: ``(dim,)``.

        Raises:
            UnknownNameError: If it is unknown.
            EncoderError: If it cannot be loaded or fails.
        """
        spec = self.registry.encoder(encoder_id)
        base = self._loaded(spec, monitor)
        from core.encoders.encoder import EncoderOptions  # imports torch, loaded by now

        limited = base.with_options(EncoderOptions(max_tokens=min(max_tokens, spec.max_tokens)))
        raw = limited.raw_embeddings(texts, kind=TextKind.PASSAGE, monitor=monitor)
        mean: NDArray[np.float32] = raw.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    def register(self, spec: EncoderSpec) -> None:
        """Add an encoder; one of the same id is replaced, and its weights let go."""
        with self._lock:
            self.registry = self.registry.with_encoder(spec)
            self._let_go(spec.encoder_id)

    def unregister(self, encoder_id: str) -> None:
        """Remove an encoder and let its weights go."""
        with self._lock:
            self.registry = self.registry.without_encoder(encoder_id)
            self._let_go(encoder_id)

    def plan(self, encoder_id: str) -> FetchPlan:
        """Return the cost of an encoder on this machine; fetches and loads nothing.

        Raises:
            UnknownNameError: If it is unknown.
            EncoderUnavailableError: If it is not here and the hub cannot be asked.
            EncoderLoadError: If it has no weights that Bifocal opens.
        """
        spec = self.registry.encoder(encoder_id)
        return self.hub.plan(
            spec if self.pins is None else self.pins.applied(spec),
            device=self._where(),
            in_memory=self.state(encoder_id)[0] is LoadState.READY,
        )

    def plan_together(self, encoder_ids: Iterable[str]) -> PairPlan:
        """Return the cost of encoders that are in memory together."""
        from core.encoders.hub import plan_together

        return plan_together([self.plan(name) for name in encoder_ids], device=self._where())

    def fetch(self, encoder_id: str, *, monitor: Monitor | None = None) -> None:
        """Fetch an encoder's files where any are missing; a stopped download goes on later.

        Raises:
            UnknownNameError: If it is unknown.
            EncoderError: As `core.encoders.hub.Hub.fetch`.
            StoppedError: If the monitor asks to stop.
        """
        spec = self.registry.encoder(encoder_id)
        if not spec.from_hub or self.state(encoder_id)[0] is LoadState.READY:
            return
        self.hub.fetch(self._pinned(spec), device=self._where(), monitor=monitor)

    def repin(self, encoder_id: str) -> tuple[str, str]:
        """Take the hub's present commit of a checkpoint that Bifocal states none for.

        Returns:
            The commit until now ("" when none was written down) and the one from now on.

        Raises:
            InvalidSettingError: If Bifocal states its commit, or no account is kept.
            EncoderUnavailableError: If the hub cannot be asked.
        """
        spec = self.registry.encoder(encoder_id)
        if self.pins is None or spec.is_pinned or not spec.from_hub:
            raise InvalidSettingError(
                f"The commit of {spec.label} is stated by Bifocal itself and does not move."
            )
        before = self.pins.get(spec.checkpoint)
        now = self.hub.commit(spec, fresh=True)
        self.pins.move(spec.checkpoint, now)
        return ("" if before is None else before.revision), now

    def _where(self) -> str:
        from core.encoders.loading import choose_device  # imports torch

        return choose_device(self.device)

    def _pinned(self, spec: EncoderSpec) -> EncoderSpec:
        """Return a spec at the commit that is written down; the first time writes it down."""
        if self.pins is None or spec.is_pinned or not spec.from_hub:
            return spec
        return self.pins.pinned(spec, lambda: self.hub.commit(spec))

    def warm(self, encoder_ids: Iterable[str]) -> threading.Thread:
        """Load encoders behind the page, one after the other; failures show in `state`."""
        names = tuple(encoder_ids)

        def work() -> None:
            for name in names:
                try:
                    self.get(name)
                except CoreError:
                    continue  # its state says why; whoever asks for it gets the error

        thread = threading.Thread(target=work, name="bifocal-warm", daemon=True)
        thread.start()
        return thread

    def _loaded(self, spec: EncoderSpec, monitor: Monitor | None) -> LoadedEncoder:
        with self._lock:
            slot = self._slots.setdefault(spec.encoder_id, _Slot(threading.Lock()))
            self._slots.move_to_end(spec.encoder_id)
        with slot.lock:  # a second caller waits for the first one's result
            if slot.encoder is not None:
                return slot.encoder
            slot.state, slot.problem = LoadState.LOADING, ""
            try:
                self._set_threads()
                encoder = self.load(
                    self._pinned(spec),
                    assets=self.assets,
                    device=self.device,
                    cache_dir=self.cache_dir,
                    offline=self.offline,
                    monitor=monitor,
                )
            except CoreError as exc:
                slot.state, slot.problem = LoadState.FAILED, str(exc)
                raise
            except Exception as exc:
                problem = f"{spec.label} could not be loaded ({type(exc).__name__}: {exc})."
                slot.state, slot.problem = LoadState.FAILED, problem
                raise EncoderLoadError(problem) from exc
            slot.encoder = encoder
            slot.state = LoadState.READY
        self._make_room(keep=spec.encoder_id)
        return encoder

    def _set_threads(self) -> None:
        from core.encoders.loading import set_threads  # imports torch

        set_threads(self.threads)

    def _make_room(self, *, keep: str) -> None:
        """Let the encoders go that were not used for longest."""
        with self._lock:
            loaded = [name for name, slot in self._slots.items() if slot.encoder is not None]
            for name in loaded[: max(0, len(loaded) - LOADED_AT_ONCE)]:
                if name != keep:
                    self._let_go(name)

    def _let_go(self, encoder_id: str) -> None:
        """Drop an encoder's weights and variants; the lock is held."""
        self._slots.pop(encoder_id, None)
        for key in [key for key in self._variants if key[0] == encoder_id]:
            del self._variants[key]
