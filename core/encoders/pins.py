"""The commits that checkpoints without a stated one were first fetched at, so that they stay.

A hub's "main" moves. The first time such a checkpoint is wanted its commit is asked for and written
down here; from then on that commit and no other is fetched and loaded, until its user asks for the
present one (`python -m core fetch PAIR --repin`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import Field, TypeAdapter, ValidationError

from core.encoders.spec import EncoderSpec
from core.errors import EncoderLoadError

PINS_FILE = "pins.json"  # in the data folder
_LOCK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Pin:
    """One checkpoint's commit."""

    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    since: str  # day it was written down, ISO 8601, UTC


_PINS = TypeAdapter(dict[str, Pin])


class Pins:
    """A small JSON file of commits by hub id; written whole, under a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, checkpoint: str) -> Pin | None:
        """Return a checkpoint's commit, None when none was written down.

        Raises:
            EncoderLoadError: If the file is damaged; guessing would move checkpoints silently.
        """
        return self._read().get(checkpoint)

    def applied(self, spec: EncoderSpec) -> EncoderSpec:
        """Return a spec at its commit where one is written down, else as it is."""
        if spec.is_pinned or not spec.from_hub:
            return spec
        pin = self.get(spec.checkpoint)
        return spec if pin is None else _at(spec, pin)

    def pinned(self, spec: EncoderSpec, resolve: Callable[[], str]) -> EncoderSpec:
        """Return a spec at its commit, writing that down when it is the first time.

        A spec that states its commit, or is not from the hub, comes back as it is; ``resolve`` finds the
        commit and is called only when none is written down.

        Raises:
            EncoderLoadError: If what it finds is no commit, or the file is damaged.
        """
        found = self.applied(spec)
        if found is not spec or spec.is_pinned or not spec.from_hub:
            return found
        revision = resolve()
        with self._locked():
            pins = self._read()
            # Another process may have been first; its commit stands.
            if spec.checkpoint not in pins:
                self._write({**pins, spec.checkpoint: self._new(spec.checkpoint, revision)})
            return _at(spec, self._read()[spec.checkpoint])

    def move(self, checkpoint: str, revision: str) -> Pin:
        """Write another commit down, because the user asked for it."""
        with self._locked():
            pin = self._new(checkpoint, revision)
            self._write({**self._read(), checkpoint: pin})
            return pin

    @staticmethod
    def _new(checkpoint: str, revision: str) -> Pin:
        try:
            return TypeAdapter(Pin).validate_python(
                {"revision": revision, "since": datetime.now(UTC).date().isoformat()}
            )
        except ValidationError as exc:
            raise EncoderLoadError(
                f"The hub names {revision[:60]!r} as the commit of {checkpoint}; that is none."
            ) from exc

    def _read(self) -> dict[str, Pin]:
        try:
            return _PINS.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as exc:
            why = exc.errors()[0]["msg"] if isinstance(exc, ValidationError) else exc
            raise EncoderLoadError(
                f"{self.path} is damaged ({why}). It holds the commits that checkpoints were first "
                "fetched at: put it right, or delete it to take the hub's present ones."
            ) from exc

    def _write(self, pins: dict[str, Pin]) -> None:
        write_whole(
            self.path, _PINS.dump_json(dict(sorted(pins.items())), indent=1).decode() + "\n"
        )

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_name(self.path.name + ".lock"), timeout=_LOCK_SECONDS)


def write_whole(path: Path, text: str) -> None:
    """Put a file in the place of another one, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _at(spec: EncoderSpec, pin: Pin) -> EncoderSpec:
    origin = f"the hub's when first fetched, {pin.since}"
    return replace(spec, revision=pin.revision, revision_origin=origin)
