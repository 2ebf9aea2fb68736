"""The encoders that a library's settings ask for: which they are, and each made as they say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from core.encoders.choices import labelled, require_offered
from core.encoders.pool import LoadState
from core.errors import EncoderError, EncodingError, InvalidSettingError
from core.library.centre import (
    LEAST_PASSAGES,
    Centre,
    centre_sample,
    keep_centre,
    kept_centre,
    needs_measuring,
)
from core.records import SystemInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.encoders.pool import EncoderPool
    from core.encoders.protocol import Encoder
    from core.encoders.spec import EncoderSpec
    from core.monitor import Monitor
    from core.records import Passage
    from core.settings import EncoderChoice, WorkspaceSettings
    from core.store import Workspace


class ChosenEncoders:
    """Reads the settings anew at every call; safe to call from several threads.

    Args:
        workspace: Keeps the settings, and what was measured for them.
        pool: Makes the encoders.
    """

    def __init__(self, workspace: Workspace, pool: EncoderPool) -> None:
        self._workspace = workspace
        self._pool = pool

    @property
    def _settings(self) -> WorkspaceSettings:
        return self._workspace.settings()

    # -- which -----------------------------------------------------------------------------

    def arms(self) -> tuple[EncoderSpec, EncoderSpec]:
        """Return both arms of the pair."""
        return self._pool.registry.arms(self._settings.pair_id)

    def columns(self) -> tuple[EncoderSpec, ...]:
        """Return the arms, and the further encoders the settings name after them."""
        arms = self.arms()
        taken = {spec.encoder_id for spec in arms}
        known = self._pool.registry.encoders
        also = (known[name] for name in self._settings.also if name in known)
        return (*arms, *(spec for spec in also if spec.encoder_id not in taken))

    def column_ids(self) -> tuple[str, ...]:
        """Return the ids of all of them, the arms first."""
        return tuple(spec.encoder_id for spec in self.columns())

    def info(self, spec: EncoderSpec) -> SystemInfo:
        """Return how a comparison names an encoder: what was done to its vectors is in the name."""
        choice = self._settings.choice(spec.encoder_id)
        return SystemInfo(spec.encoder_id, spec.family, labelled(spec, choice))

    def token_limit(self, encoder_id: str = "") -> int:
        """Return the limit both arms run at: the user's, or the smaller of their own.

        Args:
            encoder_id: Whose limit, where the user lets each encoder read to its own.
        """
        if encoder_id and self._settings.own_limits:
            return self._pool.registry.encoder(encoder_id).max_tokens
        own = [spec.max_tokens for spec in self.arms()]
        return min([self._settings.max_tokens or min(own), *own])

    def checked(self, settings: WorkspaceSettings, before: WorkspaceSettings) -> WorkspaceSettings:
        """Return new settings without what they still want of encoders that were removed.

        Raises:
            UnknownNameError: If nobody knows the pair, or an encoder.
            InvalidSettingError: If an encoder does not offer what is chosen for it.
        """
        settings = self._without_forgotten(settings, before)
        self._pool.registry.arms(settings.pair_id)
        for encoder_id in settings.also:
            self._pool.registry.encoder(encoder_id)
        for choice in settings.choices:
            require_offered(self._pool.registry.encoder(choice.encoder_id), choice)
        return settings

    def _without_forgotten(
        self, settings: WorkspaceSettings, before: WorkspaceSettings
    ) -> WorkspaceSettings:
        """Leave out what the library wanted of encoders that were removed since."""
        gone = {*before.also, *(kept.encoder_id for kept in before.choices)}
        gone -= self._pool.registry.encoders.keys()
        return replace(
            settings,
            also=tuple(name for name in settings.also if name not in gone),
            choices=tuple(kept for kept in settings.choices if kept.encoder_id not in gone),
        )

    # -- made ------------------------------------------------------------------------------

    def get(self, encoder_id: str) -> Encoder:
        """Return an encoder as the settings want it, loading it when needed.

        Raises:
            EncoderError: If it cannot be had so.
        """
        settings = self._settings
        choice = settings.choice(encoder_id)
        limit = self.token_limit(encoder_id)
        centre = None
        if choice.centred:
            kept = kept_centre(self._workspace, self._uncentred(encoder_id, limit))
            if kept is None:
                label = self._pool.registry.encoder(encoder_id).label
                msg = (
                    f"{label} is to be mean-centred, and this library's mean is not measured yet: "
                    f"that takes at least {LEAST_PASSAGES} passages. Add documents or embed what "
                    "is here, or switch centring off."
                )
                raise EncodingError(msg)
            centre = kept.mean
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

    def working_arms(self) -> list[Encoder]:
        """Return the arms that can be had; one that fails is told elsewhere."""
        found = []
        for spec in self.arms():
            try:
                found.append(self.get(spec.encoder_id))
            except EncoderError:
                continue
        return found

    def state(self, spec: EncoderSpec) -> tuple[LoadState, str, str | None]:
        """Return how far an encoder is, its problem, and its passage fingerprint; loads nothing.

        The fingerprint is the one kept when it was last loaded so; None where it never was.
        """
        state, problem = self._pool.state(spec.encoder_id)
        choice = self._settings.choice(spec.encoder_id)
        fact = fingerprint_fact(spec.encoder_id, self.token_limit(spec.encoder_id), choice)
        fingerprint = self._workspace.fact(fact)
        if state is LoadState.READY:
            try:
                proved = self.get(spec.encoder_id).passage_fingerprint
            except EncoderError as exc:
                problem = str(exc)
            else:
                if proved != fingerprint:
                    fingerprint = proved
                    self._workspace.put_fact(fact, proved)
        return state, problem, fingerprint

    def measure_centres(self, passages: Sequence[Passage], monitor: Monitor) -> None:
        """Measure the mean of every encoder that is to be centred and has none that serves."""
        for encoder_id in self.column_ids():
            if not self._settings.choice(encoder_id).centred:
                continue
            limit = self.token_limit(encoder_id)
            try:
                under = self._uncentred(encoder_id, limit)
                kept = kept_centre(self._workspace, under)
                if not needs_measuring(kept, len(passages)):
                    continue
                sample = centre_sample(passages)
                mean = self._pool.measure_centre(
                    encoder_id, sample, max_tokens=limit, monitor=monitor
                )
            except EncoderError:
                continue  # whoever asks for the encoder is told why
            keep_centre(self._workspace, under, Centre(mean, len(sample), len(passages)))

    def _uncentred(self, encoder_id: str, limit: int) -> str:
        """Return the passage fingerprint of an encoder that nothing was chosen for."""
        return self._pool.get(encoder_id, max_tokens=limit).passage_fingerprint


def fingerprint_fact(encoder_id: str, max_tokens: int, choice: EncoderChoice | None = None) -> str:
    """Name of the workspace fact that tells an arm's passage fingerprint before it is loaded."""
    chosen = f":{choice.words}" if choice is not None and choice.words else ""
    return f"fingerprint:{encoder_id}:{max_tokens}{chosen}"
