"""The encoders that a library's settings ask for: which they are, and each made as they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.encoders.pool import EncoderPool, LoadState
from core.encoders.spec import Encoder, EncoderSpec, labelled, require_offered
from core.errors import EncoderError, EncodingError, InvalidSettingError
from core.monitor import Monitor
from core.records import Family, Passage, SystemInfo
from core.settings import EncoderChoice, WorkspaceSettings
from core.store.centre import (
    LEAST_PASSAGES,
    Centre,
    centre_sample,
    keep_centre,
    kept_centre,
    needs_measuring,
)
from core.store.workspace import Workspace

if TYPE_CHECKING:
    from core.library.holdings import Holdings


@dataclass(frozen=True, slots=True)
class EncoderStatus:
    """How ready an encoder of a library is."""

    system_id: str  # its id
    family: Family  # its colour
    label: str  # its name, with what is done to its vectors
    state: LoadState  # where it is on its way into memory
    problem: str  # why it failed, in a sentence; "" otherwise
    passages_embedded: int  # of the current corpus, under the current settings
    passages: int  # in the current corpus


class EncodersInUse:
    """Reads the settings anew at every call; safe to call from several threads.

    Args:
        workspace: Keeps the settings, and what was measured for them.
        pool: Makes the encoders.
    """

    def __init__(self, workspace: Workspace, pool: EncoderPool) -> None:
        self._workspace = workspace
        self._pool = pool

    # -- which -----------------------------------------------------------------------------

    def pair(self) -> tuple[EncoderSpec, EncoderSpec]:
        """Return both encoders of the pair."""
        return self._pool.registry.specs_of(self._workspace.settings().pair_id)

    def columns(self) -> tuple[EncoderSpec, ...]:
        """Return the pair, and the further encoders the settings name after it."""
        registry = self._pool.registry.encoders
        also = [registry[name] for name in self._workspace.settings().also if name in registry]
        return tuple({spec.encoder_id: spec for spec in (*self.pair(), *also)}.values())

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all of them, the pair first."""
        return tuple(spec.encoder_id for spec in self.columns())

    def info(self, spec: EncoderSpec) -> SystemInfo:
        """Name of an encoder in a comparison, with the options of its vectors."""
        choice = self._workspace.settings().choice(spec.encoder_id)
        return SystemInfo(spec.encoder_id, spec.family, labelled(spec, choice))

    def token_limit(self, encoder_id: str = "") -> int:
        """Return the limit both encoders run at: the user's, or the smaller of their own.

        Args:
            encoder_id: Whose limit, where the user lets each encoder read to its own.
        """
        settings = self._workspace.settings()
        if encoder_id and settings.own_limits:
            return self._pool.registry.encoder(encoder_id).max_tokens
        own = [spec.max_tokens for spec in self.pair()]
        return min([settings.max_tokens or min(own), *own])

    def checked(self, settings: WorkspaceSettings, before: WorkspaceSettings) -> WorkspaceSettings:
        """New settings without options of encoders that were removed.

        Raises:
            UnknownNameError: If a pair or an encoder is not known.
            InvalidSettingError: If an encoder does not offer what is chosen for it.
        """
        registry = self._pool.registry
        gone = {*before.also, *(choice.encoder_id for choice in before.choices)}
        gone -= registry.encoders.keys()
        settings = replace(
            settings,
            also=tuple(name for name in settings.also if name not in gone),
            choices=tuple(c for c in settings.choices if c.encoder_id not in gone),
        )
        registry.specs_of(settings.pair_id)
        for encoder_id in settings.also:
            registry.encoder(encoder_id)
        for choice in settings.choices:
            require_offered(registry.encoder(choice.encoder_id), choice)
        return settings

    # -- made ------------------------------------------------------------------------------

    def get(self, encoder_id: str) -> Encoder:
        """Return an encoder as the settings want it, loading it when needed.

        Raises:
            EncoderError: If it cannot be had so.
        """
        settings = self._workspace.settings()
        choice = settings.choice(encoder_id)
        limit = self.token_limit(encoder_id)
        centre = None
        if choice.centred:
            measured = kept_centre(self._workspace, self._uncentred(encoder_id, limit))
            if measured is None:
                label = self._pool.registry.encoder(encoder_id).label
                raise EncodingError(
                    f"{label} is to be mean-centred, and this library's mean is not measured yet: "
                    f"that takes at least {LEAST_PASSAGES} passages. Add documents or embed what "
                    "is here, or switch centring off."
                )
            centre = measured.mean
        try:
            return self._pool.get(
                encoder_id,
                max_tokens=limit,
                query_instruction=settings.query_instruction,
                choice=choice,
                centre=centre,
            )
        except InvalidSettingError as exc:  # its spec changed since the choice was made
            raise EncodingError(str(exc)) from exc

    def working_pair(self) -> list[Encoder]:
        """Return the encoders of the pair that can be had; `status` says why one cannot."""
        working = []
        for spec in self.pair():
            try:
                working.append(self.get(spec.encoder_id))
            except EncoderError:
                continue
        return working

    def status(self, holdings: Holdings) -> tuple[EncoderStatus, ...]:
        """Return how ready every encoder in use is, without loading anything."""
        passages = holdings.corpus().passages
        lines = []
        for spec in self.columns():
            state, problem, fingerprint = self._state(spec)
            embedded = 0
            if fingerprint:
                waiting = holdings.waiting(fingerprint, passages, late_chunking=spec.late_chunking)
                embedded = len(passages) - len(waiting)
            label = self.info(spec).label
            lines.append(
                EncoderStatus(
                    spec.encoder_id, spec.family, label, state, problem, embedded, len(passages)
                )
            )
        for name in self._workspace.settings().also:
            if name not in self._pool.registry.encoders:
                family, gone = Family.REFERENCE, LoadState.FAILED
                problem = f"{name} was removed from the encoders; take it out of the columns."
                lines.append(EncoderStatus(name, family, name, gone, problem, 0, len(passages)))
        return tuple(lines)

    def keep_fingerprints(self) -> None:
        """Note under which fingerprints passages stand, so that the next start knows unloaded."""
        for spec in self.columns():
            self._state(spec)

    def _state(self, spec: EncoderSpec) -> tuple[LoadState, str, str | None]:
        """Return how far an encoder is, its problem, and its passage fingerprint; loads nothing.

        The fingerprint is the one kept when it was last loaded so; None where it never was.
        """
        state, problem = self._pool.state(spec.encoder_id)
        choice = self._workspace.settings().choice(spec.encoder_id)
        fact = fingerprint_fact(spec.encoder_id, self.token_limit(spec.encoder_id), choice)
        fingerprint = self._workspace.fact(fact)
        if state is LoadState.READY:
            try:
                proved = self.get(spec.encoder_id).passage_fingerprint
            except EncoderError as exc:
                problem = str(exc)
            else:
                if proved != fingerprint and not self._workspace.read_only:
                    self._workspace.put_fact(fact, proved)
                fingerprint = proved
        return state, problem, fingerprint

    def measure_centres(self, passages: Sequence[Passage], monitor: Monitor) -> None:
        """Measure the mean of every encoder that is to be centred and has none that serves."""
        for encoder_id in self.ids():
            if not self._workspace.settings().choice(encoder_id).centred:
                continue
            limit = self.token_limit(encoder_id)
            try:
                under = self._uncentred(encoder_id, limit)
                if not needs_measuring(kept_centre(self._workspace, under), len(passages)):
                    continue
                sample = centre_sample(passages)
                mean = self._pool.measure_centre(
                    encoder_id, sample, max_tokens=limit, monitor=monitor
                )
            except EncoderError:
                continue  # `get` says why
            keep_centre(self._workspace, under, Centre(mean, len(sample), len(passages)))

    def _uncentred(self, encoder_id: str, limit: int) -> str:
        """Return the passage fingerprint of an encoder without any choice."""
        return self._pool.get(encoder_id, max_tokens=limit).passage_fingerprint


def fingerprint_fact(encoder_id: str, max_tokens: int, choice: EncoderChoice | None = None) -> str:
    """Return the name under which a workspace keeps an encoder's passage fingerprint."""
    chosen = f":{choice.words}" if choice is not None and choice.words else ""
    return f"fingerprint:{encoder_id}:{max_tokens}{chosen}"
