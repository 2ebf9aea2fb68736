"""Choosing encoders from the page: the pair, further columns, their options, and encoders of one's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.encoders.catalogue import EncoderRequest
from core.encoders.pool import LoadState
from core.errors import CoreError, InvalidSettingError, UnknownNameError
from core.records import Family
from core.settings import MAX_FURTHER_ENCODERS, EncoderChoice, OutputType
from demo import texts
from demo.presenters import encoders, offer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.encoders.spec import EncoderSpec
    from core.settings import WorkspaceSettings
    from demo.handlers import Handlers

Choices = tuple[tuple[str, str], ...]  # (label, id)
_ORDER = (Family.DIFFUSION, Family.AUTOREGRESSIVE, Family.REFERENCE)


@dataclass(frozen=True, slots=True)
class EncodersScreen:
    """Values of the Encoders part for one library."""

    known: Choices  # every encoder
    first: str  # id of the first encoder
    second: str  # id of the second encoder
    also: tuple[str, ...]  # ids of further columns
    columns: Choices  # the columns in use
    in_use: str  # the same, with what was chosen for them, as HTML
    added: Choices  # encoders that this visitor may remove
    problem: str  # what is wrong with the list of added encoders; "" when nothing is


@dataclass(frozen=True, slots=True)
class OptionsScreen:
    """Options of one encoder's embeddings, and the chosen ones."""

    outputs: tuple[str, ...]  # names of its outputs
    dimensions: tuple[tuple[str, int], ...]  # label and length, the whole first
    can_centre: bool  # whether mean-centring is offered
    choice: EncoderChoice  # as the library has it
    words: str  # why something is not offered, as HTML


class Choosing:
    """The verbs of the Encoders part."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.services = handlers.services

    def screen(self, visitor_id: object, library_id: str) -> EncodersScreen:
        """Values that show a library."""
        settings = self._settings(visitor_id, library_id)
        problem = self.services.refresh_encoders()
        registry = self.services.visitors.pool.registry
        pair: tuple[EncoderSpec, ...] = ()
        try:
            pair = registry.specs_of(settings.pair_id)
        except UnknownNameError as error:
            problem = f"{error} Choose two encoders below."
        also = tuple(registry.encoders[name] for name in settings.also if name in registry.encoders)
        columns = (*pair, *(spec for spec in also if spec not in pair))
        listed = not self.services.hosted and not problem
        added = self.services.catalogue.added() if listed else ()
        return EncodersScreen(
            known=_choices(_ordered(registry.encoders.values())),
            first=pair[0].encoder_id if pair else "",
            second=pair[1].encoder_id if pair else "",
            also=tuple(spec.encoder_id for spec in also),
            columns=_choices(columns),
            in_use=encoders.in_use(columns, settings),
            added=_choices(added),
            problem=problem,
        )

    def settings(
        self, visitor_id: object, library_id: str, first: str, second: str, also: tuple[str, ...]
    ) -> WorkspaceSettings:
        """Return a library's settings with these columns.

        Raises:
            UnknownNameError: An encoder nobody knows.
            InvalidSettingError: Twice the same encoder, or too many columns.
        """
        settings = self._settings(visitor_id, library_id)
        self.services.refresh_encoders()
        registry = self.services.visitors.pool.registry
        for name in (first, second, *also):
            registry.encoder(name)
        if first == second:
            raise InvalidSettingError(texts.SAME_ENCODERS)
        if len(also) > MAX_FURTHER_ENCODERS:
            raise InvalidSettingError(f"Choose at most {MAX_FURTHER_ENCODERS} further columns.")
        listed = {(p.diffusion, p.autoregressive): p.pair_id for p in registry.pairs.values()}
        return replace(
            settings,
            pair_id=listed.get((first, second), f"{first}+{second}"),
            also=tuple(name for name in dict.fromkeys(also) if name not in {first, second}),
        )

    def unfetched(self, visitor_id: object, names: tuple[str, ...]) -> str:
        """Cost of further columns that have to be fetched first; "" for none.

        Raises:
            InvalidSettingError: If they cannot be had on this machine; says why.
            EncoderError: If the hub cannot be asked.
        """
        self.handlers.sessions.require(visitor_id)
        pool = self.services.visitors.pool
        wanted = [
            name
            for name in names
            if pool.registry.encoder(name).from_hub and pool.state(name)[0] is not LoadState.READY
        ]
        if not wanted:
            return ""
        plan = pool.plan_together(wanted)
        if plan.refusal:
            raise InvalidSettingError(plan.refusal)
        if not plan.download_bytes:
            return ""
        lines = "; ".join(
            f"{one.checkpoint}: {offer.size(one.download_bytes)}, licence {one.licence}"
            for one in plan.plans
        )
        return f"To be fetched first: {lines}. Press the button again to fetch and use it."

    def options(self, visitor_id: object, library_id: str, encoder_id: str) -> OptionsScreen:
        """Options of an encoder.

        Raises:
            UnknownNameError: If nobody knows it.
        """
        settings = self._settings(visitor_id, library_id)
        spec = self.services.visitors.pool.registry.encoder(encoder_id)
        sizes = [(f"all {spec.dimension:,}", 0)]
        sizes += [(f"{size:,}", size) for size in reversed(spec.shorter_dimensions)]
        return OptionsScreen(
            outputs=tuple(output.value for output in spec.outputs),
            dimensions=tuple(sizes),
            can_centre=spec.raw,
            choice=settings.choice(encoder_id),
            words=encoders.offered(spec),
        )

    def with_choice(
        self,
        visitor_id: object,
        library_id: str,
        encoder_id: str,
        *,
        output: str,
        dimension: int,
        centred: bool,
    ) -> WorkspaceSettings:
        """Return a library's settings with these options of an encoder.

        Raises:
            InvalidSettingError: A value nobody knows.
        """
        if output not in set(OutputType):
            raise InvalidSettingError(
                f"There is no output {output!r}; choose {', '.join(OutputType)}."
            )
        choice = EncoderChoice(
            encoder_id, output=OutputType(output), dimension=dimension, centred=centred
        )
        return self._settings(visitor_id, library_id).with_choice(choice)

    def add(self, visitor_id: object, request: EncoderRequest) -> EncoderSpec:
        """Add an encoder.

        Raises:
            InvalidSettingError: If this server does not offer it, or a field cannot work.
            EncoderError: If there is no such checkpoint, or no stock class computes it.
        """
        self.handlers.sessions.require(visitor_id)
        if not self.services.adding:
            raise InvalidSettingError(texts.ENCODERS_CLOSED)
        return self.services.catalogue.add(request, folders=not self.services.hosted)

    def remove(self, visitor_id: object, encoder_id: str) -> None:
        """Remove an added encoder that no library of this visitor's uses.

        Raises:
            InvalidSettingError: If it is in use, or this server does not offer it.
            UnknownNameError: If it was not added.
        """
        visitor = self.handlers.sessions.require(visitor_id)
        if self.services.hosted:
            raise InvalidSettingError(texts.ENCODERS_CLOSED)
        for line in self.services.visitors.libraries(visitor):
            try:
                settings = self._settings(visitor, line.library_id)
            except CoreError:
                continue  # a library that cannot be opened keeps nobody from anything
            if encoder_id in {*settings.pair_id.split("+"), *settings.also}:
                raise InvalidSettingError(
                    f"{encoder_id} is a column of {line.label}; choose another there first."
                )
        self.services.catalogue.remove(encoder_id)

    def _settings(self, visitor_id: object, library_id: str) -> WorkspaceSettings:
        with self.handlers.sessions.library(visitor_id, library_id, look=True) as bench:
            return bench.settings


def _ordered(specs: Iterable[EncoderSpec]) -> list[EncoderSpec]:
    """Return encoders by family, each in the order they are known."""
    return sorted(specs, key=lambda spec: _ORDER.index(spec.family))


def _choices(specs: Iterable[EncoderSpec]) -> Choices:
    return tuple((spec.label, spec.encoder_id) for spec in specs)
